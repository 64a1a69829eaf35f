using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.Linq;
using Warifu.Crypto;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.V1;

namespace Warifu.App.Configuration;

/// <summary>Rules of IKEv1 connections: at most four proposals with one algorithm of a kind each, no AEAD in phase 1, one group in aggressive mode, and what is known to be weak by design gets a warning.</summary>
internal static class Version1Check
{
    private const int MostProposals = 4;

    private static readonly IpAddress s_anybody = IpAddress.Parse("192.0.2.1");

    /// <summary>Keys that mean something else than "no" in IKEv2 only.</summary>
    private static readonly (string Key, string What)[] s_ofVersion2 = [("mobike", "MOBIKE is"), ("childless", "childless initiation is")];

    /// <summary>The connection with what "default" means in IKEv1.</summary>
    public static Connection Apply(ConfigSection section, Connection connection, List<Diagnostic> findings)
    {
        if (connection.Version != IkeVersion.V1)
        {
            // R61
            foreach (var round in Rounds(section).Where(round => round.Find("auth")?.Text.StartsWith("xauth", StringComparison.Ordinal) == true)) findings.Add(new Diagnostic(Severity.Error, round.Find("auth")!.ValuePosition, "XAuth is of IKEv1", "write version = 1, or auth = psk or pubkey"));
            if (section.Find("pull")?.Text.Equals("no", StringComparison.OrdinalIgnoreCase) == true) Warn("pull", "pull is of IKEv1's Mode Config: it has no effect here", "remove it, or write version = 1");
            if (IsYes(section, "aggressive")) Warn("aggressive", "aggressive mode is of IKEv1: it has no effect here", "remove it, or write version = 1");
            else if (IsYes(section, "aggressive_psk")) Warn("aggressive_psk", "aggressive mode is of IKEv1: aggressive_psk has no effect here", "remove it, or write version = 1");
            return connection;
        }

        var isDefault = section.Find("proposals") is null || IsDefault(section, "proposals");
        var proposals = !isDefault ? connection.Proposals : connection.Aggressive ? ProposalKeywords.DefaultAggressive : ProposalKeywords.DefaultIkeV1;
        // what cannot be read, and a suite that is for IKEv2 only, was told already
        if (!IsBad(section, Scope.Connection, "proposals") && Suite.All.FirstOrDefault(suite => suite.Name == connection.Suite) is not { NeedsVersion2: true }) CheckProposals(proposals);
        if (!connection.LocalRounds.Prepend(connection.Local).Any(round => round.Kind == AuthKind.Eap) && !connection.RemoteRounds.Prepend(connection.Remote).Any(round => round.Kind == AuthKind.Eap)) CheckRounds();
        CheckSchemes();
        foreach (var (key, what) in s_ofVersion2)
        {
            if (section.Find(key) is { } setting && !setting.Text.Equals("no", StringComparison.OrdinalIgnoreCase) && !setting.Text.Equals("allow", StringComparison.OrdinalIgnoreCase)) findings.Add(new Diagnostic(Severity.Notice, setting.Position, $"{key} has no effect: {what} of IKEv2"));
        }

        if (connection.PpkId is not null || connection.PpkRequired) Error(connection.PpkRequired ? "ppk_required" : "ppk_id", "post-quantum pre-shared keys are of IKEv2 (RFC 8784)", "remove it, or write version = 2");
        foreach (var round in Rounds(section))
        {
            if (round.Find("auth") is { } auth && auth.Text.StartsWith("eap", StringComparison.Ordinal)) findings.Add(new Diagnostic(Severity.Error, auth.ValuePosition, "EAP is of IKEv2", "write auth = psk, pubkey or xauth"));
        }

        var psk = connection.Local.Kind == AuthKind.Psk;
        if (connection.AggressivePsk && !(connection.Aggressive && psk)) Warn("aggressive_psk", $"aggressive_psk has no effect: {(connection.Aggressive ? "this is no connection with a pre-shared key" : "phase 1 is in main mode")}", connection.Aggressive ? "remove it" : "remove it, or write aggressive = yes");
        if (connection.Aggressive)
        {
            if (connection.AggressivePsk && psk) Warn("aggressive_psk", "whoever asks gets what it needs to guess the pre-shared key at leisure", "use certificates, or main mode; else a key of 32 random characters");
            else if (psk) Warn("aggressive", "aggressive mode shows identities to everybody, and with a pre-shared key whoever listens can guess it at leisure; peers that begin are not answered (aggressive_psk = no)", "use main mode or certificates");
            else Warn("aggressive", "aggressive mode shows identities to everybody", "use main mode");
        }
        else if (psk && connection.RemoteAddresses.IsEmpty)
        {
            Warn("remote_addrs", "in main mode the pre-shared key is found by the peer's address (RFC 2409 section 5.4): all peers of this connection share one key", "name addresses, or use certificates");
        }

        return connection with { Proposals = proposals, Children = [.. connection.Children.Select(Child)] };

        Child Child(Child child)
        {
            var inner = section.Section("children")!.Section(child.Name)!;
            if (child.Mode is not (ChildMode.Tunnel or ChildMode.Transport)) return child;
            var key = child.IsAh ? "ah_proposals" : "esp_proposals";
            CheckPairs(inner, child);
            if (inner.Find(key) is null || IsDefault(inner, key)) return child with { Proposals = child.IsAh ? ProposalKeywords.DefaultAhV1 : ProposalKeywords.DefaultEspV1 };
            if (IsBad(inner, Scope.Child, key)) return child;
            foreach (var proposal in child.Proposals)
            {
                if (Twice(proposal) is { } kind) findings.Add(new Diagnostic(Severity.Error, inner.Find(key)!.ValuePosition, $"'{Print(proposal)}' names several algorithms for {kind}: in IKEv1 each proposal names one of a kind", "write several proposals, separated by commas"));
                if (proposal.Transforms.FirstOrDefault(transform => transform.Type == TransformType.Ke && !HasNumber(transform)) is { Type: TransformType.Ke } group) findings.Add(new Diagnostic(Severity.Error, inner.Find(key)!.ValuePosition, $"IKEv1 has no number for {ProposalKeywords.Word(group)}", "write ecp256 or modp2048, for example"));
                if (proposal.Transforms.FirstOrDefault(transform => transform.Type == TransformType.Encr && (EncrId)transform.Id == EncrId.ChaCha20Poly1305) is { Type: TransformType.Encr } chacha) findings.Add(new Diagnostic(Severity.Error, inner.Find(key)!.ValuePosition, $"IKEv1 has no number for {ProposalKeywords.Word(chacha)}", "write aes256gcm16, for example"));
                if (proposal.Transforms.FirstOrDefault(transform => transform.Type == TransformType.Integ && (IntegId)transform.Id == IntegId.AesCmac96) is { Type: TransformType.Integ } mac) findings.Add(new Diagnostic(Severity.Error, inner.Find(key)!.ValuePosition, $"IKEv1 has no number for {ProposalKeywords.Word(mac)}", "write sha256, for example"));
            }

            return child;
        }

        // RFC 2409 section 5.5: a proxy ID is one thing, and both sides have the same
        void CheckPairs(ConfigSection inner, Child child)
        {
            foreach (var (key, patterns) in new[] { ("local_ts", child.LocalSelectors), ("remote_ts", child.RemoteSelectors) })
            {
                foreach (var pattern in patterns)
                {
                    var place = inner.Find(key)?.ValuePosition ?? inner.Position;
                    var selector = pattern.IsDynamic ? pattern.Resolve(s_anybody) : pattern.Selector;
                    if (!ProxyId.TryWrite(selector, out _)) findings.Add(new Diagnostic(Severity.Error, place, $"{key}: IKEv1 cannot say {(pattern.IsDynamic ? "these ports" : selector)}: a proxy ID has one port or all, and knows neither ICMP types nor OPAQUE", "write one port, or none; several children may have one each"));
                    if (child.Mode == ChildMode.Transport && selector.First != selector.Last) findings.Add(new Diagnostic(Severity.Error, place, $"{key}: transport mode is between the two ends, and {selector} is a network", "write mode = tunnel, or leave the addresses to dynamic"));
                }
            }
        }

        // phase 1 as always, then the password of a user on one side; or hybrid: the user has nothing else, the gateway has a certificate
        void CheckRounds()
        {
            var (local, remote) = (connection.LocalRounds.Prepend(connection.Local).Select(round => round.Kind).ToArray(), connection.RemoteRounds.Prepend(connection.Remote).Select(round => round.Kind).ToArray());
            if (local is [AuthKind.Xauth, not AuthKind.Xauth] || remote is [AuthKind.Xauth, not AuthKind.Xauth]) WrongAuth(AuthKind.Xauth, "XAuth comes behind phase 1, and the section with auth = xauth stands first", "put it behind the other one, or write round = 2 in it");
            else if (local.Length > 2 || remote.Length > 2 || (local.Length == 2 && local[1] != AuthKind.Xauth) || (remote.Length == 2 && remote[1] != AuthKind.Xauth) || (local.Length == 2 && local[0] == AuthKind.Xauth) || (remote.Length == 2 && remote[0] == AuthKind.Xauth)) WrongAuth(null, "IKEv1 has no further authentication rounds but XAuth", "keep one section local and one section remote, and one more with auth = xauth on the side of the users");
            else if (local.Contains(AuthKind.Xauth) && remote.Contains(AuthKind.Xauth)) WrongAuth(AuthKind.Xauth, "XAuth is for users: one side of them has it, the other is the gateway", "write auth = xauth in local (we are the user) or in remote (the peers are)");
            else if (local[0] == AuthKind.Xauth != (remote[0] == AuthKind.Xauth) && (local[0] == AuthKind.Xauth ? remote : local)[0] != AuthKind.PublicKey) WrongAuth(AuthKind.Psk, "with XAuth alone (hybrid authentication) the gateway proves itself by a certificate", $"write auth = pubkey in {(local[0] == AuthKind.Xauth ? "remote" : "local")}, or auth = psk on both sides and auth = xauth in a second section");
            else if (local[0] != AuthKind.Xauth && remote[0] != AuthKind.Xauth && local[0] != remote[0]) WrongAuth(AuthKind.Psk, "in IKEv1 both sides authenticate in the same way", "write the same auth in local and remote");
            else if (remote.Length == 2 && remote[0] == AuthKind.Psk) WarnAuth("whoever knows the pre-shared key can pretend to be this gateway, and gets the passwords of its users", "use certificates, or hybrid authentication: auth = xauth alone in remote, and a certificate in local");
            else if (local.Length == 2 && local[0] == AuthKind.Psk) WarnAuth("whoever knows the pre-shared key can pretend to be the gateway, and gets the password", "use certificates");
        }

        SourcePosition PlaceOf(AuthKind? kind) => Rounds(section).Select(round => round.Find("auth")).FirstOrDefault(auth => auth is not null && (kind is null || auth.Text == (kind == AuthKind.Psk ? "psk" : "xauth") || (kind == AuthKind.Xauth && auth.Text.StartsWith("xauth", StringComparison.Ordinal))))?.ValuePosition ?? section.Position;

        void WrongAuth(AuthKind? kind, string text, string remedy) => findings.Add(new Diagnostic(Severity.Error, PlaceOf(kind), text, remedy));

        void WarnAuth(string text, string remedy) => findings.Add(new Diagnostic(Severity.Warning, PlaceOf(AuthKind.Xauth), $"connection '{section.Name}': {text}", remedy));

        // RFC 2409 section 5.1, RFC 4754: RSA (PKCS #1 alone), DSS and ECDSA
        void CheckSchemes()
        {
            foreach (var round in Rounds(section))
            {
                if (round.Find("auth") is not { } auth || !AuthConstraints.TryParse(auth.Text, out var words, out _) || words.Ike.IsEmpty) continue;
                if (words.Ike.All(rule => rule.Key is AuthKey.RsaPss or AuthKey.Ed25519 or AuthKey.Ed448)) findings.Add(new Diagnostic(Severity.Error, auth.ValuePosition, $"IKEv1 has no signatures of {auth.Text}", "write rsa, ecdsa or pubkey, or version = 2"));
            }
        }

        void CheckProposals(ImmutableArray<Proposal> all)
        {
            if (all.Length > MostProposals) Error("proposals", $"{all.Length} proposals: an IKEv1 connection has at most {MostProposals}", "remove some");
            foreach (var proposal in all)
            {
                var text = Print(proposal);
                if (proposal.Transforms.FirstOrDefault(transform => transform.Type == TransformType.Encr && (Algorithms.Encr[(EncrId)transform.Id].IsAead || (EncrId)transform.Id == EncrId.AesCtr)) is { Type: TransformType.Encr } aead) Error("proposals", $"'{text}': IKEv1 has no {ProposalKeywords.Word(aead)} for phase 1", "write aes256-sha256-ecp256, for example; esp_proposals may have it");
                else if (proposal.Transforms.FirstOrDefault(transform => transform.Type == TransformType.Ke && !HasNumber(transform)) is { Type: TransformType.Ke } group) Error("proposals", $"'{text}': IKEv1 has no number for {ProposalKeywords.Word(group)}", "write ecp256 or modp2048, for example");
                else if (proposal.Transforms.FirstOrDefault(transform => transform.Type == TransformType.Prf && (PrfId)transform.Id is PrfId.AesXcbc or PrfId.AesCmac) is { Type: TransformType.Prf } prf) Error("proposals", $"'{text}': IKEv1 has no hash {ProposalKeywords.Word(prf)}", "write sha256, for example");
                else if (HashesOf(proposal.Transforms) is var (integ, hash)) Error("proposals", $"'{text}': IKEv1 has one hash for integrity and keys, and {integ} and {hash} are two", $"write {integ} or {hash[3..]}");
                else if (Twice(proposal) is { } kind) Error("proposals", $"'{text}' names several algorithms for {kind}: in IKEv1 each proposal names one of a kind", "write several proposals, separated by commas");
            }

            if (!connection.Aggressive) return;
            // R56: the first message carries the public value already
            var groups = all.Select(proposal => (Text: Print(proposal), Group: proposal.Find(TransformType.Ke))).ToArray();
            if (groups.FirstOrDefault(other => other.Group != groups[0].Group) is { Text: { } second }) Error("proposals", $"aggressive mode cannot negotiate the Diffie-Hellman group, and '{groups[0].Text}' and '{second}' have different ones (RFC 2409 section 5)", "give all proposals one group, or use main mode");
        }

        void Error(string? key, string text, string remedy) => findings.Add(new Diagnostic(Severity.Error, (key is null ? null : section.Find(key)?.ValuePosition) ?? section.Position, text, remedy));

        void Warn(string key, string text, string remedy) => findings.Add(new Diagnostic(Severity.Warning, section.Find(key)?.ValuePosition ?? section.Position, $"connection '{section.Name}': {text}", remedy));
    }

    private static IEnumerable<ConfigSection> Rounds(ConfigSection section) => section.Sections.Where(inner => inner.Name.StartsWith("local", StringComparison.Ordinal) || inner.Name.StartsWith("remote", StringComparison.Ordinal));

    private static bool IsDefault(ConfigSection section, string key) => section.Find(key) is { } setting && setting.Text.Equals("default", StringComparison.OrdinalIgnoreCase);

    private static bool HasNumber(Transform group) => (KeId)group.Id is not (KeId.Curve25519 or KeId.Curve448) && group.Id <= (ushort)KeId.Brainpool512;

    private static bool IsYes(ConfigSection section, string key) => section.Find(key) is { } setting && ValueReader.TryYesNo(setting.Text, out var yes) && yes;

    /// <summary>The value cannot be read: whoever read it has said so.</summary>
    private static bool IsBad(ConfigSection section, Scope scope, string key) => section.Find(key) is { } setting && KeyRegistry.Find(scope, key) is { } info && ValueCheck.Find(info, setting) is not null;

    /// <summary>As it was written: without the hash that goes with the integrity.</summary>
    private static string Print(Proposal proposal) => ProposalKeywords.Print(proposal.Transforms.Any(transform => transform.Type == TransformType.Integ) && HashesOf(proposal.Transforms) is null ? proposal with { Transforms = [.. proposal.Transforms.Where(transform => transform.Type != TransformType.Prf)] } : proposal);

    /// <summary>Integrity and hash that do not go together; null: they do.</summary>
    private static (string Integ, string Hash)? HashesOf(ImmutableArray<Transform> transforms)
    {
        var (integ, hashes) = (transforms.Where(transform => transform.Type == TransformType.Integ).Select(ProposalKeywords.Word).ToArray(), transforms.Where(transform => transform.Type == TransformType.Prf).Select(ProposalKeywords.Word).ToArray());
        return integ.Length == 1 && hashes.Length == 1 && hashes[0] != "prf" + integ[0] ? (integ[0], hashes[0]) : null;
    }

    private static string? Twice(Proposal proposal)
    {
        var twice = new List<string>();
        foreach (var (type, name) in new[] { (TransformType.Encr, "encryption"), (TransformType.Integ, "integrity"), (TransformType.Prf, "the hash"), (TransformType.Ke, "the group") })
        {
            // "none" beside a group says that PFS may be left out
            if (proposal.Transforms.Count(transform => transform.Type == type && transform.Id != 0) > 1) twice.Add(name);
        }

        // the hash goes with the integrity
        if (twice.Contains("integrity")) twice.Remove("the hash");
        return twice.Count == 0 ? null : string.Join(" and ", twice);
    }
}
