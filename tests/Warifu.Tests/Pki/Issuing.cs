using System;
using System.Collections.Generic;
using System.Linq;
using System.Security.Cryptography;
using System.Threading;
using Warifu.Pki;
using Xunit;

namespace Warifu.Tests.Pki;

/// <summary>Makes certificates, CRLs and OCSP responses.</summary>
internal static class Issuing
{
    private static int s_serial = 0x1000;

    /// <summary>What time it is in these tests.</summary>
    public static DateTimeOffset Now { get; } = new(2026, 6, 1, 12, 0, 0, TimeSpan.Zero);

    public static byte[] NewSerial() => Der.Int(Interlocked.Increment(ref s_serial))[2..];

    /// <summary>Any octets that differ by key will do.</summary>
    public static byte[] KeyId(TestKey key) => SHA256.HashData(key.Spki)[..20];

    public static Entity Root(string name = "C=CH, O=Example, CN=Root", Action<CertificateSpec>? make = null) => Entity.Make(name, null, spec =>
    {
        spec.Ca();
        make?.Invoke(spec);
    });
}

/// <summary>A certificate with its private key.</summary>
internal sealed class Entity
{
    private Entity(byte[] der, byte[] subject, TestKey key)
    {
        (Der, Subject, Key) = (der, subject, key);
        Assert.True(Warifu.Pki.Certificate.TryParse(der, out var parsed, out var error), error);
        Certificate = parsed!;
    }

    public byte[] Der { get; }

    public byte[] Subject { get; }

    public TestKey Key { get; }

    public Certificate Certificate { get; }

    public string Name => Certificate.Name;

    public static Entity Make(string name, Entity? issuer, Action<CertificateSpec>? make)
    {
        var spec = new CertificateSpec();
        make?.Invoke(spec);
        var subject = General.Name(name);
        return new Entity(spec.Build(subject, issuer), subject, spec.Key);
    }

    /// <summary>An authority below this one.</summary>
    public Entity Authority(string name, Action<CertificateSpec>? make = null) => Make(name, this, spec =>
    {
        spec.Ca();
        make?.Invoke(spec);
    });

    /// <summary>An end entity below this one.</summary>
    public Entity Issue(string name, Action<CertificateSpec>? make = null) => Make(name, this, make);

    public Crl Crl(params Certificate[] revoked) => Crl(null, revoked);

    public Crl Crl(Action<CrlSpec>? make, params Certificate[] revoked)
    {
        Assert.True(Warifu.Pki.Crl.TryParse(CrlDer(make, revoked), out var crl));
        return crl!;
    }

    public byte[] CrlDer(Action<CrlSpec>? make, params Certificate[] revoked)
    {
        var spec = new CrlSpec { Issuer = this };
        foreach (var certificate in revoked) spec.Revoke(certificate);
        make?.Invoke(spec);
        return spec.Build();
    }

    public OcspResponse Ocsp(Certificate about, Action<OcspSpec>? make = null)
    {
        Assert.True(OcspResponse.TryParse(OcspDer(about, make), out var response, out var error), error);
        return response!;
    }

    public byte[] OcspDer(Certificate about, Action<OcspSpec>? make = null)
    {
        var spec = new OcspSpec { Issuer = this, About = about, Signer = this };
        make?.Invoke(spec);
        return spec.Build();
    }
}

/// <summary>What a CRL is to say.</summary>
internal sealed class CrlSpec
{
    private readonly List<byte[]> _entries = [];
    private readonly List<(string Oid, bool Critical, byte[] Value)> _extensions = [];

    public required Entity Issuer { get; set; }

    public TestKey? Signer { get; set; }

    public DateTimeOffset This { get; set; } = Issuing.Now.AddHours(-1);

    public DateTimeOffset? Next { get; set; } = Issuing.Now.AddDays(1);

    public int Version { get; set; } = 2;

    public long? Number { get; set; } = 10;

    public bool NoKeyId { get; set; }

    public HashAlgorithmName Hash { get; set; } = HashAlgorithmName.SHA256;

    public CrlSpec Revoke(Certificate certificate, int? reason = null, byte[]? more = null)
    {
        byte[][] extensions = [.. reason is { } code ? new[] { Der.Seq(Der.Oid("2.5.29.21"), Der.Octets(Der.Of(0x0A, [(byte)code]))) } : [], .. more is not null ? new[] { more } : []];
        _entries.Add(Der.Seq(Der.Of(0x02, certificate.Serial.ToArray()), Der.Time(Issuing.Now.AddDays(-3)), extensions.Length > 0 ? Der.Seq(extensions) : []));
        return this;
    }

    public CrlSpec With(string oid, bool critical, byte[] value)
    {
        _extensions.Add((oid, critical, value));
        return this;
    }

    public CrlSpec Delta(long number) => With("2.5.29.27", true, Der.Int(number));

    /// <summary>Issuing distribution point.</summary>
    public CrlSpec Scope(string? uri = null, bool users = false, bool authorities = false, int[]? reasons = null, bool indirect = false, bool attributes = false) => With("2.5.29.28", true, Der.Seq(
        uri is null ? [] : Der.Box(0, Der.Box(0, General.Uri(uri))),
        users ? Der.Tag(1, [0xFF]) : [],
        authorities ? Der.Tag(2, [0xFF]) : [],
        reasons is null ? [] : Der.Flags(0x83, reasons),
        indirect ? Der.Tag(4, [0xFF]) : [],
        attributes ? Der.Tag(5, [0xFF]) : []));

    public byte[] Build()
    {
        var signer = Signer ?? Issuer.Key;
        var extensions = _extensions.ToList();
        if (Number is { } number) extensions.Add(("2.5.29.20", false, Der.Int(number)));
        if (!NoKeyId) extensions.Add(("2.5.29.35", false, Der.Seq(Der.Tag(0, Issuing.KeyId(signer)))));
        var list = extensions.Select(extension => extension.Critical ? Der.Seq(Der.Oid(extension.Oid), Der.Bool(true), Der.Octets(extension.Value)) : Der.Seq(Der.Oid(extension.Oid), Der.Octets(extension.Value))).ToArray();
        var tbs = Der.Seq(
            Version > 1 ? Der.Int(Version - 1) : [],
            signer.Algorithm(Hash),
            Issuer.Subject,
            Der.Time(This),
            Next is { } next ? Der.Time(next) : [],
            _entries.Count > 0 ? Der.Seq([.. _entries]) : [],
            Version > 1 && list.Length > 0 ? Der.Box(0, Der.Seq(list)) : []);
        return signer.Signed(tbs, Hash);
    }
}

/// <summary>What an OCSP response is to say.</summary>
internal sealed class OcspSpec
{
    /// <summary>Of the certificate.</summary>
    public required Entity Issuer { get; set; }

    public required Certificate About { get; set; }

    public required Entity Signer { get; set; }

    public TestKey? ForgedBy { get; set; }

    public bool ByKey { get; set; }

    /// <summary>0 good, 1 revoked, 2 unknown.</summary>
    public int Status { get; set; }

    public int? Reason { get; set; }

    public int ResponseStatus { get; set; }

    public DateTimeOffset This { get; set; } = Issuing.Now.AddHours(-1);

    public DateTimeOffset? Next { get; set; } = Issuing.Now.AddHours(12);

    public byte[]? Nonce { get; set; }

    public HashAlgorithmName IdHash { get; set; } = HashAlgorithmName.SHA1;

    public HashAlgorithmName Hash { get; set; } = HashAlgorithmName.SHA256;

    public List<Certificate> Included { get; } = [];

    public byte[] Build()
    {
        if (ResponseStatus != 0) return Der.Seq(Der.Of(0x0A, [(byte)ResponseStatus]));
        var signer = ForgedBy ?? Signer.Key;
        byte[] Digest(ReadOnlySpan<byte> data) => IdHash == HashAlgorithmName.SHA256 ? SHA256.HashData(data) : SHA1.HashData(data);
        var id = Der.Seq(Der.Seq(Der.Oid(IdHash == HashAlgorithmName.SHA256 ? "2.16.840.1.101.3.4.2.1" : "1.3.14.3.2.26"), Der.Null), Der.Octets(Digest(About.Issuer.Der.Span)), Der.Octets(Digest(Issuer.Certificate.KeyBits.Span)), Der.Of(0x02, About.Serial.ToArray()));
        var status = Status switch
        {
            0 => Der.Tag(0),
            1 => Der.Box(1, Der.General(Issuing.Now.AddDays(-2)), Reason is { } reason ? Der.Box(0, Der.Of(0x0A, [(byte)reason])) : []),
            _ => Der.Tag(2),
        };
        var single = Der.Seq(id, status, Der.General(This), Next is { } next ? Der.Box(0, Der.General(next)) : []);
        var tbs = Der.Seq(
            ByKey ? Der.Box(2, Der.Octets(SHA1.HashData(Signer.Certificate.KeyBits.Span))) : Der.Box(1, Signer.Subject),
            Der.General(This),
            Der.Seq(single),
            Nonce is null ? [] : Der.Box(1, Der.Seq(Der.Seq(Der.Oid("1.3.6.1.5.5.7.48.1.2"), Der.Octets(Der.Octets(Nonce))))));
        var certificates = Included.Count > 0 ? Der.Box(0, Der.Seq([.. Included.Select(certificate => certificate.Der.ToArray())])) : [];
        var basic = signer.Signed(tbs, Hash, certificates);
        return Der.Seq(Der.Of(0x0A, [0]), Der.Box(0, Der.Seq(Der.Oid("1.3.6.1.5.5.7.48.1.1"), Der.Octets(basic))));
    }
}
