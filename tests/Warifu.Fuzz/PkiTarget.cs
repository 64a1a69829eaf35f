using System;
using System.Linq;
using Warifu.Pki;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Simulation;

namespace Warifu.Fuzz;

/// <summary>Certificates, CRLs, OCSP responses and PKCS#7 boxes against their readers; and whole chains of them against the judge, past the signatures, too.</summary>
internal sealed class PkiTarget : FuzzTarget
{
    private static readonly Identity[] s_identities = [Identity.Fqdn("gw.example.org"), Identity.Rfc822("a@example.org"), Identity.Of(IpAddress.Parse("192.0.2.1")), Identities.Parse("C=CH, O=Example, CN=gw")];
    private static readonly string[] s_policies = ["1.3.6.1.4.1.99999.2.1", "1.3.6.1.4.1.99999.2.2"];

    public override string Name => "pki";

    public override string What => "certificates, CRLs, OCSP responses and chains of them against the judge";

    public override void Try(ulong seed)
    {
        var luck = new SeededEntropy(seed);
        var generator = new CertificateGenerator(luck);
        var mutator = new Mutator(luck);
        byte[] Bent(byte[] octets) => luck.Chance(0.4) ? mutator.Mutate(octets) : octets;
        var certificates = Enumerable.Range(0, 2 + luck.Below(5)).Select(index => Bent(generator.Certificate(index > 0))).Select(Read).OfType<Certificate>().ToArray();
        var crls = Enumerable.Range(0, luck.Below(4)).Select(_ => Bent(generator.Crl())).Select(octets => Crl.TryParse(octets, out var crl) ? crl : null).OfType<Crl>().ToArray();
        var responses = Enumerable.Range(0, luck.Below(3)).Select(_ => Bent(generator.Ocsp())).Select(octets => OcspResponse.TryParse(octets, out var response, out var error) || Must(error) ? response : null).OfType<OcspResponse>().ToArray();
        Gather(luck, Bent(generator.Pkcs7()));
        if (certificates.Length < 2) return;
        var question = new PathQuestion
        {
            Offered = [.. certificates],
            Trust = TrustStore.Of(new TrustMaterial { Authorities = [new Authority { Name = "ca", Certificate = [.. certificates[^1].Der.Span], CrlUris = ["file:///x"] }], Certificates = [[.. certificates[1].Der.Span]] }),
            Remote = new RemoteAuth { Kind = AuthKind.PublicKey, Revocation = (RevocationPolicy)luck.Below(3), CertPolicies = luck.Chance(0.5) ? [s_policies[luck.Below(2)]] : [] },
            Identity = luck.Chance(0.7) ? s_identities[luck.Below(s_identities.Length)] : null,
            Now = CertificateGenerator.Now,
            Crls = [.. crls],
            Responses = [.. responses],
        };
        Look(PathJudge.Judge(question), isSigned: false);
        // as if all signatures were right
        if (PathValidation.Check(question, certificates) is { } failure) Look(new PathVerdict.Bad(failure), isSigned: true);
        Look(RevocationJudge.Check(question, certificates, new SignatureChecks(PathJudge.MaxSignatures), _ => null), isSigned: true);
    }

    private static Certificate? Read(byte[] octets)
    {
        if (!Certificate.TryParse(octets, out var certificate, out var error))
        {
            Must(error);
            return null;
        }

        Must(certificate!.Name.Length is > 0 and < 1000 && !certificate.Name.Any(char.IsControl), "a name that cannot be printed");
        Must(certificate.Equals(certificate) && certificate.Subject.Equals(certificate.Subject) && certificate.Subject.IsWithin(certificate.Subject), "a name that is not itself");
        return certificate;
    }

    private static void Gather(SeededEntropy luck, byte[] box)
    {
        var offered = new PeerCertificates();
        for (var i = 0; i < 4; i++) offered.Add(luck.Chance(0.5) ? CertEncoding.Pkcs7 : (CertEncoding)luck.Below(20), box);
        foreach (var reference in offered.References.ToArray()) offered.Add(reference, box);
        Must(offered.Certificates.Count <= PathJudge.MaxOffered, "too many certificates");
    }

    private static void Look(PathVerdict verdict, bool isSigned)
    {
        switch (verdict)
        {
            case PathVerdict.Good when !isSigned:
                Must(false, "a chain of noise is trusted");
                break;
            case PathVerdict.Bad bad:
                Must(bad.Failure.Sentence.Length > 0 && bad.Failure.Remedy.Length > 0 && !bad.Failure.Sentence.Any(char.IsControl), "a failure without a sentence");
                break;
            case PathVerdict.Needs needs:
                Must(isSigned && needs.Wishes.All(wish => wish.Uri.StartsWith("http", StringComparison.OrdinalIgnoreCase) || wish.Uri == "file:///x"), "a wish for what must not be fetched");
                break;
        }
    }

    private static bool Must(string error)
    {
        Must(error.Length > 0, "refused without a reason");
        return false;
    }
}
