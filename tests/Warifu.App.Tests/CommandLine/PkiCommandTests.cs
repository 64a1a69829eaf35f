using System;
using System.IO;
using System.Linq;
using System.Security.Cryptography.X509Certificates;
using System.Threading.Tasks;
using Warifu.App.Configuration;
using Warifu.App.Tests.Configuration;
using Warifu.App.Tests.Lab;
using Xunit;

namespace Warifu.App.Tests.CommandLine;

/// <summary><c>warifu pki</c>: what it makes is taken by the platform's own verifier, and by a daemon.</summary>
[Trait("Item", "2.2")]
public sealed class PkiCommandTests : IDisposable
{
    private readonly string _folder = Conf.Folder();

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData("rsa", "2048", "RSA 2048")]
    [InlineData("ecdsa", "256", "ECDSA P-256")]
    [InlineData("ecdsa", "384", "ECDSA P-384")]
    [InlineData("ecdsa", "521", "ECDSA P-521")]
    [InlineData("ed25519", "0", "Ed25519")]
    [InlineData("ed448", "0", "Ed448")]
    public async Task Each_kind_of_key_makes_a_CA_a_certificate_and_a_list(string type, string size, string shown)
    {
        await RunAsync("--gen", "--type", type, "--size", size, "--out", At("ca.key"));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(At("ca.key")));
        await RunAsync("--self", "--in", At("ca.key"), "--dn", "C=CH, O=Lab, CN=Lab CA", "--ca", "--pathlen", "0", "--out", At("ca.pem"));
        await RunAsync("--gen", "--type", type, "--size", size, "--out", At("gw.key"));
        await RunAsync("--issue", "--cacert", At("ca.pem"), "--cakey", At("ca.key"), "--in", At("gw.key"), "--dn", "C=CH, O=Lab, CN=gw", "--san", "gw.example.org", "192.0.2.1", "--flag", "ipsecIKE", "--lifetime", "30", "--out", At("gw.pem"));
        await RunAsync("--signcrl", "--cacert", At("ca.pem"), "--cakey", At("ca.key"), "--cert", At("gw.pem"), "--reason", "key-compromise", "--out", At("ca.crl"));

        var printed = await RunAsync("--print", "--in", At("gw.pem"));
        foreach (var part in new[] { "C=CH, O=Lab, CN=gw", "C=CH, O=Lab, CN=Lab CA", shown, "gw.example.org", "192.0.2.1", "CA:       no" }) Assert.Contains(part, printed, StringComparison.Ordinal);
        Assert.Contains("revoked:  1", await RunAsync("--print", "--in", At("ca.crl")), StringComparison.Ordinal);
        Assert.Contains(shown, await RunAsync("--print", "--in", At("gw.key")), StringComparison.Ordinal);
        await RunAsync("--pub", "--in", At("gw.key"), "--out", At("gw.pub"));
        Assert.Contains(shown, await RunAsync("--print", "--in", At("gw.pub")), StringComparison.Ordinal);
        // the key of the certificate is that of the file
        Assert.Contains((await RunAsync("--print", "--in", At("gw.key"))).Split("id ")[1].Trim(), printed, StringComparison.Ordinal);

        if (type is "ed25519" or "ed448") return;
        using var ca = X509CertificateLoader.LoadCertificateFromFile(At("ca.pem"));
        using var own = X509CertificateLoader.LoadCertificateFromFile(At("gw.pem"));
        using var chain = new X509Chain { ChainPolicy = { TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck, CustomTrustStore = { ca } } };
        Assert.True(chain.Build(own), string.Join(' ', chain.ChainStatus.Select(status => status.StatusInformation)));
        Assert.InRange(own.NotAfter, DateTime.Now.AddDays(29), DateTime.Now.AddDays(31));
    }

    [Fact]
    public async Task What_it_makes_is_a_configuration_without_a_word()
    {
        foreach (var folder in new[] { "x509", "x509ca", "private" }) Directory.CreateDirectory(At(folder));
        await RunAsync("--gen", "--out", At("ca.key"));
        await RunAsync("--self", "--in", At("ca.key"), "--dn", "CN=Lab CA", "--ca", "--out", At("x509ca/ca.pem"));
        await RunAsync("--gen", "--out", At("private/gw.key"));
        await RunAsync("--issue", "--cacert", At("x509ca/ca.pem"), "--cakey", At("ca.key"), "--in", At("private/gw.key"), "--dn", "CN=gw", "--san", "gw.example.org", "--out", At("x509/gw.pem"));
        await File.WriteAllTextAsync(At("warifu.conf"), "connections {\n gw {\n version = 2\n local {\n certs = gw.pem\n id = gw.example.org\n }\n remote {\n id = *.example.org\n }\n }\n}\n");
        Assert.Empty(ConfigurationReader.Read(At("warifu.conf")).Findings.Select(finding => finding.ToString()));
    }

    [Theory]
    [InlineData(2, "pki takes one of")]
    [InlineData(2, "pki takes one of", "--gen", "--self")]
    [InlineData(2, "a key of the type rsa has 3072 or 2048 or 4096 or 8192 bits", "--gen", "--type", "rsa", "--size", "123")]
    [InlineData(2, "--issue needs --cacert", "--issue", "--in", "x", "--dn", "CN=x", "--cakey", "y")]
    [InlineData(1, "Could not find file", "--print", "--in", "/nonexistent")]
    public async Task Wrong_usage_is_told(int code, string error, params string[] arguments)
    {
        var ended = await Tool.RunAsync(Gateway.Binary, ["pki", .. arguments]);
        Assert.Equal(code, ended.ExitCode);
        Assert.Contains(error, ended.Error, StringComparison.Ordinal);
    }

    private string At(string name) => Path.Combine(_folder, name);

    private static async Task<string> RunAsync(params string[] arguments) => (await Tool.RunAsync(Gateway.Binary, ["pki", .. arguments])).OrThrow("pki").Output;
}
