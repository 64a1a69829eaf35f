using System;
using System.Collections.Concurrent;
using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;
using Warifu.Primitives;

namespace Warifu.Crypto.Native;

/// <summary>MODP groups by modular exponentiation in constant time. The full validation of OpenSSL's DH (y^q, a second exponentiation of full size) is not needed for safe primes (RFC 6989 section 2.1).</summary>
internal sealed unsafe class NativeModp : KeyExchange
{
    private const int ConstantTime = 0x04;
    private static readonly ConcurrentDictionary<KeId, Group> s_groups = new();

    private readonly Group _group;
    private nint _private;

    public NativeModp(KeInfo info, IEntropy entropy) : base(info)
    {
        _group = s_groups.GetOrAdd(info.Id, static id => new Group(ModpGroup.Of(id)));
        Span<byte> exponent = stackalloc byte[info.ExponentBits / 8];
        DrawExponent(entropy, _group.Order, exponent);
        _private = Group.Number(exponent);
        CryptographicOperations.ZeroMemory(exponent);
        Libcrypto.BN_set_flags(_private, ConstantTime);
        PublicValue = new byte[info.PublicLength];
        Power(_group.Generator, _private, PublicValue);
    }

    ~NativeModp() => Dispose();

    public override bool TryDerive(ReadOnlySpan<byte> peer, [NotNullWhen(true)] out Secret? shared)
    {
        shared = null;
        ObjectDisposedException.ThrowIf(_private == 0, this);
        if (peer.Length != Info.PublicLength) return false;
        var y = Group.Number(peer);
        try
        {
            // 1 < y < p-1: the small subgroup of a safe prime is {1, p-1}
            if (Libcrypto.BN_num_bits(y) <= 1 || Libcrypto.BN_cmp(y, _group.PrimeLessOne) >= 0) return false;
            if (_group.OrderNumber != 0 && !IsInSubgroup(y)) return false;
            shared = new Secret(Info.SharedLength);
            Power(y, _private, shared.Span);
            return true;
        }
        finally
        {
            Libcrypto.BN_clear_free(y);
        }
    }

    public override void Dispose()
    {
        if (_private != 0) Libcrypto.BN_clear_free(_private);
        _private = 0;
        GC.SuppressFinalize(this);
    }

    private bool IsInSubgroup(nint y)
    {
        var power = new byte[Info.PublicLength];
        Power(y, _group.OrderNumber, power);
        return power[^1] == 1 && power.AsSpan(0, power.Length - 1).IndexOfAnyExcept((byte)0) < 0;
    }

    private void Power(nint value, nint exponent, Span<byte> output)
    {
        var context = Libcrypto.BN_CTX_new();
        var result = Libcrypto.BN_new();
        var ok = Libcrypto.BN_mod_exp_mont_consttime(result, value, exponent, _group.Prime, context, _group.Montgomery) == 1;
        fixed (byte* pointer = output) ok = ok && Libcrypto.BN_bn2binpad(result, pointer, output.Length) == output.Length;
        Libcrypto.BN_clear_free(result);
        Libcrypto.BN_CTX_free(context);
        if (!ok) throw new CryptographicException("BN_mod_exp_mont_consttime");
    }

    /// <summary>Numbers of a group, made once and kept for the life of the process.</summary>
    private sealed class Group
    {
        public Group(ModpGroup group)
        {
            Prime = Number(group.Prime);
            Generator = Number(group.Generator);
            Order = group.SubgroupOrder;
            OrderNumber = Order is null ? 0 : Number(Order);
            // primes are odd: p-1 only clears the last bit
            var lessOne = (byte[])group.Prime.Clone();
            lessOne[^1]--;
            PrimeLessOne = Number(lessOne);
            Montgomery = Libcrypto.BN_MONT_CTX_new();
            var context = Libcrypto.BN_CTX_new();
            if (Libcrypto.BN_MONT_CTX_set(Montgomery, Prime, context) != 1) throw new CryptographicException("BN_MONT_CTX_set");
            Libcrypto.BN_CTX_free(context);
        }

        public nint Prime { get; }

        public nint PrimeLessOne { get; }

        public nint Generator { get; }

        public byte[]? Order { get; }

        public nint OrderNumber { get; }

        public nint Montgomery { get; }

        public static nint Number(ReadOnlySpan<byte> octets)
        {
            fixed (byte* pointer = octets) return Libcrypto.BN_bin2bn(pointer, octets.Length, 0);
        }
    }
}

/// <summary>Curves in Weierstrass form: NIST (RFC 5903, RFC 6989) and Brainpool (RFC 6954). KE is x | y, g^ir is x.</summary>
internal sealed unsafe class NativeEcp : KeyExchange
{
    private const int Uncompressed = 4;
    private static readonly ConcurrentDictionary<string, (nint Group, byte[] Order)> s_curves = new();

    private readonly nint _group;
    private nint _private;

    /// <summary>False where libcrypto was built without the curve.</summary>
    public static bool Has(KeInfo info) => s_curves.GetOrAdd(info.Curve, Load).Group != 0;

    public NativeEcp(KeInfo info, IEntropy entropy) : base(info)
    {
        (_group, var order) = s_curves.GetOrAdd(info.Curve, Load);
        Span<byte> scalar = stackalloc byte[order.Length];
        DrawScalar(entropy, order, scalar);
        fixed (byte* pointer = scalar) _private = Libcrypto.BN_bin2bn(pointer, scalar.Length, 0);
        CryptographicOperations.ZeroMemory(scalar);
        var point = Libcrypto.EC_POINT_new(_group);
        PublicValue = new byte[info.PublicLength];
        var ok = Libcrypto.EC_POINT_mul(_group, point, _private, 0, 0, 0) == 1 && TryWrite(point, PublicValue);
        Libcrypto.EC_POINT_clear_free(point);
        if (!ok) throw new CryptographicException("EC_POINT_mul");
    }

    ~NativeEcp() => Dispose();

    public override bool TryDerive(ReadOnlySpan<byte> peer, [NotNullWhen(true)] out Secret? shared)
    {
        shared = null;
        ObjectDisposedException.ThrowIf(_private == 0, this);
        if (peer.Length != Info.PublicLength) return false;
        Span<byte> octets = stackalloc byte[1 + Info.PublicLength];
        octets[0] = Uncompressed;
        peer.CopyTo(octets[1..]);
        var point = Libcrypto.EC_POINT_new(_group);
        var product = Libcrypto.EC_POINT_new(_group);
        try
        {
            // invalid-curve attack: oct2point refuses coordinates that are out of range or not on the curve
            fixed (byte* pointer = octets)
            {
                if (Libcrypto.EC_POINT_oct2point(_group, point, pointer, (nuint)octets.Length, 0) != 1) return false;
            }

            if (Libcrypto.EC_POINT_mul(_group, product, 0, point, _private, 0) != 1 || Libcrypto.EC_POINT_is_at_infinity(_group, product) != 0) return false;
            Span<byte> both = stackalloc byte[Info.PublicLength];
            if (!TryWrite(product, both)) return false;
            shared = new Secret(both[..Info.SharedLength]);
            CryptographicOperations.ZeroMemory(both);
            return true;
        }
        finally
        {
            Libcrypto.EC_POINT_clear_free(point);
            Libcrypto.EC_POINT_clear_free(product);
        }
    }

    public override void Dispose()
    {
        if (_private != 0) Libcrypto.BN_clear_free(_private);
        _private = 0;
        GC.SuppressFinalize(this);
    }

    private static (nint Group, byte[] Order) Load(string curve)
    {
        var group = Libcrypto.EC_GROUP_new_by_curve_name(Libcrypto.OBJ_txt2nid(curve));
        if (group == 0) return (0, []);
        var number = Libcrypto.EC_GROUP_get0_order(group);
        var order = new byte[(Libcrypto.BN_num_bits(number) + 7) / 8];
        fixed (byte* pointer = order) Libcrypto.Check(Libcrypto.BN_bn2binpad(number, pointer, order.Length));
        return (group, order);
    }

    private bool TryWrite(nint point, Span<byte> output)
    {
        Span<byte> octets = stackalloc byte[1 + output.Length];
        fixed (byte* pointer = octets)
        {
            if (Libcrypto.EC_POINT_point2oct(_group, point, Uncompressed, pointer, (nuint)octets.Length, 0) != (nuint)octets.Length) return false;
        }

        octets[1..].CopyTo(output);
        CryptographicOperations.ZeroMemory(octets);
        return true;
    }
}

/// <summary>X25519 and X448 (RFC 7748, RFC 8031).</summary>
internal sealed unsafe class NativeMontgomery : KeyExchange
{
    private readonly int _type;
    private nint _key;

    public NativeMontgomery(KeInfo info, IEntropy entropy) : base(info)
    {
        _type = info.Id == KeId.Curve25519 ? 1034 : 1035;
        Span<byte> scalar = stackalloc byte[info.PublicLength];
        entropy.Fill(scalar);
        fixed (byte* pointer = scalar) _key = Libcrypto.EVP_PKEY_new_raw_private_key(_type, 0, pointer, (nuint)scalar.Length);
        CryptographicOperations.ZeroMemory(scalar);
        PublicValue = new byte[info.PublicLength];
        var length = (nuint)PublicValue.Length;
        fixed (byte* pointer = PublicValue)
        {
            if (_key == 0 || Libcrypto.EVP_PKEY_get_raw_public_key(_key, pointer, ref length) != 1) throw new CryptographicException(info.Name);
        }
    }

    ~NativeMontgomery() => Dispose();

    public override bool TryDerive(ReadOnlySpan<byte> peer, [NotNullWhen(true)] out Secret? shared)
    {
        shared = null;
        ObjectDisposedException.ThrowIf(_key == 0, this);
        if (peer.Length != Info.PublicLength) return false;
        nint other;
        fixed (byte* pointer = peer) other = Libcrypto.EVP_PKEY_new_raw_public_key(_type, 0, pointer, (nuint)peer.Length);
        var context = Libcrypto.EVP_PKEY_CTX_new(_key, 0);
        var result = new Secret(Info.SharedLength);
        var length = (nuint)result.Length;
        bool ok;
        fixed (byte* pointer = result.Span)
        {
            ok = other != 0 && Libcrypto.EVP_PKEY_derive_init(context) == 1 && Libcrypto.EVP_PKEY_derive_set_peer(context, other) == 1 && Libcrypto.EVP_PKEY_derive(context, pointer, ref length) == 1;
        }

        Libcrypto.EVP_PKEY_CTX_free(context);
        if (other != 0) Libcrypto.EVP_PKEY_free(other);
        // a value of small order gives all zeros (RFC 7748 section 6.1)
        if (!ok || IsZero(result.Span))
        {
            result.Dispose();
            return false;
        }

        shared = result;
        return true;
    }

    public override void Dispose()
    {
        if (_key != 0) Libcrypto.EVP_PKEY_free(_key);
        _key = 0;
        GC.SuppressFinalize(this);
    }
}
