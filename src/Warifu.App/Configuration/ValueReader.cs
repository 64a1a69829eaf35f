using System;
using System.Buffers;
using System.Buffers.Text;
using System.Collections.Generic;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Linq;
using System.Security.Cryptography;
using System.Text;

namespace Warifu.App.Configuration;

/// <summary>The forms of values. Each method says what is wrong and what would be right.</summary>
internal static class ValueReader
{
    public static bool TryYesNo(string text, out bool value)
    {
        value = text.ToLowerInvariant() is "1" or "yes" or "true" or "enabled";
        return value || text.ToLowerInvariant() is "0" or "no" or "false" or "disabled";
    }

    public static bool TryTime(string text, out TimeSpan value)
    {
        value = default;
        if (!TryScaled(text, [('s', 1), ('m', 60), ('h', 3600), ('d', 86400)], out var seconds) || seconds > 10L * 366 * 86400) return false;
        value = TimeSpan.FromSeconds(seconds);
        return true;
    }

    public static bool TrySize(string text, out long value) => TryScaled(text, [('k', 1L << 10), ('m', 1L << 20), ('g', 1L << 30)], out value);

    /// <summary>Decimal, 0x hexadecimal, or octal with a leading 0.</summary>
    public static bool TryNumber(string text, out long value)
    {
        if (text.StartsWith("0x", StringComparison.OrdinalIgnoreCase)) return long.TryParse(text.AsSpan(2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out value) && value >= 0;
        if (text.Length <= 1 || text[0] != '0') return long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out value);
        value = 0;
        foreach (var digit in text)
        {
            if (digit is < '0' or > '7' || value > long.MaxValue >> 3) return false;
            value = (value << 3) | (uint)(digit - '0');
        }

        return true;
    }

    public static IEnumerable<string> Items(ConfigSetting setting) =>
        (setting.Values.Count == 1 ? Encoding.UTF8.GetString(setting.Values[0]).Split(',') : setting.Values.Select(Encoding.UTF8.GetString)).Select(item => item.Trim()).Where(item => item.Length > 0);

    /// <summary>A secret: <c>0x</c> hexadecimal, <c>0s</c> base64, else the octets themselves.</summary>
    public static bool TrySecret(ReadOnlySpan<byte> value, [NotNullWhen(true)] out byte[]? secret, out bool isKey, [NotNullWhen(false)] out string? error)
    {
        (secret, isKey, error) = (null, false, null);
        if (value.StartsWith("0x"u8))
        {
            isKey = true;
            var digits = value[2..];
            var octets = GC.AllocateArray<byte>((digits.Length + 1) / 2, pinned: true);
            // an odd number of digits has a zero in front
            var shift = digits.Length & 1;
            for (var i = 0; i < digits.Length; i++)
            {
                var digit = Nibble(digits[i]);
                if (digit < 0)
                {
                    CryptographicOperations.ZeroMemory(octets);
                    error = "a value that begins with 0x may hold hexadecimal digits only";
                    return false;
                }

                octets[(i + shift) / 2] |= (byte)(((i + shift) & 1) == 0 ? digit << 4 : digit);
            }

            secret = octets;
            return true;
        }

        if (value.StartsWith("0s"u8))
        {
            isKey = true;
            // in place; padding may be left out
            var text = value[2..].TrimEnd((byte)'=');
            var octets = GC.AllocateArray<byte>((text.Length + 3) / 4 * 4, pinned: true);
            octets.AsSpan().Fill((byte)'=');
            text.CopyTo(octets);
            var status = Base64.DecodeFromUtf8InPlace(octets, out var written);
            if (status == OperationStatus.Done) secret = Copy(octets.AsSpan(0, written));
            else error = "a value that begins with 0s must be base64";
            CryptographicOperations.ZeroMemory(octets);
            return error is null;
        }

        secret = Copy(value);
        return true;
    }

    private static byte[] Copy(ReadOnlySpan<byte> value)
    {
        var copy = GC.AllocateUninitializedArray<byte>(value.Length, pinned: true);
        value.CopyTo(copy);
        return copy;
    }

    private static int Nibble(byte digit) => digit switch
    {
        >= (byte)'0' and <= (byte)'9' => digit - '0',
        >= (byte)'a' and <= (byte)'f' => digit - 'a' + 10,
        >= (byte)'A' and <= (byte)'F' => digit - 'A' + 10,
        _ => -1,
    };

    private static bool TryScaled(string text, (char Suffix, long Factor)[] units, out long value)
    {
        value = 0;
        if (text.Length == 0) return false;
        var factor = 1L;
        foreach (var (suffix, by) in units)
        {
            if (char.ToLowerInvariant(text[^1]) != suffix) continue;
            factor = by;
            text = text[..^1].TrimEnd();
            break;
        }

        if (!long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) || number > long.MaxValue / factor) return false;
        value = number * factor;
        return true;
    }
}
