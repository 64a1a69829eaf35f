using System;
using Warifu.Crypto;
using Warifu.Engine;
using Warifu.Policy;
using Warifu.Primitives;

namespace Warifu.V2;

/// <summary>Keys for a pair (RFC 7296 section 2.17) and its way to the data plane.</summary>
internal static class ChildInstall
{
    public static ChildState Install(IkeSa sa, ChildTerms terms, ReadOnlySpan<byte> ni, ReadOnlySpan<byte> nr, Secret? shared)
    {
        var encr = terms.Proposal.Find(TransformType.Encr);
        var integ = (IntegId)terms.Proposal.Find(TransformType.Integ).Id;
        var keys = KeyScheduleV2.DeriveChild(sa.Keys!.Prf, sa.Keys.SkD, shared, ni, nr, (EncrId)encr.Id, encr.KeyBits, integ);
        var config = terms.Config;
        var encapsulated = !config.IsAh && (sa.LocalBehindNat || sa.RemoteBehindNat || sa.ForceEncapsulation);
        var child = new ChildState
        {
            Id = sa.Engine.NewId(),
            Config = config,
            Inbound = terms.Inbound,
            Outbound = terms.Outbound,
            Proposal = terms.Proposal,
            Mode = terms.Mode,
            Encapsulated = encapsulated,
            Local = terms.Local,
            Remote = terms.Remote,
            Installed = sa.Engine.Now,
            IsInitiator = terms.Initiator,
        };
        var twin = terms.Replaces is null ? sa.Engine.TwinOf(sa, child) : null;
        // the responder of a rekeying sends on the old pair until the new one is seen in use (section 2.8)
        var outboundReady = terms.OutboundReady && ((terms.Replaces is null && twin is null) || terms.Initiator);
        var path = new ChildPath(sa.Id, sa.Connection.Name, sa.Local, sa.Remote, sa.LocalBehindNat, sa.RemoteBehindNat);
        var pair = ChildConfig.PairOf(path, terms, child, keys, sa.Engine.Entropy, (terms.Replaces ?? twin)?.Id ?? 0, outboundReady);
        sa.Children.Add(child);
        sa.Engine.Succeeded(sa.Connection);
        sa.Engine.AddChild(sa, child);
        Lifetimes.Begin(sa, child);
        sa.Engine.Emit(new IkeAction.InstallChild(pair));
        if (twin is not null)
        {
            // it is made anew beside the one that is there (section 2.8.3): what is said of rekeying holds here, too
            twin.Successor = child;
            if (!terms.Initiator) child.SendAt = sa.Engine.Now + ProtocolTimes.SendPatience;
        }

        if (terms.Replaces is { } before && config.Inactivity > TimeSpan.Zero) Liveness.Inherit(sa, before, child);
        sa.Report.Add(sa.Engine.Now, StepDirection.Here, $"child {config.Name} installed: {ProposalKeywords.Print(terms.Proposal)}, {Selectors.Print(terms.Local)} === {Selectors.Print(terms.Remote)}");
        if (terms.Replaces is { } old)
        {
            sa.Engine.Counters.ChildRekey++;
            sa.Engine.CountersOf(sa.Connection.Name).ChildRekey++;
            sa.Engine.Raise(new ChildRekeyed(config.Name, old.Id, child.Id) { Connection = sa.Connection.Name, IkeId = sa.Id });
        }
        else
        {
            sa.Engine.Raise(new ChildUp(config.Name, child.Id, terms.Inbound.ToString(), terms.Outbound.ToString(), terms.Local, terms.Remote) { Connection = sa.Connection.Name, IkeId = sa.Id });
        }

        return child;
    }

    /// <summary>The peer deletes a pair: outbound traffic leaves it before our answer goes out, on which the peer drops what still comes.</summary>
    public static void LeaveOutbound(IkeSa sa, ChildState child, bool ends)
    {
        if (SuccessorOf(sa, child, ends) is { } successor) sa.Engine.Emit(new IkeAction.UseOutbound(successor.Id));
    }

    /// <summary>Takes a pair out of the data plane.</summary>
    public static void Remove(IkeSa sa, ChildState child, string reason, string text)
    {
        if (!sa.Children.Remove(child)) return;
        sa.Engine.ForgetChild(child);
        // the responder of a rekeying leaves the old pair at the latest now, even if nothing has come in on the new one (section 2.8)
        var successor = SuccessorOf(sa, child, sa.State == IkeState.Closed);
        if (successor is not null) sa.Engine.Emit(new IkeAction.UseOutbound(successor.Id));
        var isReplaced = successor is not null && (sa.State != IkeState.Closed || successor.Table != sa.Children);
        sa.Engine.Emit(new IkeAction.RemoveChild(child.Id, StillInFlight: isReplaced || (child.Phase == ChildPhase.Rekeyed && sa.State != IkeState.Closed)));
        if (child.Phase != ChildPhase.Rekeyed && reason != "redundant") sa.Engine.Raise(new ChildDown(child.Config.Name, child.Id, isReplaced && reason == "peer-deleted" ? "reauthenticated" : reason, text) { Connection = sa.Connection.Name, IkeId = sa.Id });
    }

    private static ChildState? SuccessorOf(IkeSa sa, ChildState child, bool ends) => child.Successor is { Table: not null } made ? made : ends ? sa.Engine.OtherPairOf(sa, child) : null;
}
