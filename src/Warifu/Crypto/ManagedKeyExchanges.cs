using System;
using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;
using Org.BouncyCastle.Asn1.X9;
using Org.BouncyCastle.Crypto.EC;
using Org.BouncyCastle.Math.EC.Rfc7748;
using Warifu.Primitives;
using BigInteger = Org.BouncyCastle.Math.BigInteger;
using ECCurveTable = Org.BouncyCastle.Asn1.X9.ECNamedCurveTable;

namespace Warifu.Crypto;

/// <summary>MODP where there is no OpenSSL 3: correct, slow, and not in constant time.</summary>
internal sealed class ManagedModp : KeyExchange
{
    private readonly BigInteger _prime;
    private readonly BigInteger? _order;
    private readonly BigInteger _private;

    public ManagedModp(KeInfo info, IEntropy entropy) : base(info)
    {
        var group = ModpGroup.Of(info.Id);
        _prime = new BigInteger(1, group.Prime);
        _order = group.SubgroupOrder is { } order ? new BigInteger(1, order) : null;
        var exponent = new byte[info.ExponentBits / 8];
        DrawExponent(entropy, group.SubgroupOrder, exponent);
        _private = new BigInteger(1, exponent);
        CryptographicOperations.ZeroMemory(exponent);
        PublicValue = new byte[info.PublicLength];
        Write(new BigInteger(1, group.Generator).ModPow(_private, _prime), PublicValue);
    }

    public override bool TryDerive(ReadOnlySpan<byte> peer, [NotNullWhen(true)] out Secret? shared)
    {
        shared = null;
        if (peer.Length != Info.PublicLength) return false;
        var y = new BigInteger(1, peer.ToArray());
        if (y.CompareTo(BigInteger.One) <= 0 || y.CompareTo(_prime.Subtract(BigInteger.One)) >= 0) return false;
        if (_order is not null && !y.ModPow(_order, _prime).Equals(BigInteger.One)) return false;
        shared = new Secret(Info.SharedLength);
        Write(y.ModPow(_private, _prime), shared.Span);
        return true;
    }

    public override void Dispose()
    {
    }

    private static void Write(BigInteger value, Span<byte> output)
    {
        var octets = value.ToByteArrayUnsigned();
        output.Clear();
        octets.CopyTo(output[(output.Length - octets.Length)..]);
    }
}

/// <summary>Weierstrass curves where there is no OpenSSL 3.</summary>
internal sealed class ManagedEcp : KeyExchange
{
    private readonly X9ECParameters _curve;
    private readonly BigInteger _private;

    public ManagedEcp(KeInfo info, IEntropy entropy) : base(info)
    {
        // the names under which BouncyCastle has the fast field arithmetic
        var name = info.Id switch { KeId.Ecp192 => "secp192r1", KeId.Ecp256 => "secp256r1", _ => info.Curve };
        _curve = CustomNamedCurves.GetByName(name) ?? ECCurveTable.GetByName(name) ?? throw new CryptographicException("no curve " + name);
        var order = _curve.N.ToByteArrayUnsigned();
        var scalar = new byte[order.Length];
        DrawScalar(entropy, order, scalar);
        _private = new BigInteger(1, scalar);
        CryptographicOperations.ZeroMemory(scalar);
        PublicValue = _curve.G.Multiply(_private).Normalize().GetEncoded(false)[1..];
    }

    public override bool TryDerive(ReadOnlySpan<byte> peer, [NotNullWhen(true)] out Secret? shared)
    {
        shared = null;
        if (peer.Length != Info.PublicLength) return false;
        try
        {
            // throws for coordinates that are out of range; validity means on the curve
            var half = peer.Length / 2;
            var point = _curve.Curve.CreatePoint(new BigInteger(1, peer[..half].ToArray()), new BigInteger(1, peer[half..].ToArray()));
            if (!point.IsValid()) return false;
            var product = point.Multiply(_private).Normalize();
            if (product.IsInfinity) return false;
            shared = new Secret(product.AffineXCoord.GetEncoded());
            return true;
        }
        catch (ArgumentException)
        {
            return false;
        }
    }

    public override void Dispose()
    {
    }
}

/// <summary>X25519 and X448 where there is no OpenSSL 3.</summary>
internal sealed class ManagedMontgomery : KeyExchange
{
    private readonly Secret _private;

    public ManagedMontgomery(KeInfo info, IEntropy entropy) : base(info)
    {
        _private = new Secret(info.PublicLength);
        entropy.Fill(_private.Span);
        PublicValue = new byte[info.PublicLength];
        if (info.Id == KeId.Curve25519) X25519.ScalarMultBase(_private.Span, PublicValue);
        else X448.ScalarMultBase(_private.Span, PublicValue);
    }

    public override bool TryDerive(ReadOnlySpan<byte> peer, [NotNullWhen(true)] out Secret? shared)
    {
        shared = null;
        if (peer.Length != Info.PublicLength) return false;
        var result = new Secret(Info.SharedLength);
        if (Info.Id == KeId.Curve25519) X25519.ScalarMult(_private.Span, peer, result.Span);
        else X448.ScalarMult(_private.Span, peer, result.Span);
        if (IsZero(result.Span))
        {
            result.Dispose();
            return false;
        }

        shared = result;
        return true;
    }

    public override void Dispose() => _private.Dispose();
}
