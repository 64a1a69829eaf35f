using System;
using Warifu.Primitives;

namespace Warifu.Wire;

/// <summary>What is wrong with the payloads of a message.</summary>
/// <param name="Error">Notify to answer with: INVALID_SYNTAX or UNSUPPORTED_CRITICAL_PAYLOAD.</param>
/// <param name="Payload">Payload type concerned.</param>
/// <param name="Detail">The body that did not parse, if that was it.</param>
internal readonly record struct RuleViolation(NotifyType Error, PayloadType Payload, ParseError Detail);

/// <summary>Which payloads each exchange must and may carry (RFC 7296 sections 1.2 to 1.5 and appendix C), as a table; bodies are checked here too, so that the exchanges never meet a malformed one.</summary>
internal static class PayloadRules
{
    private const int Any = int.MaxValue;

    private static readonly Rule[] s_initRequest = [new(PayloadType.Sa, 1, 1), new(PayloadType.Ke, 1, 1), new(PayloadType.Nonce, 1, 1), new(PayloadType.CertReq, 0, Any)];
    private static readonly Rule[] s_authRequest =
    [
        new(PayloadType.IdI, 0, 1), new(PayloadType.Cert, 0, Any), new(PayloadType.CertReq, 0, Any), new(PayloadType.IdR, 0, 1), new(PayloadType.Auth, 0, 1), new(PayloadType.Eap, 0, 1),
        new(PayloadType.Cp, 0, 1), new(PayloadType.Sa, 0, 1), new(PayloadType.TsI, 0, 1), new(PayloadType.TsR, 0, 1),
    ];
    private static readonly Rule[] s_createChild =
    [
        new(PayloadType.Sa, 0, 1), new(PayloadType.Nonce, 0, 1), new(PayloadType.Ke, 0, 1), new(PayloadType.TsI, 0, 1), new(PayloadType.TsR, 0, 1), new(PayloadType.Cp, 0, 1),
    ];
    private static readonly Rule[] s_createChildRequest = [new(PayloadType.Sa, 1, 1), new(PayloadType.Nonce, 1, 1), new(PayloadType.Ke, 0, 1), new(PayloadType.TsI, 0, 1), new(PayloadType.TsR, 0, 1), new(PayloadType.Cp, 0, 1)];
    private static readonly Rule[] s_informational = [new(PayloadType.Delete, 0, Any), new(PayloadType.Cp, 0, 1)];

    /// <summary>The first violation, or null. Notifies, vendor ids and unknown payloads may stand anywhere; known payloads in the wrong exchange are refused.</summary>
    public static RuleViolation? Check(ExchangeType exchange, bool isResponse, scoped in MessageView view)
    {
        Span<int> counts = stackalloc int[256];
        for (var i = 0; i < view.Count; i++)
        {
            var payload = view[i];
            if (!IsKnown(payload.Type))
            {
                // the critical bit matters only for types that we do not understand (section 2.5)
                if (payload.Critical) return new RuleViolation(NotifyType.UnsupportedCriticalPayload, payload.Type, ParseError.None);
                continue;
            }

            var error = CheckBody(payload.Type, view.Body(i));
            if (error != ParseError.None) return new RuleViolation(NotifyType.InvalidSyntax, payload.Type, error);
            counts[(int)payload.Type]++;
        }

        // a refusal carries notifies only
        var rules = RulesOf(exchange, isResponse, view.TryGetError(out _));
        if (rules is null) return null;
        foreach (var rule in rules)
        {
            if (counts[(int)rule.Type] < rule.Least || counts[(int)rule.Type] > rule.Most) return new RuleViolation(NotifyType.InvalidSyntax, rule.Type, ParseError.None);
            counts[(int)rule.Type] = 0;
        }

        counts[(int)PayloadType.Notify] = counts[(int)PayloadType.VendorId] = 0;
        for (var type = 0; type < counts.Length; type++)
        {
            if (counts[type] > 0) return new RuleViolation(NotifyType.InvalidSyntax, (PayloadType)type, ParseError.None);
        }

        return null;
    }

    private static Rule[]? RulesOf(ExchangeType exchange, bool isResponse, bool refusal) => exchange switch
    {
        // an answer with INVALID_KE_PAYLOAD or COOKIE has no SA
        ExchangeType.IkeSaInit when isResponse => [new(PayloadType.Sa, 0, 1), new(PayloadType.Ke, 0, 1), new(PayloadType.Nonce, 0, 1), new(PayloadType.CertReq, 0, Any)],
        ExchangeType.IkeSaInit => s_initRequest,
        ExchangeType.IkeAuth => s_authRequest,
        ExchangeType.CreateChildSa => isResponse || refusal ? s_createChild : s_createChildRequest,
        ExchangeType.Informational => s_informational,
        _ => null,
    };

    private static bool IsKnown(PayloadType type) => type is >= PayloadType.Sa and <= PayloadType.Eap or PayloadType.Skf;

    private static ParseError CheckBody(PayloadType type, ReadOnlySpan<byte> body) => type switch
    {
        PayloadType.Sa => SaPayload.TryParse(body, out _),
        PayloadType.Ke => KeView.TryParse(body, out _),
        PayloadType.IdI or PayloadType.IdR => IdPayload.TryParse(body, out _),
        PayloadType.Cert or PayloadType.CertReq => CertView.TryParse(body, out _),
        PayloadType.Auth => AuthView.TryParse(body, out _),
        PayloadType.Nonce => NoncePayload.Check(body),
        PayloadType.Notify => NotifyView.TryParse(body, out _),
        PayloadType.Delete => DeletePayload.TryParse(body, out _, out _),
        PayloadType.TsI or PayloadType.TsR => TsPayload.TryParse(body, out _),
        PayloadType.Cp => CpPayload.TryParse(body, out _, out _),
        PayloadType.Eap => EapPayload.Check(body),
        _ => ParseError.None,
    };

    private readonly record struct Rule(PayloadType Type, int Least, int Most);
}
