using System;
using System.Collections.Generic;
using System.Linq;
using Warifu.Engine;
using Warifu.Fuzz;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Simulation;
using Warifu.V1;
using Warifu.Wire;
using Warifu.Wire.V1;
using Xunit;

namespace Warifu.Tests.V1;

/// <summary>What the attacks on IKEv1 have in common: first messages made by hand, messages of an SA whose keys are known, and what is left behind.</summary>
internal static class Attack
{
    public static readonly Endpoint Left = new(IpAddress.Parse("192.0.2.2"), 500), Right = new(IpAddress.Parse("198.51.100.2"), 500);

    /// <summary>Nobody has spoken to the right side yet.</summary>
    public static EnginePair Stranger(Func<Connection, Connection>? right = null, EngineOptions? options = null)
    {
        var pair = new EnginePair(right: options);
        pair.Load(V1Pair.Left(), right?.Invoke(V1Pair.Right()) ?? V1Pair.Right());
        return pair;
    }

    /// <summary>A tunnel is up, and the left side's keys are ours.</summary>
    public static EnginePair Peer(out IsakmpSa own, Func<Connection, Connection>? both = null)
    {
        both ??= connection => connection;
        var pair = V1Pair.Up(both(V1Pair.Left()), both(V1Pair.Right()));
        own = pair.Left.Engine.IsakmpSas.Single();
        return pair;
    }

    /// <summary>A first message.</summary>
    public static byte[] First(Action<ChainBuilder> write, ExchangeType exchange = ExchangeType.IdentityProtection, ulong cookie = 7, int padding = 0)
    {
        var builder = new ChainBuilder();
        write(builder);
        if (padding > 0) builder.VendorId(new byte[padding]);
        return builder.ToMessage(new IkeHeader { InitiatorSpi = new IkeSpi(cookie), MajorVersion = 1, Exchange = exchange });
    }

    /// <summary>One proposal with one transform for each list of attributes.</summary>
    public static ProposalV1[] Offer(params (ushort Type, uint Value)[][] transforms) => [new ProposalV1(1, ProtocolId.Ike, [], [.. transforms.Select((attributes, index) => new TransformV1((byte)(index + 1), 1, [.. Attributes(attributes)]))])];

    public static byte[] Attributes(params (ushort Type, uint Value)[] attributes)
    {
        var writer = new WireWriter();
        foreach (var (type, value) in attributes) AttributeList.Write(writer, type, value);
        return writer.ToArray();
    }

    /// <summary>aes128-sha256-ecp256 with a pre-shared key, with these attributes changed or, at zero, left out.</summary>
    public static (ushort Type, uint Value)[] Suite(params (IsakmpAttribute Type, uint Value)[] changes)
    {
        var all = new Dictionary<ushort, uint> { [(ushort)IsakmpAttribute.Encryption] = 7, [(ushort)IsakmpAttribute.KeyLength] = 128, [(ushort)IsakmpAttribute.Hash] = 4, [(ushort)IsakmpAttribute.Group] = 19, [(ushort)IsakmpAttribute.AuthMethod] = 1 };
        foreach (var (type, value) in changes)
        {
            if (value == 0) all.Remove((ushort)type);
            else all[(ushort)type] = value;
        }

        return [.. all.Select(pair => (pair.Key, pair.Value))];
    }

    /// <summary>Sends one datagram to the right side; what came back.</summary>
    public static byte[][] Knock(EnginePair pair, byte[] message, Endpoint? from = null)
    {
        pair.Right.Outbox.Clear();
        pair.Right.Receive(Right, from ?? Left, message, pair.Now);
        var answers = pair.Right.Outbox.Select(sent => sent.Message).ToArray();
        pair.Right.Outbox.Clear();
        return answers;
    }

    public static DropReason KnockDropped(EnginePair pair, byte[] message)
    {
        var before = pair.Right.Engine.Counters.Drops.ToArray();
        Assert.Empty(Knock(pair, message));
        return (DropReason)Enumerable.Range(0, before.Length).Single(reason => pair.Right.Engine.Counters.Drops[reason] != before[reason]);
    }

    public static ChainView View(byte[] message)
    {
        Assert.Equal(ParseError.None, ChainView.TryParse((PayloadV1)message[16], message.AsSpan(IkeHeader.Length), false, out var view));
        return view;
    }

    public static NotifyV1? ErrorIn(byte[] message) => (message[19] & 1) == 0 && View(message).TryGetError(out var error) ? error.Type : null;

    /// <summary>The right side knows nobody any more.</summary>
    public static void AssertNothingIsLeft(EnginePair pair)
    {
        pair.Right.Outbox.Clear();
        var later = pair.Now + TimeSpan.FromMinutes(2);
        while (pair.Right.Engine.NextTimeout <= later) pair.Right.Wake(pair.Right.Engine.NextTimeout);
        // nothing was repeated by a timer to an address that nobody verified
        Assert.Empty(pair.Right.Outbox);
        Assert.Empty(pair.Right.Engine.Snapshot().IkeSas);
        Assert.Equal(default, pair.Right.Engine.Holdings);
        Assert.Empty(pair.Right.Installed);
        Assert.Equal(0, pair.Right.Claims.Count);
    }

    /// <summary>The SA is what it was and works: a pair is rekeyed over it.</summary>
    public static void AssertUnharmed(EnginePair pair)
    {
        Assert.Equal("ESTABLISHED", Assert.Single(pair.Right.Engine.Snapshot().IkeSas).State);
        pair.Right.Outbox.Clear();
        pair.Left.Outbox.Clear();
        var before = pair.Left.Installed.Keys.Max();
        pair.Left.Command(id => new IkeCommand.Rekey(id, new SaTarget("net", "net")), pair.Now);
        pair.Run(TimeSpan.FromSeconds(20));
        Assert.True(pair.Left.Installed.Keys.Max() > before);
        V1Pair.AssertSame(pair);
    }

    /// <summary>The chain of an encrypted message on its way in phase 1 or in a new exchange, and its IV.</summary>
    public static byte[] OpenOnTheWay(EnginePair pair, EngineHost from, byte[] message, out IsakmpSa sa, out byte[] iv)
    {
        IkeHeader.TryRead(message, out var header);
        sa = from.Engine.IsakmpSas.Single(sa => sa.CookieI == header.InitiatorSpi);
        var sealedBefore = pair.Sent.Select(sent => sent.Message.Message).LastOrDefault(sent => (sent[19] & 1) != 0 && sent[20..24].All(octet => octet == 0));
        iv = header.MessageId != 0 ? sa.ExchangeIv(header.MessageId) : sealedBefore is not null ? ForgerV1.NextIv(sa, sealedBefore) : Warifu.Crypto.KeyScheduleV1.FirstIv(sa.Keys!.Prf, KeOf(pair, pair.Left), KeOf(pair, pair.Right), Warifu.Crypto.Algorithms.Encr[sa.Suite!.Encr].BlockLength);
        return ForgerV1.Open(sa, message, iv);
    }

    private static byte[] KeOf(EnginePair pair, EngineHost of)
    {
        foreach (var message in V1Pair.Messages(pair, of))
        {
            if ((message[19] & 1) == 0 && View(message).TryGet(PayloadV1.Ke, out var ke)) return ke.ToArray();
        }

        throw new InvalidOperationException("no key exchange was sent");
    }
}
