using System;
using System.Collections.Immutable;
using Warifu.Primitives;

namespace Warifu.Wire;

/// <summary>A payload as a value that outlives its message. Unknown types, attributes and numbers are preserved; reserved fields are not. Two are equal when their octets on the wire are.</summary>
internal abstract class OwnedPayload(PayloadType type) : IEquatable<OwnedPayload>
{
    public PayloadType Type { get; } = type;

    /// <summary>The critical bit; without meaning in payloads that everybody knows.</summary>
    public bool Critical { get; init; }

    /// <summary>Writes the body.</summary>
    public abstract void Write(WireWriter writer);

    /// <summary>From a payload of a checked chain.</summary>
    public static ParseError TryParse(in PayloadEntry entry, ReadOnlySpan<byte> body, out OwnedPayload? payload)
    {
        var critical = entry.Critical;
        payload = null;
        var error = ParseError.None;
        switch (entry.Type)
        {
            case PayloadType.Sa:
                error = SaPayload.TryParse(body, out var proposals);
                if (error == ParseError.None) payload = new Sa(proposals) { Critical = critical };
                break;
            case PayloadType.Ke:
                error = KeView.TryParse(body, out var ke);
                if (error == ParseError.None) payload = new Ke(ke.Method, [.. ke.Public]) { Critical = critical };
                break;
            case PayloadType.IdI or PayloadType.IdR:
                error = IdPayload.TryParse(body, out var identity);
                if (error == ParseError.None) payload = new Id(entry.Type, identity!) { Critical = critical };
                break;
            case PayloadType.Cert or PayloadType.CertReq:
                error = CertView.TryParse(body, out var cert);
                if (error == ParseError.None) payload = new Cert(entry.Type, cert.Encoding, [.. cert.Data]) { Critical = critical };
                break;
            case PayloadType.Auth:
                error = AuthView.TryParse(body, out var auth);
                if (error == ParseError.None) payload = new Auth(auth.Method, [.. auth.Data]) { Critical = critical };
                break;
            case PayloadType.Nonce:
                error = NoncePayload.Check(body);
                if (error == ParseError.None) payload = new Octets(entry.Type, [.. body]) { Critical = critical };
                break;
            case PayloadType.Notify:
                error = NotifyView.TryParse(body, out var notify);
                if (error == ParseError.None) payload = new Notify(notify.Protocol, [.. notify.Spi], notify.Type, [.. notify.Data]) { Critical = critical };
                break;
            case PayloadType.Delete:
                error = DeletePayload.TryParse(body, out var protocol, out var spis);
                if (error == ParseError.None) payload = protocol is ProtocolId.Ike or ProtocolId.Ah or ProtocolId.Esp ? new Delete(protocol, spis) { Critical = critical } : new Octets(entry.Type, [.. body]) { Critical = critical };
                break;
            case PayloadType.TsI or PayloadType.TsR:
                error = TsPayload.TryParse(body, out var selectors, out var unknown);
                if (error == ParseError.None) payload = new Ts(entry.Type, selectors, unknown) { Critical = critical };
                break;
            case PayloadType.Cp:
                error = CpPayload.TryParse(body, out var kind, out var attributes);
                if (error == ParseError.None) payload = new Cp((ConfigurationKind)kind, attributes) { Critical = critical };
                break;
            case PayloadType.Eap:
                error = EapView.TryParse(body, out var eap);
                if (error == ParseError.None) payload = new Eap(eap.Code, eap.Identifier, eap.Type, [.. eap.Data]) { Critical = critical };
                break;
            default:
                payload = new Octets(entry.Type, [.. body]) { Critical = critical };
                break;
        }

        return error;
    }

    public bool Equals(OwnedPayload? other)
    {
        if (other is null || other.Type != Type || other.Critical != Critical) return false;
        var (ours, theirs) = (new WireWriter(), new WireWriter());
        Write(ours);
        other.Write(theirs);
        return ours.Written.SequenceEqual(theirs.Written);
    }

    public override bool Equals(object? obj) => Equals(obj as OwnedPayload);

    public override int GetHashCode()
    {
        var writer = new WireWriter();
        Write(writer);
        var hash = default(HashCode);
        hash.Add(Type);
        hash.AddBytes(writer.Written);
        return hash.ToHashCode();
    }

    internal sealed class Sa(ImmutableArray<OfferedProposal> proposals) : OwnedPayload(PayloadType.Sa)
    {
        public ImmutableArray<OfferedProposal> Proposals { get; } = proposals;

        public override void Write(WireWriter writer) => SaPayload.Write(writer, Proposals.AsSpan());
    }

    internal sealed class Ke(KeId method, ImmutableArray<byte> publicValue) : OwnedPayload(PayloadType.Ke)
    {
        public KeId Method { get; } = method;

        public ImmutableArray<byte> Public { get; } = publicValue;

        public override void Write(WireWriter writer)
        {
            writer.U16((ushort)Method);
            writer.U16(0);
            writer.Octets(Public.AsSpan());
        }
    }

    internal sealed class Id(PayloadType side, Identity identity) : OwnedPayload(side)
    {
        public Identity Identity { get; } = identity;

        public override void Write(WireWriter writer)
        {
            writer.U8((byte)Identity.Type);
            writer.Octets([0, 0, 0]);
            writer.Octets(Identity.Data.AsSpan());
        }
    }

    internal sealed class Cert(PayloadType type, byte encoding, ImmutableArray<byte> data) : OwnedPayload(type)
    {
        public byte Encoding { get; } = encoding;

        public ImmutableArray<byte> Data { get; } = data;

        public override void Write(WireWriter writer)
        {
            writer.U8(Encoding);
            writer.Octets(Data.AsSpan());
        }
    }

    internal sealed class Auth(AuthMethod method, ImmutableArray<byte> data) : OwnedPayload(PayloadType.Auth)
    {
        public AuthMethod Method { get; } = method;

        public ImmutableArray<byte> Data { get; } = data;

        public override void Write(WireWriter writer)
        {
            writer.U8((byte)Method);
            writer.Octets([0, 0, 0]);
            writer.Octets(Data.AsSpan());
        }
    }

    internal sealed class Notify(ProtocolId protocol, ImmutableArray<byte> spi, NotifyType kind, ImmutableArray<byte> data) : OwnedPayload(PayloadType.Notify)
    {
        public ProtocolId Protocol { get; } = protocol;

        public ImmutableArray<byte> Spi { get; } = spi;

        public NotifyType Kind { get; } = kind;

        public ImmutableArray<byte> Data { get; } = data;

        public override void Write(WireWriter writer)
        {
            writer.U8((byte)Protocol);
            writer.U8(checked((byte)Spi.Length));
            writer.U16((ushort)Kind);
            writer.Octets(Spi.AsSpan());
            writer.Octets(Data.AsSpan());
        }
    }

    internal sealed class Delete(ProtocolId protocol, ImmutableArray<ChildSpi> spis) : OwnedPayload(PayloadType.Delete)
    {
        public ProtocolId Protocol { get; } = protocol;

        public ImmutableArray<ChildSpi> Spis { get; } = spis;

        public override void Write(WireWriter writer)
        {
            writer.U8((byte)Protocol);
            writer.U8(Protocol == ProtocolId.Ike ? (byte)0 : (byte)4);
            writer.U16(checked((ushort)Spis.Length));
            foreach (var spi in Spis) writer.U32(spi.Value);
        }
    }

    internal sealed class Ts(PayloadType side, ImmutableArray<TrafficSelector> selectors, ImmutableArray<UnknownSelector> unknown) : OwnedPayload(side)
    {
        public ImmutableArray<TrafficSelector> Selectors { get; } = selectors;

        public ImmutableArray<UnknownSelector> Unknown { get; } = unknown;

        public override void Write(WireWriter writer) => TsPayload.Write(writer, Selectors.AsSpan(), Unknown.AsSpan());
    }

    internal sealed class Cp(ConfigurationKind kind, ImmutableArray<ConfigurationAttribute> attributes) : OwnedPayload(PayloadType.Cp)
    {
        public ConfigurationKind Kind { get; } = kind;

        public ImmutableArray<ConfigurationAttribute> Attributes { get; } = attributes;

        public override void Write(WireWriter writer) => CpPayload.Write(writer, (byte)Kind, Attributes.AsSpan());
    }

    internal sealed class Eap(EapCode code, byte identifier, byte method, ImmutableArray<byte> data) : OwnedPayload(PayloadType.Eap)
    {
        public EapCode Code { get; } = code;

        public byte Identifier { get; } = identifier;

        /// <summary>EAP type; 0 where there is none.</summary>
        public byte Method { get; } = method;

        public ImmutableArray<byte> Data { get; } = data;

        public override void Write(WireWriter writer) => EapPayload.Write(writer, Code, Identifier, Method, Data.AsSpan());
    }

    /// <summary>A body of octets: nonces, vendor ids, and what we do not know.</summary>
    internal sealed class Octets(PayloadType type, ImmutableArray<byte> body) : OwnedPayload(type)
    {
        public ImmutableArray<byte> Body { get; } = body;

        public override void Write(WireWriter writer) => writer.Octets(Body.AsSpan());
    }
}
