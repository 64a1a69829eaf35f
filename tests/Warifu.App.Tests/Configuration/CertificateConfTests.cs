using System;
using System.IO;
using System.Linq;
using Warifu.App.Configuration;
using Warifu.App.Tests.Lab;
using Warifu.Policy;
using Xunit;

namespace Warifu.App.Tests.Configuration;

/// <summary>Certificates, keys, authorities, pools and post-quantum keys in files: what they become, and what is said of those that are missing or wrong.</summary>
[Trait("Item", "2.2")]
public sealed class CertificateConfTests : IDisposable
{
    private static readonly TestCa s_ca = TestCa.Root("Conf CA");
    private static readonly TestCa s_sub = s_ca.Intermediate("Conf Sub CA");

    private readonly string _folder = Conf.Folder();

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Names_of_files_become_certificates_keys_and_trust()
    {
        var own = s_sub.Issue("left");
        Credential.Write(_folder, "x509", "left.pem", own.Pem + "\n" + s_sub.Own.Pem);
        own.WriteKeyTo(_folder);
        s_ca.Own.TrustIn(_folder);
        Credential.Write(_folder, "x509crl", "ca.crl", s_ca.Crl());
        Credential.Write(_folder, "pubkey", "right.pub", s_ca.Issue("right").PublicPem);
        var read = Read("""
            local {
              auth = rsa-3072-sha256-ecdsa-256-sha256
              certs = left.pem
            }
            remote {
              auth = pubkey
              id = right.example.org
              cacerts = conf-ca.pem
              pubkeys = right.pub
              revocation = ifuri
              cert_policy = 1.2.3.4, 2.5.29.32.0
              ca_id = "C=CH, O=Warifu Lab, CN=Conf CA"
            }
            send_cert = never
            send_certreq = no
            """);
        Assert.Empty(read.Findings.Select(finding => finding.ToString()));
        var connection = Assert.Single(read.Built.Policy.Connections);
        Assert.Equal(AuthKind.PublicKey, connection.Local.Kind);
        Assert.Equal("rsa-3072-sha256-ecdsa-256-sha256", connection.Local.Schemes.Text);
        Assert.Equal(own.Der, connection.Local.Certificates.Single());
        Assert.Equal(s_sub.Own.Der, read.Built.Chains["gw"].Single());
        Assert.Equal(s_ca.Own.Der, connection.Remote.CaCertificates.Single());
        Assert.Single(connection.Remote.PublicKeys);
        Assert.Equal(RevocationPolicy.IfUri, connection.Remote.Revocation);
        Assert.Equal(["1.2.3.4", "2.5.29.32.0"], connection.Remote.CertPolicies);
        Assert.Equal("C=CH, O=Warifu Lab, CN=Conf CA", Identities.Print(connection.Remote.CaId));
        Assert.Equal((SendCertificates.Never, false), (connection.SendCert, connection.SendCertReq));
        Assert.Single(read.Built.Credentials.Keys);
        Assert.Equal([CertificateType.X509, CertificateType.X509, CertificateType.Ca, CertificateType.Crl, CertificateType.PublicKey], read.Built.Credentials.Certificates.Select(one => one.Type));
        // the CA is trusted; what came along in a bundle is not
        var trust = CredentialBuilder.TrustOf(read.Built.Credentials.Certificates, [], read.Built.Chains.Values.SelectMany(chain => chain));
        Assert.Equal(s_ca.Own.Der, Assert.Single(trust.Authorities).Certificate);
        Assert.Contains(trust.Certificates, der => der.AsSpan().SequenceEqual(s_sub.Own.Der));
        Assert.Single(trust.Crls);
    }

    [Fact]
    public void Only_a_CA_that_signs_itself_and_stands_among_the_CAs_is_trusted()
    {
        var (stranger, inBundle) = (TestCa.Root("Stranger CA"), TestCa.Root("Bundled CA"));
        s_sub.Own.TrustIn(_folder);
        Credential.Write(_folder, "x509ca", "leaf.pem", s_ca.Issue("leaf").Pem);
        Credential.Write(_folder, "x509", "left.pem", s_ca.Issue("left").Pem + "\n" + inBundle.Own.Pem);
        Credential.Write(_folder, "x509", "stranger.pem", stranger.Own.Pem);
        var read = Read("local {\ncerts = left.pem\n}\nremote {\nid = right.example.org\n}");
        Assert.Contains(read.Findings, finding => finding.Severity == Severity.Limit && finding.Text.Contains("leaf.example.org' is no CA", StringComparison.Ordinal));
        var trust = CredentialBuilder.TrustOf(read.Built.Credentials.Certificates, read.Built.Authorities, read.Built.Chains.Values.SelectMany(chain => chain));
        Assert.Empty(trust.Authorities);
        foreach (var known in new[] { s_sub.Own, inBundle.Own, stranger.Own }) Assert.Contains(trust.Certificates, der => der.AsSpan().SequenceEqual(known.Der));
        s_ca.Own.TrustIn(_folder);
        read = Read("local {\ncerts = left.pem\n}\nremote {\nid = right.example.org\n}");
        Assert.Equal(s_ca.Own.Der, Assert.Single(CredentialBuilder.TrustOf(read.Built.Credentials.Certificates, read.Built.Authorities, []).Authorities).Certificate);
    }

    [Fact]
    public void A_missing_file_is_a_limit_of_its_connection_and_the_others_are_served()
    {
        File.WriteAllText(Path.Combine(_folder, "warifu.conf"), """
            connections {
              lacking {
                version = 2
                local {
                  auth = pubkey
                  certs = nowhere.pem
                }
                remote {
                  auth = pubkey
                  cacerts = none.pem
                }
              }
              fine {
                version = 2
                local {
                  auth = psk
                }
                remote {
                  auth = psk
                }
              }
            }
            secrets {
              ike-1 {
                secret = 0x000102030405060708090a0b0c0d0e0f
              }
              private-x {
                file = lost.pem
                secret = "xyz"
              }
            }
            """);
        var read = ConfigurationReader.Read(Path.Combine(_folder, "warifu.conf"));
        Assert.DoesNotContain(read.Findings, finding => finding.Severity == Severity.Error);
        Assert.Equal("fine", Assert.Single(read.Built.Policy.Connections).Name);
        var left = Assert.Single(read.Built.LeftOut);
        Assert.Equal("lacking", left.Name);
        Assert.Contains("warifu.conf:6:", left.Why, StringComparison.Ordinal);
        var limits = read.Findings.Where(finding => finding.Severity == Severity.Limit).Select(finding => finding.ToString()).ToList();
        Assert.Contains(limits, line => line.Contains("x509/nowhere.pem cannot be read: there is no such file", StringComparison.Ordinal));
        Assert.Contains(limits, line => line.Contains("x509ca/none.pem", StringComparison.Ordinal) && line.Contains(":10:", StringComparison.Ordinal));
        Assert.Contains(limits, line => line.Contains("private/lost.pem", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("local {\nauth = pubkey\ncerts = junk.pem\n}\nremote {\nauth = pubkey\n}", "certs: the file holds no certificate")]
    [InlineData("local {\nauth = pubkey\npubkeys = 0x3000\n}\nremote {\nauth = pubkey\n}", "pubkeys: the file holds no public key")]
    [InlineData("local {\nauth = pubkey\ncerts = 0xzz\n}\nremote {\nauth = pubkey\n}", "hexadecimal digits only")]
    [InlineData("local {\nauth = banana\n}\nremote {\nauth = pubkey\n}", "unknown authentication 'banana'")]
    [InlineData("local {\nauth = rsa-sha3\n}\nremote {\nauth = pubkey\n}", "'sha3' in 'rsa-sha3'")]
    [InlineData("local {\nauth = psk\n}\nremote {\nauth = pubkey\ncert_policy = abc\n}", "'abc' is no object identifier")]
    [InlineData("local {\nauth = psk\n}\nremote {\nauth = pubkey\ncacerts = leaf.pem\n}", "is no CA")]
    [InlineData("local {\nauth = psk\n}\nremote {\nauth = pubkey\nca_id = *.example.org\n}", "'*.example.org' is a pattern")]
    [InlineData("ppk_id = *.example.org\nlocal {\nauth = psk\n}\nremote {\nauth = psk\n}", "is a pattern")]
    [InlineData("local {\nauth = psk\ncert1 {\nhandle = 0a\nfile = /x\n}\n}\nremote {\nauth = psk\n}", "handle and file path given: cert1")]
    public void What_is_wrong_is_an_error_with_its_place(string connection, string error)
    {
        Credential.Write(_folder, "x509", "junk.pem", "junk");
        Credential.Write(_folder, "x509ca", "leaf.pem", s_ca.Issue("leaf").Pem);
        var read = Read(connection);
        var found = Assert.Single(read.Findings, finding => finding.Severity == Severity.Error);
        Assert.Contains(error, found.ToString(), StringComparison.Ordinal);
        Assert.Contains("warifu.conf:", found.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void A_side_without_certificates_has_those_that_carry_its_identity()
    {
        var (own, other) = (s_ca.Issue("left"), s_ca.Issue("other"));
        own.WriteTo(_folder);
        other.WriteTo(_folder);
        s_ca.Own.TrustIn(_folder);
        var read = Read("local {\nid = left.example.org\n}\nremote {\nid = right.example.org\n}");
        Assert.Empty(read.Findings.Select(finding => finding.ToString()));
        Assert.Equal(own.Der, Assert.Single(CertificateCheck.Candidates(read.Built.Policy.Connections[0].Local, read.Built.Credentials.Certificates)));
        Assert.Contains(Read("local {\nid = nobody.example.org\n}\nremote {\nid = right.example.org\n}").Findings, finding => finding.Text.Contains("has no certificate of its own", StringComparison.Ordinal));
    }

    [Fact]
    public void Rounds_are_sorted_by_their_numbers()
    {
        var read = Read("local-b {\nround = 2\nauth = psk\nid = second\n}\nlocal-a {\nround = 1\nauth = psk\nid = first\n}\nremote {\nauth = psk\n}\nremote-2 {\nround = 9\nauth = psk\nid = last\n}");
        var connection = Assert.Single(read.Built.Policy.Connections);
        Assert.Equal(["first", "second"], new[] { connection.Local }.Concat(connection.LocalRounds).Select(round => Identities.Print(round.Id)));
        Assert.Equal("last", Assert.Single(connection.RemoteRounds).Id.Text);
    }

    [Theory]
    [InlineData("left.example.org", true)]
    [InlineData("C=CH, O=Warifu Lab, CN=left.example.org", true)]
    [InlineData("left.example.net", false)]
    [InlineData("192.0.2.1", false)]
    public void An_identity_that_is_not_in_the_certificate_is_warned_of(string id, bool isThere)
    {
        var own = s_ca.Issue("left");
        own.WriteTo(_folder);
        s_ca.Own.TrustIn(_folder);
        var lines = Read($"local {{\nauth = pubkey\ncerts = {own.Name}.pem\nid = \"{id}\"\n}}\nremote {{\nauth = pubkey\n}}").Findings.Select(finding => finding.ToString()).ToList();
        if (isThere) Assert.Empty(lines);
        else Assert.Contains($"warning: the identity {id} of connection 'gw' is not in its certificate 'C=CH, O=Warifu Lab, CN=left.example.org': peers refuse that (RFC 4945)", Assert.Single(lines), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("clients", "10.3.0.9-10.3.0.1", "error: pool 'clients'")]
    [InlineData("clients", "10.3.0.0/24", null)]
    [InlineData("others", "10.3.0.0/24", "warning: connection 'gw' names the pool 'clients', which this configuration does not have")]
    public void Only_a_pool_that_is_not_there_is_missed(string name, string addresses, string? said)
    {
        var lines = Read("pools = clients\nlocal {\nauth = psk\n}\nremote {\nauth = psk\n}", $"pools {{\n{name} {{\naddrs = {addresses}\n}}\n}}").Findings.Where(finding => finding.Severity >= Severity.Warning).Select(finding => finding.ToString()).ToList();
        Assert.Equal(said is null ? 0 : 1, lines.Count);
        if (said is not null) Assert.Contains(said, lines[0], StringComparison.Ordinal);
    }

    [Fact]
    public void Authorities_and_pools_are_typed()
    {
        s_ca.Own.TrustIn(_folder);
        var read = Read("local {\nauth = psk\n}\nremote {\nauth = psk\n}", """
            authorities {
              lab {
                cacert = conf-ca.pem
                crl_uris = http://192.0.2.9/ca.crl, file:///etc/ca.crl
                ocsp_uris = http://192.0.2.9/ocsp
                cert_uri_base = http://192.0.2.9/certs/
              }
            }
            pools {
              clients {
                addrs = 10.3.0.0/28
                dns = 10.1.0.53, fd00::53
              }
            }
            """);
        Assert.DoesNotContain(read.Findings, finding => finding.Severity >= Severity.Limit);
        var authority = Assert.Single(read.Built.Authorities);
        Assert.Equal(("lab", "http://192.0.2.9/certs/"), (authority.Name, authority.CertUriBase));
        Assert.Equal(["http://192.0.2.9/ca.crl", "file:///etc/ca.crl"], authority.CrlUris);
        var pool = Assert.Single(read.Built.Policy.Pools);
        Assert.Equal(((UInt128)14, 2), (pool.Size, pool.Attributes.Length));
        foreach (var (text, error) in new[]
        {
            ("authorities {\nx {\n}\n}", "CA certificate missing: x"),
            ("authorities {\nx {\ncacert = conf-ca.pem\ncrl_uris = ldap://x\n}\n}", "'ldap://x' is no place to fetch from"),
            ("pools {\np {\ndns = 10.0.0.1\n}\n}", "missing addrs for pool 'p'"),
            ("pools {\np {\naddrs = 10.0.0.0/33\n}\n}", "pool 'p':"),
            ("pools {\np {\naddrs = 10.0.0.0/24\ndsn = 10.0.0.1\n}\n}", "nearest known key: 'dns'"),
        })
            Assert.Contains(Read("local {\nauth = psk\n}\nremote {\nauth = psk\n}", text).Findings, finding => finding.Severity == Severity.Error && finding.ToString().Contains(error, StringComparison.Ordinal));
    }

    [Fact]
    public void Post_quantum_keys_are_no_pre_shared_keys()
    {
        var read = Read("ppk_id = lab\nppk_required = yes\nlocal {\nauth = psk\n}\nremote {\nauth = psk\n}", "secrets {\nppk-1 {\nid = lab\nsecret = short\n}\n}");
        Assert.True(read.Built.Secrets.Single(secret => secret.Name == "ppk-1").IsPpk);
        Assert.Equal("lab", Identities.Print(read.Built.Policy.Connections[0].PpkId));
        Assert.True(read.Built.Policy.Connections[0].PpkRequired);
        Assert.Contains(read.Findings, finding => finding.Severity == Severity.Warning && finding.Text.Contains("'ppk-1' has 5 octets", StringComparison.Ordinal));
        Assert.Contains(Read("ppk_id = other\nlocal {\nauth = psk\n}\nremote {\nauth = psk\n}", "secrets {\nppk-1 {\nid = lab\nsecret = 0x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n}\n}").Findings, finding => finding.Text.Contains("no secret in this configuration is the post-quantum pre-shared key 'other'", StringComparison.Ordinal));
    }

    [Fact]
    public void An_encrypted_key_needs_its_password()
    {
        using (var key = System.Security.Cryptography.ECDsa.Create(System.Security.Cryptography.ECCurve.NamedCurves.nistP256))
        {
            var parameters = new System.Security.Cryptography.PbeParameters(System.Security.Cryptography.PbeEncryptionAlgorithm.Aes256Cbc, System.Security.Cryptography.HashAlgorithmName.SHA256, 2048);
            Credential.Write(_folder, "private", "locked.pem", key.ExportEncryptedPkcs8PrivateKeyPem("correct horse", parameters));
        }

        string Secrets(string password) => $"secrets {{\nprivate-1 {{\nfile = locked.pem\nsecret = \"{password}\"\n}}\n}}";
        const string Psk = "local {\nauth = psk\n}\nremote {\nauth = psk\n}";
        Assert.Single(Read(Psk, Secrets("correct horse")).Built.Credentials.Keys);
        foreach (var (secrets, said) in new[] { (Secrets("wrong"), "the passphrase does not open the private key; correct the password in 'secrets', or the file"), ("", "the private key is encrypted; give its password in a section of 'secrets' whose name begins with that of the folder: file and secret") })
        {
            var read = Read(Psk, secrets);
            Assert.Empty(read.Built.Credentials.Keys);
            Assert.EndsWith(said, Assert.Single(read.Findings, finding => finding.Severity == Severity.Limit && finding.Position.File.EndsWith("locked.pem", StringComparison.Ordinal)).ToString(), StringComparison.Ordinal);
            Assert.DoesNotContain(read.Findings, finding => finding.ToString().Contains("wrong horse", StringComparison.Ordinal));
        }
    }

    /// <summary>What can be done about a key that cannot be read is said once.</summary>
    [Fact]
    public void A_key_beyond_the_limits_is_told_with_one_remedy()
    {
        using (var key = System.Security.Cryptography.ECDsa.Create(System.Security.Cryptography.ECCurve.NamedCurves.nistP256))
        {
            var parameters = new System.Security.Cryptography.PbeParameters(System.Security.Cryptography.PbeEncryptionAlgorithm.Aes256Cbc, System.Security.Cryptography.HashAlgorithmName.SHA256, 1);
            var der = key.ExportEncryptedPkcs8PrivateKey("correct horse", parameters);
            // the count of iterations, in as many octets as a larger one needs, cannot be put there without rewriting the lengths: the cipher's name can
            var at = der.AsSpan().IndexOf((ReadOnlySpan<byte>)[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x01, 0x2A]);
            der[at + 8] = 0x2B;
            Credential.Write(_folder, "private", "locked.pem", new string(System.Security.Cryptography.PemEncoding.Write("ENCRYPTED PRIVATE KEY", der)));
        }

        var read = Read("local {\nauth = psk\n}\nremote {\nauth = psk\n}", "secrets {\nprivate-1 {\nfile = locked.pem\nsecret = \"correct horse\"\n}\n}");
        Assert.EndsWith("limit: the private key is encrypted with a cipher that is not supported; convert it: openssl pkcs8 -topk8 -v2 aes-256-cbc", Assert.Single(read.Findings, finding => finding.Severity == Severity.Limit).ToString(), StringComparison.Ordinal);
    }

    /// <summary>Certificates that cannot do what auth asks for are found before anybody negotiates.</summary>
    [Theory]
    [InlineData("version = 2", "rsa", "ecdsa", "pubkey", "local.auth = rsa, and no certificate of connection 'gw' has such a key: ECDSA P-256; name another certificate in certs, or change auth")]
    [InlineData("version = 2", "ecdsa-384", "ecdsa", "pubkey", "local.auth = ecdsa-384, and no certificate")]
    [InlineData("version = 1", "rsa", "ecdsa", "pubkey", "local.auth = rsa, and no certificate")]
    [InlineData("version = 1", "pubkey", "ed25519", "pubkey", "IKEv1 has no signatures of Ed25519, and connection 'gw' has no other certificate; get one with an RSA or ECDSA key, or write version = 2")]
    [InlineData("version = 1", "pubkey", "ecdsa", "xauth", "hybrid authentication wants an RSA certificate of the gateway, and connection 'gw' has ECDSA P-256; get one with an RSA key")]
    [InlineData("version = 1\nremote-users { auth = xauth\nround = 2 }", "pubkey", "ecdsa", "pubkey", "XAuth goes with pre-shared keys, RSA and DSS only, and connection 'gw' has ECDSA P-256")]
    [InlineData("version = 2", "ecdsa-256", "ecdsa", "pubkey", "")]
    [InlineData("version = 2", "pubkey", "ed25519", "pubkey", "")]
    [InlineData("version = 1", "pubkey", "ecdsa", "pubkey", "")]
    public void Certificates_that_do_not_fit_auth_are_found(string connection, string auth, string kind, string remote, string error)
    {
        s_ca.Issue("left", kind).WriteTo(_folder);
        s_ca.Own.TrustIn(_folder);
        var file = Path.Combine(_folder, "warifu.conf");
        File.WriteAllText(file, $"connections {{\ngw {{\n{connection}\nlocal {{\nauth = {auth}\nid = left.example.org\ncerts = left.pem\n}}\nremote {{\nauth = {remote}\nid = right.example.org\n}}\n}}\n}}\n");
        var read = ConfigurationReader.Read(file);
        var errors = read.Findings.Where(finding => finding.Severity == Severity.Error).ToList();
        if (error.Length == 0)
        {
            Assert.Empty(errors);
            return;
        }

        Assert.Contains(error, Assert.Single(errors).ToString(), StringComparison.Ordinal);
        Assert.Equal($"auth = {auth}", File.ReadAllLines(file)[errors[0].Position.Line - 1]);
        // one of the folder, which is found by its identity, may be replaced by other means
        File.WriteAllText(file, File.ReadAllText(file).Replace("certs = left.pem\n", "", StringComparison.Ordinal));
        Assert.Contains(ConfigurationReader.Read(file).Findings, finding => finding.Severity == Severity.Warning && finding.ToString().Contains(error, StringComparison.Ordinal));
    }

    /// <summary>Weak keys and hashes are accepted when auth names them, and warned of.</summary>
    [Theory]
    [InlineData("rsa-1024-sha1", "WEAK: remote.auth = rsa-1024-sha1 of connection 'gw' names RSA keys of 1024 bits: they are within reach of large attackers; write rsa-2048 or more instead", "names SHA-1 in signatures: collisions are practical (RFC 8247, RFC 9155); write sha256 instead")]
    [InlineData("ike:rsa/pss-1536-sha256", "names RSA keys of 1536 bits", null)]
    [InlineData("pubkey-sha1", "names SHA-1 in signatures", null)]
    [InlineData("dsa", "names DSA: one bad random number gives the key away", null)]
    [InlineData("rsa-2048-sha256-ecdsa-256-sha256", null, null)]
    [InlineData("rsa", null, null)]
    public void Weak_words_in_auth_are_warned_of(string auth, string? first, string? second)
    {
        var weak = Read($"local {{\nauth = pubkey\n}}\nremote {{\nauth = {auth}\nid = right.example.org\n}}").Findings.Where(finding => finding.Severity == Severity.Warning && finding.Text.StartsWith("WEAK", StringComparison.Ordinal)).Select(finding => finding.ToString()).ToList();
        var expected = new[] { first, second }.OfType<string>().ToList();
        Assert.Equal(expected.Count, weak.Count);
        foreach (var (wanted, line) in expected.Zip(weak)) Assert.Contains(wanted, line, StringComparison.Ordinal);
    }

    private ConfigurationReader Read(string connection, string more = "")
    {
        var file = Path.Combine(_folder, "warifu.conf");
        File.WriteAllText(file, $"connections {{\ngw {{\nversion = 2\n{connection}\n}}\n}}\nsecrets {{\nike-1 {{\nsecret = 0x000102030405060708090a0b0c0d0e0f\n}}\n}}\n{more}\n");
        return ConfigurationReader.Read(file);
    }
}
