using System;
using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.IO;
using System.Linq;
using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Threading.Tasks;
using Warifu.App.Tests.Lab;
using Warifu.Net.Tests.Lab;
using Xunit;
using Site = Warifu.App.Tests.Lab.Site;

namespace Warifu.App.Tests.Interop;

/// <summary>The gateway's name servers in the hands of a real systemd-resolved: programs get its names through the tunnel, others with it only when no domain was named, and nothing is left at the end.</summary>
[Trait("Area", "interop")]
[Trait("Item", "2.16")]
public sealed class ResolvedTests
{
    [PeersTheory(Resolved.Needs)]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Names_are_asked_for_through_the_tunnel(bool split)
    {
        var site = new Site { LeftTs = "dynamic", LeftFromAnywhere = true, LeftConnection = "vips = 0.0.0.0", RightConnection = "pools = p", RightSections = $"pools {{ p {{ addrs = 10.3.0.0/24\n dns = 10.10.2.1\n {(split ? "dns_domain = corp.example" : "")}\n }} }}" };
        await using var lab = await Topology.CreateAsync();
        await using var resolved = await Resolved.StartAsync(lab.Left, Path.Combine(lab.Folder, "resolved"));
        using var server = new Answering(lab.Right, "10.10.2.1");
        await using var right = await Gateway.StartAsync(lab.Right, Path.Combine(lab.Folder, "right"), site.Right());
        await using var left = await Gateway.StartUnderAsync(resolved.OnBus, lab.Left, Path.Combine(lab.Folder, "left"), site.Left());
        Assert.True((await left.CliAsync("up", "site")).Ok, left.Log);
        var told = await Until.HoldsAsync("the server of the link", () => resolved.ControlAsync("status", "warifu0"), status => status.Output.Contains("10.10.2.1", StringComparison.Ordinal), status => status.All + left.Log + resolved.Log);
        Assert.Equal(split, told.Output.Contains("~corp.example", StringComparison.Ordinal));
        Assert.Equal(!split, told.Output.Contains("+DefaultRoute", StringComparison.Ordinal));

        Assert.Equal("10.10.2.77", await AskAsync(lab.Left, "host.corp.example"));
        Assert.Equal(split ? null : "10.10.2.77", await AskAsync(lab.Left, "www.elsewhere.example"));
        // asked by way of the tunnel, and only for what it is for
        Assert.All(server.Asked, asked => Assert.Equal("10.3.0.1", asked.From));
        Assert.Equal(!split, server.Asked.Any(asked => asked.Name == "www.elsewhere.example"));
        Assert.Equal(0, await lab.SeenAsync("inner"));

        Assert.True((await left.CliAsync("down", "site")).Ok, left.Log);
        await Until.HoldsAsync("no server of the link", () => resolved.ControlAsync("status", "warifu0"), status => !status.Output.Contains("10.10.2.1", StringComparison.Ordinal) && !status.Output.Contains("corp.example", StringComparison.Ordinal), status => status.All);
        Assert.Null(await AskAsync(lab.Left, "host.corp.example"));
        Assert.True(resolved.LeftResolvConf);
    }

    /// <summary>The address of a name, by the stub of systemd-resolved, where every program asks; null = it has none.</summary>
    private static Task<string?> AskAsync(string ns, string name) => Task.Run(() =>
    {
        using var socket = new Namespace(ns).Udp("127.0.0.1", 0);
        socket.ReceiveTimeout = 10_000;
        byte[] query = [0x12, 0x34, 0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0, .. name.Split('.').SelectMany(label => new[] { (byte)label.Length }.Concat(Encoding.ASCII.GetBytes(label))), 0, 0, 1, 0, 1];
        socket.SendTo(query, new IPEndPoint(IPAddress.Parse("127.0.0.53"), 53));
        var answer = new byte[1500];
        var length = socket.Receive(answer);
        return (answer[3] & 0x0F) == 0 && BinaryPrimitives.ReadUInt16BigEndian(answer.AsSpan(6)) == 1 ? new IPAddress(answer[(query.Length + 12)..(query.Length + 16)]).ToString() : null;
    });

    /// <summary>A name server that knows one address for every name.</summary>
    private sealed class Answering : IDisposable
    {
        private readonly Socket _socket;
        private readonly ConcurrentQueue<(string Name, string From)> _asked = new();

        public Answering(string ns, string address)
        {
            _socket = new Namespace(ns).Udp(address, 53);
            _ = AnswerAsync();
        }

        public (string Name, string From)[] Asked => [.. _asked];

        public void Dispose() => _socket.Dispose();

        private async Task AnswerAsync()
        {
            var query = new byte[1500];
            try
            {
                while (true)
                {
                    var got = await _socket.ReceiveFromAsync(query, new IPEndPoint(IPAddress.Any, 0));
                    var (name, end) = ("", 12);
                    for (; query[end] != 0; end += query[end] + 1) name += (name.Length > 0 ? "." : "") + Encoding.ASCII.GetString(query, end + 1, query[end]);
                    _asked.Enqueue((name, ((IPEndPoint)got.RemoteEndPoint).Address.ToString()));
                    var isAddress = query[end + 2] == 1;
                    byte[] answer = [query[0], query[1], 0x85, 0x80, 0, 1, 0, (byte)(isAddress ? 1 : 0), 0, 0, 0, 0, .. query[12..(end + 5)], .. isAddress ? new byte[] { 0xC0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 10, 10, 2, 77 } : []];
                    await _socket.SendToAsync(answer, got.RemoteEndPoint);
                }
            }
            catch (Exception exception) when (exception is ObjectDisposedException or SocketException)
            {
                // the end
            }
        }
    }
}
