using System;
using System.Buffers.Binary;
using System.Security.Cryptography;
using Warifu.Primitives;

namespace Warifu.Crypto;

/// <summary>Keys of an ISAKMP SA (RFC 2409 section 5 and appendix B).</summary>
internal sealed class IsakmpKeys : IDisposable
{
    /// <summary>HMAC of the negotiated hash: there is no other PRF in IKEv1.</summary>
    public required PrfId Prf { get; init; }

    public required Secret Skeyid { get; init; }

    public required Secret SkeyidD { get; init; }

    public required Secret SkeyidA { get; init; }

    /// <summary>SKEYID_e as long as the cipher wants it.</summary>
    public required Secret Encr { get; init; }

    public void Dispose()
    {
        foreach (var secret in new[] { Skeyid, SkeyidD, SkeyidA, Encr }) secret.Dispose();
    }
}

/// <summary>Key derivation and hashes of IKEv1 (RFC 2409 sections 5, 5.5 and appendix B).</summary>
internal static class KeyScheduleV1
{
    private const int LongestHash = 64;

    /// <summary>SKEYID with a pre-shared key: prf(pre-shared-key, Ni_b | Nr_b).</summary>
    public static Secret SkeyidOfPsk(PrfId prf, Secret psk, ReadOnlySpan<byte> nonces) => One(prf, psk.Span, nonces, default, default);

    /// <summary>SKEYID with signatures: prf(Ni_b | Nr_b, g^xy).</summary>
    public static Secret SkeyidOfSignature(PrfId prf, ReadOnlySpan<byte> nonces, Secret shared) => One(prf, nonces, shared.Span, default, default);

    /// <summary>SKEYID_d, SKEYID_a and SKEYID_e.</summary>
    /// <param name="prf">HMAC of the negotiated hash.</param>
    /// <param name="skeyid">Becomes part of the keys.</param>
    /// <param name="shared">g^xy, as long as the prime.</param>
    /// <param name="cookies">CKY-I | CKY-R.</param>
    /// <param name="encr">Cipher.</param>
    /// <param name="keyBits">Its key length attribute.</param>
    /// <returns>Null when the key of the cipher would be one that it must not have: everything is disposed then.</returns>
    public static IsakmpKeys? Derive(PrfId prf, Secret skeyid, Secret shared, ReadOnlySpan<byte> cookies, EncrId encr, int keyBits)
    {
        var d = Link(prf, skeyid, null, shared, cookies, 0);
        var a = Link(prf, skeyid, d, shared, cookies, 1);
        using var e = Link(prf, skeyid, a, shared, cookies, 2);
        if (CipherKey(prf, e, encr, keyBits) is { } key) return new IsakmpKeys { Prf = prf, Skeyid = skeyid, SkeyidD = d, SkeyidA = a, Encr = key };
        foreach (var secret in new[] { skeyid, d, a }) secret.Dispose();
        return null;
    }

    /// <summary>The key of the cipher out of SKEYID_e. DES takes the first eight octets that are no weak key (appendix B); with 3DES there is no other choice.</summary>
    public static Secret? CipherKey(PrfId prf, Secret e, EncrId encr, int keyBits)
    {
        var length = Algorithms.Encr[encr].KeyMaterialLength(keyBits);
        if (encr == EncrId.Des)
        {
            for (var at = 0; at + length <= e.Length; at += length)
            {
                if (!WeakKeys.IsWeak(encr, e.Span.Slice(at, length))) return new Secret(e.Span.Slice(at, length));
            }

            return null;
        }

        var key = Expand(prf, e, length);
        if (!WeakKeys.IsWeak(encr, key.Span)) return key;
        key.Dispose();
        return null;
    }

    /// <summary>HASH_I or HASH_R: prf(SKEYID, g^xi | g^xr | CKY-I | CKY-R | SAi_b | IDii_b), with the own values of whoever sends it first.</summary>
    /// <param name="prf">HMAC of the negotiated hash, or of the curve's with ECDSA (RFC 4754 section 4), or SHA-1 with DSS (RFC 2409 section 5.1).</param>
    /// <param name="skeyid">SKEYID.</param>
    /// <param name="own">KE of the sender.</param>
    /// <param name="other">KE of the receiver.</param>
    /// <param name="ownCookie">Cookie of the sender.</param>
    /// <param name="otherCookie">Cookie of the receiver.</param>
    /// <param name="sa">SA as the initiator sent it, without its generic header; the same for both.</param>
    /// <param name="id">ID of the sender, without its generic header.</param>
    public static byte[] Proof(PrfId prf, Secret skeyid, ReadOnlySpan<byte> own, ReadOnlySpan<byte> other, IkeSpi ownCookie, IkeSpi otherCookie, ReadOnlySpan<byte> sa, ReadOnlySpan<byte> id)
    {
        Span<byte> cookies = stackalloc byte[16];
        BinaryPrimitives.WriteUInt64BigEndian(cookies, ownCookie.Value);
        BinaryPrimitives.WriteUInt64BigEndian(cookies[8..], otherCookie.Value);
        var info = Algorithms.Prf[prf];
        using var mac = KeyedHash.CreatePrf(info.Mac, skeyid.Span);
        mac.Append(own);
        mac.Append(other);
        mac.Append(cookies);
        mac.Append(sa);
        mac.Append(id);
        var result = new byte[info.OutputLength];
        mac.Finish(result);
        return result;
    }

    /// <summary>HASH(1): prf(SKEYID_a, M-ID | rest), and HASH(2): prf(SKEYID_a, M-ID | Ni_b | rest).</summary>
    /// <param name="keys">Of the ISAKMP SA.</param>
    /// <param name="messageId">M-ID.</param>
    /// <param name="nonce">Ni_b in the second message of quick mode, else empty.</param>
    /// <param name="rest">All payloads behind HASH, with their generic headers, without padding.</param>
    /// <param name="output">As long as the hash.</param>
    public static void Hash(IsakmpKeys keys, uint messageId, ReadOnlySpan<byte> nonce, ReadOnlySpan<byte> rest, Span<byte> output)
    {
        Span<byte> id = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(id, messageId);
        using var mac = KeyedHash.CreatePrf(Algorithms.Prf[keys.Prf].Mac, keys.SkeyidA.Span);
        mac.Append(id);
        mac.Append(nonce);
        mac.Append(rest);
        mac.Finish(output);
    }

    /// <summary>HASH(3): prf(SKEYID_a, 0 | M-ID | Ni_b | Nr_b).</summary>
    public static void Hash3(IsakmpKeys keys, uint messageId, ReadOnlySpan<byte> ni, ReadOnlySpan<byte> nr, Span<byte> output)
    {
        Span<byte> head = stackalloc byte[5];
        head[0] = 0;
        BinaryPrimitives.WriteUInt32BigEndian(head[1..], messageId);
        using var mac = KeyedHash.CreatePrf(Algorithms.Prf[keys.Prf].Mac, keys.SkeyidA.Span);
        mac.Append(head);
        mac.Append(ni);
        mac.Append(nr);
        mac.Finish(output);
    }

    /// <summary>KEYMAT = prf(SKEYID_d, [g(qm)^xy |] protocol | SPI | Ni_b | Nr_b), as long as it must be (section 5.5).</summary>
    /// <param name="keys">Of the ISAKMP SA.</param>
    /// <param name="shared">With PFS.</param>
    /// <param name="protocol">ESP or AH.</param>
    /// <param name="spi">Of whoever receives with these keys.</param>
    /// <param name="ni">Nonce of the initiator of quick mode.</param>
    /// <param name="nr">Nonce of the responder.</param>
    /// <param name="length">Octets.</param>
    public static Secret Keymat(IsakmpKeys keys, Secret? shared, ProtocolId protocol, ChildSpi spi, ReadOnlySpan<byte> ni, ReadOnlySpan<byte> nr, int length)
    {
        Span<byte> head = stackalloc byte[5];
        head[0] = (byte)protocol;
        BinaryPrimitives.WriteUInt32BigEndian(head[1..], spi.Value);
        var info = Algorithms.Prf[keys.Prf];
        using var mac = KeyedHash.CreatePrf(info.Mac, keys.SkeyidD.Span);
        var result = new Secret(length);
        Span<byte> block = stackalloc byte[LongestHash];
        block = block[..info.OutputLength];
        var output = result.Span;
        for (var i = 0; !output.IsEmpty; i++)
        {
            if (i > 0) mac.Append(block);
            if (shared is not null) mac.Append(shared.Span);
            mac.Append(head);
            mac.Append(ni);
            mac.Append(nr);
            mac.Finish(block);
            var take = Math.Min(block.Length, output.Length);
            block[..take].CopyTo(output);
            output = output[take..];
        }

        CryptographicOperations.ZeroMemory(block);
        return result;
    }

    /// <summary>Encryption key before integrity key, one KEYMAT for each direction. AH has no encryption key.</summary>
    public static ChildKeys DeriveChild(IsakmpKeys keys, Secret? shared, ProtocolId protocol, ChildSpi initiatorSpi, ChildSpi responderSpi, ReadOnlySpan<byte> ni, ReadOnlySpan<byte> nr, int encrLength, int integLength)
    {
        // the SPI is that of the receiver: with the responder's SPI the initiator sends
        using var toResponder = Keymat(keys, shared, protocol, responderSpi, ni, nr, encrLength + integLength);
        using var toInitiator = Keymat(keys, shared, protocol, initiatorSpi, ni, nr, encrLength + integLength);
        return new ChildKeys(new Secret(toResponder.Span[..encrLength]), new Secret(toResponder.Span[encrLength..]), new Secret(toInitiator.Span[..encrLength]), new Secret(toInitiator.Span[encrLength..]));
    }

    /// <summary>The negotiated hash itself: of IVs and NAT-D.</summary>
    public static byte[] Digest(PrfId prf, params ReadOnlySpan<byte[]> parts)
    {
        using var hash = IncrementalHash.CreateHash(NameOf(prf));
        foreach (var part in parts) hash.AppendData(part);
        return hash.GetHashAndReset();
    }

    /// <summary>IV of phase 1: hash(g^xi | g^xr), as much as a block (appendix B).</summary>
    public static byte[] FirstIv(PrfId prf, byte[] initiator, byte[] responder, int blockLength) => Digest(prf, initiator, responder)[..blockLength];

    /// <summary>IV of the first message of another exchange: hash(last block of phase 1 | M-ID).</summary>
    public static byte[] ExchangeIv(PrfId prf, byte[] lastBlock, uint messageId)
    {
        var id = new byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(id, messageId);
        return Digest(prf, lastBlock, id)[..lastBlock.Length];
    }

    /// <summary>prf(SKEYID, [before |] g^xy | CKY-I | CKY-R | n).</summary>
    private static Secret Link(PrfId prf, Secret skeyid, Secret? before, Secret shared, ReadOnlySpan<byte> cookies, byte number)
    {
        var info = Algorithms.Prf[prf];
        using var mac = KeyedHash.CreatePrf(info.Mac, skeyid.Span);
        if (before is not null) mac.Append(before.Span);
        mac.Append(shared.Span);
        mac.Append(cookies);
        mac.Append([number]);
        var result = new Secret(info.OutputLength);
        mac.Finish(result.Span);
        return result;
    }

    /// <summary>SKEYID_e itself when it is long enough, else K1 | K2 | …, K1 = prf(SKEYID_e, 0), Kn = prf(SKEYID_e, K(n-1)) (appendix B).</summary>
    private static Secret Expand(PrfId prf, Secret e, int length)
    {
        if (e.Length >= length) return new Secret(e.Span[..length]);
        var result = new Secret(length);
        var output = result.Span;
        var block = One(prf, e.Span, [0], default, default);
        while (true)
        {
            var take = Math.Min(block.Length, output.Length);
            block.Span[..take].CopyTo(output);
            output = output[take..];
            if (output.IsEmpty) break;
            var next = One(prf, e.Span, block.Span, default, default);
            block.Dispose();
            block = next;
        }

        block.Dispose();
        return result;
    }

    private static Secret One(PrfId prf, ReadOnlySpan<byte> key, ReadOnlySpan<byte> first, ReadOnlySpan<byte> second, ReadOnlySpan<byte> third)
    {
        var info = Algorithms.Prf[prf];
        using var mac = KeyedHash.CreatePrf(info.Mac, key);
        mac.Append(first);
        mac.Append(second);
        mac.Append(third);
        var result = new Secret(info.OutputLength);
        mac.Finish(result.Span);
        return result;
    }

    private static HashAlgorithmName NameOf(PrfId prf) => prf switch
    {
        PrfId.HmacMd5 => HashAlgorithmName.MD5,
        PrfId.HmacSha1 => HashAlgorithmName.SHA1,
        PrfId.HmacSha256 => HashAlgorithmName.SHA256,
        PrfId.HmacSha384 => HashAlgorithmName.SHA384,
        PrfId.HmacSha512 => HashAlgorithmName.SHA512,
        _ => throw new ArgumentOutOfRangeException(nameof(prf)),
    };
}
