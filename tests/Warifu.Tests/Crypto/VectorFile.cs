using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using Warifu.Primitives;
using Xunit;

namespace Warifu.Tests.Crypto;

/// <summary>Published vectors (Vectors/crypto): one per line, fields by spaces; the head of each file says where they are from.</summary>
internal static class VectorFile
{
    public static IEnumerable<string[]> Read(string name)
    {
        using var reader = new StreamReader(typeof(VectorFile).Assembly.GetManifestResourceStream("crypto/" + name) ?? throw new ArgumentException($"no vectors {name}"));
        while (reader.ReadLine() is { } line)
        {
            if (!line.StartsWith('#')) yield return line.Split(' ');
        }
    }

    public static byte[] Octets(string hexadecimal) => hexadecimal == "-" ? [] : Convert.FromHexString(hexadecimal);

    /// <summary>Runs <paramref name="check"/> (null = good) on each vector and tells of all that fail at once.</summary>
    public static void All(IReadOnlyCollection<string[]> vectors, int atLeast, Func<string[], string?> check)
    {
        Assert.True(vectors.Count >= atLeast, $"only {vectors.Count} vectors");
        var failed = vectors.Select(vector => (vector, wrong: check(vector))).Where(result => result.wrong is not null).Select(result => $"{string.Join(' ', result.vector.Take(2))}: {result.wrong}").ToList();
        Assert.True(failed.Count == 0, $"{failed.Count} of {vectors.Count}: {string.Join("; ", failed.Take(5))}");
    }
}

/// <summary>Gives what a vector says and nothing more: a second draw is a failure.</summary>
internal sealed class ScriptedEntropy(byte[] octets) : IEntropy
{
    private bool _used;

    public void Fill(Span<byte> destination)
    {
        Assert.False(_used, "drew twice");
        _used = true;
        Assert.Equal(octets.Length, destination.Length);
        octets.CopyTo(destination);
    }
}
