using System.Collections.Immutable;
using System.Linq;
using Warifu.Engine;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Wire;

namespace Warifu.V2.Exchanges;

/// <summary>Sentences and remedies for children that were not made.</summary>
internal static class ChildFailures
{
    public static NegotiationFailure Refused(IkeSa sa, Child config, ChildOffer offer, NotifyType error)
    {
        var place = $"connections.{sa.Connection.Name}.children.{config.Name}";
        return error switch
        {
            NotifyType.NoProposalChosen => new NegotiationFailure(
                "no-proposal", $"the peer refused all our {NameOf(config)} proposals for child {config.Name} (NO_PROPOSAL_CHOSEN)", InitExchange.Print(offer.Proposals), [], [],
                $"here: change {place}.{KeyOf(config)}; or at the peer: change its {NameOf(config)} proposals, so that they have one in common; its log shows what it would accept"),
            NotifyType.TsUnacceptable => new NegotiationFailure(
                "selectors", $"the peer has nothing for the selectors of child {config.Name} (TS_UNACCEPTABLE)",
                [$"local_ts {Selectors.Print(offer.Local)}", $"remote_ts {Selectors.Print(offer.Remote)}"], [], [],
                $"here: {place}.local_ts must meet the peer's remote selectors and {place}.remote_ts its local ones; or at the peer: change its selectors likewise; its log shows which it has"),
            NotifyType.SinglePairRequired => new NegotiationFailure(
                "single-pair", $"the peer wants SAs of their own for each pair of addresses and refused child {config.Name} as a whole (SINGLE_PAIR_REQUIRED)",
                [$"local_ts {Selectors.Print(offer.Local)}", $"remote_ts {Selectors.Print(offer.Remote)}"], [], [],
                $"here: set {place}.start_action = trap, so that packets say which pair is needed; or at the peer: allow SAs for whole networks"),
            NotifyType.FailedCpRequired => new NegotiationFailure("no-address", $"the peer takes child {config.Name} only from clients that ask for a virtual IP (FAILED_CP_REQUIRED)", [], [], [], $"here: set connections.{sa.Connection.Name}.vips = 0.0.0.0 (or ::); or at the peer: remove its pools, or give this child fixed selectors"),
            NotifyType.InternalAddressFailure => new NegotiationFailure("no-address", $"the peer has no virtual IP for child {config.Name} (INTERNAL_ADDRESS_FAILURE)", [], [], [], "at the peer: make its pool larger"),
            NotifyType.TemporaryFailure => new NegotiationFailure("busy", $"the peer is busy with another exchange and refused child {config.Name} for now (TEMPORARY_FAILURE)", [], [], [], "here: try again"),
            NotifyType.NoAdditionalSas => new NegotiationFailure("no-additional-sas", $"the peer takes no further children (NO_ADDITIONAL_SAS): {config.Name}", [], [], [], "at the peer: allow more children, or put the selectors into one child"),
            NotifyType.InvalidKePayload => new NegotiationFailure("no-proposal", $"the peer wants a key exchange method for child {config.Name} that we do not offer", InitExchange.Print(offer.Proposals), [], [], $"here: change the PFS groups of {place}.esp_proposals; or at the peer: change those of its ESP proposals, so that they have one in common"),
            _ => new NegotiationFailure("refused", $"the peer refused child {config.Name} with {MessageDescription.NameOf(error)}", [], [], [], "at the peer: its log shows why"),
        };
    }

    public static NegotiationFailure NoProposal(IkeSa sa, Child config, ImmutableArray<Proposal> offered, ImmutableArray<string> whyNot) => new(
        "no-proposal",
        $"no {NameOf(config)} proposal in common for child {config.Name}",
        InitExchange.Print(offered),
        InitExchange.Print(config.Proposals),
        whyNot,
        offered.IsEmpty ? "" : $"here: add {ProposalKeywords.Print(offered[0])} to connections.{sa.Connection.Name}.children.{config.Name}.{(offered[0].Protocol == ProtocolId.Ah ? "ah_proposals" : "esp_proposals")}; or at the peer: add {ProposalKeywords.Print(config.Proposals[0])} to its {NameOf(config)} proposals");

    /// <summary>AH covers the addresses, so that it cannot pass a NAT, and there is no form of it in UDP (RFC 3948 section 1).</summary>
    public static NegotiationFailure? AhInTheWay(IkeSa sa, Child config)
    {
        if (!config.IsAh) return null;
        var place = $"connections.{sa.Connection.Name}";
        var remedy = $"here and at the peer: use ESP, for integrity alone {place}.children.{config.Name}.esp_proposals = aes256gmac, instead of ah_proposals";
        if (sa.LocalBehindNat || sa.RemoteBehindNat)
        {
            var who = sa.LocalBehindNat && sa.RemoteBehindNat ? "both sides are" : sa.LocalBehindNat ? "we are" : "the peer is";
            return new NegotiationFailure("nat", $"child {config.Name} wants AH, and {who} behind a NAT: AH authenticates the addresses that the NAT changes", [], [], [$"the peer does not see the addresses {sa.Local} and {sa.Remote} that we see"], $"{remedy}; or between: give the gateways addresses that are not translated");
        }

        if (sa.Connection.ForceEncapsulation) return new NegotiationFailure("nat", $"child {config.Name} wants AH, and connection {sa.Connection.Name} has encap = yes: AH cannot go in UDP", [], [], [], $"here: remove {place}.encap; or {remedy}");
        return sa.Engine.Options is { HasAh: true, ForceEncapsulation: false } ? null : new NegotiationFailure("no-ah", $"child {config.Name} wants AH, and this process cannot send it: it has no raw sockets for IP protocol 51", [], [], [], $"here: run it as root or with CAP_NET_RAW; or {remedy}");
    }

    /// <summary>It is known beforehand that a child cannot be: the peer is not asked.</summary>
    public static void NotAsked(IkeSa sa, ChildRequest request, NegotiationFailure failure)
    {
        var report = sa.Engine.ReportDone(sa, request.Config.Name, failure);
        sa.Engine.Complete(request.Command, new CommandResult(false, failure.Sentence, Report: report));
        sa.Engine.ChildRefused(sa.Connection, request.Config);
    }

    private static string NameOf(Child config) => config.IsAh ? "AH" : "ESP";

    private static string KeyOf(Child config) => config.IsAh ? "ah_proposals" : "esp_proposals";

    public static NegotiationFailure NoSelectors(IkeSa sa, ImmutableArray<TrafficSelector> offeredLocal, ImmutableArray<TrafficSelector> offeredRemote, ImmutableArray<string> whyNot) => new(
        "selectors",
        $"no child of connection {sa.Connection.Name} has the selectors that the peer asks for",
        [$"for our side: {Selectors.Print(offeredLocal)}", $"for its side: {Selectors.Print(offeredRemote)}"],
        [.. sa.Connection.Children.Select(child => $"{child.Name}: local_ts {Selectors.Print(ChildConfig.Resolve(child.LocalSelectors, sa.LocalEnds))}, remote_ts {Selectors.Print(ChildConfig.Resolve(child.RemoteSelectors, sa.RemoteEnds))}")],
        whyNot,
        Mirror(sa.Connection, offeredLocal, offeredRemote));

    public static NegotiationFailure NeedsVirtualIp(IkeSa sa, Child config) => new(
        "no-address",
        $"child {config.Name} is for clients with an address of pool {string.Join(", ", sa.Connection.Pools)}, and {Identities.Print(sa.RemoteId)} did not ask for one (FAILED_CP_REQUIRED)",
        [],
        [],
        [],
        $"at the peer: let it ask for a virtual IP (vips = 0.0.0.0); or here: set connections.{sa.Connection.Name}.children.{config.Name}.remote_ts to the peer's networks, or remove connections.{sa.Connection.Name}.pools");

    public static NegotiationFailure SinglePair(IkeSa sa, Child config, ImmutableArray<TrafficSelector> offeredLocal, ImmutableArray<TrafficSelector> offeredRemote) => new(
        "single-pair",
        $"child {config.Name} takes one pair of addresses for each SA, and the peer begins with more (SINGLE_PAIR_REQUIRED)",
        [$"for our side: {Selectors.Print(offeredLocal)}", $"for its side: {Selectors.Print(offeredRemote)}"],
        ["one address of each side"],
        [],
        $"here: remove connections.{sa.Connection.Name}.children.{config.Name}.single_pair; or at the peer: let packets start the child (start_action = trap), so that it asks for their addresses");

    private static string Mirror(Connection connection, ImmutableArray<TrafficSelector> local, ImmutableArray<TrafficSelector> remote) => connection.Children.FirstOrDefault(child => child.Mode is ChildMode.Tunnel or ChildMode.Transport) is { } child
        ? $"here: set connections.{connection.Name}.children.{child.Name}.local_ts = {Selectors.Print(local)} and connections.{connection.Name}.children.{child.Name}.remote_ts = {Selectors.Print(remote)}; or at the peer: make its selectors mirror these"
        : $"here: add a child to connections.{connection.Name}.children";
}
