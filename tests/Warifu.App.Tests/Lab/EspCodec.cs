using System;
using System.Buffers.Binary;
using System.Linq;
using Org.BouncyCastle.Crypto;
using Org.BouncyCastle.Crypto.Digests;
using Org.BouncyCastle.Crypto.Engines;
using Org.BouncyCastle.Crypto.Macs;
using Org.BouncyCastle.Crypto.Modes;
using Org.BouncyCastle.Crypto.Parameters;
using Org.BouncyCastle.Security;

namespace Warifu.App.Tests.Lab;

/// <summary>
/// ESP (RFC 4303) once more, slow and simple, from BouncyCastle's parts and with arrays only: a second opinion on the product's. It takes the kernel's names of algorithms.
/// </summary>
internal sealed class EspCodec
{
    private const int Head = 8;
    private readonly uint _spi;
    private readonly bool _esn;
    private readonly string _cipher;
    private readonly byte[] _key;
    private readonly byte[] _salt;
    private readonly int _ivLength;
    private readonly int _block;
    private readonly int _icvLength;
    private readonly bool _aead;
    private readonly Func<IMac>? _mac;
    private readonly byte[] _macKey;
    private ulong _sent;

    public EspCodec(ShimLine sa)
    {
        // some names have two spellings
        (_spi, _esn, _cipher) = (sa.Spi, sa.Esn, sa.Cipher switch { "aes" => "cbc(aes)", "des3_ede" => "cbc(des3_ede)", "camellia" => "cbc(camellia)", "cipher_null" => "ecb(cipher_null)", _ => sa.Cipher });
        _macKey = Convert.FromHexString(sa.MacKey);
        // a MAC without a length is cut as the kernel does by default
        _icvLength = sa.IcvBits > 0 ? sa.IcvBits / 8 : sa.Mac switch { "hmac(sha384)" => 24, "hmac(sha512)" => 32, _ => 12 };
        var (salt, iv, block) = _cipher switch
        {
            "rfc4106(gcm(aes))" or "rfc4543(gcm(aes))" or "rfc7539esp(chacha20,poly1305)" => (4, 8, 1),
            "rfc4309(ccm(aes))" => (3, 8, 1),
            "rfc3686(ctr(aes))" => (4, 8, 1),
            "cbc(aes)" or "cbc(camellia)" => (0, 16, 16),
            "cbc(des3_ede)" => (0, 8, 8),
            "ecb(cipher_null)" => (0, 0, 1),
            _ => throw new NotSupportedException(sa.Cipher),
        };
        var key = Convert.FromHexString(sa.CipherKey);
        (_key, _salt, _ivLength, _block) = (key[..^salt], key[^salt..], iv, block);
        _aead = sa.Mac.Length == 0;
        _mac = sa.Mac switch
        {
            "" => null,
            "hmac(md5)" or "md5" => () => new HMac(new MD5Digest()),
            "hmac(sha1)" or "sha1" => () => new HMac(new Sha1Digest()),
            "hmac(sha256)" or "sha256" => () => new HMac(new Sha256Digest()),
            "hmac(sha384)" => () => new HMac(new Sha384Digest()),
            "hmac(sha512)" => () => new HMac(new Sha512Digest()),
            "cmac(aes)" => () => new CMac(new AesEngine(), 128),
            _ => throw new NotSupportedException(sa.Mac),
        };
    }

    public int IvLength => _ivLength;

    /// <summary>SPI to ICV.</summary>
    public byte[] Seal(byte[] payload, byte nextHeader)
    {
        var sequence = ++_sent;
        var padding = (Math.Max(4, _block) - ((payload.Length + 2) % Math.Max(4, _block))) % Math.Max(4, _block);
        byte[] plain = [.. payload, .. Enumerable.Range(1, padding).Select(i => (byte)i), (byte)padding, nextHeader];
        var head = new byte[Head];
        BinaryPrimitives.WriteUInt32BigEndian(head, _spi);
        BinaryPrimitives.WriteUInt32BigEndian(head.AsSpan(4), (uint)sequence);
        var iv = new byte[_ivLength];
        if (_block > 1) new SecureRandom().NextBytes(iv);
        else if (_ivLength > 0) BinaryPrimitives.WriteUInt64BigEndian(iv, sequence);
        if (_aead) return [.. head, .. iv, .. Aead(true, plain, head, iv, (uint)(sequence >> 32))];
        byte[] covered = [.. head, .. iv, .. Plain(true, plain, iv)];
        return [.. covered, .. Icv(covered, (uint)(sequence >> 32))];
    }

    /// <summary>The plaintext: payload, padding, pad length and next header; null when the ICV is wrong.</summary>
    public byte[]? Open(byte[] esp, uint sequenceHigh)
    {
        if (esp.Length < Head + _ivLength + _icvLength + 2) return null;
        byte[] head = esp[..Head], iv = esp[Head..(Head + _ivLength)], body = esp[(Head + _ivLength)..];
        if (_aead)
        {
            try
            {
                return Aead(false, body, head, iv, sequenceHigh);
            }
            catch (InvalidCipherTextException)
            {
                return null;
            }
        }

        if (!Icv([.. esp.SkipLast(_icvLength)], sequenceHigh).SequenceEqual(esp.TakeLast(_icvLength))) return null;
        return Plain(false, [.. body.SkipLast(_icvLength)], iv);
    }

    private byte[] Icv(byte[] covered, uint sequenceHigh)
    {
        var mac = _mac!();
        mac.Init(new KeyParameter(_macKey));
        mac.BlockUpdate(covered, 0, covered.Length);
        if (_esn) mac.BlockUpdate(High(sequenceHigh), 0, 4);
        var full = new byte[mac.GetMacSize()];
        mac.DoFinal(full, 0);
        return full[.._icvLength];
    }

    private byte[] Plain(bool seal, byte[] data, byte[] iv)
    {
        if (_key.Length == 0) return data;
        IBlockCipherMode cipher = _cipher switch
        {
            "cbc(des3_ede)" => new CbcBlockCipher(new DesEdeEngine()),
            "cbc(camellia)" => new CbcBlockCipher(new CamelliaEngine()),
            "rfc3686(ctr(aes))" => new SicBlockCipher(new AesEngine()),
            _ => new CbcBlockCipher(new AesEngine()),
        };
        var start = _salt.Length > 0 ? [.. _salt, .. iv, 0, 0, 0, 1] : iv;
        var buffered = new BufferedBlockCipher(cipher);
        buffered.Init(seal, new ParametersWithIV(new KeyParameter(_key), start));
        return buffered.DoFinal(data);
    }

    private byte[] Aead(bool seal, byte[] data, byte[] head, byte[] iv, uint sequenceHigh)
    {
        byte[] additional = _esn ? [.. head[..4], .. High(sequenceHigh), .. head[4..]] : head;
        byte[] nonce = [.. _salt, .. iv];
        if (_cipher.StartsWith("rfc4543", StringComparison.Ordinal)) return Gmac(seal, data, [.. additional, .. iv], nonce);
        IAeadCipher cipher = _cipher.StartsWith("rfc7539", StringComparison.Ordinal) ? new ChaCha20Poly1305() : _cipher.StartsWith("rfc4309", StringComparison.Ordinal) ? new CcmBlockCipher(new AesEngine()) : new GcmBlockCipher(new AesEngine());
        return Run(cipher, seal, data, additional, nonce);
    }

    /// <summary>RFC 4543: everything is additional data, and as Linux has it the IV too.</summary>
    private byte[] Gmac(bool seal, byte[] data, byte[] additional, byte[] nonce)
    {
        if (seal) return [.. data, .. Run(new GcmBlockCipher(new AesEngine()), true, [], [.. additional, .. data], nonce)];
        var plain = data[..^_icvLength];
        _ = Run(new GcmBlockCipher(new AesEngine()), false, data[^_icvLength..], [.. additional, .. plain], nonce);
        return plain;
    }

    private byte[] Run(IAeadCipher cipher, bool seal, byte[] data, byte[] additional, byte[] nonce)
    {
        cipher.Init(seal, new AeadParameters(new KeyParameter(_key), _icvLength * 8, nonce, additional));
        var output = new byte[cipher.GetOutputSize(data.Length)];
        var n = cipher.ProcessBytes(data, 0, data.Length, output, 0);
        n += cipher.DoFinal(output, n);
        return output[..n];
    }

    private static byte[] High(uint sequenceHigh)
    {
        var octets = new byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(octets, sequenceHigh);
        return octets;
    }
}
