using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.Linq;
using Warifu.Primitives;
using Warifu.Wire;
using Xunit;

namespace Warifu.Tests.Conformance;

/// <summary>One payload as the tester writes it: nothing in it needs to be right.</summary>
internal sealed record Payload(PayloadType Type, byte[] Body, bool Critical = false)
{
    public static Payload Notify(NotifyType type, params byte[] data) => One(new MessageBuilder().Notify(type, data));

    public static Payload Notify(ProtocolId protocol, ChildSpi spi, NotifyType type, params byte[] data) => One(new MessageBuilder().Notify(protocol, spi, type, data));

    public static Payload Sa(params OfferedProposal[] proposals) => One(new MessageBuilder().Sa(proposals));

    public static Payload Ke(KeId method, ReadOnlySpan<byte> value) => One(new MessageBuilder().Ke(method, value));

    public static Payload Nonce(ReadOnlySpan<byte> nonce) => new(PayloadType.Nonce, nonce.ToArray());

    public static Payload Ts(PayloadType side, params TrafficSelector[] selectors) => One(new MessageBuilder().Ts(side, selectors));

    public static Payload DeleteIke() => One(new MessageBuilder().DeleteIke());

    public static Payload Delete(params ChildSpi[] spis) => One(new MessageBuilder().Delete(ProtocolId.Esp, spis));

    /// <summary>The payloads of a chain, whose generic headers must be right.</summary>
    public static List<Payload> Parse(PayloadType first, ReadOnlySpan<byte> chain)
    {
        Assert.Equal(ParseError.None, MessageView.TryParse(first, chain, out var view));
        var found = new List<Payload>();
        for (var i = 0; i < view.Count; i++) found.Add(new Payload(view[i].Type, view.Body(i).ToArray(), view[i].Critical));
        return found;
    }

    /// <summary>A chain.</summary>
    /// <param name="payloads">In order.</param>
    /// <param name="reserved">Every reserved bit is set.</param>
    public static (PayloadType First, byte[] Chain) Build(IEnumerable<Payload> payloads, bool reserved)
    {
        var builder = new MessageBuilder();
        foreach (var payload in payloads) builder.Raw(payload.Type, payload.Body, payload.Critical);
        var chain = builder.Chain.ToArray();
        if (!reserved) return (builder.First, chain);
        var (type, position) = (builder.First, 0);
        while (position < chain.Length)
        {
            var length = BinaryPrimitives.ReadUInt16BigEndian(chain.AsSpan(position + 2));
            chain[position + 1] |= 0x7F;
            SetReserved(type, chain.AsSpan(position + 4, length - 4));
            type = (PayloadType)chain[position];
            position += length;
        }

        return (builder.First, chain);
    }

    /// <summary>Sets every reserved field of a body (RFC 7296 sections 3.3 to 3.15).</summary>
    public static void SetReserved(PayloadType type, Span<byte> body, byte value = 0xFF)
    {
        switch (type)
        {
            case PayloadType.Sa:
                SetInProposals(body, value);
                break;
            case PayloadType.Ke:
                body[2] = body[3] = value;
                break;
            case PayloadType.IdI or PayloadType.IdR or PayloadType.Auth or PayloadType.TsI or PayloadType.TsR or PayloadType.Cp:
                body.Slice(1, 3).Fill(value);
                break;
        }
    }

    /// <summary>No reserved field of the body is set.</summary>
    public bool IsPlain
    {
        get
        {
            var plain = (byte[])Body.Clone();
            SetReserved(Type, plain, 0);
            return !Critical && plain.AsSpan().SequenceEqual(Body);
        }
    }

    private static Payload One(MessageBuilder builder) => Parse(builder.First, builder.Chain).Single();

    private static void SetInProposals(Span<byte> body, byte value)
    {
        for (var position = 0; position < body.Length;)
        {
            var length = BinaryPrimitives.ReadUInt16BigEndian(body[(position + 2)..]);
            body[position + 1] = value;
            var transform = position + 8 + body[position + 6];
            while (transform < position + length)
            {
                body[transform + 1] = value;
                body[transform + 5] = value;
                transform += BinaryPrimitives.ReadUInt16BigEndian(body[(transform + 2)..]);
            }

            position += length;
        }
    }
}

/// <summary>A message of the node, decrypted.</summary>
internal sealed class Message
{
    public required IkeHeader Header { get; init; }

    /// <summary>As it was sent.</summary>
    public required byte[] Octets { get; init; }

    public required List<Payload> Payloads { get; init; }

    /// <summary>The node's end and the tester's.</summary>
    public required Endpoint From { get; init; }

    public required Endpoint To { get; init; }

    public required Instant At { get; init; }

    public IEnumerable<PayloadType> Types => Payloads.Select(payload => payload.Type);

    /// <summary>The payloads without notifies and vendor ids, which may stand anywhere.</summary>
    public IEnumerable<PayloadType> Essence => Types.Where(type => type is not (PayloadType.Notify or PayloadType.VendorId));

    public OfferedProposal[] Proposals
    {
        get
        {
            Assert.Equal(ParseError.None, SaPayload.TryParse(Body(PayloadType.Sa), out var proposals));
            return [.. proposals];
        }
    }

    public byte[] Nonce => Body(PayloadType.Nonce);

    /// <summary>The error notify, if there is one.</summary>
    public NotifyType? Error => Notifies().Select(notify => notify.Type).Where(type => (ushort)type < 16384).Select(type => (NotifyType?)type).FirstOrDefault();

    public byte[] Body(PayloadType type) => Payloads.Single(payload => payload.Type == type).Body;

    public bool Has(PayloadType type) => Payloads.Any(payload => payload.Type == type);

    public bool Has(NotifyType type) => Notifies().Any(notify => notify.Type == type);

    public (NotifyType Type, byte[] Spi, byte[] Data) Notify(NotifyType type) => Notifies().First(notify => notify.Type == type);

    public (KeId Method, byte[] Public) Ke()
    {
        Assert.Equal(ParseError.None, KeView.TryParse(Body(PayloadType.Ke), out var ke));
        return (ke.Method, ke.Public.ToArray());
    }

    public TrafficSelector[] Ts(PayloadType side)
    {
        Assert.Equal(ParseError.None, TsPayload.TryParse(Body(side), out var selectors));
        return [.. selectors];
    }

    /// <summary>SPIs of ESP in all deletes; an empty array with <paramref name="ike"/> set when the IKE SA itself is deleted.</summary>
    public ChildSpi[] Deleted(out bool ike)
    {
        var found = new List<ChildSpi>();
        ike = false;
        foreach (var payload in Payloads.Where(payload => payload.Type == PayloadType.Delete))
        {
            Assert.Equal(ParseError.None, DeletePayload.TryParse(payload.Body, out var protocol, out var spis));
            ike |= protocol == ProtocolId.Ike;
            found.AddRange(spis);
        }

        return [.. found];
    }

    public override string ToString() => $"{Header.Exchange} {(Header.IsResponse ? "response" : "request")} {Header.MessageId} [ {string.Join(' ', Payloads.Select(payload => payload.Type == PayloadType.Notify ? $"N({Notifies(payload).Type})" : payload.Type.ToString()))} ]";

    private static (NotifyType Type, byte[] Spi, byte[] Data) Notifies(Payload payload)
    {
        Assert.Equal(ParseError.None, NotifyView.TryParse(payload.Body, out var notify));
        return (notify.Type, notify.Spi.ToArray(), notify.Data.ToArray());
    }

    private IEnumerable<(NotifyType Type, byte[] Spi, byte[] Data)> Notifies() => Payloads.Where(payload => payload.Type == PayloadType.Notify).Select(Notifies);
}
