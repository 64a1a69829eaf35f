using System;
using System.Linq;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Warifu.Pki;
using Warifu.Policy;
using Xunit;
using Oid = Warifu.Pki.Oid;

namespace Warifu.Tests.Pki;

/// <summary>Certificates, lists, responses and boxes: strict DER, every field, and nothing that a peer sends makes the readers throw.</summary>
[Trait("Item", "2.3")]
public sealed class ParsingTests
{
    private static readonly Entity s_root = Issuing.Root();
    private static readonly Entity s_peer = s_root.Issue("C=CH, CN=gw", spec => spec.Dns("gw.example.org").Ip("192.0.2.1").Crl("http://crl.example.org/").Ocsp("http://ocsp.example.org/").Policies("1.2.3").Usage(0, 2).Purposes("1.3.6.1.5.5.7.3.17"));

    // DER

    [Theory]
    [InlineData("0201", "a length beyond the end")]
    [InlineData("028101FF", "a long form where the short one does")]
    [InlineData("02820001FF", "a length with a leading zero")]
    [InlineData("0280010000", "an indefinite length")]
    [InlineData("02FF01", "a length of 127 octets")]
    [InlineData("0285000000000100", "a length of five octets")]
    [InlineData("0284FFFFFFFF00", "a length of 4 GiB")]
    [InlineData("1F0100", "a tag of many octets")]
    [InlineData("02", "no length")]
    [InlineData("", "nothing")]
    public void What_is_not_DER_is_refused(string hex, string what)
    {
        var reader = new DerReader(Convert.FromHexString(hex));
        Assert.False(reader.TryReadAny(out _), what);
        Assert.True(reader.Failed);
        Assert.False(reader.AtEnd);
        Assert.False(reader.TryReadAny(out _));
    }

    [Theory]
    [InlineData("020100", true)]
    [InlineData("02017F", true)]
    [InlineData("02020080", true)]
    [InlineData("0200", false)]
    [InlineData("0202007F", false)]
    [InlineData("0202FF80", false)]
    [InlineData("0201FF", true)]
    public void Integers_have_no_octet_more_than_needed(string hex, bool isGood)
    {
        var reader = new DerReader(Convert.FromHexString(hex));
        Assert.Equal(isGood, reader.TryReadInteger(out _));
    }

    [Theory]
    [InlineData("0101FF", true)]
    [InlineData("010100", true)]
    [InlineData("010101", false)]
    [InlineData("0102FFFF", false)]
    [InlineData("0100", false)]
    public void Truth_has_two_forms(string hex, bool isGood)
    {
        var reader = new DerReader(Convert.FromHexString(hex));
        Assert.Equal(isGood, reader.TryReadBoolean(out _));
    }

    [Theory]
    [InlineData("030100", 0, true)]
    [InlineData("03020780", 1, true)]
    [InlineData("03020106", 0x60, true)]
    [InlineData("0303078080", 0x101, true)]
    [InlineData("03020701", 0, false)]
    [InlineData("03020880", 0, false)]
    [InlineData("030107", 0, false)]
    [InlineData("0300", 0, false)]
    public void Flags(string hex, int expected, bool isGood)
    {
        var reader = new DerReader(Convert.FromHexString(hex));
        Assert.Equal(isGood, reader.TryReadFlags(out var flags));
        if (isGood) Assert.Equal(expected, flags);
    }

    [Theory]
    [InlineData(0x17, "500101000000Z", 1950)]
    [InlineData(0x17, "491231235959Z", 2049)]
    [InlineData(0x18, "20500101000000Z", 2050)]
    [InlineData(0x18, "99991231235959Z", 9999)]
    [InlineData(0x18, "00010101000000Z", 1)]
    [InlineData(0x17, "240229000000Z", 2024)]
    [InlineData(0x17, "230229000000Z", 0)]
    [InlineData(0x17, "231301000000Z", 0)]
    [InlineData(0x17, "230100000000Z", 0)]
    [InlineData(0x17, "230101240000Z", 0)]
    [InlineData(0x17, "230101006000Z", 0)]
    [InlineData(0x17, "230101000060Z", 0)]
    [InlineData(0x17, "2301010000Z", 0)]
    [InlineData(0x17, "230101000000+0000", 0)]
    [InlineData(0x17, "230101000000", 0)]
    [InlineData(0x17, "23010100000 Z", 0)]
    [InlineData(0x18, "20230101000000.5Z", 0)]
    [InlineData(0x18, "00000101000000Z", 0)]
    public void Times(int tag, string text, int year)
    {
        var reader = new DerReader(Der.Text(tag, text));
        Assert.Equal(year != 0, reader.TryReadTime(out var time));
        if (year != 0) Assert.Equal(year, time.Year);
    }

    [Theory]
    [InlineData("1.2.840.113549.1.1.11", "2A864886F70D01010B")]
    [InlineData("2.5.29.15", "551D0F")]
    [InlineData("2.999.3", "883703")]
    [InlineData("0.0", "00")]
    [InlineData("1.39", "4F")]
    [InlineData("2.40", "78")]
    public void Object_identifiers(string text, string hex)
    {
        Assert.True(Oid.TryParse(text, out var parsed));
        Assert.Equal(hex, Convert.ToHexString(parsed.Arcs));
        Assert.Equal(text, parsed.ToString());
        Assert.True(Oid.TryFrom(Convert.FromHexString(hex), out var read));
        Assert.Equal(parsed, read);
    }

    [Theory]
    [InlineData("")]
    [InlineData("1")]
    [InlineData("3.1")]
    [InlineData("1.40")]
    [InlineData("1..2")]
    [InlineData("1.2.")]
    [InlineData("1.-2")]
    [InlineData("1.2.99999999999999999999")]
    [InlineData("1.2.x")]
    public void Texts_that_are_no_object_identifiers(string text) => Assert.False(Oid.TryParse(text, out _));

    [Theory]
    [InlineData("")]
    [InlineData("80")]
    [InlineData("2A80")]
    [InlineData("2A8001")]
    [InlineData("2A8080")]
    public void Octets_that_are_no_object_identifiers(string hex) => Assert.False(Oid.TryFrom(Convert.FromHexString(hex), out _));

    [Fact]
    public void Values_inside_of_values_end_at_a_depth()
    {
        var deep = Der.Null;
        for (var i = 0; i < DerReader.MaxDepth + 4; i++) deep = Der.Seq(deep);
        var reader = new DerReader(deep);
        var levels = 0;
        while (reader.TryEnter(0x30, out var inner))
        {
            reader = inner;
            levels++;
        }

        Assert.Equal(DerReader.MaxDepth - 1, levels);
    }

    // certificates

    [Fact]
    public void Every_field_is_read_as_the_platform_reads_it()
    {
        using var key = RSA.Create(2048);
        var request = new CertificateRequest("CN=platform, O=Example, C=CH", key, HashAlgorithmName.SHA384, RSASignaturePadding.Pss);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, true, 3, true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.KeyCertSign | X509KeyUsageFlags.CrlSign | X509KeyUsageFlags.DigitalSignature, true));
        request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([new System.Security.Cryptography.Oid("1.3.6.1.5.5.7.3.17")], false));
        var names = new SubjectAlternativeNameBuilder();
        names.AddDnsName("gw.example.org");
        names.AddIpAddress(System.Net.IPAddress.Parse("2001:db8::1"));
        request.CertificateExtensions.Add(names.Build());
        request.CertificateExtensions.Add(new X509SubjectKeyIdentifierExtension(request.PublicKey, false));
        using var made = request.CreateSelfSigned(Issuing.Now.AddDays(-1), Issuing.Now.AddYears(40));
        Assert.True(Certificate.TryParse(made.RawData, out var read, out var error), error);
        Assert.Equal(3, read!.Version);
        Assert.Equal(made.GetSerialNumber().Reverse(), read.Serial.ToArray());
        Assert.Equal(made.SubjectName.RawData, read.Subject.Der.ToArray());
        Assert.Equal(made.IssuerName.RawData, read.Issuer.Der.ToArray());
        Assert.Equal(made.NotBefore.ToUniversalTime(), read.NotBefore.UtcDateTime);
        Assert.Equal(made.NotAfter.ToUniversalTime(), read.NotAfter.UtcDateTime);
        Assert.Equal(made.PublicKey.ExportSubjectPublicKeyInfo(), read.Spki.ToArray());
        Assert.Equal(made.GetPublicKey(), read.KeyBits.ToArray());
        Assert.True(read.IsCa && read.IsSelfIssued);
        Assert.Equal(3, read.Extensions.PathLength);
        Assert.Equal(KeyUses.KeyCertSign | KeyUses.CrlSign | KeyUses.DigitalSignature, read.Extensions.KeyUsage);
        Assert.Equal(["1.3.6.1.5.5.7.3.17"], read.Extensions.Purposes!.Value.Select(purpose => purpose.ToString()));
        Assert.Equal(["DNS gw.example.org", "IP 2001:db8::1"], read.Extensions.AlternativeNames.Select(name => name.ToString()));
        Assert.Equal(((X509SubjectKeyIdentifierExtension)made.Extensions["2.5.29.14"]!).SubjectKeyIdentifierBytes.ToArray(), read.Extensions.SubjectKeyId.ToArray());
        Assert.Equal(SHA1.HashData(read.Spki.Span), read.SpkiHash());
        Assert.True(read.Key!.Verify(read.Scheme!.Value, read.Tbs.Span, read.Signature.Span));
    }

    [Fact]
    public void URIs_are_read()
    {
        Assert.Equal(["http://ocsp.example.org/"], s_peer.Certificate.Extensions.OcspUris);
        Assert.Equal("http://crl.example.org/", s_peer.Certificate.Extensions.CrlPoints.Single().Names.Single().Text);
    }

    [Theory]
    [InlineData("2.5.29.19", "basic constraints")]
    [InlineData("2.5.29.15", "key usage")]
    [InlineData("2.5.29.37", "extended key usage")]
    [InlineData("2.5.29.17", "subject alternative name")]
    [InlineData("2.5.29.30", "name constraints")]
    [InlineData("2.5.29.32", "certificate policies")]
    [InlineData("2.5.29.33", "policy mappings")]
    [InlineData("2.5.29.36", "policy constraints")]
    [InlineData("2.5.29.54", "inhibit any-policy")]
    [InlineData("2.5.29.31", "CRL distribution points")]
    [InlineData("2.5.29.46", "freshest CRL")]
    [InlineData("1.3.6.1.5.5.7.1.1", "authority information access")]
    public void A_damaged_extension_is_named(string oid, string name)
    {
        foreach (var value in new[] { [], Der.Null, Der.Seq(Der.Null), [0x30, 0x7F] })
        {
            Assert.False(Certificate.TryParse(new CertificateSpec { NoKeyIds = true }.With(oid, false, value).Build(General.Name("CN=gw"), s_root), out _, out var error));
            Assert.Equal($"extension {name} is malformed", error);
        }
    }

    [Fact]
    public void Certificates_that_contradict_themselves_are_refused()
    {
        bool Parses(CertificateSpec spec) => Certificate.TryParse(spec.Build(General.Name("CN=gw"), s_root), out _, out _);
        Assert.True(Parses(new CertificateSpec()));
        Assert.False(Parses(new CertificateSpec().Constraints(false).Constraints(false)));
        Assert.False(Parses(new CertificateSpec { IssuerName = "" }));
        Assert.False(Parses(new CertificateSpec { Version = 4 }));
        Assert.False(Parses(new CertificateSpec { Serial = [] }));
        Assert.False(Parses(new CertificateSpec { Serial = new byte[65] }));
        Assert.True(Parses(new CertificateSpec { Serial = [0xFF] }));
        Assert.False(Certificate.TryParse(new byte[Certificate.MaxLength + 1], out _, out var error));
        Assert.Contains("more than", error, StringComparison.Ordinal);
        Assert.False(Certificate.TryParse(Der.Seq(s_peer.Der), out _, out _));
        Assert.False(Certificate.TryParse((byte[])[.. s_peer.Der, 0], out _, out _));
    }

    [Fact]
    public void Two_signature_algorithms_are_one_too_many()
    {
        var root = Issuing.Root("CN=Root", spec => spec.Key = TestKey.Rsa(2048));
        var der = root.Issue("CN=gw").Der;
        var at = der.AsSpan().LastIndexOf(Convert.FromHexString("2A864886F70D01010B"));
        der[at + 8] = 0x0C;
        Assert.False(Certificate.TryParse(der, out _, out var error));
        Assert.Equal("it names two different signature algorithms", error);
    }

    // boxes

    [Fact]
    public void A_PKCS7_box_gives_its_certificates()
    {
        Assert.True(Pkcs7.TryReadCertificates(Box(s_peer.Der, s_root.Der), out var certificates));
        Assert.Equal([s_peer.Der, s_root.Der], certificates.Select(certificate => certificate.ToArray()));
        Assert.True(Pkcs7.TryReadCertificates(Box(), out certificates));
        Assert.Empty(certificates);
        Assert.False(Pkcs7.TryReadCertificates(s_peer.Der, out _));
        Assert.False(Pkcs7.TryReadCertificates(Der.Seq(Der.Oid("1.2.840.113549.1.7.1"), Der.Box(0, Der.Octets([1]))), out _));
        Assert.False(Pkcs7.TryReadCertificates(Box([.. Enumerable.Repeat(s_root.Der, Pkcs7.MaxCertificates + 1)]), out _));
        Assert.True(Pkcs7.TryRead(Der.Seq(Der.Oid("1.2.840.113549.1.7.2"), Der.Box(0, Der.Seq(Der.Int(1), Der.Set(), Der.Seq(Der.Oid("1.2.840.113549.1.7.1")), Der.Box(0, s_peer.Der), Der.Box(1, s_root.CrlDer(null)), Der.Set()))), out certificates, out var crls));
        Assert.Single(certificates);
        Assert.Single(crls);
    }

    [Fact]
    public void A_PKCS7_box_of_the_platform_is_read()
    {
        using var one = X509CertificateLoader.LoadCertificate(s_peer.Der);
        using var two = X509CertificateLoader.LoadCertificate(s_root.Der);
        Assert.True(Pkcs7.TryReadCertificates(new X509Certificate2Collection { one, two }.Export(X509ContentType.Pkcs7)!, out var certificates));
        Assert.Equal(2, certificates.Length);
    }

    [Fact]
    public void CERT_payloads_are_gathered_within_bounds()
    {
        var offered = new PeerCertificates();
        offered.Add(CertEncoding.X509Signature, s_peer.Der);
        offered.Add(CertEncoding.Pkcs7, Box(s_root.Der));
        offered.Add(CertEncoding.OcspContent, s_root.OcspDer(s_peer.Certificate));
        offered.Add(CertEncoding.Crl, s_root.CrlDer(null));
        offered.Add((CertEncoding)99, s_peer.Der);
        offered.Add(CertEncoding.RawPublicKey, s_peer.Certificate.Spki.Span);
        Assert.Equal([s_peer.Certificate, s_root.Certificate], offered.Certificates);
        Assert.Equal((1, 1, ""), (offered.Responses.Count, offered.Crls.Count, offered.Error));
        offered.Add(CertEncoding.X509Signature, [0x30]);
        Assert.Equal("it is no DER certificate", offered.Error);
        for (var i = 0; i < 100; i++)
        {
            offered.Add(CertEncoding.X509Signature, s_root.Der);
            offered.Add(CertEncoding.OcspContent, s_root.OcspDer(s_peer.Certificate));
            offered.Add(CertEncoding.Crl, s_root.CrlDer(null));
            offered.Add(CertEncoding.HashAndUrl, [.. new byte[20], .. "http://example.org/"u8]);
        }

        Assert.Equal((32, 8, 4, 8), (offered.Certificates.Count, offered.Responses.Count, offered.Crls.Count, offered.References.Count));
    }

    [Fact]
    public void Hash_and_URL_takes_what_has_the_hash_and_nothing_else()
    {
        var offered = new PeerCertificates();
        offered.Add(CertEncoding.HashAndUrl, [.. SHA1.HashData(s_peer.Der), .. "http://example.org/gw.der"u8]);
        var bundle = Der.Seq(Der.Box(0, s_root.Der), Der.Box(1, s_root.CrlDer(null)), Der.Box(7, Der.Null));
        offered.Add(CertEncoding.HashAndUrlBundle, [.. SHA1.HashData(bundle), .. "http://example.org/bundle"u8]);
        var (single, several) = (offered.References[0], offered.References[1]);
        Assert.Equal(("http://example.org/gw.der", false, true), (single.Uri, single.IsBundle, several.IsBundle));
        Assert.True(offered.Add(single, s_peer.Der));
        Assert.True(offered.Add(several, bundle));
        Assert.Equal([s_peer.Certificate, s_root.Certificate], offered.Certificates);
        Assert.Single(offered.Crls);
        Assert.Empty(offered.References);
        offered.Add(CertEncoding.HashAndUrl, [.. SHA1.HashData(s_peer.Der), .. "http://example.org/gw.der"u8]);
        Assert.False(offered.Add(offered.References[0], s_root.Der));
        Assert.Contains("another hash", offered.Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("https://example.org/")]
    [InlineData("file:///etc/passwd")]
    [InlineData("http://example.org/\r\nHost: x")]
    [InlineData("http://example.org/ x")]
    [InlineData("gopher://example.org/")]
    [InlineData("")]
    public void Other_URLs_are_not_followed(string uri)
    {
        Assert.False(HashAndUrl.TryParse([.. new byte[20], .. System.Text.Encoding.ASCII.GetBytes(uri)], false, out _));
        Assert.False(HashAndUrl.TryParse(new byte[10], false, out _));
        Assert.False(HashAndUrl.TryParse([.. new byte[20], .. "http://"u8, .. new byte[600]], false, out _));
    }

    [Fact]
    public void A_trust_store_says_what_it_cannot_read()
    {
        var store = TrustStore.Of(new TrustMaterial { Authorities = [new Authority { Name = "bad", Certificate = [1, 2, 3] }, new Authority { Name = "good", Certificate = [.. s_root.Der] }], Certificates = [[4]], Crls = [[5]] });
        Assert.Equal(3, store.Problems.Length);
        Assert.Contains("bad", store.Problems[0], StringComparison.Ordinal);
        Assert.Equal(s_root.Certificate, Assert.Single(store.Authorities));
    }

    // damage: every truncation and every bit

    public static TheoryData<string> Kinds => ["certificate", "authority", "crl", "ocsp", "pkcs7"];

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Every_truncation_is_refused_without_an_exception(string kind)
    {
        var (octets, read) = Sample(kind);
        Assert.True(read(octets));
        for (var length = 0; length < octets.Length; length++) Assert.False(read(octets[..length]), $"{kind}: the first {length} octets pass");
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void No_flipped_bit_is_an_exception_nor_believed(string kind)
    {
        var (octets, read) = Sample(kind);
        for (var bit = 0; bit < octets.Length * 8; bit++)
        {
            octets[bit / 8] ^= (byte)(1 << (bit % 8));
            read(octets);
            octets[bit / 8] ^= (byte)(1 << (bit % 8));
        }

        Assert.True(read(octets));
    }

    [Fact]
    public void No_certificate_with_a_flipped_bit_is_trusted()
    {
        var peer = s_root.Issue("CN=gw", spec => spec.Dns("gw.example.org"));
        var question = Judging.Ask(peer, [s_root]);
        question.Good();
        // the octets of the signature beyond its own lengths are the last: all before it is covered by it
        for (var bit = 0; bit < peer.Der.Length * 8; bit += 3)
        {
            var octets = peer.Der.ToArray();
            octets[bit / 8] ^= (byte)(1 << (bit % 8));
            if (!Certificate.TryParse(octets, out var damaged, out _)) continue;
            Assert.IsType<PathVerdict.Bad>(PathJudge.Judge(question with { Offered = [damaged!] }));
        }
    }

    [Fact]
    public void No_list_or_response_with_a_flipped_bit_is_believed()
    {
        var peer = s_root.Issue("CN=gw");
        var question = Judging.Ask(peer, [s_root]).Revocation(RevocationPolicy.Strict);
        var (list, response) = (s_root.CrlDer(null), s_root.OcspDer(peer.Certificate));
        for (var bit = 0; bit < list.Length * 8; bit += 3)
        {
            var octets = list.ToArray();
            octets[bit / 8] ^= (byte)(1 << (bit % 8));
            if (Crl.TryParse(octets, out var damaged)) Assert.IsType<PathVerdict.Bad>(PathJudge.Judge(question.Lists(damaged!)));
        }

        for (var bit = 0; bit < response.Length * 8; bit += 3)
        {
            var octets = response.ToArray();
            octets[bit / 8] ^= (byte)(1 << (bit % 8));
            if (OcspResponse.TryParse(octets, out var damaged, out _)) Assert.IsType<PathVerdict.Bad>(PathJudge.Judge(question.Responses(damaged!)));
        }
    }

    private static (byte[] Octets, Func<byte[], bool> Read) Sample(string kind)
    {
        var authority = s_root.Authority("CN=Sub", spec => spec.NameConstraints([General.Dns("example.org"), General.Directory("C=CH"), General.Net("192.0.2.0", "255.255.255.0")], [General.Mail(".example.com")]).Policies("1.2.3").Mappings(("1.2.3", "1.2.4")).PolicyConstraints(1, 2).InhibitAny(3).Delta("http://crl.example.org/delta"));
        return kind switch
        {
            "certificate" => (s_peer.Der, octets => Certificate.TryParse(octets, out var read, out _) && read!.Name.Length > 0),
            "authority" => (authority.Der, octets => Certificate.TryParse(octets, out _, out _)),
            "crl" => (s_root.CrlDer(list => list.Revoke(s_peer.Certificate, 1).Scope("http://crl.example.org/", reasons: [1, 2]).Delta(3)), octets => Crl.TryParse(octets, out _)),
            "ocsp" => (s_root.OcspDer(s_peer.Certificate, spec => { (spec.Status, spec.Reason, spec.Nonce) = (1, 1, [1, 2]); spec.Included.Add(s_root.Certificate); }), octets => OcspResponse.TryParse(octets, out _, out _)),
            _ => (Box(s_peer.Der), octets => Pkcs7.TryReadCertificates(octets, out _)),
        };
    }

    private static byte[] Box(params byte[][] certificates) => Der.Seq(Der.Oid("1.2.840.113549.1.7.2"), Der.Box(0, Der.Seq(Der.Int(1), Der.Set(), Der.Seq(Der.Oid("1.2.840.113549.1.7.1")), certificates.Length > 0 ? Der.Box(0, certificates) : [], Der.Set())));
}
