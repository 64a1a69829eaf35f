using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.CommandLine;
using System.IO;
using System.Linq;
using System.Security.Cryptography;
using System.Text;
using Warifu.App.Configuration;
using Warifu.Crypto.Signatures;

namespace Warifu.App.Cli.Ca;

/// <summary><c>warifu pki</c>: a small CA for trying things. One of the verbs --gen, --pub, --self, --issue, --signcrl, --print says what is done; results go to a file or to standard output, in PEM.</summary>
internal static class PkiCommand
{
    private static readonly string[] s_verbs = ["--gen", "--pub", "--self", "--issue", "--signcrl", "--print"];

    public static Command Create()
    {
        var verbs = new[]
        {
            new Option<bool>("--gen") { Description = "makes a private key" },
            new Option<bool>("--pub") { Description = "prints the public key of --in" },
            new Option<bool>("--self") { Description = "makes a certificate that signs itself, for the key --in" },
            new Option<bool>("--issue") { Description = "makes a certificate for the key --in, signed by --cacert and --cakey" },
            new Option<bool>("--signcrl") { Description = "makes a list of the revoked certificates --cert, signed by --cacert and --cakey" },
            new Option<bool>("--print") { Description = "shows a certificate, a CRL or a key" },
        };
        var type = new Option<string>("--type") { Description = "rsa, ecdsa, ed25519 or ed448", DefaultValueFactory = _ => "ecdsa" };
        type.AcceptOnlyFromAmong(KeyMaker.Kinds);
        var size = new Option<int>("--size") { Description = "bits: rsa 2048, 3072, 4096, 8192; ecdsa 256, 384, 521" };
        var input = new Option<string?>("--in") { Description = "a private key (--self, --pub), a private or public key (--issue), anything (--print)" };
        var output = new Option<string?>("--out") { Description = "file for the result; a private key is for its owner only" };
        var caCertificate = new Option<string?>("--cacert") { Description = "the CA's certificate" };
        var caKey = new Option<string?>("--cakey") { Description = "the CA's private key" };
        var name = new Option<string?>("--dn") { Description = "name, for example \"C=CH, O=Example, CN=gw\"" };
        var alternatives = new Option<string[]>("--san") { Description = "alternative names: domain names, addresses, mail addresses", AllowMultipleArgumentsPerToken = true };
        var ca = new Option<bool>("--ca") { Description = "the certificate may sign others" };
        var pathLength = new Option<int?>("--pathlen") { Description = "CA certificates below this one" };
        var days = new Option<int>("--lifetime") { Description = "days; --signcrl: until the next list" };
        var purposes = new Option<string[]>("--flag") { Description = "extended key usages: serverAuth, clientAuth, ipsecIKE, ocspSigning or OIDs", AllowMultipleArgumentsPerToken = true };
        var crls = new Option<string[]>("--crl") { Description = "where its CRL is", AllowMultipleArgumentsPerToken = true };
        var responders = new Option<string[]>("--ocsp") { Description = "where its OCSP responder is", AllowMultipleArgumentsPerToken = true };
        var policies = new Option<string[]>("--cert-policy") { Description = "certificate policies, OIDs", AllowMultipleArgumentsPerToken = true };
        var permitted = new Option<string[]>("--nc-permitted") { Description = "domains below which a CA may issue", AllowMultipleArgumentsPerToken = true };
        var pss = new Option<bool>("--pss") { Description = "an RSA key signs with PSS" };
        var revoked = new Option<string[]>("--cert") { Description = "certificates to revoke", AllowMultipleArgumentsPerToken = true };
        var reason = new Option<string?>("--reason") { Description = string.Join(", ", CertificateMaker.Reasons) };
        reason.AcceptOnlyFromAmong(CertificateMaker.Reasons);
        var number = new Option<long>("--number") { Description = "number of the list; it must grow", DefaultValueFactory = _ => DateTimeOffset.UtcNow.ToUnixTimeSeconds() };
        var command = new Command("pki", "a small CA for trying things: keys, certificates, revocation lists") { type, size, input, output, caCertificate, caKey, name, alternatives, ca, pathLength, days, purposes, crls, responders, policies, permitted, pss, revoked, reason, number };
        foreach (var verb in verbs) command.Add(verb);
        command.Validators.Add(result =>
        {
            var given = verbs.Where(verb => result.GetValue(verb)).Select(verb => verb.Name).ToArray();
            if (given.Length != 1) result.AddError($"pki takes one of {string.Join(", ", s_verbs)}");
            else if (given[0] == "--gen" && result.GetValue(size) is var bits and not 0 && !KeyMaker.SizesOf(result.GetValue(type)!).Contains(bits)) result.AddError($"a key of the type {result.GetValue(type)} has {string.Join(" or ", KeyMaker.SizesOf(result.GetValue(type)!))} bits");
            foreach (var (option, needs) in new (Option<string?>, string[])[] { (input, ["--pub", "--self", "--issue", "--print"]), (name, ["--self", "--issue"]), (caCertificate, ["--issue", "--signcrl"]), (caKey, ["--issue", "--signcrl"]) })
            {
                if (given is [var verb] && needs.Contains(verb) && result.GetValue(option) is null) result.AddError($"{verb} needs {option.Name}");
            }
        });
        command.SetAction(parsed =>
        {
            try
            {
                var wanted = new NewCertificate
                {
                    Subject = parsed.GetValue(name) ?? "",
                    AlternativeNames = [.. parsed.GetValue(alternatives) ?? []],
                    IsCa = parsed.GetValue(ca),
                    PathLength = parsed.GetValue(pathLength),
                    NotAfter = DateTimeOffset.UtcNow.AddDays(parsed.GetValue(days) is > 0 and var given ? given : 1095),
                    Purposes = [.. parsed.GetValue(purposes) ?? []],
                    CrlUris = [.. parsed.GetValue(crls) ?? []],
                    OcspUris = [.. parsed.GetValue(responders) ?? []],
                    Policies = [.. parsed.GetValue(policies) ?? []],
                    PermittedDomains = [.. parsed.GetValue(permitted) ?? []],
                };
                var (from, to) = (parsed.GetValue(input), parsed.GetValue(output));
                switch (s_verbs[Array.FindIndex(verbs, verb => parsed.GetValue(verb))])
                {
                    case "--gen":
                        Write(to, KeyMaker.Generate(parsed.GetValue(type)!, parsed.GetValue(size)), secret: true);
                        break;
                    case "--pub":
                        Write(to, PemEncoding.WriteString("PUBLIC KEY", PublicKeyOf(from!).Spki.Span));
                        break;
                    case "--self":
                        using (var key = PrivateKeyOf(from!)) Write(to, Pem(CertificateMaker.SelfSigned(wanted, key, parsed.GetValue(pss))));
                        break;
                    case "--issue":
                        using (var key = PrivateKeyOf(parsed.GetValue(caKey)!)) Write(to, Pem(CertificateMaker.Issue(wanted, PublicKeyOf(from!), CertificateOf(parsed.GetValue(caCertificate)!), key, parsed.GetValue(pss))));
                        break;
                    case "--signcrl":
                        using (var key = PrivateKeyOf(parsed.GetValue(caKey)!))
                        {
                            var now = DateTimeOffset.UtcNow;
                            var entries = (parsed.GetValue(revoked) ?? []).Select(file => new Revoked(CertificateMaker.SerialOf(CertificateOf(file)), now, parsed.GetValue(reason)));
                            var crl = CertificateMaker.Crl(CertificateOf(parsed.GetValue(caCertificate)!), key, entries, parsed.GetValue(number), now.AddMinutes(-1), now.AddDays(parsed.GetValue(days) is > 0 and var until ? until : 15));
                            Write(to, PemEncoding.WriteString("X509 CRL", crl));
                        }

                        break;
                    case "--print":
                        foreach (var line in Print(from!)) Console.WriteLine(line);
                        break;
                }

                return 0;
            }
            catch (Exception exception) when (exception is FormatException or CryptographicException or UnauthorizedAccessException)
            {
                Console.Error.WriteLine($"warifu: {exception.Message}");
                return 1;
            }
        });
        return command;
    }

    private static IEnumerable<string> Print(string file)
    {
        var octets = File.ReadAllBytes(file);
        if (CertificateReader.TryRead(CertificateType.X509, octets, out var certificates, out _)) return certificates.SelectMany((der, at) => PkiPrint.Certificate(der).Prepend(at == 0 ? null : "").OfType<string>());
        if (CertificateReader.TryRead(CertificateType.Crl, octets, out var crls, out _)) return crls.SelectMany(PkiPrint.Crl);
        return [$"key:      {PkiPrint.Key(PublicKeyOf(file))}"];
    }

    private static byte[] CertificateOf(string file) => CertificateReader.TryRead(CertificateType.X509, File.ReadAllBytes(file), out var certificates, out var error) ? [.. certificates[0]] : throw new FormatException($"{file}: {error}");

    private static PrivateKey PrivateKeyOf(string file)
    {
        var octets = File.ReadAllBytes(file);
        try
        {
            return PrivateKey.Parse(octets, default);
        }
        catch (FormatException exception)
        {
            throw new FormatException($"{file}: {exception.Message}", exception);
        }
        finally
        {
            CryptographicOperations.ZeroMemory(octets);
        }
    }

    private static PublicKey PublicKeyOf(string file)
    {
        if (CertificateReader.TryRead(CertificateType.PublicKey, File.ReadAllBytes(file), out var keys, out _) && PublicKey.TryParse(keys[0].AsSpan(), out var known)) return known;
        using var key = PrivateKeyOf(file);
        return key.Public;
    }

    private static string Pem(byte[] certificate) => PemEncoding.WriteString("CERTIFICATE", certificate);

    private static void Write(string? file, string pem, bool secret = false)
    {
        if (file is null)
        {
            Console.WriteLine(pem);
            return;
        }

        var options = new FileStreamOptions { Mode = FileMode.Create, Access = FileAccess.Write };
        if (secret) options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        using var writer = new StreamWriter(file, Encoding.ASCII, options);
        writer.WriteLine(pem);
    }
}
