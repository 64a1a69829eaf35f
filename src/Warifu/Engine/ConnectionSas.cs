using System.Collections.Generic;
using Warifu.Primitives;
using Warifu.V2;

namespace Warifu.Engine;

/// <summary>The IKE SAs of one connection: a gateway may have ten thousand of them, and no message may look at all.</summary>
internal sealed class ConnectionSas
{
    private readonly Dictionary<uint, IkeSa> _all = [];
    private readonly SortedSet<uint> _established = [];
    private readonly SortedSet<uint> _initiating = [];
    private readonly Dictionary<Identity, List<IkeSa>> _byPeer = [];

    public Dictionary<uint, IkeSa>.ValueCollection All => _all.Values;

    public bool IsEmpty => _all.Count == 0;

    /// <summary>The one that new children go to: the newest that is established, else the first that we are setting up.</summary>
    public IkeSa? Current => _established.Count > 0 ? _all[_established.Max] : _initiating.Count > 0 ? _all[_initiating.Min] : null;

    /// <summary>Any that is established.</summary>
    public bool HasEstablished => _established.Count > 0;

    /// <summary>Those that are established with a peer of this identity.</summary>
    public IReadOnlyList<IkeSa> With(Identity peer) => _byPeer.TryGetValue(peer, out var list) ? list : [];

    public void Add(IkeSa sa)
    {
        _all.Add(sa.Id, sa);
        Enter(sa, sa.State);
    }

    public void Remove(IkeSa sa)
    {
        Leave(sa, sa.State);
        _all.Remove(sa.Id);
    }

    public void StateChanged(IkeSa sa, IkeState was)
    {
        if (!_all.ContainsKey(sa.Id)) return;
        Leave(sa, was);
        Enter(sa, sa.State);
    }

    private void Enter(IkeSa sa, IkeState state)
    {
        if (state == IkeState.Connecting && sa.Initiator) _initiating.Add(sa.Id);
        if (state != IkeState.Established) return;
        _established.Add(sa.Id);
        if (sa.RemoteId is not { } peer) return;
        if (!_byPeer.TryGetValue(peer, out var list)) _byPeer.Add(peer, list = new List<IkeSa>(1));
        list.Add(sa);
    }

    private void Leave(IkeSa sa, IkeState state)
    {
        if (state == IkeState.Connecting) _initiating.Remove(sa.Id);
        if (state != IkeState.Established) return;
        _established.Remove(sa.Id);
        if (sa.RemoteId is not { } peer || !_byPeer.TryGetValue(peer, out var list)) return;
        list.Remove(sa);
        if (list.Count == 0) _byPeer.Remove(peer);
    }
}
