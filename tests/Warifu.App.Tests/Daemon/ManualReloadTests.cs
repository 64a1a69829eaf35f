using System;
using System.Linq;
using System.Threading.Tasks;
using Warifu.App.Vici;
using Xunit;

namespace Warifu.App.Tests.Daemon;

/// <summary>Manual SAs in transactions: confirmation, rollback, and where their keys are.</summary>
[Trait("Item", "3.8")]
public sealed class ManualReloadTests
{
    private const string First = "01234567890123456789012345678901", Second = "abcdefghijklmnopqrstuvwxyzABCDEF";

    [Fact]
    public async Task What_is_not_confirmed_in_time_is_taken_back_with_its_keys()
    {
        await using var daemon = await LocalDaemon.StartAsync(File(("m", First, 300), ("gone", First, 301)));
        await using var client = await daemon.ConnectAsync();
        Assert.Equal(First, Key(daemon, "m"));
        await Begin(client);
        await Load(client, "m", Second, 300);
        await Load(client, "more", Second, 302);
        Assert.Equal(["~ manual SA m", "+ manual SA more", "- manual SA gone"], (await client.RequestAsync("warifu-commit", new ViciMessage().Add("confirm-within", "2"))).Items("changes"));
        Assert.Equal((Second, Second, null), (Key(daemon, "m"), Key(daemon, "more"), Key(daemon, "gone")));
        Assert.Equal(["m", "more"], daemon.Daemon.Node.Manual.Select(manual => manual.Sa.Name));
        // the data plane finds its keys by the handle that the policy has
        Assert.All(daemon.Daemon.Node.Manual, manual => Assert.True(daemon.Daemon.Config.Secrets.TryUse(manual.Sa.Keys, _ => { })));
        await Wait(async () => (await daemon.AskAsync("warifu-status")).Text("unconfirmed") != "yes");
        await Wait(() => Task.FromResult(daemon.Daemon.Node.Manual.Length == 2 && daemon.Daemon.Node.Manual[0].Sa.Name == "gone"));
        Assert.Equal((First, null, First), (Key(daemon, "m"), Key(daemon, "more"), Key(daemon, "gone")));
        Assert.All(daemon.Daemon.Node.Manual, manual => Assert.True(daemon.Daemon.Config.Secrets.TryUse(manual.Sa.Keys, _ => { })));
        Assert.Contains(await daemon.ListAsync("warifu-events", "warifu-event"), line => line.Text("text")!.Contains("was not confirmed and is taken back: ~ manual SA m, + manual SA gone, - manual SA more", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Trial_after_trial_a_rollback_leads_to_where_the_first_began_and_a_confirmation_keeps_the_last()
    {
        await using var daemon = await LocalDaemon.StartAsync(File(("m", First, 300)));
        await using var client = await daemon.ConnectAsync();
        foreach (var confirm in new[] { false, true })
        {
            foreach (var key in new[] { Second, new string('x', 32) })
            {
                await Begin(client);
                await Load(client, "m", key, 300);
                Assert.Equal("yes", (await client.RequestAsync("warifu-commit", new ViciMessage().Add("confirm-within", "600"))).Text("success"));
                Assert.Equal(key, Key(daemon, "m"));
            }

            if (confirm) Assert.Equal("yes", (await client.RequestAsync("warifu-commit")).Text("success"));
            else Assert.Equal(["~ manual SA m"], (await client.RequestAsync("warifu-rollback")).Items("changes"));
            Assert.Equal(confirm ? new string('x', 32) : First, Key(daemon, "m"));
        }

        Assert.Equal("no", (await client.RequestAsync("warifu-rollback")).Text("success"));
        // a dry run compares keys, and changes nothing
        foreach (var (key, changes) in new (string, string[])[] { (new string('x', 32), []), (First, ["~ manual SA m"]) })
        {
            Assert.Equal("yes", (await client.RequestAsync("warifu-begin", new ViciMessage().Add("dry-run", "yes"))).Text("success"));
            await Load(client, "m", key, 300);
            Assert.Equal(changes, (await client.RequestAsync("warifu-commit")).Items("changes"));
            Assert.Equal(new string('x', 32), Key(daemon, "m"));
        }

        // one with a mistake changes nothing either
        await Begin(client);
        await Load(client, "m", First[1..], 300);
        Assert.Contains("the key has 31 octets; aes256 takes 32 octets", Assert.Single((await client.RequestAsync("warifu-commit")).Items("errors")), StringComparison.Ordinal);
        Assert.Equal(new string('x', 32), Key(daemon, "m"));
    }

    [Fact]
    public async Task Other_commands_know_them()
    {
        await using var daemon = await LocalDaemon.StartAsync(File(("m", First, 300)));
        // this daemon has no data plane, and says so
        await Wait(async () => (await daemon.ListAsync("warifu-events", "warifu-event")).Any(line => line.Text("text")!.Contains("manual SA m carries nothing: this process has no data plane", StringComparison.Ordinal)));
        var status = (await daemon.ListAsync("warifu-status", "warifu-status-conn", new ViciMessage().Add("name", "m"))).Single().Section("m")!;
        Assert.Equal("down, with manual keys", status.Text("state"));
        Assert.Contains("nothing is negotiated", (await daemon.AskAsync("initiate", new ViciMessage().Add("ike", "m"))).Text("errmsg"), StringComparison.Ordinal);
        Assert.Contains("removed from the configuration", (await daemon.AskAsync("terminate", new ViciMessage().Add("ike", "m"))).Text("errmsg"), StringComparison.Ordinal);
        Assert.Contains("not negotiated", (await daemon.AskAsync("rekey", new ViciMessage().Add("ike", "m"))).Text("errmsg"), StringComparison.Ordinal);
        // its keys are no shared keys
        Assert.Empty((await daemon.AskAsync("get-shared")).Items("keys"));
        await daemon.AskAsync("clear-creds");
        Assert.Equal(First, Key(daemon, "m"));
        // a connection that is loaded alone is compared, too
        foreach (var (name, address, why) in new[] { ("m", "192.0.2.9", "one VPN has its keys by IKE or by hand"), ("other", "192.0.2.2", "are between the same gateways"), ("other", "192.0.2.9", null) })
        {
            var connection = new ViciMessage().Add("version", "2").AddList("remote_addrs", [System.Text.Encoding.ASCII.GetBytes(address)]).Add("local", new ViciMessage().Add("auth", "psk")).Add("remote", new ViciMessage().Add("auth", "psk").Add("id", "o.example.org"))
                .Add("children", new ViciMessage().Add("net", new ViciMessage().AddList("local_ts", ["10.1.0.0/16"u8.ToArray()]).AddList("remote_ts", ["10.2.0.0/16"u8.ToArray()])));
            var answer = await daemon.AskAsync("load-conn", new ViciMessage().Add(name, connection));
            if (why is null) Assert.Equal("yes", answer.Text("success"));
            else Assert.Contains(why, answer.Text("errmsg"), StringComparison.Ordinal);
        }

        Assert.Equal("no", (await daemon.AskAsync("warifu-manual", new ViciMessage())).Text("success"));
    }

    private static string File(params (string Name, string Key, int Spi)[] all) => "manual {\n" + string.Concat(all.Select(one => $"{one.Name} {{\n local = 192.0.2.1\n remote = 192.0.2.2\n spi = {one.Spi}\n encr = aes256\n encr_key = {one.Key}\n integ = sha1\n integ_key = ABCDEFGHIJKLMNOPQRST\n local_ts = 10.1.0.0/16\n remote_ts = 10.2.0.0/{16 + (one.Spi - 300)}\n }}\n")) + "}\n";

    /// <summary>The inbound key of the cipher, as the store has it.</summary>
    private static string? Key(LocalDaemon daemon, string name)
    {
        string? text = null;
        daemon.Daemon.Config.Secrets.TryUse(daemon.Daemon.Config.Secrets.FindManual(name), keys => text = System.Text.Encoding.ASCII.GetString(keys.Span[..32]));
        return text;
    }

    private static async Task Begin(ViciClient client) => Assert.Equal("yes", (await client.RequestAsync("warifu-begin")).Text("success"));

    private static async Task Load(ViciClient client, string name, string key, int spi)
    {
        var section = new ViciMessage().Add("local", "192.0.2.1").Add("remote", "192.0.2.2").Add("spi", spi).Add("encr", "aes256").Add("encr_key", key).Add("integ", "sha1").Add("integ_key", "ABCDEFGHIJKLMNOPQRST")
            .AddList("local_ts", ["10.1.0.0/16"u8.ToArray()]).AddList("remote_ts", [System.Text.Encoding.ASCII.GetBytes($"10.2.0.0/{16 + (spi - 300)}")]);
        Assert.Equal("yes", (await client.RequestAsync("warifu-manual", new ViciMessage().Add(name, section))).Text("success"));
    }

    private static async Task Wait(Func<Task<bool>> holds)
    {
        for (var i = 0; !await holds(); i++)
        {
            Assert.True(i < 300, "it does not come");
            await Task.Delay(20);
        }
    }
}
