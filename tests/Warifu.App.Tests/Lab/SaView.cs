using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Threading.Tasks;
using Warifu.App.Vici;

namespace Warifu.App.Tests.Lab;

/// <summary>An IKE SA as a VICI socket lists it: ours and strongSwan's have the same form. No program is started for it.</summary>
internal sealed record IkeSaView(string Connection, ViciMessage Body)
{
    public string State => Body.Text("state") ?? "";

    public string Spis => $"{Body.Text("initiator-spi")} {Body.Text("responder-spi")}";

    public bool NatLocal => Body.Bool("nat-local");

    public bool NatRemote => Body.Bool("nat-remote");

    public string LocalHost => Body.Text("local-host") ?? "";

    public string RemoteHost => Body.Text("remote-host") ?? "";

    public long RemotePort => Body.Number("remote-port", 0);

    public long LocalPort => Body.Number("local-port", 0);

    /// <summary>Whether <see cref="Children"/> has pairs that were rekeyed, and wait for their end.</summary>
    public bool Rekeyed { get; init; } = true;

    public IReadOnlyList<ChildSaView> Children => [.. (Body.Section("child-sas")?.Elements ?? []).Select(element => new ChildSaView(element.Section!)).Where(child => Rekeyed || child.State != "REKEYED")];

    /// <summary>All IKE SAs of a daemon; none when it is gone.</summary>
    public static async Task<IReadOnlyList<IkeSaView>> ListAsync(string socket)
    {
        try
        {
            await using var client = await ViciClient.ConnectAsync(socket);
            var (sas, _) = await client.StreamAsync("list-sas", "list-sa");
            return [.. sas.SelectMany(sa => sa.Elements).Where(element => element.Section is not null).Select(element => new IkeSaView(element.Name, element.Section!))];
        }
        catch (IOException)
        {
            return [];
        }
    }
}

/// <summary>A pair of IPsec SAs with its counters.</summary>
internal sealed record ChildSaView(ViciMessage Body)
{
    public string Name => Body.Text("name") ?? "";

    public string State => Body.Text("state") ?? "";

    public string SpiIn => (Body.Text("spi-in") ?? "").ToLowerInvariant();

    public string SpiOut => (Body.Text("spi-out") ?? "").ToLowerInvariant();

    public long PacketsIn => Body.Number("packets-in", 0);

    public long PacketsOut => Body.Number("packets-out", 0);

    public bool Encapsulated => Body.Bool("encap");

    public string LocalSelectors => string.Join(' ', Body.Items("local-ts"));

    public string RemoteSelectors => string.Join(' ', Body.Items("remote-ts"));

    public long Drops => Body.Number("x-replay-drops", 0) + Body.Number("x-integrity-drops", 0) + Body.Number("x-selector-drops", 0);
}

/// <summary>Polls with a limit: nothing sleeps longer than it must.</summary>
internal static class Until
{
    public static async Task<T> HoldsAsync<T>(string what, Func<Task<T>> look, Func<T, bool> good, Func<T, string>? show = null, double seconds = 10)
    {
        var end = DateTime.UtcNow.AddSeconds(seconds);
        while (true)
        {
            var seen = await look();
            if (good(seen)) return seen;
            if (DateTime.UtcNow > end) throw new TimeoutException($"{what}: not within {seconds} s; seen last: {(show is null ? seen?.ToString() : show(seen))}");
            await Task.Delay(50);
        }
    }
}
