using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Warifu.App.Configuration;
using Warifu.Engine;
using Warifu.Net;
using Warifu.Policy;

namespace Warifu.App.Daemon;

/// <summary>What is loaded: connections by name in their order, those that were left out and why, and secrets. Changes are applied to the node as a whole, one after the other.</summary>
internal sealed class ConfigStore(SecretStore secrets) : IDisposable
{
    private readonly SemaphoreSlim _gate = new(1);
    private ImmutableList<Connection> _connections = [];
    private ImmutableList<LeftOutConnection> _leftOut = [];

    public ImmutableList<Connection> Connections => _connections;

    public ImmutableList<LeftOutConnection> LeftOut => _leftOut;

    public SecretStore Secrets => secrets;

    public PolicySet Policy => new() { Connections = [.. _connections] };

    /// <summary>Replaces everything. Returns what changed, a line each.</summary>
    public async Task<ImmutableArray<string>> ReplaceAsync(BuiltConfiguration built, IkeNode? node)
    {
        await _gate.WaitAsync();
        try
        {
            var changes = Compare(_connections, built.Policy.Connections);
            var wanted = built.Secrets.Select(secret => secret.Name).ToHashSet(StringComparer.Ordinal);
            foreach (var name in secrets.Names)
            {
                if (!wanted.Contains(name)) secrets.Remove(name);
            }

            foreach (var secret in built.Secrets) Add(secret);
            (_connections, _leftOut) = ([.. built.Policy.Connections], [.. built.LeftOut]);
            if (node is not null) await node.LoadAsync(Policy);
            return changes;
        }
        finally
        {
            _gate.Release();
        }
    }

    /// <summary>Adds or replaces one connection.</summary>
    public Task PutAsync(Connection connection, IkeNode node) => ChangeAsync(node, connections => connections.FindIndex(known => known.Name == connection.Name) is var at and >= 0 ? connections.SetItem(at, connection) : connections.Add(connection));

    /// <summary>Removes one connection; false when there is none of that name.</summary>
    public async Task<bool> RemoveAsync(string name, IkeNode node)
    {
        var found = _connections.Any(connection => connection.Name == name);
        if (found) await ChangeAsync(node, connections => connections.RemoveAll(connection => connection.Name == name));
        return found;
    }

    /// <summary>Adds or replaces a secret and erases the value that was given.</summary>
    public void Add(ConfiguredSecret secret)
    {
        secrets.SetPsk(secret.Name, secret.Value, [.. secret.Owners]);
        System.Security.Cryptography.CryptographicOperations.ZeroMemory(secret.Value);
    }

    public void Dispose() => _gate.Dispose();

    private async Task ChangeAsync(IkeNode node, Func<ImmutableList<Connection>, ImmutableList<Connection>> change)
    {
        await _gate.WaitAsync();
        try
        {
            _connections = change(_connections);
            await node.LoadAsync(Policy);
        }
        finally
        {
            _gate.Release();
        }
    }

    private static ImmutableArray<string> Compare(IReadOnlyList<Connection> before, ImmutableArray<Connection> after)
    {
        var lines = ImmutableArray.CreateBuilder<string>();
        foreach (var connection in after)
        {
            var old = before.FirstOrDefault(known => known.Name == connection.Name);
            if (old is null) lines.Add($"+ connection {connection.Name}");
            else if (!IsSame(old, connection)) lines.Add($"~ connection {connection.Name}");
        }

        foreach (var connection in before)
        {
            if (!after.Any(known => known.Name == connection.Name)) lines.Add($"- connection {connection.Name}");
        }

        return lines.ToImmutable();
    }

    private static bool IsSame(Connection left, Connection right) =>
        PolicyDiff.SameButChildren(left, right) && left.Children.Length == right.Children.Length && left.Children.Zip(right.Children).All(pair => PolicyDiff.Same(pair.First, pair.Second));
}
