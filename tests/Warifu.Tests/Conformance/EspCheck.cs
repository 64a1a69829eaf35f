using System;
using System.Buffers.Binary;
using System.Linq;
using Warifu.Crypto;
using Warifu.Ipsec;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Simulation;
using Xunit;

namespace Warifu.Tests.Conformance;

/// <summary>ESP of the node against ESP that the tester seals and opens with keys of its own.</summary>
internal static class EspCheck
{
    /// <summary>One packet each way through a pair: what the node seals the tester opens, and the reverse.</summary>
    public static void BothWays(ChildSa node, TesterChild tester)
    {
        using var nodeOut = new EspOutbound(node.OutboundSpi, node.Esn, Cipher(node.Encr, node.EncrKeyBits, node.Integ, node.OutboundEncrKey, node.OutboundIntegKey));
        using var nodeIn = new EspInbound(Cipher(node.Encr, node.EncrKeyBits, node.Integ, node.InboundEncrKey, node.InboundIntegKey), new ReplayWindow(node.ReplayWindow, node.Esn), node.Esn);
        var encr = tester.Proposal.Find(TransformType.Encr);
        var integ = (IntegId)tester.Proposal.Find(TransformType.Integ).Id;
        var esn = tester.Proposal.Find(TransformType.Esn).Id == 1;
        var (toNode, toNodeMac, fromNode, fromNodeMac) = tester.TesterInitiated
            ? (tester.Keys.InitiatorEncr, tester.Keys.InitiatorInteg, tester.Keys.ResponderEncr, tester.Keys.ResponderInteg)
            : (tester.Keys.ResponderEncr, tester.Keys.ResponderInteg, tester.Keys.InitiatorEncr, tester.Keys.InitiatorInteg);
        using var testerOut = new EspOutbound(tester.Node, esn, Cipher((EncrId)encr.Id, encr.KeyBits, integ, toNode, toNodeMac));
        using var testerIn = new EspInbound(Cipher((EncrId)encr.Id, encr.KeyBits, integ, fromNode, fromNodeMac), new ReplayWindow(64, esn), esn);
        Assert.Equal(tester.Own, Carry(nodeOut, testerIn));
        Assert.Equal(tester.Node, Carry(testerOut, nodeIn));
    }

    private static ChildSpi Carry(EspOutbound from, EspInbound to)
    {
        var buffer = new byte[512];
        const int start = 100;
        for (var i = 0; i < 84; i++) buffer[start + i] = (byte)i;
        Assert.Equal(PacketDrop.None, from.SealTunnel(buffer, start, 84, 4, out var packet));
        var esp = buffer.AsSpan(packet.Offset, packet.Length).ToArray();
        var spi = new ChildSpi(BinaryPrimitives.ReadUInt32BigEndian(esp));
        Assert.Equal(PacketDrop.None, to.Open(esp, out var payload, out var next, out _));
        Assert.Equal(4, next);
        Assert.Equal(Enumerable.Range(0, 84).Select(i => (byte)i), esp[payload]);
        return spi;
    }

    private static PacketCipher Cipher(EncrId encr, int bits, IntegId integ, Secret key, Secret mac) => PacketCipher.Create(encr, bits, integ, key.Span, mac.Span, new SeededEntropy(3));
}
