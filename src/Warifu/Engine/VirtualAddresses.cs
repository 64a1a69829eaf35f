using System.Collections.Immutable;
using Warifu.Policy;
using Warifu.Primitives;

namespace Warifu.Engine;

/// <summary>
/// What a configuration payload or Mode Config gave (RFC 7296 section 2.19). It belongs to an IKE SA and to those that replace it by rekeying ("valid as long as this IKE SA or its rekeyed successors", section 3.15.1):
/// the last of them gives it back.
/// </summary>
internal sealed class VirtualAddresses
{
    private int _holders;

    /// <summary>Our own virtual addresses.</summary>
    public ImmutableArray<IpAddress> Local { get; init; } = [];

    /// <summary>Those of the peer, our client.</summary>
    public ImmutableArray<IpAddress> Remote { get; init; } = [];

    /// <summary>The host's number for <see cref="Remote"/>.</summary>
    public LeaseId Lease { get; init; }

    /// <summary>The host's number for <see cref="Local"/>; 0 = we are no client.</summary>
    public uint Client { get; init; }

    public VirtualAddresses Join()
    {
        _holders++;
        return this;
    }

    public void Leave(IkeEngine engine)
    {
        if (--_holders > 0) return;
        if (!Lease.IsNone) engine.Emit(new IkeAction.ReleaseLease(Lease));
        if (Client != 0) engine.Emit(new IkeAction.Unconfigure(Client));
    }
}
