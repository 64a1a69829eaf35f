using System;
using Warifu.Primitives;

namespace Warifu.Wire.V1;

/// <summary>Which message of which exchange.</summary>
internal enum MessageKind
{
    Main1,
    Main2,
    Main3,
    Main4,
    Main5,
    Main6,
    Aggressive1,
    Aggressive2,
    Aggressive3,
    Quick1,
    Quick2,
    Quick3,
    Informational,
    Transaction,
}

/// <summary>Which payloads each message of IKEv1 must and may carry (RFC 2409 section 5, RFC 3947 section 3.2), as a table; bodies are checked here too, so that the exchanges never meet a malformed one.</summary>
internal static class MessageRules
{
    private const int Any = int.MaxValue;

    private static readonly Rule
        s_sa = new(PayloadV1.Sa, 1, 1), s_ke = new(PayloadV1.Ke, 1, 1), s_nonce = new(PayloadV1.Nonce, 1, 1), s_id = new(PayloadV1.Id, 1, 1), s_hash = new(PayloadV1.Hash, 1, 1),
        s_certificates = new(PayloadV1.Cert, 0, Any), s_requests = new(PayloadV1.CertReq, 0, Any), s_natD = new(PayloadV1.NatD, 0, Any), s_natDDraft = new(PayloadV1.NatDDraft, 0, Any),
        s_maybeHash = new(PayloadV1.Hash, 0, 1), s_maybeSig = new(PayloadV1.Sig, 0, 1), s_maybeKe = new(PayloadV1.Ke, 0, 1), s_ids = new(PayloadV1.Id, 0, 2), s_natOa = new(PayloadV1.NatOa, 0, 2), s_natOaDraft = new(PayloadV1.NatOaDraft, 0, 2);

    // NAT-D stands in messages 3 and 4 of main mode, 2 and 3 of aggressive mode; vendor IDs and notifies may stand anywhere.
    private static readonly Rule[][] s_rows =
    [
        [s_sa, s_requests],
        [s_sa, s_requests],
        [s_ke, s_nonce, s_requests, s_natD, s_natDDraft],
        [s_ke, s_nonce, s_requests, s_natD, s_natDDraft],
        [s_id, s_certificates, s_requests, s_maybeHash, s_maybeSig],
        [s_id, s_certificates, s_requests, s_maybeHash, s_maybeSig],
        [s_sa, s_ke, s_nonce, s_id, s_requests],
        [s_sa, s_ke, s_nonce, s_id, s_certificates, s_requests, s_maybeHash, s_maybeSig, s_natD, s_natDDraft],
        [s_certificates, s_requests, s_maybeHash, s_maybeSig, s_natD, s_natDDraft],
        [s_hash, s_sa, s_nonce, s_maybeKe, s_ids, s_natOa, s_natOaDraft],
        [s_hash, s_sa, s_nonce, s_maybeKe, s_ids, s_natOa, s_natOaDraft],
        [s_hash],
        [s_hash, new(PayloadV1.Delete, 0, Any)],
        [s_hash, new(PayloadV1.Attributes, 1, 1)],
    ];

    /// <summary>The payload that breaks the rules, or null. Order does not matter but for HASH, which the exchange looks for in front.</summary>
    public static (PayloadV1 Payload, ParseError Detail)? Check(MessageKind kind, scoped in ChainView view)
    {
        Span<int> counts = stackalloc int[256];
        for (var i = 0; i < view.Count; i++)
        {
            var type = view[i].Type;
            var error = CheckBody(type, view.Body(i));
            if (error != ParseError.None) return (type, error);
            // private and unknown payloads are passed over
            if (IsKnown(type)) counts[(int)type]++;
        }

        foreach (var rule in s_rows[(int)kind])
        {
            if (counts[(int)rule.Type] < rule.Least || counts[(int)rule.Type] > rule.Most) return (rule.Type, ParseError.None);
            counts[(int)rule.Type] = 0;
        }

        counts[(int)PayloadV1.Notify] = counts[(int)PayloadV1.VendorId] = 0;
        for (var type = 0; type < counts.Length; type++)
        {
            if (counts[type] > 0) return ((PayloadV1)type, ParseError.None);
        }

        return null;
    }

    public static bool IsKnown(PayloadV1 type) => type is (>= PayloadV1.Sa and <= PayloadV1.Attributes) or PayloadV1.NatD or PayloadV1.NatOa or PayloadV1.NatDDraft or PayloadV1.NatOaDraft or PayloadV1.Fragment;

    private static ParseError CheckBody(PayloadV1 type, ReadOnlySpan<byte> body) => type switch
    {
        PayloadV1.Sa => SaBody.Check(body),
        PayloadV1.Ke => body.IsEmpty ? ParseError.BadKeyExchange : ParseError.None,
        PayloadV1.Id => IdBody.TryParse(body, out _),
        PayloadV1.Cert or PayloadV1.CertReq => CertBody.TryParse(body, out _, out _),
        PayloadV1.Hash => body.Length is >= 16 and <= 64 ? ParseError.None : ParseError.BadHash,
        PayloadV1.Sig => body.IsEmpty ? ParseError.BadAuthentication : ParseError.None,
        PayloadV1.Nonce => body.Length is >= WireLimits.NonceMinV1 and <= WireLimits.NonceMax ? ParseError.None : ParseError.BadNonce,
        PayloadV1.Notify => NotifyBody.TryParse(body, out _),
        PayloadV1.Delete => DeleteBody.TryParse(body, out _),
        PayloadV1.Attributes => AttributesBody.TryParse(body, out _),
        PayloadV1.NatD or PayloadV1.NatDDraft => body.Length is >= 16 and <= 64 ? ParseError.None : ParseError.BadHash,
        PayloadV1.NatOa or PayloadV1.NatOaDraft => NatOaBody.TryParse(body, out _),
        _ => ParseError.None,
    };

    private readonly record struct Rule(PayloadV1 Type, int Least, int Most);
}
