using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Warifu.App.Vici;

namespace Warifu.App.Cli;

/// <summary>What people read: status, list, log, explain. Results go to standard output; with JSON the keys are those of VICI.</summary>
internal static class Listings
{
    public static async Task<int> RunAsync(ViciClient client, string what, bool json, CancellationToken stop)
    {
        switch (what)
        {
            case "sas":
                var (sas, _) = await client.StreamAsync("list-sas", "list-sa", cancellationToken: stop);
                Console.WriteLine(json ? Json.Merge(sas) : Text(sas, Sa, "no SAs"));
                return 0;
            case "conns":
                var (connections, _) = await client.StreamAsync("list-conns", "list-conn", cancellationToken: stop);
                Console.WriteLine(json ? Json.Merge(connections) : Text(connections, Connection, "no connections"));
                return 0;
            case "policies":
                var (policies, _) = await client.StreamAsync("list-policies", "list-policy", new ViciMessage().Add("trap", "yes").Add("pass", "yes").Add("drop", "yes"), stop);
                Console.WriteLine(json ? Json.Merge(policies) : Text(policies, Policy, "no policies"));
                return 0;
            case "counters":
                var counters = await client.RequestAsync("get-counters", cancellationToken: stop);
                Console.WriteLine(json ? Json.Print(counters) : string.Join('\n', Counters(counters)));
                return 0;
            case "certs":
                return await CredentialViews.CertificatesAsync(client, json, stop);
            case "authorities":
                return await CredentialViews.AuthoritiesAsync(client, json, stop);
            case "pools":
                return await CredentialViews.PoolsAsync(client, json, stop);
            default:
                throw new ArgumentException($"nothing is called '{what}'", nameof(what));
        }
    }

    /// <summary>What this build can compute.</summary>
    public static int Algorithms(bool json)
    {
        var algorithms = ViciListings.AlgorithmList();
        Console.WriteLine(json ? Json.Print(algorithms) : string.Join('\n', algorithms.Elements.Where(element => element.Section is { IsEmpty: false }).Select(element => $"{element.Name}: {string.Join(' ', element.Section!.Elements.Select(one => one.Name))}")));
        return 0;
    }

    public static async Task<int> StatusAsync(ViciClient client, string? name, bool json, CancellationToken stop)
    {
        var request = new ViciMessage();
        if (name is not null) request.Add("name", name);
        var (connections, daemon) = await client.StreamAsync("warifu-status", "warifu-status-conn", request, stop);
        if (name is not null && connections.Count == 0)
        {
            await Console.Error.WriteLineAsync($"warifu: there is no connection '{name}'");
            return 1;
        }

        if (json)
        {
            var all = new ViciMessage();
            foreach (var element in connections.SelectMany(connection => connection.Elements)) all.Add(element.Name, element.Section!);
            Console.WriteLine(Json.Print(daemon.Add("connections", all)));
            return 0;
        }

        Console.WriteLine($"warifu {daemon.Text("version")} since {daemon.Text("since")}: {daemon.Text("ike-sas")} IKE SAs, {daemon.Text("children")} children, data plane {daemon.Text("dataplane")}, UDP {daemon.Text("port")} and {daemon.Text("port-nat-t")}");
        if (daemon.Text("clear-text-guard") is { } guard and not "on") Console.WriteLine($"  warning: unprotected packets are not filtered: {guard}");
        if (daemon.Bool("unconfirmed")) Console.WriteLine("  warning: the last change is not confirmed yet: 'warifu load --confirm' keeps it");
        foreach (var element in connections.SelectMany(connection => connection.Elements))
        {
            var section = element.Section!;
            Console.WriteLine($"{element.Name}: {section.Text("state")}{Comma(section.Text("next"))}{(section.Text("reason") is { } reason ? $"\n  why: {reason}" : "")}");
            foreach (var certificate in section.Items("certificates")) Console.WriteLine($"  certificate {certificate}");
            foreach (var child in section.Section("children")?.Elements ?? []) Console.WriteLine($"  {child.Name}: {child.Section!.Text("state")}{Comma(child.Section!.Text("next"))}{(child.Section!.Text("reason") is { } why ? $"\n    why: {why}" : "")}");
        }

        return 0;
    }

    public static async Task<int> LogAsync(ViciClient client, bool follow, string? connection, bool json, CancellationToken stop)
    {
        void Print(string name, ViciMessage line)
        {
            if (name != "warifu-event" || (connection is not null && line.Text("connection") != connection)) return;
            Console.WriteLine(json ? Json.PrintLine(line) : $"{line.Text("at")} {line.Text("level")}: {line.Text("text")}");
        }

        await client.RegisterAsync("warifu-event", stop);
        var request = new ViciMessage();
        if (connection is not null) request.Add("conn", connection);
        await client.RequestAsync("warifu-events", request, Print, stop);
        if (!follow) return 0;
        try
        {
            await foreach (var (name, message) in client.EventsAsync(stop)) Print(name, message);
        }
        catch (OperationCanceledException)
        {
            // the user has seen enough
            return 0;
        }

        await Console.Error.WriteLineAsync("warifu: the daemon has ended");
        return 1;
    }

    public static async Task<int> ExplainAsync(ViciClient client, string? name, bool json, CancellationToken stop)
    {
        var request = new ViciMessage();
        if (name is not null) request.Add("name", name);
        var answer = await client.RequestAsync("warifu-explain", request, cancellationToken: stop);
        if (answer.Text("success") != "yes")
        {
            await Console.Error.WriteLineAsync($"warifu: {answer.Text("errmsg")}");
            return 1;
        }

        Console.WriteLine(json ? Json.Print(answer) : string.Join('\n', answer.Items("text")));
        return 0;
    }

    /// <summary>IKE SAs and their children as people read them.</summary>
    public static string Text(List<ViciMessage> sas) => Text(sas, Sa, "no SAs");

    private static string Comma(string? text) => text is null ? "" : ", " + text;

    private static string Text(List<ViciMessage> messages, Func<string, ViciMessage, IEnumerable<string>> print, string none) =>
        messages.Count == 0 ? none : string.Join('\n', messages.SelectMany(message => message.Elements).SelectMany(element => print(element.Name, element.Section!)));

    private static IEnumerable<string> Sa(string name, ViciMessage sa)
    {
        if (sa.Text("state") == "MANUAL") yield return $"{name}: manual keys";
        else yield return $"{name}: #{sa.Text("uniqueid")}, {sa.Text("state")}, IKEv{sa.Text("version")}, {sa.Text("initiator-spi")}_i{(sa.Text("initiator") is null ? "" : "*")} {sa.Text("responder-spi")}_r{(sa.Text("initiator") is null ? "*" : "")}";
        yield return $"  local  '{sa.Text("local-id")}' @ {sa.Text("local-host")}[{sa.Text("local-port")}]{(sa.Text("nat-local") is null ? "" : " behind NAT")}";
        yield return $"  remote '{sa.Text("remote-id")}'{(sa.Text("remote-xauth-id") is { } user ? $" user '{user}'" : "")} @ {sa.Text("remote-host")}[{sa.Text("remote-port")}]{(sa.Text("nat-remote") is null ? "" : " behind NAT")}";
        if (sa.Items("local-vips").Any()) yield return $"  our virtual addresses {string.Join(' ', sa.Items("local-vips"))}";
        if (sa.Items("remote-vips").Any()) yield return $"  its virtual addresses {string.Join(' ', sa.Items("remote-vips"))}";
        if (sa.Text("encr-alg") is not null) yield return $"  {Suite(sa)}";
        if (sa.Text("established") is { } since) yield return $"  established {since}s ago{(sa.Text("rekey-time") is { } rekey ? $", rekeying in {rekey}s" : "")}{(sa.Text("reauth-time") is { } again ? $", authenticating anew in {again}s" : "")}";
        foreach (var element in sa.Section("child-sas")?.Elements ?? [])
        {
            var child = element.Section!;
            yield return $"  {child.Text("name")}: #{child.Text("uniqueid")}, {child.Text("state")}, {child.Text("mode")}{(child.Text("encap") is null ? "" : "-in-UDP")}, {child.Text("protocol")}:{Suite(child)}{(child.Text("x-suite") is { } known ? $" ({known})" : "")}";
            yield return $"    installed {child.Text("install-time")}s ago{(child.Text("rekey-time") is { } next ? $", rekeying in {next}s" : "")}{(child.Text("life-time") is { } end ? $", expires in {end}s" : "")}";
            yield return $"    in  {child.Text("spi-in")}, {child.Text("bytes-in"),10} bytes, {child.Text("packets-in"),6} packets{(child.Text("use-in") is { } use ? $", {use}s ago" : "")}";
            yield return $"    out {child.Text("spi-out")}, {child.Text("bytes-out"),10} bytes, {child.Text("packets-out"),6} packets{(child.Text("use-out") is { } used ? $", {used}s ago" : "")}";
            yield return $"    local  {string.Join(' ', child.Items("local-ts"))}";
            yield return $"    remote {string.Join(' ', child.Items("remote-ts"))}";
        }
    }

    // AH has no cipher
    private static string Suite(ViciMessage sa) => string.Join('/', new[] { sa.Text("encr-alg") is { } cipher ? cipher + (sa.Text("encr-keysize") is { } bits ? "-" + bits : "") : null, sa.Text("integ-alg"), sa.Text("prf-alg"), sa.Text("dh-group"), sa.Text("esn") is null ? null : "ESN" }.Where(part => part is not null));

    internal static IEnumerable<string> Connection(string name, ViciMessage connection)
    {
        yield return $"{name}: {connection.Text("version")}, rekeying every {connection.Text("rekey_time")}s{Reauthentication(connection)}{(connection.Text("suite") is { } suite ? $", {suite}" : "")}";
        yield return $"  local:  {string.Join(' ', connection.Items("local_addrs"))}";
        yield return $"  remote: {string.Join(' ', connection.Items("remote_addrs"))}";
        foreach (var element in connection.Elements.Where(element => element.Section is not null && (element.Name.StartsWith("local-", StringComparison.Ordinal) || element.Name.StartsWith("remote-", StringComparison.Ordinal))))
        {
            var round = element.Section!;
            yield return $"  {(element.Name.EndsWith("-1", StringComparison.Ordinal) ? element.Name[..^2] : element.Name)} {round.Text("class")} authentication, id {round.Text("id") ?? "%any"}";
            foreach (var certificate in round.Items("certs")) yield return $"    certificate '{certificate}'";
            foreach (var authority in round.Items("cacerts")) yield return $"    CA '{authority}'";
        }

        foreach (var element in connection.Section("children")?.Elements ?? [])
        {
            var child = element.Section!;
            yield return $"  {element.Name}: {child.Text("mode")}, rekeying every {child.Text("rekey_time")}s{(child.Text("interface") is { } device ? $", interface {device}" : "")}{(child.Text("suite") is { } one ? $", {one}" : "")}";
            yield return $"    local:  {string.Join(' ', child.Items("local-ts"))}";
            yield return $"    remote: {string.Join(' ', child.Items("remote-ts"))}";
        }
    }

    private static string Reauthentication(ViciMessage connection)
    {
        if (connection.Text("reauth_frequency") is { } frequency) return frequency == "1" ? ", each time by authenticating anew" : $", 1 of {frequency} times by authenticating anew";
        return connection.Text("reauth_time") is null or "0" ? "" : $", authenticating anew every {connection.Text("reauth_time")}s";
    }

    private static IEnumerable<string> Policy(string name, ViciMessage policy) =>
        [$"{name}: {policy.Text("mode")}", $"  local:  {string.Join(' ', policy.Items("local-ts"))}", $"  remote: {string.Join(' ', policy.Items("remote-ts"))}"];

    internal static IEnumerable<string> Counters(ViciMessage answer)
    {
        foreach (var element in answer.Section("counters")?.Elements is [{ Section: { } counters }, ..] ? counters.Elements : []) yield return $"{element.Name,-24} {Value(element)}";
        yield return "IKEv1:";
        foreach (var element in answer.Section("x-messages-v1")?.Elements ?? [])
        {
            if (Value(element) != "0") yield return $"  {element.Name,-22} {Value(element)}";
        }

        yield return "drops:";
        foreach (var element in answer.Section("x-drops")?.Elements ?? [])
        {
            if (Value(element) != "0") yield return $"  {element.Name,-22} {Value(element)}";
        }

        static string Value(ViciElement element) => System.Text.Encoding.UTF8.GetString(element.Value!);
    }
}
