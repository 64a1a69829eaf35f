using System;
using System.Collections.Immutable;
using System.Linq;
using System.Text;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Wire;
using Warifu.Wire.V1;

namespace Warifu.V1;

/// <summary>What people read of a message: "main mode message 1 [ SA V V ]", and a line for each thing that they look for.</summary>
internal static class MessageNames
{
    public static string Describe(MessageKind kind, scoped in ChainView view)
    {
        var text = new StringBuilder(NameOf(kind)).Append(" [");
        for (var i = 0; i < view.Count; i++) text.Append(' ').Append(NameOf(view[i].Type, view.Body(i)));
        return text.Append(" ]").ToString();
    }

    public static ImmutableArray<string> Details(scoped in ChainView view)
    {
        var lines = ImmutableArray.CreateBuilder<string>();
        for (var i = 0; i < view.Count && lines.Count < 32; i++)
        {
            var body = view.Body(i);
            switch (view[i].Type)
            {
                case PayloadV1.Sa when SaBody.TryParse(body, out var offers) == ParseError.None:
                    lines.AddRange(offers[0].Protocol == ProtocolId.Ike ? SuiteChoice.Print(offers) : QuickOffer.Print(offers));
                    break;
                case PayloadV1.Id when IdBody.TryParse(body, out var id) == ParseError.None:
                    lines.Add("ID " + (ProxyId.TryRead(id, out var selector) && id.Type is not (IdV1.Ipv4 or IdV1.Ipv6) ? selector.ToString() : Identities.Print(new Identity((IdType)id.Type, [.. id.Data]))));
                    break;
                case PayloadV1.Notify when NotifyBody.TryParse(body, out var notify) == ParseError.None && notify.IsError:
                    lines.Add("the sender refuses: " + NameOf(notify.Type));
                    break;
                case PayloadV1.Delete when DeleteBody.TryParse(body, out var delete) == ParseError.None:
                    lines.Add(delete.Protocol == ProtocolId.Ike ? "DELETE the ISAKMP SA" : $"DELETE {delete.Protocol.ToString().ToUpperInvariant()}, {delete.Count} SPIs");
                    break;
                case PayloadV1.Attributes when AttributesBody.TryParse(body, out var attributes) == ParseError.None:
                    AddAttributes(lines, attributes);
                    break;
                case PayloadV1.VendorId when VendorIds.Find(body) is { } vendor:
                    lines.Add("V " + vendor.Name);
                    break;
            }
        }

        return lines.ToImmutable();
    }

    public static string NameOf(MessageKind kind) => kind switch
    {
        <= MessageKind.Main6 => $"main mode message {kind - MessageKind.Main1 + 1}",
        <= MessageKind.Aggressive3 => $"aggressive mode message {kind - MessageKind.Aggressive1 + 1}",
        <= MessageKind.Quick3 => $"quick mode message {kind - MessageKind.Quick1 + 1}",
        MessageKind.Informational => "informational",
        _ => "transaction",
    };

    /// <summary>As RFC 2408 section 3.14.1 writes it: "NO-PROPOSAL-CHOSEN".</summary>
    public static string NameOf(NotifyV1 type)
    {
        if (type is NotifyV1.RUThere) return "R-U-THERE";
        if (type is NotifyV1.RUThereAck) return "R-U-THERE-ACK";
        var name = type.ToString();
        return string.Concat(name.Select((letter, index) => index > 0 && char.IsUpper(letter) ? "-" + letter : char.ToUpperInvariant(letter).ToString()));
    }

    /// <summary>Of Mode Config and XAuth.</summary>
    public static string NameOfAttribute(ushort type) => Enum.IsDefined((XauthAttribute)type)
        ? "XAUTH_" + string.Concat(((XauthAttribute)type).ToString().Select((letter, index) => index > 0 && char.IsUpper(letter) ? "_" + letter : char.ToUpperInvariant(letter).ToString()))
        : PoolText.NameOf((ConfigurationType)type);

    /// <summary>What a user gives to prove itself is never printed.</summary>
    private static void AddAttributes(ImmutableArray<string>.Builder lines, scoped in AttributesBody body)
    {
        lines.Add(body.Kind switch { ConfigurationKind.Request => "CFG_REQUEST", ConfigurationKind.Reply => "CFG_REPLY", ConfigurationKind.Set => "CFG_SET", ConfigurationKind.Ack => "CFG_ACK", _ => $"CFG {(byte)body.Kind}" });
        var reader = new ConfigurationReader(body.Attributes);
        while (lines.Count < 32 && reader.TryNext(out var type, out var value))
        {
            lines.Add((XauthAttribute)type switch
            {
                XauthAttribute.UserName or XauthAttribute.Message or XauthAttribute.Domain => $"{NameOfAttribute(type)} {PoolText.Printable(value)}".TrimEnd(),
                XauthAttribute.Status => value.Length == 2 ? $"XAUTH_STATUS {(value[1] == 1 ? "OK" : "FAIL")}" : "XAUTH_STATUS",
                >= XauthAttribute.Type and <= XauthAttribute.Answer => value.IsEmpty ? NameOfAttribute(type) : NameOfAttribute(type) + " (hidden)",
                _ => PoolText.Print((ConfigurationType)type, value),
            });
        }
    }

    private static string NameOf(PayloadV1 type, System.ReadOnlySpan<byte> body) => type switch
    {
        PayloadV1.Sa => "SA",
        PayloadV1.Ke => "KE",
        PayloadV1.Id => "ID",
        PayloadV1.Cert => "CERT",
        PayloadV1.CertReq => "CERTREQ",
        PayloadV1.Hash => "HASH",
        PayloadV1.Sig => "SIG",
        PayloadV1.Nonce => "No",
        PayloadV1.Notify => NotifyBody.TryParse(body, out var notify) == ParseError.None ? $"N({NameOf(notify.Type)})" : "N(?)",
        PayloadV1.Delete => "D",
        PayloadV1.VendorId => "V",
        PayloadV1.Attributes => "ATTR",
        PayloadV1.NatD or PayloadV1.NatDDraft => "NAT-D",
        PayloadV1.NatOa or PayloadV1.NatOaDraft => "NAT-OA",
        _ => $"P({(byte)type})",
    };
}
