using System;
using System.Collections.Immutable;
using System.Globalization;
using Warifu.Primitives;

namespace Warifu.Wire;

/// <summary>A proposal as it came: with its number and SPI.</summary>
/// <param name="Number">Proposal number.</param>
/// <param name="Spi">SPI of 0, 4 or 8 octets as a number.</param>
/// <param name="SpiLength">Octets of the SPI.</param>
/// <param name="Proposal">Protocol and transforms. Transforms with an attribute that we do not know are left out: they must not be chosen (RFC 7296 section 3.3.6).</param>
internal sealed record OfferedProposal(byte Number, ulong Spi, byte SpiLength, Proposal Proposal);

/// <summary>The SA payload (RFC 7296 section 3.3).</summary>
internal static class SaPayload
{
    private const ushort KeyLengthAttribute = 14;
    private const ushort ShortForm = 0x8000;

    public static ParseError TryParse(ReadOnlySpan<byte> body, out ImmutableArray<OfferedProposal> proposals)
    {
        proposals = [];
        var found = ImmutableArray.CreateBuilder<OfferedProposal>();
        var reader = new WireReader(body);
        for (var more = true; more;)
        {
            if (found.Count == WireLimits.Proposals) return ParseError.BadProposal;
            var last = reader.U8();
            reader.U8();
            var length = reader.U16();
            if (reader.Failed || length < 8 || last is not (0 or 2)) return ParseError.BadProposal;
            var error = TryParseProposal(reader.Take(length - 4), out var proposal);
            if (error != ParseError.None || reader.Failed) return error == ParseError.None ? ParseError.BadProposal : error;
            // numbers start at 1 and go up by one (section 3.3.1)
            if (proposal!.Number != found.Count + 1 && found.Count > 0) return ParseError.BadProposal;
            found.Add(proposal);
            more = last == 2;
        }

        if (!reader.AtEnd) return ParseError.BadProposal;
        proposals = found.ToImmutable();
        return ParseError.None;
    }

    public static void Write(WireWriter writer, ReadOnlySpan<OfferedProposal> proposals)
    {
        for (var i = 0; i < proposals.Length; i++)
        {
            var offered = proposals[i];
            var transforms = offered.Proposal.Transforms;
            var start = writer.Length;
            writer.U8(i == proposals.Length - 1 ? (byte)0 : (byte)2);
            writer.U8(0);
            writer.U16(0);
            writer.U8(offered.Number);
            writer.U8((byte)offered.Proposal.Protocol);
            writer.U8(offered.SpiLength);
            writer.U8((byte)transforms.Length);
            if (offered.SpiLength == 4) writer.U32((uint)offered.Spi);
            else if (offered.SpiLength == 8) writer.U64(offered.Spi);
            for (var t = 0; t < transforms.Length; t++)
            {
                var transform = transforms[t];
                writer.U8(t == transforms.Length - 1 ? (byte)0 : (byte)3);
                writer.U8(0);
                writer.U16(transform.KeyBits == 0 ? (ushort)8 : (ushort)12);
                writer.U8((byte)transform.Type);
                writer.U8(0);
                writer.U16(transform.Id);
                if (transform.KeyBits == 0) continue;
                writer.U16(ShortForm | KeyLengthAttribute);
                writer.U16(transform.KeyBits);
            }

            writer.PatchU16(start + 2, (ushort)(writer.Length - start));
        }
    }

    private static ParseError TryParseProposal(ReadOnlySpan<byte> octets, out OfferedProposal? proposal)
    {
        proposal = null;
        var reader = new WireReader(octets);
        var number = reader.U8();
        var protocol = (ProtocolId)reader.U8();
        var spiLength = reader.U8();
        var count = reader.U8();
        if (spiLength is not (0 or 4 or 8) || count > WireLimits.Transforms) return ParseError.BadProposal;
        var spi = spiLength switch { 4 => reader.U32(), 8 => reader.U64(), _ => 0UL };
        var transforms = ImmutableArray.CreateBuilder<Transform>();
        for (var i = 0; i < count; i++)
        {
            var last = reader.U8();
            reader.U8();
            var length = reader.U16();
            if (reader.Failed || length < 8 || last != (i == count - 1 ? 0 : 3)) return ParseError.BadTransform;
            var inner = new WireReader(reader.Take(length - 4));
            var type = (TransformType)inner.U8();
            inner.U8();
            var id = inner.U16();
            if (!TryParseAttributes(ref inner, out var keyBits, out var usable)) return ParseError.BadTransform;
            if (usable) transforms.Add(new Transform(type, id, keyBits));
        }

        if (!reader.AtEnd) return ParseError.BadProposal;
        proposal = new OfferedProposal(number, spi, spiLength, new Proposal(protocol, transforms.ToImmutable()));
        return ParseError.None;
    }

    private static bool TryParseAttributes(ref WireReader reader, out ushort keyBits, out bool usable)
    {
        (keyBits, usable) = (0, true);
        for (var i = 0; reader.Remaining > 0; i++)
        {
            if (i == WireLimits.AttributesPerTransform) return false;
            var type = reader.U16();
            var value = reader.U16();
            if ((type & ShortForm) == 0) reader.Take(value);
            if (type == (ShortForm | KeyLengthAttribute) && keyBits == 0 && value != 0) keyBits = value;
            else usable = false;
        }

        return !reader.Failed;
    }

    /// <summary>For traces: "proposal 1 ESP spi c0ffee01: ENCR 20/128, ESN 0".</summary>
    public static string Describe(OfferedProposal offered) =>
        string.Create(CultureInfo.InvariantCulture, $"proposal {offered.Number} {offered.Proposal.Protocol}{(offered.SpiLength == 4 ? " spi " + new ChildSpi((uint)offered.Spi) : offered.SpiLength == 8 ? " spi " + new IkeSpi(offered.Spi) : "")}");
}
