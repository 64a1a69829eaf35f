using System;
using System.Collections.Immutable;
using System.Linq;
using Warifu.Engine;
using Warifu.Pki;

namespace Warifu.V2.Exchanges;

/// <summary>OCSP in IKE (RFC 4806), our side: a peer that sent CERTREQ with encoding 14 gets, beside our certificate, what its responder says about it. Whatever goes wrong, IKE goes on without it (section 4.1).</summary>
internal static class OwnStatus
{
    /// <summary>Gets the response about our own certificate: out of the cache while it is good, else from the responder that the certificate or its authority names.</summary>
    /// <param name="sa">Waits for it.</param>
    /// <param name="own">Our end-entity certificate.</param>
    /// <param name="issuer">Who issued it; null = nobody knows, and nobody can be asked.</param>
    /// <param name="then">Gets the DER for a CERT payload of encoding 14; empty: there is none.</param>
    public static void Find(IkeSa sa, Certificate own, Certificate? issuer, Action<ImmutableArray<byte>> then)
    {
        if (issuer is null)
        {
            then([]);
            return;
        }

        sa.Engine.Ask(sa, new Ask.WallTime(), answer =>
        {
            if (answer is not Answer.WallTime time) then([]);
            else Find(sa, own, issuer, sa.Engine.Trust.StoreOf(sa.Engine.Policy), time.Time, isLast: false, then);
        });
    }

    private static void Find(IkeSa sa, Certificate own, Certificate issuer, TrustStore store, DateTimeOffset now, bool isLast, Action<ImmutableArray<byte>> then)
    {
        var engine = sa.Engine;
        var about = RevocationJudge.ResponseKey(own, issuer);
        if (engine.Trust.Known.ResponseTo(about) is { } known && known.Find(own, issuer) is { } answer && answer.ThisUpdate <= now && answer.NextUpdate > now)
        {
            then([.. known.Der.Span]);
            return;
        }

        var uri = (store.SettingsOf(issuer)?.OcspUris ?? []).Concat(own.Extensions.OcspUris).FirstOrDefault(RevocationJudge.IsHttp);
        var key = $"own {uri} {about}";
        if (isLast || uri is null || engine.Trust.OutcomeOf(key, engine.Now) is not null)
        {
            then([]);
            return;
        }

        void Done(string why)
        {
            if (sa.State != IkeState.Closed) Find(sa, own, issuer, store, now, isLast: true, then);
        }

        if (!engine.Trust.Join(key, Done)) return;
        // without a nonce: what we get is passed on to many (section 6)
        engine.Ask(null, new Ask.Fetch(uri, DocumentKind.Ocsp, [.. OcspRequest.Build(own, issuer, default)]), fetched =>
        {
            var why = "nothing came";
            if (fetched is Answer.Document document && OcspResponse.TryParse(document.Content, out var response, out why)) engine.Trust.Known.Add(about, response!);
            engine.Trust.Leave(key, why, engine.Now);
        });
    }
}
