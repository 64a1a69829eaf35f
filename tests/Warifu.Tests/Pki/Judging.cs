using System;
using System.Collections.Immutable;
using System.Linq;
using Warifu.Pki;
using Warifu.Policy;
using Warifu.Primitives;
using Xunit;

namespace Warifu.Tests.Pki;

/// <summary>Questions to the judge and what must come of them.</summary>
internal static class Judging
{
    public static TrustStore Trust(params Entity[] roots) => TrustStore.Of(Material(roots));

    public static TrustMaterial Material(params Entity[] roots) => new() { Authorities = [.. roots.Select((root, index) => new Authority { Name = $"ca{index}", Certificate = [.. root.Der] })] };

    /// <summary>Is this peer trusted, when these roots are, and it sends these certificates along?</summary>
    public static PathQuestion Ask(Entity peer, Entity[] roots, params Entity[] sent) => new()
    {
        Offered = [peer.Certificate, .. sent.Select(entity => entity.Certificate)],
        Trust = Trust(roots),
        Remote = new RemoteAuth { Kind = AuthKind.PublicKey },
        Now = Issuing.Now,
        Settings = "connections.gw.remote",
    };

    public static PathQuestion Of(this PathQuestion question, Identity identity) => question with { Identity = identity };

    public static PathQuestion Auth(this PathQuestion question, string constraints) => question with { Remote = question.Remote with { Constraints = AuthConstraints.Parse(constraints) } };

    public static PathQuestion Wants(this PathQuestion question, params string[] policies) => question with { Remote = question.Remote with { CertPolicies = [.. policies] } };

    public static PathQuestion Revocation(this PathQuestion question, RevocationPolicy policy) => question with { Remote = question.Remote with { Revocation = policy } };

    public static PathQuestion Lists(this PathQuestion question, params Crl[] crls) => question with { Crls = [.. crls] };

    public static PathQuestion Responses(this PathQuestion question, params OcspResponse[] responses) => question with { Responses = [.. responses] };

    public static PathQuestion Tried(this PathQuestion question, params string[] keys) => question with { Tried = keys.ToImmutableDictionary(key => key, _ => "no answer in time") };

    /// <summary>It is trusted; returns the chain.</summary>
    public static ImmutableArray<Certificate> Good(this PathQuestion question)
    {
        var verdict = PathJudge.Judge(question);
        Assert.True(verdict is PathVerdict.Good, verdict.ToString());
        return ((PathVerdict.Good)verdict).Chain;
    }

    /// <summary>It is not, by this rule, for this certificate; the sentence names it and there is something to do.</summary>
    public static PathFailure Bad(this PathQuestion question, PathRule rule, Entity culprit)
    {
        var verdict = PathJudge.Judge(question);
        Assert.True(verdict is PathVerdict.Bad, verdict.ToString());
        var failure = ((PathVerdict.Bad)verdict).Failure;
        Assert.True(rule == failure.Rule, failure.ToString());
        Assert.True(culprit.Name == failure.Certificate, failure.ToString());
        Assert.Contains(culprit.Name, failure.Sentence, StringComparison.Ordinal);
        Assert.True(failure.Remedy.StartsWith("here: ", StringComparison.Ordinal) || failure.Remedy.StartsWith("at the peer: ", StringComparison.Ordinal) || failure.Remedy.StartsWith("at the authority: ", StringComparison.Ordinal), failure.Remedy);
        Assert.DoesNotContain("  ", failure.Sentence, StringComparison.Ordinal);
        return failure;
    }

    public static ImmutableArray<FetchWish> Needs(this PathQuestion question)
    {
        var verdict = PathJudge.Judge(question);
        Assert.True(verdict is PathVerdict.Needs, verdict.ToString());
        return ((PathVerdict.Needs)verdict).Wishes;
    }
}
