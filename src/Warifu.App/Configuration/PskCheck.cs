using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.IO;
using System.Linq;
using System.Text;
using Warifu.Policy;

namespace Warifu.App.Configuration;

/// <summary>Applies <c>psk_policy</c> to secrets (R133–R138). What it says names the secret and its place, never its value.</summary>
internal static class PskCheck
{
    private const string Remedy = "write 12 or more random letters, digits and symbols, or a key of 16 octets as 0x…; 'psk_policy = warn' lets it pass";

    /// <summary>What holds where the configuration says nothing: strict for files given to us, warn for what swanctl's users bring along.</summary>
    public static PskPolicy DefaultFor(string file) => Path.GetFullPath(file).StartsWith("/etc/swanctl/", StringComparison.Ordinal) ? PskPolicy.Warn : PskPolicy.Strict;

    /// <summary>All secrets of a file, each by the strictest policy of the connections that it may serve, and connections that no secret serves.</summary>
    /// <param name="built">The configuration.</param>
    /// <param name="fallback">Where neither connection nor daemon say anything; an included file below /etc/swanctl keeps its own default.</param>
    /// <param name="findings">Findings are added.</param>
    public static void Judge(BuiltConfiguration built, PskPolicy fallback, List<Diagnostic> findings)
    {
        foreach (var secret in built.Secrets)
        {
            var policy = built.Daemon.PskPolicy ?? (DefaultFor(secret.Position.File) == PskPolicy.Warn ? PskPolicy.Warn : fallback);
            Judge(secret, PolicyOf(secret, policy, built), built.Daemon.Words, findings);
        }

        FindSameOwners(built.Secrets, findings);
        foreach (var connection in built.Policy.Connections)
        {
            if (connection.Local.Kind != AuthKind.Psk || built.Secrets.Any(secret => MayServe(secret, connection))) continue;
            findings.Add(new Diagnostic(Severity.Warning, built.PositionOf(connection.Name), $"no secret in this configuration is for connection '{connection.Name}'", "add one to 'secrets' whose ids hold the peer's identity, or load it by other means"));
        }
    }

    /// <summary>One secret.</summary>
    public static void Judge(ConfiguredSecret secret, PskPolicy policy, PskDictionary words, List<Diagnostic> findings)
    {
        if (secret.Value.Length == 0)
        {
            findings.Add(new Diagnostic(Severity.Error, secret.Position, $"secret '{secret.Name}' is empty", "write 12 or more random letters, digits and symbols"));
            return;
        }

        if (policy == PskPolicy.Off) return;
        // a client that decoded 0x… itself hands us octets: the rules are for text
        if (secret.IsKey || !IsText(secret.Value))
        {
            if (secret.Value.Length < 16) findings.Add(new Diagnostic(Severity.Warning, secret.Position, $"secret '{secret.Name}' is a key of {secret.Value.Length} octets", "use at least 16 random octets"));
            return;
        }

        var faults = PskRules.Examine(secret.Value, words);
        var refusals = Refusals(faults).ToList();
        if (refusals.Count > 0)
        {
            var severity = policy == PskPolicy.Strict ? Severity.Error : Severity.Warning;
            findings.Add(new Diagnostic(severity, secret.Position, $"secret '{secret.Name}' {string.Join(", ", refusals)}", Remedy));
        }

        if (faults.HasFlag(PskFaults.Brief)) findings.Add(new Diagnostic(Severity.Warning, secret.Position, $"secret '{secret.Name}' has fewer than 12 characters", "12 or more are recommended"));
    }

    private static IEnumerable<string> Refusals(PskFaults faults)
    {
        if (faults.HasFlag(PskFaults.Short)) yield return "has fewer than 8 characters";
        if (faults.HasFlag(PskFaults.NoLetter)) yield return "has no letter";
        if (faults.HasFlag(PskFaults.NoDigit)) yield return "has no digit";
        if (faults.HasFlag(PskFaults.NoSymbol)) yield return "has no character beside letters and digits";
        if (faults.HasFlag(PskFaults.Words)) yield return "is made of dictionary words";
    }

    private static PskPolicy PolicyOf(ConfiguredSecret secret, PskPolicy policy, BuiltConfiguration built)
    {
        if (built.PskPolicies.IsEmpty) return policy;
        var strictest = (PskPolicy?)null;
        foreach (var connection in built.Policy.Connections)
        {
            if (!MayServe(secret, connection)) continue;
            var own = built.PskPolicies.GetValueOrDefault(connection.Name, policy);
            if (strictest is null || own < strictest) strictest = own;
        }

        return strictest ?? policy;
    }

    /// <summary>True when the connection's peer may be an owner of the secret.</summary>
    private static bool MayServe(ConfiguredSecret secret, Connection connection)
    {
        if (secret.Owners.IsEmpty) return true;
        var remote = connection.Remote.Id;
        if (remote.Exact is { } peer) return secret.Owners.Any(owner => owner.Matches(peer));
        return secret.Owners.Any(owner => owner.Exact is not { } name || remote.Matches(name));
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
