using System;
using System.Collections.Immutable;
using System.Formats.Asn1;
using System.Security.Cryptography;
using Warifu.Crypto.Signatures;

namespace Warifu.Pki;

/// <summary>What a responder says about one certificate.</summary>
internal enum OcspStatus : byte
{
    Good,
    Revoked,
    Unknown,
}

/// <summary>SingleResponse (RFC 6960 section 4.2.1).</summary>
internal sealed record OcspAnswer(Oid Hash, ReadOnlyMemory<byte> IssuerNameHash, ReadOnlyMemory<byte> IssuerKeyHash, ReadOnlyMemory<byte> Serial, OcspStatus Status, CrlEntry Revocation, DateTimeOffset ThisUpdate, DateTimeOffset? NextUpdate)
{
    /// <summary>It is about this certificate.</summary>
    public bool IsAbout(Certificate certificate, Certificate issuer) =>
        Serial.Span.SequenceEqual(certificate.Serial.Span) && Digest(certificate.Issuer.Der.Span, IssuerNameHash.Span) && Digest(issuer.KeyBits.Span, IssuerKeyHash.Span);

    private bool Digest(ReadOnlySpan<byte> data, ReadOnlySpan<byte> expected)
    {
        Span<byte> digest = stackalloc byte[SHA512.HashSizeInBytes];
        var length = Hash.Is(Oids.Sha1) ? SHA1.HashData(data, digest)
            : Hash.Is(Oids.Sha256) ? SHA256.HashData(data, digest)
            : Hash.Is(Oids.Sha384) ? SHA384.HashData(data, digest)
            : Hash.Is(Oids.Sha512) ? SHA512.HashData(data, digest)
            : 0;
        return length > 0 && digest[..length].SequenceEqual(expected);
    }
}

/// <summary>An OCSP response (RFC 6960 section 4.2). Reading never throws.</summary>
internal sealed class OcspResponse
{
    public const int MaxLength = 65_535;

    private const int MaxAnswers = 64;
    private const int MaxCertificates = 8;

    private byte[]? _verifiedWith;

    private OcspResponse(ReadOnlyMemory<byte> der) => Der = der;

    public ReadOnlyMemory<byte> Der { get; }

    /// <summary>The responder by name, or by the SHA-1 of its key.</summary>
    public X509Name? ResponderName { get; private set; }

    public ReadOnlyMemory<byte> ResponderKeyHash { get; private set; }

    public DateTimeOffset ProducedAt { get; private set; }

    public ImmutableArray<OcspAnswer> Answers { get; private set; } = [];

    /// <summary>Certificates that the responder added: of a delegated responder.</summary>
    public ImmutableArray<Certificate> Certificates { get; private set; } = [];

    /// <summary>Nonce as the extension holds it; empty when there is none.</summary>
    public ReadOnlyMemory<byte> Nonce { get; private set; }

    public SignatureScheme? Scheme { get; private set; }

    /// <summary>Somebody's key was found right for it.</summary>
    public bool IsVerified => _verifiedWith is not null;

    private ReadOnlyMemory<byte> Tbs { get; set; }

    private ReadOnlyMemory<byte> Signature { get; set; }

    /// <param name="der">OCSPResponse.</param>
    /// <param name="response">The response, when the responder answered.</param>
    /// <param name="error">Why there is none.</param>
    public static bool TryParse(ReadOnlyMemory<byte> der, out OcspResponse? response, out string error)
    {
        response = null;
        error = "it is no OCSP response";
        if (der.Length > MaxLength) return false;
        var outer = new DerReader(der);
        if (!outer.TryEnter(DerTag.Sequence, out var fields) || !outer.AtEnd || !fields.TryReadNumber(out var status, DerTag.Enumerated)) return false;
        if (status != 0)
        {
            error = status switch
            {
                1 => "the responder found our request malformed",
                2 => "the responder has an internal error",
                3 => "the responder asks to try later",
                5 => "the responder wants signed requests",
                6 => "the responder does not answer us (unauthorized)",
                _ => $"the responder answered with status {status}",
            };
            return false;
        }

        if (!fields.TryEnter(DerTag.ContextOf(0), out var wrapped) || !fields.AtEnd || !wrapped.TryEnter(DerTag.Sequence, out var typed) || !wrapped.AtEnd) return false;
        if (!typed.TryReadOid(out var type) || !type.Is(Oids.OcspBasic) || !typed.TryRead(DerTag.OctetString, out var basic) || !typed.AtEnd) return false;
        var read = new OcspResponse(der);
        if (!read.TryReadBasic(basic)) return false;
        (response, error) = (read, "");
        return true;
    }

    public bool IsSignedBy(PublicKey key)
    {
        if (_verifiedWith is not null && key.Spki.Span.SequenceEqual(_verifiedWith)) return true;
        if (Scheme is not { } scheme || !key.Verify(scheme, Tbs.Span, Signature.Span)) return false;
        _verifiedWith = key.Spki.ToArray();
        return true;
    }

    /// <summary>This certificate is the one that the response names as responder.</summary>
    public bool Names(Certificate responder) => ResponderName is not null
        ? ResponderName.Equals(responder.Subject)
        : SHA1.HashData(responder.KeyBits.Span).AsSpan().SequenceEqual(ResponderKeyHash.Span);

    public OcspAnswer? Find(Certificate certificate, Certificate issuer)
    {
        foreach (var answer in Answers)
        {
            if (answer.IsAbout(certificate, issuer)) return answer;
        }

        return null;
    }

    private bool TryReadBasic(ReadOnlyMemory<byte> basic)
    {
        var outer = new DerReader(basic);
        if (!outer.TryEnter(DerTag.Sequence, out var fields) || !outer.AtEnd) return false;
        if (!fields.TryReadEncoded(DerTag.Sequence, out var tbs) || !fields.TryReadEncoded(DerTag.Sequence, out var algorithm) || !fields.TryReadOctetBits(out var signature)) return false;
        (Tbs, Signature) = (tbs, signature);
        if (SignatureScheme.TryParse(algorithm.Span, out var scheme)) Scheme = scheme;
        if (fields.TryEnterOptional(DerTag.ContextOf(0), out var wrapped) && !TryReadCertificates(ref wrapped)) return false;
        return fields.AtEnd && TryReadData(tbs);
    }

    private bool TryReadCertificates(ref DerReader wrapped)
    {
        if (!wrapped.TryEnter(DerTag.Sequence, out var list) || !wrapped.AtEnd) return false;
        var found = ImmutableArray.CreateBuilder<Certificate>();
        while (list.HasMore)
        {
            if (!list.TryReadEncoded(DerTag.Sequence, out var der)) return false;
            if (found.Count < MaxCertificates && Certificate.TryParse(der, out var certificate, out _)) found.Add(certificate!);
        }

        Certificates = found.ToImmutable();
        return list.AtEnd;
    }

    private bool TryReadData(ReadOnlyMemory<byte> tbs)
    {
        var outer = new DerReader(tbs);
        if (!outer.TryEnter(DerTag.Sequence, out var fields)) return false;
        // version v1 is the default and nobody has made another
        if (fields.TryEnterOptional(DerTag.ContextOf(0), out var version) && (!version.TryReadNumber(out var number) || !version.AtEnd || number != 0)) return false;
        if (!TryReadResponder(ref fields) || !fields.TryReadTime(out var produced) || !fields.TryEnter(DerTag.Sequence, out var list)) return false;
        ProducedAt = produced;
        var found = ImmutableArray.CreateBuilder<OcspAnswer>();
        while (list.HasMore)
        {
            if (found.Count == MaxAnswers || !TryReadAnswer(ref list, out var answer)) return false;
            found.Add(answer!);
        }

        Answers = found.ToImmutable();
        if (fields.TryEnterOptional(DerTag.ContextOf(1), out var extensions) && !TryReadExtensions(ref extensions)) return false;
        return list.AtEnd && fields.AtEnd && outer.AtEnd;
    }

    private bool TryReadResponder(ref DerReader fields)
    {
        if (fields.TryEnterOptional(DerTag.ContextOf(1), out var named))
        {
            if (!named.TryReadEncoded(DerTag.Sequence, out var der) || !named.AtEnd || !X509Name.TryParse(der, out var name)) return false;
            ResponderName = name;
            return true;
        }

        if (!fields.TryEnter(DerTag.ContextOf(2), out var keyed) || !keyed.TryRead(DerTag.OctetString, out var hash)) return false;
        ResponderKeyHash = hash;
        return keyed.AtEnd;
    }

    private static bool TryReadAnswer(ref DerReader list, out OcspAnswer? answer)
    {
        answer = null;
        if (!list.TryEnter(DerTag.Sequence, out var fields) || !fields.TryEnter(DerTag.Sequence, out var id)) return false;
        if (!id.TryEnter(DerTag.Sequence, out var algorithm) || !algorithm.TryReadOid(out var hash)) return false;
        algorithm.TryReadOptional(DerTag.Null, out _);
        if (!algorithm.AtEnd || !id.TryRead(DerTag.OctetString, out var nameHash) || !id.TryRead(DerTag.OctetString, out var keyHash) || !id.TryReadInteger(out var serial) || !id.AtEnd) return false;
        if (!TryReadStatus(ref fields, out var status, out var revocation) || !fields.TryReadTime(out var thisUpdate)) return false;
        DateTimeOffset? nextUpdate = null;
        if (fields.TryEnterOptional(DerTag.ContextOf(0), out var until))
        {
            if (!until.TryReadTime(out var time) || !until.AtEnd) return false;
            nextUpdate = time;
        }

        var isUnknown = false;
        if (fields.TryEnterOptional(DerTag.ContextOf(1), out var wrapped))
        {
            if (!wrapped.TryEnter(DerTag.Sequence, out var extensions) || !wrapped.AtEnd) return false;
            while (extensions.HasMore)
            {
                if (!CertificateExtensions.TryReadOne(ref extensions, out _, out var isCritical, out _)) return false;
                isUnknown |= isCritical;
            }

            if (!extensions.AtEnd) return false;
        }

        // what is critical and not understood may change the meaning of "good"
        if (isUnknown && status == OcspStatus.Good) status = OcspStatus.Unknown;
        answer = new OcspAnswer(hash, nameHash, keyHash, serial, status, revocation, thisUpdate, nextUpdate);
        return fields.AtEnd;
    }

    private static bool TryReadStatus(ref DerReader fields, out OcspStatus status, out CrlEntry revocation)
    {
        (status, revocation) = (OcspStatus.Unknown, default);
        if (fields.TryReadOptional(DerTag.Context(0), out var nothing))
        {
            status = OcspStatus.Good;
            return nothing.IsEmpty;
        }

        if (!fields.TryEnterOptional(DerTag.ContextOf(1), out var revoked)) return fields.TryRead(DerTag.Context(2), out nothing) && nothing.IsEmpty;
        status = OcspStatus.Revoked;
        var reason = 0;
        if (!revoked.TryReadTime(out var since)) return false;
        if (revoked.TryEnterOptional(DerTag.ContextOf(0), out var why) && (!why.TryReadNumber(out reason, DerTag.Enumerated) || !why.AtEnd)) return false;
        revocation = new CrlEntry(reason, since);
        return revoked.AtEnd;
    }

    private bool TryReadExtensions(ref DerReader wrapped)
    {
        if (!wrapped.TryEnter(DerTag.Sequence, out var list) || !wrapped.AtEnd) return false;
        while (list.HasMore)
        {
            if (!CertificateExtensions.TryReadOne(ref list, out var oid, out var isCritical, out var value)) return false;
            if (oid.Is(Oids.OcspNonce)) Nonce = value;
            else if (isCritical) return false;
        }

        return list.AtEnd;
    }
}

/// <summary>An OCSP request (RFC 6960 section 4.1) about one certificate, with a nonce (RFC 8954). Its CertID is by SHA-1: the one that every responder knows; nothing depends on its strength.</summary>
internal static class OcspRequest
{
    public const int NonceLength = 32;

    public static byte[] Build(Certificate certificate, Certificate issuer, ReadOnlySpan<byte> nonce)
    {
        var writer = new AsnWriter(AsnEncodingRules.DER);
        using (writer.PushSequence())
        using (writer.PushSequence())
        {
            using (writer.PushSequence())
            using (writer.PushSequence())
            using (writer.PushSequence())
            {
                using (writer.PushSequence())
                {
                    writer.WriteObjectIdentifier("1.3.14.3.2.26");
                    writer.WriteNull();
                }

                writer.WriteOctetString(SHA1.HashData(certificate.Issuer.Der.Span));
                writer.WriteOctetString(SHA1.HashData(issuer.KeyBits.Span));
                writer.WriteInteger(certificate.Serial.Span);
            }

            if (!nonce.IsEmpty)
            {
                using (writer.PushSequence(new Asn1Tag(TagClass.ContextSpecific, 2)))
                using (writer.PushSequence())
                using (writer.PushSequence())
                {
                    writer.WriteObjectIdentifier("1.3.6.1.5.5.7.48.1.2");
                    writer.WriteOctetString(ExtensionOf(nonce));
                }
            }
        }

        return writer.Encode();
    }

    /// <summary>Many responders answer without a nonce (RFC 6960 section 4.4.1): that is no fault. Another one than was asked for is an old answer.</summary>
    public static bool IsAnsweredBy(OcspResponse response, ReadOnlySpan<byte> nonce) => response.Nonce.IsEmpty || response.Nonce.Span.SequenceEqual(ExtensionOf(nonce));

    /// <summary>Nonce ::= OCTET STRING.</summary>
    private static byte[] ExtensionOf(ReadOnlySpan<byte> nonce) => [DerTag.OctetString, (byte)nonce.Length, .. nonce];
}
