using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.Linq;
using System.Text;
using Warifu.Policy;
using Warifu.Primitives;

namespace Warifu.Net;

/// <summary>Keeps long-term secrets in this process and lends handles to the policy. The core sees handles only. Thread-safe.</summary>
public sealed class SecretStore : IDisposable
{
    private readonly object _gate = new();
    private readonly Dictionary<string, Entry> _byName = new(StringComparer.Ordinal);
    private readonly Dictionary<int, Secret> _byRef = [];
    private readonly Dictionary<int, string> _nameOf = [];
    private PskIndex? _index;
    private int _next = 1;

    /// <summary>Adds or replaces a pre-shared key. One that is the same octets keeps its handle, so that a handshake under way goes on.</summary>
    /// <param name="name">Unique name; the same name replaces.</param>
    /// <param name="secret">The raw octets (UTF-8 of what was typed, RFC 7296 section 2.15); copied, the caller zeroes its own.</param>
    /// <param name="owners">Identities between which the key is used; none = any pair.</param>
    /// <returns>The handle.</returns>
    public SecretRef SetPsk(string name, ReadOnlySpan<byte> secret, params ReadOnlySpan<IdentityPattern> owners)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        lock (_gate)
        {
            if (_byName.TryGetValue(name, out var known) && _byRef.TryGetValue(known.Handle.Id, out var same) && same.FixedTimeEquals(secret))
            {
                _byName[name] = known with { Owners = [.. owners.ToArray()] };
                _index = null;
                return known.Handle;
            }

            RemoveLocked(name);
            var handle = new SecretRef(_next++);
            _byRef.Add(handle.Id, new Secret(secret));
            _nameOf.Add(handle.Id, name);
            _byName.Add(name, new Entry(handle, [.. owners.ToArray()]));
            _index = null;
            return handle;
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
        lock (_gate) return new KeptSecrets([.. _byName.Select(entry => (entry.Key, new Secret(_byRef[entry.Value.Handle.Id].Span), entry.Value.Owners))]);
    }

    /// <summary>Puts back what was kept; what came since is removed.</summary>
    internal void Restore(KeptSecrets kept)
    {
        lock (_gate)
        {
            foreach (var name in _byName.Keys.Except(kept.Entries.Select(entry => entry.Name), StringComparer.Ordinal).ToArray()) RemoveLocked(name);
            foreach (var (name, value, owners) in kept.Entries) SetPsk(name, value.Span, owners.AsSpan());
        }
    }

    /// <summary>Zeroes everything.</summary>
    public void Clear()
    {
        lock (_gate)
        {
            foreach (var secret in _byRef.Values) secret.Dispose();
            _byRef.Clear();
            _nameOf.Clear();
            _byName.Clear();
            _index = null;
        }
    }

    /// <inheritdoc/>
    public void Dispose() => Clear();

    /// <summary>The lookup by identities.</summary>
    internal PskIndex Index()
    {
        lock (_gate) return _index ??= new PskIndex(_byName.Select(entry => new PskEntry(entry.Value.Handle, entry.Key, entry.Value.Owners)));
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

    private bool RemoveLocked(string name)
    {
        if (!_byName.Remove(name, out var entry)) return false;
        _index = null;
        _nameOf.Remove(entry.Handle.Id);
        if (_byRef.Remove(entry.Handle.Id, out var secret)) secret.Dispose();
        return true;
    }

    private readonly record struct Entry(SecretRef Handle, ImmutableArray<IdentityPattern> Owners);
}

/// <summary>Copies of secrets, until they are put back or thrown away.</summary>
internal sealed class KeptSecrets(ImmutableArray<(string Name, Secret Value, ImmutableArray<IdentityPattern> Owners)> entries) : IDisposable
{
    public ImmutableArray<(string Name, Secret Value, ImmutableArray<IdentityPattern> Owners)> Entries => entries;

    public void Dispose()
    {
        foreach (var entry in entries) entry.Value.Dispose();
    }
}
