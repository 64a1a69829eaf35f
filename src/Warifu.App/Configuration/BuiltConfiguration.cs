using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.Security.Cryptography;
using Warifu.Net;
using Warifu.Policy;
using Warifu.Primitives;

namespace Warifu.App.Configuration;

/// <summary>A configuration as the daemon uses it.</summary>
/// <param name="Policy">Connections that can be served.</param>
/// <param name="Daemon">Settings of the daemon.</param>
/// <param name="Secrets">Secrets; their values are the caller's to erase.</param>
/// <param name="LeftOut">Connections with errors or limits, and why.</param>
internal sealed record BuiltConfiguration(PolicySet Policy, DaemonSettings Daemon, ImmutableArray<ConfiguredSecret> Secrets, ImmutableArray<LeftOutConnection> LeftOut)
{
    /// <summary><c>psk_policy</c> of the connections that have their own.</summary>
    public ImmutableDictionary<string, PskPolicy> PskPolicies { get; init; } = ImmutableDictionary<string, PskPolicy>.Empty;

    /// <summary>Where connections stand.</summary>
    public ImmutableDictionary<string, SourcePosition> Positions { get; init; } = ImmutableDictionary<string, SourcePosition>.Empty;

    /// <summary>CAs with where to ask about what they issued.</summary>
    public ImmutableArray<Authority> Authorities { get; init; } = [];

    /// <summary>Names of all pools that stand there, also of those with errors.</summary>
    public ImmutableHashSet<string> PoolNames { get; init; } = [];

    /// <summary>Certificates that stood in the files of a connection's own ones.</summary>
    public ImmutableDictionary<string, ImmutableArray<ImmutableArray<byte>>> Chains { get; init; } = ImmutableDictionary<string, ImmutableArray<ImmutableArray<byte>>>.Empty;

    /// <summary>Certificates and private keys; whoever loads the configuration takes the keys.</summary>
    public Credentials Credentials { get; init; } = Credentials.None;

    public SourcePosition PositionOf(string connection) => Positions.GetValueOrDefault(connection);

    /// <summary>Zeroes the secrets, for a configuration that is not loaded.</summary>
    public void Erase()
    {
        foreach (var secret in Secrets) CryptographicOperations.ZeroMemory(secret.Value);
        Credentials.Erase();
        foreach (var keys in ManualKeys.Values) keys.Dispose();
    }

    /// <summary>Keys of the manual SAs by their names; whoever loads the configuration takes them.</summary>
    public ImmutableDictionary<string, Secret> ManualKeys { get; init; } = ImmutableDictionary<string, Secret>.Empty;

    /// <summary>Where the settings of each connection stand, by its name.</summary>
    public IReadOnlyDictionary<string, SettingPlaces> Places { get; init; } = ImmutableDictionary<string, SettingPlaces>.Empty;
}

/// <summary>A connection that cannot be served.</summary>
internal sealed record LeftOutConnection(string Name, string Why);

/// <summary>A secret with its owners (none = any pair).</summary>
internal sealed record ConfiguredSecret(string Name, byte[] Value, bool IsKey, ImmutableArray<IdentityPattern> Owners, SourcePosition Position)
{
    /// <summary>A post-quantum pre-shared key (RFC 8784) has names in the place of owners, a password users.</summary>
    public SecretKind Kind { get; init; }

    public bool IsPpk => Kind == SecretKind.Ppk;
}

/// <summary>How pre-shared keys are judged, the strictest first.</summary>
internal enum PskPolicy
{
    Strict,
    Warn,
    Off,
}

/// <summary>Section <c>daemon</c>.</summary>
internal sealed record DaemonSettings
{
    public ushort Port { get; init; } = 500;

    public ushort PortNatT { get; init; } = 4500;

    public ImmutableArray<string> Sockets { get; init; } = [];

    /// <summary>auto, tun, xfrm or none.</summary>
    public string DataPlane { get; init; } = "auto";

    public PskPolicy? PskPolicy { get; init; }

    public string? PskWords { get; init; }

    /// <summary>The built-in words and those of <see cref="PskWords"/>.</summary>
    public PskDictionary Words { get; init; } = PskDictionary.BuiltIn;

    public int CookieThreshold { get; init; } = 30;

    public int HalfOpenLimit { get; init; } = 1000;

    public TimeSpan HalfOpenTimeout { get; init; } = TimeSpan.FromSeconds(30);

    public int HalfOpenPerPrefix { get; init; } = 20;

    public int IdentityLimit { get; init; } = 1024;

    public TimeSpan RetransmitTimeout { get; init; } = TimeSpan.FromSeconds(1);

    public int RetransmitTries { get; init; } = 6;

    public TimeSpan KeepAlive { get; init; } = TimeSpan.FromSeconds(20);

    public uint FirewallMark { get; init; } = 0x57;

    public uint Table { get; init; } = 8757;

    /// <summary>Certificates by hash and URL are fetched; also from private networks.</summary>
    public bool HashAndUrl { get; init; }

    public bool HashAndUrlPrivate { get; init; }

    /// <summary>What survives a restart. A service manager may say where.</summary>
    public string StateDirectory { get; init; } = Environment.GetEnvironmentVariable("STATE_DIRECTORY") is { Length: > 0 } given ? given : "/var/lib/warifu";

    /// <summary>Re-authentication makes the new IKE SA before it deletes the old one.</summary>
    public bool MakeBeforeBreak { get; init; } = true;

    /// <summary>Quick crash detection (RFC 6290).</summary>
    public bool CrashDetection { get; init; } = true;

    public string? KeyLog { get; init; }
}
