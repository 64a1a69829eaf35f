using System.Linq;
using Warifu.Engine;
using Warifu.Net.DataPlane;
using Warifu.Policy;
using Warifu.Primitives;

namespace Warifu.App.Vici;

/// <summary>SAs with manual keys in the answers that list SAs, policies and state.</summary>
internal static class ManualListings
{
    /// <summary>Body of list-sa: where others have an IKE SA this one has none; its state is MANUAL.</summary>
    public static ViciMessage Sa(ManualStatus manual, CounterSource counters, ReqIds reqIds, Instant now)
    {
        var sa = manual.Sa;
        var child = new ChildSnapshot
        {
            Id = manual.Id,
            Name = sa.Name,
            State = "INSTALLED",
            Mode = sa.Mode,
            Protocol = sa.Protocol,
            InboundSpi = sa.InboundSpi,
            OutboundSpi = sa.OutboundSpi,
            Encapsulated = false,
            Proposal = sa.Proposal,
            Local = sa.LocalSelectors,
            Remote = sa.RemoteSelectors,
            Installed = manual.Installed,
        };
        var body = new ViciMessage().Add("uniqueid", manual.Id).Add("version", "0").Add("state", "MANUAL")
            .Add("local-host", sa.Local.ToString()).Add("local-port", 0L).Add("local-id", sa.Local.ToString())
            .Add("remote-host", sa.Remote.ToString()).Add("remote-port", 0L).Add("remote-id", sa.Remote.ToString());
        return new ViciMessage().Add(sa.Name, body.Add("child-sas", new ViciMessage().Add($"{sa.Name}-{manual.Id}", ViciListings.ChildBody(sa.Name, child, counters, reqIds, now))));
    }

    /// <summary>Body of list-policy.</summary>
    public static ViciMessage Policy(ManualStatus manual, ReqIds reqIds)
    {
        var sa = manual.Sa;
        return ViciListings.Policy(sa.Name, sa.Name, sa.Mode.ToString(), reqIds.Of(sa.Name, sa.Name), sa.LocalSelectors.Select(SelectorPattern.Of), sa.RemoteSelectors.Select(SelectorPattern.Of));
    }

    /// <summary>Body of warifu-status-conn.</summary>
    public static ViciMessage Status(ManualStatus manual)
    {
        var body = new ViciMessage().Add("state", manual.Id != 0 ? "up, with manual keys" : "down, with manual keys");
        if (manual.WhyNot is { } why) body.Add("reason", why);
        return new ViciMessage().Add(manual.Sa.Name, body);
    }
}
