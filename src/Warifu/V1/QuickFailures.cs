using System;
using System.Collections.Immutable;
using System.Linq;
using Warifu.Engine;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Wire;
using Warifu.Wire.V1;

namespace Warifu.V1;

/// <summary>Why quick mode fails, in terms of settings.</summary>
internal static class QuickFailures
{
    /// <summary>R70: both pairs are shown.</summary>
    public static NegotiationFailure NoIds(IsakmpSa sa, TrafficSelector local, TrafficSelector remote)
    {
        var ours = sa.Connection.Children.Where(child => child.Mode is ChildMode.Tunnel or ChildMode.Transport).Select(child => (child.Name, Local: ChildConfig.Resolve(child.LocalSelectors, [sa.Local.Address]), Remote: ChildConfig.Resolve(child.RemoteSelectors, [sa.Remote.Address]))).ToArray();
        var nearest = ours.FirstOrDefault();
        var swapped = ours.FirstOrDefault(child => child.Local.Contains(remote) && child.Remote.Contains(local)).Name;
        return new NegotiationFailure(
            "selectors",
            $"no child of {sa.Connection.Name} has exactly the proxy IDs of the peer: local {local}, remote {remote}{(swapped is null ? "" : $"; child {swapped} has them the other way round")}",
            [$"local {local}, remote {remote}"],
            [.. ours.Take(16).Select(child => $"{child.Name}: local {Selectors.Print(child.Local)}, remote {Selectors.Print(child.Remote)}")],
            [.. ours.Take(16).Select(child => $"{child.Name}: {(child.Local.Contains(local) ? $"remote {Selectors.Print(child.Remote)} against {remote}" : child.Remote.Contains(remote) ? $"local {Selectors.Print(child.Local)} against {local}" : "both differ")}")],
            nearest.Name is null ? $"here: give connection {sa.Connection.Name} a child" : $"here: set connections.{sa.Connection.Name}.children.{nearest.Name}.local_ts = {local} and connections.{sa.Connection.Name}.children.{nearest.Name}.remote_ts = {remote}; or at the peer: set its proxy IDs to local {Selectors.Print(nearest.Remote)}, remote {Selectors.Print(nearest.Local)}");
    }

    public static NegotiationFailure OtherIds(IsakmpSa sa, Child config, TrafficSelector local, TrafficSelector remote, string theirs) => new(
        "selectors",
        $"the peer answered for other proxy IDs than child {config.Name} asked for: {theirs} instead of {local} and {remote}",
        [$"{local} and {remote}"],
        [theirs],
        [],
        $"at the peer: it must return the proxy IDs as they are (RFC 2409 section 5.5); or here: set connections.{sa.Connection.Name}.children.{config.Name}.local_ts and connections.{sa.Connection.Name}.children.{config.Name}.remote_ts to its own");

    public static NegotiationFailure NoProposal(IsakmpSa sa, Child config, ImmutableArray<QuickSuite> ours, ImmutableArray<(ProposalV1 Proposal, TransformV1 Transform, QuickSuite Suite)> offers)
    {
        var withoutPfs = ours.Length > 0 && ours.All(own => own.Group != KeId.None) && offers.Any(offer => offer.Suite.Group == KeId.None && ours.Any(own => (own with { Group = KeId.None }).IsSame(offer.Suite)));
        return new NegotiationFailure(
            "no-proposal",
            withoutPfs
                ? $"the peer asks for child {config.Name} without PFS, and connections.{sa.Connection.Name}.children.{config.Name} requires it"
                : offers.IsEmpty ? $"the peer's phase 2 proposals for child {config.Name} have nothing that can be chosen here (AH with ESP, and IPComp, are not supported)" : $"the peer's phase 2 proposals have nothing in common with those of child {config.Name}",
            [.. offers.Select(offer => offer.Suite.ToString()).Distinct().Take(16)],
            [.. ours.Take(16).Select(suite => suite.ToString())],
            [.. ours.Take(16).Select(own => $"{own}: {WhyNot(own, offers)}")],
            $"here: add to connections.{sa.Connection.Name}.children.{config.Name}.{Word(config)} what the peer offers; or at the peer: {(withoutPfs ? $"enable PFS with {Word(ours[0].Group)}" : "add one of ours")}");
    }

    public static NegotiationFailure WrongMode(IsakmpSa sa, Child config, bool transport) => new(
        "mode",
        $"child {config.Name} wants {(transport ? "transport" : "tunnel")} mode{(sa.IsBehindNat ? " in UDP, since there is a NAT," : "")} and the peer wants another",
        [transport ? "tunnel" : "transport"],
        [transport ? "transport" : "tunnel"],
        [],
        $"here: set connections.{sa.Connection.Name}.children.{config.Name}.mode = {(transport ? "tunnel" : "transport")}; or at the peer: set the mode of this child to {(transport ? "transport" : "tunnel")}");

    /// <summary>AH covers the addresses, so that it cannot pass a NAT, and there is no form of it in UDP (RFC 3948 section 1).</summary>
    public static NegotiationFailure? AhInTheWay(IsakmpSa sa, Child config)
    {
        if (!config.IsAh) return null;
        var place = $"connections.{sa.Connection.Name}";
        var remedy = $"here and at the peer: use ESP, for integrity alone {place}.children.{config.Name}.esp_proposals = aes256gmac, instead of ah_proposals";
        if (sa.IsBehindNat)
        {
            var who = sa.LocalBehindNat && sa.RemoteBehindNat ? "both sides are" : sa.LocalBehindNat ? "we are" : "the peer is";
            return new NegotiationFailure("nat", $"child {config.Name} wants AH, and {who} behind a NAT: AH authenticates the addresses that the NAT changes", [], [], [], remedy);
        }

        if (sa.Connection.ForceEncapsulation) return new NegotiationFailure("nat", $"child {config.Name} wants AH, and connection {sa.Connection.Name} has encap = yes: AH cannot go in UDP", [], [], [], $"here: remove {place}.encap; or {remedy}");
        return sa.Engine.Options is { HasAh: true, ForceEncapsulation: false } ? null : new NegotiationFailure("no-ah", $"child {config.Name} wants AH, and this process cannot send it: it has no raw sockets for IP protocol 51", [], [], [], $"here: run it as root or with CAP_NET_RAW; or {remedy}");
    }

    /// <summary>The peer refused ours.</summary>
    public static NegotiationFailure Refused(IsakmpSa sa, Child config, ImmutableArray<QuickSuite> suites, TrafficSelector local, TrafficSelector remote, NotifyV1 error) => error switch
    {
        NotifyV1.InvalidIdInformation => new NegotiationFailure(
            "selectors",
            $"the peer refused our proxy IDs for child {config.Name} (INVALID-ID-INFORMATION): local {local}, remote {remote}",
            [$"local {local}, remote {remote}"],
            [],
            [],
            $"here: set connections.{sa.Connection.Name}.children.{config.Name}.local_ts and connections.{sa.Connection.Name}.children.{config.Name}.remote_ts to exactly what the peer has; or at the peer: set its proxy IDs to local {remote}, remote {local}"),
        NotifyV1.NoProposalChosen or NotifyV1.BadProposalSyntax or NotifyV1.AttributesNotSupported => new NegotiationFailure(
            "no-proposal",
            $"the peer refused our phase 2 proposals for child {config.Name} ({MessageNames.NameOf(error)})",
            [.. suites.Take(16).Select(suite => suite.ToString())],
            [],
            [],
            $"here: change connections.{sa.Connection.Name}.children.{config.Name}.{Word(config)} to what the peer has, its PFS group too; or at the peer: add one of ours"),
        _ => new NegotiationFailure("child-refused", $"the peer refused child {config.Name} with {MessageNames.NameOf(error)}", [], [], [], "at the peer: its log shows why"),
    };

    public static string Print(ReadOnlySpan<byte> idI, ReadOnlySpan<byte> idR) => $"{Print(idI)} and {Print(idR)}";

    private static string Print(ReadOnlySpan<byte> body) => IdBody.TryParse(body, out var id) == ParseError.None && ProxyId.TryRead(id, out var selector) ? selector.ToString() : "something that is no address";

    private static string WhyNot(QuickSuite own, ImmutableArray<(ProposalV1 Proposal, TransformV1 Transform, QuickSuite Suite)> offers)
    {
        if (offers.IsEmpty) return "the peer offers nothing that is known here";
        return offers.Select(offer => Difference(own, offer.Suite)).MaxBy(pair => pair.Rank).Text;
    }

    private static (int Rank, string Text) Difference(QuickSuite own, QuickSuite offer)
    {
        if (own.Protocol != offer.Protocol) return (0, $"the peer offers {offer.Protocol.ToString().ToUpperInvariant()}");
        if ((own.Encr, own.KeyBits) != (offer.Encr, offer.KeyBits)) return (1, $"encryption {ProposalKeywords.Word(Transform.Encr(own.Encr, own.KeyBits))} against {ProposalKeywords.Word(Transform.Encr(offer.Encr, offer.KeyBits))}");
        if (own.Integ != offer.Integ) return (2, $"integrity {ProposalKeywords.Word(Transform.Integ(own.Integ))} against {ProposalKeywords.Word(Transform.Integ(offer.Integ))}");
        if (own.Group != offer.Group) return (3, $"PFS group {Word(own.Group)} against {Word(offer.Group)}");
        return own.Esn != offer.Esn ? (4, "sequence numbers of 64 bits against 32") : (5, "");
    }

    private static string Word(Child config) => config.IsAh ? "ah_proposals" : "esp_proposals";

    private static string Word(KeId group) => group == KeId.None ? "none" : ProposalKeywords.Word(Transform.Ke(group));
}
