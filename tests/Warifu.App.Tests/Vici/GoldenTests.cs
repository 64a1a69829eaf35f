using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading.Tasks;
using Warifu.App.Tests.Daemon;
using Warifu.App.Vici;
using Xunit;

namespace Warifu.App.Tests.Vici;

/// <summary>Recorded sessions of a real daemon, replayed as requests against ours.</summary>
[Trait("Item", "1.23")]
public sealed class GoldenTests
{
    /// <summary>The configuration that stood behind the recordings, without what later stages bring: an IKEv1 connection with XAuth, pools, an EAP secret.</summary>
    internal const string Configuration = """
        daemon {
          psk_policy = off
          crash_detection = no
        }
        connections {
          gw {
            version = 2
            local_addrs = 192.0.2.2
            remote_addrs = 198.51.100.2
            proposals = aes256gcm16-prfsha384-ecp384
            dpd_delay = 30
            local {
              auth = psk
              id = moon.example.org
            }
            remote {
              auth = psk
              id = sun.example.org
            }
            children {
              net {
                local_ts = 10.10.1.0/24
                remote_ts = 10.10.2.0/24
                esp_proposals = aes128gcm16-x25519
              }
              host {
                local_ts = 10.10.1.1[tcp/1000-2000],10.10.1.1[udp/domain]
                remote_ts = 10.10.2.1[tcp],10.10.2.1[udp/domain]
                start_action = trap
              }
              drp {
                mode = drop
                remote_ts = 203.0.113.0/24
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
        }
        """;

    /// <summary>What is not compared, and why. Each must occur in the recordings.</summary>
    private static readonly Dictionary<string, string> s_excluded = new(StringComparer.Ordinal)
    {
        ["get-conns"] = "names the IKEv1 connection rw1",
        ["get-shared"] = "names the EAP secret",
        ["get-pools"] = "lists the pools of the configuration that was recorded, which had leases",
        ["get-pools leases=yes name=p4"] = "lists the pools of the configuration that was recorded, which had leases",
        ["list-conns ike=rw1"] = "an IKEv1 connection",
        ["redirect"] = "redirection",
        ["redirect gateway=192.0.2.77"] = "redirection",
        ["redirect gateway=192.0.2.77 ike=gw"] = "redirection",
        ["redirect gateway=192.0.2.77 peer-ip=x/y"] = "redirection",
        ["load-conn bad{proposals=aes128-sha256-modp2048}"] = "strongSwan refuses a list that is written as text; we take it",
        ["load-conn bad{children{c{local_ts=[10.0.0.0/33]}}}"] = "strongSwan takes a prefix of 33 bits; we refuse it",
    };

    [Theory]
    [InlineData("01-queries")]
    [InlineData("02-errors")]
    [InlineData("03-lifecycle")]
    [InlineData("04-events")]
    [InlineData("05-log")]
    [InlineData("06-creds")]
    [InlineData("07-ikev1-and-failures")]
    public void Every_recorded_packet_decodes_and_encodes_to_the_same_octets(string name)
    {
        var packets = GoldenSession.Packets(name);
        Assert.True(packets.Count > 10);
        foreach (var packet in packets) Assert.Equal(Convert.ToHexString(packet.Frame), Convert.ToHexString(ViciPacket.Frame(packet.Kind, packet.Name, packet.Message)!));
    }

    [Theory]
    [InlineData("01-queries")]
    [InlineData("02-errors")]
    public async Task The_recorded_requests_get_answers_of_the_recorded_shape(string name)
    {
        await using var daemon = await LocalDaemon.StartAsync(Configuration);
        await using var client = await RawClient.ConnectAsync(daemon.Socket);
        var compared = 0;
        foreach (var exchange in GoldenSession.Exchanges(name))
        {
            var received = await client.ExchangeAsync(exchange.Sent);
            if (s_excluded.ContainsKey(exchange.Sent.Words)) continue;
            Compare(exchange, received);
            compared++;
        }

        Assert.True(compared >= 30, $"only {compared} exchanges were compared");
    }

    /// <summary>Certificates, a CRL, a public key and an authority; the connection with them without what later stages bring (EAP, groups, labels).</summary>
    [Fact]
    [Trait("Item", "2.2")]
    public async Task Certificates_and_an_authority_are_loaded_listed_and_forgotten_as_recorded()
    {
        await using var daemon = await LocalDaemon.StartAsync();
        await using var client = await RawClient.ConnectAsync(daemon.Socket);
        var (compared, connections) = (0, 0);
        foreach (var exchange in GoldenSession.Exchanges("06-creds"))
        {
            // the keys are not in the recording
            var hasKeys = exchange.Sent.Name == "get-keys" && exchange.Received[0].Message.Items("keys").Any();
            var isConnection = exchange.Sent.Message.Section("certconn") is not null || exchange.Received.Any(packet => packet.Message.Section("certconn") is not null);
            if (!isConnection)
            {
                var received = await client.ExchangeAsync(exchange.Sent);
                if (hasKeys) continue;
                Compare(exchange, received);
                compared++;
                continue;
            }

            connections++;
            var sent = exchange.Sent with { Message = Today(exchange.Sent.Message), Frame = ViciPacket.Frame(exchange.Sent.Kind, exchange.Sent.Name, Today(exchange.Sent.Message))! };
            var expected = exchange with { Received = [.. exchange.Received.Select(packet => packet with { Message = Today(packet.Message) })] };
            Compare(expected, await client.ExchangeAsync(sent));
        }

        Assert.Equal(2, connections);
        Assert.True(compared >= 25, $"only {compared} exchanges were compared");
    }

    /// <summary>A message without what is not there yet.</summary>
    private static ViciMessage Today(ViciMessage message)
    {
        var kept = new ViciMessage();
        foreach (var element in message.Elements)
        {
            if (element.Name is "remote-2" or "label" or "interface") continue;
            if (element is { Name: "groups", Items.Count: > 0 })
            {
                // asked for it is a limit; listed it is empty
                if (message.Find("class") is not null) kept.Add("groups", System.Array.Empty<string>());
                continue;
            }

            if (element.Section is { } section) kept.Add(element.Name, Today(section));
            else kept.Add(element);
        }

        return kept;
    }

    [Fact]
    public void Every_exception_occurs_in_the_recordings()
    {
        var words = new[] { "01-queries", "02-errors", "03-lifecycle", "07-ikev1-and-failures" }.SelectMany(GoldenSession.Exchanges).Select(exchange => exchange.Sent.Words).ToHashSet(StringComparer.Ordinal);
        Assert.DoesNotContain(s_excluded.Keys, key => !words.Contains(key));
    }

    /// <summary>Packets of the same kinds and names in the same order, each of the same shape. Lines of a log are one: how many there are is free.</summary>
    internal static void Compare(GoldenExchange recorded, IReadOnlyList<GoldenPacket> ours)
    {
        var (expected, actual) = (Squeezed(recorded.Received), Squeezed(ours));
        var (wanted, given) = (string.Join(' ', expected.Select(Kind)), string.Join(' ', actual.Select(Kind)));
        Assert.True(wanted == given, $"{recorded.Sent.Words}\nrecorded: {wanted}\nours:     {given}\n{string.Join('\n', ours.Select(packet => packet.Words))}");
        foreach (var (left, right) in expected.Zip(actual)) GoldenShape.Compare(left.Message, right.Message, left.Kind == ViciKind.Event ? left.Name : recorded.Sent.Name);
    }

    private static string Kind(GoldenPacket packet) => $"{packet.Kind}:{packet.Name}";

    private static List<GoldenPacket> Squeezed(IEnumerable<GoldenPacket> packets)
    {
        var kept = new List<GoldenPacket>();
        foreach (var packet in packets)
        {
            if (packet is { Kind: ViciKind.Event, Name: "control-log" } && kept.Exists(other => other.Name == "control-log")) continue;
            // an IKEv1 connection
            if (packet is { Kind: ViciKind.Event, Name: "list-conn" } && packet.Message.Section("rw1") is not null) continue;
            kept.Add(packet);
        }

        return kept;
    }
}
