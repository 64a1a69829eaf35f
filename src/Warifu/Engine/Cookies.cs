using System;
using System.Buffers.Binary;
using System.Security.Cryptography;
using Warifu.Crypto;
using Warifu.Primitives;

namespace Warifu.Engine;

/// <summary>Stateless cookies (RFC 7296 section 2.6): version | MAC(Ni | IPi | SPIi) under a secret that the host rotates. The previous secret stays good.</summary>
internal sealed class Cookies : IDisposable
{
    public const int Length = 17;

    private readonly Secret?[] _secrets = new Secret?[256];
    private byte _current;
    private byte _previous;

    public Cookies(IEntropy entropy)
    {
        var first = new Secret(32);
        entropy.Fill(first.Span);
        _secrets[0] = first;
    }

    public void Rotate(byte version, Secret secret)
    {
        if (version == _current)
        {
            _secrets[version]?.Dispose();
            _secrets[version] = secret.Clone();
            return;
        }

        if (_previous != _current)
        {
            _secrets[_previous]?.Dispose();
            _secrets[_previous] = null;
        }

        _secrets[version]?.Dispose();
        (_previous, _current) = (_current, version);
        _secrets[version] = secret.Clone();
    }

    public byte[] Make(ReadOnlySpan<byte> nonce, IpAddress source, IkeSpi initiator)
    {
        var cookie = new byte[Length];
        cookie[0] = _current;
        Compute(_secrets[_current]!, nonce, source, initiator, cookie.AsSpan(1));
        return cookie;
    }

    public bool Check(ReadOnlySpan<byte> cookie, ReadOnlySpan<byte> nonce, IpAddress source, IkeSpi initiator)
    {
        if (cookie.Length != Length || _secrets[cookie[0]] is not { } secret) return false;
        Span<byte> expected = stackalloc byte[Length - 1];
        Compute(secret, nonce, source, initiator, expected);
        return CryptographicOperations.FixedTimeEquals(expected, cookie[1..]);
    }

    public void Dispose()
    {
        foreach (var secret in _secrets) secret?.Dispose();
    }

    private static void Compute(Secret secret, ReadOnlySpan<byte> nonce, IpAddress source, IkeSpi initiator, Span<byte> output)
    {
        using var mac = KeyedHash.Create(MacKind.HmacSha256, secret.Span);
        Span<byte> rest = stackalloc byte[24];
        source.Write(rest);
        BinaryPrimitives.WriteUInt64BigEndian(rest[source.Length..], initiator.Value);
        mac.Append(nonce);
        mac.Append(rest[..(source.Length + 8)]);
        mac.Finish(output);
    }
}
