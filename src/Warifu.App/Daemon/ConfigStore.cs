using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.Linq;
using System.Security.Cryptography;
using System.Threading;
using System.Threading.Tasks;
using Warifu.App.Configuration;
using Warifu.Crypto.Signatures;
using Warifu.Engine;
using Warifu.Net;
using Warifu.Policy;

namespace Warifu.App.Daemon;

/// <summary>What is loaded: connections by name in their order, those that were left out and why, secrets, and where all that stands in files. Changes are applied to the node as a whole, one after the other.</summary>
internal sealed class ConfigStore(SecretStore secrets) : IDisposable
{
    private readonly SemaphoreSlim _gate = new(1);
    private readonly Lock _keyGate = new();
    private Loaded _loaded = Loaded.Empty;
    private Unconfirmed? _unconfirmed;

    public ImmutableList<Connection> Connections => _loaded.Connections;

    public ImmutableList<LeftOutConnection> LeftOut => _loaded.LeftOut;

    public SecretStore Secrets => secrets;

    /// <summary>Certificates, CRLs and public keys that were loaded by themselves.</summary>
    public ImmutableList<LoadedCertificate> Certificates => _loaded.Certificates;

    public ImmutableList<Authority> Authorities => _loaded.Authorities;

    public ImmutableList<Pool> Pools => _loaded.Pools;

    /// <summary>What the engine has.</summary>
    public PolicySet Policy => _loaded.Policy;

    /// <summary>True while a change waits to be confirmed.</summary>
    public bool IsUnconfirmed => _unconfirmed is not null;

    public Connection? Find(string name) => _loaded.Connections.Find(connection => connection.Name == name);

    /// <summary>Settings that a text names by their paths, and where they stand.</summary>
    public IEnumerable<NamedSetting> Named(string text)
    {
        var loaded = _loaded;
        return loaded.Places.Concat(loaded.Secrets.Select(secret => KeyValuePair.Create(secret.Key, secret.Value.Places))).Where(entry => text.Contains(entry.Key, StringComparison.Ordinal)).SelectMany(entry => entry.Value.Named(text)).DistinctBy(setting => setting.Path);
    }

    /// <summary>Replaces everything. Returns what changed, a line each.</summary>
    /// <param name="built">The new configuration, without errors.</param>
    /// <param name="node">The node that takes it.</param>
    /// <param name="confirmWithin">Unless it is confirmed in this time, what was there before comes back; null = final.</param>
    /// <param name="onRollback">Told when it comes back.</param>
    public async Task<ImmutableArray<string>> ReplaceAsync(BuiltConfiguration built, IkeNode node, TimeSpan? confirmWithin = null, Action<ImmutableArray<string>>? onRollback = null)
    {
        await _gate.WaitAsync();
        try
        {
            var changes = Compare(built);
            // a further trial keeps what the first one kept
            var kept = confirmWithin is null ? null : _unconfirmed ?? new Unconfirmed(_loaded, secrets.Keep());
            if (kept is null) _unconfirmed?.Dispose();
            else kept.Restart(confirmWithin!.Value, () => _ = RollBackAsync(node, onRollback));
            _unconfirmed = kept;
            var wanted = built.Secrets.Select(secret => secret.Name).ToHashSet(StringComparer.Ordinal);
            foreach (var name in secrets.Names)
            {
                if (!wanted.Contains(name)) secrets.Remove(name);
            }

            foreach (var secret in built.Secrets) Set(secret);
            _loaded = new Loaded
            {
                Connections = [.. built.Policy.Connections],
                LeftOut = [.. built.LeftOut],
                PskPolicies = built.PskPolicies,
                Places = built.Places.ToImmutableDictionary(),
                Secrets = built.Secrets.ToImmutableDictionary(secret => secret.Name, secret => new LoadedSecret(secret)),
                Keys = SetKeys(built.Credentials.Keys),
                Certificates = [.. built.Credentials.Certificates],
                Authorities = [.. built.Authorities],
                Pools = [.. built.Policy.Pools],
                Manual = SetManual(built),
                Chains = built.Chains,
            };
            await node.LoadAsync(_loaded.Policy);
            return changes;
        }
        finally
        {
            _gate.Release();
        }
    }

    /// <summary>What <see cref="ReplaceAsync"/> would change, a line each.</summary>
    public ImmutableArray<string> Compare(BuiltConfiguration built)
    {
        var loaded = _loaded;
        var certificates = built.Credentials.Certificates.ToHashSet();
        var keys = built.Credentials.Keys.Select(key => IdOf(key.Key)).ToHashSet(StringComparer.Ordinal);
        return
        [
            .. Compare(loaded.Connections, built.Policy.Connections),
            .. CompareParts(loaded, built.Authorities, built.Policy.Pools),
            .. CompareNamed("manual SA", loaded.Manual, built.Policy.Manual, manual => manual.Name, (left, right) => left.Same(right with { Keys = left.Keys }) && secrets.IsManual(right.Name, built.ManualKeys[right.Name].Span)),
            .. certificates.SetEquals(loaded.Certificates) ? [] : new[] { "~ certificates" },
            .. keys.SetEquals(loaded.Keys.Keys) ? [] : new[] { "~ private keys" },
        ];
    }

    /// <summary>The last change stays. False when none waits.</summary>
    public async Task<bool> ConfirmAsync()
    {
        await _gate.WaitAsync();
        try
        {
            if (_unconfirmed is null) return false;
            _unconfirmed.Dispose();
            _unconfirmed = null;
            return true;
        }
        finally
        {
            _gate.Release();
        }
    }

    /// <summary>What was there before the unconfirmed change comes back. False when none waits.</summary>
    public async Task<bool> RollBackAsync(IkeNode node, Action<ImmutableArray<string>>? onRollback)
    {
        ImmutableArray<string> changes;
        await _gate.WaitAsync();
        try
        {
            if (_unconfirmed is not { } kept) return false;
            _unconfirmed = null;
            var (tried, before) = (_loaded, kept.Before);
            secrets.Restore(kept.Secrets);
            kept.Dispose();
            // keys that came back may have another handle
            _loaded = before with { Manual = [.. before.Manual.Select(manual => manual with { Keys = secrets.FindManual(manual.Name) })] };
            changes =
            [
                .. Compare(tried.Connections, [.. before.Connections]),
                .. CompareParts(tried, before.Authorities, before.Pools),
                .. CompareNamed("manual SA", tried.Manual, _loaded.Manual, manual => manual.Name, (left, right) => left.Same(right)),
            ];
            await node.LoadAsync(_loaded.Policy);
        }
        finally
        {
            _gate.Release();
        }

        onRollback?.Invoke(changes);
        return true;
    }

    /// <summary>Adds or replaces one connection.</summary>
    public Task PutAsync(Connection connection, ImmutableArray<ImmutableArray<byte>> chains, PskPolicy? pskPolicy, SettingPlaces places, IkeNode node) => ChangeAsync(node, loaded => loaded with
    {
        Chains = chains.IsEmpty ? loaded.Chains.Remove(connection.Name) : loaded.Chains.SetItem(connection.Name, chains),
        PskPolicies = pskPolicy is { } policy ? loaded.PskPolicies.SetItem(connection.Name, policy) : loaded.PskPolicies.Remove(connection.Name),
        Connections = loaded.Connections.FindIndex(known => known.Name == connection.Name) is var at and >= 0 ? loaded.Connections.SetItem(at, connection) : loaded.Connections.Add(connection),
        LeftOut = loaded.LeftOut.RemoveAll(left => left.Name == connection.Name),
        Places = loaded.Places.SetItem(connection.Name, places),
    });

    /// <summary>Removes one connection; false when there is none of that name.</summary>
    public async Task<bool> RemoveAsync(string name, IkeNode node)
    {
        if (Find(name) is null) return false;
        await ChangeAsync(node, loaded => loaded with { Connections = loaded.Connections.RemoveAll(connection => connection.Name == name), Places = loaded.Places.Remove(name), PskPolicies = loaded.PskPolicies.Remove(name), Chains = loaded.Chains.Remove(name) });
        return true;
    }

    /// <summary>Adds or replaces a secret and erases the value that was given.</summary>
    public void Add(ConfiguredSecret secret)
    {
        Set(secret);
        Update(loaded => loaded with { Secrets = loaded.Secrets.SetItem(secret.Name, new LoadedSecret(secret)) });
    }

    /// <summary>The rules for a pre-shared key that is loaded alone: the strictest of the connections that it may serve, as for one in a file.</summary>
    public PskPolicy PolicyOf(ConfiguredSecret secret, PskPolicy standard)
    {
        var loaded = _loaded;
        if (loaded.PskPolicies.IsEmpty) return standard;
        var policies = loaded.Connections.Where(connection => PskCheck.Serves(secret, connection)).Select(connection => loaded.PskPolicies.GetValueOrDefault(connection.Name, standard)).ToList();
        return policies.Count > 0 ? policies.Min() : standard;
    }

    /// <summary>Judges the loaded pre-shared keys that a connection may use by the rules of that connection.</summary>
    public void Judge(Connection connection, PskPolicy policy, PskDictionary words, List<Diagnostic> findings)
    {
        foreach (var entry in PskCheck.Serving(connection, secrets.Index()))
        {
            var known = _loaded.Secrets.GetValueOrDefault(entry.Name);
            secrets.TryUse(entry.Secret, value => PskCheck.Judge(entry.Name, value.Span, known?.IsKey ?? false, known?.Position ?? new SourcePosition("vici", 0, 0), policy, words, findings));
        }
    }

    /// <summary>Adds certificates.</summary>
    public Task AddAsync(IReadOnlyCollection<LoadedCertificate> certificates, IkeNode node) => ChangeAsync(node, loaded => loaded with { Certificates = loaded.Certificates.AddRange(certificates.Where(one => !loaded.Certificates.Contains(one))) });

    /// <summary>Adds or replaces a CA, by its name.</summary>
    public Task PutAsync(Authority authority, IkeNode node) => ChangeAsync(node, loaded => loaded with { Authorities = Put(loaded.Authorities, authority, known => known.Name == authority.Name) });

    /// <summary>Removes a CA; false when there is none of that name.</summary>
    public async Task<bool> RemoveAuthorityAsync(string name, IkeNode node)
    {
        if (!_loaded.Authorities.Exists(authority => authority.Name == name)) return false;
        await ChangeAsync(node, loaded => loaded with { Authorities = loaded.Authorities.RemoveAll(authority => authority.Name == name) });
        return true;
    }

    /// <summary>Adds or replaces a pool, by its name.</summary>
    public Task PutAsync(Pool pool, IkeNode node) => ChangeAsync(node, loaded => loaded with { Pools = Put(loaded.Pools, pool, known => known.Name == pool.Name) });

    /// <summary>Removes a pool; false when there is none of that name.</summary>
    public async Task<bool> RemovePoolAsync(string name, IkeNode node)
    {
        if (!_loaded.Pools.Exists(pool => pool.Name == name)) return false;
        await ChangeAsync(node, loaded => loaded with { Pools = loaded.Pools.RemoveAll(pool => pool.Name == name) });
        return true;
    }

    /// <summary>Adds a private key, which the store owns from here on, and returns its id.</summary>
    public string Add(string name, PrivateKey key)
    {
        var id = IdOf(key);
        lock (_keyGate)
        {
            Update(loaded => loaded with { Keys = loaded.Keys.SetItem(id, name) });
            secrets.AddKey(id, key);
        }

        return id;
    }

    /// <summary>Removes a private key; false when there is none of that id.</summary>
    public bool RemoveKey(string id)
    {
        lock (_keyGate)
        {
            Update(loaded => loaded with { Keys = loaded.Keys.Remove(id) });
            return secrets.RemoveKey(id);
        }
    }

    /// <summary>Forgets all secrets, keys and certificates; connections, authorities and pools stay.</summary>
    public Task ClearCredentialsAsync(IkeNode node)
    {
        secrets.ClearCredentials();
        return ChangeAsync(node, loaded => loaded with { Certificates = [], Keys = loaded.Keys.Clear(), Secrets = loaded.Secrets.Clear() });
    }

    public void Dispose()
    {
        _unconfirmed?.Dispose();
        _gate.Dispose();
    }

    /// <summary>Exactly these manual SAs from now on; their keys go to the store.</summary>
    private ImmutableList<ManualSa> SetManual(BuiltConfiguration built)
    {
        secrets.KeepManual(built.Policy.Manual.Select(manual => manual.Name));
        return [.. built.Policy.Manual.Select(manual =>
        {
            using var keys = built.ManualKeys[manual.Name];
            return manual with { Keys = secrets.SetManual(manual.Name, keys.Span) };
        })];
    }

    private void Update(Func<Loaded, Loaded> change)
    {
        lock (_keyGate) _loaded = change(_loaded);
    }

    private void Set(ConfiguredSecret secret)
    {
        if (secret.IsPpk) secrets.SetPpk(secret.Name, secret.Value, [.. secret.Owners]);
        else if (secret.Kind == SecretKind.Password) secrets.SetPassword(secret.Name, secret.Value, [.. secret.Owners]);
        else secrets.SetPsk(secret.Name, secret.Value, [.. secret.Owners]);
        CryptographicOperations.ZeroMemory(secret.Value);
    }

    /// <summary>Exactly these private keys from now on; those that were there stay as they are.</summary>
    private ImmutableDictionary<string, string> SetKeys(ImmutableArray<(string Name, PrivateKey Key)> keys)
    {
        lock (_keyGate)
        {
            var wanted = ImmutableDictionary.CreateBuilder<string, string>(StringComparer.Ordinal);
            foreach (var (name, key) in keys)
            {
                var id = IdOf(key);
                wanted[id] = name;
                secrets.AddKey(id, key);
            }

            foreach (var id in secrets.KeyIds.Where(id => !wanted.ContainsKey(id))) secrets.RemoveKey(id);
            return wanted.ToImmutable();
        }
    }

    private static string IdOf(PrivateKey key) => Convert.ToHexStringLower(key.Public.KeyId.Span);

    private static ImmutableList<T> Put<T>(ImmutableList<T> list, T item, Predicate<T> same) => list.FindIndex(same) is var at and >= 0 ? list.SetItem(at, item) : list.Add(item);

    private async Task ChangeAsync(IkeNode node, Func<Loaded, Loaded> change)
    {
        await _gate.WaitAsync();
        try
        {
            Update(change);
            await node.LoadAsync(_loaded.Policy);
        }
        finally
        {
            _gate.Release();
        }
    }

    private static ImmutableArray<string> Compare(IReadOnlyList<Connection> before, ImmutableArray<Connection> after)
    {
        var lines = ImmutableArray.CreateBuilder<string>();
        var (old, now) = (before.ToDictionary(connection => connection.Name), after.Select(connection => connection.Name).ToHashSet(StringComparer.Ordinal));
        foreach (var connection in after)
        {
            if (!old.TryGetValue(connection.Name, out var was)) lines.Add($"+ connection {connection.Name}");
            else if (!PolicyDiff.SameButChildren(was, connection)) lines.Add($"~ connection {connection.Name}");
            else lines.AddRange(CompareChildren(was, connection));
        }

        foreach (var connection in before)
        {
            if (!now.Contains(connection.Name)) lines.Add($"- connection {connection.Name}");
        }

        return lines.ToImmutable();
    }

    private static IEnumerable<string> CompareChildren(Connection before, Connection after)
    {
        foreach (var child in after.Children)
        {
            var was = before.Children.FirstOrDefault(known => known.Name == child.Name);
            if (was is null) yield return $"+ child {child.Name} of {after.Name}";
            else if (!PolicyDiff.Same(was, child)) yield return $"~ child {child.Name} of {after.Name}";
        }

        foreach (var child in before.Children.Where(child => !after.Children.Any(other => other.Name == child.Name))) yield return $"- child {child.Name} of {after.Name}";
    }

    private static IEnumerable<string> CompareNamed<T>(string what, IReadOnlyCollection<T> before, IReadOnlyCollection<T> after, Func<T, string> name, Func<T, T, bool> same)
    {
        foreach (var one in after)
        {
            if (before.FirstOrDefault(known => name(known) == name(one)) is not { } was) yield return $"+ {what} {name(one)}";
            else if (!same(was, one)) yield return $"~ {what} {name(one)}";
        }

        foreach (var one in before.Where(known => !after.Any(other => name(other) == name(known)))) yield return $"- {what} {name(one)}";
    }

    private static IEnumerable<string> CompareParts(Loaded before, IReadOnlyCollection<Authority> authorities, IReadOnlyCollection<Pool> pools) =>
        [.. CompareNamed("authority", before.Authorities, authorities, authority => authority.Name, SameAuthority), .. CompareNamed("pool", before.Pools, pools, pool => pool.Name, SamePool)];

    private static bool SameAuthority(Authority left, Authority right) =>
        left.Certificate.AsSpan().SequenceEqual(right.Certificate.AsSpan()) && left.CrlUris.SequenceEqual(right.CrlUris) && left.OcspUris.SequenceEqual(right.OcspUris) && left.CertUriBase == right.CertUriBase;

    private static bool SamePool(Pool left, Pool right) => left.Addresses.SequenceEqual(right.Addresses) && left.Attributes.SequenceEqual(right.Attributes) && left.Static.SequenceEqual(right.Static);

    private sealed record Loaded
    {
        public static Loaded Empty { get; } = new();

        public ImmutableList<Connection> Connections { get; init; } = [];

        public ImmutableList<LeftOutConnection> LeftOut { get; init; } = [];

        public ImmutableDictionary<string, PskPolicy> PskPolicies { get; init; } = ImmutableDictionary<string, PskPolicy>.Empty;

        public ImmutableDictionary<string, SettingPlaces> Places { get; init; } = ImmutableDictionary<string, SettingPlaces>.Empty;

        public ImmutableDictionary<string, LoadedSecret> Secrets { get; init; } = ImmutableDictionary<string, LoadedSecret>.Empty;

        /// <summary>Names of private keys by their ids.</summary>
        public ImmutableDictionary<string, string> Keys { get; init; } = ImmutableDictionary<string, string>.Empty;

        public ImmutableList<LoadedCertificate> Certificates { get; init; } = [];

        public ImmutableList<Authority> Authorities { get; init; } = [];

        public ImmutableList<Pool> Pools { get; init; } = [];

        public ImmutableList<ManualSa> Manual { get; init; } = [];

        public ImmutableDictionary<string, ImmutableArray<ImmutableArray<byte>>> Chains { get; init; } = ImmutableDictionary<string, ImmutableArray<ImmutableArray<byte>>>.Empty;

        /// <summary>All of it as the engine takes it.</summary>
        public PolicySet Policy => new()
        {
            Connections = [.. Connections.Select(Completed)],
            Pools = [.. Pools],
            Manual = [.. Manual],
            Trust = CredentialBuilder.TrustOf(Certificates, Authorities, Chains.Values.SelectMany(chain => chain)),
        };

        /// <summary>A connection that names no certificate has those that carry its identity.</summary>
        private Connection Completed(Connection connection)
        {
            if (!Certificates.Exists(one => one.Type is CertificateType.X509 or CertificateType.Ocsp)) return connection;
            LocalAuth Complete(LocalAuth local) => CertificateCheck.Candidates(local, Certificates) is { IsEmpty: false } found ? local with { Certificates = found } : local;
            return connection with { Local = Complete(connection.Local), LocalRounds = [.. connection.LocalRounds.Select(Complete)] };
        }
    }

    /// <summary>What is known of a secret beside its value.</summary>
    private sealed class LoadedSecret(ConfiguredSecret secret)
    {
        public bool IsKey { get; } = secret.IsKey;

        public SourcePosition Position { get; } = secret.Position;

        public SettingPlaces Places { get; } = SettingPlaces.OfSecret(secret.Name, secret.Position);
    }

    /// <summary>What comes back unless somebody confirms.</summary>
    private sealed class Unconfirmed(Loaded before, KeptSecrets kept) : IDisposable
    {
        private Timer? _timer;

        public Loaded Before => before;

        public KeptSecrets Secrets => kept;

        public void Restart(TimeSpan wait, Action end)
        {
            _timer?.Dispose();
            _timer = new Timer(_ => end(), null, wait, Timeout.InfiniteTimeSpan);
        }

        public void Dispose()
        {
            _timer?.Dispose();
            kept.Dispose();
        }
    }
}
