using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading.Tasks;
using Warifu.App.Configuration;
using Warifu.App.Vici;
using Warifu.Crypto.Signatures;

namespace Warifu.App.Daemon;

/// <summary>Commands for certificates, private keys, authorities and pools: at once, or gathered in a transaction.</summary>
internal static class CredentialCommands
{
    private static readonly string[] s_certificateTypes = ["x509", "x509_ac", "x509_crl", "ocsp_response", "pubkey", "any", "x509ca", "x509ocsp", "x509aa", "x509ac", "x509crl"];

    private static readonly string[] s_keyTypes = ["rsa", "ecdsa", "ed25519", "ed448", "any"];

    public static void Register(WarifuDaemon daemon)
    {
        var server = daemon.Server;
        server.Register("load-cert", (request, _) => LoadCertAsync(daemon, request));
        server.Register("load-key", (request, _) => Task.FromResult(LoadKey(daemon, request)));
        server.Register("unload-key", (request, _) => Task.FromResult(request.Message.Text("id") is not { } id ? Commands.Failure("key id missing") : daemon.Config.RemoveKey(id.Replace(":", "", StringComparison.Ordinal).ToLowerInvariant()) ? Commands.Success() : Commands.Failure("key not found")));
        server.Register("get-keys", (_, _) => Task.FromResult(new ViciMessage().Add("keys", daemon.Config.Secrets.KeyIds)));
        server.Register("load-token", (request, _) => Task.FromResult(Commands.Failure(request.Message.Text("handle") is null ? "keyid missing" : "loading private key from token failed: tokens are not there yet")));
        server.Register("flush-certs", (request, _) => Task.FromResult(FlushDocuments(daemon, request)));
        server.Register("clear-creds", async (_, _) =>
        {
            await daemon.Config.ClearCredentialsAsync(daemon.Node);
            return Commands.Success();
        });
        server.Register("load-authority", (request, _) => LoadAuthorityAsync(daemon, request));
        server.Register("unload-authority", async (request, _) => request.Message.Text("name") is not { } name ? Commands.Failure("unload: missing authority name")
            : await daemon.Config.RemoveAuthorityAsync(name, daemon.Node) ? Commands.Success() : Commands.Failure($"unload: authority '{name}' not found"));
        server.Register("get-authorities", (_, _) => Task.FromResult(new ViciMessage().Add("authorities", daemon.Config.Authorities.Select(authority => authority.Name))));
        server.Register("list-authorities", (request, _) => ListAuthoritiesAsync(daemon, request));
        server.Register("list-certs", (request, _) => ListCertsAsync(daemon, request));
        server.Register("load-pool", (request, _) => LoadPoolAsync(daemon, request));
        server.Register("unload-pool", (request, _) => UnloadPoolAsync(daemon, request));
        server.Register("get-pools", (request, _) => Task.FromResult(GetPools(daemon, request)));
    }

    private static async Task<ViciMessage> LoadCertAsync(WarifuDaemon daemon, ViciRequest request)
    {
        var message = request.Message;
        if (message.Text("type") is not { } type) return Commands.Failure("certificate type missing");
        if (TypeOf(type, message.Text("flag"), out var error) is not { } kind) return Commands.Failure(error);
        if (message.Find("data")?.Value is not { Length: > 0 } data) return Commands.Failure("certificate data missing");
        if (!CertificateReader.TryRead(kind, data, out var objects, out var why)) return Commands.Failure($"parsing {NameOf(kind)} certificate failed: {why}");
        if (kind == CertificateType.Ca && objects.Any(der => CertificateReader.IsAuthority(der.AsMemory()) == false)) return Commands.Failure("ca certificate lacks CA basic constraint, rejected");
        var own = message.Bool("x-own");
        // as its users know it, what says that it is a CA is one, whatever the flag; our own client knows the folder
        var loaded = objects.Select(der => new LoadedCertificate(!own && kind == CertificateType.X509 && CertificateReader.IsAuthority(der.AsMemory()) == true ? CertificateType.Ca : kind, der)).ToList();
        if (request.Session.Staged is { } staged)
        {
            if (!staged.TryGrow(request.Length)) return Commands.Failure("the transaction holds more than 64 MiB");
            staged.Certificates.AddRange(loaded);
            return Commands.Success();
        }

        await daemon.Config.AddAsync(loaded, daemon.Node);
        return Commands.Success();
    }

    /// <summary>Of what is flushed there, only lists and responses are kept here.</summary>
    private static ViciMessage FlushDocuments(WarifuDaemon daemon, ViciRequest request)
    {
        var type = request.Message.Text("type")?.ToLowerInvariant() ?? "any";
        if (!s_certificateTypes.Contains(type)) return Commands.Failure($"invalid certificate type '{type}'");
        if (type is "any" or "x509_crl" or "x509crl" or "ocsp_response") daemon.Node.FlushDocuments();
        return Commands.Success();
    }

    private static ViciMessage LoadKey(WarifuDaemon daemon, ViciRequest request)
    {
        var message = request.Message;
        if (message.Text("type") is not { } type) return Commands.Failure("key type missing");
        if (!s_keyTypes.Contains(type.ToLowerInvariant())) return Commands.Failure($"invalid key type: {type}");
        if (message.Find("data")?.Value is not { Length: > 0 } data) return Commands.Failure("key data missing");
        PrivateKey key;
        try
        {
            key = PrivateKey.Parse(data, message.Find("x-password")?.Value ?? []);
        }
        catch (FormatException exception)
        {
            return Commands.Failure($"parsing {type.ToUpperInvariant()} private key failed: {exception.Message}");
        }

        if (!Fits(key.Public.Kind, type.ToLowerInvariant()))
        {
            var what = key.Public.ToString();
            key.Dispose();
            return Commands.Failure($"parsing {type.ToUpperInvariant()} private key failed: it is {what}");
        }

        var id = Convert.ToHexStringLower(key.Public.KeyId.Span);
        var name = message.Text("x-name") ?? id;
        if (request.Session.Staged is not { } staged)
        {
            daemon.Config.Add(name, key);
            return Commands.Success().Add("id", id);
        }

        if (!staged.TryGrow(request.Length))
        {
            key.Dispose();
            return Commands.Failure("the transaction holds more than 64 MiB");
        }

        staged.Keys.Add((name, key));
        return Commands.Success().Add("id", id);
    }

    private static async Task<ViciMessage> LoadAuthorityAsync(WarifuDaemon daemon, ViciRequest request)
    {
        foreach (var element in request.Message.Elements)
        {
            if (element.Section is not { } section) return Commands.Failure($"invalid section: {element.Name}");
            if (element.Name.Length == 0 || element.Name.Any(char.IsControl)) return Commands.Failure("an authority needs a name without control characters");
            var tree = ViciConfig.ToTree(element.Name, section);
            if (request.Session.Staged is { } staged)
            {
                if (!staged.TryGrow(request.Length)) return Commands.Failure("the transaction holds more than 64 MiB");
                LoadCommands.Section(staged.Root, "authorities").Sections.Add(tree);
                continue;
            }

            var findings = new List<Diagnostic>();
            if (AuthorityBuilder.Build(tree, findings) is not { } authority) return Commands.Failure(Worst(findings, $"CA certificate missing: {element.Name}") + ", authority discarded");
            await daemon.Config.PutAsync(authority, daemon.Node);
        }

        return Commands.Success();
    }

    private static async Task<ViciMessage> LoadPoolAsync(WarifuDaemon daemon, ViciRequest request)
    {
        foreach (var element in request.Message.Elements)
        {
            if (element.Section is not { } section) return Commands.Failure($"invalid section: {element.Name}");
            if (element.Name.Length == 0 || element.Name.Any(char.IsControl)) return Commands.Failure("a pool needs a name without control characters");
            if (section.Elements.Count(one => one.Name == "addrs") > 1) return Commands.Failure("multiple addrs defined");
            var tree = ViciConfig.ToTree(element.Name, section);
            if (request.Session.Staged is { } staged)
            {
                if (!staged.TryGrow(request.Length)) return Commands.Failure("the transaction holds more than 64 MiB");
                LoadCommands.Section(staged.Root, "pools").Sections.Add(tree);
                continue;
            }

            var findings = new List<Diagnostic>();
            if (AuthorityBuilder.BuildPool(tree, findings) is not { } pool) return Commands.Failure(Worst(findings, $"missing addrs for pool '{element.Name}'"));
            var online = daemon.Node.Pools().FirstOrDefault(known => known.Name == pool.Name)?.Leases.Any(lease => lease.Online) == true;
            if (online && daemon.Config.Pools.Find(known => known.Name == pool.Name) is { } before && !before.Addresses.SequenceEqual(pool.Addresses)) return Commands.Failure($"vici pool {pool.Name} has online leases, unable to replace");
            await daemon.Config.PutAsync(pool, daemon.Node);
        }

        return Commands.Success();
    }

    private static async Task<ViciMessage> UnloadPoolAsync(WarifuDaemon daemon, ViciRequest request)
    {
        if (request.Message.Text("name") is not { } name) return Commands.Failure("missing pool name to unload");
        if (daemon.Node.Pools().FirstOrDefault(known => known.Name == name)?.Leases.Any(lease => lease.Online) == true) return Commands.Failure($"{name} has online leases, unable to unload");
        return await daemon.Config.RemovePoolAsync(name, daemon.Node) ? Commands.Success() : Commands.Failure($"{name} not found");
    }

    private static ViciMessage GetPools(WarifuDaemon daemon, ViciRequest request)
    {
        var answer = new ViciMessage();
        foreach (var pool in daemon.Node.Pools())
        {
            if (request.Message.Text("name") is { } name && name != pool.Name) continue;
            answer.Add(pool.Name, CertificateListings.Pool(pool, request.Message.Bool("leases")));
        }

        return answer;
    }

    private static async Task<ViciMessage> ListAuthoritiesAsync(WarifuDaemon daemon, ViciRequest request)
    {
        var name = request.Message.Text("name");
        foreach (var authority in daemon.Config.Authorities)
        {
            if (name is null || authority.Name == name) await request.StreamAsync("list-authority", CertificateListings.Authority(authority));
        }

        return new ViciMessage();
    }

    /// <summary>What was loaded by itself and what connections have, each once.</summary>
    private static async Task<ViciMessage> ListCertsAsync(WarifuDaemon daemon, ViciRequest request)
    {
        var (type, flag, subject) = (request.Message.Text("type") ?? "any", request.Message.Text("flag"), request.Message.Text("subject"));
        // a wrong filter finds nothing
        if (!s_certificateTypes.Contains(type.ToLowerInvariant()) || (flag is not null && flag.ToUpperInvariant() is not ("NONE" or "CA" or "AA" or "OCSP" or "ANY"))) return new ViciMessage();
        CertificateType? only = type.Equals("any", StringComparison.OrdinalIgnoreCase) ? null : TypeOf(type, flag is null || flag.Equals("any", StringComparison.OrdinalIgnoreCase) ? null : flag, out _);
        var allOfX509 = type.Equals("x509", StringComparison.OrdinalIgnoreCase) && (flag is null || flag.Equals("any", StringComparison.OrdinalIgnoreCase));
        var keys = daemon.Config.Secrets.KeyIds.ToHashSet(StringComparer.Ordinal);
        foreach (var one in CertificateListings.AllCertificates(daemon.Config))
        {
            if (allOfX509 ? one.Type is not (CertificateType.X509 or CertificateType.Ca or CertificateType.Aa or CertificateType.Ocsp) : only is not null && one.Type != only) continue;
            if (subject is not null && !CertificateListings.IsSubject(one, subject)) continue;
            await request.StreamAsync("list-cert", CertificateListings.Certificate(one, keys));
        }

        return new ViciMessage();
    }

    private static string Worst(List<Diagnostic> findings, string fallback) => findings.Find(finding => finding.Severity >= Severity.Limit) is { Text: { } text } worst ? $"{text}{(worst.Remedy.Length > 0 ? "; " + worst.Remedy : "")}" : fallback;

    /// <summary>Kinds as clients write them; the old names say the flag too.</summary>
    private static CertificateType? TypeOf(string type, string? flag, out string error)
    {
        error = "";
        var word = type.ToLowerInvariant();
        switch (word)
        {
            case "x509":
                switch (flag?.ToUpperInvariant())
                {
                    case null or "NONE": return CertificateType.X509;
                    case "CA": return CertificateType.Ca;
                    case "AA": return CertificateType.Aa;
                    case "OCSP": return CertificateType.Ocsp;
                    default:
                        error = $"invalid certificate flag '{flag}'";
                        return null;
                }

            case "x509ca": return CertificateType.Ca;
            case "x509aa": return CertificateType.Aa;
            case "x509ocsp": return CertificateType.Ocsp;
            case "x509_ac" or "x509ac": return CertificateType.AttributeCertificate;
            case "x509_crl" or "x509crl": return CertificateType.Crl;
            case "ocsp_response": return CertificateType.OcspResponse;
            case "pubkey": return CertificateType.PublicKey;
            default:
                error = $"invalid certificate type '{type}'";
                return null;
        }
    }

    private static string NameOf(CertificateType type) => CertificateListings.TypeOf(type).Type;

    private static bool Fits(PublicKeyKind kind, string type) => type switch
    {
        "rsa" => kind == PublicKeyKind.Rsa,
        "ecdsa" => kind is PublicKeyKind.EcdsaP256 or PublicKeyKind.EcdsaP384 or PublicKeyKind.EcdsaP521,
        "ed25519" => kind == PublicKeyKind.Ed25519,
        "ed448" => kind == PublicKeyKind.Ed448,
        _ => true,
    };
}
