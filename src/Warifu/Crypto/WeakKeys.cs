using System;
using Warifu.Primitives;

namespace Warifu.Crypto;

/// <summary>Keys that a cipher must not have. The lowest bit of each octet is DES's parity, which the cipher does not look at.</summary>
internal static class WeakKeys
{
    private const int DesLength = 8;

    /// <summary>Weak and semi-weak keys of DES (RFC 2409 appendix A).</summary>
    private static readonly ulong[] s_des =
    [
        0x0101_0101_0101_0101, 0x1F1F_1F1F_E0E0_E0E0, 0xE0E0_E0E0_1F1F_1F1F, 0xFEFE_FEFE_FEFE_FEFE,
        0x01FE_01FE_01FE_01FE, 0x1FE0_1FE0_0EF1_0EF1, 0x01E0_01E0_01F1_01F1, 0x1FFE_1FFE_0EFE_0EFE, 0x011F_011F_010E_010E, 0xE0FE_E0FE_F1FE_F1FE,
        0xFE01_FE01_FE01_FE01, 0xE01F_E01F_F10E_F10E, 0xE001_E001_F101_F101, 0xFE1F_FE1F_FE0E_FE0E, 0x1F01_1F01_0E01_0E01, 0xFEE0_FEE0_FEF1_FEF1,
    ];

    public static bool IsWeak(EncrId encr, ReadOnlySpan<byte> key) => encr switch
    {
        EncrId.Des => IsWeakDes(key),
        // it would be simple DES (RFC 2451 section 2.3)
        EncrId.TripleDes => AreSame(key[..DesLength], key[DesLength..(2 * DesLength)]) || AreSame(key[DesLength..(2 * DesLength)], key[(2 * DesLength)..]),
        _ => false,
    };

    private static bool IsWeakDes(ReadOnlySpan<byte> key)
    {
        var found = false;
        Span<byte> weak = stackalloc byte[DesLength];
        foreach (var one in s_des)
        {
            System.Buffers.Binary.BinaryPrimitives.WriteUInt64BigEndian(weak, one);
            found |= AreSame(key, weak);
        }

        return found;
    }

    private static bool AreSame(ReadOnlySpan<byte> left, ReadOnlySpan<byte> right)
    {
        var different = 0;
        for (var i = 0; i < DesLength; i++) different |= (left[i] ^ right[i]) & 0xFE;
        return different == 0;
    }
}
