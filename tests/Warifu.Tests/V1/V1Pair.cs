using System;
using System.Collections.Immutable;
using System.Linq;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Simulation;
using Xunit;

namespace Warifu.Tests.V1;

/// <summary>Two engines with an IKEv1 connection between them.</summary>
internal static class V1Pair
{
    public const string Ike = "aes128-sha256-ecp256", Esp = "aes128-sha256";

    public static Connection Left(string ike = Ike, string esp = Esp) => EnginePair.LeftGateway(ike, esp) with { Version = IkeVersion.V1 };

    public static Connection Right(string ike = Ike, string esp = Esp) => EnginePair.RightGateway(ike, esp) with { Version = IkeVersion.V1 };

    public static EnginePair Up(Connection left, Connection right)
    {
        var pair = new EnginePair();
        pair.Load(left, right);
        var result = pair.Up();
        Assert.True(result.Success, result.Message);
        AssertSame(pair);
        return pair;
    }

    /// <summary>Both data planes have the newest pair, with the same keys crosswise.</summary>
    public static void AssertSame(EnginePair pair)
    {
        var (left, right) = (pair.Left.Installed.Values.Last(), pair.Right.Installed.Values.Last());
        Assert.Equal(left.InboundSpi, right.OutboundSpi);
        Assert.Equal(left.OutboundSpi, right.InboundSpi);
        Assert.Equal(left.InboundEncrKey.Span.ToArray(), right.OutboundEncrKey.Span.ToArray());
        Assert.Equal(left.OutboundEncrKey.Span.ToArray(), right.InboundEncrKey.Span.ToArray());
        Assert.Equal(left.InboundIntegKey.Span.ToArray(), right.OutboundIntegKey.Span.ToArray());
        Assert.Equal(left.OutboundIntegKey.Span.ToArray(), right.InboundIntegKey.Span.ToArray());
        Assert.False(left.Encr is not (EncrId.Null or EncrId.None) && left.InboundEncrKey.Span.SequenceEqual(left.OutboundEncrKey.Span));
        Assert.Contains(left.Id, pair.Left.Ready);
        Assert.Contains(right.Id, pair.Right.Ready);
        Assert.Equal(left.Mode, right.Mode);
    }

    /// <summary>One child on each side, one phase 1, and nothing that waits.</summary>
    public static void AssertQuiet(EnginePair pair, int children = 1)
    {
        foreach (var host in new[] { pair.Left, pair.Right })
        {
            var sa = Assert.Single(host.Engine.Snapshot().IkeSas);
            Assert.Equal(IkeVersion.V1, sa.Version);
            Assert.Equal("ESTABLISHED", sa.State);
            Assert.Empty(sa.TasksActive);
            Assert.Empty(sa.TasksQueued);
            Assert.Equal(children, sa.Children.Length);
            Assert.Equal(children, host.Installed.Count);
            Assert.Equal(0, host.Engine.Snapshot().HalfOpen);
        }
    }

    public static ImmutableArray<byte[]> Messages(EnginePair pair, EngineHost from) => [.. pair.Sent.Where(sent => sent.From == from).Select(sent => sent.Message.Message)];
}
