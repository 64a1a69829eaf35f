using System.Collections.Generic;
using Warifu.Primitives;

namespace Warifu.Engine;

/// <summary>With which peers there is contact: the IKE SAs of a pair of identities, of whichever connection, that are established or whose IKE_AUTH is on its way. INITIAL_CONTACT beside one of them would end it (RFC 7296 section 2.4).</summary>
internal sealed class Contacts
{
    private readonly Dictionary<(Identity Local, Identity Remote), HashSet<uint>> _byPair = [];
    private readonly Dictionary<uint, (Identity Local, Identity Remote)> _byIke = [];

    public int Count => _byIke.Count;

    public bool HasOther(uint ikeId, Identity local, Identity remote) => _byPair.TryGetValue((local, remote), out var held) && (held.Count > 1 || !held.Contains(ikeId));

    public void Enter(uint ikeId, Identity local, Identity remote)
    {
        Leave(ikeId);
        if (!_byPair.TryGetValue((local, remote), out var held)) _byPair.Add((local, remote), held = []);
        held.Add(ikeId);
        _byIke.Add(ikeId, (local, remote));
    }

    public void Leave(uint ikeId)
    {
        if (!_byIke.Remove(ikeId, out var pair)) return;
        var held = _byPair[pair];
        held.Remove(ikeId);
        if (held.Count == 0) _byPair.Remove(pair);
    }
}
