using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.ComponentModel;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Warifu.Engine;
using Warifu.Ipsec;
using Warifu.Net.Host;
using Warifu.Net.Linux;
using Warifu.Net.Tun;
using Warifu.Net.Udp;
using Warifu.Primitives;

namespace Warifu.Net.DataPlane;

/// <summary>
/// ESP and AH in user space. Inner packets come from TUN devices, one thread each, or from an <see cref="IPacketPort"/>; ESP packets come on the receive threads of the <see cref="UdpHub"/>. The commands of
/// <see cref="IDataPlane"/> come from the engine's thread.
/// </summary>
internal sealed class UserspaceDataPlane : IDataPlane, IDisposable
{
    /// <summary>Device of policy-based connections.</summary>
    public const string SharedDevice = "warifu0";

    private const int DefaultMtu = 1400;
    private const int LeastMtu = 1280;
    private const int LargestPacket = 65535;

    /// <summary>Packets on a replaced pair are late by no more than this.</summary>
    private static readonly TimeSpan s_inFlight = TimeSpan.FromSeconds(5);

    [ThreadStatic]
    private static byte[]? _portBuffer;

    [ThreadStatic]
    private static byte[]? _pieceBuffer;

    [ThreadStatic]
    private static InboundState? _inbound;

    private readonly UdpHub _hub;
    private readonly IPacketPort? _port;
    private readonly HostRouting? _routing;
    private readonly ClearTextGuard? _guard;
    private readonly ClientAddresses _clients = new();
    private readonly NameServers? _nameServers;
    private readonly ConcurrentDictionary<string, Device> _devices = new(StringComparer.Ordinal);
    private readonly Dictionary<(string Connection, string Child), Claim> _policies = [];
    private readonly Dictionary<uint, (string Device, Claim Claim)> _pairs = [];
    private readonly NetlinkWatch? _watch;
    private static readonly TimeSpan s_forgetInterval = TimeSpan.FromMinutes(1);

    private Timer? _forgetting;
    private Losses _lost;
    private readonly Lock _gate = new();
    private volatile Device? _shared;
    private bool _disposed;

    /// <param name="hub">Sends and receives ESP.</param>
    /// <param name="entropy">IVs.</param>
    /// <param name="port">Inner packets by this instead of TUN devices; then no route or rule is made.</param>
    /// <param name="mark">fwmark of our own packets.</param>
    /// <param name="table">Our routing table.</param>
    /// <param name="raised">Called on a data thread when an event waits.</param>
    /// <exception cref="Win32Exception">No right to make routes.</exception>
    public UserspaceDataPlane(UdpHub hub, IEntropy entropy, IPacketPort? port, uint mark, uint table, Action raised)
    {
        (_hub, _port) = (hub, port);
        Path = new PacketPath(entropy) { EventRaised = raised };
        if (port is null)
        {
            _routing = new HostRouting(mark, table) { Troubled = text => Troubled?.Invoke(text) };
            try
            {
                _guard = new ClearTextGuard(hub.Port, hub.SharedPort) { Mark = mark };
            }
            catch (Win32Exception exception)
            {
                GuardMissing = exception.Message;
            }

            _nameServers = new NameServers(text => Troubled?.Invoke(text));
            _clients.Troubled = text => Troubled?.Invoke(text);
            _clients.NameServersChanged = _nameServers.Set;
            _watch = new NetlinkWatch(Happened, Settle, LostCount);
        }

        hub.OnEsp = Inbound;
        hub.OnAh = InboundAh;
        hub.OnBatchEnd = EndInbound;
        hub.OnPathMtu = LearnPathMtu;
        port?.Attach(SendFromPort);
    }

    public PacketPath Path { get; }

    /// <summary>Why unprotected packets are not filtered; null when they are, or when there is no kernel in between.</summary>
    public string? GuardMissing { get; }

    /// <summary>Told what could not be made or put back.</summary>
    public Action<string>? Troubled { get; set; }

    /// <summary>Packets that came unprotected although a protect entry covers them, and were dropped.</summary>
    public long UnprotectedDrops
    {
        get
        {
            lock (_gate) return _guard?.Dropped ?? 0;
        }
    }

    /// <summary>Fragments that would have left in clear, and were dropped.</summary>
    public long FragmentDrops
    {
        get
        {
            lock (_gate) return _guard?.DroppedFragments ?? 0;
        }
    }

    public bool TryDequeueEvent(out DataPlaneEvent? raised) => Path.TryDequeueEvent(out raised);

    /// <summary>Devices that connections are bound to exist as long as their connections are loaded, so that the administrator's routes on them stay.</summary>
    public void KeepDevices(ImmutableHashSet<string> names)
    {
        if (_port is not null) return;
        lock (_gate)
        {
            foreach (var name in names) _ = DeviceFor(name);
            foreach (var (name, device) in _devices)
            {
                if (name == SharedDevice || names.Contains(name) || IsUsed(name)) continue;
                _devices.TryRemove(name, out _);
                device.Dispose();
            }
        }
    }

    public void InstallPolicy(TrafficPolicy policy)
    {
        lock (_gate)
        {
            Path.InstallPolicy(policy);
            if (_routing is null) return;
            // what stays is held all the time
            var replaces = _policies.Remove((policy.Connection, policy.Child), out var before);
            _policies[(policy.Connection, policy.Child)] = Hold(policy.Action == TrafficAction.Bypass, policy.LocalSelectors, policy.RemoteSelectors, policy.Options, keep: true);
            if (replaces) Release(before!);
        }
    }

    public void RemovePolicy(string connection, string child)
    {
        lock (_gate)
        {
            Path.RemovePolicy(connection, child);
            ReleasePolicy(connection, child);
        }
    }

    public void Install(ChildSa sa)
    {
        lock (_gate)
        {
            Path.Install(sa);
            if (_routing is null) return;
            var name = sa.Options.BindInterface ?? SharedDevice;
            _pairs[sa.Id] = (name, Hold(bypass: false, sa.LocalSelectors, sa.RemoteSelectors, sa.Options, keep: false));
            FitMtu(name);
        }

        if (sa is { Replaces: not 0, OutboundReady: true }) AwaitPasses();
    }

    /// <summary>A gateway gave us addresses: they are there before the first packet needs them as its source.</summary>
    public void Configure(ClientConfiguration client)
    {
        lock (_gate)
        {
            if (_routing is null || _disposed) return;
            var device = DeviceFor(client.Interface ?? SharedDevice);
            _clients.Add(client, device.Tun.Name, device.Tun.Index);
            _routing.AddressCame();
        }
    }

    public void Unconfigure(uint id)
    {
        lock (_gate)
        {
            if (_routing is null || _disposed) return;
            _clients.Remove(id);
            _routing.AddressCame();
        }
    }

    public void UseOutbound(uint id)
    {
        Path.UseOutbound(id);
        AwaitPasses();
    }

    public void Move(uint id, Endpoint local, Endpoint remote, bool udpEncapsulation, bool localBehindNat)
    {
        lock (_gate)
        {
            Path.Move(id, local, remote, udpEncapsulation, localBehindNat);
            if (_pairs.TryGetValue(id, out var pair)) FitMtu(pair.Device);
        }
    }

    public void Remove(uint id)
    {
        lock (_gate)
        {
            Path.Remove(id);
            Forget(id);
        }
    }

    /// <summary>Removes a pair that was replaced; for a few seconds it still takes what was under way.</summary>
    public void Retire(uint id)
    {
        lock (_gate)
        {
            Path.Retire(id);
            Forget(id);
        }

        _ = RemoveLaterAsync(id);
    }

    public bool TryQuery(uint id, out ChildCounters counters) => Path.TryQuery(id, out counters);

    /// <summary>The policy is loaded: what a crash left and nobody holds again goes, and what comes in clear from now on is dropped.</summary>
    public void Loaded()
    {
        lock (_gate)
        {
            if (_disposed) return;
            _routing?.ForgetLeftovers();
            _guard?.Enforce();
        }
    }

    public void Dispose()
    {
        _watch?.Dispose();
        Shut();
        // resolved is told that the links are gone; it knows it anyway when it does not answer
        _nameServers?.DisposeAsync().AsTask().Wait(TimeSpan.FromSeconds(2));
    }

    private void Shut()
    {
        lock (_gate)
        {
            if (_disposed) return;
            _clients.Clear();
            _disposed = true;
            _forgetting?.Dispose();
            _routing?.Dispose();
            _guard?.Dispose();
            foreach (var device in _devices.Values) device.Dispose();
            _devices.Clear();
            foreach (var id in Path.PairIds()) Path.Remove(id);
        }
    }

    private void ReleasePolicy(string connection, string child)
    {
        if (_policies.Remove((connection, child), out var claim)) Release(claim);
    }

    private async Task RemoveLaterAsync(uint id)
    {
        await Task.Delay(s_inFlight).ConfigureAwait(false);
        lock (_gate) Path.Remove(id);
    }

    /// <summary>Routes and device of a pair.</summary>
    private void Forget(uint id)
    {
        if (!_pairs.Remove(id, out var pair)) return;
        Release(pair.Claim);
        FitMtu(pair.Device);
    }

    /// <summary>Routes and rules that a policy or a pair needs, and what must not come in clear.</summary>
    private Claim Hold(bool bypass, ImmutableArray<TrafficSelector> local, ImmutableArray<TrafficSelector> remote, ChildOptions options, bool keep)
    {
        if (bypass)
        {
            _guard?.Add(bypass: true, local, remote);
            return new Claim(_routing!.Bypass(local, remote), true, local, remote, null);
        }

        var name = options.BindInterface ?? SharedDevice;
        _ = DeviceFor(name);
        // a bound interface with selectors of everything: the administrator's routes say what belongs inside
        var guarded = options.BindInterface is null ? remote : remote.RemoveAll(HostRouting.IsEverything);
        if (guarded.Length < remote.Length) _guard?.AddRoutedTun(name);
        _guard?.Add(bypass: false, local, guarded);
        var claim = new Claim(_routing!.Lead(name, local, remote, options, keep), false, local, guarded, options.BypassLan ? new Lan() : null);
        HoldLan(claim);
        return claim;
    }

    /// <summary>The connected networks stay reachable: those of now, and as they change.</summary>
    private void HoldLan(Claim claim)
    {
        if (claim.Lan is not { } lan) return;
        lan.Networks = [.. _routing!.ConnectedNetworks()];
        lan.Selectors = [.. lan.Networks.Select(TrafficSelector.Of)];
        lan.Holds = _routing.BypassNetworks(lan.Networks);
        _guard?.Add(bypass: true, claim.Local, lan.Selectors);
    }

    private void ReleaseLan(ImmutableArray<TrafficSelector> local, ImmutableArray<TrafficSelector> selectors, ImmutableArray<object> holds)
    {
        _routing?.Release(holds);
        _guard?.Remove(bypass: true, local, selectors);
    }

    /// <summary>Addresses came or went. True when a connected network did.</summary>
    private bool FollowLan()
    {
        var changed = false;
        foreach (var claim in _policies.Values.Concat(_pairs.Values.Select(pair => pair.Claim)))
        {
            if (claim.Lan is not { } lan || _routing!.ConnectedNetworks().ToHashSet().SetEquals(lan.Networks)) continue;
            var (selectors, holds) = (lan.Selectors, lan.Holds);
            HoldLan(claim);
            // what stays is held all the time
            ReleaseLan(claim.Local, selectors, holds);
            changed = true;
        }

        return changed;
    }

    private void Release(Claim claim)
    {
        _routing?.Release(claim.Holds);
        _guard?.Remove(claim.Bypass, claim.Local, claim.Remote);
        if (claim.Lan is { } lan) ReleaseLan(claim.Local, lan.Selectors, lan.Holds);
    }

    // ---- what others do to the host

    /// <summary>Notes what somebody took away; single routes and rules are put back at once. On the watch's thread.</summary>
    private void Happened(bool netfilter, in NetlinkReader message)
    {
        lock (_gate)
        {
            if (_disposed) return;
            if (netfilter)
            {
                _lost.Guard |= _guard?.IsTakenAway(message) ?? false;
                return;
            }

            switch (message.Type)
            {
                case Rtnetlink.DelRoute when Rtnetlink.IsOwn(isRule: false, message.Body) && Rtnetlink.TryParse(message.Body, out Route route):
                    _lost.Any |= _routing!.PutBack(route);
                    break;
                case Rtnetlink.DelRule when Rtnetlink.IsOwn(isRule: true, message.Body) && Rtnetlink.TryParse(message.Body, out RoutingRule rule):
                    _lost.Any |= _routing!.PutBack(rule);
                    break;
                case Rtnetlink.NewAddress:
                    _lost.Addresses = true;
                    break;
                case Rtnetlink.DelAddress:
                    // the kernel silently drops routes whose source is gone
                    _lost.Routes = true;
                    break;
                case Rtnetlink.DelLink or Rtnetlink.NewLink when _devices.TryGetValue(Rtnetlink.LinkName(message.Body), out var device):
                    _lost.Devices = true;
                    if (Rtnetlink.LinkIndex(message.Body) == device.Tun.Index) device.Heard(Rtnetlink.IsUp(message.Body));
                    break;
            }
        }
    }

    /// <summary>Puts back what the messages so far told of. True when something was to do: then the watch takes a breath, for somebody may be removing again and again.</summary>
    private bool Settle()
    {
        lock (_gate)
        {
            var lost = _lost;
            _lost = default;
            if (_disposed) return false;
            if (lost.Devices)
            {
                foreach (var device in _devices.Values)
                {
                    if (Libc.if_nametoindex(device.Tun.Name) != device.Tun.Index) Restoring($"device {device.Tun.Name}", () => Renew(device));
                    else if (device.IsDown) Restoring($"device {device.Tun.Name}", () => Raise(device));
                    else continue;
                    lost.Routes = true;
                }
            }

            if (lost.Routes && !_clients.IsEmpty) _clients.Restore();
            if (lost.Routes) _routing!.Restore();
            else if (lost.Addresses) lost.Routes = _routing!.AddressCame();
            if (lost.Routes || lost.Addresses) lost.Any |= FollowLan();
            if (lost.Guard && _guard is not null) Restoring("the table inet warifu", _guard.Restore);
            return lost.Any || lost.Routes || lost.Guard;
        }
    }

    /// <summary>Messages were lost: anything may be gone.</summary>
    private void LostCount()
    {
        lock (_gate) _lost = new Losses { Routes = true, Devices = true, Guard = true };
    }

    private void Restoring(string what, Action action)
    {
        try
        {
            action();
            Troubled?.Invoke($"somebody took away {what}: it is put back");
        }
        catch (Exception exception) when (exception is Win32Exception or ArgumentException)
        {
            Troubled?.Invoke($"{what} cannot be put back: {exception.Message}");
        }
    }

    /// <summary>The device was deleted: a new one of the same name takes its place.</summary>
    private void Renew(Device old)
    {
        _devices.TryRemove(old.Tun.Name, out _);
        old.Dispose();
        _clients.Renew(old.Tun.Name, DeviceFor(old.Tun.Name).Tun.Index);
        FitMtu(old.Tun.Name);
    }

    /// <summary>The device was set down, and its routes went with that.</summary>
    private static void Raise(Device device)
    {
        device.IsDown = false;
        using var netlink = new Rtnetlink();
        netlink.SetLink(device.Tun.Index, up: true, device.Mtu);
    }

    /// <summary>The interface is one of our devices.</summary>
    public bool Owns(int index)
    {
        foreach (var device in _devices.Values)
        {
            if (device.Tun.Index == index) return true;
        }

        return false;
    }

    private bool IsUsed(string name)
    {
        foreach (var pair in _pairs.Values)
        {
            if (pair.Device == name) return true;
        }

        return false;
    }

    private Device DeviceFor(string name)
    {
        if (_devices.TryGetValue(name, out var device)) return device;
        device = new Device(this, TunDevice.Create(name, DefaultMtu), name == SharedDevice ? null : name);
        _devices[name] = device;
        _guard?.AddTun(name);
        _routing?.SetDevice(name, device.Tun.Index);
        if (name == SharedDevice) _shared = device;
        return device;
    }

    /// <summary>The device takes what its narrowest pair takes; never less than IPv6 needs, for the kernel takes IPv6 off a narrower device. The pairs tell their own, smaller limits by ICMP.</summary>
    private void FitMtu(string name)
    {
        var smallest = int.MaxValue;
        foreach (var (id, pair) in _pairs)
        {
            if (pair.Device == name && Path.InnerMtu(id) is > 0 and var mtu) smallest = Math.Min(smallest, mtu);
        }

        if (_devices.TryGetValue(name, out var device)) device.SetMtu(smallest == int.MaxValue ? DefaultMtu : Math.Max(smallest, LeastMtu));
    }

    private void LearnPathMtu(IpAddress remote, int mtu)
    {
        lock (_gate)
        {
            if (_disposed) return;
            Path.LearnPathMtu(remote, mtu, Libc.Now());
            FitMtus();
            _forgetting ??= new Timer(_ => ForgetPathMtus(), null, s_forgetInterval, s_forgetInterval);
        }
    }

    private void ForgetPathMtus()
    {
        lock (_gate)
        {
            if (!_disposed && Path.ForgetPathMtus(Libc.Now())) FitMtus();
        }
    }

    private void FitMtus()
    {
        foreach (var name in _devices.Keys) FitMtu(name);
    }

    // ---- out: packets of a port, one by one

    private bool SendFromPort(ReadOnlySpan<byte> packet)
    {
        if (packet.IsEmpty || packet.Length > LargestPacket) return false;
        var buffer = _portBuffer ??= NewBuffer();
        packet.CopyTo(buffer.AsSpan(EspOverhead.Headroom));
        Span<byte> reply = stackalloc byte[IcmpError.MaxLength];
        var now = Libc.Now();
        Path.Outbound(buffer, EspOverhead.Headroom, packet.Length, null, now, reply, out var result);
        if (result.ReplyLength > 0) _port!.Deliver(reply[..result.ReplyLength]);
        return result.Verdict switch
        {
            OutboundVerdict.Protect => Send(buffer, result),
            OutboundVerdict.Fragment => SendFragments(buffer, packet.Length, result, now),
            _ => false,
        };
    }

    private bool Send(byte[] buffer, in OutboundResult result)
    {
        var path = result.Path!;
        return _hub.SendEsp(path.Local, path.Remote, buffer.AsSpan(result.Packet.Offset, result.Packet.Length), path.UdpEncapsulation, result.Tos, result.DontFragment);
    }

    private bool SendFragments(byte[] buffer, int length, in OutboundResult whole, Instant now)
    {
        var packet = buffer.AsSpan(EspOverhead.Headroom, length);
        if (!IpHeader.TryParse(packet, out var header)) return false;
        var piece = _pieceBuffer ??= NewBuffer();
        var (at, sent) = (0, true);
        while (Ipv4Fragmenter.Next(packet, header, whole.FragmentMtu, ref at, piece.AsSpan(EspOverhead.Headroom, whole.FragmentMtu)) is var size and > 0)
        {
            Path.ProtectFragment(whole.Sa!, piece, EspOverhead.Headroom, size, now, out var result);
            sent = result.Verdict == OutboundVerdict.Protect && Send(piece, result) && sent;
        }

        return sent;
    }

    private static byte[] NewBuffer() => GC.AllocateUninitializedArray<byte>(EspOverhead.Headroom + LargestPacket + EspOverhead.Tailroom, pinned: true);

    // ---- in

    private void Inbound(Span<byte> buffer, int offset, int length, in Arrival arrival, Instant now)
    {
        var state = _inbound ??= new InboundState();
        var aside = offset != ReceiveBatch.Headroom && Path.RebuildsHeader(buffer.Slice(offset, length));
        if (aside)
        {
            // transport mode: the IP header goes before ESP, where another packet of the batch ends
            buffer.Slice(offset, length).CopyTo(state.Aside.AsSpan(EspOverhead.Headroom));
            buffer = state.Aside;
            offset = EspOverhead.Headroom;
        }

        Path.Inbound(buffer, offset, length, new OuterInfo(arrival.Local, arrival.Remote, arrival.Tos), now, out var result);
        if (result.Drop != PacketDrop.None || result.Sa is not { } sa) return;
        var inner = buffer.Slice(result.Offset, result.Length);
        if (_port is not null)
        {
            _port.Deliver(inner);
            return;
        }

        Write(state, sa, inner);
        if (aside) state.Writer.Flush();
    }

    private void InboundAh(Span<byte> buffer, int offset, int length, Instant now)
    {
        Path.InboundAh(buffer, offset, length, now, out var result);
        if (result.Drop == PacketDrop.None && result.Sa is { } sa) Write(_inbound ??= new InboundState(), sa, buffer.Slice(result.Offset, result.Length));
    }

    private void Write(InboundState state, IpsecSa sa, Span<byte> inner)
    {
        var device = _shared;
        if (sa.Options.BindInterface is { } name) _devices.TryGetValue(name, out device);
        if (device is not null) state.Writer.Write(device.Tun, inner);
    }

    private static void EndInbound() => _inbound?.Writer.Flush();

    /// <summary>What a receive thread has of its own.</summary>
    private sealed class InboundState
    {
        private byte[]? _aside;

        public TunWriter Writer { get; } = new();

        public byte[] Aside => _aside ??= NewBuffer();
    }

    /// <summary>What was taken away since the last look.</summary>
    private struct Losses
    {
        public bool Any, Routes, Addresses, Devices, Guard;
    }

    private sealed record Claim(ImmutableArray<object> Holds, bool Bypass, ImmutableArray<TrafficSelector> Local, ImmutableArray<TrafficSelector> Remote, Lan? Lan);

    /// <summary>What a child leaves to the networks that the machine is connected to.</summary>
    private sealed class Lan
    {
        public ImmutableArray<IpPrefix> Networks { get; set; } = [];

        public ImmutableArray<TrafficSelector> Selectors { get; set; } = [];

        public ImmutableArray<object> Holds { get; set; } = [];
    }

    /// <summary>What an old pair has protected goes before the message that ends it.</summary>
    private void AwaitPasses()
    {
        foreach (var device in _devices.Values) device.AwaitPass();
    }

    /// <summary>A TUN and the thread that reads it.</summary>
    private sealed class Device : IDisposable
    {
        /// <summary>A pass takes a fraction of a millisecond, unless its thread has no processor: on a busy machine that may be several turns of others.</summary>
        private static readonly TimeSpan s_passPatience = TimeSpan.FromMilliseconds(25);

        private readonly UserspaceDataPlane _plane;
        private readonly string? _boundInterface;
        private readonly Thread _thread;
        private readonly int _wake;
        private volatile OutboundBatch? _outbound;
        private volatile bool _stopping;
        private bool _wasUp;

        public Device(UserspaceDataPlane plane, TunDevice tun, string? boundInterface)
        {
            (_plane, Tun, _boundInterface) = (plane, tun, boundInterface);
            _wake = Libc.eventfd(0, Libc.SockCloexec);
            _thread = new Thread(Read) { IsBackground = true, Name = $"warifu-{tun.Name}" };
            _thread.Start();
        }

        public TunDevice Tun { get; }

        public int Mtu { get; private set; } = DefaultMtu;

        /// <summary>Somebody set it down.</summary>
        public bool IsDown { get; set; }

        /// <summary>What is told of the time before we raised it does not count.</summary>
        public void Heard(bool isUp)
        {
            IsDown |= _wasUp && !isUp;
            _wasUp |= isUp;
        }

        public void AwaitPass() => _outbound?.Await(s_passPatience);

        public void SetMtu(int mtu)
        {
            if (mtu == Mtu) return;
            using var netlink = new Rtnetlink();
            netlink.SetLink(Tun.Index, up: true, mtu);
            Mtu = mtu;
        }

        public void Dispose()
        {
            _stopping = true;
            unsafe
            {
                ulong one = 1;
                _ = Libc.write(_wake, (byte*)&one, 8);
            }

            if (Thread.CurrentThread != _thread) _thread.Join();
            Tun.Dispose();
            _ = Libc.close(_wake);
        }

        private void Read()
        {
            using var outbound = new OutboundBatch(_plane._hub, _plane.Path, Tun, _boundInterface);
            _outbound = outbound;
            while (!_stopping)
            {
                Libc.WaitForInput(Tun.File, _wake);
                int reads;
                while ((reads = outbound.Pass()) > 0 && !_stopping)
                {
                }

                // somebody deleted the device
                if (reads < 0) return;
            }
        }
    }
}
