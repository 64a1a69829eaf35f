using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Security.Cryptography;
using System.Text;
using Org.BouncyCastle.Asn1;
using Org.BouncyCastle.Asn1.Ocsp;
using Org.BouncyCastle.Asn1.X509;
using Org.BouncyCastle.Crypto;
using Org.BouncyCastle.Ocsp;
using Org.BouncyCastle.OpenSsl;
using Warifu.App.Cli.Ca;
using Warifu.Crypto.Signatures;

namespace Warifu.App.Tests.Lab;

/// <summary>A key with its certificate, made for a test run.</summary>
internal sealed record Credential(string Name, string KeyPem, byte[] Der)
{
    public string Pem => PemEncoding.WriteString("CERTIFICATE", Der);

    /// <summary>SubjectPublicKeyInfo in PEM.</summary>
    public string PublicPem
    {
        get
        {
            using var key = PrivateKey.Parse(Encoding.ASCII.GetBytes(KeyPem));
            return PemEncoding.WriteString("PUBLIC KEY", key.Public.Spki.Span);
        }
    }

    /// <summary>Puts certificate and key where both programs look for them, as NAME.pem.</summary>
    public void WriteTo(string folder)
    {
        Write(folder, "x509", Name + ".pem", Pem);
        WriteKeyTo(folder);
    }

    public void WriteKeyTo(string folder) => Write(folder, "private", Name + ".pem", KeyPem);

    /// <summary>A trusted CA.</summary>
    public void TrustIn(string folder) => Write(folder, "x509ca", Name + ".pem", Pem);

    public static void Write(string folder, string part, string name, string text)
    {
        Directory.CreateDirectory(Path.Combine(folder, part));
        File.WriteAllText(Path.Combine(folder, part, name), text + "\n");
    }
}

/// <summary>A certification authority of the test run, by the code of <c>warifu pki</c>.</summary>
internal sealed class TestCa
{
    private static readonly ConcurrentDictionary<string, string> s_keys = new(StringComparer.Ordinal);

    private readonly PrivateKey _key;
    private readonly bool _pss;

    private TestCa(Credential own, bool pss)
    {
        (Own, _pss) = (own, pss);
        _key = PrivateKey.Parse(Encoding.ASCII.GetBytes(own.KeyPem));
    }

    public Credential Own { get; }

    /// <summary>A root.</summary>
    public static TestCa Root(string name = "Test CA", string kind = "ecdsa", int size = 0, bool pss = false, Func<NewCertificate, NewCertificate>? shape = null)
    {
        var pem = KeyOf(kind, size, "ca " + name);
        using var key = PrivateKey.Parse(Encoding.ASCII.GetBytes(pem));
        var wanted = new NewCertificate { Subject = $"C=CH, O=Warifu Lab, CN={name}", IsCa = true };
        return new TestCa(new Credential(FileName(name), pem, CertificateMaker.SelfSigned(shape?.Invoke(wanted) ?? wanted, key, pss)), pss);
    }

    /// <summary>A CA below this one.</summary>
    public TestCa Intermediate(string name, string kind = "ecdsa", int size = 0, Func<NewCertificate, NewCertificate>? shape = null) =>
        new(Issue(name, kind, size, wanted => (shape ?? (one => one))(wanted with { Subject = $"C=CH, O=Warifu Lab, CN={name}", IsCa = true, AlternativeNames = [] })), pss: false);

    /// <summary>A certificate for NAME.example.org, unless <paramref name="shape"/> says something else.</summary>
    public Credential Issue(string name, string kind = "ecdsa", int size = 0, Func<NewCertificate, NewCertificate>? shape = null)
    {
        var pem = KeyOf(kind, size, name);
        using var key = PrivateKey.Parse(Encoding.ASCII.GetBytes(pem));
        var wanted = new NewCertificate { Subject = $"C=CH, O=Warifu Lab, CN={name}.example.org", AlternativeNames = [$"{name}.example.org", $"{name}@example.org"] };
        return new Credential(FileName(name), pem, CertificateMaker.Issue(shape?.Invoke(wanted) ?? wanted, key.Public, Own.Der, _key, _pss));
    }

    /// <summary>A list of revoked certificates, in PEM.</summary>
    public string Crl(params Credential[] revoked) => Crl(DateTimeOffset.UtcNow.AddDays(7), revoked);

    public string Crl(DateTimeOffset until, params Credential[] revoked) => PemEncoding.WriteString("X509 CRL", CrlDer(until, revoked));

    public byte[] CrlDer(params Credential[] revoked) => CrlDer(DateTimeOffset.UtcNow.AddDays(7), revoked);

    /// <summary>What an OCSP responder with the CA's own key says to a request.</summary>
    public byte[] OcspResponse(byte[] request, params Credential[] revoked)
    {
        var asked = new OcspReq(request);
        using var pem = new StringReader(Own.KeyPem);
        var key = new PemReader(pem).ReadObject() switch { AsymmetricCipherKeyPair pair => pair.Private, var single => (AsymmetricKeyParameter)single };
        var certificate = new Org.BouncyCastle.X509.X509Certificate(Own.Der);
        var bad = revoked.Select(one => new Org.BouncyCastle.Math.BigInteger(CertificateMaker.SerialOf(one.Der))).ToHashSet();
        var made = new BasicOcspRespGenerator(new RespID(certificate.SubjectDN));
        foreach (var one in asked.GetRequestList())
            made.AddResponse(one.GetCertID(), bad.Contains(one.GetCertID().SerialNumber) ? new RevokedStatus(DateTime.UtcNow.AddHours(-1), 1) : CertificateStatus.Good, DateTime.UtcNow.AddMinutes(-5), DateTime.UtcNow.AddHours(1), null);
        if (asked.GetExtensionValue(OcspObjectIdentifiers.PkixOcspNonce) is { } nonce) made.SetResponseExtensions(new X509Extensions(new Dictionary<DerObjectIdentifier, X509Extension> { [OcspObjectIdentifiers.PkixOcspNonce] = new(false, nonce) }));
        return new OCSPRespGenerator().Generate(OcspRespStatus.Successful, made.Generate("SHA256withECDSA", key, null, DateTime.UtcNow)).GetEncoded();
    }

    private byte[] CrlDer(DateTimeOffset until, Credential[] revoked) =>
        CertificateMaker.Crl(Own.Der, _key, revoked.Select(one => new Revoked(CertificateMaker.SerialOf(one.Der), DateTimeOffset.UtcNow.AddHours(-1), "key-compromise")), 1, until < DateTimeOffset.UtcNow ? until.AddDays(-1) : DateTimeOffset.UtcNow.AddMinutes(-5), until);

    /// <summary>RSA keys take long to make: one for each kind and holder in a run.</summary>
    private static string KeyOf(string kind, int size, string holder) => s_keys.GetOrAdd($"{kind} {size} {holder}", _ => kind == "dsa" ? Dsa(size) : KeyMaker.Generate(kind, size));

    /// <summary>Of the past, and not made by the product.</summary>
    private static string Dsa(int size)
    {
        using var key = DSA.Create(size);
        return key.ExportPkcs8PrivateKeyPem();
    }

    private static string FileName(string name) => name.ToLowerInvariant().Replace(' ', '-');
}
