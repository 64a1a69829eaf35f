using System;
using System.Collections.Immutable;
using System.Linq;
using Warifu.Crypto;
using Warifu.Engine;
using Warifu.Ipsec;
using Warifu.Policy;
using Warifu.Primitives;

namespace Warifu.V2;

/// <summary>What a finished negotiation of a pair comes to.</summary>
internal sealed record ChildTerms
{
    public required Child Config { get; init; }

    public required Proposal Proposal { get; init; }

    public required ChildSpi Inbound { get; init; }

    public required ChildSpi Outbound { get; init; }

    public required ImmutableArray<TrafficSelector> Local { get; init; }

    public required ImmutableArray<TrafficSelector> Remote { get; init; }

    public required IpsecMode Mode { get; init; }

    /// <summary>Transport mode behind a NAT: the addresses over which the peer computes checksums (RFC 3948 section 3.1.2).</summary>
    public IpAddress OriginalRemote { get; init; }

    public IpAddress OriginalLocal { get; init; }

    /// <summary>We sent the request of this exchange: our keys come first in KEYMAT.</summary>
    public required bool Initiator { get; init; }

    public ChildState? Replaces { get; init; }

    /// <summary>False: traffic must not move to this pair yet, or ever.</summary>
    public bool OutboundReady { get; init; } = true;
}

/// <summary>Keys for a pair (RFC 7296 section 2.17) and its way to the data plane.</summary>
internal static class ChildInstall
{
    public static ChildState Install(IkeSa sa, ChildTerms terms, ReadOnlySpan<byte> ni, ReadOnlySpan<byte> nr, Secret? shared)
    {
        var encr = terms.Proposal.Find(TransformType.Encr);
        var integ = (IntegId)terms.Proposal.Find(TransformType.Integ).Id;
        var keys = KeyScheduleV2.DeriveChild(sa.Keys!.Prf, sa.Keys.SkD, shared, ni, nr, (EncrId)encr.Id, encr.KeyBits, integ);
        var (outEncr, outInteg, inEncr, inInteg) = terms.Initiator
            ? (keys.InitiatorEncr, keys.InitiatorInteg, keys.ResponderEncr, keys.ResponderInteg)
            : (keys.ResponderEncr, keys.ResponderInteg, keys.InitiatorEncr, keys.InitiatorInteg);
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
        var hardBytes = config.LifeBytes ?? config.RekeyBytes + (config.RekeyBytes / 10);
        var hardPackets = config.LifePackets ?? config.RekeyPackets + (config.RekeyPackets / 10);
        var pair = new ChildSa
        {
            Id = child.Id,
            IkeId = sa.Id,
            Connection = sa.Connection.Name,
            Name = config.Name,
            Protocol = terms.Proposal.Protocol,
            Mode = terms.Mode,
            InboundSpi = terms.Inbound,
            OutboundSpi = terms.Outbound,
            Encr = (EncrId)encr.Id,
            EncrKeyBits = encr.KeyBits,
            Integ = integ,
            Esn = terms.Proposal.Find(TransformType.Esn).Id == 1,
            InboundEncrKey = inEncr,
            InboundIntegKey = inInteg,
            OutboundEncrKey = outEncr,
            OutboundIntegKey = outInteg,
            Local = sa.Local,
            Remote = sa.Remote,
            UdpEncapsulation = encapsulated,
            LocalBehindNat = sa.LocalBehindNat,
            RemoteBehindNat = sa.RemoteBehindNat,
            OriginalRemote = terms.OriginalRemote,
            OriginalLocal = terms.OriginalLocal,
            LocalSelectors = terms.Local,
            RemoteSelectors = terms.Remote,
            ReplayWindow = config.ReplayWindow,
            SoftBytes = Lifetimes.Soft(sa, config.RekeyBytes, hardBytes),
            HardBytes = hardBytes,
            SoftPackets = Lifetimes.Soft(sa, config.RekeyPackets, hardPackets),
            HardPackets = hardPackets,
            // the responder of a rekeying sends on the old pair until the new one is seen in use (section 2.8)
            OutboundReady = terms.OutboundReady && ((terms.Replaces is null && twin is null) || terms.Initiator),
            Replaces = (terms.Replaces ?? twin)?.Id ?? 0,
            Options = OptionsOf(config),
        };
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

    public static ChildOptions OptionsOf(Child config) => new()
    {
        BindInterface = config.BindInterface,
        Mtu = config.Mtu,
        Mss = config.Mss,
        Df = config.Df,
        CopyDscpOut = config.CopyDscpOut,
        CopyDscpIn = config.CopyDscpIn,
        CopyEcn = config.CopyEcn,
        Leak = config.Leak,
        BypassLan = config.BypassLan,
        Priority = config.Priority,
    };

    /// <summary>Configured selectors with the ends filled in for "dynamic": the tunnel's own or virtual addresses, one selector for each; none configured = the ends.</summary>
    public static ImmutableArray<TrafficSelector> Resolve(ImmutableArray<SelectorPattern> patterns, ImmutableArray<IpAddress> ends)
    {
        if (patterns.IsEmpty) return [.. ends.Select(TrafficSelector.Of)];
        return [.. patterns.SelectMany(pattern => pattern.IsDynamic ? ends.Select(pattern.Resolve) : [pattern.Selector])];
    }

    /// <summary>As <see cref="Resolve"/>, with all addresses of the IP versions of <paramref name="wanted"/> for "dynamic": they are not known yet.</summary>
    public static ImmutableArray<TrafficSelector> ResolveAll(ImmutableArray<SelectorPattern> patterns, ImmutableArray<IpAddress> wanted)
    {
        TrafficSelector All(SelectorPattern pattern, int version)
        {
            var everything = new IpPrefix(version == 4 ? IpAddress.AnyV4 : IpAddress.AnyV6, 0);
            return pattern.Selector with { First = everything.Address, Last = everything.Last };
        }

        var versions = wanted.Select(address => address.Version).Distinct().ToArray();
        if (patterns.IsEmpty) patterns = [SelectorPattern.Dynamic];
        return [.. patterns.SelectMany(pattern => pattern.IsDynamic ? versions.Select(version => All(pattern, version)) : [pattern.Selector])];
    }
}
