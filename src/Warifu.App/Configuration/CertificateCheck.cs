using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.Linq;
using Warifu.Crypto.Signatures;
using Warifu.Policy;
using Warifu.V1;

namespace Warifu.App.Configuration;

/// <summary>Warns of connections with certificates that cannot come up as the configuration stands: no private key, nobody to trust, no longer valid.</summary>
internal static class CertificateCheck
{
    public static void Judge(BuiltConfiguration built, List<Diagnostic> findings)
    {
        var keys = built.Credentials.Keys.Select(key => Convert.ToHexStringLower(key.Key.Public.KeyId.Span)).ToHashSet(StringComparer.Ordinal);
        var trusted = !built.Authorities.IsEmpty || built.Credentials.Certificates.Any(one => one.Type == CertificateType.Ca);
        foreach (var connection in built.Policy.Connections)
        {
            var position = built.PositionOf(connection.Name);
            foreach (var pool in connection.Pools.Where(name => !built.PoolNames.Contains(name))) findings.Add(new Diagnostic(Severity.Warning, position, $"connection '{connection.Name}' names the pool '{pool}', which this configuration does not have", "add it to 'pools', or load it by other means"));
            foreach (var local in connection.LocalRounds.Prepend(connection.Local).Where(round => round.Kind == AuthKind.PublicKey))
            {
                var own = local.Certificates.Select(der => CertificateReader.KeyOf(der.AsMemory())).Concat(local.PublicKeys.Select(Parse)).OfType<PublicKey>().ToList();
                if (own.Count == 0)
                {
                    own = Candidates(local, built.Credentials.Certificates).Select(der => CertificateReader.KeyOf(der.AsMemory())).OfType<PublicKey>().ToList();
                    // those that a connection names itself were judged where it names them
                    CheckFit(built, connection, local, own, Severity.Warning, findings);
                    if (Suite.All.FirstOrDefault(suite => suite.Name == connection.Suite) is { } suite && own.Count > 0 && own.TrueForAll(key => suite.Misfit(key) is not null)) findings.Add(new Diagnostic(Severity.Error, position, $"{suite.Misfit(own[0])}: the certificate for {Identities.Print(local.Id)}, which connection '{connection.Name}' would use", $"get us a certificate with {suite.WantedKey}"));
                }
                else
                {
                    CheckFit(built, connection, local, own, Severity.Error, findings);
                }

                if (own.Count == 0) findings.Add(new Diagnostic(Severity.Warning, position, $"connection '{connection.Name}' has no certificate of its own", "add 'certs = FILE' or 'pubkeys = FILE' to its section 'local', or load one for its id by other means"));
                else if (!own.Exists(key => keys.Contains(Convert.ToHexStringLower(key.KeyId.Span)))) findings.Add(new Diagnostic(Severity.Warning, position, $"no private key in this configuration fits a certificate of connection '{connection.Name}'", "put it into the folder 'private', with its password in 'secrets' if it has one, or load it by other means"));
                if (local is { Id: { } id, Certificates: [var first, ..] } && local.Certificates.All(der => Pki.Certificate.TryParse(der.AsMemory(), out var one, out _) && !CertificateReader.Carries(one!, id))) findings.Add(new Diagnostic(Severity.Warning, position, $"the identity {Identities.Print(id)} of connection '{connection.Name}' is not in its certificate '{CertificateReader.NameOf(first.AsMemory())}': peers refuse that (RFC 4945)", "write an id that is a subject alternative name or the subject of the certificate, or get another certificate"));
                foreach (var der in local.Certificates) CheckDates(der, position, findings);
            }

            foreach (var remote in connection.RemoteRounds.Prepend(connection.Remote).Where(round => round.Kind == AuthKind.PublicKey))
            {
                if (!trusted && remote.CaCertificates.IsEmpty && remote.Certificates.IsEmpty && remote.PublicKeys.IsEmpty) findings.Add(new Diagnostic(Severity.Warning, position, $"connection '{connection.Name}' trusts nobody: there is no authority in this configuration", "put the certificate of the peer's CA into the folder 'x509ca', name it in cacerts, or name the peer's certificate in certs"));
            }
        }
    }

    /// <summary>Of several keys the one that fits is used: one must. Suites have their own words for it.</summary>
    private static void CheckFit(BuiltConfiguration built, Connection connection, LocalAuth local, List<PublicKey> own, Severity severity, List<Diagnostic> findings)
    {
        if (own.Count == 0 || Suite.All.FirstOrDefault(suite => suite.Name == connection.Suite) is { Auth: not null }) return;
        var path = $"connections.{connection.Name}.local.auth";
        var position = built.Places.GetValueOrDefault(connection.Name)?.Named(path).FirstOrDefault() is { Path: not null } place ? place.Position : built.PositionOf(connection.Name);
        var kinds = string.Join(", ", own.Select(key => key.ToString()).Distinct());
        var fitting = own.Where(local.Schemes.AllowsIkeKey).ToList();
        if (fitting.Count == 0)
        {
            findings.Add(new Diagnostic(severity, position, $"{path} = {local.Schemes.Text}, and no certificate of connection '{connection.Name}' has such a key: {kinds}", "name another certificate in certs, or change auth"));
        }
        else if (connection.Version == IkeVersion.V1 && fitting.TrueForAll(key => IsakmpSuite.AuthOf(key) == 0))
        {
            findings.Add(new Diagnostic(severity, position, $"IKEv1 has no signatures of {kinds}, and connection '{connection.Name}' has no other certificate", "get one with an RSA or ECDSA key, or write version = 2"));
        }
        else if (connection is { Version: IkeVersion.V1, Remote.Kind: AuthKind.Xauth } && fitting.TrueForAll(key => key.Kind != PublicKeyKind.Rsa))
        {
            findings.Add(new Diagnostic(severity, position, $"hybrid authentication wants an RSA certificate of the gateway, and connection '{connection.Name}' has {kinds}", "get one with an RSA key"));
        }
        else if (connection.Version == IkeVersion.V1 && connection.LocalRounds.Length + connection.RemoteRounds.Length > 0 && fitting.TrueForAll(key => IsakmpSuite.WithXauth(IsakmpSuite.AuthOf(key), userInitiates: true) == 0))
        {
            findings.Add(new Diagnostic(severity, position, $"XAuth goes with pre-shared keys, RSA and DSS only, and connection '{connection.Name}' has {kinds}", "get a certificate with an RSA key"));
        }
    }

    /// <summary>Loaded certificates that a connection without any of its own may use: those that carry its identity.</summary>
    public static ImmutableArray<ImmutableArray<byte>> Candidates(LocalAuth local, IEnumerable<LoadedCertificate> certificates)
    {
        if (local is not { Kind: AuthKind.PublicKey, Id: { } id } || !local.Certificates.IsEmpty || !local.PublicKeys.IsEmpty) return [];
        return [.. certificates.Where(one => one is { Type: CertificateType.X509 or CertificateType.Ocsp, Parsed: { } certificate } && CertificateReader.Carries(certificate, id)).Select(one => one.Der)];
    }

    private static PublicKey? Parse(ImmutableArray<byte> spki) => PublicKey.TryParse(spki.AsSpan(), out var key) ? key : null;

    private static void CheckDates(ImmutableArray<byte> der, SourcePosition position, List<Diagnostic> findings)
    {
        if (!Pki.Certificate.TryParse(der.AsMemory(), out var certificate, out _)) return;
        var now = DateTimeOffset.UtcNow;
        if (now > certificate!.NotAfter) findings.Add(new Diagnostic(Severity.Warning, position, $"the certificate '{certificate.Name}' expired at {certificate.NotAfter:yyyy-MM-dd HH:mm:ss}Z", "renew it"));
        else if (now < certificate.NotBefore) findings.Add(new Diagnostic(Severity.Warning, position, $"the certificate '{certificate.Name}' is valid from {certificate.NotBefore:yyyy-MM-dd HH:mm:ss}Z on", "correct the clock, or get another one"));
    }
}
