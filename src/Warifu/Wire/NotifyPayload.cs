using System;
using Warifu.Primitives;

namespace Warifu.Wire;

/// <summary>N (RFC 7296 section 3.10). Unknown types are preserved.</summary>
internal readonly ref struct NotifyView
{
    private const ushort FirstStatus = 16384;

    public ProtocolId Protocol { get; private init; }

    public ReadOnlySpan<byte> Spi { get; private init; }

    public NotifyType Type { get; private init; }

    public ReadOnlySpan<byte> Data { get; private init; }

    /// <summary>Below 16384 (section 3.10.1).</summary>
    public bool IsError => (ushort)Type < FirstStatus;

    /// <summary>SPI and data have the sizes that the type prescribes. Types of which we know no form, and those without data, are always well formed: extra octets there are to be ignored.</summary>
    public bool IsWellFormed => Type switch
    {
        // RFC 7296 section 3.10.1
        NotifyType.UnsupportedCriticalPayload => Data.Length == 1,
        NotifyType.InvalidMessageId => Data.Length == 4,
        NotifyType.InvalidKePayload => Data.Length == 2,
        NotifyType.SetWindowSize => Data.Length == 4,
        NotifyType.IpcompSupported => Data.Length >= 3,
        NotifyType.NatDetectionSourceIp or NotifyType.NatDetectionDestinationIp => Data.Length == 20,
        NotifyType.Cookie => Data.Length is >= 1 and <= WireLimits.CookieMax,
        NotifyType.RekeySa => Protocol is ProtocolId.Esp or ProtocolId.Ah && Spi.Length == 4,
        // RFC 4555 section 4.2
        NotifyType.AdditionalIp4Address => Data.Length == 4,
        NotifyType.AdditionalIp6Address => Data.Length == 16,
        NotifyType.Cookie2 => Data.Length is >= 8 and <= 64,
        NotifyType.NoNatsAllowed => Data.Length is 12 or 36,
        // RFC 4478 section 3
        NotifyType.AuthLifetime => Data.Length == 4,
        // RFC 5685 section 8: type, length, identity, and the initiator's nonce in IKE_SA_INIT only
        NotifyType.Redirect => Data.Length >= 2 && GatewayFits(Data) && (Data.Length - 2 - Data[1]) is 0 or (>= WireLimits.NonceMin and <= WireLimits.NonceMax),
        NotifyType.RedirectedFrom => Data.Length >= 2 && GatewayFits(Data) && Data.Length == 2 + Data[1],
        // RFC 6290 section 5
        NotifyType.QuickCrashDetection => Data.Length is >= 16 and <= 128,
        // RFC 7427 section 4: a list of two-octet numbers
        NotifyType.SignatureHashAlgorithms => Data.Length >= 2 && Data.Length % 2 == 0,
        NotifyType.NoPpkAuth or NotifyType.AdditionalKeyExchange => Data.Length >= 1,
        _ => true,
    };

    public static ParseError TryParse(ReadOnlySpan<byte> body, out NotifyView view)
    {
        var reader = new WireReader(body);
        var protocol = (ProtocolId)reader.U8();
        var spiLength = reader.U8();
        var type = (NotifyType)reader.U16();
        view = new NotifyView { Protocol = protocol, Type = type, Spi = reader.Take(spiLength), Data = reader.Rest() };
        return reader.Failed ? ParseError.BadNotify : ParseError.None;
    }

    /// <summary>What a message must not carry: octets that are no notify, and a REKEY_SA that names no SA (passed over, it would turn a rekeying into a new child).</summary>
    public static ParseError Check(ReadOnlySpan<byte> body)
    {
        var error = TryParse(body, out var view);
        if (error != ParseError.None) return error;
        return view.Type == NotifyType.RekeySa && !view.IsWellFormed ? ParseError.BadNotify : ParseError.None;
    }

    private static bool GatewayFits(ReadOnlySpan<byte> data) => data[1] <= data.Length - 2 && data[0] switch { 1 => data[1] == 4, 2 => data[1] == 16, _ => data[1] > 0 };
}
