using System;
using System.Buffers.Binary;
using System.Security.Cryptography;
using Warifu.Primitives;

namespace Warifu.Crypto;

/// <summary>
/// The ICV of one packet that lies in one piece, with the ICV's field inside (AH, RFC 4302 section 3.3.3). The key is copied in and zeroed on Dispose. Nothing is allocated per packet. Not thread-safe: one
/// instance per direction.
/// </summary>
internal abstract class PacketMac : IDisposable
{
    /// <summary>Octets of the field.</summary>
    public int FieldLength { get; protected init; }

    /// <summary>Computes the ICV and writes it.</summary>
    /// <param name="packet">All that is covered, mutable fields as the receiver will see them, the field zero.</param>
    /// <param name="at">Where the field is.</param>
    /// <param name="counter">Never the same twice under one key.</param>
    /// <param name="sequenceHigh">With ESN: the upper half of the sequence number, which stands behind the packet for the computation.</param>
    public abstract void Seal(Span<byte> packet, int at, ulong counter, uint? sequenceHigh);

    /// <summary>False when the ICV is wrong. The field is zero afterwards.</summary>
    public abstract bool Open(Span<byte> packet, int at, uint? sequenceHigh);

    public abstract void Dispose();

    /// <param name="integ">Integrity transform.</param>
    /// <param name="key">As long as <see cref="Algorithms.KeyLength"/> says; with AES-GMAC the salt behind it.</param>
    /// <param name="best">For tests that compare providers.</param>
    public static PacketMac Create(IntegId integ, ReadOnlySpan<byte> key, Provider best = Provider.Processor)
    {
        if (key.Length != Algorithms.KeyLength(integ)) throw new ArgumentException($"{integ} does not take a key of {key.Length} octets");
        return Algorithms.Gmac.ContainsKey(integ) ? new GmacPacketMac(key, best) : new HashPacketMac(Algorithms.Integ[integ], key, best);
    }

    /// <summary>The upper half as it stands behind the packet; nothing without ESN.</summary>
    protected static ReadOnlySpan<byte> Behind(uint? sequenceHigh, Span<byte> four)
    {
        if (sequenceHigh is not { } high) return default;
        BinaryPrimitives.WriteUInt32BigEndian(four, high);
        return four;
    }
}

/// <summary>HMAC, AES-XCBC-MAC and AES-CMAC: none of them needs implicit padding (RFC 4302 section 3.3.3.2.2; RFC 2403, 2404, 4868, 3566, 4494).</summary>
internal sealed class HashPacketMac : PacketMac
{
    private readonly KeyedHash _mac;

    public HashPacketMac(IntegInfo info, ReadOnlySpan<byte> key, Provider best)
    {
        FieldLength = info.IcvLength;
        _mac = KeyedHash.Create(info.Mac, key, best);
    }

    public override void Seal(Span<byte> packet, int at, ulong counter, uint? sequenceHigh) => Compute(packet, sequenceHigh, packet.Slice(at, FieldLength));

    public override bool Open(Span<byte> packet, int at, uint? sequenceHigh)
    {
        Span<byte> given = stackalloc byte[FieldLength];
        Span<byte> right = stackalloc byte[FieldLength];
        var field = packet.Slice(at, FieldLength);
        field.CopyTo(given);
        field.Clear();
        Compute(packet, sequenceHigh, right);
        return CryptographicOperations.FixedTimeEquals(given, right);
    }

    public override void Dispose() => _mac.Dispose();

    private void Compute(ReadOnlySpan<byte> packet, uint? sequenceHigh, Span<byte> icv)
    {
        Span<byte> four = stackalloc byte[4];
        _mac.Append(packet);
        _mac.Append(Behind(sequenceHigh, four));
        _mac.Finish(icv);
    }
}

/// <summary>
/// AES-GMAC (RFC 4543 section 4): the field is IV | tag. What "the ICV set to zero" means there: the tag, which that document calls the ICV; the IV before it stays, as it does in ESP (section 3.5).
/// </summary>
internal sealed class GmacPacketMac : PacketMac
{
    private readonly BlockCipherContext _seal;
    private readonly BlockCipherContext _open;
    private readonly byte[] _nonce = GC.AllocateArray<byte>(GmacInfo.SaltLength + GmacInfo.IvLength, pinned: true);

    public GmacPacketMac(ReadOnlySpan<byte> key, Provider best)
    {
        FieldLength = GmacInfo.IvLength + GmacInfo.TagLength;
        key[^GmacInfo.SaltLength..].CopyTo(_nonce);
        key = key[..^GmacInfo.SaltLength];
        _seal = BlockCipherContext.Aead(EncrId.NullAesGmac, key, _nonce.Length, GmacInfo.TagLength, encrypt: true, best);
        _open = _seal is ProcessorAesGcm ? _seal : BlockCipherContext.Aead(EncrId.NullAesGmac, key, _nonce.Length, GmacInfo.TagLength, encrypt: false, best);
    }

    public override void Seal(Span<byte> packet, int at, ulong counter, uint? sequenceHigh)
    {
        Span<byte> four = stackalloc byte[4];
        Span<byte> tag = stackalloc byte[GmacInfo.TagLength];
        var iv = packet.Slice(at, GmacInfo.IvLength);
        BinaryPrimitives.WriteUInt64BigEndian(iv, counter);
        iv.CopyTo(_nonce.AsSpan(GmacInfo.SaltLength));
        _seal.SealAead(_nonce, packet, Behind(sequenceHigh, four), default, tag);
        tag.CopyTo(packet[(at + GmacInfo.IvLength)..]);
    }

    public override bool Open(Span<byte> packet, int at, uint? sequenceHigh)
    {
        Span<byte> four = stackalloc byte[4];
        Span<byte> given = stackalloc byte[GmacInfo.TagLength];
        packet.Slice(at, GmacInfo.IvLength).CopyTo(_nonce.AsSpan(GmacInfo.SaltLength));
        var tag = packet.Slice(at + GmacInfo.IvLength, GmacInfo.TagLength);
        tag.CopyTo(given);
        tag.Clear();
        var authentic = _open.OpenAead(_nonce, packet, Behind(sequenceHigh, four), default, given);
        packet.Slice(at, GmacInfo.IvLength).Clear();
        return authentic;
    }

    public override void Dispose()
    {
        _seal.Dispose();
        _open.Dispose();
        CryptographicOperations.ZeroMemory(_nonce);
    }
}
