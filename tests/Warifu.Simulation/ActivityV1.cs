using System.Collections.Generic;
using System.Linq;
using Warifu.V1;

namespace Warifu.Simulation;

/// <summary>What a host has under way in IKEv1: its own quick modes, phases 1 that it began, and how many of either the peer has begun.</summary>
internal readonly struct ActivityV1
{
    private readonly bool _hasQuickMode;
    private readonly bool _hasPhaseOne;
    private readonly int _quickModesOfPeer;
    private readonly int _phasesOfPeer;

    public ActivityV1(IReadOnlyCollection<IsakmpSa> sas)
    {
        foreach (var sa in sas)
        {
            if (sa.State == IsakmpState.Connecting && sa.Initiator) _hasPhaseOne = true;
            if (!sa.Initiator) _phasesOfPeer++;
            _hasQuickMode |= sa.Exchanges.Any(exchange => exchange is QuickInitiator { IsDone: false });
            _quickModesOfPeer += sa.Exchanges.Count(exchange => exchange is QuickResponder);
        }
    }

    /// <summary>A message of the peer came: did it cross something of ours?</summary>
    /// <param name="after">What is under way now.</param>
    /// <param name="deleted">It was a delete.</param>
    /// <param name="world">Is told.</param>
    public void Crossed(ActivityV1 after, bool deleted, World world)
    {
        if (!_hasQuickMode && !_hasPhaseOne) return;
        var what = deleted ? "delete" : after._quickModesOfPeer > _quickModesOfPeer ? "quick mode" : after._phasesOfPeer > _phasesOfPeer ? "phase 1" : null;
        if (what is null) return;
        if (_hasQuickMode) world.Reach(what + " x quick mode");
        if (_hasPhaseOne) world.Reach(what + " x phase 1");
    }
}
