using System;
using System.Linq;
using System.Threading.Tasks;
using Warifu.App.Vici;
using Xunit;

namespace Warifu.App.Tests.Daemon;

/// <summary>Configuration by VICI: transactions, confirmation, and what stays up.</summary>
[Trait("Item", "1.14")]
public sealed class TransactionTests
{
    [Fact]
    public async Task A_transaction_is_applied_as_a_whole_and_answers_what_changed()
    {
        await using var daemon = await LocalDaemon.StartAsync();
        await using var client = await daemon.ConnectAsync();
        await Begin(client);
        await Load(client, "one");
        await Load(client, "two");
        Assert.Empty((await daemon.AskAsync("get-conns")).Items("conns"));
        var answer = await client.RequestAsync("warifu-commit");
        Assert.Equal("yes", answer.Text("success"));
        Assert.Equal(["+ connection one", "+ connection two"], answer.Items("changes"));
        Assert.Equal(["one", "two"], (await daemon.AskAsync("get-conns")).Items("conns"));
    }

    [Fact]
    public async Task All_errors_of_a_transaction_come_with_their_places_and_nothing_changes()
    {
        await using var daemon = await LocalDaemon.StartAsync();
        await using var client = await daemon.ConnectAsync();
        await Begin(client);
        await Load(client, "good");
        await client.RequestAsync("load-conn", new ViciMessage().Add("bad", Connection("bad").Add("x-source", "/etc/warifu/a.conf:7:3").Add("x-places", ["dpd_delay=9:15", "rekey_tim=/etc/warifu/b.conf:12:5"]).Add("rekey_tim", "4h").Add("mobike", "maybe")));
        await client.RequestAsync("load-conn", new ViciMessage().Add("worse", Connection("worse").Add("x-source", "/etc/warifu/c.conf:30:1").AddList("proposals", ["aes128-nonsense"u8.ToArray()])));
        var answer = await client.RequestAsync("warifu-commit");
        Assert.Equal("no", answer.Text("success"));
        var errors = answer.Items("errors").ToList();
        Assert.Contains(errors, error => error.StartsWith("/etc/warifu/b.conf:12:5: error: unknown key 'rekey_tim'", StringComparison.Ordinal));
        Assert.Contains(errors, error => error.StartsWith("/etc/warifu/a.conf:7:3: error:", StringComparison.Ordinal) && error.Contains("mobike", StringComparison.Ordinal));
        Assert.Contains(errors, error => error.StartsWith("/etc/warifu/c.conf:30:1: error:", StringComparison.Ordinal));
        Assert.Empty((await daemon.AskAsync("get-conns")).Items("conns"));
        Assert.Equal("no", (await client.RequestAsync("warifu-commit")).Text("success"));
    }

    [Fact]
    public async Task A_dry_run_says_what_would_change_and_changes_nothing()
    {
        await using var daemon = await LocalDaemon.StartAsync();
        await using var client = await daemon.ConnectAsync();
        await client.RequestAsync("warifu-begin", new ViciMessage().Add("dry-run", "yes"));
        await Load(client, "one");
        Assert.Equal(["+ connection one"], (await client.RequestAsync("warifu-commit")).Items("changes"));
        Assert.Empty((await daemon.AskAsync("get-conns")).Items("conns"));
    }

    [Fact]
    public async Task A_rollback_throws_away_what_was_gathered()
    {
        await using var daemon = await LocalDaemon.StartAsync();
        await using var client = await daemon.ConnectAsync();
        await Begin(client);
        await Load(client, "one");
        Assert.Equal("yes", (await client.RequestAsync("warifu-rollback")).Text("success"));
        Assert.Equal("no", (await client.RequestAsync("warifu-commit")).Text("success"));
        Assert.Equal("no", (await client.RequestAsync("warifu-rollback")).Text("success"));
        Assert.Empty((await daemon.AskAsync("get-conns")).Items("conns"));
    }

    [Fact]
    public async Task A_client_that_goes_away_leaves_no_transaction_behind()
    {
        await using var daemon = await LocalDaemon.StartAsync();
        await using (var client = await daemon.ConnectAsync())
        {
            await Begin(client);
            await Load(client, "one");
        }

        Assert.Equal("no", (await daemon.AskAsync("warifu-commit")).Text("success"));
        Assert.Empty((await daemon.AskAsync("get-conns")).Items("conns"));
    }

    [Fact]
    public async Task What_is_not_confirmed_in_time_is_taken_back_with_its_secrets()
    {
        await using var pair = await Pair.StartAsync(Side.Left, Side.Right);
        await using var client = await pair.Left.ConnectAsync();
        await Begin(client);
        await Load(client, "other");
        await client.RequestAsync("load-shared", new ViciMessage().Add("id", "ike-other").Add("type", "IKE").Add("data", "Hn4.cTy8-Bd3mGk6"));
        Assert.Equal(["+ connection other", "- connection site"], (await client.RequestAsync("warifu-commit", new ViciMessage().Add("confirm-within", "3"))).Items("changes"));
        Assert.Equal(["other"], (await pair.Left.AskAsync("get-conns")).Items("conns"));
        Assert.Equal(["ike-other"], (await pair.Left.AskAsync("get-shared")).Items("keys"));
        Assert.Equal("yes", (await pair.Left.AskAsync("warifu-status")).Text("unconfirmed"));
        await Wait(async () => (await pair.Left.AskAsync("get-conns")).Items("conns").SequenceEqual(["site"]));
        // it is told when all of it is done
        await Wait(async () => (await pair.Left.ListAsync("warifu-events", "warifu-event")).Any(line => line.Text("text")!.Contains("was not confirmed and is taken back: + connection site, - connection other", StringComparison.Ordinal)));
        Assert.Equal(["ike-site"], (await pair.Left.AskAsync("get-shared")).Items("keys"));
        // the secret that came back is the right one
        Assert.Equal("yes", (await pair.InitiateAsync()).Text("success"));
    }

    [Fact]
    public async Task What_is_confirmed_in_time_stays()
    {
        await using var daemon = await LocalDaemon.StartAsync();
        await using var client = await daemon.ConnectAsync();
        await Begin(client);
        await Load(client, "one");
        await client.RequestAsync("warifu-commit", new ViciMessage().Add("confirm-within", "2"));
        // anybody may confirm
        Assert.Equal("yes", (await daemon.AskAsync("warifu-commit")).Text("success"));
        await Task.Delay(2300);
        Assert.Equal(["one"], (await daemon.AskAsync("get-conns")).Items("conns"));
        Assert.Equal("no", (await daemon.AskAsync("warifu-rollback")).Text("success"));
    }

    [Fact]
    public async Task An_unconfirmed_change_is_taken_back_at_once_by_a_rollback()
    {
        await using var daemon = await LocalDaemon.StartAsync(Side.Left.Text);
        await using var client = await daemon.ConnectAsync();
        await Begin(client);
        await client.RequestAsync("warifu-commit", new ViciMessage().Add("confirm-within", "600"));
        Assert.Empty((await daemon.AskAsync("get-conns")).Items("conns"));
        Assert.Equal(["+ connection site"], (await daemon.AskAsync("warifu-rollback")).Items("changes"));
        Assert.Equal(["site"], (await daemon.AskAsync("get-conns")).Items("conns"));
    }

    [Theory]
    [InlineData("0")]
    [InlineData("-5")]
    [InlineData("soon")]
    [InlineData("86401")]
    public async Task A_time_to_confirm_that_is_no_time_is_refused(string text)
    {
        await using var daemon = await LocalDaemon.StartAsync();
        await using var client = await daemon.ConnectAsync();
        await Begin(client);
        await Load(client, "one");
        Assert.Equal("no", (await client.RequestAsync("warifu-commit", new ViciMessage().Add("confirm-within", text))).Text("success"));
        Assert.Empty((await daemon.AskAsync("get-conns")).Items("conns"));
    }

    [Fact]
    public async Task A_reload_touches_only_what_differs()
    {
        await using var pair = await Pair.StartAsync(Side.Left, Side.Right);
        await pair.InitiateAsync();
        var before = (await pair.Left.ListAsync("list-sas", "list-sa")).Single();
        var text = await System.IO.File.ReadAllTextAsync(pair.Left.File);
        await pair.Left.LoadAsync("# a comment, and lines that move\n\n" + text.Replace("secrets {", "secrets {\n ike-more {\n secret = \"Hn4.cTy8-Bd3mGk6\"\n id-1 = more.example.org\n }", StringComparison.Ordinal));
        Assert.Equal(Spis(before), Spis((await pair.Left.ListAsync("list-sas", "list-sa")).Single()));
        await pair.Left.LoadAsync(text.Replace("children {", "children {\n more {\n local_ts = 10.9.0.0/16\n }", StringComparison.Ordinal));
        Assert.Equal(Spis(before), Spis((await pair.Left.ListAsync("list-sas", "list-sa")).Single()));
        // the child changes: it goes, the IKE SA stays
        await pair.Left.LoadAsync(text.Replace("remote_ts = 10.2.0.0/16", "remote_ts = 10.2.3.0/24", StringComparison.Ordinal));
        await Wait(async () => (await pair.Left.ListAsync("list-sas", "list-sa")).Single().Section("site")!.Section("child-sas")!.IsEmpty);
        // the connection goes
        await pair.Left.LoadAsync("");
        await Wait(async () => (await pair.Left.ListAsync("list-sas", "list-sa")).Count == 0 && (await pair.Right.ListAsync("list-sas", "list-sa")).Count == 0);
    }

    [Fact]
    public async Task Down_reasons_and_next_events_are_told()
    {
        await using var pair = await Pair.StartAsync(Side.Left with { Psk = "Kq7.vXe2-Lw9pRz5", Child = "keep = up" }, Side.Right);
        await Wait(async () => (await Status(pair.Left)).Text("reason") is not null);
        var status = await Status(pair.Left);
        Assert.Equal("down", status.Text("state"));
        Assert.Contains("AUTHENTICATION_FAILED", status.Text("reason"), StringComparison.Ordinal);
        var text = await System.IO.File.ReadAllTextAsync(pair.Left.File);
        await pair.Left.LoadAsync(text.Replace("Kq7.vXe2-Lw9pRz5", Side.Secret, StringComparison.Ordinal).Replace("keep = up", "start_action = start", StringComparison.Ordinal));
        await Wait(async () => (await Status(pair.Left)).Text("state") == "up");
        status = await Status(pair.Left);
        Assert.Null(status.Text("reason"));
        Assert.StartsWith("rekey in ", status.Text("next"), StringComparison.Ordinal);
        var child = status.Section("children")!.Section("net")!;
        Assert.Equal("up", child.Text("state"));
        Assert.StartsWith("rekey in ", child.Text("next"), StringComparison.Ordinal);
        await pair.Left.AskAsync("terminate", new ViciMessage().Add("ike", "site"));
        await Wait(async () => (await Status(pair.Left)).Text("state") == "down");
        Assert.Equal("closed from here", (await Status(pair.Left)).Text("reason"));
        await Wait(async () => (await Status(pair.Right)).Text("reason") == "the peer closed it");
    }

    private static async Task<ViciMessage> Status(LocalDaemon daemon) => (await daemon.ListAsync("warifu-status", "warifu-status-conn", new ViciMessage().Add("name", "site"))).Single().Section("site")!;

    private static string Spis(ViciMessage sa)
    {
        var site = sa.Section("site")!;
        return $"{site.Text("initiator-spi")} {string.Join(' ', site.Section("child-sas")!.Elements.Select(child => child.Section!.Text("spi-in")))}";
    }

    private static async Task Begin(ViciClient client) => Assert.Equal("yes", (await client.RequestAsync("warifu-begin")).Text("success"));

    private static async Task Load(ViciClient client, string name) => Assert.Equal("yes", (await client.RequestAsync("load-conn", new ViciMessage().Add(name, Connection(name)))).Text("success"));

    private static ViciMessage Connection(string name) => new ViciMessage().Add("version", "2").AddList("remote_addrs", ["192.0.2.9"u8.ToArray()]).Add("local", new ViciMessage().Add("auth", "psk")).Add("remote", new ViciMessage().Add("auth", "psk").Add("id", name + ".example.org"));

    private static async Task Wait(Func<Task<bool>> holds)
    {
        for (var i = 0; !await holds(); i++)
        {
            Assert.True(i < 300, "it does not come");
            await Task.Delay(20);
        }
    }
}
