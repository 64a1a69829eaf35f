using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.Linq;
using Warifu.Primitives;

namespace Warifu.Policy;

/// <summary>Finds the connections that a message may belong to without looking at all of them: made once per policy.</summary>
internal sealed class ConnectionIndex
{
    private readonly Dictionary<IpAddress, List<Connection>> _byAddress = [];
    private readonly List<Connection> _byRange = [];
    // connections for peers at any address: all, those of one exact peer identity, those of patterns
    private readonly List<Connection> _any = [];
    private readonly Dictionary<Identity, List<Connection>> _anyByIdentity = [];
    private readonly List<Connection> _anyByPattern = [];
    // of those that differ in nothing that a first message shows, the first
    private readonly List<Connection> _anyFirsts = [];
    private readonly Dictionary<string, Connection> _byName = new(StringComparer.Ordinal);

    public ConnectionIndex(PolicySet policy)
    {
        var seen = new HashSet<FirstMessage>();
        foreach (var connection in policy.Connections)
        {
            _byName.TryAdd(connection.Name, connection);
            PeersSign |= connection.Remote.Kind == AuthKind.PublicKey || connection.RemoteRounds.Any(remote => remote.Kind == AuthKind.PublicKey);
            if (connection.RemoteAddresses.IsEmpty || connection.RemoteAddresses.Any(host => host.IsAny || host.DnsName is not null))
            {
                AddAny(connection);
                if (!connection.LocalAddresses.IsEmpty || seen.Add(new FirstMessage(connection))) _anyFirsts.Add(connection);
                continue;
            }

            foreach (var address in connection.RemoteAddresses.Select(host => host.Single).OfType<IpAddress>().Distinct()) Add(_byAddress, address, connection);
            if (connection.RemoteAddresses.Any(host => host.Single is null)) _byRange.Add(connection);
        }
    }

    /// <summary>There are connections whose peers prove themselves by signatures.</summary>
    public bool PeersSign { get; }

    public Connection? Find(string name) => _byName.GetValueOrDefault(name);

    /// <summary>Candidates of a responder, best first: exact address, then ranges, then any.</summary>
    public IEnumerable<Connection> Candidates(IpAddress local, IpAddress remote, IkeVersion version) => Fitting(NearBy(remote).Concat(_any), local, version);

    /// <summary>As <see cref="Candidates(IpAddress, IpAddress, IkeVersion)"/>, without those whose proposals were already among them: an unknown sender's first message costs no more with ten thousand connections than with one.</summary>
    public IEnumerable<Connection> FirstCandidates(IpAddress local, IpAddress remote, IkeVersion version) => Fitting(NearBy(remote).Concat(_anyFirsts), local, version).DistinctBy(connection => new FirstMessage(connection));

    /// <summary>Those of the candidates that may accept the peer's identity.</summary>
    public IEnumerable<Connection> Candidates(IpAddress local, IpAddress remote, IkeVersion version, Identity identity) =>
        Fitting(NearBy(remote).Where(connection => connection.Remote.Id.Matches(identity)).Concat(_anyByIdentity.GetValueOrDefault(Identities.Canonical(identity)) ?? []).Concat(_anyByPattern.Where(connection => connection.Remote.Id.Matches(identity))), local, version);

    private IEnumerable<Connection> NearBy(IpAddress remote)
    {
        var exact = _byAddress.GetValueOrDefault(remote) ?? [];
        return exact.Concat(_byRange.Where(connection => connection.RemoteAddresses.Any(host => host.Single is null && host.Matches(remote))));
    }

    private static IEnumerable<Connection> Fitting(IEnumerable<Connection> connections, IpAddress local, IkeVersion version) => connections.Where(connection => connection.Version == version && MatchesLocal(connection, local));

    private static bool MatchesLocal(Connection connection, IpAddress local) => connection.LocalAddresses.IsEmpty || connection.LocalAddresses.Any(host => host.Matches(local) || host.DnsName is not null);

    private void AddAny(Connection connection)
    {
        _any.Add(connection);
        if (connection.Remote.Id.Exact is { } identity) Add(_anyByIdentity, Identities.Canonical(identity), connection);
        else _anyByPattern.Add(connection);
    }

    private static void Add<TKey>(Dictionary<TKey, List<Connection>> index, TKey key, Connection connection)
        where TKey : notnull
    {
        if (!index.TryGetValue(key, out var list)) index.Add(key, list = []);
        list.Add(connection);
    }

    /// <summary>What the choice of a connection for IKE_SA_INIT depends on, beside addresses.</summary>
    private readonly struct FirstMessage(Connection connection) : IEquatable<FirstMessage>
    {
        private IkeVersion Version => connection.Version;

        private ImmutableArray<Proposal> Proposals => connection.Proposals;

        // IKEv1 begins with the way to authenticate, too
        private (bool, bool, AuthKind, AuthKind) Phase1 => connection.Version == IkeVersion.V1 ? (connection.Aggressive, connection.AggressivePsk, connection.Local.Kind, connection.Remote.Kind) : default;

        public bool Equals(FirstMessage other) => Version == other.Version && Phase1 == other.Phase1 && (Proposals == other.Proposals || Proposals.AsSpan().SequenceEqual(other.Proposals.AsSpan()));

        public override bool Equals(object? obj) => obj is FirstMessage other && Equals(other);

        public override int GetHashCode()
        {
            var hash = default(HashCode);
            hash.Add(Version);
            foreach (var proposal in Proposals) hash.Add(proposal);
            return hash.ToHashCode();
        }
    }
}
