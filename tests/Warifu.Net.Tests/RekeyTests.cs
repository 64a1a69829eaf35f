using System.Linq;
using System.Threading.Tasks;
using Warifu.Engine;
using Xunit;

namespace Warifu.Net.Tests;

/// <summary>A rekeying as the packets see it.</summary>
[Trait("Item", "1.10")]
public sealed class RekeyTests
{
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task After_a_rekeying_either_side_may_speak_first(bool leftRekeys)
    {
        await using var pair = await NodePair.StartAsync("a secret of the two of us");
        await pair.Left.UpAsync("net", "lan");
        foreach (var leftSpeaks in new[] { true, false })
        {
            var rekeyed = await (leftRekeys ? pair.Left : pair.Right).RunAsync(id => new IkeCommand.Rekey(id, new SaTarget("net", "lan")), TestContext.Current.CancellationToken);
            Assert.True(rekeyed.Success, rekeyed.Message);
            // the old pair is gone on both sides, and nothing has come in on the new one
            foreach (var node in new[] { pair.Left, pair.Right })
            {
                while ((await node.SnapshotAsync()).IkeSas.Single().Children.Length != 1) await Task.Delay(10, TestContext.Current.CancellationToken);
            }

            var (from, to) = leftSpeaks ? (pair.LeftPackets, pair.RightPackets) : (pair.RightPackets, pair.LeftPackets);
            var packet = leftSpeaks ? Packets.Udp("10.1.0.1", "10.2.0.1", 1000, 2000, "first") : Packets.Udp("10.2.0.1", "10.1.0.1", 2000, 1000, "first");
            Assert.True(from.Send(packet));
            Assert.Equal(packet, await to.ReadAsync());
        }
    }
}
