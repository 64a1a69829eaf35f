using System;
using System.Collections.Generic;
using System.Security.Cryptography;
using System.Text;

namespace Warifu.Pki;

/// <summary>Cert Encoding (RFC 7296 section 3.6, RFC 4806, RFC 7670).</summary>
internal enum CertEncoding : byte
{
    Pkcs7 = 1,
    X509Signature = 4,
    Crl = 7,
    HashAndUrl = 12,
    HashAndUrlBundle = 13,
    OcspContent = 14,
    RawPublicKey = 15,
}

/// <summary>A certificate or bundle that the peer did not send but names (RFC 7296 section 3.6).</summary>
/// <param name="Hash">SHA-1 of what is there.</param>
/// <param name="Uri">Where.</param>
/// <param name="IsBundle">Several certificates and CRLs.</param>
internal sealed record HashAndUrl(ReadOnlyMemory<byte> Hash, string Uri, bool IsBundle)
{
    private const int MaxUri = 512;

    public static bool TryParse(ReadOnlySpan<byte> data, bool isBundle, out HashAndUrl? reference)
    {
        reference = null;
        if (data.Length is <= SHA1.HashSizeInBytes or > SHA1.HashSizeInBytes + MaxUri) return false;
        var uri = data[SHA1.HashSizeInBytes..];
        // http only: RFC 7296 section 3.6
        if (uri.ContainsAnyExceptInRange((byte)'!', (byte)'~') || !Ascii.EqualsIgnoreCase(uri[..Math.Min(7, uri.Length)], "http://"u8)) return false;
        reference = new HashAndUrl(data[..SHA1.HashSizeInBytes].ToArray(), Encoding.ASCII.GetString(uri), isBundle);
        return true;
    }
}

/// <summary>What the peer's CERT payloads bring, bounded in number: its own certificate first (RFC 7296 section 3.6). Nothing of it is believed yet.</summary>
internal sealed class PeerCertificates
{
    private const int MaxResponses = 8;
    private const int MaxCrls = 4;
    private const int MaxReferences = 8;

    private readonly List<Certificate> _certificates = [];
    private readonly List<OcspResponse> _responses = [];
    private readonly List<Crl> _crls = [];
    private readonly List<HashAndUrl> _references = [];

    public IReadOnlyList<Certificate> Certificates => _certificates;

    public IReadOnlyList<OcspResponse> Responses => _responses;

    public IReadOnlyList<Crl> Crls => _crls;

    /// <summary>What is still to be fetched, where that is allowed.</summary>
    public IReadOnlyList<HashAndUrl> References => _references;

    /// <summary>Why one of them could not be read; empty when all could.</summary>
    public string Error { get; private set; } = "";

    /// <summary>The body of one CERT payload behind its encoding. What is unknown or damaged is passed over: the judge misses it where it matters.</summary>
    public void Add(CertEncoding encoding, ReadOnlySpan<byte> data)
    {
        switch (encoding)
        {
            case CertEncoding.X509Signature:
                AddCertificate(data.ToArray());
                break;
            case CertEncoding.Pkcs7:
                AddBox(data.ToArray());
                break;
            case CertEncoding.Crl:
                if (_crls.Count < MaxCrls && Crl.TryParse(data.ToArray(), out var crl)) _crls.Add(crl!);
                break;
            case CertEncoding.OcspContent:
                if (_responses.Count == MaxResponses) break;
                if (OcspResponse.TryParse(data.ToArray(), out var response, out _)) _responses.Add(response!);
                break;
            case CertEncoding.HashAndUrl or CertEncoding.HashAndUrlBundle:
                if (_references.Count == MaxReferences) break;
                if (HashAndUrl.TryParse(data, encoding == CertEncoding.HashAndUrlBundle, out var reference)) _references.Add(reference!);
                else Note("it names no http:// URL");
                break;
            case CertEncoding.RawPublicKey:
            default:
                break;
        }
    }

    /// <summary>What was found at a reference. False: it is not what the peer named.</summary>
    public bool Add(HashAndUrl reference, ReadOnlyMemory<byte> document)
    {
        _references.Remove(reference);
        if (!SHA1.HashData(document.Span).AsSpan().SequenceEqual(reference.Hash.Span))
        {
            Note($"what is at {GeneralName.Short(reference.Uri)} has another hash");
            return false;
        }

        if (reference.IsBundle) AddBundle(document);
        else AddCertificate(document);
        return true;
    }

    /// <summary>A reference that leads nowhere.</summary>
    public void Forget(HashAndUrl reference, string why)
    {
        _references.Remove(reference);
        Note($"{GeneralName.Short(reference.Uri)}: {why}");
    }

    private void AddCertificate(ReadOnlyMemory<byte> der)
    {
        if (_certificates.Count == PathJudge.MaxOffered) return;
        if (Certificate.TryParse(der, out var certificate, out var error)) _certificates.Add(certificate!);
        else Note(error);
    }

    private void AddBox(ReadOnlyMemory<byte> der)
    {
        if (!Pkcs7.TryRead(der, out var certificates, out var crls))
        {
            Note("it is no PKCS#7 box in DER");
            return;
        }

        foreach (var certificate in certificates) AddCertificate(certificate);
        foreach (var list in crls)
        {
            if (_crls.Count < MaxCrls && Crl.TryParse(list, out var crl)) _crls.Add(crl!);
        }
    }

    /// <summary>CertificateBundle (RFC 7296 section 3.6): [0] certificates, [1] CRLs, with explicit tags.</summary>
    private void AddBundle(ReadOnlyMemory<byte> der)
    {
        var outer = new DerReader(der);
        if (!outer.TryEnter(DerTag.Sequence, out var list) || !outer.AtEnd)
        {
            Note("the bundle cannot be read");
            return;
        }

        for (var count = 0; count < Pkcs7.MaxCertificates && list.TryReadAny(out var value); count++)
        {
            if (value.Tag == DerTag.ContextOf(0)) AddCertificate(value.Content);
            else if (value.Tag == DerTag.ContextOf(1) && _crls.Count < MaxCrls && Crl.TryParse(value.Content, out var crl)) _crls.Add(crl!);
        }
    }

    private void Note(string error)
    {
        if (Error.Length == 0) Error = error;
    }
}
