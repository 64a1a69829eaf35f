using System;
using System.Collections.Immutable;
using System.Linq;
using Warifu.Policy;

namespace Warifu.Engine;

/// <summary>Structural comparison of policies: records compare immutable arrays by reference.</summary>
internal static class PolicyDiff
{
    private static readonly LocalAuth s_nobody = new();

    private static readonly RemoteAuth s_anybody = new();

    public static bool SameButChildren(Connection left, Connection right) =>
        Bare(left) == Bare(right)
        && left.LocalAddresses.SequenceEqual(right.LocalAddresses)
        && left.RemoteAddresses.SequenceEqual(right.RemoteAddresses)
        && left.Proposals.SequenceEqual(right.Proposals)
        && Same([left.Local, .. left.LocalRounds], [right.Local, .. right.LocalRounds])
        && Same([left.Remote, .. left.RemoteRounds], [right.Remote, .. right.RemoteRounds])
        && left.Pools.SequenceEqual(right.Pools)
        && left.VirtualIps.SequenceEqual(right.VirtualIps)
        && left.RequestAttributes.SequenceEqual(right.RequestAttributes);

    public static bool Same(Child left, Child right) =>
        Bare(left) == Bare(right)
        && left.Proposals.SequenceEqual(right.Proposals)
        && left.LocalSelectors.SequenceEqual(right.LocalSelectors)
        && left.RemoteSelectors.SequenceEqual(right.RemoteSelectors);

    private static bool Same(LocalAuth[] left, LocalAuth[] right) =>
        left.Length == right.Length && left.Zip(right).All(pair => Bare(pair.First) == Bare(pair.Second) && Same(pair.First.Certificates, pair.Second.Certificates) && Same(pair.First.PublicKeys, pair.Second.PublicKeys));

    private static bool Same(RemoteAuth[] left, RemoteAuth[] right) =>
        left.Length == right.Length && left.Zip(right).All(pair =>
            Bare(pair.First) == Bare(pair.Second)
            && Same(pair.First.Certificates, pair.Second.Certificates)
            && Same(pair.First.CaCertificates, pair.Second.CaCertificates)
            && Same(pair.First.PublicKeys, pair.Second.PublicKeys)
            && pair.First.CertPolicies.SequenceEqual(pair.Second.CertPolicies));

    private static bool Same(ImmutableArray<ImmutableArray<byte>> left, ImmutableArray<ImmutableArray<byte>> right) => left.Length == right.Length && left.Zip(right).All(pair => pair.First.AsSpan().SequenceEqual(pair.Second.AsSpan()));

    private static Connection Bare(Connection connection) => connection with
    {
        LocalAddresses = [],
        RemoteAddresses = [],
        Proposals = [],
        Pools = [],
        VirtualIps = [],
        RequestAttributes = [],
        Children = [],
        Local = s_nobody,
        Remote = s_anybody,
        LocalRounds = [],
        RemoteRounds = [],
        Source = null,
    };

    private static LocalAuth Bare(LocalAuth auth) => auth with { Certificates = [], PublicKeys = [] };

    private static RemoteAuth Bare(RemoteAuth auth) => auth with { Certificates = [], CaCertificates = [], PublicKeys = [], CertPolicies = [] };

    private static Child Bare(Child child) => child with { Proposals = [], LocalSelectors = [], RemoteSelectors = [] };
}
