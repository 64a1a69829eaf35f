using System;
using System.Diagnostics;
using System.IO;
using System.Threading.Tasks;
using Warifu.App.Tests.Lab;
using Warifu.App.Vici;
using Xunit;

namespace Warifu.App.Tests.Configuration;

/// <summary>Secrets that come by VICI: other clients are warned and not refused, unless the daemon says otherwise; our own client is as strict as with a file.</summary>
[Trait("Item", "1.9")]
public sealed class PskByViciTests
{
    private const string Weak = "Summer2026!";

    [Theory]
    [InlineData("", true, true)]
    [InlineData("psk_policy = off", true, false)]
    [InlineData("psk_policy = strict", false, false)]
    public async Task Another_clients_weak_secret_is_judged_by_the_daemon(string policy, bool loaded, bool warned)
    {
        await using var daemon = await DaemonAsync(policy);
        await using (var client = await ViciClient.ConnectAsync(daemon.Socket))
        {
            var answer = await client.RequestAsync("load-shared", new ViciMessage().Add("id", "x").Add("type", "IKE").Add("data", Weak.Utf8()).Add("owners", ["right.example.org"]));
            Assert.Equal(loaded ? "yes" : "no", answer.Text("success"));
            if (!loaded) Assert.Equal("secret 'x' is made of dictionary words", answer.Text("errmsg"));
            var names = await client.RequestAsync("get-shared", new ViciMessage());
            Assert.Equal(loaded ? ["x"] : [], names.Items("keys"));
        }

        await daemon.StopAsync();
        Assert.Equal(warned, daemon.Log.Contains("secret 'x' is made of dictionary words", StringComparison.Ordinal));
        Assert.DoesNotContain(Weak, daemon.Log);
    }

    [Fact]
    public async Task Octets_that_are_no_text_are_a_key()
    {
        await using var daemon = await DaemonAsync("psk_policy = strict");
        await using var client = await ViciClient.ConnectAsync(daemon.Socket);
        var answer = await client.RequestAsync("load-shared", new ViciMessage().Add("id", "x").Add("type", "IKE").Add("data", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]));
        Assert.Equal("yes", answer.Text("success"));
    }

    [Theory]
    [InlineData("", 2)]
    [InlineData("psk_policy = warn", 0)]
    public async Task Load_refuses_what_check_refuses(string policy, int exit)
    {
        await using var daemon = await DaemonAsync("");
        var file = Path.Combine(daemon.Folder, "load.conf");
        File.WriteAllText(file, Conf.Text(policy).Replace("0x000102030405060708090a0b0c0d0e0f", Weak));
        var ended = await Tool.RunAsync(Gateway.Binary, ["load", file, "--socket", daemon.Socket]);
        Assert.Equal(exit, ended.ExitCode);
        Assert.Contains($"{file}:22:14: {(exit == 2 ? "error" : "warning")}: secret 'ike-gw' is made of dictionary words", ended.Error);
        Assert.DoesNotContain(Weak, ended.All);
    }

    [Fact]
    public async Task A_connections_policy_counts_for_the_transaction_too()
    {
        await using var daemon = await DaemonAsync("psk_policy = strict");
        var file = Path.Combine(daemon.Folder, "load.conf");
        File.WriteAllText(file, Conf.Text("psk_policy = off").Replace("0x000102030405060708090a0b0c0d0e0f", Weak));
        var ended = await Tool.RunAsync(Gateway.Binary, ["load", file, "--socket", daemon.Socket]);
        Assert.True(ended.ExitCode == 0, ended.All);
    }

    [Theory]
    [InlineData("strict", "", false, "no")]
    [InlineData("strict", "", true, "no")]
    [InlineData("strict", "psk_policy = off", false, "no")]
    [InlineData("warn", "psk_policy = strict", false, "yes")]
    [InlineData("off", "psk_policy = strict", true, "no")]
    public async Task A_connections_policy_judges_secrets_that_are_loaded_one_by_one(string ofConnection, string ofDaemon, bool secretFirst, string loaded)
    {
        await using var daemon = await DaemonAsync(ofDaemon);
        await using var client = await ViciClient.ConnectAsync(daemon.Socket);
        var connection = new ViciMessage().Add("gw", new ViciMessage().Add("version", "2").Add("psk_policy", ofConnection)
            .Add("local", new ViciMessage().Add("auth", "psk")).Add("remote", new ViciMessage().Add("auth", "psk").Add("id", "right.example.org")));
        var mine = new ViciMessage().Add("id", "x").Add("type", "IKE").Add("data", Weak.Utf8()).Add("owners", ["right.example.org"]);
        var strangers = new ViciMessage().Add("id", "y").Add("type", "IKE").Add("data", Weak.Utf8()).Add("owners", ["other.example.org"]);
        var last = await client.RequestAsync(secretFirst ? "load-shared" : "load-conn", secretFirst ? mine : connection);
        if (last.Text("success") == "yes") last = await client.RequestAsync(secretFirst ? "load-conn" : "load-shared", secretFirst ? connection : mine);
        Assert.True(last.Text("success") == loaded, last.Text("errmsg"));
        if (loaded == "no") Assert.Contains("secret 'x' is made of dictionary words", last.Text("errmsg"));
        // a secret for somebody else goes by the daemon's policy
        Assert.Equal(ofDaemon.Contains("strict") ? "no" : "yes", (await client.RequestAsync("load-shared", strangers)).Text("success"));
    }

    private static async Task<LocalProcess> DaemonAsync(string settings)
    {
        var folder = Conf.Folder();
        File.WriteAllText(Path.Combine(folder, "warifu.conf"), $"daemon {{\n  port = 0\n  port_nat_t = 0\n  {settings}\n}}\n");
        var daemon = new LocalProcess(folder);
        for (var i = 0; !File.Exists(daemon.Socket); i++)
        {
            if (i > 300 || daemon.HasExited) throw new InvalidOperationException("warifu does not start\n" + daemon.Log);
            await Task.Delay(50);
        }

        return daemon;
    }

    /// <summary>A daemon without a data plane and with free ports: it needs no root.</summary>
    private sealed class LocalProcess : IAsyncDisposable
    {
        private readonly Process _process;
        private readonly Task<string> _log;
        private string _text = "";

        public LocalProcess(string folder)
        {
            Folder = folder;
            _process = Tool.Start(Gateway.Binary, ["run", "--config", Path.Combine(folder, "warifu.conf"), "--dataplane", "none", "--socket", Socket]);
            _log = _process.StandardError.ReadToEndAsync();
        }

        public string Folder { get; }

        public string Socket => Path.Combine(Folder, "vici.sock");

        public bool HasExited => _process.HasExited;

        public string Log => _text;

        public async Task StopAsync()
        {
            if (_text.Length > 0) return;
            await Tool.RunAsync("kill", [_process.Id.ToString()]);
            await _process.WaitForExitAsync();
            _text = await _log;
        }

        public async ValueTask DisposeAsync()
        {
            await StopAsync();
            _process.Dispose();
            Directory.Delete(Folder, true);
        }
    }
}
