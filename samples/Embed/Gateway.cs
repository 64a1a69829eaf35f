using Warifu.Net;
using Warifu.Policy;

/// <summary>The other end, in the same program so that the sample runs anywhere: it waits for the laptop and echoes what comes out of the tunnel.</summary>
internal sealed class Gateway : IAsyncDisposable
{
    private readonly IkeNode _node;
    private readonly MemoryPacketPort _packets;
    private readonly CancellationTokenSource _stop = new();
    private readonly Task _echo;

    private Gateway(IkeNode node, MemoryPacketPort packets)
    {
        (_node, _packets) = (node, packets);
        _echo = EchoAsync();
    }

    public int Port => _node.PortNatT;

    public static async Task<Gateway> StartAsync(SecretStore secrets)
    {
        var packets = new MemoryPacketPort();
        var policy = PolicySet.Of(new Connection
        {
            Name = "laptops",
            Local = new() { Id = Identities.Parse("vpn.example.org") },
            Remote = new() { Id = IdentityPattern.Parse("*@example.org") },
            Children = [new() { Name = "lan", LocalSelectors = [SelectorPattern.Parse("10.2.0.0/16")], RemoteSelectors = [SelectorPattern.Parse("10.9.0.0/16")] }],
        });
        return new Gateway(await IkeNode.StartAsync(policy, new() { Port = 0, PortNatT = 0, Secrets = secrets, Packets = packets }), packets);
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _echo;
        await _node.DisposeAsync();
        _stop.Dispose();
    }

    /// <summary>Source and destination change places; no checksum minds.</summary>
    private async Task EchoAsync()
    {
        try
        {
            await foreach (var packet in _packets.ReceiveAllAsync(_stop.Token))
            {
                var source = packet[12..16];
                packet.AsSpan(16, 4).CopyTo(packet.AsSpan(12));
                source.CopyTo(packet.AsSpan(16));
                _packets.Send(packet);
            }
        }
        catch (OperationCanceledException)
        {
            // the end of the sample
        }
    }
}
