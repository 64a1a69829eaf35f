using System;
using System.Threading.Tasks;
using Warifu.App.Vici;
using Xunit;

namespace Warifu.App.Tests.Daemon;

/// <summary>Two daemons of which the left one initiates.</summary>
internal sealed class Pair(LocalDaemon left, LocalDaemon right) : IAsyncDisposable
{
    public LocalDaemon Left => left;

    public LocalDaemon Right => right;

    public static async Task<Pair> StartAsync(Side left, Side right)
    {
        var answering = await LocalDaemon.StartAsync(right.Text, files: right.Files);
        return new Pair(await LocalDaemon.StartAsync((left with { PeerPort = left.PeerPort == 500 ? answering.Port : left.PeerPort }).Text, files: left.Files), answering);
    }

    public Task<ViciMessage> InitiateAsync() => left.AskAsync("initiate", new ViciMessage().Add("child", "net").Add("ike", "site").Add("timeout", "8000"));

    public Task<ViciMessage> FailureOfLeft() => left.ExplainAsync(null, message => message.Text("result") == "failed");

    public Task<ViciMessage> FailureOfRight() => right.ExplainAsync(null, message => message.Text("result") == "failed");

    /// <summary>Checks an explanation, as text and in parts, against the file of its daemon.</summary>
    public ViciMessage Expect(ViciMessage explained, string reason, string side, string sentence, params (string Setting, string Line)[] settings) =>
        Expect(explained.Text("role") == "initiator" ? left.File : right.File, explained, reason, side, sentence, settings);

    public static ViciMessage Expect(string file, ViciMessage explained, string reason, string side, string sentence, params (string Setting, string Line)[] settings)
    {
        var text = string.Join('\n', explained.Items("text"));
        var failure = explained.Section("failure") ?? throw new InvalidOperationException(text);
        Assert.True(failure.Text("reason") == reason, text);
        Assert.Contains(sentence, failure.Text("why"), StringComparison.Ordinal);
        Assert.Contains($"  why: {failure.Text("why")}", text, StringComparison.Ordinal);
        if (side.Length > 0) Assert.True(failure.Text("side") == side, $"{failure.Text("side")}\n{text}");
        var (here, peer) = (text.Contains("here: ", StringComparison.Ordinal), text.Contains("at the peer: ", StringComparison.Ordinal));
        Assert.True(side switch { "here" => here && !peer, "peer" => peer && !here, "either" => here && peer, _ => true }, text);
        foreach (var (setting, line) in settings)
        {
            var place = failure.Section("settings")?.Section(setting);
            Assert.True(place is not null, $"{setting} is not named\n{text}");
            Assert.StartsWith(Side.PlaceOf(file, line), place.Text("at"), StringComparison.Ordinal);
            Assert.Equal("yes", place.Text("written"));
            Assert.Contains($"{setting}: {place.Text("at")}", text, StringComparison.Ordinal);
        }

        return failure;
    }

    public async ValueTask DisposeAsync()
    {
        await left.DisposeAsync();
        await right.DisposeAsync();
    }
}
