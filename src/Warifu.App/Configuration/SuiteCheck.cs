using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.Linq;
using Warifu.Crypto.Signatures;
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
        foreach (var (round, local) in Rounds("local").Zip(connection.LocalRounds.Prepend(connection.Local))) CheckKeys(round, KeysOf(local.Certificates, local.PublicKeys), ike.Misfit);
        foreach (var (round, remote) in Rounds("remote").Zip(connection.RemoteRounds.Prepend(connection.Remote))) CheckKeys(round, KeysOf(remote.Certificates, remote.PublicKeys), ike.PeerMisfit);
        var peerAuth = strict ? ike.StrictPeerAuth! : ike.PeerAuth!;
        return connection with
        {
            Local = Bound(connection.Local),
            LocalRounds = [.. connection.LocalRounds.Select(Bound)],
            Remote = BoundRemote(connection.Remote),
            RemoteRounds = [.. connection.RemoteRounds.Select(BoundRemote)],
        };

        // what the file says itself can only make it narrower
        LocalAuth Bound(LocalAuth local) => local with { Schemes = local.Schemes.Within(auth) };

        RemoteAuth BoundRemote(RemoteAuth remote) => remote with { Constraints = remote.Constraints.Within(peerAuth) };

        // in the order of their numbers, as the rounds were read
        IEnumerable<ConfigSection> Rounds(string side) => section.Sections.Where(round => round.Name.StartsWith(side, StringComparison.Ordinal)).OrderBy(round => ValueReader.TryNumber(round.Find("round")?.Text ?? "0", out var number) ? number : 0);

        // of several certificates the one that fits is used
        void CheckKeys(ConfigSection round, List<(string Setting, string Name, PublicKey Key)> keys, Func<PublicKey, string?> misfit)
        {
            if (keys.Count == 0 || keys.Exists(one => misfit(one.Key) is null)) return;
            var (setting, name, key) = keys[0];
            var other = Suite.All.FirstOrDefault(suite => suite.Word.StartsWith(ike.Word[..^3], StringComparison.Ordinal) && suite.Auth is not null && suite.Misfit(key) is null);
            var whose = round.Name.StartsWith("local", StringComparison.Ordinal) ? "us" : "the peer";
            Error(round, setting, $"{misfit(key)}: {name} of connection '{connection.Name}'", $"get {whose} a certificate with {ike.WantedKey}{(other is null ? "" : $", or write proposals = {other.Word}")}");
        }

        void CheckMethod(ConfigSection round)
        {
            if (!round.Name.StartsWith("local", StringComparison.Ordinal) && !round.Name.StartsWith("remote", StringComparison.Ordinal)) return;
            var method = round.Find("auth")?.Text ?? "pubkey";
            var wanted = ike.Word == "cnsa" ? "an ECDSA P-384 or RSA-3072" : $"an ECDSA P-{ike.Curve}";
            if (method == "psk" || method.StartsWith("eap", StringComparison.Ordinal) || method.StartsWith("xauth", StringComparison.Ordinal)) Error(round, "auth", $"{ike.Name} demands certificates, and {round.Name}.auth of connection '{connection.Name}' is {method}", $"write auth = pubkey with {wanted} certificate, or spell the algorithms out in proposals");
            else if (method != "pubkey" && AuthConstraints.TryParse(method, out var own, out _) && !own.Ike.Any(IsWithin)) Error(round, "auth", $"{ike.Name} demands {auth.Text.Replace("ike:", "", StringComparison.Ordinal)}, and {round.Name}.auth of connection '{connection.Name}' is {method}", "write auth = pubkey, or what the suite demands");

            bool IsWithin(AuthRule rule) => auth.Ike.Any(allowed => (rule.Key == allowed.Key || rule.Key == AuthKey.Any) && rule.MinBits <= allowed.MinBits && (rule.Hashes.IsEmpty || rule.Hashes.Any(hash => allowed.Hashes.Contains(hash))));
        }

        void CheckVersion1()
        {
            if (ike.NeedsVersion2) Error(section, "version", $"{ike.Name} is for IKEv2 only: IKEv1 has no AEAD (RFC 5282)", "write version = 2");
            else if (!strict) findings.Add(new Diagnostic(Severity.Warning, section.Find("version")!.ValuePosition, $"{ike.Name} with IKEv1: RFC 6380 section 8 forbids it between Suite B systems", "write version = 2"));
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

    private static List<(string Setting, string Name, PublicKey Key)> KeysOf(ImmutableArray<ImmutableArray<byte>> certificates, ImmutableArray<ImmutableArray<byte>> publicKeys)
    {
        var keys = new List<(string, string, PublicKey)>();
        foreach (var der in certificates)
        {
            if (CertificateReader.KeyOf(der.AsMemory()) is { } key) keys.Add(("certs", $"the certificate '{CertificateReader.NameOf(der.AsMemory())}'", key));
        }

        foreach (var spki in publicKeys)
        {
            if (PublicKey.TryParse(spki.AsSpan(), out var key)) keys.Add(("pubkeys", "the public key", key));
        }

        return keys;
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
