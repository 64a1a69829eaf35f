using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using Warifu.App.Cli.Ca;
using Warifu.App.Tests.Lab;

namespace Warifu.App.Tests.Daemon;

/// <summary>The misconfigurations of item 2.23. The sides are called left and right; "wrong" is the one with the mistake.</summary>
internal static class Mistakes
{
    private static readonly TestCa s_ca = TestCa.Root("Mistake CA"), s_otherCa = TestCa.Root("Other CA"), s_rsaCa = TestCa.Root("Mistake RSA CA", "rsa", 2048);
    private static readonly TestCa s_sub = s_ca.Intermediate("Mistake Sub CA"), s_falseCa = s_ca.Intermediate("Mistake False CA", shape: wanted => wanted with { IsCa = false });
    private static readonly ConcurrentDictionary<string, Credential> s_revoked = new(StringComparer.Ordinal);

    public static IReadOnlyList<Mistake> All { get; } = [.. Secrets(), .. Identities(), .. IkeProposals(), .. Children(), .. Addresses(), .. Methods(), .. Certificates(), .. Quantum()];

    private static IEnumerable<Mistake> Secrets()
    {
        var differs = new Told("authentication-failed", "either", "AUTHENTICATION_FAILED", "the pre-shared key") { Settings = [("secret", "secret = ")] };
        var differ = new Told("authentication-failed", "either", "the pre-shared keys for") { Settings = [("secret", "secret = ")] };
        yield return new("a pre-shared key that differs", side => side with { Psk = "Kq7.vXe2-Lw9pRz5" }) { AsInitiator = differs, OtherResponds = differ, AsResponder = differ, OtherInitiates = differs };
        yield return new("a pre-shared key with a letter of another case", side => side with { Psk = "zr8.kVq2-Wx7hTn4" }) { AsInitiator = differs, OtherResponds = differ, AsResponder = differ with { Why = ["case, blanks and the end of the line count"] }, OtherInitiates = differs };
        yield return new("a secret for somebody else", side => side with { Owners = "id-1 = somebody.example.org" })
        {
            AsInitiator = new("no-secret", "here", "no pre-shared key for", "ike-site (somebody.example.org)"),
            AsResponder = new("no-secret", "here", "no pre-shared key for", "id-2 = left.example.org"),
            OtherInitiates = differs,
        };
    }

    private static IEnumerable<Mistake> Identities()
    {
        yield return new("an own identity with a typing error", side => side with { LocalId = "typo.example.org" })
        {
            AsInitiator = new("authentication-failed", "either", "we are typo.example.org") { Settings = [("local.id", "id = typo")] },
            OtherResponds = new("identity", "either", "the peer calls itself typo.example.org") { Settings = [("remote.id", "id = left")] },
            AsResponder = new("identity", "either", "the peer asks for right.example.org") { Settings = [("local.id", "id = typo")] },
            OtherInitiates = new("authentication-failed", "either", "asked for right.example.org") { Settings = [("remote.id", "id = right")] },
        };
        yield return new("a remote identity with a typing error", side => side with { RemoteId = "typo.example.org" })
        {
            AsInitiator = new("authentication-failed", "either", "asked for typo.example.org") { Settings = [("remote.id", "id = typo")] },
            OtherResponds = new("identity", "either", "the peer asks for typo.example.org") { Settings = [("local.id", "id = right")] },
            AsResponder = new("identity", "either", "the peer calls itself left.example.org") { Settings = [("remote.id", "id = typo")] },
            OtherInitiates = new("authentication-failed", "either", "we are left.example.org") { Settings = [("local.id", "id = left")] },
        };
        yield return new("a pattern of identities that the peer does not fit", side => side with { RemoteId = "*.example.net" })
        {
            AsInitiator = new("identity", "either", "the peer calls itself right.example.org") { Settings = [("remote.id", "id = *")] },
            OtherResponds = new("authentication-failed", "either", "the peer could not authenticate us"),
            AsResponder = new("identity", "either", "the peer calls itself left.example.org") { Settings = [("remote.id", "id = *")] },
            OtherInitiates = new("authentication-failed", "either", "we are left.example.org"),
        };
        yield return new("an identity of another type", side => side with { LocalId = "keyid:" + side.Own + ".example.org" })
        {
            OtherResponds = new("identity", "either", "the peer calls itself") { Settings = [("remote.id", "id = left")] },
            AsResponder = new("identity", "either", "the peer asks for right.example.org") { Settings = [("local.id", "id = keyid")] },
        };
    }

    private static IEnumerable<Mistake> IkeProposals()
    {
        foreach (var (name, wrong, right, difference) in new[]
        {
            ("another encryption", "aes256-sha256-x25519", "aes128-sha256-x25519", "encryption"),
            ("another length of the key", "aes192-sha256-x25519", "aes128-sha256-x25519", "encryption"),
            ("another PRF", "aes128-sha256-prfsha512-x25519", "aes128-sha256-x25519", "PRF"),
            ("another integrity", "aes128-sha384-prfsha256-x25519", "aes128-sha256-x25519", "integrity"),
            ("another key exchange", "aes128-sha256-modp2048", "aes128-sha256-x25519", "key exchange"),
            ("AEAD against a separate integrity", "aes128gcm16-prfsha256-x25519", "aes128-sha256-x25519", "encryption"),
        })
        {
            var responder = new Told("no-proposal", "either", "no IKE proposal in common", difference) { Settings = [("proposals", "proposals = ")] };
            var initiator = new Told("no-proposal", "either", "NO_PROPOSAL_CHOSEN", wrong.Split('-')[0]) { Settings = [("proposals", "proposals = ")] };
            yield return new($"IKE: {name}", side => side with { Ike = wrong }) { Right = side => side with { Ike = right }, AsInitiator = initiator, OtherResponds = responder, AsResponder = responder, OtherInitiates = initiator with { Why = ["NO_PROPOSAL_CHOSEN", right.Split('-')[0]] } };
        }
    }

    private static IEnumerable<Mistake> Children()
    {
        foreach (var (name, wrong, right, difference) in new[] { ("another encryption", "aes256-sha256", "aes128-sha256", "encryption"), ("another integrity", "aes128-sha512", "aes128-sha256", "integrity"), ("ESN on one side only", "aes128-sha256-esn", "aes128-sha256", "sequence numbers") })
        {
            var responder = new Told("no-proposal", "either", "no ESP proposal in common for child net", difference) { Settings = [("esp_proposals", "esp_proposals = ")] };
            var initiator = new Told("no-proposal", "either", "refused all our ESP proposals for child net") { Settings = [("esp_proposals", "esp_proposals = ")] };
            yield return new($"ESP: {name}", side => side with { Esp = wrong }) { Right = side => side with { Esp = right }, AsInitiator = initiator, OtherResponds = responder, AsResponder = responder, OtherInitiates = initiator };
        }

        var pfs = new Told("no-proposal", "either", "no ESP proposal in common for child net", "key exchange") { Settings = [("esp_proposals", "esp_proposals = ")] };
        var refused = new Told("no-proposal", "either", "refused all our ESP proposals") { Settings = [("esp_proposals", "esp_proposals = ")] };
        yield return new("ESP: another group for PFS", side => side with { Esp = "aes128gcm16-modp2048" }) { Right = side => side with { Esp = "aes128gcm16-x25519" }, AtRekey = true, AsInitiator = refused, OtherResponds = pfs, AsResponder = pfs, OtherInitiates = refused };

        foreach (var (name, wrong) in new (string, Func<Side, Side>)[]
        {
            ("the peer's network with a typing error", side => side with { RemoteTs = "10.20.0.0/16" }),
            ("the own network with a typing error", side => side with { LocalTs = "10.99.0.0/16" }),
            ("another protocol", side => side with { LocalTs = side.LocalTs + "[udp]", RemoteTs = side.RemoteTs + "[udp]" }),
            ("another port", side => side with { LocalTs = side.LocalTs + "[tcp]", RemoteTs = side.RemoteTs + "[tcp/8080]" }),
            ("another IP version", side => side with { LocalTs = "fd01::/64", RemoteTs = "fd02::/64" }),
        })
        {
            var responder = new Told("selectors", "either", "no child of connection site has the selectors") { Settings = [("local_ts", "local_ts = "), ("remote_ts", "remote_ts = ")] };
            var initiator = new Told("selectors", "either", "TS_UNACCEPTABLE") { Settings = [("local_ts", "local_ts = "), ("remote_ts", "remote_ts = ")] };
            var narrow = name.Contains("protocol", StringComparison.Ordinal) || name.Contains("port", StringComparison.Ordinal);
            yield return new($"selectors: {name}", wrong)
            {
                Right = narrow ? side => side with { LocalTs = side.LocalTs + (name.Contains("port", StringComparison.Ordinal) ? "[tcp/80]" : "[tcp]"), RemoteTs = side.RemoteTs + "[tcp]" } : side => side,
                AsInitiator = initiator,
                OtherResponds = responder,
                AsResponder = responder,
                OtherInitiates = initiator,
            };
        }

        yield return new("transport mode on one side", side => side with { Child = "mode = transport" })
        {
            AsInitiator = new("mode", "either", "child net wants transport mode") { Settings = [("mode", "mode = transport")] },
            AsResponder = new("mode", "either", "child net wants transport mode, the peer wants tunnel mode") { Settings = [("mode", "mode = transport")] },
        };
    }

    private static IEnumerable<Mistake> Addresses()
    {
        yield return new("another IKE version", side => side with { Version = "1", Ike = "aes128-sha256-ecp256" })
        {
            // no answer: a message of the other version makes no state
            OtherInitiates = new("timeout", "", "did not answer"),
            AsResponder = new("version", "either", "speaks IKEv2, connection site is IKEv1") { Settings = [("version", "version = 1")] },
            AsInitiator = new("timeout", "", "did not answer"),
            OtherResponds = new("version", "either", "speaks IKEv1, connection site is IKEv2") { Settings = [("version", "version = 2")] },
        };
        yield return new("an address of the peer that is another's", side => side with { RemoteAddress = "127.0.0.9" })
        {
            AsResponder = new("no-connection", "here", "no connection here is for 127.0.0.1 and 127.0.0.1", "add a connection whose remote_addrs contains 127.0.0.1"),
            OtherInitiates = new("no-proposal", "either", "NO_PROPOSAL_CHOSEN", "add a connection for 127.0.0.1 if it has none"),
            // somebody lives there, too, who does not know us
            AsInitiator = new("no-proposal", "either", "NO_PROPOSAL_CHOSEN", "peer 127.0.0.9", "add a connection for 127.0.0.1 if it has none"),
            OtherResponds = new("no-connection", "here", "no connection here is for 127.0.0.9 and 127.0.0.1"),
        };
        yield return new("NAT traversal switched off behind a NAT", side => side with { Connection = "nat_traversal = no" })
        {
            // a peer that forces UDP encapsulation looks like one behind a NAT
            Right = side => side with { Connection = "encap = yes" },
            AsInitiator = new("nat", "here", "the peer is behind a NAT") { Settings = [("nat_traversal", "nat_traversal = no")] },
            AsResponder = new("nat", "here", "the peer is behind a NAT") { Settings = [("nat_traversal", "nat_traversal = no")] },
        };
    }

    private static IEnumerable<Mistake> Methods()
    {
        yield return new("a certificate where the peer wants a pre-shared key", side => WithCertificate(side) with { RemoteAuth = "auth = psk" })
        {
            AsInitiator = new("authentication-failed", "either", "AUTHENTICATION_FAILED"),
            OtherResponds = new("authentication-method", "either", "pre-shared key") { Settings = [("remote.auth", "")] },
            AsResponder = null,
            OtherInitiates = new("authentication-method", "either", "pre-shared key") { Settings = [("remote.auth", "")] },
        };
        yield return new("a pre-shared key where the peer wants a certificate", side => side with { LocalAuth = "auth = psk" })
        {
            Both = Certified,
            OtherResponds = new("authentication-method", "either", "pre-shared key") { Settings = [("remote.auth", "")] },
            OtherInitiates = new("authentication-method", "either", "pre-shared key") { Settings = [("remote.auth", "")] },
        };
        yield return new("a round of authentication that the peer does not do", side => side with { MoreRounds = "remote-2 {\n round = 2\n auth = psk\n}" })
        {
            AsInitiator = new("authentication-rounds", "either", "sections remote"),
            AsResponder = new("authentication-rounds", "either", "sections remote"),
        };
    }

    private static IEnumerable<Mistake> Certificates()
    {
        yield return Refused("a certificate that has expired", "certificate-expired", side => Own(side, s_ca, shape: wanted => wanted with { NotBefore = DateTimeOffset.UtcNow.AddDays(-40), NotAfter = DateTimeOffset.UtcNow.AddDays(-10) }), "either", "expired at");
        yield return Refused("a certificate that is not valid yet", "certificate-not-yet-valid", side => Own(side, s_ca, shape: wanted => wanted with { NotBefore = DateTimeOffset.UtcNow.AddDays(10) }), "either", "is valid from");
        yield return Refused("a certificate of a CA that the peer does not trust", "certificate-missing-issuer", side => Own(side, s_otherCa), "either", "Other CA");
        yield return Refused("an intermediate CA that is not sent along", "certificate-missing-issuer", side => Own(side, s_sub), "either", "Mistake Sub CA");
        yield return Refused("an identity that is not in the certificate", "certificate-identity", side => Own(side, s_ca, holder: "somebody"), "", "calls itself", "somebody.example.org");
        yield return Refused("a certificate that was revoked", "certificate-revoked", side => Own(side, s_ca, holder: side.Own, mark: "revoked"), "peer", "was revoked") with
        {
            Right = side => side with { Files = side.Files + (folder => Credential.Write(folder, "x509crl", "ca.pem", s_ca.Crl(Revoked("left"), Revoked("right")))) },
        };
        yield return Refused("no way to find out about revocation", "certificate-revocation-unknown", side => side, "here", "cannot be found out") with { Right = side => side with { RemoteAuth = "auth = pubkey\nrevocation = strict" } };
        yield return Refused("a key that is too short for the peer", "authentication-method", side => Own(side, s_rsaCa, kind: "rsa", size: 2048), "either", "RSA 2048") with { Right = side => Trusting(side with { RemoteAuth = "auth = rsa-3072" }, s_rsaCa) };
        yield return Refused("an extended key usage for something else", "certificate-extended-key-usage", side => Own(side, s_ca, shape: wanted => wanted with { Purposes = ["1.3.6.1.5.5.7.3.8"] }), "", "extended key usage");
        yield return Refused("a certificate issued by one that is no CA", "certificate-not-authority", side => Own(side, s_falseCa), "", "is no authority") with { Right = side => side with { Files = side.Files + (folder => Credential.Write(folder, "x509", "false.pem", s_falseCa.Own.Pem)) } };
        yield return Refused("a CA that the peer does not ask for", "certificate-authority", side => side, "either", "ca_id") with { Right = side => side with { RemoteAuth = "auth = pubkey\nca_id = \"C=CH, O=Warifu Lab, CN=Other CA\"" } };
        yield return Refused("a certificate without the policy that the peer asks for", "certificate-certificate-policies", side => side, "either", "1.3.6.1.4.1.99999.1") with { Right = side => side with { RemoteAuth = "auth = pubkey\ncert_policy = 1.3.6.1.4.1.99999.1" } };
        yield return Refused("another certificate than the one that the peer has", "certificate-pinned", side => side, "either", "is not the certificate that is configured") with
        {
            Right = side => side with { RemoteAuth = "auth = pubkey\ncerts = pinned.pem", Files = side.Files + (folder => Credential.Write(folder, "x509", "pinned.pem", s_ca.Issue("pinned").Pem)) },
        };
        yield return Refused("another raw public key than the one that the peer has", "authentication-failed", side => side, "either", "public key") with
        {
            Both = Raw,
            Right = side => side with { Files = side.Files + (folder => Credential.Write(folder, "pubkey", side.Peer + ".pem", s_ca.Issue("pinned").PublicPem)) },
        };
        yield return new("a certificate without its private key", side => side with { Files = folder => { Credential.Write(folder, "x509", side.Own + ".pem", s_ca.Issue(side.Own).Pem); s_ca.Own.TrustIn(folder); } })
        {
            Both = Certified,
            AsInitiator = new("no-secret", "here", "no private key for"),
            AsResponder = new("no-secret", "here", "no private key for"),
        };
    }

    private static IEnumerable<Mistake> Quantum()
    {
        Side With(Side side, string name, string secret) => side with { Connection = $"ppk_id = {name}\nppk_required = yes", MoreSecrets = $"ppk-site {{\n id = {name}\n secret = {secret}\n}}" };
        const string Good = "0x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", Bad = "0xff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
        yield return new("a post-quantum pre-shared key that the peer does not have", side => With(side, "other-key", Good))
        {
            Both = side => With(side, "site-key", Good),
            OtherResponds = new("ppk", "either", "there is no post-quantum pre-shared key other-key here"),
            AsResponder = new("ppk", "either", "there is no post-quantum pre-shared key site-key here"),
        };
        yield return new("a post-quantum pre-shared key that differs", side => With(side, "site-key", Bad))
        {
            Both = side => With(side, "site-key", Good),
            OtherResponds = new("authentication-failed", "", "post-quantum"),
            AsResponder = new("authentication-failed", "", "post-quantum"),
        };
        yield return new("a post-quantum pre-shared key on one side only", side => side)
        {
            Right = side => With(side, "site-key", Good),
            OtherResponds = new("ppk", "either", "requires a post-quantum pre-shared key") { Settings = [("ppk_required", "ppk_required = yes")] },
            OtherInitiates = new("ppk", "either", "requires a post-quantum pre-shared key", "site-key") { Settings = [("ppk_required", "ppk_required = yes")] },
        };
    }

    /// <summary>The wrong side is refused by the other one, which says exactly why; the wrong side hears AUTHENTICATION_FAILED.</summary>
    private static Mistake Refused(string name, string reason, Func<Side, Side> wrong, string who, params string[] why)
    {
        var told = new Told(reason, who, why);
        return new Mistake(name, wrong) { Both = Certified, AsInitiator = new("authentication-failed", "either", "AUTHENTICATION_FAILED"), OtherResponds = told, OtherInitiates = told };
    }

    private static Side Certified(Side side) => WithCertificate(side) with { RemoteAuth = "auth = pubkey" };

    private static Side WithCertificate(Side side) => Own(side, s_ca);

    /// <summary>A certificate of its own, and the usual CA to trust.</summary>
    private static Side Own(Side side, TestCa ca, string kind = "ecdsa", int size = 0, string? holder = null, string mark = "", Func<NewCertificate, NewCertificate>? shape = null)
    {
        var own = mark == "revoked" ? Revoked(side.Own) : ca.Issue(holder ?? side.Own, kind, size, shape);
        return side with
        {
            LocalAuth = $"auth = pubkey\ncerts = {own.Name}.pem",
            Files = folder =>
            {
                own.WriteTo(folder);
                s_ca.Own.TrustIn(folder);
            },
        };
    }

    private static Side Trusting(Side side, TestCa ca) => side with { Files = side.Files + (folder => ca.Own.TrustIn(folder)) };

    private static Side Raw(Side side) => side with
    {
        LocalAuth = $"auth = pubkey\npubkeys = {side.Own}.pem",
        RemoteAuth = $"auth = pubkey\npubkeys = {side.Peer}.pem",
        Files = folder =>
        {
            s_ca.Issue(side.Own).WriteKeyTo(folder);
            foreach (var name in new[] { side.Own, side.Peer }) Credential.Write(folder, "pubkey", name + ".pem", s_ca.Issue(name).PublicPem);
        },
    };

    private static Credential Revoked(string name) => s_revoked.GetOrAdd(name, one => s_ca.Issue(one, shape: wanted => wanted with { Subject = wanted.Subject + " revoked" }));
}
