using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.Linq;
using System.Security.Cryptography;
using System.Text;
using Warifu.Crypto.Signatures;
using Warifu.Policy;
using Warifu.Primitives;

namespace Warifu.Net;

/// <summary>Keeps long-term secrets in this process and lends handles to the policy. The core sees handles only. Thread-safe.</summary>
public sealed partial class SecretStore : IDisposable
{
    private readonly object _gate = new();
    private readonly Dictionary<string, Entry> _byName = new(StringComparer.Ordinal);
    private readonly Dictionary<int, Secret> _byRef = [];
    private readonly Dictionary<int, string> _nameOf = [];
    // by the SHA-1 of the public key's bit string, in hex
    private readonly Dictionary<string, KeyEntry> _keys = new(StringComparer.Ordinal);
    private PskIndex? _index;
    private int _next = 1;

    /// <summary>There is a post-quantum pre-shared key now, or none any more.</summary>
    internal event Action? PpksChanged;

    /// <summary>Adds or replaces a pre-shared key. One that is the same octets keeps its handle, so that a handshake under way goes on.</summary>
    /// <param name="name">Unique name; the same name replaces.</param>
    /// <param name="secret">The raw octets (UTF-8 of what was typed, RFC 7296 section 2.15); copied, the caller zeroes its own.</param>
    /// <param name="owners">Identities between which the key is used; none = any pair.</param>
    /// <returns>The handle.</returns>
    public SecretRef SetPsk(string name, ReadOnlySpan<byte> secret, params ReadOnlySpan<IdentityPattern> owners) => Set(name, secret, owners, SecretKind.Psk);

    /// <summary>Adds or replaces a post-quantum pre-shared key (RFC 8784).</summary>
    /// <param name="name">Unique name among pre-shared keys too; the same name replaces.</param>
    /// <param name="secret">At least 32 random octets (RFC 8784 section 6); copied, the caller zeroes its own.</param>
    /// <param name="ids">Its PPK_IDs; none = any.</param>
    /// <returns>The handle.</returns>
    public SecretRef SetPpk(string name, ReadOnlySpan<byte> secret, params ReadOnlySpan<IdentityPattern> ids) => Set(name, secret, ids, SecretKind.Ppk);

    /// <summary>Adds or replaces the password of a user (XAuth of IKEv1): what users that come must give, and what we give as such a user.</summary>
    /// <param name="name">Unique name among all secrets; the same name replaces.</param>
    /// <param name="password">The raw octets; copied, the caller zeroes its own.</param>
    /// <param name="users">The users' names; none = every user.</param>
    /// <returns>The handle.</returns>
    public SecretRef SetPassword(string name, ReadOnlySpan<byte> password, params ReadOnlySpan<IdentityPattern> users)
    {
        var names = new IdentityPattern[users.Length];
        for (var i = 0; i < users.Length; i++) names[i] = UserNames.PatternOf(users[i]);
        return Set(name, password, names, SecretKind.Password);
    }

    /// <summary>Adds a private key, or replaces the one of the same public key. Certificates and raw public keys of the policy find it by their public key.</summary>
    /// <param name="name">For people; the same name replaces.</param>
    /// <param name="key">The store owns it from here on.</param>
    /// <returns>The handle.</returns>
    public SecretRef AddKey(string name, PrivateKey key)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        ArgumentNullException.ThrowIfNull(key);
        var id = IdOf(key.Public);
        lock (_gate)
        {
            if (_keys.TryGetValue(id, out var known))
            {
                // the same key keeps its handle, so that a handshake under way goes on
                key.Dispose();
                _keys[id] = known with { Name = name };
                _nameOf[known.Handle.Id] = name;
                return known.Handle;
            }

            foreach (var same in _keys.Where(entry => entry.Value.Name == name).Select(entry => entry.Key).ToArray()) RemoveKeyLocked(same);
            var handle = new SecretRef(_next++);
            _keys.Add(id, new KeyEntry(handle, name, key));
            _nameOf.Add(handle.Id, name);
            return handle;
        }
    }

    /// <summary>Removes a private key and zeroes it; false when there is none of that name.</summary>
    public bool RemoveKey(string name)
    {
        lock (_gate) return _keys.FirstOrDefault(entry => entry.Value.Name == name).Key is { } id && RemoveKeyLocked(id);
    }

    /// <summary>SHA-1 of the bit strings of the public keys whose private keys are here, in hex and in order: what VICI calls key ids.</summary>
    public ImmutableArray<string> KeyIds
    {
        get
        {
            lock (_gate) return [.. _keys.Keys.Order(StringComparer.Ordinal)];
        }
    }

    /// <summary>As the other overload, from text. Text cannot be zeroed: for examples and tests.</summary>
    public SecretRef SetPsk(string name, string secret, params ReadOnlySpan<IdentityPattern> owners) => SetPsk(name, Encoding.UTF8.GetBytes(secret), owners);

    /// <summary>Removes a secret and zeroes it; false when there is none of that name.</summary>
    public bool Remove(string name)
    {
        lock (_gate) return RemoveLocked(name);
    }

    /// <summary>Names of the secrets, in order.</summary>
    public ImmutableArray<string> Names
    {
        get
        {
            lock (_gate) return [.. _byName.Keys.Order(StringComparer.Ordinal)];
        }
    }

    /// <summary>A copy of everything, to come back to; the caller disposes it.</summary>
    internal KeptSecrets Keep()
    {
        lock (_gate)
        {
            return new KeptSecrets(
                [.. _byName.Select(entry => new KeptSecret(entry.Key, new Secret(_byRef[entry.Value.Handle.Id].Span), entry.Value.Owners, entry.Value.Kind))],
                [.. _keys.Values.Select(entry => (entry.Name, entry.Key.Clone()))],
                CopyManual());
        }
    }

    /// <summary>Puts back what was kept; what came since is removed.</summary>
    internal void Restore(KeptSecrets kept)
    {
        lock (_gate)
        {
            foreach (var name in _byName.Keys.Except(kept.Entries.Select(entry => entry.Name), StringComparer.Ordinal).ToArray()) RemoveLocked(name);
            foreach (var (name, value, owners, kind) in kept.Entries) Set(name, value.Span, owners.AsSpan(), kind);
            foreach (var id in _keys.Keys.Except(kept.Keys.Select(entry => IdOf(entry.Key.Public)), StringComparer.Ordinal).ToArray()) RemoveKeyLocked(id);
            foreach (var (name, key) in kept.Keys) AddKey(name, key.Clone());
            RestoreManual(kept.Manual);
        }
    }

    /// <summary>Zeroes everything.</summary>
    public void Clear()
    {
        lock (_gate)
        {
            ClearCredentials();
            KeepManual([]);
        }
    }

    /// <summary>Zeroes everything but the keys of manual SAs, which belong to the configuration.</summary>
    internal void ClearCredentials()
    {
        lock (_gate)
        {
            foreach (var entry in _byName.Values)
            {
                if (_byRef.Remove(entry.Handle.Id, out var secret)) secret.Dispose();
            }

            _nameOf.Clear();
            _byName.Clear();
            foreach (var entry in _keys.Values) entry.Key.Dispose();
            _keys.Clear();
            _index = null;
        }
    }

    /// <inheritdoc/>
    public void Dispose() => Clear();

    /// <summary>The lookup by identities.</summary>
    internal PskIndex Index()
    {
        lock (_gate) return _index ??= new PskIndex(_byName.Where(entry => entry.Value.Kind == SecretKind.Psk).Select(entry => new PskEntry(entry.Value.Handle, entry.Key, entry.Value.Owners)));
    }

    /// <summary>The name of a handle; empty when there is none.</summary>
    internal string NameOf(SecretRef handle)
    {
        lock (_gate) return _nameOf.GetValueOrDefault(handle.Id, "");
    }

    /// <summary>Lends the octets during <paramref name="use"/>; false when the handle is gone.</summary>
    internal bool TryUse(SecretRef handle, Action<Secret> use)
    {
        lock (_gate)
        {
            if (!_byRef.TryGetValue(handle.Id, out var secret)) return false;
            use(secret);
            return true;
        }
    }

    /// <summary>The private key of a public key; none when it is not here.</summary>
    internal SecretRef FindKey(PublicKey key) => FindKey(key.KeyId.Span);

    /// <summary>As the other overload, by the SHA-1 of the public key's bit string.</summary>
    internal SecretRef FindKey(ReadOnlySpan<byte> keyId)
    {
        lock (_gate) return _keys.TryGetValue(Convert.ToHexStringLower(keyId), out var entry) ? entry.Handle : default;
    }

    /// <summary>The public half of a private key; null when the handle is gone.</summary>
    internal PublicKey? PublicHalf(SecretRef handle)
    {
        lock (_gate) return _keys.Values.FirstOrDefault(entry => entry.Handle == handle).Key?.Public;
    }

    /// <summary>Signs, which may take milliseconds, without holding up other users of the store.</summary>
    /// <exception cref="CryptographicException">The key was removed, or cannot sign so.</exception>
    internal byte[] Sign(SecretRef handle, SignatureScheme scheme, ReadOnlySpan<byte> octets)
    {
        PrivateKey? key;
        lock (_gate) key = _keys.Values.FirstOrDefault(entry => entry.Handle == handle).Key;
        try
        {
            return key is null ? throw new CryptographicException("the private key was removed") : key.Sign(scheme, octets);
        }
        catch (ObjectDisposedException)
        {
            throw new CryptographicException("the private key was removed");
        }
    }

    /// <summary>The post-quantum pre-shared key of a PPK_ID: one that names it exactly beats one with wildcards, that beats one for any.</summary>
    internal SecretRef FindPpk(Identity id)
    {
        lock (_gate)
        {
            return BestLocked(SecretKind.Ppk, id);
        }
    }

    /// <summary>Compares a password with the user's. It takes the same time whether it is right, wrong, or the user is not there.</summary>
    /// <param name="user">Who wants to be the user.</param>
    /// <param name="password">What was given.</param>
    /// <param name="isKnown">There is a password for this user: for our own log only.</param>
    internal bool CheckPassword(Identity user, ReadOnlySpan<byte> password, out bool isKnown)
    {
        // digests under a key of the moment: equal lengths, and nothing to learn from how far they agree
        Span<byte> key = stackalloc byte[32], given = stackalloc byte[32], known = stackalloc byte[32];
        RandomNumberGenerator.Fill(key);
        HMACSHA256.HashData(key, password, given);
        lock (_gate)
        {
            isKnown = _byRef.TryGetValue(BestLocked(SecretKind.Password, user).Id, out var secret);
            HMACSHA256.HashData(key, isKnown ? secret!.Span : key, known);
        }

        var isEqual = CryptographicOperations.FixedTimeEquals(given, known);
        CryptographicOperations.ZeroMemory(given);
        CryptographicOperations.ZeroMemory(known);
        return isKnown & isEqual;
    }

    /// <summary>The password of a user that we are; none when there is none.</summary>
    internal SecretRef FindPassword(Identity user)
    {
        lock (_gate) return BestLocked(SecretKind.Password, user);
    }

    /// <summary>One that names the identity exactly beats one with wildcards, that beats one for any.</summary>
    private SecretRef BestLocked(SecretKind kind, Identity id)
    {
        var best = (Match: IdentityMatch.No, Handle: default(SecretRef));
        foreach (var (_, entry) in _byName.Where(entry => entry.Value.Kind == kind).OrderBy(entry => entry.Key, StringComparer.Ordinal))
        {
            var match = entry.Owners.IsEmpty ? IdentityMatch.Any : entry.Owners.Max(owner => owner.Match(id));
            if (match > best.Match) best = (match, entry.Handle);
        }

        return best.Handle;
    }

    /// <summary>True when there is a post-quantum pre-shared key at all.</summary>
    internal bool HasPpks
    {
        get
        {
            lock (_gate) return _byName.Values.Any(entry => entry.Kind == SecretKind.Ppk);
        }
    }

    private static string IdOf(PublicKey key) => Convert.ToHexStringLower(key.KeyId.Span);

    private SecretRef Set(string name, ReadOnlySpan<byte> secret, ReadOnlySpan<IdentityPattern> owners, SecretKind kind)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        lock (_gate)
        {
            if (_byName.TryGetValue(name, out var known) && known.Kind == kind && _byRef.TryGetValue(known.Handle.Id, out var same) && same.FixedTimeEquals(secret))
            {
                _byName[name] = known with { Owners = [.. owners.ToArray()] };
                _index = null;
                return known.Handle;
            }

            RemoveLocked(name);
            var handle = new SecretRef(_next++);
            _byRef.Add(handle.Id, new Secret(secret));
            _nameOf.Add(handle.Id, name);
            _byName.Add(name, new Entry(handle, [.. owners.ToArray()], kind));
            _index = null;
            if (kind == SecretKind.Ppk) PpksChanged?.Invoke();
            return handle;
        }
    }

    private bool RemoveLocked(string name)
    {
        if (!_byName.Remove(name, out var entry)) return false;
        _index = null;
        _nameOf.Remove(entry.Handle.Id);
        if (_byRef.Remove(entry.Handle.Id, out var secret)) secret.Dispose();
        if (entry.Kind == SecretKind.Ppk) PpksChanged?.Invoke();
        return true;
    }

    private bool RemoveKeyLocked(string id)
    {
        if (!_keys.Remove(id, out var entry)) return false;
        _nameOf.Remove(entry.Handle.Id);
        entry.Key.Dispose();
        return true;
    }

    private readonly record struct Entry(SecretRef Handle, ImmutableArray<IdentityPattern> Owners, SecretKind Kind);

    private readonly record struct KeyEntry(SecretRef Handle, string Name, PrivateKey Key);
}

/// <summary>What a secret is for.</summary>
internal enum SecretKind
{
    /// <summary>Pre-shared key.</summary>
    Psk,
    /// <summary>Post-quantum pre-shared key (RFC 8784).</summary>
    Ppk,
    /// <summary>Password of a user.</summary>
    Password,
}

/// <summary>A copy of one secret.</summary>
internal readonly record struct KeptSecret(string Name, Secret Value, ImmutableArray<IdentityPattern> Owners, SecretKind Kind);

/// <summary>Copies of secrets, until they are put back or thrown away.</summary>
internal sealed class KeptSecrets(ImmutableArray<KeptSecret> entries, ImmutableArray<(string Name, PrivateKey Key)> keys, ImmutableArray<(string Name, Secret Keys)> manual) : IDisposable
{
    public ImmutableArray<(string Name, Secret Keys)> Manual => manual;

    public ImmutableArray<KeptSecret> Entries => entries;

    public ImmutableArray<(string Name, PrivateKey Key)> Keys => keys;

    public void Dispose()
    {
        foreach (var entry in entries) entry.Value.Dispose();
        foreach (var (_, octets) in manual) octets.Dispose();
        foreach (var (_, key) in keys) key.Dispose();
    }
}
