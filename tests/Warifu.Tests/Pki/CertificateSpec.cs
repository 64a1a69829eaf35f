using System;
using System.Collections.Generic;
using System.Linq;
using System.Net;
using System.Security.Cryptography;
using Warifu.Policy;

namespace Warifu.Tests.Pki;

/// <summary>What a certificate is to say; every part can be made wrong.</summary>
internal sealed class CertificateSpec
{
    private readonly List<(string Oid, bool Critical, byte[] Value)> _extensions = [];
    private readonly List<byte[]> _names = [];

    public TestKey Key { get; set; } = TestKey.New();

    public HashAlgorithmName Hash { get; set; } = HashAlgorithmName.SHA256;

    public DateTimeOffset From { get; set; } = Issuing.Now.AddYears(-1);

    public DateTimeOffset To { get; set; } = Issuing.Now.AddYears(1);

    public byte[]? Serial { get; set; }

    public int Version { get; set; } = 3;

    /// <summary>Another name than the issuer's.</summary>
    public string? IssuerName { get; set; }

    /// <summary>The Subject Key Identifier and Authority Key Identifier are left out.</summary>
    public bool NoKeyIds { get; set; }

    public byte[]? AuthorityKeyId { get; set; }

    public CertificateSpec With(string oid, bool critical, byte[] value)
    {
        _extensions.Add((oid, critical, value));
        return this;
    }

    public CertificateSpec Without(string oid)
    {
        _extensions.RemoveAll(extension => extension.Oid == oid);
        return this;
    }

    public CertificateSpec Ca(int? pathLength = null) => Constraints(true, pathLength).Usage(5, 6);

    public CertificateSpec Constraints(bool isCa, int? pathLength = null) =>
        With("2.5.29.19", true, Der.Seq([.. isCa ? new[] { Der.Bool(true) } : [], .. pathLength is { } length ? new[] { Der.Int(length) } : []]));

    /// <summary>Bits: 0 digitalSignature, 1 nonRepudiation, 2 keyEncipherment, 5 keyCertSign, 6 cRLSign.</summary>
    public CertificateSpec Usage(params int[] bits) => Without("2.5.29.15").With("2.5.29.15", true, Der.Flags(0x03, bits));

    public CertificateSpec Purposes(params string[] oids) => With("2.5.29.37", false, Der.Seq([.. oids.Select(Der.Oid)]));

    public CertificateSpec Dns(string name) => Name(General.Dns(name));

    public CertificateSpec Mail(string name) => Name(General.Mail(name));

    public CertificateSpec Uri(string name) => Name(General.Uri(name));

    public CertificateSpec Ip(string address) => Name(General.Ip(address));

    public CertificateSpec Name(byte[] general)
    {
        _names.Add(general);
        return this;
    }

    public CertificateSpec NameConstraints(byte[][]? permitted = null, byte[][]? excluded = null) => With("2.5.29.30", true, Der.Seq(
        permitted is null ? [] : Der.Box(0, [.. permitted.Select(name => Der.Seq(name))]),
        excluded is null ? [] : Der.Box(1, [.. excluded.Select(name => Der.Seq(name))])));

    public CertificateSpec Policies(params string[] oids) => With("2.5.29.32", false, Der.Seq([.. oids.Select(oid => Der.Seq(Der.Oid(oid)))]));

    public CertificateSpec Mappings(params (string Ours, string Theirs)[] pairs) => With("2.5.29.33", true, Der.Seq([.. pairs.Select(pair => Der.Seq(Der.Oid(pair.Ours), Der.Oid(pair.Theirs)))]));

    public CertificateSpec PolicyConstraints(int? require = null, int? inhibit = null) => With("2.5.29.36", true, Der.Seq(
        require is { } first ? Der.Tag(0, Der.Int(first)[2..]) : [],
        inhibit is { } second ? Der.Tag(1, Der.Int(second)[2..]) : []));

    public CertificateSpec InhibitAny(int skip) => With("2.5.29.54", true, Der.Int(skip));

    public CertificateSpec Crl(params string[] uris) => With("2.5.29.31", false, Der.Seq([.. uris.Select(uri => General.Point(General.Uri(uri)))]));

    public CertificateSpec Delta(params string[] uris) => With("2.5.29.46", false, Der.Seq([.. uris.Select(uri => General.Point(General.Uri(uri)))]));

    public CertificateSpec Ocsp(params string[] uris) => With("1.3.6.1.5.5.7.1.1", false, Der.Seq([.. uris.Select(uri => Der.Seq(Der.Oid("1.3.6.1.5.5.7.48.1"), General.Uri(uri)))]));

    /// <summary>The certificate, signed by <paramref name="issuer"/>; null: by itself.</summary>
    public byte[] Build(byte[] subject, Entity? issuer)
    {
        var signer = issuer?.Key ?? Key;
        var issuerName = IssuerName is null ? issuer?.Subject ?? subject : General.Name(IssuerName);
        var extensions = _extensions.ToList();
        if (_names.Count > 0) extensions.Add(("2.5.29.17", subject.Length == 2, Der.Seq([.. _names])));
        if (!NoKeyIds)
        {
            extensions.Add(("2.5.29.14", false, Der.Octets(Issuing.KeyId(Key))));
            extensions.Add(("2.5.29.35", false, Der.Seq(Der.Tag(0, AuthorityKeyId ?? Issuing.KeyId(signer)))));
        }

        var list = extensions.Select(extension => extension.Critical ? Der.Seq(Der.Oid(extension.Oid), Der.Bool(true), Der.Octets(extension.Value)) : Der.Seq(Der.Oid(extension.Oid), Der.Octets(extension.Value))).ToArray();
        var tbs = Der.Seq(
            Version > 1 ? Der.Box(0, Der.Int(Version - 1)) : [],
            Der.Of(0x02, Serial ?? Issuing.NewSerial()),
            signer.Algorithm(Hash),
            issuerName,
            Der.Seq(Der.Time(From), Der.Time(To)),
            subject,
            Key.Spki,
            list.Length > 0 && Version == 3 ? Der.Box(3, Der.Seq(list)) : []);
        return signer.Signed(tbs, Hash);
    }
}

/// <summary>General names and what is made of them.</summary>
internal static class General
{
    public static byte[] Name(string text) => text.Length == 0 ? Der.Seq() : DistinguishedName.TryEncode(text, out var der) ? der : throw new ArgumentException(text);

    public static byte[] Dns(string name) => Der.Text(0x82, name);

    public static byte[] Mail(string name) => Der.Text(0x81, name);

    public static byte[] Uri(string name) => Der.Text(0x86, name);

    public static byte[] Ip(string address) => Der.Of(0x87, IPAddress.Parse(address).GetAddressBytes());

    public static byte[] Net(string address, string mask) => Der.Of(0x87, IPAddress.Parse(address).GetAddressBytes(), IPAddress.Parse(mask).GetAddressBytes());

    public static byte[] Directory(string name) => Der.Box(4, Name(name));

    /// <summary>DistributionPoint with full names.</summary>
    public static byte[] Point(params byte[][] names) => Der.Seq(Der.Box(0, Der.Box(0, names)));
}
