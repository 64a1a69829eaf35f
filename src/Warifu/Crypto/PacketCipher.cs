using System;
using System.Buffers.Binary;
using System.Security.Cryptography;
using Warifu.Primitives;

namespace Warifu.Crypto;

/// <summary>
/// Protects one packet that lies in one piece: header | IV | payload | ICV. The header is authenticated only. Used for ESP (header = SPI and sequence number) and for SK payloads
/// (header = IKE header and payload head). Keys are copied in and zeroed on Dispose. Nothing is allocated per packet. Not thread-safe: one instance per direction.
/// </summary>
internal abstract class PacketCipher : IDisposable
{
    public int IvLength { get; protected init; }

    /// <summary>The payload's length is a multiple of this.</summary>
    public int BlockLength { get; protected init; } = 1;

    public int IcvLength { get; protected init; }

    /// <summary>Writes the IV, encrypts the payload in place and writes the ICV.</summary>
    /// <param name="packet">All of it, ICV included.</param>
    /// <param name="headerLength">Octets before the IV.</param>
    /// <param name="counter">Never the same twice under one key: it makes the IV.</param>
    /// <param name="sequenceHigh">For ESP with ESN: the upper half of the sequence number, authenticated but not sent.</param>
    public abstract void Seal(Span<byte> packet, int headerLength, ulong counter, uint? sequenceHigh = null);

    /// <summary>Checks the ICV, and only then decrypts the payload in place. False when the packet is not authentic or too short.</summary>
    public abstract bool Open(Span<byte> packet, int headerLength, uint? sequenceHigh = null);

    public abstract void Dispose();

    /// <summary>Makes a cipher for a negotiated pair of transforms.</summary>
    /// <param name="encr">Encryption transform.</param>
    /// <param name="keyBits">Its Key Length attribute, 0 when it has none.</param>
    /// <param name="integ">Integrity transform; None with AEAD.</param>
    /// <param name="encrKey">Key and salt as the key schedule gives them.</param>
    /// <param name="integKey">Empty with AEAD.</param>
    /// <param name="entropy">Seeds the IVs of CBC modes.</param>
    /// <param name="best">For tests that compare providers.</param>
    public static PacketCipher Create(EncrId encr, int keyBits, IntegId integ, ReadOnlySpan<byte> encrKey, ReadOnlySpan<byte> integKey, IEntropy entropy, Provider best = Provider.Processor)
    {
        var info = Algorithms.Encr[encr];
        if (!info.Accepts(keyBits) || encrKey.Length != info.KeyMaterialLength(keyBits)) throw new ArgumentException($"{info.Name} does not take a key of {encrKey.Length} octets");
        if (info.IsAead) return new AeadPacketCipher(info, encrKey, best);
        var mac = Algorithms.Integ[integ];
        if (integKey.Length != mac.KeyLength) throw new ArgumentException($"{mac.Name} does not take a key of {integKey.Length} octets");
        return new EncryptThenMacCipher(info, mac, encrKey, integKey, entropy, best);
    }
}

/// <summary>AEAD: AES-GCM (RFC 4106), AES-CCM (RFC 4309), ChaCha20-Poly1305 (RFC 7634), AES-GMAC (RFC 4543); in IKE RFC 5282.</summary>
internal sealed class AeadPacketCipher : PacketCipher
{
    private readonly BlockCipherContext _seal;
    private readonly BlockCipherContext _open;
    private readonly byte[] _nonce;
    private readonly int _saltLength;
    private readonly bool _authenticateOnly;

    public AeadPacketCipher(EncrInfo info, ReadOnlySpan<byte> keyMaterial, Provider best)
    {
        IvLength = info.IvLength;
        IcvLength = info.IcvLength;
        _saltLength = info.SaltLength;
        _authenticateOnly = info.Id == EncrId.NullAesGmac;
        _nonce = GC.AllocateArray<byte>(_saltLength + IvLength, pinned: true);
        keyMaterial[^_saltLength..].CopyTo(_nonce);
        var key = keyMaterial[..^_saltLength];
        _seal = BlockCipherContext.Aead(info.Id, key, _nonce.Length, IcvLength, encrypt: true, best);
        _open = _seal is ProcessorAesGcm ? _seal : BlockCipherContext.Aead(info.Id, key, _nonce.Length, IcvLength, encrypt: false, best);
    }

    public override void Seal(Span<byte> packet, int headerLength, ulong counter, uint? sequenceHigh = null)
    {
        var iv = packet.Slice(headerLength, IvLength);
        BinaryPrimitives.WriteUInt64BigEndian(iv, counter);
        iv.CopyTo(_nonce.AsSpan(_saltLength));
        Span<byte> extended = stackalloc byte[12];
        var aad = AdditionalData(packet, headerLength, sequenceHigh, extended);
        // RFC 4543 section 3.5: all of the ESP payload is additional data, the IV at its head included
        if (_authenticateOnly) _seal.SealAead(_nonce, aad, packet[headerLength..^IcvLength], default, packet[^IcvLength..]);
        else _seal.SealAead(_nonce, aad, default, packet[(headerLength + IvLength)..^IcvLength], packet[^IcvLength..]);
    }

    public override bool Open(Span<byte> packet, int headerLength, uint? sequenceHigh = null)
    {
        if (packet.Length < headerLength + IvLength + IcvLength) return false;
        packet.Slice(headerLength, IvLength).CopyTo(_nonce.AsSpan(_saltLength));
        Span<byte> extended = stackalloc byte[12];
        var aad = AdditionalData(packet, headerLength, sequenceHigh, extended);
        return _authenticateOnly
            ? _open.OpenAead(_nonce, aad, packet[headerLength..^IcvLength], default, packet[^IcvLength..])
            : _open.OpenAead(_nonce, aad, default, packet[(headerLength + IvLength)..^IcvLength], packet[^IcvLength..]);
    }

    public override void Dispose()
    {
        _seal.Dispose();
        _open.Dispose();
        CryptographicOperations.ZeroMemory(_nonce);
    }

    /// <summary>The header; with ESN the upper half goes between SPI and sequence number (RFC 4106 section 5).</summary>
    private static ReadOnlySpan<byte> AdditionalData(ReadOnlySpan<byte> packet, int headerLength, uint? sequenceHigh, Span<byte> extended)
    {
        if (sequenceHigh is not { } high) return packet[..headerLength];
        packet[..4].CopyTo(extended);
        BinaryPrimitives.WriteUInt32BigEndian(extended[4..], high);
        packet.Slice(4, 4).CopyTo(extended[8..]);
        return extended;
    }
}

/// <summary>Encryption, then a MAC over header, IV and ciphertext (RFC 4303 section 3.3.2, RFC 7296 section 3.14).</summary>
internal sealed class EncryptThenMacCipher : PacketCipher
{
    private readonly BlockCipherContext? _encrypt;
    private readonly BlockCipherContext? _decrypt;
    private readonly KeyedHash _mac;
    private readonly byte[] _iv;
    private readonly int _saltLength;
    private readonly BlockCipherContext? _ivMaker;

    public EncryptThenMacCipher(EncrInfo info, IntegInfo mac, ReadOnlySpan<byte> keyMaterial, ReadOnlySpan<byte> integKey, IEntropy entropy, Provider best)
    {
        IvLength = info.IvLength;
        BlockLength = info.BlockLength;
        IcvLength = mac.IcvLength;
        _saltLength = info.SaltLength;
        _mac = KeyedHash.Create(mac.Mac, integKey, best);
        _iv = GC.AllocateArray<byte>(16, pinned: true);
        if (info.Id == EncrId.Null) return;
        var key = keyMaterial[..^_saltLength];
        _encrypt = BlockCipherContext.Plain(info.Id, key, encrypt: true, best);
        _decrypt = BlockCipherContext.Plain(info.Id, key, encrypt: false, best);
        if (info.Id == EncrId.AesCtr)
        {
            // RFC 3686 section 4: nonce | IV | block counter, which starts at one
            keyMaterial[^_saltLength..].CopyTo(_iv);
            _iv[15] = 1;
            return;
        }

        // CBC IVs must not be predictable (RFC 3602 section 3): a counter encrypted under a random key of its own is as good as random
        Span<byte> ivKey = stackalloc byte[16];
        entropy.Fill(ivKey);
        _ivMaker = BlockCipherContext.Plain(EncrId.AesCbc, ivKey, encrypt: true, best);
        CryptographicOperations.ZeroMemory(ivKey);
    }

    public override void Seal(Span<byte> packet, int headerLength, ulong counter, uint? sequenceHigh = null)
    {
        var iv = packet.Slice(headerLength, IvLength);
        if (_encrypt is not null)
        {
            var payload = packet[(headerLength + IvLength)..^IcvLength];
            if (_ivMaker is not null)
            {
                Span<byte> block = stackalloc byte[32];
                block.Clear();
                BinaryPrimitives.WriteUInt64BigEndian(block, counter);
                _ivMaker.Transform(block[16..], block[..16]);
                block[..IvLength].CopyTo(iv);
                _encrypt.Transform(iv, payload);
            }
            else
            {
                BinaryPrimitives.WriteUInt64BigEndian(iv, counter);
                iv.CopyTo(_iv.AsSpan(_saltLength));
                _encrypt.Transform(_iv, payload);
            }
        }

        Compute(packet[..^IcvLength], sequenceHigh, packet[^IcvLength..]);
    }

    public override bool Open(Span<byte> packet, int headerLength, uint? sequenceHigh = null)
    {
        var length = packet.Length - headerLength - IvLength - IcvLength;
        if (length < 0 || length % BlockLength != 0) return false;
        Span<byte> icv = stackalloc byte[IcvLength];
        Compute(packet[..^IcvLength], sequenceHigh, icv);
        if (!CryptographicOperations.FixedTimeEquals(icv, packet[^IcvLength..])) return false;
        if (_decrypt is null) return true;
        var iv = packet.Slice(headerLength, IvLength);
        var payload = packet[(headerLength + IvLength)..^IcvLength];
        if (_ivMaker is not null)
        {
            _decrypt.Transform(iv, payload);
        }
        else
        {
            iv.CopyTo(_iv.AsSpan(_saltLength));
            _decrypt.Transform(_iv, payload);
        }

        return true;
    }

    public override void Dispose()
    {
        _encrypt?.Dispose();
        _decrypt?.Dispose();
        _ivMaker?.Dispose();
        _mac.Dispose();
        CryptographicOperations.ZeroMemory(_iv);
    }

    private void Compute(ReadOnlySpan<byte> covered, uint? sequenceHigh, Span<byte> icv)
    {
        _mac.Append(covered);
        if (sequenceHigh is { } high)
        {
            // RFC 4303 section 2.2.1: the upper half is authenticated behind the packet
            Span<byte> octets = stackalloc byte[4];
            BinaryPrimitives.WriteUInt32BigEndian(octets, high);
            _mac.Append(octets);
        }

        _mac.Finish(icv);
    }
}
