using System.Linq;
using Warifu.Policy;

namespace Warifu.Engine;

/// <summary>Structural comparison of policies: records compare immutable arrays by reference.</summary>
internal static class PolicyDiff
{
    public static bool SameButChildren(Connection left, Connection right) =>
        Bare(left) == Bare(right)
        && left.LocalAddresses.SequenceEqual(right.LocalAddresses)
        && left.RemoteAddresses.SequenceEqual(right.RemoteAddresses)
        && left.Proposals.SequenceEqual(right.Proposals);

    public static bool Same(Child left, Child right) =>
        Bare(left) == Bare(right)
        && left.Proposals.SequenceEqual(right.Proposals)
        && left.LocalSelectors.SequenceEqual(right.LocalSelectors)
        && left.RemoteSelectors.SequenceEqual(right.RemoteSelectors);

    private static Connection Bare(Connection connection) => connection with { LocalAddresses = [], RemoteAddresses = [], Proposals = [], Children = [], Source = null };

    private static Child Bare(Child child) => child with { Proposals = [], LocalSelectors = [], RemoteSelectors = [] };
}
