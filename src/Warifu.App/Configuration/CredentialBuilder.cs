using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.Linq;
using Warifu.Crypto.Signatures;
using Warifu.Policy;

namespace Warifu.App.Configuration;

/// <summary>Certificates and private keys of a configuration, understood.</summary>
internal sealed record Credentials
{
    public static Credentials None { get; } = new();

    public ImmutableArray<LoadedCertificate> Certificates { get; init; } = [];

    /// <summary>Private keys; whoever takes them owns them.</summary>
    public ImmutableArray<(string Name, PrivateKey Key)> Keys { get; init; } = [];

    public void Erase()
    {
        foreach (var (_, key) in Keys) key.Dispose();
    }
}

/// <summary>Understands what <see cref="CredentialFiles"/> has read. What cannot be used is a limit of its file.</summary>
internal static class CredentialBuilder
{
    public static Credentials Build(CredentialSet set, List<Diagnostic> findings)
    {
        var certificates = new List<LoadedCertificate>();
        foreach (var data in set.Certificates) certificates.AddRange(Read(data, findings));
        var keys = ImmutableArray.CreateBuilder<(string, PrivateKey)>();
        foreach (var data in set.Keys)
        {
            var (key, inside, error) = Open(data);
            if (error is not null) findings.Add(Cannot(data, error));
            if (key is not null) keys.Add((data.Name, key));
            certificates.AddRange(inside);
        }

        return new Credentials { Certificates = [.. certificates.Distinct()], Keys = keys.ToImmutable() };
    }

    /// <summary>What can be done is said once: by whoever read the file, or here.</summary>
    private static Diagnostic Cannot(KeyData data, string error)
    {
        var (text, remedy) = error.Split("; ", 2) is [var what, var how] ? (what, how) : (error, "");
        if (text.EndsWith("is encrypted", StringComparison.Ordinal)) remedy = "give its password in a section of 'secrets' whose name begins with that of the folder: file and secret";
        else if (remedy.Length == 0) remedy = data.Passwords.Count == 0 ? "if it is encrypted, give its password in a section of 'secrets'; else put an unencrypted key there" : "correct the password in 'secrets', or the file";
        return new Diagnostic(Severity.Limit, data.Position, text, remedy);
    }

    /// <summary>The certificates of one file. One that says that it is a CA is a CA only where CAs are loaded.</summary>
    public static IEnumerable<LoadedCertificate> Read(CertificateData data, List<Diagnostic> findings)
    {
        if (!CertificateReader.TryRead(data.Type, data.Data, out var objects, out var error))
        {
            findings.Add(new Diagnostic(Severity.Limit, data.Position, error, "replace or remove the file"));
            return [];
        }

        if (data.Type == CertificateType.Ca)
        {
            foreach (var der in objects.Where(der => CertificateReader.IsAuthority(der.AsMemory()) == false)) findings.Add(new Diagnostic(Severity.Limit, data.Position, $"'{CertificateReader.NameOf(der.AsMemory())}' is no CA: its basic constraints do not say so", "put end-entity certificates into x509"));
            objects = [.. objects.Where(der => CertificateReader.IsAuthority(der.AsMemory()) == true)];
        }
        else if (data.Type is CertificateType.Aa or CertificateType.AttributeCertificate)
        {
            findings.Add(new Diagnostic(Severity.Notice, data.Position, "attribute certificates have no effect"));
        }

        return objects.Select(der => new LoadedCertificate(data.Type, der));
    }

    /// <summary>Tries the file as it is, then each password.</summary>
    public static (PrivateKey? Key, ImmutableArray<LoadedCertificate> Certificates, string? Error) Open(KeyData data)
    {
        string? error = null;
        foreach (var password in data.Passwords.Prepend([]))
        {
            try
            {
                if (!data.IsContainer) return (PrivateKey.Parse(data.Data, password), [], null);
                var (key, inside) = KeyFile.ReadPkcs12(data.Data, password);
                // whoever sends us a container with a CA in it does not tell us whom to trust
                return (key, [.. inside.Select(der => new LoadedCertificate(CertificateType.X509, der))], key is null ? "the container holds no private key" : null);
            }
            catch (FormatException exception)
            {
                error = exception.Message;
            }
        }

        return (null, [], error);
    }

    /// <summary>The password that opens the file (empty for none); null when none does.</summary>
    public static byte[]? PasswordOf(KeyData data)
    {
        foreach (var password in data.Passwords.Prepend([]))
        {
            var (key, _, _) = Open(data with { Passwords = password.Length == 0 ? [] : [password] });
            key?.Dispose();
            if (key is not null) return password;
        }

        return null;
    }

    /// <summary>What certificates are trusted: authorities by name, then CAs that sign themselves. Other CAs help to build paths, as do all others.</summary>
    public static TrustMaterial TrustOf(IEnumerable<LoadedCertificate> certificates, IReadOnlyCollection<Authority> authorities, IEnumerable<ImmutableArray<byte>> chains)
    {
        var (trusted, others, crls) = (new List<Authority>(authorities), new List<ImmutableArray<byte>>(), ImmutableArray.CreateBuilder<ImmutableArray<byte>>());
        foreach (var one in certificates)
        {
            switch (one.Type)
            {
                case CertificateType.Ca when one.Parsed is { IsSelfIssued: true } root:
                    if (!trusted.Exists(known => known.Certificate.AsSpan().SequenceEqual(one.Der.AsSpan()))) trusted.Add(new Authority { Name = root.Name, Certificate = one.Der });
                    break;
                case CertificateType.Crl:
                    crls.Add(one.Der);
                    break;
                case CertificateType.X509 or CertificateType.Ca or CertificateType.Ocsp:
                    others.Add(one.Der);
                    break;
            }
        }

        var further = others.Concat(chains).Select(der => new LoadedCertificate(CertificateType.X509, der)).Distinct().Select(one => one.Der);
        return new TrustMaterial { Authorities = [.. trusted], Certificates = [.. further], Crls = crls.ToImmutable() };
    }
}
