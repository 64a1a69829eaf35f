using System;
using System.Collections.Generic;
using System.Linq;
using Org.BouncyCastle.Pkix;
using Org.BouncyCastle.X509;
using Warifu.Pki;
using Warifu.Simulation;
using Xunit;

namespace Warifu.Tests.Pki;

/// <summary>Random chains, judged here and by another implementation of RFC 5280 section 6.1 (the PKIX validator of Bouncy Castle, in the tests only): both must say the same.</summary>
[Trait("Item", "2.3")]
public sealed class OracleTests
{
    private static readonly string[] s_policies = ["2.5.29.32.0", "1.3.6.1.4.1.99999.2.1", "1.3.6.1.4.1.99999.2.2", "1.3.6.1.4.1.99999.2.3"];
    private static readonly string[] s_hosts = ["example.org", "gw.example.org", "a.gw.example.org", "example.com", "gwexample.org"];
    private static readonly string[] s_names = ["C=CH, O=Example, CN=gw", "C=CH, O=example, CN=gw", "C=CH, O=Other, CN=gw", "C=DE, O=Example, CN=gw"];
    private static readonly string[] s_trees = ["C=CH", "C=CH, O=Example", "C=DE"];

    private readonly TestKey[] _keys = [.. Enumerable.Range(0, 6).Select(_ => TestKey.New())];

    [Fact]
    public void Path_lengths_and_authorities() => Compare(1, 400, (luck, spec, isLast) =>
    {
        if (isLast) return;
        spec.Without("2.5.29.19").Without("2.5.29.15");
        if (luck.Chance(0.95)) spec.Constraints(luck.Chance(0.95), luck.Chance(0.5) ? luck.Below(3) : null);
        if (luck.Chance(0.8)) spec.Usage(luck.Chance(0.95) ? 5 : 6);
    });

    [Fact]
    public void Name_constraints() => Compare(2, 600, (luck, spec, isLast) =>
    {
        byte[] Tree() => luck.Below(4) switch
        {
            0 => General.Directory(s_trees[luck.Below(s_trees.Length)]),
            1 => General.Net("192.0.2.0", luck.Chance(0.5) ? "255.255.255.0" : "255.255.255.128"),
            2 => General.Mail(s_hosts[luck.Below(s_hosts.Length)]),
            _ => General.Dns(s_hosts[luck.Below(s_hosts.Length)]),
        };
        byte[][]? Trees(double chance) => luck.Chance(chance) ? [.. Enumerable.Range(0, 1 + luck.Below(3)).Select(_ => Tree())] : null;
        if (!isLast)
        {
            var (permitted, excluded) = (Trees(0.4), Trees(0.2));
            if (permitted is not null || excluded is not null) spec.NameConstraints(permitted, excluded);
            return;
        }

        if (luck.Chance(0.6)) spec.Dns(s_hosts[luck.Below(s_hosts.Length)]);
        if (luck.Chance(0.3)) spec.Mail("any@" + s_hosts[luck.Below(s_hosts.Length)]);
        if (luck.Chance(0.3)) spec.Ip(luck.Chance(0.5) ? "192.0.2.1" : "192.0.2.200");
        if (luck.Chance(0.2)) spec.Name(General.Directory(s_names[luck.Below(s_names.Length)]));
    });

    [Fact]
    public void Policies() => Compare(3, 1500, (luck, spec, isLast) =>
    {
        string Policy() => s_policies[luck.Chance(0.15) ? 0 : 1 + luck.Below(3)];
        if (luck.Chance(0.9)) spec.Policies([.. Enumerable.Range(0, 1 + luck.Below(3)).Select(_ => Policy()).Distinct()]);
        if (luck.Chance(0.12)) spec.PolicyConstraints(luck.Chance(0.6) ? luck.Below(3) : null, luck.Below(3));
        if (luck.Chance(0.12)) spec.InhibitAny(luck.Below(3));
        if (!isLast && luck.Chance(0.4)) spec.Mappings([.. Enumerable.Range(0, 1 + luck.Below(3)).Select(_ => (s_policies[1 + luck.Below(3)], s_policies[1 + luck.Below(3)])).Distinct()]);
    });

    private void Compare(ulong seed, int count, Action<SeededEntropy, CertificateSpec, bool> make)
    {
        var root = Issuing.Root("CN=Root", spec => spec.Key = _keys[0]);
        var (good, bad, wrong) = (0, 0, new List<string>());
        for (var i = 0; i < count; i++)
        {
            var luck = new SeededEntropy((seed << 32) + (ulong)i);
            var chain = new List<Entity>();
            var last = root;
            for (var depth = luck.Below(4); depth > 0; depth--)
            {
                // now and then an authority gives itself a new certificate
                var name = chain.Count > 0 && luck.Chance(0.15) ? last.Name : $"C=CH, O=Example, CN=Sub {chain.Count}";
                chain.Add(last = Entity.Make(name, last, spec =>
                {
                    spec.Key = _keys[1 + (chain.Count % 5)];
                    spec.Ca();
                    make(luck, spec, false);
                }));
            }

            var peer = Entity.Make(s_names[luck.Below(s_names.Length)], last, spec =>
            {
                spec.Key = _keys[5];
                make(luck, spec, true);
            });
            string[] wanted = seed == 3 && luck.Chance(0.7) ? [s_policies[1 + luck.Below(3)]] : [];
            var ours = PathJudge.Judge(Judging.Ask(peer, [root], [.. chain]).Wants(wanted));
            var theirs = Oracle(root, [peer, .. Enumerable.Reverse(chain)], wanted);
            if (theirs is null) good++;
            else bad++;
            if (chain.Exists(authority => Converges(authority.Certificate))) continue;
            if (ours is PathVerdict.Good != theirs is null) wrong.Add($"{i}: {(ours is PathVerdict.Bad failed ? failed.Failure.Sentence : "good")} against {theirs ?? "good"}; wanted {string.Join(' ', wanted)}; {string.Join(" -> ", chain.Append(peer).Select(Described))}");
        }

        Assert.True(wrong.Count == 0, $"{wrong.Count} of {count}:\n{string.Join('\n', wrong.Take(10))}");
        Assert.True(good > count / 10 && bad > count / 10, $"{good} good, {bad} bad");
    }

    /// <summary>Two policies become one: section 6.1.3 (d)(1)(i) gives it a node below each of them, the other implementation below the first one only.</summary>
    private static bool Converges(Certificate authority)
    {
        var mappings = authority.Extensions.PolicyMappings.ToLookup(pair => pair.Issuer, pair => pair.Subject);
        var expected = (authority.Extensions.Policies ?? []).Union(mappings.Select(group => group.Key)).SelectMany(policy => mappings.Contains(policy) ? mappings[policy].Distinct() : [policy]).ToArray();
        return expected.Distinct().Count() != expected.Length;
    }

    private static string Described(Entity entity)
    {
        var extensions = entity.Certificate.Extensions;
        return $"{entity.Name} [policies {string.Join(' ', extensions.Policies ?? [])}; mappings {string.Join(' ', extensions.PolicyMappings)}; explicit {extensions.RequireExplicitPolicy}, no mapping {extensions.InhibitPolicyMapping}, no any {extensions.InhibitAnyPolicy}; names {extensions.NameConstraints}]";
    }

    /// <summary>Null: good.</summary>
    private static string? Oracle(Entity root, Entity[] path, string[] wanted)
    {
        var anchors = new HashSet<TrustAnchor> { new(new X509Certificate(root.Der), null) };
        var parameters = new PkixParameters(anchors) { IsRevocationEnabled = false, Date = Issuing.Now.UtcDateTime, IsExplicitPolicyRequired = wanted.Length > 0 };
        if (wanted.Length > 0) parameters.SetInitialPolicies(wanted.ToHashSet());
        try
        {
            new PkixCertPathValidator().Validate(new PkixCertPath([.. path.Select(entity => new X509Certificate(entity.Der))]), parameters);
            return null;
        }
        catch (PkixCertPathValidatorException failure)
        {
            return failure.Message;
        }
    }
}
