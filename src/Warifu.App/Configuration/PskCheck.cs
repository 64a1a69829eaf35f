using System;
using System.Collections.Generic;

namespace Warifu.App.Configuration;

/// <summary>Applies <c>psk_policy</c> to the secrets of a configuration.</summary>
internal static class PskCheck
{
    /// <summary>What holds where the configuration says nothing: strict for files given to us, warn for what swanctl's users bring along.</summary>
    public static PskPolicy DefaultFor(string file) => file.StartsWith("/etc/swanctl/", StringComparison.Ordinal) ? PskPolicy.Warn : PskPolicy.Strict;

    public static void Judge(BuiltConfiguration built, PskPolicy fallback, List<Diagnostic> findings)
    {
        var policy = built.Daemon.PskPolicy ?? fallback;
        foreach (var secret in built.Secrets) Judge(secret, policy, findings);
    }

    /// <summary>One secret.</summary>
    public static void Judge(ConfiguredSecret secret, PskPolicy policy, List<Diagnostic> findings)
    {
        if (secret.Value.Length == 0) findings.Add(new Diagnostic(Severity.Error, secret.Position, $"secret '{secret.Name}' is empty", "write at least 16 characters"));
        if (policy == PskPolicy.Off) return;
    }
}
