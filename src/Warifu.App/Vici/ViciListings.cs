using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.Globalization;
using System.Linq;
using Warifu.Crypto;
using Warifu.Crypto.Native;
using Warifu.Engine;
using Warifu.Ipsec;
using Warifu.Policy;
using Warifu.Primitives;

namespace Warifu.App.Vici;

/// <summary>Finds the counters of a pair; false when it is gone.</summary>
internal delegate bool CounterSource(uint childId, out ChildCounters counters);

/// <summary>State as VICI messages: pure functions, with the keys, order and forms that existing clients read.</summary>
internal static class ViciListings
{
    /// <summary>Names of the counters in their order: that of <see cref="CounterValues"/>.</summary>
    private static readonly string[] s_counters =
    [
        "ike-rekey-init", "ike-rekey-resp", "child-rekey", "invalid", "invalid-spi",
        .. new[] { "ike-init", "ike-auth", "create-child", "info" }.SelectMany(exchange => new[] { "in-req", "in-resp", "out-req", "out-resp" }.Select(direction => $"{exchange}-{direction}")),
    ];

    private static readonly string[] s_countersV1 = [.. new[] { "main-mode", "aggressive-mode", "quick-mode", "transaction", "informational" }.SelectMany(exchange => new[] { exchange + "-in", exchange + "-out" })];

    /// <summary>Body of list-sa: one IKE SA.</summary>
    /// <param name="sa">The IKE SA.</param>
    /// <param name="counters">Of its pairs.</param>
    /// <param name="reqIds">Stable numbers of children.</param>
    /// <param name="now">Times are relative to it.</param>
    /// <param name="children">Which children: null = none and no section (events about the IKE SA alone).</param>
    public static ViciMessage Sa(IkeSaSnapshot sa, CounterSource counters, ReqIds reqIds, Instant now, Func<ChildSnapshot, bool>? children) =>
        new ViciMessage().Add(sa.Connection, SaBody(sa, counters, reqIds, now, children));

    /// <summary>What is below the connection's name in <see cref="Sa"/>.</summary>
    public static ViciMessage SaBody(IkeSaSnapshot sa, CounterSource counters, ReqIds reqIds, Instant now, Func<ChildSnapshot, bool>? children)
    {
        var body = new ViciMessage().Add("uniqueid", sa.Id).Add("version", sa.Version == IkeVersion.V1 ? "1" : "2").Add("state", sa.State)
            .Add("local-host", Host(sa.Local.Address)).Add("local-port", sa.Local.Port).Add("local-id", sa.LocalId is null ? "%any" : Identities.Print(sa.LocalId))
            .Add("remote-host", Host(sa.Remote.Address)).Add("remote-port", sa.Remote.Port).Add("remote-id", sa.RemoteId is null ? "%any" : Identities.Print(sa.RemoteId));
        if (sa.RemoteUser is { } user && !user.Equals(sa.RemoteId)) body.Add("remote-xauth-id", Identities.Print(user));
        body.Flag("initiator", sa.Initiator).Add("initiator-spi", sa.InitiatorSpi.ToString()).Add("responder-spi", sa.ResponderSpi.ToString())
            .Flag("nat-local", sa.NatLocal).Flag("nat-remote", sa.NatRemote).Flag("nat-any", sa.NatLocal || sa.NatRemote);
        if (sa.Proposal is { } proposal) AddAlgorithms(body, proposal);
        if (sa.State == "ESTABLISHED" && sa.Established is { } established)
        {
            body.Add("established", Seconds(now - established));
            if (sa.RekeyAt is { } rekey) body.Add("rekey-time", Seconds(rekey - now));
            if (sa.ReauthAt is { } reauth) body.Add("reauth-time", Seconds(reauth - now));
        }

        if (!sa.LocalVips.IsEmpty) body.Add("local-vips", sa.LocalVips.Select(address => address.ToString()));
        if (!sa.RemoteVips.IsEmpty) body.Add("remote-vips", sa.RemoteVips.Select(address => address.ToString()));
        if (!sa.TasksQueued.IsEmpty) body.Add("tasks-queued", sa.TasksQueued);
        if (!sa.TasksActive.IsEmpty) body.Add("tasks-active", sa.TasksActive);
        if (children is null) return body;
        var section = new ViciMessage();
        foreach (var child in sa.Children.Where(children)) section.Add(string.Create(CultureInfo.InvariantCulture, $"{child.Name}-{child.Id}"), ChildBody(sa.Connection, child, counters, reqIds, now, SuiteOf(sa.Proposal, child.Proposal)));
        return body.Add("child-sas", section);
    }

    /// <summary>One pair of SAs.</summary>
    /// <param name="suite">Name of the suite that the algorithms are; null = none.</param>
    public static ViciMessage ChildBody(string connection, ChildSnapshot child, CounterSource counters, ReqIds reqIds, Instant now, string? suite = null)
    {
        var body = new ViciMessage().Add("name", child.Name).Add("uniqueid", child.Id).Add("reqid", reqIds.Of(connection, child.Name)).Add("state", child.State)
            .Add("mode", child.Mode == IpsecMode.Tunnel ? "TUNNEL" : "TRANSPORT").Add("protocol", child.Protocol == ProtocolId.Ah ? "AH" : "ESP").Flag("encap", child.Encapsulated)
            .Add("spi-in", child.InboundSpi.ToString()).Add("spi-out", child.OutboundSpi.ToString());
        AddAlgorithms(body, child.Proposal);
        _ = counters(child.Id, out var used);
        body.Add("bytes-in", used.BytesIn).Add("packets-in", used.PacketsIn);
        if (used.LastIn != default) body.Add("use-in", Seconds(now - used.LastIn));
        body.Add("bytes-out", used.BytesOut).Add("packets-out", used.PacketsOut);
        if (used.LastOut != default) body.Add("use-out", Seconds(now - used.LastOut));
        if (child.RekeyAt is { } rekey) body.Add("rekey-time", Seconds(rekey - now));
        if (child.ExpireAt is { } expire) body.Add("life-time", Seconds(expire - now));
        body.Add("install-time", Seconds(now - child.Installed)).Add("local-ts", child.Local.Select(Print)).Add("remote-ts", child.Remote.Select(Print));
        // keys of our own, after all that others know
        if (suite is not null) body.Add("x-suite", suite);
        return body.Add("x-replay-drops", used.ReplayDrops).Add("x-integrity-drops", used.IntegrityDrops).Add("x-selector-drops", used.SelectorDrops);
    }

    /// <summary>The suite of RFC 6379 whose algorithms both halves have, whatever words they were configured with; with PFS its group is that of the IKE half (RFC 6380 section 8).</summary>
    public static string? SuiteOf(Proposal? ike, Proposal child)
    {
        if (ike is null || child.Protocol != ProtocolId.Esp) return null;
        return Suite.All.FirstOrDefault(suite => suite.IsSuiteB && IsSame(ike, suite.Ike[0]) && child.Find(TransformType.Encr) == suite.Esp[0].Find(TransformType.Encr) && child.Find(TransformType.Ke) is var group && (group.Id == 0 || group == suite.Ike[0].Find(TransformType.Ke)))?.Name;

        static bool IsSame(Proposal one, Proposal other) => one.Transforms.Length == other.Transforms.Length && other.Transforms.All(one.Transforms.Contains);
    }

    /// <summary>Body of list-conn.</summary>
    public static ViciMessage Connection(Connection connection)
    {
        var body = new ViciMessage().Add("local_addrs", Hosts(connection.LocalAddresses)).Add("remote_addrs", Hosts(connection.RemoteAddresses))
            .Add("local_port", connection.LocalPort == 0 ? 500 : connection.LocalPort).Add("remote_port", connection.RemotePort)
            .Add("version", connection.Version == IkeVersion.V1 ? "IKEv1" : "IKEv2").Add("reauth_time", Seconds(connection.ReauthTime)).Add("rekey_time", Seconds(connection.RekeyTime))
            .Add("unique", "UNIQUE_" + connection.Unique.ToString().ToUpperInvariant());
        // the name that RFC 6379 section 3 wants to be seen
        if (connection.Suite.Length > 0) body.Add("suite", connection.Suite);
        if (connection.ReauthFrequency > 0) body.Add("reauth_frequency", connection.ReauthFrequency);
        if (connection.DpdDelay > TimeSpan.Zero) body.Add("dpd_delay", Seconds(connection.DpdDelay));
        if (connection.DpdTimeout > TimeSpan.Zero) body.Add("dpd_timeout", Seconds(connection.DpdTimeout));
        if (connection.PpkId is { } ppk) body.Add("ppk_id", Identities.Print(ppk));
        body.Flag("ppk_required", connection.PpkRequired);
        var round = 0;
        foreach (var local in connection.LocalRounds.Prepend(connection.Local)) body.Add(string.Create(CultureInfo.InvariantCulture, $"local-{++round}"), CertificateListings.Local(local));
        round = 0;
        foreach (var remote in connection.RemoteRounds.Prepend(connection.Remote)) body.Add(string.Create(CultureInfo.InvariantCulture, $"remote-{++round}"), CertificateListings.Remote(remote));
        var children = new ViciMessage();
        foreach (var child in connection.Children)
        {
            var section = new ViciMessage().Add("mode", child.Mode.ToString().ToUpperInvariant()).Add("rekey_time", Seconds(child.RekeyTime)).Add("rekey_bytes", child.RekeyBytes).Add("rekey_packets", child.RekeyPackets)
                .Add("dpd_action", Action(child.DpdAction)).Add("close_action", Action(child.CloseAction)).Add("local-ts", child.LocalSelectors.Select(Print)).Add("remote-ts", child.RemoteSelectors.Select(Print));
            if (child.BindInterface is { } name) section.Add("interface", name);
            if (child.Suite.Length > 0) section.Add("suite", child.Suite);
            if (child.Priority != 0) section.Add("priority", child.Priority);
            children.Add(child.Name, section);
        }

        return new ViciMessage().Add(connection.Name, body.Add("children", children));
    }

    /// <summary>Body of list-policy: a trap or a shunt of a loaded connection.</summary>
    public static ViciMessage Policy(Connection connection, Child child, ReqIds reqIds)
    {
        var shunt = child.Mode is ChildMode.Pass or ChildMode.Drop;
        return Policy(connection.Name, child.Name, child.Mode.ToString(), shunt ? null : reqIds.Of(connection.Name, child.Name), child.LocalSelectors, child.RemoteSelectors);
    }

    /// <param name="connection">Its name.</param>
    /// <param name="child">Its name.</param>
    /// <param name="mode">Mode, or kind of shunt.</param>
    /// <param name="reqId">Shunts have none.</param>
    /// <param name="local">Own side.</param>
    /// <param name="remote">The peer's side.</param>
    public static ViciMessage Policy(string connection, string child, string mode, int? reqId, IEnumerable<SelectorPattern> local, IEnumerable<SelectorPattern> remote)
    {
        var body = new ViciMessage().Add("child", child);
        if (reqId is { } number) body.Add("reqid", number);
        body.Add("ike", connection).Add("mode", mode.ToUpperInvariant()).Add("local-ts", local.Select(Print)).Add("remote-ts", remote.Select(Print));
        return new ViciMessage().Add($"{connection}/{child}", body);
    }

    /// <summary>Answer of get-algorithms.</summary>
    public static ViciMessage AlgorithmList()
    {
        var provider = Libcrypto.IsAvailable ? "libcrypto" : "managed";
        ViciMessage Section(IEnumerable<string> names) => names.Order(StringComparer.Ordinal).Aggregate(new ViciMessage(), (section, name) => section.Add(name, provider));
        return new ViciMessage().Add("encryption", Section(Algorithms.Encr.Values.Where(info => !info.IsAead).Select(info => info.Name))).Add("integrity", Section([.. Algorithms.Integ.Values.Select(info => info.Name), .. Algorithms.Gmac.Values.Select(info => info.Name)]))
            .Add("aead", Section(Algorithms.Encr.Values.Where(info => info.IsAead).Select(info => info.Name))).Add("hasher", new ViciMessage()).Add("prf", Section(Algorithms.Prf.Values.Select(info => info.Name)))
            .Add("xof", new ViciMessage()).Add("kdf", Section(["KDF_PRF_PLUS"])).Add("drbg", new ViciMessage()).Add("dh", Section(Algorithms.Ke.Values.Select(info => info.Name)))
            .Add("rng", new ViciMessage()).Add("nonce-gen", new ViciMessage().Add("NONCE_GEN", "nonce"));
    }

    /// <summary>The 21 counters.</summary>
    /// <param name="counters">As they are.</param>
    /// <param name="floor">What they were at the last reset; default = zero.</param>
    public static ViciMessage Counters(MessageCounters counters, ImmutableArray<long> floor)
    {
        var values = CounterValues(counters);
        var body = new ViciMessage();
        for (var i = 0; i < values.Length; i++) body.Add(s_counters[i], values[i] - (floor.IsDefault ? 0 : floor[i]));
        return body;
    }

    /// <summary>Messages of IKEv1, which the 21 do not know.</summary>
    public static ViciMessage CountersV1(MessageCounters counters)
    {
        var body = new ViciMessage();
        for (var i = 0; i < s_countersV1.Length; i++) body.Add(s_countersV1[i], counters.MessagesV1[i]);
        return body;
    }

    /// <summary>The 21 values in their order.</summary>
    public static ImmutableArray<long> CounterValues(MessageCounters counters) => [counters.IkeRekeyInit, counters.IkeRekeyResp, counters.ChildRekey, counters.Invalid, counters.InvalidSpi, .. counters.Messages];

    /// <summary>A selector as listings print it.</summary>
    public static string Print(TrafficSelector selector) => selector.ToString();

    private static string Print(SelectorPattern pattern)
    {
        if (!pattern.IsDynamic) return pattern.Selector.ToString();
        var text = (pattern.Selector with { First = IpAddress.AnyV4, Last = IpAddress.AnyV4 }).ToString();
        return "dynamic" + text[(text.IndexOf('[', StringComparison.Ordinal) is var at and >= 0 ? at : text.Length)..];
    }

    private static void AddAlgorithms(ViciMessage body, Proposal proposal)
    {
        // clients print them in this order: encryption, integrity, PRF, key exchange, sequence numbers
        foreach (var transform in proposal.Transforms.OrderBy(transform => transform.Type switch { TransformType.Encr => 0, TransformType.Integ => 1, TransformType.Prf => 2, TransformType.Ke => 3, _ => 4 }))
        {
            switch (transform.Type)
            {
                case TransformType.Encr:
                    body.Add("encr-alg", Algorithms.Encr.TryGetValue((EncrId)transform.Id, out var encr) ? encr.Name : transform.Id.ToString(CultureInfo.InvariantCulture));
                    if (transform.KeyBits != 0) body.Add("encr-keysize", transform.KeyBits);
                    break;
                case TransformType.Integ when transform.Id != 0:
                    body.Add("integ-alg", Algorithms.Integ.TryGetValue((IntegId)transform.Id, out var integ) ? integ.Name : Algorithms.Gmac.TryGetValue((IntegId)transform.Id, out var gmac) ? gmac.Name : transform.Id.ToString(CultureInfo.InvariantCulture));
                    break;
                case TransformType.Prf:
                    body.Add("prf-alg", Algorithms.Prf.TryGetValue((PrfId)transform.Id, out var prf) ? prf.Name : transform.Id.ToString(CultureInfo.InvariantCulture));
                    break;
                case TransformType.Ke when transform.Id != 0:
                    body.Add("dh-group", Algorithms.Ke.TryGetValue((KeId)transform.Id, out var exchange) ? exchange.Name : transform.Id.ToString(CultureInfo.InvariantCulture));
                    break;
                case TransformType.Esn when transform.Id == 1:
                    body.Add("esn", "1");
                    break;
            }
        }
    }

    private static string Action(StartAction action) => action switch { StartAction.Trap => "trap", StartAction.Start => "start", StartAction.TrapAndStart => "trap | start", _ => "none" };

    private static string[] Hosts(ImmutableArray<HostPattern> hosts) => hosts.IsEmpty ? ["%any"] : [.. hosts.Select(host => host.ToString())];

    private static string Host(IpAddress address) => address.IsNone || address is { IsV4: true, IsUnspecified: true } ? "%any" : address.IsUnspecified ? "%any6" : address.ToString();

    private static long Seconds(TimeSpan time) => (long)time.TotalSeconds;
}

/// <summary>Stable small numbers of children, as others number their policies.</summary>
internal sealed class ReqIds
{
    private readonly Dictionary<(string, string), int> _numbers = [];

    public int Of(string connection, string child)
    {
        lock (_numbers)
        {
            if (!_numbers.TryGetValue((connection, child), out var number)) _numbers[(connection, child)] = number = _numbers.Count + 1;
            return number;
        }
    }
}
