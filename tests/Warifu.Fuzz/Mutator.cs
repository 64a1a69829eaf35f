using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using Warifu.Simulation;

namespace Warifu.Fuzz;

/// <summary>Changes octets the way parsers break: flips, edge values in length fields, pieces cut out, doubled or mixed.</summary>
internal sealed class Mutator(SeededEntropy luck)
{
    private static readonly ushort[] s_edges = [0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 27, 28, 31, 32, 127, 128, 255, 256, 4095, 32_767, 32_768, 65_534, 65_535];

    public byte[] Mutate(ReadOnlySpan<byte> input)
    {
        var octets = new List<byte>(input.Length + 64);
        octets.AddRange(input);
        for (var rounds = 1 + luck.Below(4); rounds > 0; rounds--) Once(octets);
        return [.. octets];
    }

    private void Once(List<byte> octets)
    {
        if (octets.Count == 0)
        {
            Insert(octets, 0, 1 + luck.Below(32));
            return;
        }

        var at = luck.Below(octets.Count);
        switch (luck.Below(9))
        {
            case 0:
                octets[at] ^= (byte)(1 << luck.Below(8));
                break;
            case 1:
                octets[at] = (byte)luck.Below(256);
                break;
            case 2:
                Put16(octets, at, s_edges[luck.Below(s_edges.Length)]);
                break;
            case 3 when at + 1 < octets.Count:
                Put16(octets, at, (ushort)(((octets[at] << 8) | octets[at + 1]) + luck.Below(9) - 4));
                break;
            case 4:
                octets.RemoveRange(at, Math.Min(octets.Count - at, 1 + luck.Below(16)));
                break;
            case 5:
                octets.RemoveRange(at, octets.Count - at);
                break;
            case 6:
                Insert(octets, at, 1 + luck.Below(16));
                break;
            case 7 when octets.Count < 8192:
                octets.InsertRange(luck.Below(octets.Count), octets.GetRange(at, Math.Min(octets.Count - at, 1 + luck.Below(64))));
                break;
            default:
                for (var i = at; i < Math.Min(octets.Count, at + 4); i++) octets[i] = (byte)(luck.Chance(0.5) ? 0xFF : 0);
                break;
        }
    }

    private void Insert(List<byte> octets, int at, int count)
    {
        for (var i = 0; i < count; i++) octets.Insert(at, (byte)luck.Below(256));
    }

    private static void Put16(List<byte> octets, int at, ushort value)
    {
        Span<byte> pair = stackalloc byte[2];
        BinaryPrimitives.WriteUInt16BigEndian(pair, value);
        octets[at] = pair[0];
        if (at + 1 < octets.Count) octets[at + 1] = pair[1];
    }
}
