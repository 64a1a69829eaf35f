using System.Collections.Generic;
using System.Collections.Immutable;
using System.Linq;
using Warifu.Primitives;

namespace Warifu.Policy;

/// <summary>Which pre-shared key belongs to a pair of identities: owners of both beat owners of the peer alone, exact beats wildcard beats any.</summary>
internal static class PskSelection
{
    public static (SecretRef Secret, string WhyNot) Find(IEnumerable<(SecretRef Secret, string Name, ImmutableArray<IdentityPattern> Owners)> entries, Identity local, Identity remote)
    {
        var best = (Score: 0, Secret: default(SecretRef));
        var names = new List<string>();
        foreach (var (secret, name, owners) in entries)
        {
            names.Add($"{name} ({(owners.IsEmpty ? "any" : string.Join(", ", owners.Select(owner => owner.Text)))})");
            var score = Score(owners, local, remote);
            if (score > best.Score) best = (score, secret);
        }

        if (best.Score > 0) return (best.Secret, "");
        var have = names.Count == 0 ? "there are none at all" : "there are " + string.Join("; ", names.Take(8)) + (names.Count > 8 ? " …" : "");
        return (default, $"no pre-shared key for {Identities.Print(local)} and {Identities.Print(remote)}; {have}");
    }

    private static int Score(ImmutableArray<IdentityPattern> owners, Identity local, Identity remote)
    {
        if (owners.IsEmpty) return 1;
        var ours = (int)owners.Max(owner => owner.Match(local));
        var theirs = (int)owners.Max(owner => owner.Match(remote));
        // the peer must be an owner; that we are one too makes it better
        return theirs == 0 ? 0 : (theirs * 4) + ours + 1;
    }
}
