using System;
using System.Buffers.Binary;
using Warifu.Primitives;

namespace Warifu.Wire.V1;

/// <summary>Builds a chain of IKEv1 payloads.</summary>
internal sealed class ChainBuilder(int capacity = 512)
{
    private const uint IpsecDoi = 1;

    private readonly WireWriter _writer = new(capacity);
    private int _last = -1;

    /// <summary>Type of the first payload.</summary>
    public PayloadV1 First { get; private set; }

    public ReadOnlySpan<byte> Chain => _writer.Written;

    public ChainBuilder Raw(PayloadV1 type, ReadOnlySpan<byte> body)
    {
        var start = Begin(type);
        _writer.Octets(body);
        return End(start);
    }

    public ChainBuilder Sa(ReadOnlySpan<ProposalV1> proposals)
    {
        var start = Begin(PayloadV1.Sa);
        SaBody.Write(_writer, proposals);
        return End(start);
    }

    public ChainBuilder Cert(byte encoding, ReadOnlySpan<byte> data) => Pair(PayloadV1.Cert, encoding, data);

    public ChainBuilder CertReq(byte encoding, ReadOnlySpan<byte> data) => Pair(PayloadV1.CertReq, encoding, data);

    public ChainBuilder VendorId(ReadOnlySpan<byte> id) => Raw(PayloadV1.VendorId, id);

    /// <summary>A HASH payload whose value is written by <see cref="SetHash"/> when the rest is there.</summary>
    public ChainBuilder HashPlace(int length)
    {
        var start = Begin(PayloadV1.Hash);
        _writer.Reserve(length).Clear();
        return End(start);
    }

    /// <summary>All payloads behind the first one.</summary>
    public ReadOnlySpan<byte> AfterFirst => Chain[BinaryPrimitives.ReadUInt16BigEndian(Chain[2..])..];

    /// <summary>Fills the HASH payload, which is the first.</summary>
    public void SetHash(ReadOnlySpan<byte> value)
    {
        for (var i = 0; i < value.Length; i++) _writer.PatchU8(4 + i, value[i]);
    }

    public ChainBuilder Notify(ProtocolId protocol, ReadOnlySpan<byte> spi, NotifyV1 type, ReadOnlySpan<byte> data = default)
    {
        var start = Begin(PayloadV1.Notify);
        _writer.U32(IpsecDoi);
        _writer.U8((byte)protocol);
        _writer.U8(checked((byte)spi.Length));
        _writer.U16((ushort)type);
        _writer.Octets(spi);
        _writer.Octets(data);
        return End(start);
    }

    /// <summary>Deletes one SA.</summary>
    public ChainBuilder Delete(ProtocolId protocol, ReadOnlySpan<byte> spi)
    {
        var start = Begin(PayloadV1.Delete);
        _writer.U32(IpsecDoi);
        _writer.U8((byte)protocol);
        _writer.U8(checked((byte)spi.Length));
        _writer.U16(1);
        _writer.Octets(spi);
        return End(start);
    }

    /// <summary>ATTR of Mode Config.</summary>
    public ChainBuilder Attributes(ConfigurationKind kind, ushort identifier, ReadOnlySpan<byte> attributes)
    {
        var start = Begin(PayloadV1.Attributes);
        _writer.U8((byte)kind);
        _writer.U8(0);
        _writer.U16(identifier);
        _writer.Octets(attributes);
        return End(start);
    }

    /// <summary>Zeroes what was written: a secret was among it.</summary>
    public void Erase() => _writer.Erase();

    /// <summary>The whole message in clear.</summary>
    public byte[] ToMessage(in IkeHeader header)
    {
        var message = new byte[IkeHeader.Length + _writer.Length];
        (header with { NextPayload = (PayloadType)First, TotalLength = (uint)message.Length }).Write(message);
        _writer.Written.CopyTo(message.AsSpan(IkeHeader.Length));
        return message;
    }

    private ChainBuilder Pair(PayloadV1 type, byte head, ReadOnlySpan<byte> data)
    {
        var start = Begin(type);
        _writer.U8(head);
        _writer.Octets(data);
        return End(start);
    }

    private int Begin(PayloadV1 type)
    {
        if (_last < 0) First = type;
        else _writer.PatchU8(_last, (byte)type);
        _last = _writer.Length;
        _writer.U32(0);
        return _last;
    }

    private ChainBuilder End(int start)
    {
        _writer.PatchU16(start + 2, checked((ushort)(_writer.Length - start)));
        return this;
    }
}
