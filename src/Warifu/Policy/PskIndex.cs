using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.Linq;
using Warifu.Primitives;

namespace Warifu.Policy;

/// <summary>A pre-shared key as policy sees it: a handle, its name, and the identities that share it (none = any pair).</summary>
internal readonly record struct PskEntry(SecretRef Secret, string Name, ImmutableArray<IdentityPattern> Owners);

/// <summary>
/// Which pre-shared key belongs to a pair of identities. The peer must be an owner; an exact owner beats one with wildcards, that beats any; among equals it counts how well we are an owner, then how few owners are
/// neither of us; then the first name in alphabetical order wins. Made once for a set of secrets: a lookup looks only at the keys of that peer, and at keys with wildcards when it has none.
/// </summary>
internal sealed class PskIndex
{
    private readonly ImmutableArray<PskEntry> _entries;
    private readonly Dictionary<Identity, List<PskEntry>> _byOwner = [];
    private readonly List<PskEntry> _general = [];

    public PskIndex(IEnumerable<PskEntry> entries)
    {
        _entries = [.. entries.OrderBy(entry => entry.Name, StringComparer.Ordinal)];
        foreach (var entry in _entries)
        {
            if (entry.Owners.IsEmpty || entry.Owners.Any(owner => owner.Exact is null)) _general.Add(entry);
            foreach (var name in entry.Owners.Select(owner => owner.Exact).OfType<Identity>().Select(Identities.Canonical).Distinct())
            {
                if (!_byOwner.TryGetValue(name, out var list)) _byOwner.Add(name, list = []);
                list.Add(entry);
            }
        }
    }

    public int Count => _entries.Length;

    public ImmutableArray<PskEntry> Entries => _entries;

    /// <summary>The handle, or the default value and a sentence that says why there is none.</summary>
    public (SecretRef Secret, string WhyNot) Find(Identity local, Identity remote)
    {
        // an exact owner beats everything else, so the others need not be looked at
        var best = Best(_byOwner.GetValueOrDefault(Identities.Canonical(remote)) ?? [], local, remote) ?? Best(_general, local, remote);
        return best is { } found ? (found.Secret, "") : (default, WhyNot(local, remote));
    }

    /// <summary>The keys that a peer may be authenticated with, whoever we are.</summary>
    public IEnumerable<PskEntry> Serving(Identity remote)
    {
        var exact = _byOwner.GetValueOrDefault(Identities.Canonical(remote)) ?? [];
        return exact.Concat(_general.Where(entry => !exact.Contains(entry) && Score(entry.Owners, remote, remote) > 0));
    }

    private static PskEntry? Best(List<PskEntry> entries, Identity local, Identity remote)
    {
        var best = (Score: 0, Entry: (PskEntry?)null);
        foreach (var entry in entries)
        {
            var score = Score(entry.Owners, local, remote);
            if (score > best.Score) best = (score, entry);
        }

        return best.Entry;
    }

    private static int Score(ImmutableArray<IdentityPattern> owners, Identity local, Identity remote)
    {
        if (owners.IsEmpty) return 1 << 16;
        var (ours, theirs, strangers) = (IdentityMatch.No, IdentityMatch.No, 0);
        foreach (var owner in owners)
        {
            var (us, them) = (owner.Match(local), owner.Match(remote));
            if (us > ours) ours = us;
            if (them > theirs) theirs = them;
            if (us == IdentityMatch.No && them == IdentityMatch.No) strangers++;
        }

        return theirs == IdentityMatch.No ? 0 : ((((int)theirs * 4) + (int)ours + 1) << 16) - Math.Min(strangers, ushort.MaxValue);
    }

    private string WhyNot(Identity local, Identity remote)
    {
        var names = _entries.Take(8).Select(entry => $"{entry.Name} ({(entry.Owners.IsEmpty ? "any" : string.Join(", ", entry.Owners.Take(8).Select(owner => owner.Text)))})");
        var have = _entries.IsEmpty ? "there are none at all" : "there are " + string.Join("; ", names) + (_entries.Length > 8 ? $" and {_entries.Length - 8} more" : "");
        return $"no pre-shared key for {Identities.Print(local)} and {Identities.Print(remote)}; {have}";
    }
}
