using System;
using System.Collections.Immutable;
using System.Globalization;
using Warifu.Primitives;

namespace Warifu.Wire;

/// <summary>A proposal as it came: with its number and SPI.</summary>
/// <param name="Number">Proposal number.</param>
/// <param name="Spi">SPI of up to 8 octets as a number.</param>
/// <param name="SpiLength">Octets of the SPI.</param>
/// <param name="Proposal">Protocol and transforms. A transform with attributes that we do not understand is there with the Key Length <see cref="SaPayload.Unusable"/>, which nothing accepts: it must not be
/// chosen (RFC 7296 section 3.3.6), but its type was offered and must be negotiated.</param>
internal sealed record OfferedProposal(byte Number, ulong Spi, byte SpiLength, Proposal Proposal)
{
    /// <summary>The attributes of unusable transforms.</summary>
    public ImmutableArray<TransformAttribute> Attributes { get; init; } = [];
}

/// <summary>An attribute of a transform that is more than a plain Key Length.</summary>
/// <param name="Transform">Index of the transform in its proposal.</param>
/// <param name="Type">Attribute type with its format bit.</param>
/// <param name="Value">Two octets when the format bit is set.</param>
internal readonly record struct TransformAttribute(int Transform, ushort Type, ImmutableArray<byte> Value);

/// <summary>The SA payload (RFC 7296 section 3.3).</summary>
internal static class SaPayload
{
    /// <summary>Key Length of a transform that nobody may choose.</summary>
    public const ushort Unusable = ushort.MaxValue;

    private const ushort KeyLengthAttribute = 14;
    private const ushort ShortForm = 0x8000;
    private const byte Last = 0;
    private const byte MoreProposals = 2;
    private const byte MoreTransforms = 3;

    public static ParseError Check(ReadOnlySpan<byte> body) => Walk(body, null);

    public static ParseError TryParse(ReadOnlySpan<byte> body, out ImmutableArray<OfferedProposal> proposals)
    {
        var found = ImmutableArray.CreateBuilder<OfferedProposal>();
        var error = Walk(body, found);
        proposals = error == ParseError.None ? found.ToImmutable() : [];
        return error;
    }

    public static void Write(WireWriter writer, ReadOnlySpan<OfferedProposal> proposals)
    {
        for (var i = 0; i < proposals.Length; i++)
        {
            var offered = proposals[i];
            var transforms = offered.Proposal.Transforms;
            var start = writer.Length;
            writer.U8(i == proposals.Length - 1 ? Last : MoreProposals);
            writer.U8(0);
            writer.U16(0);
            writer.U8(offered.Number);
            writer.U8((byte)offered.Proposal.Protocol);
            writer.U8(offered.SpiLength);
            writer.U8(checked((byte)transforms.Length));
            for (var octet = offered.SpiLength - 1; octet >= 0; octet--) writer.U8((byte)(offered.Spi >> (8 * octet)));
            for (var t = 0; t < transforms.Length; t++) WriteTransform(writer, offered, t);
            writer.PatchU16(start + 2, checked((ushort)(writer.Length - start)));
        }
    }

    /// <summary>For traces: "proposal 1 Esp spi c0ffee01".</summary>
    public static string Describe(OfferedProposal offered) =>
        string.Create(CultureInfo.InvariantCulture, $"proposal {offered.Number} {offered.Proposal.Protocol}{(offered.SpiLength == 4 ? " spi " + new ChildSpi((uint)offered.Spi) : offered.SpiLength == 8 ? " spi " + new IkeSpi(offered.Spi) : "")}");

    private static void WriteTransform(WireWriter writer, OfferedProposal offered, int index)
    {
        var transform = offered.Proposal.Transforms[index];
        var start = writer.Length;
        writer.U8(index == offered.Proposal.Transforms.Length - 1 ? Last : MoreTransforms);
        writer.U8(0);
        writer.U16(0);
        writer.U8((byte)transform.Type);
        writer.U8(0);
        writer.U16(transform.Id);
        if (transform.KeyBits is not (0 or Unusable))
        {
            writer.U16(ShortForm | KeyLengthAttribute);
            writer.U16(transform.KeyBits);
        }

        foreach (var attribute in offered.Attributes)
        {
            if (attribute.Transform != index) continue;
            writer.U16(attribute.Type);
            if ((attribute.Type & ShortForm) == 0) writer.U16(checked((ushort)attribute.Value.Length));
            writer.Octets(attribute.Value.AsSpan());
        }

        writer.PatchU16(start + 2, checked((ushort)(writer.Length - start)));
    }

    /// <summary>Checks everything; collects only where there is something to collect into, so that junk costs no memory.</summary>
    private static ParseError Walk(ReadOnlySpan<byte> body, ImmutableArray<OfferedProposal>.Builder? found)
    {
        var reader = new WireReader(body);
        var (count, transforms, number) = (0, 0, -1);
        for (var more = true; more;)
        {
            if (++count > WireLimits.Proposals) return ParseError.BadProposal;
            var last = reader.U8();
            reader.U8();
            var length = reader.U16();
            if (reader.Failed || length < 8 || last is not (Last or MoreProposals)) return ParseError.BadProposal;
            var octets = reader.Take(length - 4);
            if (reader.Failed) return ParseError.BadProposal;
            // they start at 1 and go up by one (section 3.3.1); gaps do no harm, but the same number twice would make the answer ambiguous
            if (octets[0] <= number) return ParseError.BadProposal;
            number = octets[0];
            var error = WalkProposal(octets, found, ref transforms);
            if (error != ParseError.None) return error;
            more = last == MoreProposals;
        }

        return reader.AtEnd ? ParseError.None : ParseError.BadProposal;
    }

    private static ParseError WalkProposal(ReadOnlySpan<byte> octets, ImmutableArray<OfferedProposal>.Builder? found, ref int total)
    {
        var reader = new WireReader(octets);
        var number = reader.U8();
        var protocol = (ProtocolId)reader.U8();
        var spiLength = reader.U8();
        var count = reader.U8();
        total += count;
        if (spiLength > 8 || count > WireLimits.Transforms || total > WireLimits.TransformsInAll) return ParseError.BadProposal;
        var spi = 0UL;
        for (var i = 0; i < spiLength; i++) spi = (spi << 8) | reader.U8();
        var transforms = found is null ? null : ImmutableArray.CreateBuilder<Transform>();
        var attributes = found is null ? null : ImmutableArray.CreateBuilder<TransformAttribute>();
        for (var i = 0; i < count; i++)
        {
            var last = reader.U8();
            reader.U8();
            var length = reader.U16();
            if (reader.Failed || length < 8 || last != (i == count - 1 ? Last : MoreTransforms)) return ParseError.BadTransform;
            var inner = new WireReader(reader.Take(length - 4));
            if (reader.Failed) return ParseError.BadTransform;
            var type = (TransformType)inner.U8();
            inner.U8();
            var id = inner.U16();
            var start = inner.Position;
            if (!CheckAttributes(ref inner, out var keyBits)) return ParseError.BadTransform;
            transforms?.Add(new Transform(type, id, keyBits));
            if (keyBits == Unusable && attributes is not null) Collect(octets.Slice(reader.Position - length + 4 + start, length - 4 - start), i, attributes);
        }

        if (!reader.AtEnd) return ParseError.BadProposal;
        found?.Add(new OfferedProposal(number, spi, spiLength, new Proposal(protocol, transforms!.ToImmutable())) { Attributes = attributes!.ToImmutable() });
        return ParseError.None;
    }

    /// <summary>No attribute gives 0, one plain Key Length its value, anything else <see cref="Unusable"/>.</summary>
    private static bool CheckAttributes(ref WireReader reader, out ushort keyBits)
    {
        keyBits = 0;
        for (var i = 0; reader.Remaining > 0; i++)
        {
            if (i == WireLimits.AttributesPerTransform) return false;
            var type = reader.U16();
            var value = reader.U16();
            if ((type & ShortForm) == 0) reader.Take(value);
            keyBits = i == 0 && type == (ShortForm | KeyLengthAttribute) && value != 0 ? value : Unusable;
        }

        return !reader.Failed;
    }

    private static void Collect(ReadOnlySpan<byte> octets, int transform, ImmutableArray<TransformAttribute>.Builder attributes)
    {
        var reader = new WireReader(octets);
        while (reader.Remaining > 0)
        {
            var type = reader.U16();
            attributes.Add(new TransformAttribute(transform, type, [.. reader.Take((type & ShortForm) == 0 ? reader.U16() : 2)]));
        }
    }
}
