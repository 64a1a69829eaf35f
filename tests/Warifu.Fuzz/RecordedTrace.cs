using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.IO;
using System.Linq;

namespace Warifu.Fuzz;

/// <summary>A recorded exchange: its messages and what both sides computed (tests/Warifu.Tests/Vectors/traces).</summary>
internal sealed class RecordedTrace
{
    private const string Prefix = "traces/";

    private RecordedTrace(string name, TextReader reader)
    {
        Name = name;
        var messages = ImmutableArray.CreateBuilder<(bool, byte[])>();
        var (initiator, responder) = (new List<(string, byte[])>(), new List<(string, byte[])>());
        while (reader.ReadLine() is { } line)
        {
            if (line.StartsWith('#')) continue;
            var parts = line.Split(' ');
            if (parts[0] is "i" or "r") messages.Add((parts[0] == "i", Convert.FromHexString(parts[1])));
            else (parts[0] == "I" ? initiator : responder).Add((parts[1], Convert.FromHexString(parts[2])));
        }

        (Messages, Initiator, Responder) = (messages.ToImmutable(), [.. initiator], [.. responder]);
    }

    public static ImmutableArray<string> Names { get; } =
        [.. typeof(RecordedTrace).Assembly.GetManifestResourceNames().Where(name => name.StartsWith(Prefix, StringComparison.Ordinal)).Select(name => name[Prefix.Length..]).Order(StringComparer.Ordinal)];

    public string Name { get; }

    public ImmutableArray<(bool FromInitiator, byte[] Octets)> Messages { get; }

    /// <summary>What the initiator computed, in order: label and octets.</summary>
    public ImmutableArray<(string Label, byte[] Octets)> Initiator { get; }

    public ImmutableArray<(string Label, byte[] Octets)> Responder { get; }

    public static RecordedTrace Load(string name)
    {
        using var reader = new StreamReader(typeof(RecordedTrace).Assembly.GetManifestResourceStream(Prefix + name) ?? throw new ArgumentException($"no trace {name}"));
        return new RecordedTrace(name, reader);
    }

    public static IEnumerable<RecordedTrace> All() => Names.Select(Load);
}
