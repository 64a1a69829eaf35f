using System;
using System.Collections.Immutable;
using System.Linq;
using Warifu.Primitives;
using Warifu.Simulation;
using Warifu.Wire;

namespace Warifu.Fuzz;

/// <summary>Payloads by luck: legal ones as values, and chains of octets that are legal, nearly legal or junk. The same seed gives the same octets.</summary>
internal sealed class ChainGenerator(ulong seed)
{
    private static readonly PayloadType[] s_types =
    [
        PayloadType.Sa, PayloadType.Ke, PayloadType.IdI, PayloadType.IdR, PayloadType.Cert, PayloadType.CertReq, PayloadType.Auth, PayloadType.Nonce, PayloadType.Notify, PayloadType.Delete,
        PayloadType.VendorId, PayloadType.TsI, PayloadType.TsR, PayloadType.Cp, PayloadType.Eap,
    ];

    private static readonly NotifyType[] s_notifies = Enum.GetValues<NotifyType>();

    private readonly SeededEntropy _luck = new(seed);

    public SeededEntropy Luck => _luck;

    /// <summary>A payload that the RFC allows.</summary>
    public OwnedPayload Legal(PayloadType type) => type switch
    {
        PayloadType.Sa => new OwnedPayload.Sa(Proposals()),
        PayloadType.Ke => new OwnedPayload.Ke((KeId)_luck.Below(65_536), Octets(1, 300)),
        PayloadType.IdI or PayloadType.IdR => new OwnedPayload.Id(type, Identity()),
        PayloadType.Cert => new OwnedPayload.Cert(type, Octet(), Octets(1, 1200)),
        PayloadType.CertReq => new OwnedPayload.Cert(type, Octet(), Octets(0, 200)),
        PayloadType.Auth => new OwnedPayload.Auth((AuthMethod)Octet(), Octets(1, 600)),
        PayloadType.Nonce => new OwnedPayload.Octets(type, Octets(16, 256)),
        PayloadType.Notify => new OwnedPayload.Notify((ProtocolId)_luck.Below(5), _luck.Chance(0.5) ? [] : Octets(0, 16), _luck.Chance(0.7) ? s_notifies[_luck.Below(s_notifies.Length)] : (NotifyType)_luck.Below(65_536), Octets(0, 80)),
        PayloadType.Delete => Delete(),
        PayloadType.TsI or PayloadType.TsR => Ts(type),
        PayloadType.Cp => new OwnedPayload.Cp((ConfigurationKind)_luck.Below(6), Many(0, 20, () => new ConfigurationAttribute((ushort)_luck.Below(_luck.Chance(0.7) ? 30 : 0x8000), Octets(0, 24)))),
        PayloadType.Eap => Eap(),
        _ => new OwnedPayload.Octets(type, Octets(0, 100)) { Critical = _luck.Chance(0.3) },
    };

    public PayloadType AnyKnown() => s_types[_luck.Below(s_types.Length)];

    /// <summary>A chain in which each payload is legal, changed in a few octets, or junk.</summary>
    /// <param name="first">Type of the first payload.</param>
    public byte[] Chain(out PayloadType first)
    {
        var builder = new MessageBuilder();
        var count = _luck.Below(10);
        for (var i = 0; i < count; i++)
        {
            var type = _luck.Chance(0.85) ? AnyKnown() : (PayloadType)(1 + _luck.Below(255));
            if (_luck.Chance(0.25)) builder.Raw(type, Octets(0, 120).AsSpan(), _luck.Chance(0.3));
            else builder.Add(Legal(type is PayloadType.Sk or PayloadType.Skf ? PayloadType.Notify : type));
        }

        first = builder.First;
        var chain = builder.Chain.ToArray();
        if (_luck.Chance(0.6)) return chain;
        if (_luck.Chance(0.1)) first = (PayloadType)Octet();
        return new Mutator(_luck).Mutate(chain);
    }

    /// <summary>The payloads that an exchange wants, with a few of them missing, twice or wrong.</summary>
    public byte[] Exchange(ExchangeType exchange, out PayloadType first)
    {
        PayloadType[] wanted = exchange switch
        {
            ExchangeType.IkeSaInit => [PayloadType.Sa, PayloadType.Ke, PayloadType.Nonce, PayloadType.Notify, PayloadType.Notify],
            ExchangeType.IkeAuth => [PayloadType.IdI, PayloadType.Cert, PayloadType.Auth, PayloadType.Cp, PayloadType.Sa, PayloadType.TsI, PayloadType.TsR, PayloadType.Notify],
            ExchangeType.CreateChildSa => [PayloadType.Notify, PayloadType.Sa, PayloadType.Nonce, PayloadType.Ke, PayloadType.TsI, PayloadType.TsR],
            _ => [PayloadType.Notify, PayloadType.Delete, PayloadType.Cp],
        };
        var builder = new MessageBuilder();
        foreach (var type in wanted)
        {
            if (_luck.Chance(0.05)) continue;
            do builder.Add(Legal(type));
            while (_luck.Chance(0.02));
        }

        first = builder.First;
        return _luck.Chance(0.7) ? builder.Chain.ToArray() : new Mutator(_luck).Mutate(builder.Chain.ToArray());
    }

    public ImmutableArray<byte> Octets(int least, int most)
    {
        var octets = new byte[least + _luck.Below(most - least + 1)];
        _luck.Fill(octets);
        return [.. octets];
    }

    private byte Octet() => (byte)_luck.Below(256);

    private ImmutableArray<T> Many<T>(int least, int most, Func<T> make) => [.. Enumerable.Range(0, least + _luck.Below(most - least + 1)).Select(_ => make())];

    private ImmutableArray<OfferedProposal> Proposals()
    {
        var count = 1 + _luck.Below(5);
        var protocol = (ProtocolId)(_luck.Chance(0.9) ? 1 + _luck.Below(3) : _luck.Below(256));
        var spiLength = protocol == ProtocolId.Ike ? (byte)(8 * _luck.Below(2)) : _luck.Chance(0.9) ? (byte)4 : (byte)_luck.Below(9);
        var spi = spiLength == 8 ? _luck.Next() : _luck.Next() & ((1UL << (8 * spiLength)) - 1);
        return [.. Enumerable.Range(1, count).Select(number => Proposal((byte)number, protocol, spi, spiLength))];
    }

    private OfferedProposal Proposal(byte number, ProtocolId protocol, ulong spi, byte spiLength)
    {
        var attributes = ImmutableArray.CreateBuilder<TransformAttribute>();
        var transforms = ImmutableArray.CreateBuilder<Transform>();
        for (var left = _luck.Below(9); left > 0; left--)
        {
            var type = (TransformType)(_luck.Chance(0.95) ? 1 + _luck.Below(5) : _luck.Below(256));
            var id = (ushort)_luck.Below(_luck.Chance(0.9) ? 40 : 65_536);
            if (_luck.Chance(0.05))
            {
                attributes.Add(new TransformAttribute(transforms.Count, (ushort)(0x8000 | _luck.Below(14)), Octets(2, 2)));
                if (_luck.Chance(0.5)) attributes.Add(new TransformAttribute(transforms.Count, (ushort)_luck.Below(0x8000), Octets(0, 9)));
                transforms.Add(new Transform(type, id, SaPayload.Unusable));
                continue;
            }

            transforms.Add(new Transform(type, id, type == TransformType.Encr && _luck.Chance(0.7) ? (ushort)(64 * (2 + _luck.Below(3))) : (ushort)0));
        }

        return new OfferedProposal(number, spi, spiLength, new Proposal(protocol, transforms.ToImmutable())) { Attributes = attributes.ToImmutable() };
    }

    private Identity Identity()
    {
        var type = (IdType)(_luck.Chance(0.8) ? (int[])[1, 2, 3, 5, 9, 10, 11, 13] is var types ? types[_luck.Below(types.Length)] : 0 : 1 + _luck.Below(255));
        return new Identity(type, type switch { IdType.Ipv4Addr => Octets(4, 4), IdType.Ipv6Addr => Octets(16, 16), IdType.Null => [], _ => Octets(1, 60) });
    }

    private OwnedPayload.Delete Delete()
    {
        var protocol = (ProtocolId)(1 + _luck.Below(3));
        return new OwnedPayload.Delete(protocol, protocol == ProtocolId.Ike ? [] : Many(0, 12, () => new ChildSpi((uint)_luck.Next())));
    }

    private OwnedPayload.Ts Ts(PayloadType side)
    {
        var unknown = Many(0, 2, () => new UnknownSelector((byte)(9 + _luck.Below(200)), Octet(), Octets(0, 40)));
        return new OwnedPayload.Ts(side, Many(unknown.IsEmpty ? 1 : 0, 8, Selector), unknown);
    }

    private TrafficSelector Selector()
    {
        var version = _luck.Chance(0.5) ? 4 : 6;
        var (low, high) = (Address(version), Address(version));
        if (low > high) (low, high) = (high, low);
        var (first, last) = ((ushort)_luck.Below(65_536), (ushort)_luck.Below(65_536));
        if (first > last) (first, last) = (last, first);
        if (_luck.Chance(0.1)) (first, last) = (ushort.MaxValue, 0);
        return new TrafficSelector(low, high, Octet(), first, last);
    }

    private IpAddress Address(int version) => version == 4 ? IpAddress.V4((uint)_luck.Next()) : IpAddress.V6(new UInt128(_luck.Next(), _luck.Next()));

    private OwnedPayload.Eap Eap()
    {
        var code = (EapCode)(1 + _luck.Below(5));
        return code is EapCode.Success or EapCode.Failure
            ? new OwnedPayload.Eap(code, Octet(), 0, [])
            : new OwnedPayload.Eap(code, Octet(), code is EapCode.Request or EapCode.Response ? Octet() : (byte)0, Octets(0, 90));
    }
}
