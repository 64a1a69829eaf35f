using System;
using System.Collections.Generic;
using System.Threading;
using Warifu.Net.Linux;
using Warifu.Primitives;

namespace Warifu.Net.Udp;

/// <summary>An IKE message without its marker.</summary>
internal delegate void IkeArrived(Endpoint local, Endpoint remote, ReadOnlySpan<byte> message);

/// <summary>
/// An ESP packet at <paramref name="offset"/> of a buffer, which the receiver may change, and which stays as it is until <see cref="UdpHub.OnBatchEnd"/>. Before it is
/// <see cref="ReceiveBatch.Headroom"/>, or another packet of the same batch that was handed over already.
/// </summary>
internal delegate void EspArrived(Span<byte> buffer, int offset, int length, in Arrival arrival, Instant now);

/// <summary>A whole IP packet with AH at <paramref name="offset"/> of a buffer; otherwise as <see cref="EspArrived"/>.</summary>
internal delegate void AhArrived(Span<byte> buffer, int offset, int length, Instant now);

/// <summary>All sockets of a node: the IKE port and the port shared with ESP, in both families, and raw ESP and AH where it is allowed. A thread per socket receives; it does no IKE work.</summary>
internal sealed class UdpHub : IDisposable
{
    private readonly List<DatagramSocket> _sockets = [];
    private readonly List<Thread> _threads = [];
    private readonly int _wake;
    private readonly DatagramSocket?[] _ike = new DatagramSocket?[2];
    private readonly DatagramSocket?[] _shared = new DatagramSocket?[2];
    private readonly DatagramSocket?[] _raw = new DatagramSocket?[2];
    private readonly DatagramSocket?[] _ah = new DatagramSocket?[2];
    private volatile bool _stopping;
    private long _keepalivesReceived;
    private readonly ManualResetEventSlim _open = new();
    private int _started;

    /// <param name="port">IKE; 0 = any free port.</param>
    /// <param name="sharedPort">IKE behind the marker, and ESP.</param>
    /// <param name="mark">fwmark of everything that we send; 0 = none.</param>
    /// <param name="rawEsp">Try to open raw sockets for ESP and AH straight on IP.</param>
    /// <param name="offloads">ESP in UDP by messages that stand for many datagrams, where the kernel has them.</param>
    public UdpHub(ushort port, ushort sharedPort, uint mark, bool rawEsp, bool offloads = true)
    {
        _wake = Libc.eventfd(0, Libc.SockCloexec);
        try
        {
            foreach (var v6 in new[] { false, true })
            {
                var index = v6 ? 1 : 0;
                try
                {
                    _ike[index] = Add(DatagramSocket.Udp(v6, v6 && port == 0 ? Port : port, mark));
                    _shared[index] = Add(DatagramSocket.Udp(v6, v6 && sharedPort == 0 ? SharedPort : sharedPort, mark, offloads));
                }
                catch (System.ComponentModel.Win32Exception exception) when (v6 && (port == 0 || exception.NativeErrorCode is Libc.Eafnosupport or Libc.Eaddrnotavail))
                {
                    // a machine without IPv6, or the free port of IPv4 is taken there
                    continue;
                }

                if (index == 0) (Port, SharedPort) = (_ike[0]!.Port, _shared[0]!.Port);
                if (!rawEsp) continue;
                try
                {
                    _raw[index] = Add(DatagramSocket.RawEsp(v6, mark));
                }
                catch (System.ComponentModel.Win32Exception refused) when (refused.NativeErrorCode is Libc.Eperm or Libc.Eacces)
                {
                    // not privileged: ESP in UDP only
                    continue;
                }

                try
                {
                    _ah[index] = Add(DatagramSocket.RawAh(v6, mark));
                }
                catch (System.ComponentModel.Win32Exception)
                {
                    // a kernel that lets nobody write IPv6 headers: children with AH are refused, and say so
                }
            }
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>The IKE port that was really bound.</summary>
    public ushort Port { get; }

    public ushort SharedPort { get; }

    /// <summary>ESP can go straight on IP.</summary>
    public bool HasRawEsp => _raw[0] is not null;

    /// <summary>AH can go out at all.</summary>
    public bool HasAh => _ah[0] is not null && (_ah[1] is not null || _raw[1] is null);

    public long KeepalivesReceived => Volatile.Read(ref _keepalivesReceived);

    public IkeArrived? OnIke { get; set; }

    public EspArrived? OnEsp { get; set; }

    public AhArrived? OnAh { get; set; }

    /// <summary>Called on a receive thread when all packets of a batch were handed over: from now on their buffers are used again.</summary>
    public Action? OnBatchEnd { get; set; }

    /// <summary>A path takes no packets larger than this.</summary>
    public Action<IpAddress, int>? OnPathMtu { get; set; }

    /// <summary>Begins to receive; what came since the ports were bound waits for it. Harmless when called again.</summary>
    public void Start()
    {
        Prepare();
        _open.Set();
    }

    /// <summary>Makes the threads, which belong to the caller's network namespace; they wait for <see cref="Start"/>.</summary>
    public void Prepare()
    {
        if (Interlocked.Exchange(ref _started, 1) != 0) return;
        foreach (var socket in _sockets)
        {
            var thread = new Thread(() => Receive(socket)) { IsBackground = true, Name = $"warifu-udp-{(socket.IsV6 ? 6 : 4)}-{socket.Port}" };
            _threads.Add(thread);
            thread.Start();
        }
    }

    /// <summary>Sends an IKE message.</summary>
    public bool SendIke(Endpoint local, Endpoint remote, ReadOnlySpan<byte> message, bool marker, byte dscp)
    {
        var socket = (local.Port == SharedPort ? _shared : _ike)[remote.Address.IsV6 ? 1 : 0];
        return socket is not null && socket.TrySend(marker ? [0, 0, 0, 0] : default, message, local.Address, remote, (byte)(dscp << 2));
    }

    /// <summary>Sends an ESP packet, in UDP or straight on IP.</summary>
    public bool SendEsp(Endpoint local, Endpoint remote, ReadOnlySpan<byte> packet, bool udp, byte tos, bool dontFragment)
    {
        var index = remote.Address.IsV6 ? 1 : 0;
        var socket = udp ? _shared[index] : _raw[index];
        return socket is not null && socket.TrySend(default, packet, local.Address, udp ? remote : remote with { Port = 0 }, tos, dontFragment);
    }

    /// <summary>The socket of <see cref="SendEsp"/>, for batches.</summary>
    public DatagramSocket? EspSocket(bool v6, bool udp) => (udp ? _shared : _raw)[v6 ? 1 : 0];

    /// <summary>The socket for whole IP packets with AH.</summary>
    public DatagramSocket? AhSocket(bool v6) => _ah[v6 ? 1 : 0];

    /// <summary>One octet 0xFF (RFC 3948 section 2.3).</summary>
    public bool SendKeepalive(Endpoint local, Endpoint remote) => _shared[remote.Address.IsV6 ? 1 : 0]?.TrySend(default, [0xFF], local.Address, remote, 0) ?? false;

    public void Dispose()
    {
        _stopping = true;
        if (_wake >= 0)
        {
            unsafe
            {
                ulong one = 1;
                _ = Libc.write(_wake, (byte*)&one, 8);
            }
        }

        _open.Set();
        foreach (var thread in _threads) thread.Join();
        foreach (var socket in _sockets) socket.Dispose();
        if (_wake >= 0) _ = Libc.close(_wake);
        _open.Dispose();
    }

    private DatagramSocket Add(DatagramSocket socket)
    {
        _sockets.Add(socket);
        return socket;
    }

    private void Receive(DatagramSocket socket)
    {
        using var batch = new ReceiveBatch();
        var raw = Array.IndexOf(_raw, socket) >= 0;
        var shared = Array.IndexOf(_shared, socket) >= 0;
        _open.Wait();
        while (!_stopping)
        {
            Libc.WaitForInput(socket.File, _wake);
            // a bounded run, so that a flood cannot keep this thread from seeing the end
            for (var runs = 0; runs < 8 && !_stopping; runs++)
            {
                var count = batch.Receive(socket);
                if (count <= 0)
                {
                    if (runs == 0) socket.DrainErrors(OnPathMtu);
                    break;
                }

                var now = Libc.Now();
                for (var i = 0; i < count; i++)
                {
                    if (!batch.TryRead(i, socket, out var slot, out var arrival)) continue;
                    if (socket.TakesWholePackets) OnAh?.Invoke(slot, ReceiveBatch.Headroom - arrival.Before, arrival.Length, now);
                    else Distribute(slot, arrival, raw, shared, now);
                }

                OnBatchEnd?.Invoke();
                if (count < ReceiveBatch.Capacity) break;
            }
        }
    }

    /// <summary>Hands over each datagram that a message stands for.</summary>
    private void Distribute(Span<byte> slot, in Arrival arrival, bool raw, bool shared, Instant now)
    {
        for (var at = 0; at < arrival.Length || at == 0; at += Math.Max(arrival.Segment, 1))
        {
            var (offset, length) = (ReceiveBatch.Headroom + at, Math.Min(arrival.Segment, arrival.Length - at));
            var data = slot.Slice(offset, length);
            if (raw) OnEsp?.Invoke(slot, offset, length, arrival, now);
            else if (!shared) OnIke?.Invoke(arrival.Local, arrival.Remote, data);
            else if (length == 1 && data[0] == 0xFF) Interlocked.Increment(ref _keepalivesReceived);
            else if (length < 4) continue;
            else if (data[..4].IndexOfAnyExcept((byte)0) < 0) OnIke?.Invoke(arrival.Local, arrival.Remote, data[4..]);
            else OnEsp?.Invoke(slot, offset, length, arrival, now);
        }
    }
}
