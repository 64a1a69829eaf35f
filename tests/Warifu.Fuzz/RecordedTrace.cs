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
    private const string NegotiationPrefix = "negotiations/";
    private const string Version1Prefix = "v1/";

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

    /// <summary>Seeds of fuzzing and of bad input.</summary>
    public static ImmutableArray<string> Names { get; } = Find(Prefix);

    /// <summary>Further ones, for their keys only.</summary>
    public static ImmutableArray<string> Negotiations { get; } = Find(NegotiationPrefix);

    /// <summary>IKEv1.</summary>
    public static ImmutableArray<string> Version1 { get; } = Find(Version1Prefix);

    public string Name { get; }

    public ImmutableArray<(bool FromInitiator, byte[] Octets)> Messages { get; }

    /// <summary>What the initiator computed, in order: label and octets.</summary>
    public ImmutableArray<(string Label, byte[] Octets)> Initiator { get; }

    public ImmutableArray<(string Label, byte[] Octets)> Responder { get; }

    public static RecordedTrace Load(string name)
    {
        var assembly = typeof(RecordedTrace).Assembly;
        using var reader = new StreamReader(assembly.GetManifestResourceStream(Prefix + name) ?? assembly.GetManifestResourceStream(NegotiationPrefix + name) ?? assembly.GetManifestResourceStream(Version1Prefix + name) ?? throw new ArgumentException($"no trace {name}"));
        return new RecordedTrace(name, reader);
    }

    /// <summary>One that stands elsewhere.</summary>
    public static RecordedTrace Read(string name, TextReader reader) => new(name, reader);

    public static IEnumerable<RecordedTrace> All() => Names.Select(Load);

    private static ImmutableArray<string> Find(string prefix) =>
        [.. typeof(RecordedTrace).Assembly.GetManifestResourceNames().Where(name => name.StartsWith(prefix, StringComparison.Ordinal)).Select(name => name[prefix.Length..]).Order(StringComparer.Ordinal)];
}
