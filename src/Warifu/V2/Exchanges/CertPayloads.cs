using System;
using System.Collections.Generic;
using System.Linq;
using System.Security.Cryptography;
using Warifu.Engine;
using Warifu.Pki;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Wire;

namespace Warifu.V2.Exchanges;

/// <summary>What the peer's CERTREQ payloads ask for (RFC 7296 section 3.7).</summary>
internal sealed class CertificateWish
{
    private const int MaxHashes = 512;

    private readonly HashSet<UInt128> _authorities = [];

    /// <summary>There was a CERTREQ at all.</summary>
    public bool Asked { get; private set; }

    /// <summary>Raw public keys are understood (RFC 7670).</summary>
    public bool RawKeys { get; private set; }

    /// <summary>The peer wants to see what our responder says about our certificate (RFC 4806). Which responders it trusts does not matter: there is one.</summary>
    public bool Ocsp { get; private set; }

    /// <summary>The peer fetches certificates (HTTP_CERT_LOOKUP_SUPPORTED).</summary>
    public bool HashAndUrl { get; private set; }

    public bool NamesAuthorities => _authorities.Count > 0;

    public bool Names(ReadOnlySpan<byte> spkiHash) => _authorities.Contains(KeyOf(spkiHash));

    public void Read(scoped in MessageView view)
    {
        HashAndUrl |= view.HasNotify(NotifyType.HttpCertLookupSupported);
        for (var i = 0; i < view.Count; i++)
        {
            if (view[i].Type != PayloadType.CertReq || CertView.TryParse(view.Body(i), out var request) != ParseError.None) continue;
            Asked = true;
            switch ((CertEncoding)request.Encoding)
            {
                case CertEncoding.RawPublicKey:
                    RawKeys = true;
                    break;
                case CertEncoding.OcspContent:
                    Ocsp = true;
                    break;
                case CertEncoding.X509Signature or CertEncoding.HashAndUrl or CertEncoding.HashAndUrlBundle or CertEncoding.Pkcs7:
                    for (var data = request.Data; data.Length >= SHA1.HashSizeInBytes && _authorities.Count < MaxHashes; data = data[SHA1.HashSizeInBytes..]) _authorities.Add(KeyOf(data));
                    break;
            }
        }
    }

    /// <summary>What comes of SHA-1 is as good as all of it: a wrong guess picks another certificate, nothing else.</summary>
    private static UInt128 KeyOf(ReadOnlySpan<byte> hash) => System.Buffers.Binary.BinaryPrimitives.ReadUInt128BigEndian(hash);
}

/// <summary>CERT and CERTREQ as we write them.</summary>
internal static class CertPayloads
{
    private const int MaxRequested = 32;

    /// <summary>CERTREQ with the authorities that this connection trusts, and for raw keys without data (RFC 7670 section 3).</summary>
    public static void WriteRequests(IkeEngine engine, Connection connection, MessageBuilder builder, bool mayChange = false)
    {
        if (!connection.SendCertReq) return;
        var hashAndUrl = engine.Options.HashAndUrl;
        var (authorities, rawKeys) = Wanted(engine, connection, mayChange);
        if (authorities.Length > 0)
        {
            builder.CertReq((byte)CertEncoding.X509Signature, authorities);
            if (hashAndUrl) builder.Notify(NotifyType.HttpCertLookupSupported);
            // RFC 4806 section 4.1: separate, and empty for responders that the peer's authority appoints
            if (AsksForOcsp(connection)) builder.CertReq((byte)CertEncoding.OcspContent, default);
        }

        if (rawKeys) builder.CertReq((byte)CertEncoding.RawPublicKey, default);
    }

    /// <summary>Octets of <see cref="WriteRequests"/>.</summary>
    public static int RequestLength(IkeEngine engine, Connection connection)
    {
        if (!connection.SendCertReq) return 0;
        var (authorities, rawKeys) = Wanted(engine, connection, mayChange: true);
        return (authorities.Length > 0 ? 5 + authorities.Length + (engine.Options.HashAndUrl ? 8 : 0) + (AsksForOcsp(connection) ? 5 : 0) : 0) + (rawKeys ? 5 : 0);
    }

    private static bool AsksForOcsp(Connection connection) => connection.Ocsp is OcspExchange.Request or OcspExchange.Both;

    /// <param name="engine">Has the authorities.</param>
    /// <param name="connection">Whose peer is asked.</param>
    /// <param name="mayChange">The identities, which are not known yet, may lead to another connection: one that needs certificates, if there is any such.</param>
    private static (byte[] Authorities, bool RawKeys) Wanted(IkeEngine engine, Connection connection, bool mayChange)
    {
        var (hashes, rawKeys) = (new List<byte[]>(), false);
        var trust = engine.Trust.StoreOf(engine.Policy);
        if (mayChange && engine.Index.PeersSign && !AuthRounds.PeerUsesSignatures(connection)) hashes.AddRange(trust.Authorities.Select(authority => authority.SpkiHash()));
        for (var i = 0; i < AuthRounds.CountPeer(connection); i++)
        {
            var remote = AuthRounds.PeerOf(connection, i);
            if (remote.Kind != AuthKind.PublicKey) continue;
            rawKeys |= !remote.PublicKeys.IsEmpty;
            IEnumerable<Certificate> authorities = remote.CaCertificates.IsEmpty ? remote.PublicKeys.IsEmpty ? trust.Authorities : [] : ConfiguredCertificates.AuthoritiesOf(remote);
            hashes.AddRange(authorities.Select(authority => authority.SpkiHash()));
        }

        return ([.. hashes.DistinctBy(Convert.ToHexString).Take(MaxRequested).SelectMany(hash => hash)], rawKeys);
    }
}

/// <summary>CERTREQ of the responder stands in IKE_SA_INIT (RFC 7296 section 1.2).</summary>
internal sealed class CertReqPart : InitPart
{
    public override void WriteResponse(IkeSa sa, MessageBuilder builder) => CertPayloads.WriteRequests(sa.Engine, sa.Connection, builder, mayChange: true);

    public override void ReadResponse(IkeSa sa, scoped in MessageView view) => sa.Handshake!.Wish.Read(view);
}
