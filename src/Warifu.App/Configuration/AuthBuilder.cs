using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.Linq;
using Warifu.Policy;
using Warifu.Primitives;

namespace Warifu.App.Configuration;

/// <summary>Who authenticates how: the sections <c>local…</c> and <c>remote…</c> of a connection, in their rounds (RFC 4739).</summary>
internal sealed class AuthBuilder(ConfigSection connection, List<Diagnostic> findings)
{
    private static readonly string[] s_sections = ["cert", "cacert"];

    /// <summary>Further certificates that stood in files with own ones: for the chains that we send.</summary>
    public ImmutableArray<ImmutableArray<byte>>.Builder Chains { get; } = ImmutableArray.CreateBuilder<ImmutableArray<byte>>();

    /// <summary>Our rounds, at least one.</summary>
    public ImmutableArray<LocalAuth> Local() => [.. Rounds("local", Scope.Local).Select(LocalOf).DefaultIfEmpty(new LocalAuth { Kind = AuthKind.PublicKey })];

    /// <summary>The peer's rounds, at least one.</summary>
    public ImmutableArray<RemoteAuth> Remote() => [.. Rounds("remote", Scope.Remote).Select(RemoteOf).DefaultIfEmpty(new RemoteAuth { Kind = AuthKind.PublicKey })];

    private List<SectionReader> Rounds(string side, Scope scope)
    {
        var readers = new List<(long Round, SectionReader Reader)>();
        foreach (var section in connection.Sections)
        {
            if (!section.Name.StartsWith(side, StringComparison.Ordinal)) continue;
            var reader = new SectionReader(section, scope, $"'{section.Name}' of connection '{connection.Name}'", findings);
            foreach (var file in section.Sections) CheckFile(section, file);
            readers.Add((reader.Number("round", 0), reader));
        }

        // what has the same number stays in the order of the file
        return [.. readers.OrderBy(one => one.Round).Select(one => one.Reader)];
    }

    /// <summary>A section for a single certificate: those of files were read by whoever read this file, so what is left is wrong or comes from a client.</summary>
    private void CheckFile(ConfigSection round, ConfigSection file)
    {
        if (!s_sections.Any(name => file.Name.StartsWith(name, StringComparison.Ordinal)))
        {
            findings.Add(new Diagnostic(Severity.Error, file.Position, $"unknown section '{file.Name}' in '{round.Name}'", "sections here are cert and cacert"));
            return;
        }

        _ = new SectionReader(file, Scope.CertFile, $"'{file.Name}'", findings);
        var (byFile, byHandle) = (file.Find("file") is not null, file.Find("handle") is not null);
        if (byFile && byHandle) findings.Add(new Diagnostic(Severity.Error, file.Position, $"handle and file path given: {file.Name}", "keep one of them"));
        else if (!byFile && !byHandle) findings.Add(new Diagnostic(Severity.Error, file.Position, $"handle or file path missing: {file.Name}", "name a file"));
        else if (byFile) findings.Add(new Diagnostic(Severity.Limit, file.Position, $"unable to load certificate: {file.Name}: the daemon reads no files for its clients", "send the certificate itself in certs or cacerts"));
    }

    private LocalAuth LocalOf(SectionReader reader)
    {
        var (kind, words) = Method(reader);
        var local = new LocalAuth { Kind = kind, Schemes = words };
        if (kind == AuthKind.Xauth && reader.Text("xauth_id") is { } user)
        {
            if (!IdentityPattern.TryParse(user, out var name, out _) || name.Exact is null) reader.Error("xauth_id", $"'{user}' is no user's name", "write one definite name");
            else local = local with { XauthId = name.Exact };
        }
        else if (reader.Has("xauth_id"))
        {
            findings.Add(new Diagnostic(Severity.Notice, reader.PositionOf("xauth_id"), $"xauth_id has no effect: '{reader.Section.Name}' does not authenticate by XAuth", ""));
        }

        if (reader.Text("id") is { } text && IdentityPattern.TryParse(text, out var pattern, out _) && !ReferenceEquals(pattern, IdentityPattern.Any))
        {
            if (pattern.Exact is null) reader.Error("id", $"the own identity '{text}' is a pattern", "write one definite identity");
            local = local with { Id = pattern.Exact };
        }

        if (kind != AuthKind.PublicKey)
        {
            Unused(reader, "certs", "pubkeys");
            return local;
        }

        return local with { Certificates = Certificates(reader, "certs", Chains), PublicKeys = PublicKeys(reader) };
    }

    private RemoteAuth RemoteOf(SectionReader reader)
    {
        var (kind, words) = Method(reader);
        var remote = new RemoteAuth { Kind = kind, Constraints = words };
        if (reader.Text("id") is { } text && IdentityPattern.TryParse(text, out var pattern, out _)) remote = remote with { Id = pattern };
        if (kind != AuthKind.PublicKey)
        {
            Unused(reader, "certs", "pubkeys", "cacerts", "ca_id", "revocation", "cert_policy");
            return remote;
        }

        var authority = reader.Text("ca_id") is { } name && IdentityPattern.TryParse(name, out var wanted, out _) ? wanted : null;
        if (authority is { Exact: null }) reader.Error("ca_id", $"'{authority}' is a pattern", "write the whole subject of the CA");
        var authorities = Certificates(reader, "cacerts", null);
        foreach (var der in authorities)
        {
            if (CertificateReader.IsAuthority(der.AsMemory()) == false) reader.Error("cacerts", $"'{CertificateReader.NameOf(der.AsMemory())}' is no CA: its basic constraints do not say so", "name the certificate of the CA; the peer's own goes to certs");
        }

        return remote with
        {
            Certificates = Certificates(reader, "certs", Chains),
            CaCertificates = authorities,
            PublicKeys = PublicKeys(reader),
            CaId = authority?.Exact,
            Revocation = reader.Word("revocation", "relaxed") switch { "strict" => RevocationPolicy.Strict, "ifuri" => RevocationPolicy.IfUri, _ => RevocationPolicy.Relaxed },
            CertPolicies = Policies(reader),
        };
    }

    private (AuthKind Kind, AuthConstraints Words) Method(SectionReader reader)
    {
        var method = reader.Text("auth") ?? "pubkey";
        if (method == "psk") return (AuthKind.Psk, AuthConstraints.Any);
        if (method is "xauth" or "xauth-generic" or "xauth-eap") return (AuthKind.Xauth, AuthConstraints.Any);
        if (method.StartsWith("eap", StringComparison.Ordinal) || method.StartsWith("xauth", StringComparison.Ordinal))
        {
            reader.Add(Severity.Limit, reader.PositionOf("auth"), $"'{reader.Section.Name}' of connection '{connection.Name}': authentication by '{method}' is not there yet", "use auth = psk, pubkey or xauth");
            return (AuthKind.Eap, AuthConstraints.Any);
        }

        if (AuthConstraints.TryParse(method, out var words, out var error))
        {
            WarnOfWeak(reader, method, words);
            return (AuthKind.PublicKey, words);
        }

        var begins = new[] { "pubkey", "rsa", "ecdsa", "ed25519", "ed448", "dsa", "ike:" }.Any(word => method.StartsWith(word, StringComparison.Ordinal));
        if (begins) reader.Error("auth", $"auth: {error}", "");
        else reader.Error("auth", $"unknown authentication '{method}'", "one of psk, pubkey, eap, xauth, or a list of signature schemes such as ecdsa-256-sha256");
        return (AuthKind.PublicKey, AuthConstraints.Any);
    }

    /// <summary>What is weak is used and accepted when it is named, and warned of.</summary>
    private void WarnOfWeak(SectionReader reader, string method, AuthConstraints words)
    {
        var path = $"{reader.Section.Name}.auth = {method} of connection '{connection.Name}'";
        var rules = words.Ike.Concat(words.Chain).ToList();
        if (rules.Find(rule => rule.Key is AuthKey.Rsa or AuthKey.RsaPss && rule.MinBits is > 0 and < 2048) is { MinBits: > 0 } small) Weak($"RSA keys of {small.MinBits} bits: they are within reach of large attackers", "rsa-2048 or more");
        if (rules.Exists(rule => rule.Hashes.Contains(HashId.Sha1))) Weak("SHA-1 in signatures: collisions are practical (RFC 8247, RFC 9155)", "sha256");
        if (rules.Exists(rule => rule.Key == AuthKey.Dsa)) Weak("DSA: one bad random number gives the key away, and IKEv1 has it with SHA-1 alone", "rsa or ecdsa");

        void Weak(string what, string instead) => findings.Add(new Diagnostic(Severity.Warning, reader.Section.Find("auth")!.ValuePosition, $"WEAK: {path} names {what}", $"write {instead} instead"));
    }

    private void Unused(SectionReader reader, params ReadOnlySpan<string> keys)
    {
        foreach (var key in keys)
        {
            if (reader.Has(key)) findings.Add(new Diagnostic(Severity.Notice, reader.PositionOf(key), $"{key} has no effect: '{reader.Section.Name}' does not authenticate by certificates", ""));
        }
    }

    /// <summary>The first certificate of each file; what follows it goes to <paramref name="chains"/>, or counts too where there are none.</summary>
    private static ImmutableArray<ImmutableArray<byte>> Certificates(SectionReader reader, string key, ImmutableArray<ImmutableArray<byte>>.Builder? chains)
    {
        var found = ImmutableArray.CreateBuilder<ImmutableArray<byte>>();
        foreach (var file in reader.Contents(key))
        {
            if (!CertificateReader.TryRead(CertificateType.X509, file, out var certificates, out var error))
            {
                reader.Error(key, $"{key}: {error}", "name files in PEM or DER");
                continue;
            }

            if (chains is null) found.AddRange(certificates);
            else found.Add(certificates[0]);
            chains?.AddRange(certificates.Skip(1));
        }

        return found.ToImmutable();
    }

    private static ImmutableArray<ImmutableArray<byte>> PublicKeys(SectionReader reader)
    {
        var found = ImmutableArray.CreateBuilder<ImmutableArray<byte>>();
        foreach (var file in reader.Contents("pubkeys"))
        {
            if (CertificateReader.TryRead(CertificateType.PublicKey, file, out var keys, out var error)) found.AddRange(keys);
            else reader.Error("pubkeys", $"pubkeys: {error}", "name files in PEM or DER");
        }

        return found.ToImmutable();
    }

    private static ImmutableArray<string> Policies(SectionReader reader)
    {
        var policies = reader.Items("cert_policy").ToImmutableArray();
        foreach (var oid in policies)
        {
            var arcs = oid.Split('.');
            if (arcs.Length < 2 || !arcs.All(arc => arc.Length is > 0 and < 20 && arc.All(char.IsAsciiDigit))) reader.Error("cert_policy", $"'{oid}' is no object identifier", "write numbers with dots, for example 1.3.6.1.4.1.36906.1.1");
        }

        return policies;
    }
}
