using System;
using System.IO;
using System.Linq;
using System.Text.Json;
using System.Threading.Tasks;
using Warifu.App.Tests.Daemon;
using Warifu.App.Tests.Lab;
using Warifu.App.Tests.Vici;
using Xunit;

namespace Warifu.App.Tests.CommandLine;

/// <summary>The program as its users see it: exit codes, what goes to which stream, JSON, words of errors. Needs no privilege.</summary>
[Trait("Item", "1.14")]
public sealed class CommandLineTests
{
    [Fact]
    [Trait("Smoke", "yes")]
    public async Task Help_calls_the_program_warifu_and_lists_its_commands()
    {
        var help = await RunAsync("--help");
        Assert.Equal(0, help.ExitCode);
        Assert.Contains("warifu [command] [options]", help.Output, StringComparison.Ordinal);
        Assert.DoesNotContain("warifu-cli", help.Output, StringComparison.Ordinal);
        foreach (var command in new[] { "run", "check", "load", "up", "down", "rekey", "status", "list", "log", "explain", "demo", "publish" }) Assert.Contains($"\n  {command} ", help.Output, StringComparison.Ordinal);
        Assert.Contains("warifu list [command]", (await RunAsync("list", "--help")).Output, StringComparison.Ordinal);
        Assert.Equal(0, (await RunAsync("--version")).ExitCode);
    }

    [Theory]
    [InlineData("nonsense")]
    [InlineData("")]
    [InlineData("up")]
    [InlineData("list")]
    [InlineData("list", "nonsense")]
    [InlineData("load")]
    [InlineData("load", "a", "--confirm")]
    [InlineData("load", "a", "--confirm-within", "0")]
    [InlineData("explain")]
    [InlineData("explain", "a", "--last")]
    [InlineData("rekey", "a", "--ike", "--child")]
    [InlineData("run", "--dataplane", "magic")]
    [InlineData("check")]
    public async Task Wrong_usage_ends_with_2_and_says_so_on_standard_error(params string[] arguments)
    {
        var ended = await RunAsync(arguments.Where(argument => argument.Length > 0).ToArray());
        Assert.Equal(2, ended.ExitCode);
        Assert.StartsWith("warifu: ", ended.Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("status")]
    [InlineData("list", "sas")]
    [InlineData("up", "site")]
    [InlineData("down", "site")]
    [InlineData("rekey", "site")]
    [InlineData("log")]
    [InlineData("explain", "--last")]
    public async Task Without_a_daemon_a_command_ends_with_1_and_the_real_reason(params string[] arguments)
    {
        var nowhere = await RunAsync([.. arguments, "--socket", "/tmp/warifu-nobody/vici.sock"]);
        Assert.Equal((1, ""), (nowhere.ExitCode, nowhere.Output));
        Assert.Contains("no daemon answers at /tmp/warifu-nobody/vici.sock: there is no such socket", nowhere.Error, StringComparison.Ordinal);
        Assert.DoesNotContain("Cannot assign", nowhere.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_socket_that_a_daemon_left_behind_and_a_plain_file_are_told_apart()
    {
        var folder = Directory.CreateTempSubdirectory("warifu-t").FullName;
        var (dead, plain) = (Path.Combine(folder, "dead.sock"), Path.Combine(folder, "plain"));
        RawClient.Abandon(dead);
        await File.WriteAllTextAsync(plain, "");
        Assert.Contains("nobody listens on it", (await RunAsync("status", "--socket", dead)).Error, StringComparison.Ordinal);
        Assert.Contains("no daemon answers", (await RunAsync("status", "--socket", plain)).Error, StringComparison.Ordinal);
        Directory.Delete(folder, recursive: true);
    }

    [Fact]
    public async Task Algorithms_are_listed_without_a_daemon()
    {
        var text = await RunAsync("list", "algorithms", "--socket", "/nowhere");
        Assert.Equal((0, ""), (text.ExitCode, text.Error));
        Assert.Contains("AES_GCM_16", text.Output, StringComparison.Ordinal);
        var json = await RunAsync("list", "algorithms", "--json");
        using var document = JsonDocument.Parse(json.Output);
        Assert.True(document.RootElement.GetProperty("dh").TryGetProperty("CURVE_25519", out _));
    }

    [Fact]
    public async Task Every_listing_is_text_for_people_and_JSON_for_programs()
    {
        await using var pair = await Pair.StartAsync(Side.Left, Side.Right);
        var socket = pair.Left.Socket;
        var up = await RunAsync("up", "net", "--socket", socket);
        Assert.Equal((0, "net is up\n"), (up.ExitCode, up.Output));
        Assert.Contains("IKE SA 1 of site is up", up.Error, StringComparison.Ordinal);
        foreach (var (command, word, property) in new[]
        {
            (new[] { "list", "sas" }, "ESTABLISHED", "site"), (["list", "conns"], "pre-shared key authentication, id right.example.org", "site"), (["list", "policies"], "no policies", ""), (["list", "counters"], "ike-init-out-req", "counters"),
            (["status"], "site: up", "connections"), (["status", "site"], "net: up", "connections"), (["explain", "site"], "child net of connection site: established", "steps"), (["explain", "net"], "chose IKE proposal", "steps"), (["explain", "--last"], "IKE_AUTH request 1", "steps"),
        })
        {
            var text = await RunAsync([.. command, "--socket", socket]);
            Assert.True(text.ExitCode == 0 && text.Error.Length == 0 && text.Output.Contains(word, StringComparison.Ordinal), string.Join(' ', command) + "\n" + text.All);
            var json = await RunAsync([.. command, "--json", "--socket", socket]);
            Assert.Equal((0, ""), (json.ExitCode, json.Error));
            using var document = JsonDocument.Parse(json.Output);
            if (property.Length > 0) Assert.True(document.RootElement.TryGetProperty(property, out _), json.Output);
        }

        var log = await RunAsync("log", "--json", "--socket", socket);
        var lines = log.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.All(lines, line => JsonDocument.Parse(line).Dispose());
        Assert.Contains(lines, line => line.Contains("IKE SA 1 of site is up", StringComparison.Ordinal));
        Assert.DoesNotContain("of site", (await RunAsync("log", "--conn", "nobody", "--socket", socket)).Output, StringComparison.Ordinal);
        Assert.Equal(0, (await RunAsync("rekey", "site", "--socket", socket)).ExitCode);
        Assert.Equal("site/net is rekeyed\n", (await RunAsync("rekey", "site", "--child", "--socket", socket)).Output);
        Assert.Equal("net is rekeyed\n", (await RunAsync("rekey", "net", "--ike", "--socket", socket)).Output);
        Assert.Equal("site is down\n", (await RunAsync("down", "site", "--socket", socket)).Output);
        var again = await RunAsync("down", "site", "--socket", socket);
        Assert.Equal((1, ""), (again.ExitCode, again.Output));
        Assert.Contains("warifu: no matching SAs to terminate found", again.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_socket_may_come_from_the_environment()
    {
        await using var daemon = await LocalDaemon.StartAsync(Side.Left.Text);
        var ended = await Tool.RunAsync("env", ["WARIFU_SOCKET=" + daemon.Socket, Gateway.Binary, "status"]);
        Assert.Equal(0, ended.ExitCode);
        Assert.Contains("site: down", ended.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Names_that_are_not_there_end_with_1_and_are_told()
    {
        await using var daemon = await LocalDaemon.StartAsync(Side.Left.Text);
        foreach (var (command, text) in new[] { ("up", "'nobody' not found"), ("down", "no matching SAs"), ("rekey", "no matching SAs"), ("status", "there is no connection 'nobody'"), ("explain", "there is no connection or child 'nobody'") })
        {
            var ended = await RunAsync(command, "nobody", "--socket", daemon.Socket);
            Assert.Equal((1, ""), (ended.ExitCode, ended.Output));
            Assert.Contains(text, ended.Error, StringComparison.Ordinal);
        }

        Assert.Contains("nothing was negotiated yet", (await RunAsync("explain", "site", "--socket", daemon.Socket)).Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_failed_negotiation_ends_with_1_and_says_why_and_where()
    {
        await using var pair = await Pair.StartAsync(Side.Left with { Esp = "aes256-sha512" }, Side.Right);
        var up = await RunAsync("up", "site/net", "--socket", pair.Left.Socket);
        Assert.Equal((1, ""), (up.ExitCode, up.Output));
        Assert.Contains("refused all our ESP proposals for child net (NO_PROPOSAL_CHOSEN)", up.Error, StringComparison.Ordinal);
        Assert.Contains("connections.site.children.net.esp_proposals", up.Error, StringComparison.Ordinal);
        var explained = await RunAsync("explain", "site", "--json", "--socket", pair.Right.Socket);
        using var document = JsonDocument.Parse(explained.Output);
        var failure = document.RootElement.GetProperty("failure");
        Assert.Equal("no-proposal", failure.GetProperty("reason").GetString());
        Assert.Equal("either", failure.GetProperty("side").GetString());
        Assert.StartsWith(Side.PlaceOf(pair.Right.File, "esp_proposals"), failure.GetProperty("settings").GetProperty("connections.site.children.net.esp_proposals").GetProperty("at").GetString(), StringComparison.Ordinal);
        var status = await RunAsync("status", "--socket", pair.Left.Socket);
        Assert.Contains("  net: down\n    why: the peer refused all our ESP proposals", status.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_file_with_an_error_ends_load_with_2_and_changes_nothing()
    {
        await using var pair = await Pair.StartAsync(Side.Left, Side.Right);
        await pair.InitiateAsync();
        var before = await RunAsync("list", "sas", "--json", "--socket", pair.Left.Socket);
        var text = await File.ReadAllTextAsync(pair.Left.File);
        var file = pair.Left.File + ".new";
        await File.WriteAllTextAsync(file, text.Replace("version = 2", "version = 2\n rekey_tyme = 4h", StringComparison.Ordinal).Replace("10.2.0.0/16", "10.3.0.0/16", StringComparison.Ordinal));
        var bad = await RunAsync("load", file, "--socket", pair.Left.Socket);
        Assert.Equal((2, ""), (bad.ExitCode, bad.Output));
        Assert.Contains($"{file}:4:", bad.Error, StringComparison.Ordinal);
        Assert.Contains("error: unknown key 'rekey_tyme'", bad.Error, StringComparison.Ordinal);
        Assert.Equal(Lab.Json.Find(before.Output, "spi-in")[0].ToString(), Lab.Json.Find((await RunAsync("list", "sas", "--json", "--socket", pair.Left.Socket)).Output, "spi-in")[0].ToString());
        Assert.Equal(2, (await RunAsync("load", file + ".none", "--socket", pair.Left.Socket)).ExitCode);
    }

    [Fact]
    public async Task Load_prints_what_changes_with_and_without_doing_it_and_explains_by_its_lines()
    {
        await using var pair = await Pair.StartAsync(Side.Left, Side.Right);
        var text = await File.ReadAllTextAsync(pair.Left.File);
        var file = pair.Left.File + ".new";
        await File.WriteAllTextAsync(file, text.Replace("esp_proposals = aes128gcm16", "esp_proposals = aes256-sha512", StringComparison.Ordinal).Replace("connections {", "daemon {\n psk_policy = warn\n }\n connections {\n later {\n version = 2\n mediation = yes\n local {\n auth = psk\n }\n remote {\n auth = psk\n }\n }", StringComparison.Ordinal));
        var dry = await RunAsync("load", file, "--dry-run", "--socket", pair.Left.Socket);
        Assert.Equal(0, dry.ExitCode);
        Assert.Contains("~ child net of site\n", dry.Output, StringComparison.Ordinal);
        Assert.Contains("would be loaded", dry.Output, StringComparison.Ordinal);
        var loaded = await RunAsync("load", file, "--socket", pair.Left.Socket);
        Assert.Contains("~ child net of site\n! left out: later: " + file + ":7:", loaded.Output, StringComparison.Ordinal);
        Assert.Contains("limit: mediation: mediation is not there yet", loaded.Output, StringComparison.Ordinal);
        Assert.Contains(file + ":1:1: notice: the section 'daemon' takes effect when the daemon starts", loaded.Error, StringComparison.Ordinal);
        Assert.Contains("nothing changed", (await RunAsync("load", file, "--socket", pair.Left.Socket)).Output, StringComparison.Ordinal);
        Assert.Contains("later: left out\n  why: " + file + ":7:", (await RunAsync("status", "--socket", pair.Left.Socket)).Output, StringComparison.Ordinal);
        Assert.Contains("was left out", (await RunAsync("up", "later", "--socket", pair.Left.Socket)).Error, StringComparison.Ordinal);
        // places of settings go with the transaction
        Assert.Equal(1, (await RunAsync("up", "site", "--socket", pair.Left.Socket)).ExitCode);
        Assert.Contains("connections.site.children.net.esp_proposals: " + Side.PlaceOf(file, "esp_proposals"), (await RunAsync("explain", "site", "--socket", pair.Left.Socket)).Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_load_to_be_confirmed_can_be_kept_or_taken_back()
    {
        await using var daemon = await LocalDaemon.StartAsync(Side.Left.Text);
        var file = daemon.File + ".new";
        await File.WriteAllTextAsync(file, "");
        var trial = await RunAsync("load", file, "--confirm-within", "300", "--socket", daemon.Socket);
        Assert.Contains("- connection site\n", trial.Output, StringComparison.Ordinal);
        Assert.Contains("taken back in 300 s", trial.Output, StringComparison.Ordinal);
        Assert.Contains("not confirmed yet", (await RunAsync("status", "--socket", daemon.Socket)).Output, StringComparison.Ordinal);
        Assert.Equal("the last change is taken back\n", (await RunAsync("load", "--rollback", "--socket", daemon.Socket)).Output);
        Assert.Contains("site: down", (await RunAsync("status", "--socket", daemon.Socket)).Output, StringComparison.Ordinal);
        await RunAsync("load", file, "--confirm-within", "300", "--socket", daemon.Socket);
        Assert.Equal("the last change is confirmed\n", (await RunAsync("load", "--confirm", "--socket", daemon.Socket)).Output);
        Assert.Equal(1, (await RunAsync("load", "--confirm", "--socket", daemon.Socket)).ExitCode);
        Assert.Equal(1, (await RunAsync("load", "--rollback", "--socket", daemon.Socket)).ExitCode);
    }

    [Fact]
    public async Task Following_the_log_shows_what_happens_and_ends_with_the_daemon()
    {
        var pair = await Pair.StartAsync(Side.Left, Side.Right);
        var following = Tool.RunAsync(Gateway.Binary, ["log", "--follow", "--conn", "site", "--socket", pair.Left.Socket]);
        await Task.Delay(500);
        await pair.InitiateAsync();
        await Task.Delay(200);
        await pair.DisposeAsync();
        var ended = await following;
        Assert.Equal(1, ended.ExitCode);
        Assert.Contains("IKE SA 1 of site is up", ended.Output, StringComparison.Ordinal);
        Assert.Contains("the daemon has ended", ended.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Checking_the_machine_tells_what_is_there_and_what_is_missing()
    {
        var ended = await RunAsync("check", "--host");
        Assert.True(ended.ExitCode is 0 or 1, ended.All);
        var lines = ended.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.True(lines.Length >= 8);
        Assert.All(lines, line => Assert.True(line.StartsWith("ok       ", StringComparison.Ordinal) || (line.StartsWith("missing  ", StringComparison.Ordinal) && line.Contains("; ", StringComparison.Ordinal)), line));
        Assert.Equal(lines.Any(line => line.StartsWith("missing", StringComparison.Ordinal)) ? 1 : 0, ended.ExitCode);
    }

    private static Task<Ended> RunAsync(params string[] arguments) => Tool.RunAsync(Gateway.Binary, arguments);
}
