using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using Warifu.Primitives;

namespace Warifu.Simulation;

/// <summary>SplitMix64: the same seed gives the same run.</summary>
internal sealed class SeededEntropy(ulong seed) : IEntropy
{
    private ulong _state = seed;

    /// <summary>First octet of everything that is as long as a nonce: tests say which of several nonces is the lowest.</summary>
    public byte? Lead { get; set; }

    /// <summary>What is drawn next as a number of four octets: tests say which message ID or SPI comes up.</summary>
    public Queue<uint> Words { get; } = [];

    public ulong Next()
    {
        _state += 0x9E3779B97F4A7C15;
        var mixed = (_state ^ (_state >> 30)) * 0xBF58476D1CE4E5B9;
        mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EB;
        return mixed ^ (mixed >> 31);
    }

    public int Below(int bound) => (int)(Next() % (ulong)bound);

    public bool Chance(double probability) => (Next() >> 11) * (1.0 / (1UL << 53)) < probability;

    public void Fill(Span<byte> destination)
    {
        if (destination.Length == 4 && Words.TryDequeue(out var word))
        {
            BinaryPrimitives.WriteUInt32BigEndian(destination, word);
            return;
        }

        var start = destination;
        Span<byte> block = stackalloc byte[8];
        while (!destination.IsEmpty)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(block, Next());
            var take = Math.Min(8, destination.Length);
            block[..take].CopyTo(destination);
            destination = destination[take..];
        }

        if (Lead is { } lead && start.Length == 32) start[0] = lead;
    }
}
