using System;
using System.Buffers.Binary;
using System.Security.Cryptography;
using Warifu.Primitives;

namespace Warifu.Crypto;

/// <summary>Keys of an IKE SA (RFC 7296 section 2.14); SK_e carries the salt behind the key. Empty SK_a with AEAD.</summary>
internal sealed class IkeKeys : IDisposable
{
    public required PrfId Prf { get; init; }

    public required Secret SkD { get; init; }

    public required Secret SkAi { get; init; }

    public required Secret SkAr { get; init; }

    public required Secret SkEi { get; init; }

    public required Secret SkEr { get; init; }

    public required Secret SkPi { get; init; }

    public required Secret SkPr { get; init; }

    public void Dispose()
    {
        foreach (var secret in new[] { SkD, SkAi, SkAr, SkEi, SkEr, SkPi, SkPr }) secret.Dispose();
    }
}

/// <summary>Keys of a pair of IPsec SAs by direction (RFC 7296 section 2.17).</summary>
internal readonly record struct ChildKeys(Secret InitiatorEncr, Secret InitiatorInteg, Secret ResponderEncr, Secret ResponderInteg);

/// <summary>Key derivation of IKEv2 (RFC 7296 sections 2.13 to 2.18).</summary>
internal static class KeyScheduleV2
{
    private static ReadOnlySpan<byte> KeyPad => "Key Pad for IKEv2"u8;

    /// <summary>SKEYSEED of a first IKE SA: prf(Ni | Nr, g^ir).</summary>
    public static Secret SkeySeed(PrfId id, ReadOnlySpan<byte> ni, ReadOnlySpan<byte> nr, Secret shared)
    {
        var info = Algorithms.Prf[id];
        // PRFs with a fixed key take the first 64 bits of each nonce (section 2.14)
        byte[] key = info.FixedKey ? [.. ni[..8], .. nr[..8]] : [.. ni, .. nr];
        return One(info, key, shared.Span, default, default);
    }

    /// <summary>SKEYSEED of a rekeyed IKE SA: prf(SK_d (old), g^ir | Ni | Nr), with the PRF of the old SA (section 2.18).</summary>
    public static Secret SkeySeedRekey(PrfId oldPrf, Secret oldSkD, ReadOnlySpan<byte> ni, ReadOnlySpan<byte> nr, Secret shared) => One(Algorithms.Prf[oldPrf], oldSkD.Span, shared.Span, ni, nr);

    /// <summary>{SK_d | SK_ai | SK_ar | SK_ei | SK_er | SK_pi | SK_pr} = prf+ (SKEYSEED, Ni | Nr | SPIi | SPIr).</summary>
    public static IkeKeys Derive(PrfId id, EncrId encr, int keyBits, IntegId integ, Secret skeySeed, ReadOnlySpan<byte> ni, ReadOnlySpan<byte> nr, IkeSpi spiI, IkeSpi spiR)
    {
        var prf = Algorithms.Prf[id];
        var encrLength = Algorithms.Encr[encr].KeyMaterialLength(keyBits);
        var integLength = Algorithms.Encr[encr].IsAead ? 0 : Algorithms.Integ[integ].KeyLength;
        Span<byte> spis = stackalloc byte[16];
        BinaryPrimitives.WriteUInt64BigEndian(spis, spiI.Value);
        BinaryPrimitives.WriteUInt64BigEndian(spis[8..], spiR.Value);
        using var stream = new Secret((3 * prf.KeyLength) + (2 * encrLength) + (2 * integLength));
        Plus(prf, skeySeed.Span, [.. ni, .. nr, .. spis], stream.Span);
        var rest = (ReadOnlySpan<byte>)stream.Span;
        return new IkeKeys
        {
            Prf = id,
            SkD = Cut(ref rest, prf.KeyLength),
            SkAi = Cut(ref rest, integLength),
            SkAr = Cut(ref rest, integLength),
            SkEi = Cut(ref rest, encrLength),
            SkEr = Cut(ref rest, encrLength),
            SkPi = Cut(ref rest, prf.KeyLength),
            SkPr = Cut(ref rest, prf.KeyLength),
        };
    }

    /// <summary>KEYMAT = prf+ (SK_d, [g^ir |] Ni | Nr): initiator to responder first, encryption before integrity (section 2.17).</summary>
    public static ChildKeys DeriveChild(PrfId id, Secret skD, Secret? shared, ReadOnlySpan<byte> ni, ReadOnlySpan<byte> nr, EncrId encr, int keyBits, IntegId integ)
    {
        // AH has no cipher
        var encrLength = encr == EncrId.None ? 0 : Algorithms.Encr[encr].KeyMaterialLength(keyBits);
        var integLength = encr != EncrId.None && Algorithms.Encr[encr].IsAead ? 0 : Algorithms.KeyLength(integ);
        using var stream = new Secret(2 * (encrLength + integLength));
        using var seed = new Secret((shared?.Length ?? 0) + ni.Length + nr.Length);
        shared?.Span.CopyTo(seed.Span);
        ni.CopyTo(seed.Span[(shared?.Length ?? 0)..]);
        nr.CopyTo(seed.Span[^nr.Length..]);
        Plus(Algorithms.Prf[id], skD.Span, seed.Span, stream.Span);
        var rest = (ReadOnlySpan<byte>)stream.Span;
        return new ChildKeys(Cut(ref rest, encrLength), Cut(ref rest, integLength), Cut(ref rest, encrLength), Cut(ref rest, integLength));
    }

    /// <summary>What a side signs (section 2.15): its first message | the other's nonce | prf(SK_p, its ID payload without the generic header).</summary>
    public static byte[] SignedOctets(PrfId id, ReadOnlySpan<byte> firstMessage, ReadOnlySpan<byte> otherNonce, Secret skP, ReadOnlySpan<byte> idPayload)
    {
        using var maced = One(Algorithms.Prf[id], skP.Span, idPayload, default, default);
        return [.. firstMessage, .. otherNonce, .. maced.Span];
    }

    /// <summary>AUTH = prf(prf(secret, "Key Pad for IKEv2"), signed octets) (section 2.15).</summary>
    public static Secret SharedKeyAuth(PrfId id, Secret secret, ReadOnlySpan<byte> signedOctets)
    {
        var prf = Algorithms.Prf[id];
        using var padded = One(prf, secret.Span, KeyPad, default, default);
        return One(prf, padded.Span, signedOctets, default, default);
    }

    /// <summary>prf+ (PPK, SK'), as long as SK' (RFC 8784 section 3).</summary>
    public static Secret MixPpk(PrfId id, Secret ppk, Secret key)
    {
        var mixed = new Secret(key.Length);
        Plus(Algorithms.Prf[id], ppk.Span, key.Span, mixed.Span);
        return mixed;
    }

    /// <summary>prf+ (section 2.13): T1 | T2 | …, T(n) = prf(K, T(n-1) | S | n).</summary>
    public static void Plus(PrfInfo info, ReadOnlySpan<byte> key, ReadOnlySpan<byte> seed, Span<byte> output)
    {
        using var prf = KeyedHash.CreatePrf(info.Mac, key);
        Span<byte> block = stackalloc byte[64];
        block = block[..info.OutputLength];
        Span<byte> counter = stackalloc byte[1];
        for (var i = 1; !output.IsEmpty; i++)
        {
            if (i > 255) throw new CryptographicException("prf+ gives at most 255 blocks");
            if (i > 1) prf.Append(block);
            prf.Append(seed);
            counter[0] = (byte)i;
            prf.Append(counter);
            prf.Finish(block);
            var take = Math.Min(block.Length, output.Length);
            block[..take].CopyTo(output);
            output = output[take..];
        }

        CryptographicOperations.ZeroMemory(block);
    }

    private static Secret One(PrfInfo info, ReadOnlySpan<byte> key, ReadOnlySpan<byte> first, ReadOnlySpan<byte> second, ReadOnlySpan<byte> third)
    {
        using var prf = KeyedHash.CreatePrf(info.Mac, key);
        prf.Append(first);
        prf.Append(second);
        prf.Append(third);
        var result = new Secret(info.OutputLength);
        prf.Finish(result.Span);
        return result;
    }

    private static Secret Cut(ref ReadOnlySpan<byte> stream, int length)
    {
        var cut = new Secret(stream[..length]);
        stream = stream[length..];
        return cut;
    }
}
