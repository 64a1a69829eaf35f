using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.Linq;
using Warifu.Crypto;
using Warifu.Primitives;

namespace Warifu.Policy;

/// <summary>What came out of a selection.</summary>
/// <param name="OfferIndex">Index of the peer's proposal; -1 = none fits.</param>
/// <param name="Chosen">One transform per type; null = none fits.</param>
/// <param name="WhyNot">When none fits: for each of our proposals the first transform type that differs from the peer's best offer.</param>
internal sealed record ProposalChoice(int OfferIndex, Proposal? Chosen, ImmutableArray<string> WhyNot);

/// <summary>Choosing proposals (RFC 7296 sections 2.7 and 3.3) as pure functions.</summary>
internal static class ProposalSelection
{
    /// <summary>The first of ours that any offer satisfies; in it our order of preference decides.</summary>
    /// <param name="ours">Configured, best first.</param>
    /// <param name="offers">As received.</param>
    /// <param name="withoutKe">IKE_AUTH: key exchange transforms are not part of the first child (section 1.2).</param>
    public static ProposalChoice Select(ImmutableArray<Proposal> ours, ImmutableArray<Proposal> offers, bool withoutKe = false)
    {
        var whyNot = ImmutableArray.CreateBuilder<string>();
        foreach (var own in ours)
        {
            string? nearest = null;
            for (var i = 0; i < offers.Length; i++)
            {
                if (Match(own, offers[i], withoutKe, out var chosen, out var difference)) return new ProposalChoice(i, chosen, []);
                nearest ??= difference;
                if (Rank(difference) > Rank(nearest)) nearest = difference;
            }

            whyNot.Add($"{ProposalKeywords.Print(own)}: {nearest?[2..] ?? "the peer offers nothing"}");
        }

        return new ProposalChoice(-1, null, whyNot.ToImmutable());
    }

    /// <summary>Initiator's check of an answer: one of ours, one transform per type, nothing that we did not offer (section 2.7). Null = good.</summary>
    public static string? CheckAnswer(ImmutableArray<Proposal> offered, Proposal answer, bool withoutKe = false)
    {
        foreach (var type in answer.Transforms.Select(transform => transform.Type).GroupBy(type => type))
        {
            if (type.Count() > 1) return $"the peer's answer has {type.Count()} transforms of type {type.Key}, one is allowed";
        }

        foreach (var own in offered)
        {
            if (own.Protocol == answer.Protocol && Match(own, answer, withoutKe, out _, out _)) return null;
        }

        return $"the peer's answer {ProposalKeywords.Print(answer)} is not among what we offered";
    }

    /// <summary>The chosen transform of a type, or the default value (id 0) when there is none.</summary>
    public static Transform Find(this Proposal proposal, TransformType type)
    {
        foreach (var transform in proposal.Transforms)
        {
            if (transform.Type == type) return transform;
        }

        return new Transform(type, 0);
    }

    private static int Rank(string? difference) => difference is null ? -1 : difference[0] - '0';

    /// <summary>The difference begins with a digit: how many types fitted before it.</summary>
    private static bool Match(Proposal own, Proposal offer, bool withoutKe, out Proposal? chosen, out string difference)
    {
        (chosen, difference) = (null, "");
        if (own.Protocol != offer.Protocol)
        {
            difference = $"0 the peer offers {offer.Protocol}, not {own.Protocol}";
            return false;
        }

        var result = ImmutableArray.CreateBuilder<Transform>();
        var fitted = 1;
        foreach (var type in TypesOf(own, offer))
        {
            if (withoutKe && type == TransformType.Ke) continue;
            var wanted = Alternatives(own, type);
            var given = Alternatives(offer, type);
            var pick = wanted.Cast<Transform?>().FirstOrDefault(transform => given.Contains(transform!.Value));
            if (pick is not { } found)
            {
                difference = $"{fitted} {NameOf(type)} {Words(wanted)} not offered; the peer offers {Words(given)}";
                return false;
            }

            fitted++;
            // "none" is written only where the peer wrote it
            if (found.Id != 0 || offer.Transforms.Contains(found)) result.Add(found);
        }

        chosen = new Proposal(own.Protocol, result.ToImmutable());
        return true;
    }

    private static IEnumerable<TransformType> TypesOf(Proposal own, Proposal offer)
    {
        // known types in the order of the tables; an offer with a type that we do not know cannot be chosen (section 3.3.3)
        var all = own.Transforms.Concat(offer.Transforms).Select(transform => transform.Type).Distinct().Order();
        return all;
    }

    /// <summary>What a proposal allows for a type: an absent type allows "none" (no integrity with AEAD, no key exchange, no extended sequence numbers).</summary>
    private static List<Transform> Alternatives(Proposal proposal, TransformType type)
    {
        var found = proposal.Transforms.Where(transform => transform.Type == type && (Algorithms.Supports(transform) || transform.Type > TransformType.Esn)).ToList();
        var any = proposal.Transforms.Any(transform => transform.Type == type);
        if (!any) found.Add(new Transform(type, 0));
        return found;
    }

    private static string Words(List<Transform> transforms) => transforms.Count == 0 ? "only what this build does not know" : string.Join(", ", transforms.Select(transform => transform.Id == 0 && transform.Type != TransformType.Esn ? "none" : ProposalKeywords.Word(transform)));

    private static string NameOf(TransformType type) => type switch
    {
        TransformType.Encr => "encryption",
        TransformType.Prf => "PRF",
        TransformType.Integ => "integrity",
        TransformType.Ke => "key exchange",
        TransformType.Esn => "sequence numbers",
        _ => $"transform type {(byte)type}",
    };
}
