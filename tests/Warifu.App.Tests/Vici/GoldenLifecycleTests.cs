using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Threading.Tasks;
using Warifu.App.Tests.Lab;
using Warifu.App.Vici;
using Xunit;

namespace Warifu.App.Tests.Vici;

/// <summary>The recorded sessions that need a peer and traffic, replayed in the addresses in which they were recorded; the peer is a daemon of ours.</summary>
[Trait("Item", "1.23")]
public sealed class GoldenLifecycleTests
{
    /// <summary>The peer, sun: UDP encapsulation is forced, as in the recording. Its second connection is that of the failures.</summary>
    private const string Peer = """
        daemon {
          psk_policy = off
        }
        connections {
          gw {
            version = 2
            local_addrs = 198.51.100.2
            remote_addrs = 192.0.2.2
            proposals = aes256gcm16-prfsha384-ecp384
            encap = yes
            local {
              auth = psk
              id = sun.example.org
            }
            remote {
              auth = psk
              id = moon.example.org
            }
            children {
              net {
                local_ts = 10.10.2.0/24
                remote_ts = 10.10.1.0/24
                esp_proposals = aes128gcm16-x25519
              }
            }
          }
          v1 {
            version = 1
            local_addrs = 198.51.100.2
            remote_addrs = 192.0.2.2
            proposals = aes128-sha1-modp2048
            encap = yes
            local {
              auth = psk
            }
            remote {
              auth = psk
            }
            children {
              n1 {
                local_ts = 10.10.2.0/24
                remote_ts = 10.10.1.0/24
                esp_proposals = aes128-sha1-modp2048
              }
            }
          }
          v2 {
            version = 2
            local_addrs = 198.51.100.2
            remote_addrs = 192.0.2.2
            proposals = aes128-sha1-modp2048
            encap = yes
            local {
              auth = psk
            }
            remote {
              auth = psk
            }
            children {
              n1 {
                local_ts = 10.10.2.0/24
                remote_ts = 10.10.1.0/24
                esp_proposals = aes128-sha1-modp2048
              }
            }
          }
        }
        secrets {
          ike-gw {
            secret = 0s8vTzKx4hQm1yN7cRb2Wd5g==
            id-1 = moon.example.org
            id-2 = sun.example.org
          }
          ike-k {
            secret = abc
            id-1 = 192.0.2.2
            id-2 = 198.51.100.2
          }
        }
        """;

    /// <summary>What is not compared, and why. Each must occur in the recordings.</summary>
    private static readonly Dictionary<string, string> s_excluded = new(StringComparer.Ordinal)
    {
        ["rekey ike=gw reauth=yes"] = "re-authentication",
        ["initiate child=net ike=gw timeout=10000"] = "asking for what is up already succeeds here",
    };

    [LabFact]
    public async Task The_recorded_lifecycle_with_its_events_and_its_log_has_the_recorded_shape()
    {
        await using var lab = await Topology.CreateAsync();
        await using var peer = await Gateway.StartAsync(lab.Right, Path.Combine(lab.Folder, "peer"), Peer);
        await using var ours = await Gateway.StartAsync(lab.Left, Path.Combine(lab.Folder, "ours"), GoldenTests.Configuration);
        await using var events = await RawClient.ConnectAsync(ours.Socket);
        foreach (var name in new[] { "ike-updown", "child-updown", "child-rekey", "ike-rekey", "ike-update" })
        {
            await events.SendAsync(ViciKind.Register, name);
            Assert.Equal(ViciKind.Confirm, (await events.ReadAsync())!.Kind);
        }

        await using var log = await RawClient.ConnectAsync(ours.Socket);
        await log.SendAsync(ViciKind.Register, "log");
        await log.ReadAsync();
        var compared = await ReplayAsync("03-lifecycle", ours, async exchange =>
        {
            if (exchange.Sent.Words == "initiate child=net ike=gw timeout=10000 loglevel=1") Assert.Equal((2, 2), await Topology.PingAsync(lab.Left, "10.10.1.1", "10.10.2.1", 2));
        });
        Assert.True(compared >= 20, $"only {compared} exchanges were compared");
        var recorded = GoldenSession.Packets("04-events").Where(packet => !packet.FromClient && packet.Kind == ViciKind.Event).ToList();
        var seen = new List<GoldenPacket>();
        while (seen.Count < recorded.Count) seen.Add(await events.ReadAsync() ?? throw new InvalidOperationException("closed"));
        Assert.Equal(recorded.Select(packet => packet.Name), seen.Select(packet => packet.Name));
        foreach (var (left, right) in recorded.Zip(seen)) GoldenShape.Compare(left.Message, right.Message, "event " + left.Name);
        var withSa = GoldenSession.Packets("05-log").Last(packet => packet.Kind == ViciKind.Event && packet.Name == "log" && packet.Message.Text("ikesa-name") == "gw").Message;
        var without = GoldenSession.Packets("05-log").First(packet => packet.Kind == ViciKind.Event && packet.Name == "log" && packet.Message.Text("ikesa-name") is null).Message;
        var (about, other) = (0, 0);
        for (; about < 4; _ = 0)
        {
            var line = (await log.ReadAsync())!.Message;
            var isAbout = line.Text("ikesa-name") is not null;
            GoldenShape.Compare(isAbout ? withSa : without, line, "event log");
            (about, other) = isAbout ? (about + 1, other) : (about, other + 1);
        }
    }

    [LabFact]
    public async Task The_recorded_failures_have_the_recorded_shape()
    {
        await using var lab = await Topology.CreateAsync();
        await using var peer = await Gateway.StartAsync(lab.Right, Path.Combine(lab.Folder, "peer"), Peer);
        await using var ours = await Gateway.StartAsync(lab.Left, Path.Combine(lab.Folder, "ours"), GoldenTests.Configuration);
        var compared = await ReplayAsync("07-ikev1-and-failures", ours, _ => Task.CompletedTask);
        Assert.True(compared >= 15, $"only {compared} exchanges were compared");
    }

    /// <summary>The recording has no events of IKEv1: their bodies are those of its listing.</summary>
    [LabFact]
    [Trait("Item", "3.1")]
    public async Task The_events_of_an_SA_of_IKEv1_have_the_shape_of_its_recorded_listing()
    {
        await using var lab = await Topology.CreateAsync();
        await using var peer = await Gateway.StartAsync(lab.Right, Path.Combine(lab.Folder, "peer"), Peer);
        await using var ours = await Gateway.StartAsync(lab.Left, Path.Combine(lab.Folder, "ours"), GoldenTests.Configuration);
        await using var events = await RawClient.ConnectAsync(ours.Socket);
        foreach (var name in new[] { "ike-updown", "child-updown", "child-rekey", "ike-rekey" })
        {
            await events.SendAsync(ViciKind.Register, name);
            Assert.Equal(ViciKind.Confirm, (await events.ReadAsync())!.Kind);
        }

        await using var client = await RawClient.ConnectAsync(ours.Socket);
        foreach (var exchange in GoldenSession.Exchanges("07-ikev1-and-failures").Where(exchange => exchange.Sent.Words.Contains("ike=v1", StringComparison.Ordinal) || exchange.Sent.Name == "load-shared" || exchange.Sent.Words.StartsWith("load-conn v1", StringComparison.Ordinal)))
        {
            var answer = (await client.ExchangeAsync(exchange.Sent))[^1].Message;
            Assert.True(answer.IsEmpty || answer.Text("success") == "yes", $"{exchange.Sent.Words}: {answer.Text("errmsg")}");
        }

        var sa = GoldenSession.Packets("07-ikev1-and-failures").First(packet => packet.Name == "list-sa" && packet.Message.Section("v1") is not null).Message.Section("v1")!;
        var (alone, child) = (Without(sa, "child-sas"), sa.Section("child-sas")!);
        var expected = new (string Name, ViciMessage Body)[]
        {
            ("ike-updown", new ViciMessage().Add("up", "yes").Add("v1", alone)),
            ("child-updown", new ViciMessage().Add("up", "yes").Add("v1", Without(sa, "child-sas").Add("child-sas", child))),
            ("child-updown", new ViciMessage().Add("v1", Without(sa, "child-sas").Add("child-sas", With(child, "state", "DELETED")))),
            ("ike-updown", new ViciMessage().Add("v1", With(Without(alone, "established", "rekey-time"), "state", "DELETING"))),
        };
        foreach (var (name, body) in expected)
        {
            var seen = (await events.ReadAsync())!;
            Assert.Equal(name, seen.Name);
            GoldenShape.Compare(body, seen.Message, "event " + name);
        }
    }

    private static ViciMessage Without(ViciMessage message, params string[] names) => message.Elements.Where(element => !names.Contains(element.Name)).Aggregate(new ViciMessage(), (copy, element) => copy.Add(element));

    /// <summary>With another value, also in sections.</summary>
    private static ViciMessage With(ViciMessage message, string name, string value) =>
        message.Elements.Aggregate(new ViciMessage(), (copy, element) => element.Section is { } section ? copy.Add(element.Name, With(section, name, value)) : element.Name == name ? copy.Add(name, value) : copy.Add(element));

    [Fact]
    public void Every_exception_occurs_in_the_recordings()
    {
        var words = new[] { "03-lifecycle", "07-ikev1-and-failures" }.SelectMany(GoldenSession.Exchanges).Select(exchange => exchange.Sent.Words).ToHashSet(StringComparer.Ordinal);
        Assert.DoesNotContain(s_excluded.Keys, key => !words.Contains(key));
    }

    private static async Task<int> ReplayAsync(string name, Gateway ours, Func<GoldenExchange, Task> afterwards)
    {
        await using var client = await RawClient.ConnectAsync(ours.Socket);
        var compared = 0;
        foreach (var exchange in GoldenSession.Exchanges(name))
        {
            // the recording daemon breaks before it makes, which tells other events and counts other messages than making first: ReauthTests has it
            if (exchange.Sent.Words == "rekey ike=gw reauth=yes") continue;
            if (exchange.Sent.Name == "list-sas") await SettleAsync(ours);
            var received = await client.ExchangeAsync(exchange.Sent);
            if (!s_excluded.ContainsKey(exchange.Sent.Words))
            {
                GoldenTests.Compare(exchange, received);
                compared++;
            }

            await afterwards(exchange);
        }

        return compared;
    }

    /// <summary>Rekeyings do not wait: a listing comes when nothing is under way.</summary>
    private static async Task SettleAsync(Gateway ours)
    {
        await using var client = await ViciClient.ConnectAsync(ours.Socket);
        for (var i = 0; i < 100; i++)
        {
            var sas = (await client.StreamAsync("list-sas", "list-sa")).Streamed.SelectMany(sa => sa.Elements).Select(element => element.Section!).ToList();
            var states = sas.Select(sa => sa.Text("state")!).Concat(sas.SelectMany(sa => sa.Section("child-sas")!.Elements).Select(child => child.Section!.Text("state")!));
            if (states.All(state => state is "ESTABLISHED" or "INSTALLED" or "CONNECTING")) return;
            await Task.Delay(30);
        }
    }
}
