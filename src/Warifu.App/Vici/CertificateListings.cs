using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using Warifu.App.Configuration;
using Warifu.App.Daemon;
using Warifu.Policy;

namespace Warifu.App.Vici;

/// <summary>Certificates, authorities, pools and authentication rounds as VICI messages, in the forms that existing clients read.</summary>
internal static class CertificateListings
{
    /// <summary>Type and flag of list-cert; no flag for what has none.</summary>
    public static (string Type, string? Flag) TypeOf(CertificateType type) => type switch
    {
        CertificateType.PublicKey => ("PUBKEY", null),
        CertificateType.Crl => ("X509_CRL", null),
        CertificateType.AttributeCertificate => ("X509_AC", null),
        CertificateType.OcspResponse => ("OCSP_RESPONSE", null),
        CertificateType.Ca => ("X509", "CA"),
        CertificateType.Aa => ("X509", "AA"),
        CertificateType.Ocsp => ("X509", "OCSP"),
        _ => ("X509", "NONE"),
    };

    /// <summary>All that the daemon has, each once, in the order of the types: what was loaded by itself, those of authorities, those of connections.</summary>
    public static IEnumerable<LoadedCertificate> AllCertificates(ConfigStore config)
    {
        var all = new List<LoadedCertificate>(config.Certificates);
        all.AddRange(config.Authorities.Select(authority => new LoadedCertificate(CertificateType.Ca, authority.Certificate)));
        foreach (var connection in config.Connections)
        {
            foreach (var local in connection.LocalRounds.Prepend(connection.Local))
            {
                all.AddRange(local.Certificates.Select(der => new LoadedCertificate(CertificateType.X509, der)));
                all.AddRange(local.PublicKeys.Select(der => new LoadedCertificate(CertificateType.PublicKey, der)));
            }

            foreach (var remote in connection.RemoteRounds.Prepend(connection.Remote))
            {
                all.AddRange(remote.Certificates.Select(der => new LoadedCertificate(CertificateType.X509, der)));
                all.AddRange(remote.CaCertificates.Select(der => new LoadedCertificate(CertificateType.Ca, der)));
                all.AddRange(remote.PublicKeys.Select(der => new LoadedCertificate(CertificateType.PublicKey, der)));
            }
        }

        // the same octets as CA and as something else are a CA
        return all.Distinct().GroupBy(one => one.Der, OctetComparer.Instance).Select(same => same.MaxBy(one => one.Type == CertificateType.Ca)!).OrderBy(one => one.Type);
    }

    public static bool IsSubject(LoadedCertificate one, string subject) =>
        one.Parsed is { } certificate && IdentityPattern.TryParse(subject, out var pattern, out _) && pattern.Exact is { } identity && (CertificateReader.Carries(certificate, identity) || certificate.Subject.ToString() == subject);

    /// <summary>Body of list-cert.</summary>
    /// <param name="one">The certificate.</param>
    /// <param name="keys">Ids of the private keys that are there.</param>
    public static ViciMessage Certificate(LoadedCertificate one, IReadOnlySet<string> keys)
    {
        var (type, flag) = TypeOf(one.Type);
        var body = new ViciMessage().Add("type", type);
        if (flag is not null) body.Add("flag", flag);
        body.Flag("has_privkey", one.Key is { } key && keys.Contains(Convert.ToHexStringLower(key.KeyId.Span)));
        return body.Add("data", one.Der.ToArray());
    }

    /// <summary>Body of list-authority.</summary>
    public static ViciMessage Authority(Authority authority)
    {
        var body = new ViciMessage().Add("cacert", CertificateReader.NameOf(authority.Certificate.AsMemory())).Add("crl_uris", authority.CrlUris).Add("ocsp_uris", authority.OcspUris);
        if (authority.CertUriBase is { } uri) body.Add("cert_uri_base", uri);
        return new ViciMessage().Add(authority.Name, body);
    }

    /// <summary>What get-pools says of one pool.</summary>
    public static ViciMessage Pool(PoolStatus pool, bool leases)
    {
        var body = new ViciMessage().Add("base", pool.Base.IsNone ? "%any" : pool.Base.ToString()).Add("size", pool.Size.ToString(CultureInfo.InvariantCulture)).Add("online", pool.Online).Add("offline", pool.Offline);
        if (!leases) return body;
        var list = new ViciMessage();
        foreach (var (lease, number) in pool.Leases.Select((lease, number) => (lease, number)))
        {
            list.Add(number.ToString(CultureInfo.InvariantCulture), new ViciMessage().Add("address", lease.Address.ToString()).Add("identity", Identities.Print(lease.Identity)).Add("status", lease.Online ? "online" : "offline"));
        }

        return body.Add("leases", list);
    }

    /// <summary>One of our rounds in list-conn.</summary>
    public static ViciMessage Local(LocalAuth local)
    {
        var id = local.Id is { } own ? Identities.Print(own) : local.Certificates is [var first, ..] ? CertificateReader.NameOf(first.AsMemory()) : null;
        var round = Round(local.Kind, id);
        if (local.XauthId is { } user) round.Add("xauth_id", Identities.Print(user));
        return round.Add("groups", Array.Empty<string>()).Add("cert_policy", Array.Empty<string>()).Add("certs", local.Certificates.Select(der => CertificateReader.NameOf(der.AsMemory()))).Add("cacerts", Array.Empty<string>());
    }

    /// <summary>One of the peer's rounds.</summary>
    public static ViciMessage Remote(RemoteAuth remote)
    {
        var body = Round(remote.Kind, remote.Id == IdentityPattern.Any ? null : remote.Id.Text);
        if (remote.Revocation != RevocationPolicy.Relaxed) body.Add("revocation", remote.Revocation == RevocationPolicy.Strict ? "GOOD" : "SKIPPED");
        if (remote.CaId is { } authority) body.Add("ca_id", Identities.Print(authority));
        return body.Add("groups", Array.Empty<string>()).Add("cert_policy", remote.CertPolicies).Add("certs", remote.Certificates.Select(der => CertificateReader.NameOf(der.AsMemory()))).Add("cacerts", remote.CaCertificates.Select(der => CertificateReader.NameOf(der.AsMemory())));
    }

    /// <summary>Own certificates of a connection with their ends, a line each.</summary>
    public static IEnumerable<string> Own(Connection connection, DateTimeOffset now)
    {
        foreach (var der in connection.LocalRounds.Prepend(connection.Local).SelectMany(local => local.Certificates))
        {
            if (!Pki.Certificate.TryParse(der.AsMemory(), out var certificate, out _)) continue;
            var state = now > certificate!.NotAfter ? "EXPIRED at" : now < certificate.NotBefore ? "NOT YET VALID, until" : "until";
            yield return $"'{certificate.Name}' {state} {certificate.NotAfter.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture)}";
        }
    }

    private static ViciMessage Round(AuthKind kind, string? id)
    {
        var body = new ViciMessage();
        if (id is not null) body.Add("id", id);
        return body.Add("class", kind switch { AuthKind.Psk => "pre-shared key", AuthKind.PublicKey => "public key", AuthKind.Xauth => "XAuth", _ => "EAP" });
    }

    private sealed class OctetComparer : IEqualityComparer<System.Collections.Immutable.ImmutableArray<byte>>
    {
        public static OctetComparer Instance { get; } = new();

        public bool Equals(System.Collections.Immutable.ImmutableArray<byte> left, System.Collections.Immutable.ImmutableArray<byte> right) => left.AsSpan().SequenceEqual(right.AsSpan());

        public int GetHashCode(System.Collections.Immutable.ImmutableArray<byte> octets)
        {
            var hash = default(HashCode);
            hash.AddBytes(octets.AsSpan());
            return hash.ToHashCode();
        }
    }
}
