using System.Collections.Immutable;
using System.Globalization;
using System.Linq;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.V2.Exchanges;
using Warifu.Wire;

namespace Warifu.V2;

/// <summary>What a message says, a line for each thing that people look for: proposals, identities, selectors, refusals.</summary>
internal static class Details
{
    public static ImmutableArray<string> Of(scoped in MessageView view)
    {
        var lines = ImmutableArray.CreateBuilder<string>();
        for (var i = 0; i < view.Count; i++)
        {
            var body = view.Body(i);
            switch (view[i].Type)
            {
                case PayloadType.Sa when SaPayload.TryParse(body, out var offers) == ParseError.None:
                    foreach (var offer in offers) lines.Add(string.Create(CultureInfo.InvariantCulture, $"SA proposal {offer.Number}: {offer.Proposal.Protocol.ToString().ToUpperInvariant()} {ProposalKeywords.Print(offer.Proposal)}"));
                    break;
                case PayloadType.Ke when KeView.TryParse(body, out var ke) == ParseError.None:
                    lines.Add("KE " + ProposalKeywords.Word(Transform.Ke(ke.Method)));
                    break;
                case PayloadType.IdI when IdPayload.TryParse(body, out var identity) == ParseError.None:
                    lines.Add("IDi " + Identities.Print(identity));
                    break;
                case PayloadType.IdR when IdPayload.TryParse(body, out var identity) == ParseError.None:
                    lines.Add("IDr " + Identities.Print(identity));
                    break;
                case PayloadType.Auth when AuthView.TryParse(body, out var auth) == ParseError.None:
                    lines.Add("AUTH " + (auth.Method == AuthMethod.SharedKey ? "pre-shared key" : SignatureChoice.TryRead(auth.Method, auth.Data.ToArray(), out var scheme, out _, out _) ? $"{auth.Method} {scheme}" : auth.Method.ToString()));
                    break;
                case PayloadType.TsI when TsPayload.TryParse(body, out var selectors) == ParseError.None:
                    lines.Add("TSi " + Selectors.Print(selectors.Take(16)));
                    break;
                case PayloadType.TsR when TsPayload.TryParse(body, out var selectors) == ParseError.None:
                    lines.Add("TSr " + Selectors.Print(selectors.Take(16)));
                    break;
                case PayloadType.Cp when CpView.TryParse(body, out var configuration) == ParseError.None:
                    foreach (var attribute in configuration)
                    {
                        if (lines.Count < 24) lines.Add($"CP {configuration.Kind.ToString().ToLowerInvariant()} {PoolText.Print(attribute.Type, attribute.Value)}");
                    }

                    break;
                case PayloadType.Delete when DeletePayload.TryParse(body, out var protocol, out var spis) == ParseError.None:
                    lines.Add(protocol == ProtocolId.Ike ? "DELETE the IKE SA" : $"DELETE {protocol.ToString().ToUpperInvariant()} {string.Join(' ', spis.Take(16))}");
                    break;
                case PayloadType.Notify when NotifyView.TryParse(body, out var notify) == ParseError.None && (ushort)notify.Type < 16384:
                    lines.Add("the sender refuses: " + MessageDescription.NameOf(notify.Type));
                    break;
            }

            if (lines.Count >= 32) break;
        }

        return lines.ToImmutable();
    }
}
