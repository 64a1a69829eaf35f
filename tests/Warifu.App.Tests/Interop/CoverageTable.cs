using System.Collections.Generic;
using Warifu.App.Tests.Lab;

namespace Warifu.App.Tests.Interop;

/// <summary>What the work asks for: the rows of docs/coverage.md.</summary>
internal static class CoverageTable
{
    private const string StrongSwanName = "strongSwan", NoKernel = "its kernel-libipsec knows ESP in UDP in tunnel mode only, without ESN";

    public static IReadOnlyList<CoverageRow> Rows { get; } = [.. StrongSwanRows(), .. StrongSwanV1Rows(), .. CredentialRows(), .. FeatureRows(), .. NativeRows(), .. LibreswanRows(), .. LibreswanV1Rows(), .. OpenIkedRows()];

    public static bool IsThere(string peer) => peer switch { StrongSwanName or StrongSwanV1Tests.Peer => StrongSwan.IsThere, NativeEspTests.ShimmedStrongSwan => Can("strongswan gcc"), NativeLibreswanTests.Peer or LibreswanV1Tests.Peer => Can(LibreswanTests.Needs), VpncTests.Peer => Can(VpncTests.Peer), OpenIkedTests.Peer => Can(OpenIkedTests.Needs), UmlKernelTests.Peer or ManualKernelTests.Peer => Can(UmlKernelTests.Needs), _ => false };

    private static bool Can(string needs) => PeersTheoryAttribute.WhyNot(needs) is null;

    private static IEnumerable<CoverageRow> StrongSwanRows()
    {
        yield return Row("ping", Wanted.V4 | Wanted.V6 | Wanted.Mixed);
        yield return Row("fragmentation", Wanted.V4 | Wanted.V6);
        yield return Row("fragmentation: three RSA-4096 certificates", Wanted.V4 | Wanted.V6);
        foreach (var (ike, esp) in StrongSwanTests.Suites) yield return Row($"suite {ike} / {esp}", Wanted.V4);
        foreach (var scenario in new[]
        {
            "NAT: initiator behind it", "NAT: responder behind a port forward", "NAT: both behind one", "keepalives hold the NAT mapping", "several children", "narrowing: the initiator offers more", "narrowing: the responder would take more",
            "childless initiation", "rekeying under traffic", "re-authentication from both sides", "re-authentication: the peer breaks before it makes", "several IKE proposals, another group", "several ESP proposals", "wrong pre-shared key", "no common IKE proposal", "no common ESP proposal", "no common selectors", "unknown identity",
        }) yield return Row(scenario, Wanted.V4);
        foreach (var scenario in new[]
        {
            "child rekey from both sides", "child rekey with PFS from both sides", "IKE rekey from both sides", "child rekey by time", "child rekey by packets", "child rekey by octets", "child rekey by the peer's time",
            "child deleted by us", "child deleted by the peer", "IKE SA deleted by us", "IKE SA deleted by the peer", "peer killed: liveness", "peer killed: dpd_action restart", "peer restarted: INITIAL_CONTACT", "we are killed: INITIAL_CONTACT", "we are killed: its liveness",
            "large packets", "iperf3 in both directions", "two peers, policy-based", "two peers on one TUN",
        }) yield return Row(scenario, Wanted.V4, Wanted.V6);
        yield return Row("MOBIKE: address change", Wanted.V4 | Wanted.V6);
        foreach (var word in SuiteWordTests.Words) yield return Row(word.Scenario, Wanted.V4);
        foreach (var word in SuiteWordTests.GmacWords) yield return Row(word.Scenario, 0) with { Impossible = "its kernel-libipsec does not know AES-GMAC; see the stand-in for the kernel" };
        foreach (var scenario in new[] { "transport mode", "native ESP", "ESN" }) yield return Row(scenario, 0) with { Impossible = NoKernel };
    }

    private static IEnumerable<CoverageRow> StrongSwanV1Rows()
    {
        foreach (var way in StrongSwanV1Tests.Ways) yield return V1(way.Scenario, way.Scenario == StrongSwanV1Tests.Ways[0].Scenario ? Wanted.V4 | Wanted.V6 | Wanted.Mixed : Wanted.V4);
        foreach (var suite in StrongSwanV1Tests.Suites) yield return V1(StrongSwanV1Tests.SuiteScenario(suite), Wanted.V4);
        foreach (var (scenario, _) in StrongSwanV1Tests.ProxyIds) yield return V1(scenario, Wanted.V4);
        foreach (var scenario in V1RemoteAccessTests.Scenarios) yield return V1(scenario, Wanted.V4);
        foreach (var scenario in V1FailureTests.Scenarios) yield return V1(scenario, Wanted.V4);
        foreach (var scenario in new[]
        {
            "main mode, identities are addresses", "version 2 on the same ports", "rekeying on command", "rekeying on command, PFS", "rekeying on command, aggressive mode", "rekeying on command, RSA", "deletes", "deletes, aggressive mode", "several children, begun by both at once",
            "peer killed: dead peer detection", "peer killed: dpd_action restart", "peer restarted: INITIAL-CONTACT", "we are killed: INITIAL-CONTACT", "we are killed: its dead peer detection", "rekeying under traffic", "fragmentation",
            "NAT: initiator behind it", "NAT: responder behind a port forward", "NAT: both behind one",
        }) yield return V1(scenario, Wanted.V4);
        yield return V1("transport mode, AH, native ESP", 0) with { Impossible = NoKernel };
        yield return V1("DSA", 0) with { Impossible = "its packaged build loads no DSA keys" };
    }

    private static CoverageRow V1(string scenario, Wanted asked) => new(StrongSwanV1Tests.Peer, scenario, asked);

    private static IEnumerable<CoverageRow> NativeRows()
    {
        foreach (var peer in new[] { NativeEspTests.ShimmedStrongSwan, NativeLibreswanTests.Peer, UmlKernelTests.Peer })
        {
            yield return new(peer, "native ESP, tunnel mode", Wanted.V4 | Wanted.V6 | Wanted.Mixed);
            yield return new(peer, "native ESP, transport mode", Wanted.V4 | Wanted.V6);
            yield return new(peer, "native ESP, ESN", Wanted.V4);
        }

        foreach (var mode in new[] { "tunnel", "transport" }) yield return new(UmlKernelTests.Peer, $"native AH, {mode} mode", Wanted.V4);
        yield return new(UmlKernelTests.Peer, "native AH, transport mode, IKEv1", Wanted.V4 | Wanted.OnlyOurs);
        yield return new(UmlKernelTests.Peer, "native AH, tunnel mode, IKEv1", Wanted.V6 | Wanted.OnlyPeers);
        yield return new(UmlKernelTests.Peer, "native ESP, tunnel mode, IKEv1", Wanted.V4 | Wanted.OnlyOurs);
        yield return new(UmlKernelTests.Peer, "native ESP, transport mode, IKEv1", Wanted.V4 | Wanted.OnlyPeers);
        foreach (var protocol in new[] { "ESP", "AH" })
        {
            foreach (var mode in new[] { "tunnel", "transport" }) yield return new(ManualKernelTests.Peer, $"{protocol}, {mode} mode", Wanted.V4 | Wanted.V6 | Wanted.OnlyOurs);
        }

        yield return new(UmlKernelTests.Peer, "transport mode, we are behind a NAT", Wanted.V4 | Wanted.OnlyOurs);
        foreach (var word in SuiteWordTests.GmacWords) yield return new(NativeEspTests.ShimmedStrongSwan, word.Scenario, Wanted.V4);
    }

    private static IEnumerable<CoverageRow> CredentialRows()
    {
        foreach (var method in CertificateTests.Methods) yield return Row(method.Name, Wanted.V4);
        foreach (var scenario in new[]
        {
            "PSK one way, certificate the other", "certificate one way, PSK the other", "two rounds (RFC 4739)", "revoked certificate of the peer", "revoked meanwhile: the next authentication ends it", "strict revocation with a CRL", "PPK, optional", "PPK, required",
            "PPK on one side, optional", "PPK on one side, required here", "RSA of ours, ECDSA of the peer", "ECDSA of ours, RSA of the peer", "two rounds (RFC 4739), both with certificates",
            "two certificates of ours: CERTREQ chooses", "two certificates of the peer: CERTREQ chooses",
        }) yield return Row(scenario, Wanted.V4);
        foreach (var way in new[] { "CRL over HTTP", "OCSP" })
        {
            foreach (var what in new[] { ", checked strictly by both", " revokes the peer", " revokes us" }) yield return Row(way + what, Wanted.V4);
        }

        yield return Row("OCSP responses in IKE (RFC 4806)", 0) with { Impossible = "it has no RFC 4806" };
        yield return Row("DSA", 0) with { Impossible = "its packaged build loads no DSA keys" };
    }

    private static IEnumerable<CoverageRow> FeatureRows()
    {
        yield return Row("virtual IPs of both families with DNS", Wanted.V4);
        yield return Row("virtual IPs: kept over rekeying and restart, routes, name servers", Wanted.V4);
        yield return Row("trap: the first packet brings it up", Wanted.V4 | Wanted.OnlyOurs);
        yield return Row("trap of the peer", 0) with { Impossible = "its kernel-libipsec has no traps" };
    }

    private static IEnumerable<CoverageRow> LibreswanRows()
    {
        foreach (var scenario in new[] { "pre-shared key", "liveness", "child rekey by us", "child rekey by the peer", "IKE rekey by us", "IKE rekey by the peer", "RSA certificates, PSS", "RSA certificates, PKCS#1 v1.5", "ECDSA P-256 certificates", "PPK" })
            yield return new(LibreswanTests.Peer, scenario, Wanted.V4);
        yield return new(LibreswanTests.Peer, "delete by us", Wanted.V4 | Wanted.OnlyOurs);
        yield return new(LibreswanTests.Peer, "delete by the peer", Wanted.V4 | Wanted.OnlyPeers);
    }

    private static IEnumerable<CoverageRow> LibreswanV1Rows()
    {
        foreach (var scenario in new[] { "main mode, pre-shared key", "rekeying by us", "delete by who initiated" }) yield return new(LibreswanV1Tests.Peer, scenario, Wanted.V4);
        foreach (var scenario in new[] { "main mode, RSA, PFS", "AH" }) yield return new(LibreswanV1Tests.Peer, scenario, Wanted.V4 | Wanted.OnlyOurs, Wanted.V4);
        foreach (var scenario in new[] { "aggressive mode, pre-shared key, PFS", "rekeying by the peer", "XAuth" }) yield return new(LibreswanV1Tests.Peer, scenario, Wanted.V4 | Wanted.OnlyPeers, Wanted.V4);
        yield return new(VpncTests.Peer, "aggressive mode, XAuth, Mode Config", Wanted.V4 | Wanted.OnlyPeers);
        yield return new(VpncTests.Peer, "wrong password", Wanted.V4 | Wanted.OnlyPeers);
    }

    private static IEnumerable<CoverageRow> OpenIkedRows()
    {
        foreach (var scenario in new[] { "pre-shared key", "liveness", "child rekey by us", "IKE rekey by us", "delete by us", "ECDSA P-256 certificates" }) yield return new(OpenIkedTests.Peer, scenario, Wanted.V4);
        yield return new(OpenIkedTests.Peer, "ESP with AES-GCM", 0, Impossible: "its packaged build makes an empty ESP proposal of it");
        yield return new(OpenIkedTests.Peer, "ESP with HMAC-SHA-256", 0, Impossible: "its packaged build does not know the algorithm for its kernel interface");
        yield return new(OpenIkedTests.Peer, "PPK", 0, Impossible: "it has no RFC 8784");
    }

    private static CoverageRow Row(string scenario, Wanted asked, Wanted askedLong = 0) => new(StrongSwanName, scenario, asked, askedLong);
}
