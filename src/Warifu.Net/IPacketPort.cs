using System;
using System.Collections.Generic;
using System.Threading;
using System.Threading.Channels;

namespace Warifu.Net;

/// <summary>Takes one inner IP packet into the tunnel.</summary>
/// <param name="packet">An IPv4 or IPv6 packet; only read during the call.</param>
/// <returns>False when it was not sent: no matching selector, no SA yet (one is being negotiated), or it was discarded.</returns>
public delegate bool PacketSink(ReadOnlySpan<byte> packet);

/// <summary>Where inner IP packets come from and go to when no TUN device is wanted: no root, no kernel interface.</summary>
public interface IPacketPort
{
    /// <summary>The node hands over the way into the tunnel, once, before the first <see cref="Deliver"/>.</summary>
    /// <param name="sink">May be called from any thread.</param>
    void Attach(PacketSink sink);

    /// <summary>A packet came out of the tunnel. Called on a receive thread: return quickly.</summary>
    /// <param name="packet">A decrypted, selector-checked IP packet; valid during the call only.</param>
    void Deliver(ReadOnlySpan<byte> packet);
}

/// <summary>An <see cref="IPacketPort"/> in memory: <see cref="Send"/> packets into the tunnel, read <see cref="Received"/>.</summary>
public sealed class MemoryPacketPort : IPacketPort
{
    private readonly Channel<byte[]> _received;
    private PacketSink? _sink;

    /// <param name="capacity">Packets kept unread; the oldest is dropped beyond that.</param>
    public MemoryPacketPort(int capacity = 1024) =>
        _received = Channel.CreateBounded<byte[]>(new BoundedChannelOptions(capacity) { FullMode = BoundedChannelFullMode.DropOldest });

    /// <summary>Packets that came out of the tunnel.</summary>
    public ChannelReader<byte[]> Received => _received.Reader;

    /// <summary>Sends an inner IP packet into the tunnel.</summary>
    /// <returns>As <see cref="PacketSink"/>; false too when no node is attached yet.</returns>
    public bool Send(ReadOnlySpan<byte> packet) => Volatile.Read(ref _sink)?.Invoke(packet) ?? false;

    /// <summary>All packets as they come.</summary>
    public IAsyncEnumerable<byte[]> ReceiveAllAsync(CancellationToken cancellationToken = default) => _received.Reader.ReadAllAsync(cancellationToken);

    /// <inheritdoc/>
    public void Attach(PacketSink sink) => Volatile.Write(ref _sink, sink);

    /// <inheritdoc/>
    public void Deliver(ReadOnlySpan<byte> packet) => _received.Writer.TryWrite(packet.ToArray());
}
