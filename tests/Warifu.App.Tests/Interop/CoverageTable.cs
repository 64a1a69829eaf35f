using System.Collections.Generic;
using Warifu.App.Tests.Lab;

namespace Warifu.App.Tests.Interop;

/// <summary>What the work asks for: the rows of docs/coverage.md.</summary>
internal static class CoverageTable
{
    private const string StrongSwanName = "strongSwan", NoKernel = "its kernel-libipsec knows ESP in UDP in tunnel mode only, without ESN";

    public static IReadOnlyList<CoverageRow> Rows { get; } = [.. StrongSwanRows(), .. NativeRows()];

    public static bool IsThere(string peer) => peer switch { StrongSwanName => StrongSwan.IsThere, NativeEspTests.ShimmedStrongSwan => Can("strongswan gcc"), NativeLibreswanTests.Peer => Can("libreswan gcc"), UmlKernelTests.Peer => Can(UmlKernelTests.Needs), _ => false };

    private static bool Can(string needs) => PeersTheoryAttribute.WhyNot(needs) is null;

    private static IEnumerable<CoverageRow> StrongSwanRows()
    {
        yield return Row("ping", Wanted.V4 | Wanted.V6 | Wanted.Mixed);
        yield return Row("fragmentation", Wanted.V4 | Wanted.V6);
        foreach (var (ike, esp) in StrongSwanTests.Suites) yield return Row($"suite {ike} / {esp}", Wanted.V4);
        foreach (var scenario in new[]
        {
            "NAT: initiator behind it", "NAT: responder behind a port forward", "NAT: both behind one", "keepalives hold the NAT mapping", "several children", "narrowing: the initiator offers more", "narrowing: the responder would take more",
            "MOBIKE: address change", "childless initiation", "wrong pre-shared key", "no common IKE proposal", "no common ESP proposal", "no common selectors", "unknown identity",
        }) yield return Row(scenario, Wanted.V4);
        foreach (var scenario in new[]
        {
            "child rekey from both sides", "child rekey with PFS from both sides", "IKE rekey from both sides", "child rekey by time", "child rekey by packets", "child rekey by octets", "child rekey by the peer's time",
            "child deleted by us", "child deleted by the peer", "IKE SA deleted by us", "IKE SA deleted by the peer", "peer killed: liveness", "peer killed: dpd_action restart", "peer restarted: INITIAL_CONTACT", "we are killed: INITIAL_CONTACT", "we are killed: its liveness",
            "large packets", "iperf3 in both directions", "two peers, policy-based", "two peers on one TUN",
        }) yield return Row(scenario, Wanted.V4, Wanted.V6);
        foreach (var scenario in new[] { "transport mode", "native ESP", "ESN" }) yield return Row(scenario, 0) with { Impossible = NoKernel };
    }

    private static IEnumerable<CoverageRow> NativeRows()
    {
        foreach (var peer in new[] { NativeEspTests.ShimmedStrongSwan, NativeLibreswanTests.Peer, UmlKernelTests.Peer })
        {
            yield return new(peer, "native ESP, tunnel mode", Wanted.V4 | Wanted.V6 | Wanted.Mixed);
            yield return new(peer, "native ESP, transport mode", Wanted.V4 | Wanted.V6);
            yield return new(peer, "native ESP, ESN", Wanted.V4);
        }
    }

    private static CoverageRow Row(string scenario, Wanted asked, Wanted askedLong = 0) => new(StrongSwanName, scenario, asked, askedLong);
}
