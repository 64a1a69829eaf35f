using System.Collections.Generic;
using System.Collections.Immutable;
using System.Linq;
using Warifu.Crypto;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Wire;
using Warifu.Wire.V1;

namespace Warifu.V1;

/// <summary>What quick mode agrees on for one protocol (RFC 2407 sections 4.4 and 4.5).</summary>
internal sealed record QuickSuite(ProtocolId Protocol, EncrId Encr, ushort KeyBits, IntegId Integ, KeId Group, bool Esn)
{
    public EncapsulationV1 Encapsulation { get; init; }

    public ulong Seconds { get; init; }

    public ulong Kilobytes { get; init; }

    public bool IsSame(QuickSuite other) => (Protocol, Encr, KeyBits, Integ, Group, Esn) == (other.Protocol, other.Encr, other.KeyBits, other.Integ, other.Group, other.Esn);

    public IpsecMode Mode => Encapsulation is EncapsulationV1.Transport or EncapsulationV1.UdpTransport or EncapsulationV1.UdpTransportDraft ? IpsecMode.Transport : IpsecMode.Tunnel;

    public bool IsUdp => Encapsulation is not (EncapsulationV1.Tunnel or EncapsulationV1.Transport);

    /// <summary>In the words of the configuration.</summary>
    public Proposal AsProposal()
    {
        var transforms = ImmutableArray.CreateBuilder<Transform>();
        if (Protocol == ProtocolId.Esp) transforms.Add(Transform.Encr(Encr, KeyBits));
        if (Integ != IntegId.None) transforms.Add(Transform.Integ(Integ));
        if (Group != KeId.None) transforms.Add(Transform.Ke(Group));
        transforms.Add(Transform.Esn(Esn));
        return new Proposal(Protocol, transforms.ToImmutable());
    }

    /// <summary>Octets of KEYMAT for each direction.</summary>
    public (int Encr, int Integ) KeyLengths => (
        Protocol == ProtocolId.Esp ? Algorithms.Encr[Encr].KeyMaterialLength(KeyBits) : 0,
        Integ == IntegId.None ? 0 : Algorithms.Integ.TryGetValue(Integ, out var mac) ? mac.KeyLength : (Integ - IntegId.Aes128Gmac) switch { 0 => 20, 1 => 28, _ => 36 });

    public override string ToString() => ProposalKeywords.Print(AsProposal());
}

/// <summary>SA payloads of quick mode.</summary>
internal static class QuickOffer
{
    private const byte IpComp = 4;

    private static readonly (EncrId Encr, byte Id)[] s_ciphers =
    [
        (EncrId.Des, 2), (EncrId.TripleDes, 3), (EncrId.Null, 11), (EncrId.AesCbc, 12), (EncrId.AesCtr, 13), (EncrId.AesCcm8, 14), (EncrId.AesCcm12, 15), (EncrId.AesCcm16, 16),
        (EncrId.AesGcm8, 18), (EncrId.AesGcm12, 19), (EncrId.AesGcm16, 20), (EncrId.CamelliaCbc, 22), (EncrId.NullAesGmac, 23),
    ];

    // integrity, the value of its attribute, and the transform of AH
    private static readonly (IntegId Integ, AuthAlgorithmV1 Attribute, byte AhId)[] s_macs =
    [
        (IntegId.HmacMd5_96, AuthAlgorithmV1.HmacMd5, 2), (IntegId.HmacSha1_96, AuthAlgorithmV1.HmacSha1, 3), (IntegId.HmacSha256_128, AuthAlgorithmV1.HmacSha256, 5), (IntegId.HmacSha384_192, AuthAlgorithmV1.HmacSha384, 6),
        (IntegId.HmacSha512_256, AuthAlgorithmV1.HmacSha512, 7), (IntegId.AesXcbc96, AuthAlgorithmV1.AesXcbc, 9), (IntegId.Aes128Gmac, AuthAlgorithmV1.Aes128Gmac, 11), (IntegId.Aes192Gmac, AuthAlgorithmV1.Aes192Gmac, 12),
        (IntegId.Aes256Gmac, AuthAlgorithmV1.Aes256Gmac, 13),
    ];

    /// <summary>Everything that a child allows, in order of preference, with each of its groups; without a group = without PFS.</summary>
    public static ImmutableArray<QuickSuite> Of(Child config)
    {
        var found = ImmutableArray.CreateBuilder<QuickSuite>();
        foreach (var proposal in config.Proposals)
        {
            var groups = Of(proposal, TransformType.Ke).Where(group => group.Id == 0 || IsakmpSuite.HasGroup((KeId)group.Id)).Select(group => (KeId)group.Id).ToList();
            if (groups.Count == 0) groups.Add(KeId.None);
            foreach (var encr in proposal.Protocol == ProtocolId.Esp ? Of(proposal, TransformType.Encr) : [new Transform(TransformType.Encr, 0)])
            {
                if (proposal.Protocol == ProtocolId.Esp && !s_ciphers.Any(row => row.Encr == (EncrId)encr.Id)) continue;
                var macs = proposal.Protocol == ProtocolId.Esp && Algorithms.Encr[(EncrId)encr.Id].IsAead ? [new Transform(TransformType.Integ, 0)] : Of(proposal, TransformType.Integ);
                foreach (var mac in macs.Where(mac => mac.Id == 0 || s_macs.Any(row => row.Integ == (IntegId)mac.Id)))
                {
                    foreach (var group in groups)
                    {
                        foreach (var esn in Of(proposal, TransformType.Esn).Select(esn => esn.Id == 1).DefaultIfEmpty(false)) found.Add(new QuickSuite(proposal.Protocol, (EncrId)encr.Id, encr.KeyBits, (IntegId)mac.Id, group, esn));
                    }
                }
            }
        }

        return found.ToImmutable();
    }

    /// <summary>What we offer: one group for all transforms (RFC 2409 section 5.5), that of the first.</summary>
    public static ImmutableArray<QuickSuite> WithOneGroup(ImmutableArray<QuickSuite> suites) => [.. suites.Where(suite => suite.Group == suites[0].Group).Take(byte.MaxValue)];

    /// <summary>One proposal for each protocol.</summary>
    public static ImmutableArray<ProposalV1> Make(ImmutableArray<QuickSuite> suites, ChildSpi spi, EncapsulationV1 encapsulation, ulong seconds, ulong kilobytes)
    {
        var proposals = ImmutableArray.CreateBuilder<ProposalV1>();
        foreach (var protocol in suites.Select(suite => suite.Protocol).Distinct())
        {
            var transforms = suites.Where(suite => suite.Protocol == protocol).Select((suite, index) => Write(suite with { Encapsulation = encapsulation, Seconds = seconds, Kilobytes = kilobytes }, (byte)(index + 1))).ToImmutableArray();
            proposals.Add(new ProposalV1((byte)(proposals.Count + 1), protocol, [(byte)(spi.Value >> 24), (byte)(spi.Value >> 16), (byte)(spi.Value >> 8), (byte)spi.Value], transforms));
        }

        return proposals.ToImmutable();
    }

    /// <summary>Null when it holds something that we do not know.</summary>
    public static QuickSuite? Read(ProtocolId protocol, TransformV1 transform)
    {
        var (life, seconds, kilobytes) = ((LifeTypeV1)0, 0UL, 0UL);
        var (bits, integ, group, esn, encapsulation) = (0UL, IntegId.None, KeId.None, false, (EncapsulationV1)0);
        foreach (var attribute in transform.Attributes)
        {
            if (attribute.IsLong) return null;
            switch ((IpsecAttribute)attribute.Type)
            {
                case IpsecAttribute.LifeType:
                    life = (LifeTypeV1)attribute.Value;
                    break;
                case IpsecAttribute.LifeDuration when life == LifeTypeV1.Seconds:
                    seconds = attribute.Value;
                    break;
                case IpsecAttribute.LifeDuration when life == LifeTypeV1.Kilobytes:
                    kilobytes = attribute.Value;
                    break;
                case IpsecAttribute.Group when attribute.Value <= ushort.MaxValue:
                    group = (KeId)attribute.Value;
                    break;
                case IpsecAttribute.Mode when attribute.Value <= ushort.MaxValue:
                    encapsulation = (EncapsulationV1)attribute.Value;
                    break;
                case IpsecAttribute.AuthAlgorithm when s_macs.FirstOrDefault(row => (ulong)row.Attribute == attribute.Value) is { AhId: > 0 } row:
                    integ = row.Integ;
                    break;
                case IpsecAttribute.KeyLength:
                    bits = attribute.Value;
                    break;
                // RFC 4304 section 3: any value but 1, 64 bits, ends the setup
                case IpsecAttribute.Esn when attribute.Value == 1:
                    esn = true;
                    break;
                case IpsecAttribute.Ecn:
                    break;
                default:
                    return null;
            }
        }

        if (encapsulation is not (EncapsulationV1.Tunnel or EncapsulationV1.Transport or EncapsulationV1.UdpTunnel or EncapsulationV1.UdpTransport or EncapsulationV1.UdpTunnelDraft or EncapsulationV1.UdpTransportDraft)) return null;
        if (group != KeId.None && !IsakmpSuite.HasGroup(group)) return null;
        var encr = EncrId.None;
        if (protocol == ProtocolId.Esp)
        {
            encr = s_ciphers.FirstOrDefault(row => row.Id == transform.Id).Encr;
            if (encr == EncrId.None) return null;
            if (bits == 0 && Algorithms.Encr[encr].KeyLengthAttribute) bits = 128;
            if (bits > ushort.MaxValue || !Algorithms.Encr[encr].Accepts((int)bits) || (Algorithms.Encr[encr].IsAead && integ != IntegId.None)) return null;
        }
        else if (protocol != ProtocolId.Ah || !s_macs.Any(row => row.AhId == transform.Id && row.Integ == integ))
        {
            return null;
        }

        return new QuickSuite(protocol, encr, (ushort)bits, integ, group, esn) { Encapsulation = encapsulation, Seconds = seconds, Kilobytes = kilobytes };
    }

    /// <summary>What can be chosen of an offer. Proposals of one number belong together: AH with ESP and IPComp are refused.</summary>
    public static ImmutableArray<(ProposalV1 Proposal, TransformV1 Transform, QuickSuite Suite)> Readable(ImmutableArray<ProposalV1> offers)
    {
        var found = ImmutableArray.CreateBuilder<(ProposalV1, TransformV1, QuickSuite)>();
        foreach (var offer in offers)
        {
            if (offer.Spi.Length != 4 || offers.Count(other => other.Number == offer.Number) != 1) continue;
            foreach (var transform in offer.Transforms)
            {
                if (Read(offer.Protocol, transform) is { } suite) found.Add((offer, transform, suite));
            }
        }

        return found.ToImmutable();
    }

    public static ImmutableArray<string> Print(ImmutableArray<ProposalV1> offers)
    {
        var lines = new List<string>();
        foreach (var offer in offers)
        {
            var name = offer.Protocol switch { ProtocolId.Esp => "ESP", ProtocolId.Ah => "AH", (ProtocolId)IpComp => "IPComp", _ => $"protocol {(byte)offer.Protocol}" };
            var joined = offers.Count(other => other.Number == offer.Number) > 1 ? $", together with the others of proposal {offer.Number}" : "";
            foreach (var transform in offer.Transforms)
            {
                if (lines.Count < 16) lines.Add($"{name} {(Read(offer.Protocol, transform) is { } suite ? $"{suite}, {(suite.Mode == IpsecMode.Transport ? "transport" : "tunnel")} mode{(suite.IsUdp ? " in UDP" : "")}" : $"transform {transform.Id}, with something that is not known here")}{joined}");
            }
        }

        return [.. lines];
    }

    public static EncapsulationV1 EncapsulationOf(IsakmpSa sa, bool transport)
    {
        var udp = QuickInstall.IsEncapsulated(sa);
        return (udp, sa.Peer.NatTraversal == VendorKind.NatTraversalDraft, transport) switch
        {
            (false, _, false) => EncapsulationV1.Tunnel,
            (false, _, true) => EncapsulationV1.Transport,
            (true, false, false) => EncapsulationV1.UdpTunnel,
            (true, false, true) => EncapsulationV1.UdpTransport,
            (true, true, false) => EncapsulationV1.UdpTunnelDraft,
            (true, true, true) => EncapsulationV1.UdpTransportDraft,
        };
    }

    private static TransformV1 Write(QuickSuite suite, byte number)
    {
        var writer = new WireWriter(64);
        void Add(IpsecAttribute type, uint value) => AttributeList.Write(writer, (ushort)type, value);
        writer.Octets(Lifetime.Write((ushort)IpsecAttribute.LifeType, suite.Seconds, suite.Kilobytes));
        if (suite.Group != KeId.None) Add(IpsecAttribute.Group, (uint)suite.Group);
        Add(IpsecAttribute.Mode, (uint)suite.Encapsulation);
        var mac = s_macs.FirstOrDefault(row => row.Integ == suite.Integ);
        if (suite.Integ != IntegId.None) Add(IpsecAttribute.AuthAlgorithm, (uint)mac.Attribute);
        if (suite.KeyBits != 0) Add(IpsecAttribute.KeyLength, suite.KeyBits);
        if (suite.Esn) Add(IpsecAttribute.Esn, 1);
        return new TransformV1(number, suite.Protocol == ProtocolId.Ah ? mac.AhId : s_ciphers.First(row => row.Encr == suite.Encr).Id, [.. writer.Written]);
    }

    private static IEnumerable<Transform> Of(Proposal proposal, TransformType type) => proposal.Transforms.Where(transform => transform.Type == type && (Algorithms.Supports(transform) || IsGmac(transform)));

    private static bool IsGmac(Transform transform) => transform.Type == TransformType.Integ && (IntegId)transform.Id is IntegId.Aes128Gmac or IntegId.Aes192Gmac or IntegId.Aes256Gmac;
}
