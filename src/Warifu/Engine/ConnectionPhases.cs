using System.Collections.Generic;
using Warifu.Primitives;
using Warifu.V1;

namespace Warifu.Engine;

/// <summary>The phases 1 of one connection of IKEv1: a gateway may have ten thousand of them, and no message may look at all.</summary>
internal sealed class ConnectionPhases
{
    private readonly Dictionary<uint, IsakmpSa> _all = [];
    private readonly SortedSet<uint> _established = [];
    private readonly SortedSet<uint> _initiating = [];
    private readonly Dictionary<(Identity Peer, Identity? User), List<IsakmpSa>> _byPeer = [];

    public Dictionary<uint, IsakmpSa>.ValueCollection All => _all.Values;

    public bool IsEmpty => _all.Count == 0;

    /// <summary>The one that new children go to: the newest that is established, else the first that we are setting up.</summary>
    public IsakmpSa? Current => _established.Count > 0 ? _all[_established.Max] : _initiating.Count > 0 ? _all[_initiating.Min] : null;

    /// <summary>The one that we are setting up in the place of <paramref name="old"/>.</summary>
    public IsakmpSa? RenewalOf(IsakmpSa old)
    {
        foreach (var id in _initiating)
        {
            if (_all[id] is var sa && sa.Renews == old) return sa;
        }

        return null;
    }

    /// <summary>Those whose peer is known and the same.</summary>
    public IReadOnlyList<IsakmpSa> WithPeerOf(IsakmpSa sa) => sa.RemoteId is { } peer && _byPeer.TryGetValue((peer, sa.User), out var list) ? list : [];

    public void Add(IsakmpSa sa)
    {
        _all.Add(sa.Id, sa);
        Enter(sa, sa.State);
    }

    public void Remove(IsakmpSa sa)
    {
        if (!_all.Remove(sa.Id)) return;
        Leave(sa, sa.State);
        if (sa.ListedAs is not { } key) return;
        sa.ListedAs = null;
        var list = _byPeer[key];
        list.Remove(sa);
        if (list.Count == 0) _byPeer.Remove(key);
    }

    public void StateChanged(IsakmpSa sa, IsakmpState was)
    {
        if (!_all.ContainsKey(sa.Id)) return;
        Leave(sa, was);
        Enter(sa, sa.State);
    }

    /// <summary>It is known who the peer is, and with XAuth who the user is: both stay what they are.</summary>
    public void Know(IsakmpSa sa)
    {
        if (sa.ListedAs is not null || sa.RemoteId is not { } peer || !_all.ContainsKey(sa.Id)) return;
        var key = (peer, sa.User);
        sa.ListedAs = key;
        if (!_byPeer.TryGetValue(key, out var list)) _byPeer.Add(key, list = new List<IsakmpSa>(1));
        list.Add(sa);
    }

    private void Enter(IsakmpSa sa, IsakmpState state)
    {
        if (state == IsakmpState.Connecting && sa.Initiator) _initiating.Add(sa.Id);
        if (state == IsakmpState.Established) _established.Add(sa.Id);
    }

    private void Leave(IsakmpSa sa, IsakmpState state)
    {
        if (state == IsakmpState.Connecting) _initiating.Remove(sa.Id);
        if (state == IsakmpState.Established) _established.Remove(sa.Id);
    }
}
