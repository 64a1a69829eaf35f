using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text;
using System.Threading.Tasks;
using Warifu.App.Tests.Daemon;
using Warifu.App.Tests.Lab;
using Warifu.App.Vici;
using Warifu.Engine;
using Xunit;

namespace Warifu.App.Tests.Vici;

/// <summary>Clients that are slow, many, or hostile: the daemon neither ends nor stalls nor grows.</summary>
[Trait("Item", "1.14")]
[Collection(nameof(Alone))]
public sealed class ViciRobustnessTests
{
    [Fact]
    public async Task Frames_that_come_octet_by_octet_are_put_together()
    {
        await using var daemon = await LocalDaemon.StartAsync();
        await using var client = await RawClient.ConnectAsync(daemon.Socket);
        var two = ViciPacket.Frame(ViciKind.Request, "version", null)!.Concat(ViciPacket.Frame(ViciKind.Register, "log", null)!).ToArray();
        foreach (var octet in two) await client.WriteAsync([octet]);
        Assert.Equal("warifu", (await client.ReadAsync())!.Message.Text("daemon"));
        Assert.Equal(ViciKind.Confirm, (await client.ReadAsync())!.Kind);
    }

    [Fact]
    public async Task Two_frames_in_one_write_are_answered_in_order()
    {
        await using var daemon = await LocalDaemon.StartAsync();
        await using var client = await RawClient.ConnectAsync(daemon.Socket);
        await client.WriteAsync([.. ViciPacket.Frame(ViciKind.Request, "no-such-command", null)!, .. ViciPacket.Frame(ViciKind.Request, "version", null)!]);
        Assert.Equal(ViciKind.UnknownCommand, (await client.ReadAsync())!.Kind);
        Assert.Equal(ViciKind.Response, (await client.ReadAsync())!.Kind);
    }

    [Theory]
    [InlineData(0x00000000u)]
    [InlineData(0x00080001u)]
    [InlineData(0x7FFFFFFFu)]
    [InlineData(0xFFFFFFFFu)]
    public async Task A_length_beyond_the_limit_closes_the_connection_before_anything_is_read(uint length)
    {
        await using var daemon = await LocalDaemon.StartAsync();
        await using var client = await RawClient.ConnectAsync(daemon.Socket);
        await client.WriteAsync([(byte)(length >> 24), (byte)(length >> 16), (byte)(length >> 8), (byte)length]);
        Assert.True(await client.IsClosedAsync());
        Assert.Equal("warifu", (await daemon.AskAsync("version")).Text("daemon"));
    }

    [Fact]
    public async Task What_a_request_says_holds_although_it_is_erased_with_its_answer()
    {
        // who does not wait is answered at once: the engine's thread comes to the command when the message is gone
        await using var pair = await Pair.StartAsync(Side.Left, Side.Right);
        for (var i = 0; i < 20; i++)
        {
            Assert.True((await pair.InitiateAsync()).Bool("success"));
            Assert.True((await pair.Left.AskAsync("terminate", new ViciMessage().Add("ike", "site").Add("force", "yes").Add("timeout", "-1"))).Bool("success"));
            await Until.HoldsAsync("no IKE SA", () => pair.Left.ListAsync("list-sas", "list-sa"), sas => sas.Count == 0);
            await pair.Left.Daemon.Events.CaughtUpAsync();
            Assert.Equal("closed from here by force", pair.Left.Daemon.Events.DownReason("site"));
        }
    }

    [Fact]
    public async Task The_largest_frame_is_read()
    {
        await using var daemon = await LocalDaemon.StartAsync();
        await using var client = await RawClient.ConnectAsync(daemon.Socket);
        var message = new ViciMessage();
        for (var i = 0; i < 7; i++) message.Add("v" + i, new byte[65535]);
        var frame = ViciPacket.Frame(ViciKind.Request, "get-conns", message)!;
        message.Add("rest", new byte[ViciMessage.MaxLength - (frame.Length - 4) - 8]);
        frame = ViciPacket.Frame(ViciKind.Request, "get-conns", message)!;
        Assert.Equal(ViciMessage.MaxLength + 4, frame.Length);
        await client.WriteAsync(frame);
        Assert.Equal(ViciKind.Response, (await client.ReadAsync())!.Kind);
        Assert.Null(ViciPacket.Frame(ViciKind.Request, "get-conns", message.Add("x", "")));
    }

    [Fact]
    public async Task Packets_that_only_a_daemon_sends_and_broken_names_are_ignored()
    {
        await using var daemon = await LocalDaemon.StartAsync();
        await using var client = await RawClient.ConnectAsync(daemon.Socket);
        foreach (var content in new byte[][] { [1], [2], [5], [6], [7, 3, (byte)'l', (byte)'o', (byte)'g'], [8], [255, 1, 2, 3], [0], [0, 9, (byte)'v'], [0, 2, 0x07, 0x41], [3, 200] })
            await client.WriteAsync([0, 0, 0, (byte)content.Length, .. content]);
        await client.SendAsync(ViciKind.Request, "version");
        Assert.Equal("warifu", (await client.ReadAsync())!.Message.Text("daemon"));
    }

    [Theory]
    [InlineData("02")]
    [InlineData("0101")]
    [InlineData("010161")]
    [InlineData("0301610005aa")]
    [InlineData("050001aa")]
    [InlineData("0401610101620206")]
    [InlineData("04016104016206")]
    [InlineData("09")]
    public async Task A_malformed_message_is_answered_with_a_failure(string octets)
    {
        await using var daemon = await LocalDaemon.StartAsync();
        await using var client = await RawClient.ConnectAsync(daemon.Socket);
        var body = Convert.FromHexString(octets);
        await client.WriteAsync([0, 0, 0, (byte)(2 + 8 + body.Length), 0, 8, .. "list-sas"u8, .. body]);
        Assert.Equal("parsing request failed", (await client.ReadAsync())!.Message.Text("errmsg"));
        await client.SendAsync(ViciKind.Request, "version");
        Assert.Equal(ViciKind.Response, (await client.ReadAsync())!.Kind);
    }

    [Fact]
    public async Task Sections_in_sections_without_end_are_refused()
    {
        await using var daemon = await LocalDaemon.StartAsync();
        await using var client = await RawClient.ConnectAsync(daemon.Socket);
        var body = Enumerable.Repeat(new byte[] { 1, 0 }, 200_000).SelectMany(section => section).ToArray();
        var length = 2 + 9 + body.Length;
        await client.WriteAsync([(byte)(length >> 24), (byte)(length >> 16), (byte)(length >> 8), (byte)length, 0, 9, .. "load-conn"u8, .. body]);
        Assert.Equal("parsing request failed", (await client.ReadAsync())!.Message.Text("errmsg"));
    }

    [Fact]
    public async Task Random_and_mutated_frames_neither_end_the_daemon_nor_make_it_grow()
    {
        await using var daemon = await LocalDaemon.StartAsync(GoldenTests.Configuration);
        var random = new Random(20261125);
        var recorded = new[] { "01-queries", "02-errors" }.SelectMany(GoldenSession.Packets).Where(packet => packet.FromClient).Select(packet => packet.Frame).ToList();
        var before = GC.GetTotalMemory(forceFullCollection: true);
        for (var round = 0; round < 300; round++)
        {
            await using var client = await RawClient.ConnectAsync(daemon.Socket);
            try
            {
                for (var i = 0; i < 20; i++)
                {
                    var frame = recorded[random.Next(recorded.Count)].ToArray();
                    for (var flips = random.Next(1, 6); flips > 0; flips--) frame[random.Next(4, frame.Length)] ^= (byte)(1 << random.Next(8));
                    if (random.Next(10) == 0) random.NextBytes(frame.AsSpan(4));
                    await client.WriteAsync(frame);
                }
            }
            catch (IOException)
            {
                // it was cut off
            }
        }

        Assert.Equal("warifu", (await daemon.AskAsync("version")).Text("daemon"));
        var grown = GC.GetTotalMemory(forceFullCollection: true) - before;
        Assert.True(grown < 16 << 20, $"grew by {grown} octets");
    }

    [Fact]
    public async Task Clients_beyond_the_limit_are_refused_and_the_others_are_served()
    {
        await using var daemon = await LocalDaemon.StartAsync();
        var clients = new List<RawClient>();
        for (var i = 0; i < 300; i++) clients.Add(await RawClient.ConnectAsync(daemon.Socket));
        var served = 0;
        foreach (var client in clients)
        {
            try
            {
                await client.SendAsync(ViciKind.Request, "version");
                if (await client.ReadAsync() is not null) served++;
            }
            catch (IOException)
            {
                // refused
            }
        }

        Assert.Equal(256, served);
        foreach (var client in clients) await client.DisposeAsync();
        for (var i = 0; ; i++)
        {
            try
            {
                await daemon.AskAsync("version");
                return;
            }
            catch (IOException) when (i < 100)
            {
                await Task.Delay(20);
            }
        }
    }

    [Fact]
    public async Task A_client_that_does_not_read_its_events_is_cut_off_and_holds_nobody_up()
    {
        await using var daemon = await LocalDaemon.StartAsync();
        await using var slow = await RawClient.ConnectAsync(daemon.Socket);
        await slow.SendAsync(ViciKind.Register, "warifu-event");
        Assert.Equal(ViciKind.Confirm, (await slow.ReadAsync())!.Kind);
        await using var good = await RawClient.ConnectAsync(daemon.Socket);
        var line = new string('x', 1000);
        var before = GC.GetTotalMemory(forceFullCollection: true);
        for (var i = 0; i < 50_000; i++) daemon.Daemon.Events.Tell("", NoticeLevel.Info, line);
        var grown = GC.GetTotalMemory(forceFullCollection: true) - before;
        Assert.True(grown < 16 << 20, $"grew by {grown} octets");
        await good.SendAsync(ViciKind.Request, "version");
        Assert.NotNull(await good.ReadAsync());
        Assert.True(await slow.IsClosedAsync());
    }

    [Fact]
    public async Task A_long_listing_waits_for_its_reader()
    {
        var configuration = new StringBuilder("connections {\n");
        for (var i = 0; i < 8000; i++) configuration.Append('c').Append(i).Append(" { version = 2\n remote_addrs = 192.0.2.").Append(i % 250).Append("\n local { auth = psk }\n remote { auth = psk }\n children { net { local_ts = 10.0.0.0/8\n remote_ts = 172.16.0.0/12 } } }\n");
        await using var daemon = await LocalDaemon.StartAsync(configuration.Append('}').ToString());
        await using var client = await RawClient.ConnectAsync(daemon.Socket);
        await client.SendAsync(ViciKind.Register, "list-conn");
        Assert.Equal(ViciKind.Confirm, (await client.ReadAsync())!.Kind);
        var before = GC.GetTotalMemory(forceFullCollection: true);
        await client.SendAsync(ViciKind.Request, "list-conns");
        await Task.Delay(500);
        Assert.True(GC.GetTotalMemory(forceFullCollection: true) - before < 3 << 20);
        var (events, octets) = (0, 0L);
        while (await client.ReadAsync() is { } packet && packet.Kind == ViciKind.Event) (events, octets) = (events + 1, octets + packet.Frame.Length);
        Assert.Equal(8000, events);
        Assert.True(octets > 3 << 20, $"{octets} octets are too few to prove anything");
    }

    [Fact]
    public async Task The_socket_is_for_root_only_and_goes_with_the_daemon()
    {
        var daemon = await LocalDaemon.StartAsync();
        var path = daemon.Socket;
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(path));
        await daemon.DisposeAsync();
        Assert.False(File.Exists(path));
    }

    [Fact]
    public async Task A_socket_on_which_nobody_listens_is_replaced_and_a_living_one_is_not()
    {
        var folder = Directory.CreateTempSubdirectory("warifu-t").FullName;
        var path = Path.Combine(folder, "vici.sock");
        try
        {
            RawClient.Abandon(path);
            Assert.True(File.Exists(path));
            await using var first = new ViciServer();
            first.Register("version", (_, _) => Task.FromResult(new ViciMessage()));
            first.Listen(path);
            await using var second = new ViciServer();
            var refused = Assert.Throws<IOException>(() => second.Listen(path));
            Assert.Contains("another daemon listens there", refused.Message, StringComparison.Ordinal);
            await using var client = await ViciClient.ConnectAsync(path);
            await client.RequestAsync("version");
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public async Task A_file_that_is_no_socket_is_left_alone()
    {
        var path = Path.GetTempFileName();
        await using var server = new ViciServer();
        var refused = Assert.Throws<IOException>(() => server.Listen(path));
        Assert.Contains("no socket", refused.Message, StringComparison.Ordinal);
        Assert.True(File.Exists(path));
        File.Delete(path);
    }

    [Fact]
    public async Task What_does_not_fit_into_a_packet_is_cut_not_thrown()
    {
        var message = new ViciMessage().Add(new string('n', 300), new string('v', 70_000));
        Assert.True(ViciMessage.TryDecode(message.Encode(), out var read));
        Assert.Equal((255, 65535), (read.Elements[0].Name.Length, read.Elements[0].Value!.Length));
        await using var daemon = await LocalDaemon.StartAsync();
        await using var client = await RawClient.ConnectAsync(daemon.Socket);
        await client.SendAsync(ViciKind.Request, "unload-conn", new ViciMessage().Add("name", new string('x', 65535)));
        Assert.Equal("no", (await client.ReadAsync())!.Message.Text("success"));
    }

    [Fact]
    public async Task Secrets_go_in_and_never_come_out()
    {
        await using var daemon = await LocalDaemon.StartAsync(Side.Left.Text);
        await using var client = await RawClient.ConnectAsync(daemon.Socket);
        foreach (var command in new[] { "get-shared", "get-conns", "stats", "get-counters", "warifu-status", "list-conns" }) await client.SendAsync(ViciKind.Register, command == "list-conns" ? "list-conn" : "log");
        foreach (var command in new[] { "get-shared", "get-conns", "stats", "get-counters", "warifu-status", "list-conns", "warifu-events" }) await client.SendAsync(ViciKind.Request, command);
        var (answers, text) = (0, new StringBuilder());
        while (answers < 13)
        {
            var packet = await client.ReadAsync();
            text.Append(Encoding.Latin1.GetString(packet!.Frame));
            if (packet.Kind != ViciKind.Event) answers++;
        }

        Assert.Contains("ike-site", text.ToString(), StringComparison.Ordinal);
        Assert.DoesNotContain(Side.Secret, text.ToString(), StringComparison.Ordinal);
    }
}

/// <summary>Tests that measure the memory of the whole process: nothing else runs meanwhile.</summary>
[CollectionDefinition(nameof(Alone), DisableParallelization = true)]
public sealed class Alone;
