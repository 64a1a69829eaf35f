using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.Linq;
using Warifu.Policy;
using Warifu.Primitives;

namespace Warifu.Net;

/// <summary>Keys of manual SAs: all of an SA in one secret, by the name of the SA. They are not found by identities and not listed with the others.</summary>
public sealed partial class SecretStore
{
    private readonly Dictionary<string, SecretRef> _manual = new(StringComparer.Ordinal);

    /// <summary>Adds or replaces the keys of a manual SA; the same octets keep their handle.</summary>
    /// <param name="name">Of the SA.</param>
    /// <param name="keys">As <see cref="ManualSa.Split"/> takes them; copied.</param>
    internal SecretRef SetManual(string name, ReadOnlySpan<byte> keys)
    {
        lock (_gate)
        {
            if (IsManual(name, keys)) return _manual[name];
            RemoveManualLocked(name);
            var handle = new SecretRef(_next++);
            _byRef.Add(handle.Id, new Secret(keys));
            _manual.Add(name, handle);
            return handle;
        }
    }

    /// <summary>True when the keys of that SA are just these.</summary>
    internal bool IsManual(string name, ReadOnlySpan<byte> keys)
    {
        lock (_gate) return _manual.TryGetValue(name, out var known) && _byRef[known.Id].FixedTimeEquals(keys);
    }

    /// <summary>The handle; none when there are no keys of that SA.</summary>
    internal SecretRef FindManual(string name)
    {
        lock (_gate) return _manual.GetValueOrDefault(name);
    }

    /// <summary>Removes the keys of all manual SAs but these.</summary>
    internal void KeepManual(IEnumerable<string> names)
    {
        lock (_gate)
        {
            foreach (var name in _manual.Keys.Except(names, StringComparer.Ordinal).ToArray()) RemoveManualLocked(name);
        }
    }

    private ImmutableArray<(string Name, Secret Keys)> CopyManual() => [.. _manual.Select(entry => (entry.Key, _byRef[entry.Value.Id].Clone()))];

    private void RestoreManual(ImmutableArray<(string Name, Secret Keys)> kept)
    {
        KeepManual(kept.Select(entry => entry.Name));
        foreach (var (name, keys) in kept) SetManual(name, keys.Span);
    }

    private void RemoveManualLocked(string name)
    {
        if (_manual.Remove(name, out var handle) && _byRef.Remove(handle.Id, out var secret)) secret.Dispose();
    }
}
