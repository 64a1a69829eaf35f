using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.Linq;
using Warifu.Policy;

namespace Warifu.App.Configuration;

/// <summary>Rules of the words that stand for whole suites: alone in their list, with the authentication that they demand (RFC 6380, RFC 9206), and with <c>suite_b = strict</c> nothing beside them.</summary>
internal static class SuiteCheck
{
    /// <summary>The connection with its suite, its authentication bound to it.</summary>
    public static Connection Apply(ConfigSection section, Connection connection, List<Diagnostic> findings)
    {
        var ike = SuiteOf(section, "proposals", findings);
        var children = ImmutableArray.CreateBuilder<Child>();
        foreach (var child in connection.Children)
        {
            var inner = section.Section("children")!.Section(child.Name)!;
            var esp = SuiteOf(inner, "esp_proposals", findings);
            if (ike?.IsSuiteB == true && esp is { IsSuiteB: true } && esp.Curve != ike.Curve) Error(inner, "esp_proposals", $"{esp.Name} for ESP beside {ike.Name} for IKE: RFC 6380 section 4 wants one level of security", $"write {esp.Word.Replace(esp.Word[^3..], ike.Word[^3..], StringComparison.Ordinal)}");
            children.Add(child with { Suite = esp?.Name ?? "" });
        }

        var strict = section.Find("suite_b")?.Text.Equals("strict", StringComparison.OrdinalIgnoreCase) == true;
        if (strict) CheckStrict();
        connection = connection with { Children = children.ToImmutable(), Suite = ike?.Name ?? "", SuiteB = strict ? SuiteBPolicy.Strict : SuiteBPolicy.Normal };
        if (ike?.Auth is not { } auth) return connection;
        if (section.Find("version")?.Text == "1") CheckVersion1();
        foreach (var round in section.Sections) CheckMethod(round);
        return connection with
        {
            Local = Bound(connection.Local),
            LocalRounds = [.. connection.LocalRounds.Select(Bound)],
            Remote = BoundRemote(connection.Remote),
            RemoteRounds = [.. connection.RemoteRounds.Select(BoundRemote)],
        };

        // what the file says itself may only be narrower, and is
        LocalAuth Bound(LocalAuth local) => local.Schemes == AuthConstraints.Any ? local with { Schemes = auth } : local;

        RemoteAuth BoundRemote(RemoteAuth remote) => remote.Constraints == AuthConstraints.Any ? remote with { Constraints = auth } : remote;

        void CheckMethod(ConfigSection round)
        {
            if (!round.Name.StartsWith("local", StringComparison.Ordinal) && !round.Name.StartsWith("remote", StringComparison.Ordinal)) return;
            var method = round.Find("auth")?.Text ?? "pubkey";
            var wanted = ike.Word == "cnsa" ? "an ECDSA P-384 or RSA-3072" : $"an ECDSA P-{ike.Curve}";
            if (method == "psk" || method.StartsWith("eap", StringComparison.Ordinal) || method.StartsWith("xauth", StringComparison.Ordinal)) Error(round, "auth", $"{ike.Name} demands certificates, and {round.Name}.auth of connection '{connection.Name}' is {method}", $"write auth = pubkey with {wanted} certificate, or spell the algorithms out in proposals");
            else if (method != "pubkey" && AuthConstraints.TryParse(method, out var own, out _) && !own.Ike.All(rule => auth.Ike.Any(allowed => allowed.Key == rule.Key && rule.MinBits == allowed.MinBits && rule.Hashes.All(hash => allowed.Hashes.Contains(hash))))) Error(round, "auth", $"{ike.Name} demands {auth.Text.Replace("ike:", "", StringComparison.Ordinal)}, and {round.Name}.auth of connection '{connection.Name}' is {method}", "write auth = pubkey, or what the suite demands");
        }

        void CheckVersion1()
        {
            if (ike.NeedsVersion2) Error(section, "version", $"{ike.Name} is for IKEv2 only: IKEv1 has no AEAD (RFC 5282)", "write version = 2");
            else findings.Add(new Diagnostic(Severity.Warning, section.Find("version")!.ValuePosition, $"{ike.Name} with IKEv1: RFC 6380 section 8 forbids it between Suite B systems", "write version = 2"));
        }

        void CheckStrict()
        {
            if (ike is not { IsSuiteB: true }) Error(section, "suite_b", "suite_b = strict, and proposals is none of the four suites of RFC 6379", "write proposals = suiteb-gcm-128 or suiteb-gcm-256 (or suiteb-gmac-…), or remove suite_b");
            if (section.Find("version")?.Text == "1") Error(section, "version", "suite_b = strict forbids IKEv1 (RFC 6380 section 8)", "write version = 2");
            foreach (var child in children.Where(child => child.Mode is ChildMode.Tunnel or ChildMode.Transport && Suite.All.FirstOrDefault(suite => suite.Name == child.Suite) is not { IsSuiteB: true }))
            {
                var inner = section.Section("children")!.Section(child.Name)!;
                if (inner.Find("ah_proposals") is not null) Error(inner, "ah_proposals", "suite_b = strict forbids AH (RFC 6380 section 8)", "write esp_proposals = suiteb-gmac-128 for integrity alone");
                else Error(inner, "esp_proposals", $"suite_b = strict, and esp_proposals of child '{child.Name}' is none of the four suites of RFC 6379", $"write esp_proposals = {ike?.Word ?? "suiteb-gcm-128"}");
            }
        }

        void Error(ConfigSection place, string key, string text, string remedy) => findings.Add(new Diagnostic(Severity.Error, place.Find(key)?.ValuePosition ?? place.Position, text, remedy));
    }

    private static Suite? SuiteOf(ConfigSection section, string key, List<Diagnostic> findings)
    {
        if (section.Find(key) is not { } setting) return null;
        var items = ValueReader.Items(setting).ToArray();
        var suite = items.Select(Suite.Find).FirstOrDefault(found => found is not null);
        if (suite is not null && items.Length > 1) findings.Add(new Diagnostic(Severity.Error, setting.ValuePosition, $"{key}: '{suite.Word}' stands for a whole list of proposals and cannot have others beside it", $"write {key} = {suite.Word} alone, or spell the algorithms out"));
        return suite;
    }
}
