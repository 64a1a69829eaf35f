using System;
using System.Collections.Immutable;
using Warifu.Primitives;

namespace Warifu.Wire.V1;

/// <summary>A transform as it came. The responder gives the chosen one back unchanged (RFC 2408 section 4.2), so that its attributes stay octets.</summary>
internal sealed record TransformV1(byte Number, byte Id, ImmutableArray<byte> Octets)
{
    public ImmutableArray<AttributeV1> Attributes => AttributeList.Read(Octets.AsSpan());
}

/// <summary>A proposal: its transforms are alternatives in order of preference. Proposals of the same number belong together (RFC 2408 section 4.2).</summary>
internal sealed record ProposalV1(byte Number, ProtocolId Protocol, ImmutableArray<byte> Spi, ImmutableArray<TransformV1> Transforms)
{
    /// <summary>IPCOMP, which is no security protocol.</summary>
    public const ProtocolId IpComp = (ProtocolId)4;
}

/// <summary>The SA payload of IKEv1 (RFC 2408 sections 3.4 to 3.6) in the IPsec DOI.</summary>
internal static class SaBody
{
    private const uint IpsecDoi = 1, IdentityOnly = 1;
    private const byte Last = 0, MoreProposals = 2, MoreTransforms = 3;

    public static ParseError Check(ReadOnlySpan<byte> body) => Walk(body, null);

    public static ParseError TryParse(ReadOnlySpan<byte> body, out ImmutableArray<ProposalV1> proposals)
    {
        var found = ImmutableArray.CreateBuilder<ProposalV1>();
        var error = Walk(body, found);
        proposals = error == ParseError.None ? found.ToImmutable() : [];
        return error;
    }

    public static void Write(WireWriter writer, ReadOnlySpan<ProposalV1> proposals)
    {
        writer.U32(IpsecDoi);
        writer.U32(IdentityOnly);
        for (var i = 0; i < proposals.Length; i++)
        {
            var proposal = proposals[i];
            var start = writer.Length;
            writer.U8(i == proposals.Length - 1 ? Last : MoreProposals);
            writer.U8(0);
            writer.U16(0);
            writer.U8(proposal.Number);
            writer.U8((byte)proposal.Protocol);
            writer.U8(checked((byte)proposal.Spi.Length));
            writer.U8(checked((byte)proposal.Transforms.Length));
            writer.Octets(proposal.Spi.AsSpan());
            for (var t = 0; t < proposal.Transforms.Length; t++)
            {
                var transform = proposal.Transforms[t];
                writer.U8(t == proposal.Transforms.Length - 1 ? Last : MoreTransforms);
                writer.U8(0);
                writer.U16(checked((ushort)(8 + transform.Octets.Length)));
                writer.U8(transform.Number);
                writer.U8(transform.Id);
                writer.U16(0);
                writer.Octets(transform.Octets.AsSpan());
            }

            writer.PatchU16(start + 2, checked((ushort)(writer.Length - start)));
        }
    }

    /// <summary>Checks everything; collects only where there is something to collect into, so that junk costs no memory.</summary>
    private static ParseError Walk(ReadOnlySpan<byte> body, ImmutableArray<ProposalV1>.Builder? found)
    {
        var reader = new WireReader(body);
        if (reader.U32() != IpsecDoi || reader.U32() != IdentityOnly) return ParseError.BadProposal;
        var (count, total) = (0, 0);
        for (var more = true; more;)
        {
            if (++count > WireLimits.Proposals) return ParseError.BadProposal;
            var last = reader.U8();
            reader.U8();
            var length = reader.U16();
            if (reader.Failed || length < 8 || last is not (Last or MoreProposals)) return ParseError.BadProposal;
            var octets = reader.Take(length - 4);
            if (reader.Failed) return ParseError.BadProposal;
            var error = WalkProposal(octets, found, ref total);
            if (error != ParseError.None) return error;
            more = last == MoreProposals;
        }

        return reader.AtEnd ? ParseError.None : ParseError.BadProposal;
    }

    private static ParseError WalkProposal(ReadOnlySpan<byte> octets, ImmutableArray<ProposalV1>.Builder? found, ref int total)
    {
        var reader = new WireReader(octets);
        var number = reader.U8();
        var protocol = (ProtocolId)reader.U8();
        var spiLength = reader.U8();
        var count = reader.U8();
        total += count;
        // in phase 1 an SPI means nothing and may be as long as two cookies (RFC 2408 section 3.5)
        if (spiLength > 16 || count == 0 || total > WireLimits.TransformsInAllV1) return ParseError.BadProposal;
        var spi = reader.Take(spiLength);
        var transforms = found is null ? null : ImmutableArray.CreateBuilder<TransformV1>(count);
        for (var i = 0; i < count; i++)
        {
            var last = reader.U8();
            reader.U8();
            var length = reader.U16();
            if (reader.Failed || length < 8 || last != (i == count - 1 ? Last : MoreTransforms)) return ParseError.BadTransform;
            var inner = new WireReader(reader.Take(length - 4));
            if (reader.Failed) return ParseError.BadTransform;
            var (transform, id) = (inner.U8(), inner.U8());
            inner.U16();
            var attributes = inner.Rest();
            if (!AttributeList.Check(attributes)) return ParseError.BadTransform;
            transforms?.Add(new TransformV1(transform, id, [.. attributes]));
        }

        if (!reader.AtEnd) return ParseError.BadProposal;
        found?.Add(new ProposalV1(number, protocol, [.. spi], transforms!.ToImmutable()));
        return ParseError.None;
    }
}
