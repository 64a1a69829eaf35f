using System;
using System.Security.Cryptography;
using Org.BouncyCastle.Crypto;
using Org.BouncyCastle.Crypto.Digests;
using Org.BouncyCastle.Crypto.Macs;
using Org.BouncyCastle.Crypto.Parameters;

namespace Warifu.Crypto;

/// <summary>HMAC where there is no OpenSSL 3.</summary>
internal sealed class ManagedHmac : KeyedHash
{
    private readonly HMac _hmac;

    public ManagedHmac(MacKind kind, ReadOnlySpan<byte> key)
    {
        OutputLength = LengthOf(kind);
        IDigest digest = kind switch { MacKind.HmacMd5 => new MD5Digest(), MacKind.HmacSha1 => new Sha1Digest(), MacKind.HmacSha256 => new Sha256Digest(), MacKind.HmacSha384 => new Sha384Digest(), _ => new Sha512Digest() };
        _hmac = new HMac(digest);
        _hmac.Init(new KeyParameter(key));
    }

    public override int OutputLength { get; }

    public override void Append(ReadOnlySpan<byte> data) => _hmac.BlockUpdate(data);

    public override void Finish(Span<byte> output)
    {
        Span<byte> full = stackalloc byte[64];
        _hmac.DoFinal(full);
        full[..output.Length].CopyTo(output);
        CryptographicOperations.ZeroMemory(full);
    }

    /// <summary>Overwrites the key in what BouncyCastle keeps of it.</summary>
    public override void Dispose() => _hmac.Init(new KeyParameter(new byte[1]));
}
