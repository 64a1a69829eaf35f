using System;
using System.Buffers.Binary;
using Warifu.Primitives;

namespace Warifu.Wire;

/// <summary>The IKE header (RFC 7296 section 3.1), 28 octets, the same for IKEv1 and IKEv2.</summary>
internal readonly record struct IkeHeader
{
    public const int Length = 28;

    private const byte InitiatorFlag = 0x08;
    private const byte VersionFlag = 0x10;
    private const byte ResponseFlag = 0x20;

    public IkeSpi InitiatorSpi { get; init; }

    public IkeSpi ResponderSpi { get; init; }

    public PayloadType NextPayload { get; init; }

    public byte MajorVersion { get; init; }

    public byte MinorVersion { get; init; }

    public ExchangeType Exchange { get; init; }

    /// <summary>All flag bits as received.</summary>
    public byte Flags { get; init; }

    public uint MessageId { get; init; }

    /// <summary>Octets of the whole message.</summary>
    public uint TotalLength { get; init; }

    /// <summary>I: sent by the original initiator of the IKE SA.</summary>
    public bool FromInitiator => (Flags & InitiatorFlag) != 0;

    /// <summary>V: the sender could speak a higher major version.</summary>
    public bool HigherVersion => (Flags & VersionFlag) != 0;

    /// <summary>R: a response.</summary>
    public bool IsResponse => (Flags & ResponseFlag) != 0;

    /// <summary>An IKEv2 header; reserved flags are zero.</summary>
    public static IkeHeader V2(IkeSpi initiator, IkeSpi responder, ExchangeType exchange, bool fromInitiator, bool isResponse, uint messageId) => new()
    {
        InitiatorSpi = initiator,
        ResponderSpi = responder,
        MajorVersion = 2,
        Exchange = exchange,
        Flags = (byte)((fromInitiator ? InitiatorFlag : 0) | (isResponse ? ResponseFlag : 0)),
        MessageId = messageId,
    };

    /// <summary>Reads the header; the claimed length must be that of the datagram.</summary>
    public static bool TryRead(ReadOnlySpan<byte> message, out IkeHeader header)
    {
        header = default;
        if (message.Length is < Length or > WireLimits.MessageLength) return false;
        header = new IkeHeader
        {
            InitiatorSpi = new(BinaryPrimitives.ReadUInt64BigEndian(message)),
            ResponderSpi = new(BinaryPrimitives.ReadUInt64BigEndian(message[8..])),
            NextPayload = (PayloadType)message[16],
            MajorVersion = (byte)(message[17] >> 4),
            MinorVersion = (byte)(message[17] & 0x0F),
            Exchange = (ExchangeType)message[18],
            Flags = message[19],
            MessageId = BinaryPrimitives.ReadUInt32BigEndian(message[20..]),
            TotalLength = BinaryPrimitives.ReadUInt32BigEndian(message[24..]),
        };
        return header.TotalLength == message.Length;
    }

    /// <summary>Writes 28 octets.</summary>
    public void Write(Span<byte> destination)
    {
        BinaryPrimitives.WriteUInt64BigEndian(destination, InitiatorSpi.Value);
        BinaryPrimitives.WriteUInt64BigEndian(destination[8..], ResponderSpi.Value);
        destination[16] = (byte)NextPayload;
        destination[17] = (byte)((MajorVersion << 4) | MinorVersion);
        destination[18] = (byte)Exchange;
        destination[19] = Flags;
        BinaryPrimitives.WriteUInt32BigEndian(destination[20..], MessageId);
        BinaryPrimitives.WriteUInt32BigEndian(destination[24..], TotalLength);
    }
}
