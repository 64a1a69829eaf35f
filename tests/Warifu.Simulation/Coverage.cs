using System;
using System.Collections.Generic;
using System.Linq;

namespace Warifu.Simulation;

/// <summary>How many worlds reached which interesting state. A generator that stops reaching one is a failure like any other.</summary>
internal sealed class Coverage
{
    private readonly SortedDictionary<string, int> _worlds = new(StringComparer.Ordinal);

    public IReadOnlyDictionary<string, int> Worlds => _worlds;

    public int Of(string state) => _worlds.GetValueOrDefault(state);

    public void Add(IEnumerable<string> reached)
    {
        foreach (var state in reached) _worlds[state] = _worlds.GetValueOrDefault(state) + 1;
    }

    public void Add(Coverage other)
    {
        foreach (var (state, worlds) in other._worlds) _worlds[state] = _worlds.GetValueOrDefault(state) + worlds;
    }

    public string Print() => string.Join('\n', _worlds.Select(row => $"{row.Value,7}  {row.Key}"));
}

/// <summary>A world came to a bad end. The message says where and how to see it again.</summary>
internal sealed class BadEnding(ulong seed, int world, string what) : Exception($"{what}\nsee it again: ./sim --seed {seed} --world {world}")
{
    public ulong Seed => seed;

    public int World => world;

    public string What => what;
}
