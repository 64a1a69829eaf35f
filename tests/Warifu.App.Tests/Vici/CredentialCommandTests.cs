using System;
using System.Linq;
using System.Text;
using System.Threading.Tasks;
using Warifu.App.Tests.Daemon;
using Warifu.App.Tests.Lab;
using Warifu.App.Vici;
using Xunit;

namespace Warifu.App.Tests.Vici;

/// <summary>Certificates, keys, authorities and pools by VICI: what is wrong is refused with its reason, what is right can be listed and taken back.</summary>
[Trait("Item", "2.2")]
public sealed class CredentialCommandTests
{
    private static readonly TestCa s_ca = TestCa.Root("Vici CA");

    [Fact]
    public async Task Keys_are_known_by_the_number_of_their_public_key()
    {
        await using var daemon = await LocalDaemon.StartAsync();
        var own = s_ca.Issue("left");
        var loaded = await daemon.AskAsync("load-key", Key("ecdsa", own.KeyPem));
        var id = loaded.Text("id");
        Assert.Equal(40, id!.Length);
        Assert.Equal([id], (await daemon.AskAsync("get-keys")).Items("keys"));
        // a certificate of the key shows that it is here
        Assert.Equal("yes", (await daemon.AskAsync("load-cert", Certificate("X509", own.Pem))).Text("success"));
        Assert.Equal("yes", Assert.Single(await daemon.ListAsync("list-certs", "list-cert")).Text("has_privkey"));
        Assert.Equal("key not found", (await daemon.AskAsync("unload-key", new ViciMessage().Add("id", "00"))).Text("errmsg"));
        Assert.Equal("yes", (await daemon.AskAsync("unload-key", new ViciMessage().Add("id", id.ToUpperInvariant()))).Text("success"));
        Assert.Empty((await daemon.AskAsync("get-keys")).Items("keys"));
        Assert.Null(Assert.Single(await daemon.ListAsync("list-certs", "list-cert")).Text("has_privkey"));
    }

    [Fact]
    public async Task What_is_wrong_is_refused_and_nothing_is_loaded()
    {
        await using var daemon = await LocalDaemon.StartAsync();
        var own = s_ca.Issue("left");
        foreach (var (command, message, error) in new[]
        {
            ("load-key", Key("rsa", own.KeyPem), "parsing RSA private key failed: it is ECDSA P-256"),
            ("load-key", Key("any", "rubbish"), "parsing ANY private key failed: "),
            ("load-key", Key("banana", own.KeyPem), "invalid key type: banana"),
            ("load-cert", Certificate("X509", "rubbish"), "parsing X509 certificate failed"),
            ("load-cert", Certificate("X509_CRL", own.Pem), "parsing X509_CRL certificate failed"),
            ("load-cert", Certificate("X509", own.Pem).Add("flag", "CA"), "ca certificate lacks CA basic constraint, rejected"),
            ("load-authority", new ViciMessage().Add("a", new ViciMessage().Add("file", "/etc/passwd")), "the daemon reads no files for its clients"),
            ("load-authority", new ViciMessage().Add("a", new ViciMessage().Add("cacert", own.Pem)), "is no CA"),
            ("load-authority", new ViciMessage().Add("a", new ViciMessage().Add("crl_uris", ["http://x/"])), "CA certificate missing: a"),
            ("load-pool", new ViciMessage().Add("p", new ViciMessage().Add("addrs", "10.0.0.0/99")), "pool 'p'"),
            ("load-pool", new ViciMessage().Add("p", new ViciMessage().Add("dns", ["10.0.0.1"])), "missing addrs for pool 'p'"),
            ("load-conn", new ViciMessage().Add("c", new ViciMessage().Add("local", new ViciMessage().Add("cert1", new ViciMessage().Add("file", "/etc/passwd")))), "unable to load certificate: cert1"),
        })
        {
            var answer = await daemon.AskAsync(command, message);
            Assert.Equal("no", answer.Text("success"));
            Assert.Contains(error, answer.Text("errmsg"), StringComparison.Ordinal);
        }

        Assert.Empty((await daemon.AskAsync("get-keys")).Items("keys"));
        Assert.Empty((await daemon.AskAsync("get-authorities")).Items("authorities"));
        Assert.True((await daemon.AskAsync("get-pools")).IsEmpty);
        Assert.Empty(await daemon.ListAsync("list-certs", "list-cert"));
        Assert.Empty((await daemon.AskAsync("get-conns")).Items("conns"));
    }

    [Fact]
    public async Task Pools_are_listed_replaced_and_removed()
    {
        await using var daemon = await LocalDaemon.StartAsync();
        Assert.Equal("yes", (await daemon.AskAsync("load-pool", new ViciMessage().Add("p", new ViciMessage().Add("addrs", "10.3.0.0/28").Add("dns", ["10.1.0.53"]).Add("12345", ["hello"])))).Text("success"));
        var pool = (await daemon.AskAsync("get-pools", new ViciMessage().Add("leases", "yes"))).Section("p")!;
        Assert.Equal(("10.3.0.0", "14", "0", "0"), (pool.Text("base"), pool.Text("size"), pool.Text("online"), pool.Text("offline")));
        Assert.True(pool.Section("leases")!.IsEmpty);
        Assert.Equal("yes", (await daemon.AskAsync("load-pool", new ViciMessage().Add("p", new ViciMessage().Add("addrs", "10.3.0.10-10.3.0.19")))).Text("success"));
        Assert.Equal("10", (await daemon.AskAsync("get-pools")).Section("p")!.Text("size"));
        Assert.Equal("yes", (await daemon.AskAsync("unload-pool", new ViciMessage().Add("name", "p"))).Text("success"));
        Assert.True((await daemon.AskAsync("get-pools")).IsEmpty);
    }

    [Fact]
    public async Task A_transaction_takes_certificates_and_keys_or_nothing()
    {
        await using var daemon = await LocalDaemon.StartAsync();
        await using var client = await daemon.ConnectAsync();
        var own = s_ca.Issue("left");
        foreach (var commit in new[] { false, true })
        {
            await client.RequestAsync("warifu-begin");
            Assert.Equal("yes", (await client.RequestAsync("load-key", Key("any", own.KeyPem))).Text("success"));
            Assert.Equal("yes", (await client.RequestAsync("load-cert", Certificate("X509", own.Pem))).Text("success"));
            Assert.Empty((await daemon.AskAsync("get-keys")).Items("keys"));
            Assert.Equal("yes", (await client.RequestAsync(commit ? "warifu-commit" : "warifu-rollback")).Text("success"));
            Assert.Equal(commit ? 1 : 0, (await daemon.AskAsync("get-keys")).Items("keys").Count());
        }

        Assert.Single(await daemon.ListAsync("list-certs", "list-cert"));
        Assert.Equal("yes", (await daemon.AskAsync("clear-creds")).Text("success"));
        Assert.Empty((await daemon.AskAsync("get-keys")).Items("keys"));
        Assert.Empty(await daemon.ListAsync("list-certs", "list-cert"));
    }

    private static ViciMessage Key(string type, string pem) => new ViciMessage().Add("type", type).Add("data", Encoding.ASCII.GetBytes(pem));

    private static ViciMessage Certificate(string type, string pem) => new ViciMessage().Add("type", type).Add("data", Encoding.ASCII.GetBytes(pem));
}
