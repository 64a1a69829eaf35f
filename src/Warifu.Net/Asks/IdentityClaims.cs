using System.Collections.Generic;
using System.Collections.Immutable;
using System.Linq;
using Warifu.Engine;
using Warifu.Policy;
using Warifu.Primitives;

namespace Warifu.Net.Asks;

/// <summary>Which IKE SA holds which pair of identities, among all shards: answers <see cref="Ask.ClaimIdentity"/> (unique policy, INITIAL_CONTACT of RFC 7296 section 2.4).</summary>
internal sealed class IdentityClaims
{
    private readonly Dictionary<(Identity Local, Identity Remote), List<uint>> _holders = [];
    private readonly Dictionary<uint, (Identity Local, Identity Remote)> _byIke = [];

    public Answer Claim(AskId id, Ask.ClaimIdentity ask)
    {
        var pair = (ask.Local, ask.Remote);
        var others = _holders.TryGetValue(pair, out var holders) ? holders.Where(holder => holder != ask.IkeId).ToImmutableArray() : [];
        var replaces = ask.Policy switch
        {
            UniquePolicy.Never => [],
            UniquePolicy.Replace => others,
            // keep: the peer says that it has lost everything, so what we hold is dead
            _ => ask.InitialContact ? others : [],
        };
        if (ask.Policy == UniquePolicy.Keep && others.Any(other => !replaces.Contains(other) && !ask.SameHost.Contains(other))) return new Answer.Claim(id, false, []);
        Release(ask.IkeId);
        if (!_holders.TryGetValue(pair, out holders)) _holders.Add(pair, holders = []);
        holders.Add(ask.IkeId);
        _byIke[ask.IkeId] = pair;
        return new Answer.Claim(id, true, replaces);
    }

    /// <summary>Follows the life of IKE SAs.</summary>
    public void Observe(IkeEvent happening)
    {
        switch (happening)
        {
            case IkeSaDown or IkeSaReauthenticated:
                Release(happening.IkeId);
                break;
            case IkeSaRekeyed rekeyed when _byIke.TryGetValue(happening.IkeId, out var pair):
                Release(happening.IkeId);
                if (!_holders.TryGetValue(pair, out var holders)) _holders.Add(pair, holders = []);
                holders.Add(rekeyed.NewIkeId);
                _byIke[rekeyed.NewIkeId] = pair;
                break;
        }
    }

    private void Release(uint ikeId)
    {
        if (!_byIke.Remove(ikeId, out var pair) || !_holders.TryGetValue(pair, out var holders)) return;
        holders.Remove(ikeId);
        if (holders.Count == 0) _holders.Remove(pair);
    }
}
