using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.Linq;
using Warifu.Crypto;
using Warifu.Policy;
using Warifu.Primitives;

namespace Warifu.App.Configuration;

/// <summary>Rules of IKEv1 connections: at most four proposals with one algorithm of a kind each, no AEAD in phase 1, one group in aggressive mode, and what is known to be weak by design gets a warning.</summary>
internal static class Version1Check
{
    private const int MostProposals = 4;

    /// <summary>The connection with what "default" means in IKEv1.</summary>
    public static Connection Apply(ConfigSection section, Connection connection, List<Diagnostic> findings)
    {
        if (connection.Version != IkeVersion.V1)
        {
            // R61
            foreach (var round in Rounds(section).Where(round => round.Find("auth")?.Text.StartsWith("xauth", StringComparison.Ordinal) == true)) findings.Add(new Diagnostic(Severity.Error, round.Find("auth")!.ValuePosition, "XAuth is of IKEv1", "write version = 1, or auth = psk or pubkey"));
            if (section.Find("pull")?.Text.Equals("no", StringComparison.OrdinalIgnoreCase) == true) Warn("pull", "pull is of IKEv1's Mode Config: it has no effect here", "remove it, or write version = 1");
            if (section.Find("aggressive")?.Text.Equals("yes", StringComparison.OrdinalIgnoreCase) == true) Warn("aggressive", "aggressive mode is of IKEv1: it has no effect here", "remove it, or write version = 1");
            return connection;
        }

        var proposals = section.Find("proposals") is null || IsDefault(section, "proposals") ? ProposalKeywords.DefaultIkeV1 : connection.Proposals;
        CheckProposals(proposals);
        CheckRounds();
        if (connection.PpkId is not null || connection.PpkRequired) Error(connection.PpkRequired ? "ppk_required" : "ppk_id", "post-quantum pre-shared keys are of IKEv2 (RFC 8784)", "remove it, or write version = 2");
        foreach (var round in Rounds(section))
        {
            if (round.Find("auth") is { } auth && auth.Text.StartsWith("eap", StringComparison.Ordinal)) findings.Add(new Diagnostic(Severity.Error, auth.ValuePosition, "EAP is of IKEv2", "write auth = psk, pubkey or xauth"));
        }

        var psk = connection.Local.Kind == AuthKind.Psk;
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
            if (inner.Find(key) is null || IsDefault(inner, key)) return child with { Proposals = child.IsAh ? ProposalKeywords.DefaultAhV1 : ProposalKeywords.DefaultEspV1 };
            foreach (var proposal in child.Proposals)
            {
                if (Twice(proposal) is { } kind) findings.Add(new Diagnostic(Severity.Error, inner.Find(key)!.ValuePosition, $"'{ProposalKeywords.Print(proposal)}' names several algorithms for {kind}: in IKEv1 each proposal names one of a kind", "write several proposals, separated by commas"));
                if (proposal.Transforms.FirstOrDefault(transform => transform.Type == TransformType.Ke && !HasNumber(transform)) is { Type: TransformType.Ke } group) findings.Add(new Diagnostic(Severity.Error, inner.Find(key)!.ValuePosition, $"IKEv1 has no number for {ProposalKeywords.Word(group)}", "write ecp256 or modp2048, for example"));
                if (proposal.Transforms.FirstOrDefault(transform => transform.Type == TransformType.Encr && (EncrId)transform.Id == EncrId.ChaCha20Poly1305) is { Type: TransformType.Encr } chacha) findings.Add(new Diagnostic(Severity.Error, inner.Find(key)!.ValuePosition, $"IKEv1 has no number for {ProposalKeywords.Word(chacha)}", "write aes256gcm16, for example"));
                if (proposal.Transforms.FirstOrDefault(transform => transform.Type == TransformType.Integ && (IntegId)transform.Id == IntegId.AesCmac96) is { Type: TransformType.Integ } mac) findings.Add(new Diagnostic(Severity.Error, inner.Find(key)!.ValuePosition, $"IKEv1 has no number for {ProposalKeywords.Word(mac)}", "write sha256, for example"));
            }

            return child;
        }

        // phase 1 as always, then the password of a user on one side; or hybrid: the user has nothing else, the gateway has a certificate
        void CheckRounds()
        {
            var (local, remote) = (connection.LocalRounds.Prepend(connection.Local).Select(round => round.Kind).ToArray(), connection.RemoteRounds.Prepend(connection.Remote).Select(round => round.Kind).ToArray());
            if (local.Length > 2 || remote.Length > 2 || (local.Length == 2 && local[1] != AuthKind.Xauth) || (remote.Length == 2 && remote[1] != AuthKind.Xauth) || (local.Length == 2 && local[0] == AuthKind.Xauth) || (remote.Length == 2 && remote[0] == AuthKind.Xauth)) Error(null, "IKEv1 has no further authentication rounds but XAuth", "keep one section local and one section remote, and one more with auth = xauth on the side of the users");
            else if (local.Contains(AuthKind.Xauth) && remote.Contains(AuthKind.Xauth)) Error(null, "XAuth is for users: one side of them has it, the other is the gateway", "write auth = xauth in local (we are the user) or in remote (the peers are)");
            else if (local[0] == AuthKind.Xauth != (remote[0] == AuthKind.Xauth) && (local[0] == AuthKind.Xauth ? remote : local)[0] != AuthKind.PublicKey) Error(null, "with XAuth alone (hybrid authentication) the gateway proves itself by a certificate", $"write auth = pubkey in {(local[0] == AuthKind.Xauth ? "remote" : "local")}, or auth = psk on both sides and auth = xauth in a second section");
            else if (local[0] != AuthKind.Xauth && remote[0] != AuthKind.Xauth && local[0] != remote[0]) Error(null, "in IKEv1 both sides authenticate in the same way", "write the same auth in local and remote");
            if (remote.Length == 2 && remote[0] == AuthKind.Psk) Warn("remote_addrs", "whoever knows the pre-shared key can pretend to be this gateway, and gets the passwords of its users", "use certificates, or hybrid authentication: auth = xauth alone in remote, and a certificate in local");
            if (local.Length == 2 && local[0] == AuthKind.Psk) Warn("remote_addrs", "whoever knows the pre-shared key can pretend to be the gateway, and gets the password", "use certificates");
        }

        void CheckProposals(ImmutableArray<Proposal> all)
        {
            if (all.Length > MostProposals) Error("proposals", $"{all.Length} proposals: an IKEv1 connection has at most {MostProposals}", "remove some");
            foreach (var proposal in all)
            {
                var text = ProposalKeywords.Print(proposal);
                if (proposal.Transforms.FirstOrDefault(transform => transform.Type == TransformType.Encr && (Algorithms.Encr[(EncrId)transform.Id].IsAead || (EncrId)transform.Id == EncrId.AesCtr)) is { Type: TransformType.Encr } aead) Error("proposals", $"'{text}': IKEv1 has no {ProposalKeywords.Word(aead)} for phase 1", "write aes256-sha256-ecp256, for example; esp_proposals may have it");
                else if (proposal.Transforms.FirstOrDefault(transform => transform.Type == TransformType.Ke && !HasNumber(transform)) is { Type: TransformType.Ke } group) Error("proposals", $"'{text}': IKEv1 has no number for {ProposalKeywords.Word(group)}", "write ecp256 or modp2048, for example");
                else if (proposal.Transforms.FirstOrDefault(transform => transform.Type == TransformType.Prf && (PrfId)transform.Id is PrfId.AesXcbc or PrfId.AesCmac) is { Type: TransformType.Prf } prf) Error("proposals", $"'{text}': IKEv1 has no hash {ProposalKeywords.Word(prf)}", "write sha256, for example");
                else if (Twice(proposal) is { } kind) Error("proposals", $"'{text}' names several algorithms for {kind}: in IKEv1 each proposal names one of a kind", "write several proposals, separated by commas");
            }

            if (!connection.Aggressive) return;
            // R56: the first message carries the public value already
            var groups = all.Select(proposal => (Text: ProposalKeywords.Print(proposal), Group: proposal.Find(TransformType.Ke))).ToArray();
            if (groups.FirstOrDefault(other => other.Group != groups[0].Group) is { Text: { } second }) Error("proposals", $"aggressive mode cannot negotiate the Diffie-Hellman group, and '{groups[0].Text}' and '{second}' have different ones (RFC 2409 section 5)", "give all proposals one group, or use main mode");
        }

        void Error(string? key, string text, string remedy) => findings.Add(new Diagnostic(Severity.Error, (key is null ? null : section.Find(key)?.ValuePosition) ?? section.Position, text, remedy));

        void Warn(string key, string text, string remedy) => findings.Add(new Diagnostic(Severity.Warning, section.Find(key)?.ValuePosition ?? section.Position, $"connection '{section.Name}': {text}", remedy));
    }

    private static IEnumerable<ConfigSection> Rounds(ConfigSection section) => section.Sections.Where(inner => inner.Name.StartsWith("local", StringComparison.Ordinal) || inner.Name.StartsWith("remote", StringComparison.Ordinal));

    private static bool IsDefault(ConfigSection section, string key) => section.Find(key) is { } setting && setting.Text.Equals("default", StringComparison.OrdinalIgnoreCase);

    private static bool HasNumber(Transform group) => (KeId)group.Id is not (KeId.Curve25519 or KeId.Curve448) && group.Id <= (ushort)KeId.Brainpool512;

    private static string? Twice(Proposal proposal)
    {
        foreach (var (type, name) in new[] { (TransformType.Encr, "encryption"), (TransformType.Integ, "integrity"), (TransformType.Prf, "the hash"), (TransformType.Ke, "the group") })
        {
            // "none" beside a group says that PFS may be left out
            if (proposal.Transforms.Count(transform => transform.Type == type && transform.Id != 0) > 1) return name;
        }

        return null;
    }
}
