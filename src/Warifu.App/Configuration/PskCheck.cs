using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.IO;
using System.Linq;
using System.Text;
using Warifu.Net;
using Warifu.Policy;
using Warifu.Primitives;

namespace Warifu.App.Configuration;

/// <summary>Applies <c>psk_policy</c> to secrets (R133–R138). What it says names the secret and its place, never its value.</summary>
internal static class PskCheck
{
    private const string Remedy = "write 12 or more random letters, digits and symbols, or a key of 16 octets as 0x…; 'psk_policy = warn' lets it pass";

    /// <summary>What holds where the configuration says nothing: strict for files given to us, warn for what swanctl's users bring along.</summary>
    public static PskPolicy DefaultFor(string file) => Path.GetFullPath(file).StartsWith("/etc/swanctl/", StringComparison.Ordinal) ? PskPolicy.Warn : PskPolicy.Strict;

    /// <summary>All secrets of a file, each by the strictest policy of the connections that it may serve, and connections that no secret or key serves.</summary>
    /// <param name="built">The configuration.</param>
    /// <param name="fallback">Where neither connection nor daemon say anything; an included file below /etc/swanctl keeps its own default.</param>
    /// <param name="findings">Findings are added.</param>
    public static void Judge(BuiltConfiguration built, PskPolicy fallback, List<Diagnostic> findings)
    {
        ImmutableArray<ConfiguredSecret> psks = [.. built.Secrets.Where(secret => secret.Kind == SecretKind.Psk)], ppks = [.. built.Secrets.Where(secret => secret.IsPpk)];
        var index = new PskIndex(psks.Select((secret, i) => new PskEntry(new SecretRef(i + 1), secret.Name, secret.Owners)));
        var own = PoliciesOf(built, psks, fallback, index);
        for (var i = 0; i < psks.Length; i++) Judge(psks[i], own[i], built.Daemon.Words, findings);
        foreach (var ppk in ppks) JudgePpk(ppk, findings);
        ImmutableArray<ConfiguredSecret> passwords = [.. built.Secrets.Where(secret => secret.Kind == SecretKind.Password)];
        foreach (var password in passwords) JudgePassword(password, findings);
        FindSameOwners(psks, findings);
        foreach (var connection in built.Policy.Connections)
        {
            var position = built.PositionOf(connection.Name);
            if (UsesPsk(connection) && !Serving(connection, index).Any()) findings.Add(new Diagnostic(Severity.Warning, position, $"no secret in this configuration is for connection '{connection.Name}'", "add one to 'secrets' whose ids hold the peer's identity, or load it by other means"));
            FindPasswords(connection, passwords, position, findings);
            if (connection.PpkId is { } name && !ppks.Any(ppk => ppk.Owners.IsEmpty || ppk.Owners.Any(owner => owner.Matches(name)))) findings.Add(new Diagnostic(Severity.Warning, position, $"no secret in this configuration is the post-quantum pre-shared key '{Identities.Print(name)}' of connection '{connection.Name}'", "add one 'ppk… { id = NAME; secret = … }' to 'secrets', or load it by other means"));
        }
    }

    /// <summary>Some round of the connection is by pre-shared key.</summary>
    public static bool UsesPsk(Connection connection) => connection.Local.Kind == AuthKind.Psk || connection.Remote.Kind == AuthKind.Psk || connection.LocalRounds.Any(round => round.Kind == AuthKind.Psk) || connection.RemoteRounds.Any(round => round.Kind == AuthKind.Psk);

    /// <summary>A post-quantum pre-shared key: RFC 8784 section 6 asks for 256 bits of entropy, which a text of fewer than 32 octets never has.</summary>
    public static void JudgePpk(ConfiguredSecret ppk, List<Diagnostic> findings)
    {
        if (ppk.Value.Length == 0) findings.Add(new Diagnostic(Severity.Error, ppk.Position, $"secret '{ppk.Name}' is empty", "write 32 random octets as 0x… or 0s…"));
        else if (ppk.Value.Length < 32) findings.Add(new Diagnostic(Severity.Warning, ppk.Position, $"the post-quantum pre-shared key '{ppk.Name}' has {ppk.Value.Length} octets", "RFC 8784 asks for 256 bits of entropy: write 32 random octets as 0x… or 0s…"));
    }

    /// <summary>The password of a user: how good it is is its user's matter.</summary>
    public static void JudgePassword(ConfiguredSecret password, List<Diagnostic> findings)
    {
        if (password.Value.Length == 0) findings.Add(new Diagnostic(Severity.Error, password.Position, $"secret '{password.Name}' is empty", "write the user's password"));
        else if (password.Owners.IsEmpty) findings.Add(new Diagnostic(Severity.Warning, password.Position, $"secret '{password.Name}' names no user: it is the password of everybody", "add 'id = USER'"));
    }

    private static void FindPasswords(Connection connection, ImmutableArray<ConfiguredSecret> passwords, SourcePosition position, List<Diagnostic> findings)
    {
        var hasUsers = connection.Remote.Kind == AuthKind.Xauth || connection.RemoteRounds.Any(round => round.Kind == AuthKind.Xauth);
        if (hasUsers && passwords.IsEmpty) findings.Add(new Diagnostic(Severity.Warning, position, $"no user of this configuration may use connection '{connection.Name}'", "add 'xauth-NAME { id = USER; secret = … }' to 'secrets', or load it by other means"));
        var own = connection.LocalRounds.Prepend(connection.Local).FirstOrDefault(round => round.Kind == AuthKind.Xauth);
        if (own is null || (own.XauthId ?? own.Id ?? connection.Local.Id) is not { } id || UserNames.IdentityOf(UserNames.OctetsOf(id).AsSpan()) is not { } user) return;
        if (!passwords.Any(password => password.Owners.IsEmpty || password.Owners.Any(owner => UserNames.PatternOf(owner).Matches(user)))) findings.Add(new Diagnostic(Severity.Warning, position, $"no secret in this configuration is the password of user '{Identities.Print(user)}' of connection '{connection.Name}'", "add 'xauth-NAME { id = USER; secret = … }' to 'secrets', or load it by other means"));
    }

    /// <summary>One secret.</summary>
    public static void Judge(ConfiguredSecret secret, PskPolicy policy, PskDictionary words, List<Diagnostic> findings) => Judge(secret.Name, secret.Value, secret.IsKey, secret.Position, policy, words, findings);

    /// <summary>One secret, wherever it is kept.</summary>
    public static void Judge(string name, ReadOnlySpan<byte> value, bool isKey, SourcePosition position, PskPolicy policy, PskDictionary words, List<Diagnostic> findings)
    {
        if (value.IsEmpty)
        {
            findings.Add(new Diagnostic(Severity.Error, position, $"secret '{name}' is empty", "write 12 or more random letters, digits and symbols"));
            return;
        }

        if (policy == PskPolicy.Off) return;
        // a client that decoded 0x… itself hands us octets: the rules are for text
        if (isKey || !IsText(value))
        {
            if (value.Length < 16) findings.Add(new Diagnostic(Severity.Warning, position, $"secret '{name}' is a key of {value.Length} octets", "use at least 16 random octets"));
            return;
        }

        var faults = PskRules.Examine(value, words);
        var refusals = Refusals(faults).ToList();
        if (refusals.Count > 0)
        {
            var severity = policy == PskPolicy.Strict ? Severity.Error : Severity.Warning;
            findings.Add(new Diagnostic(severity, position, $"secret '{name}' {string.Join(", ", refusals)}", Remedy));
        }

        if (faults.HasFlag(PskFaults.Brief)) findings.Add(new Diagnostic(Severity.Warning, position, $"secret '{name}' has fewer than 12 characters", "12 or more are recommended"));
    }

    private static IEnumerable<string> Refusals(PskFaults faults)
    {
        if (faults.HasFlag(PskFaults.Short)) yield return "has fewer than 8 characters";
        if (faults.HasFlag(PskFaults.NoLetter)) yield return "has no letter";
        if (faults.HasFlag(PskFaults.NoDigit)) yield return "has no digit";
        if (faults.HasFlag(PskFaults.NoSymbol)) yield return "has no character beside letters and digits";
        if (faults.HasFlag(PskFaults.Words)) yield return "is made of dictionary words";
    }

    /// <summary>For each secret the strictest policy of the connections that it may serve; the daemon's when it serves none.</summary>
    private static PskPolicy[] PoliciesOf(BuiltConfiguration built, ImmutableArray<ConfiguredSecret> psks, PskPolicy fallback, PskIndex index)
    {
        var standard = psks.Select(secret => built.Daemon.PskPolicy ?? (DefaultFor(secret.Position.File) == PskPolicy.Warn ? PskPolicy.Warn : fallback)).ToArray();
        if (built.PskPolicies.IsEmpty) return standard;
        var strictest = new PskPolicy?[standard.Length];
        foreach (var connection in built.Policy.Connections)
        {
            foreach (var i in Serving(connection, index).Select(entry => entry.Secret.Id - 1))
            {
                var policy = built.PskPolicies.GetValueOrDefault(connection.Name, standard[i]);
                if (strictest[i] is not { } known || policy < known) strictest[i] = policy;
            }
        }

        return [.. standard.Select((policy, i) => strictest[i] ?? policy)];
    }

    /// <summary>True when the connection may use the secret.</summary>
    public static bool Serves(ConfiguredSecret secret, Connection connection) => Serving(connection, new PskIndex([new PskEntry(new SecretRef(1), secret.Name, secret.Owners)])).Any();

    /// <summary>The secrets that the connection's peer may be an owner of.</summary>
    public static IEnumerable<PskEntry> Serving(Connection connection, PskIndex index)
    {
        var remote = connection.Remote.Id;
        if (remote.Exact is { } peer) return index.Serving(peer);
        return index.Entries.Where(entry => entry.Owners.IsEmpty || entry.Owners.Any(owner => owner.Exact is not { } name || remote.Matches(name)));
    }

    private static void FindSameOwners(ImmutableArray<ConfiguredSecret> secrets, List<Diagnostic> findings)
    {
        foreach (var group in secrets.GroupBy(secret => string.Join('\n', secret.Owners.Select(owner => owner.Text).Order(StringComparer.Ordinal)), StringComparer.Ordinal))
        {
            // the lookup takes the first name in alphabetical order
            var ordered = group.OrderBy(secret => secret.Name, StringComparer.Ordinal).ToList();
            foreach (var other in ordered.Skip(1)) findings.Add(new Diagnostic(Severity.Warning, other.Position, $"secret '{other.Name}' has the owners of '{ordered[0].Name}' and is never used", "give each secret the ids of its own peer"));
        }
    }

    private static bool IsText(ReadOnlySpan<byte> value)
    {
        while (!value.IsEmpty)
        {
            if (Rune.DecodeFromUtf8(value, out var rune, out var used) != System.Buffers.OperationStatus.Done || Rune.IsControl(rune)) return false;
            value = value[used..];
        }

        return true;
    }
}
