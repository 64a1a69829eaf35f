using System;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Threading.Tasks;
using Warifu.App.Tests.Configuration;
using Warifu.App.Tests.Lab;
using Warifu.App.Vici;
using Xunit;

namespace Warifu.App.Tests.Daemon;

/// <summary>Certificates and keys from files to the daemon: by its own reading, by <c>warifu load</c>, and again when they are renewed.</summary>
[Trait("Item", "2.2")]
public sealed class CertificateReloadTests : IDisposable
{
    private static readonly TestCa s_ca = TestCa.Root("Reload CA");

    private readonly string _folder = Conf.Folder();

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task A_renewed_certificate_is_loaded_by_itself_and_a_broken_one_changes_nothing()
    {
        Write("one", "x509");
        using var daemon = Start();
        await WaitAsync("ready");
        await Until.HoldsAsync("the certificate", SubjectsAsync, subjects => subjects is ["C=CH, O=Warifu Lab, CN=one.example.org"]);
        Write("two", "x509", file: "one.pem");
        await Until.HoldsAsync("the new certificate", SubjectsAsync, subjects => subjects is ["C=CH, O=Warifu Lab, CN=two.example.org"], seconds: 15);
        File.WriteAllText(Path.Combine(_folder, "x509", "one.pem"), "rubbish");
        await Until.HoldsAsync("that it stays as it was", async () => (await AskLogAsync()), log => log.Contains("has errors: everything stays as it was", StringComparison.Ordinal) && log.Contains("the file holds no certificate", StringComparison.Ordinal), seconds: 15);
        Assert.Equal(["C=CH, O=Warifu Lab, CN=two.example.org"], await SubjectsAsync());
        Write("three", "x509", file: "one.pem");
        await Until.HoldsAsync("the next certificate", SubjectsAsync, subjects => subjects is ["C=CH, O=Warifu Lab, CN=three.example.org"], seconds: 15);
        daemon.Kill();
        await daemon.WaitForExitAsync();
    }

    [Fact]
    public async Task Load_hands_over_certificates_keys_authorities_and_pools_and_takes_them_back()
    {
        var other = Conf.Folder();
        File.WriteAllText(Path.Combine(other, "warifu.conf"), Daemon);
        using var daemon = Tool.Start(Gateway.Binary, ["run", "--config", Path.Combine(other, "warifu.conf"), "--dataplane", "none", "--socket", Socket]);
        await WaitAsync("ready");
        Write("one", "x509");
        // a CA that does not stand among the CAs is not trusted for being one
        Credential.Write(_folder, "x509", "stranger.pem", TestCa.Root("Stranger CA").Own.Pem);
        var conf = Path.Combine(_folder, "warifu.conf");
        File.AppendAllText(conf, "authorities {\nlab {\ncacert = reload-ca.pem\ncrl_uris = http://192.0.2.1/x.crl\n}\n}\npools {\nclients {\naddrs = 10.3.0.0/28\n}\n}\nsecrets {\nppk-1 {\nid = lab\nsecret = 0x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n}\n}\n");
        var loaded = await CliAsync("load", conf);
        Assert.True(loaded.Ok, loaded.All);
        foreach (var line in new[] { "+ connection gw", "+ authority lab", "+ pool clients", "~ certificates", "~ private keys" }) Assert.Contains(line, loaded.Output, StringComparison.Ordinal);
        Assert.Contains("nothing changed", (await CliAsync("load", conf)).Output, StringComparison.Ordinal);
        Assert.Single((await AskAsync("get-keys")).Items("keys"));
        Assert.Equal(["lab"], (await AskAsync("get-authorities")).Items("authorities"));
        Assert.Equal(["clients"], (await AskAsync("get-pools")).Elements.Select(pool => pool.Name));
        Assert.Equal(["ppk-1"], (await AskAsync("get-shared")).Items("keys"));
        var listed = await CliAsync("list", "certs");
        Assert.Contains("'C=CH, O=Warifu Lab, CN=one.example.org'", listed.Output, StringComparison.Ordinal);
        Assert.Contains("private key is here", listed.Output, StringComparison.Ordinal);
        Assert.Contains("'C=CH, O=Warifu Lab, CN=Reload CA' (CA)", listed.Output, StringComparison.Ordinal);
        Assert.Contains("'C=CH, O=Warifu Lab, CN=Stranger CA'\n", listed.Output, StringComparison.Ordinal);
        Assert.Contains("http://192.0.2.1/x.crl", (await CliAsync("list", "authorities")).Output, StringComparison.Ordinal);
        Assert.Contains("clients: 14 addresses from 10.3.0.0", (await CliAsync("list", "pools")).Output, StringComparison.Ordinal);
        Assert.Contains("certificate 'C=CH, O=Warifu Lab, CN=one.example.org'", (await CliAsync("list", "conns")).Output, StringComparison.Ordinal);

        var status = await CliAsync("status", "gw");
        Assert.Contains("certificate 'C=CH, O=Warifu Lab, CN=one.example.org' until 20", status.Output, StringComparison.Ordinal);

        // a file that the client cannot read leaves the connection out, as in a daemon's own file
        File.Delete(Path.Combine(_folder, "x509", "one.pem"));
        var missing = await CliAsync("load", conf);
        Assert.True(missing.Ok, missing.All);
        Assert.Contains("! left out: gw:", missing.Output, StringComparison.Ordinal);
        Assert.Contains("x509/one.pem cannot be read", missing.Output, StringComparison.Ordinal);

        // everything goes with the next load
        File.WriteAllText(Path.Combine(other, "empty.conf"), "");
        Assert.True((await CliAsync("load", Path.Combine(other, "empty.conf"))).Ok);
        Assert.Empty((await AskAsync("get-keys")).Items("keys"));
        Assert.Empty((await AskAsync("get-authorities")).Items("authorities"));
        Assert.Equal("no certificates", (await CliAsync("list", "certs")).Output.Trim());
        daemon.Kill();
        await daemon.WaitForExitAsync();
        Directory.Delete(other, recursive: true);
    }

    private const string Daemon = "daemon {\nport = 0\nport_nat_t = 0\n}\n";

    private string Socket => Path.Combine(_folder, "vici.sock");

    private void Write(string name, string folder, string? file = null)
    {
        var own = s_ca.Issue(name);
        Credential.Write(_folder, folder, file ?? name + ".pem", own.Pem);
        Credential.Write(_folder, "private", "own.pem", own.KeyPem);
        s_ca.Own.TrustIn(_folder);
        File.WriteAllText(Path.Combine(_folder, "warifu.conf"), Daemon + "connections {\ngw {\nversion = 2\nlocal {\nauth = pubkey\ncerts = one.pem\n}\nremote {\nauth = pubkey\nid = right.example.org\n}\n}\n}\n");
    }

    private Process Start() => Tool.Start(Gateway.Binary, ["run", "--config", Path.Combine(_folder, "warifu.conf"), "--dataplane", "none", "--socket", Socket]);

    private async Task WaitAsync(string what)
    {
        for (var i = 0; !File.Exists(Socket); i++)
        {
            if (i > 400) throw new InvalidOperationException($"warifu is not {what}");
            await Task.Delay(25);
        }
    }

    private Task<Ended> CliAsync(params string[] arguments) => Tool.RunAsync(Gateway.Binary, [.. arguments, "--socket", Socket]);

    private async Task<ViciMessage> AskAsync(string command)
    {
        await using var client = await ViciClient.ConnectAsync(Socket);
        return await client.RequestAsync(command);
    }

    private async Task<string> AskLogAsync()
    {
        await using var client = await ViciClient.ConnectAsync(Socket);
        var (lines, _) = await client.StreamAsync("warifu-events", "warifu-event");
        return string.Join('\n', lines.Select(line => line.Text("text")));
    }

    private async Task<string[]> SubjectsAsync()
    {
        await using var client = await ViciClient.ConnectAsync(Socket);
        var (connections, _) = await client.StreamAsync("list-conns", "list-conn");
        return [.. connections.SelectMany(message => message.Elements).SelectMany(element => element.Section!.Section("local-1")!.Items("certs"))];
    }
}
