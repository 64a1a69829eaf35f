using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading.Tasks;
using Warifu.App.Tests.Lab;
using Xunit;

namespace Warifu.App.Tests.Interop;

/// <summary>Revocation that both sides look up while they authenticate: a CRL over HTTP and OCSP, at the addresses that the certificates name, checked strictly by us and by strongSwan.</summary>
[Trait("Area", "interop")]
[Trait("Item", "2.3")]
[Trait("Item", "2.20")]
public sealed class RevocationTests
{
    private const string Server = "http://192.0.2.1";

    private static readonly Site s_site = new()
    {
        LeftAuth = "auth = pubkey\ncerts = left.pem",
        RightAuth = "auth = pubkey\ncerts = right.pem",
        LeftExpects = "auth = pubkey\nrevocation = strict",
        RightExpects = "auth = pubkey\nrevocation = strict",
        Connection = "send_cert = always",
    };

    public static IEnumerable<TheoryDataRow<string, bool>> Rows => from way in new[] { "CRL over HTTP", "OCSP" } from weInitiate in new[] { true, false } select new TheoryDataRow<string, bool>(way, weInitiate);

    [StrongSwanTheory]
    [MemberData(nameof(Rows))]
    public async Task Certificates_of_which_nothing_bad_is_known_pass_on_both_sides(string way, bool weInitiate)
    {
        await using var world = await StartAsync(way, revoked: null);
        await world.Tunnel.UpAsync(weInitiate);
        await world.Tunnel.PingBothAsync();
        await world.Tunnel.AgreeAsync();
        // each side asked for itself
        Assert.Equal(["192.0.2.2", "198.51.100.2"], world.Server.Asked.Where(asked => asked.Path == PathOf(way)).Select(asked => asked.From).Distinct().Order());
        Coverage.Passed($"{way}, checked strictly by both", weInitiate, s_site);
    }

    [StrongSwanTheory]
    [MemberData(nameof(Rows))]
    public async Task A_revoked_certificate_of_the_peer_is_refused_and_the_reason_is_told(string way, bool weInitiate)
    {
        await using var world = await StartAsync(way, revoked: "right");
        Assert.False((await world.Tunnel.TryUpAsync(weInitiate)).Ok, world.Tunnel.Logs);
        var told = (await world.Tunnel.Ours.CliAsync("explain", "--last")).Output;
        Assert.Contains("right.example.org' was revoked at", told, StringComparison.Ordinal);
        await world.Tunnel.AllGoneAsync(seconds: 5);
        Coverage.Passed($"{way} revokes the peer", weInitiate, s_site);
    }

    [StrongSwanTheory]
    [MemberData(nameof(Rows))]
    public async Task The_peer_refuses_us_when_we_are_revoked(string way, bool weInitiate)
    {
        await using var world = await StartAsync(way, revoked: "left");
        Assert.False((await world.Tunnel.TryUpAsync(weInitiate)).Ok, world.Tunnel.Logs);
        Assert.Contains("certificate was revoked", world.Tunnel.Peer.Log, StringComparison.Ordinal);
        // as initiator we had its AUTH already; it answers ours with AUTHENTICATION_FAILED
        if (weInitiate) Assert.Contains("AUTHENTICATION_FAILED", (await world.Tunnel.Ours.CliAsync("explain", "--last")).Output, StringComparison.Ordinal);
        await world.Tunnel.AllGoneAsync(seconds: 5);
        Coverage.Passed($"{way} revokes us", weInitiate, s_site);
    }

    private static string PathOf(string way) => way == "OCSP" ? "/ocsp" : "/ca.crl";

    private static async Task<World> StartAsync(string way, string? revoked)
    {
        var ca = TestCa.Root("Live CA");
        var (left, right) = (Issue("left"), Issue("right"));
        Credential[] bad = revoked switch { "left" => [left], "right" => [right], _ => [] };
        WebServer? server = null;
        try
        {
            var tunnel = await Tunnel.StartAsync(s_site, new Layout
            {
                Prepare = lab =>
                {
                    server = WebServer.Start(lab.Router, new Dictionary<string, Func<byte[], byte[]>>
                    {
                        ["/ca.crl"] = _ => ca.CrlDer(bad),
                        ["/ocsp"] = request => ca.OcspResponse(request, bad),
                    });
                    return Task.CompletedTask;
                },
                Files = folder => Write(folder, left),
                PeerFiles = folder => Write(folder, right),
            });
            return new World(tunnel, server!);
        }
        catch
        {
            server?.Dispose();
            throw;
        }

        Credential Issue(string name) => ca.Issue(name, shape: wanted => way == "OCSP" ? wanted with { OcspUris = [Server + "/ocsp"] } : wanted with { CrlUris = [Server + "/ca.crl"] });

        void Write(string folder, Credential own)
        {
            own.WriteTo(folder);
            ca.Own.TrustIn(folder);
        }
    }

    private sealed record World(Tunnel Tunnel, WebServer Server) : IAsyncDisposable
    {
        public async ValueTask DisposeAsync()
        {
            await Tunnel.DisposeAsync();
            Server.Dispose();
        }
    }
}
