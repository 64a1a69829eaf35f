using System.Collections.Generic;
using System.Collections.Immutable;
using System.Linq;
using Warifu.Policy;
using Warifu.Primitives;

namespace Warifu.Engine;

/// <summary>
/// Which IKE SA holds which pair of identities, among all engines of a host: answers <see cref="Ask.ClaimIdentity"/> (unique policy, INITIAL_CONTACT of RFC 7296 section 2.4). The host calls it in the order of its engines' actions and
/// gives <see cref="Answer.Claim.Elsewhere"/> to whose they are.
/// </summary>
internal sealed class IdentityClaims(int mostOfOne = IdentityClaims.MostOfOne)
{
    /// <summary>IKE SAs of one peer identity, unless the host says something else: a peer that we trust must not fill the memory.</summary>
    public const int MostOfOne = 1024;

    private readonly Dictionary<(Identity Local, Identity Remote), List<uint>> _holders = [];
    private readonly Dictionary<uint, (Identity Local, Identity Remote)> _byIke = [];
    private readonly Dictionary<Identity, int> _counts = [];

    /// <summary>IKE SAs that hold an identity.</summary>
    public int Count => _byIke.Count;

    public Answer.Claim Claim(AskId id, Ask.ClaimIdentity ask)
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
        if (ask.IsBounded && _counts.GetValueOrDefault(ask.Remote) - replaces.Length >= mostOfOne) return new Answer.Claim(id, false, []) { Most = mostOfOne };
        Hold(ask.IkeId, pair);
        return new Answer.Claim(id, true, replaces) { Elsewhere = [.. replaces.Where(other => other >> 24 != ask.IkeId >> 24).Select(other => new IkeCommand.Replace(default, other, ask.Begun, ask.InitialContact))] };
    }

    /// <summary>An IKE SA is closed.</summary>
    public void Release(uint ikeId)
    {
        if (!_byIke.Remove(ikeId, out var pair)) return;
        var holders = _holders[pair];
        holders.Remove(ikeId);
        if (holders.Count == 0) _holders.Remove(pair);
        if (--_counts[pair.Remote] == 0) _counts.Remove(pair.Remote);
    }

    /// <summary>Follows rekeyings.</summary>
    public void Observe(IkeEvent happening)
    {
        if (happening is not IkeSaRekeyed rekeyed || !_byIke.TryGetValue(happening.IkeId, out var pair)) return;
        Release(happening.IkeId);
        Hold(rekeyed.NewIkeId, pair);
    }

    private void Hold(uint ikeId, (Identity Local, Identity Remote) pair)
    {
        if (!_holders.TryGetValue(pair, out var holders)) _holders.Add(pair, holders = []);
        holders.Add(ikeId);
        _byIke[ikeId] = pair;
        _counts[pair.Remote] = _counts.GetValueOrDefault(pair.Remote) + 1;
    }
}
