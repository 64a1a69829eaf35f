using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Net.Sockets;
using System.Text;
using System.Threading.Tasks;
using Warifu.Net.Host;
using Warifu.Primitives;
using Xunit;

namespace Warifu.Net.Tests;

/// <summary>What systemd-resolved is told, octet for octet, by a bus that the test plays (item 2.16); no resolv.conf is touched anywhere.</summary>
[Trait("Item", "2.16")]
public sealed class NameServerTests
{
    [Fact]
    public async Task Servers_with_domains_serve_those_domains_alone_and_are_taken_back()
    {
        await using var bus = new Bus();
        await using (var servers = new NameServers(text => bus.Troubles.Add(text), bus.Path))
        {
            servers.Set(7, [IpAddress.Parse("10.2.0.53"), IpAddress.Parse("fd10:2::53")], ["corp.example", "lab.example"]);
            servers.Set(7, [], []);
        }

        Assert.Empty(bus.Troubles);
        Assert.Equal(["Hello", "SetLinkDNS", "SetLinkDomains", "SetLinkDefaultRoute", "Hello", "RevertLink"], bus.Calls.Select(call => call.Member));
        // ia(iay): link, length of the array, and for each the family and the octets, at multiples of eight
        Assert.Equal("07000000" + "28000000" + "02000000" + "04000000" + "0A020035" + "00000000" + "0A000000" + "10000000" + "FD100002000000000000000000000053", bus.Of("SetLinkDNS"), ignoreCase: true);
        Assert.Equal("07000000" + "2C000000" + "0C000000" + Hex("corp.example") + "00" + "000000" + "01000000" + "0B000000" + Hex("lab.example") + "00" + "01000000", bus.Of("SetLinkDomains"), ignoreCase: true);
        Assert.Equal("0700000000000000", bus.Of("SetLinkDefaultRoute"));
        Assert.Equal("07000000", bus.Of("RevertLink"));
    }

    [Fact]
    public async Task Servers_without_domains_serve_all_names()
    {
        await using var bus = new Bus();
        await using (var servers = new NameServers(text => bus.Troubles.Add(text), bus.Path)) servers.Set(3, [IpAddress.Parse("10.2.0.53")], []);
        Assert.Equal("0300000001000000", bus.Of("SetLinkDefaultRoute"));
        Assert.Equal("0300000000000000", bus.Of("SetLinkDomains"));
    }

    [Fact]
    public async Task Without_resolved_and_with_one_that_refuses_the_servers_are_told_to_the_log_and_nothing_else_happens()
    {
        var troubles = new ConcurrentBag<string>();
        await using (var servers = new NameServers(troubles.Add, "/nonexistent/bus")) servers.Set(3, [IpAddress.Parse("10.2.0.53")], []);
        Assert.Contains("10.2.0.53", Assert.Single(troubles), StringComparison.Ordinal);
        Assert.Contains("resolv.conf is left as it is", Assert.Single(troubles), StringComparison.Ordinal);
        await using var bus = new Bus { Refuses = true };
        await using (var servers = new NameServers(text => bus.Troubles.Add(text), bus.Path)) servers.Set(3, [IpAddress.Parse("10.2.0.53")], []);
        Assert.Contains("no such thing", Assert.Single(bus.Troubles), StringComparison.Ordinal);
    }

    private static string Hex(string text) => Convert.ToHexString(Encoding.ASCII.GetBytes(text));

    /// <summary>As much of a message bus as one client sees.</summary>
    private sealed class Bus : IAsyncDisposable
    {
        private readonly Socket _listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        private readonly Task _accepting;

        public Bus()
        {
            Path = System.IO.Path.Combine(Directory.CreateTempSubdirectory("warifu-bus-").FullName, "bus");
            _listener.Bind(new UnixDomainSocketEndPoint(Path));
            _listener.Listen();
            _accepting = AcceptAsync();
        }

        public string Path { get; }

        public bool Refuses { get; init; }

        public ConcurrentBag<string> Troubles { get; } = [];

        public List<(string Member, byte[] Body)> Calls { get; } = [];

        public string Of(string member) => Convert.ToHexString(Calls.Single(call => call.Member == member).Body);

        public async ValueTask DisposeAsync()
        {
            _listener.Dispose();
            await _accepting;
            Directory.Delete(System.IO.Path.GetDirectoryName(Path)!, true);
        }

        private async Task AcceptAsync()
        {
            try
            {
                while (true)
                {
                    using var stream = new NetworkStream(await _listener.AcceptAsync(), ownsSocket: true);
                    await ServeAsync(stream);
                }
            }
            catch (Exception exception) when (exception is SocketException or ObjectDisposedException)
            {
            }
        }

        private async Task ServeAsync(NetworkStream stream)
        {
            Assert.StartsWith("\0AUTH EXTERNAL ", await LineAsync(stream), StringComparison.Ordinal);
            await stream.WriteAsync("OK 0123456789abcdef\r\n"u8.ToArray());
            Assert.Equal("BEGIN\r\n", await LineAsync(stream));
            var head = new byte[16];
            while (await stream.ReadAtLeastAsync(head, 16, throwOnEndOfStream: false) == 16)
            {
                var fields = new byte[(BitConverter.ToUInt32(head, 12) + 7) & ~7u];
                await stream.ReadExactlyAsync(fields);
                var body = new byte[BitConverter.ToUInt32(head, 4)];
                await stream.ReadExactlyAsync(body);
                var member = Encoding.ASCII.GetString(fields).Split('\0').First(part => part is "Hello" or "SetLinkDNS" or "SetLinkDomains" or "SetLinkDefaultRoute" or "RevertLink");
                lock (Calls) Calls.Add((member, body));
                var serial = BitConverter.GetBytes(BitConverter.ToUInt32(head, 8));
                var error = Refuses && member != "Hello" ? [14, 0, 0, 0, .. "no such thing!"u8.ToArray(), 0] : Array.Empty<byte>();
                // reply serial in a field of its own
                byte[] answer = [(byte)'l', (byte)(error.Length > 0 ? 3 : 2), 0, 1, (byte)error.Length, 0, 0, 0, 1, 0, 0, 0, 8, 0, 0, 0, 5, 1, (byte)'u', 0, .. serial, .. error];
                await stream.WriteAsync(answer);
            }
        }

        private static async Task<string> LineAsync(NetworkStream stream)
        {
            var line = new List<byte>();
            var one = new byte[1];
            while (line.Count == 0 || line[^1] != '\n')
            {
                await stream.ReadExactlyAsync(one);
                line.Add(one[0]);
            }

            return Encoding.ASCII.GetString([.. line]);
        }
    }
}
