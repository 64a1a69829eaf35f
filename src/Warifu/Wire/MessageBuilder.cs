using System;
using Warifu.Primitives;

namespace Warifu.Wire;

/// <summary>Builds a chain of payloads, and from it a clear message or the content of an SK payload.</summary>
internal sealed class MessageBuilder
{
    private readonly WireWriter _writer = new();
    private int _last = -1;

    /// <summary>Type of the first payload.</summary>
    public PayloadType First { get; private set; }

    /// <summary>The chain.</summary>
    public ReadOnlySpan<byte> Chain => _writer.Written;

    public MessageBuilder Sa(ReadOnlySpan<OfferedProposal> proposals)
    {
        var start = Begin(PayloadType.Sa);
        SaPayload.Write(_writer, proposals);
        return End(start);
    }

    public MessageBuilder Ke(KeId method, ReadOnlySpan<byte> publicValue)
    {
        var start = Begin(PayloadType.Ke);
        _writer.U16((ushort)method);
        _writer.U16(0);
        _writer.Octets(publicValue);
        return End(start);
    }

    public MessageBuilder Nonce(ReadOnlySpan<byte> nonce) => Raw(PayloadType.Nonce, nonce);

    public MessageBuilder Id(PayloadType side, Identity identity)
    {
        var start = Begin(side);
        _writer.U8((byte)identity.Type);
        _writer.Octets([0, 0, 0]);
        _writer.Octets(identity.Data.AsSpan());
        return End(start);
    }

    public MessageBuilder Auth(AuthMethod method, ReadOnlySpan<byte> data)
    {
        var start = Begin(PayloadType.Auth);
        _writer.U8((byte)method);
        _writer.Octets([0, 0, 0]);
        _writer.Octets(data);
        return End(start);
    }

    public MessageBuilder Cert(PayloadType side, byte encoding, ReadOnlySpan<byte> data)
    {
        var start = Begin(side);
        _writer.U8(encoding);
        _writer.Octets(data);
        return End(start);
    }

    /// <summary>A notify about nothing in particular (no SPI).</summary>
    public MessageBuilder Notify(NotifyType type, ReadOnlySpan<byte> data = default) => Notify(ProtocolId.None, default, type, data);

    /// <summary>A notify about the IKE SA of the message, where its form wants the protocol named (RFC 6290 section 4.1).</summary>
    public MessageBuilder NotifyIke(NotifyType type, ReadOnlySpan<byte> data)
    {
        var start = Begin(PayloadType.Notify);
        _writer.U8((byte)ProtocolId.Ike);
        _writer.U8(0);
        _writer.U16((ushort)type);
        _writer.Octets(data);
        return End(start);
    }

    /// <summary>A notify about an SA of ESP or AH.</summary>
    public MessageBuilder Notify(ProtocolId protocol, ChildSpi spi, NotifyType type, ReadOnlySpan<byte> data = default)
    {
        var start = Begin(PayloadType.Notify);
        _writer.U8((byte)protocol);
        _writer.U8(protocol == ProtocolId.None ? (byte)0 : (byte)4);
        _writer.U16((ushort)type);
        if (protocol != ProtocolId.None) _writer.U32(spi.Value);
        _writer.Octets(data);
        return End(start);
    }

    /// <summary>Deletes the IKE SA itself.</summary>
    public MessageBuilder DeleteIke()
    {
        var start = Begin(PayloadType.Delete);
        _writer.U8((byte)ProtocolId.Ike);
        _writer.U8(0);
        _writer.U16(0);
        return End(start);
    }

    public MessageBuilder Delete(ProtocolId protocol, ReadOnlySpan<ChildSpi> spis)
    {
        var start = Begin(PayloadType.Delete);
        _writer.U8((byte)protocol);
        _writer.U8(4);
        _writer.U16(checked((ushort)spis.Length));
        foreach (var spi in spis) _writer.U32(spi.Value);
        return End(start);
    }

    public MessageBuilder Ts(PayloadType side, ReadOnlySpan<TrafficSelector> selectors)
    {
        var start = Begin(side);
        TsPayload.Write(_writer, selectors);
        return End(start);
    }

    public MessageBuilder Configuration(ConfigurationKind kind, ReadOnlySpan<ConfigurationAttribute> attributes)
    {
        var start = Begin(PayloadType.Cp);
        CpPayload.Write(_writer, (byte)kind, attributes);
        return End(start);
    }

    /// <summary>An EAP message.</summary>
    /// <param name="code">EAP code.</param>
    /// <param name="identifier">Of the request; the response repeats it.</param>
    /// <param name="type">EAP type; without meaning in Success and Failure.</param>
    /// <param name="data">What follows the type.</param>
    public MessageBuilder Eap(EapCode code, byte identifier, byte type = 0, ReadOnlySpan<byte> data = default)
    {
        var start = Begin(PayloadType.Eap);
        EapPayload.Write(_writer, code, identifier, type, data);
        return End(start);
    }

    /// <summary>Authorities as SHA-1 of their public keys (section 3.7), or whatever else the encoding wants.</summary>
    public MessageBuilder CertReq(byte encoding, ReadOnlySpan<byte> data) => Cert(PayloadType.CertReq, encoding, data);

    /// <summary>An owned payload.</summary>
    public MessageBuilder Add(OwnedPayload payload)
    {
        var start = Begin(payload.Type);
        if (payload.Critical) _writer.PatchU8(start + 1, 0x80);
        payload.Write(_writer);
        return End(start);
    }

    public MessageBuilder VendorId(ReadOnlySpan<byte> id) => Raw(PayloadType.VendorId, id);

    /// <summary>A payload whose body is given.</summary>
    public MessageBuilder Raw(PayloadType type, ReadOnlySpan<byte> body, bool critical = false)
    {
        var start = Begin(type);
        if (critical) _writer.PatchU8(start + 1, 0x80);
        _writer.Octets(body);
        return End(start);
    }

    /// <summary>The whole message in clear.</summary>
    public byte[] ToMessage(in IkeHeader header)
    {
        var message = new byte[IkeHeader.Length + _writer.Length];
        (header with { NextPayload = First, TotalLength = (uint)message.Length }).Write(message);
        _writer.Written.CopyTo(message.AsSpan(IkeHeader.Length));
        return message;
    }

    private int Begin(PayloadType type)
    {
        if (_last < 0) First = type;
        else _writer.PatchU8(_last, (byte)type);
        _last = _writer.Length;
        _writer.U32(0);
        return _last;
    }

    private MessageBuilder End(int start)
    {
        _writer.PatchU16(start + 2, checked((ushort)(_writer.Length - start)));
        return this;
    }
}
