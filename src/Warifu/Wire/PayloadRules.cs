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

    // A response may be a refusal or (IKE_SA_INIT) a demand, with notifies only: what it must carry otherwise is for the exchange to ask.
    private static readonly Row s_initRequest = new([new(PayloadType.Sa, 1, 1), new(PayloadType.Ke, 1, 1), new(PayloadType.Nonce, 1, 1), new(PayloadType.CertReq, 0, Any)], []);
    private static readonly Row s_initResponse = new(
        [new(PayloadType.Sa, 0, 1), new(PayloadType.Ke, 0, 1), new(PayloadType.Nonce, 0, 1), new(PayloadType.CertReq, 0, Any)],
        [PayloadType.Sa, PayloadType.Ke, PayloadType.Nonce]);
    private static readonly Row s_authRequest = new(
        [
            new(PayloadType.IdI, 0, 1), new(PayloadType.Cert, 0, Any), new(PayloadType.CertReq, 0, Any), new(PayloadType.IdR, 0, 1), new(PayloadType.Auth, 0, 1), new(PayloadType.Eap, 0, 1),
            new(PayloadType.Cp, 0, 1), new(PayloadType.Sa, 0, 1), new(PayloadType.TsI, 0, 1), new(PayloadType.TsR, 0, 1),
        ],
        [PayloadType.Sa, PayloadType.TsI, PayloadType.TsR]);
    private static readonly Row s_authResponse = new(
        [
            new(PayloadType.IdR, 0, 1), new(PayloadType.Cert, 0, Any), new(PayloadType.CertReq, 0, Any), new(PayloadType.Auth, 0, 1), new(PayloadType.Eap, 0, 1),
            new(PayloadType.Cp, 0, 1), new(PayloadType.Sa, 0, 1), new(PayloadType.TsI, 0, 1), new(PayloadType.TsR, 0, 1),
        ],
        [PayloadType.Sa, PayloadType.TsI, PayloadType.TsR]);
    private static readonly Row s_createChildRequest = new(
        [new(PayloadType.Sa, 1, 1), new(PayloadType.Nonce, 1, 1), new(PayloadType.Ke, 0, 1), new(PayloadType.TsI, 0, 1), new(PayloadType.TsR, 0, 1), new(PayloadType.Cp, 0, 1)],
        [PayloadType.TsI, PayloadType.TsR]);
    private static readonly Row s_createChildResponse = new(
        [new(PayloadType.Sa, 0, 1), new(PayloadType.Nonce, 0, 1), new(PayloadType.Ke, 0, 1), new(PayloadType.TsI, 0, 1), new(PayloadType.TsR, 0, 1), new(PayloadType.Cp, 0, 1)],
        [PayloadType.TsI, PayloadType.TsR]);
    private static readonly Row s_informational = new([new(PayloadType.Delete, 0, Any), new(PayloadType.Cp, 0, 1)], []);

    /// <summary>The first violation, or null. Order does not matter (section 2.5). Notifies, vendor ids and unknown payloads may stand anywhere; known payloads in the wrong exchange are refused.</summary>
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

        if (RowOf(exchange, isResponse) is not { } row) return null;
        foreach (var type in row.Together)
        {
            if ((counts[(int)type] == 0) != (counts[(int)row.Together[0]] == 0)) return new RuleViolation(NotifyType.InvalidSyntax, type, ParseError.None);
        }

        foreach (var rule in row.Rules)
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

    /// <summary>Payload types of RFC 7296 and RFC 7383: those that we understand.</summary>
    public static bool IsKnown(PayloadType type) => type is (>= PayloadType.Sa and <= PayloadType.Eap) or PayloadType.Skf;

    private static Row? RowOf(ExchangeType exchange, bool isResponse) => exchange switch
    {
        ExchangeType.IkeSaInit => isResponse ? s_initResponse : s_initRequest,
        ExchangeType.IkeAuth => isResponse ? s_authResponse : s_authRequest,
        ExchangeType.CreateChildSa => isResponse ? s_createChildResponse : s_createChildRequest,
        ExchangeType.Informational => s_informational,
        _ => null,
    };

    private static ParseError CheckBody(PayloadType type, ReadOnlySpan<byte> body) => type switch
    {
        PayloadType.Sa => SaPayload.Check(body),
        PayloadType.Ke => KeView.TryParse(body, out _),
        PayloadType.IdI or PayloadType.IdR => IdPayload.Check(body),
        PayloadType.Cert => CertView.CheckCert(body),
        PayloadType.CertReq => CertView.TryParse(body, out _),
        PayloadType.Auth => AuthView.TryParse(body, out _),
        PayloadType.Nonce => NoncePayload.Check(body),
        PayloadType.Notify => NotifyView.Check(body),
        PayloadType.Delete => DeletePayload.Check(body),
        PayloadType.TsI or PayloadType.TsR => TsPayload.Check(body),
        PayloadType.Cp => CpView.TryParse(body, out _),
        PayloadType.Eap => EapPayload.Check(body),
        _ => ParseError.None,
    };

    private readonly record struct Rule(PayloadType Type, int Least, int Most);

    /// <param name="Rules">How often each payload may stand there; those that are not named may not.</param>
    /// <param name="Together">All of them or none.</param>
    private sealed record Row(Rule[] Rules, PayloadType[] Together);
}
