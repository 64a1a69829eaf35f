using System;
using System.Collections.Generic;
using Warifu.App.Cli.Ca;
using Warifu.App.Tests.Lab;

namespace Warifu.App.Tests.Daemon;

/// <summary>The misconfigurations of IKEv1 (item 3.15), in the form of <see cref="Mistakes"/>.</summary>
internal static class MistakesV1
{
    private const string Suite = "aes128-sha256-ecp256";

    private static readonly TestCa s_ca = TestCa.Root("Phase One CA", "rsa", 2048), s_otherCa = TestCa.Root("Other Phase One CA", "rsa", 2048);

    public static IReadOnlyList<Mistake> All { get; } = [.. Secrets(), .. Identities(), .. PhaseOne(), .. Modes(), .. PhaseTwo(), .. ProxyIds(), .. Addresses(), .. Certificates(), .. Users()];

    private static Side V1(Side side) => side with { Version = "1", Ike = Suite, Esp = "aes128-sha256" };

    private static Side Aggressive(Side side) => V1(side) with { Connection = "aggressive = yes\naggressive_psk = yes" };

    private static IEnumerable<Mistake> Secrets()
    {
        // what the initiator encrypts is noise to the responder, which says nothing to it
        var unheard = new Told("authentication-failed", "either", "pre-shared key");
        var noise = new Told("authentication-failed", "either", "the pre-shared keys of", "to the letter") { Settings = [("secret", "secret = ")] };
        yield return new("a pre-shared key that differs", side => side with { Psk = "Kq7.vXe2-Lw9pRz5" }) { Both = V1, AsInitiator = unheard, OtherResponds = noise, AsResponder = noise, OtherInitiates = unheard };
        yield return new("a pre-shared key with a letter of another case", side => side with { Psk = "zr8.kVq2-Wx7hTn4" }) { Both = V1, OtherResponds = noise with { Why = ["case, blanks and the end of the line count"] }, AsResponder = noise };
        yield return new("a pre-shared key that differs in aggressive mode", side => side with { Psk = "Kq7.vXe2-Lw9pRz5" }) { Both = Aggressive, AsInitiator = noise, OtherInitiates = noise };
        yield return new("a secret for another address", side => side with { Owners = "id-1 = 192.0.2.77" })
        {
            Both = V1,
            AsInitiator = new("no-secret", "here", "no pre-shared key for", "in main mode identities are not known yet"),
            AsResponder = new("no-secret", "here", "no pre-shared key for"),
        };
    }

    private static IEnumerable<Mistake> Identities()
    {
        yield return new("an own identity with a typing error", side => side with { LocalId = "typo.example.org" })
        {
            Both = V1,
            OtherResponds = new("identity", "either", "the peer calls itself typo.example.org") { Settings = [("remote.id", "id = left")] },
            OtherInitiates = new("identity", "either", "the peer calls itself typo.example.org") { Settings = [("remote.id", "id = right")] },
        };
        yield return new("a remote identity with a typing error", side => side with { RemoteId = "typo.example.org" })
        {
            Both = V1,
            AsInitiator = new("identity", "either", "the peer calls itself right.example.org") { Settings = [("remote.id", "id = typo")] },
            AsResponder = new("identity", "either", "the peer calls itself left.example.org") { Settings = [("remote.id", "id = typo")] },
        };
        yield return new("an identity of another type", side => side with { LocalId = "keyid:" + side.Own + ".example.org" })
        {
            Both = V1,
            OtherResponds = new("identity", "either", "the peer calls itself", "against left.example.org") { Settings = [("remote.id", "id = left")] },
            OtherInitiates = new("identity", "either", "the peer calls itself", "against right.example.org") { Settings = [("remote.id", "id = right")] },
        };
        yield return new("a pattern of identities that the peer does not fit", side => side with { RemoteId = "*.example.net" })
        {
            Both = V1,
            AsInitiator = new("identity", "either", "the peer calls itself right.example.org") { Settings = [("remote.id", "id = *")] },
            AsResponder = new("identity", "either", "the peer calls itself left.example.org") { Settings = [("remote.id", "id = *")] },
        };
    }

    private static IEnumerable<Mistake> PhaseOne()
    {
        foreach (var (name, wrong, difference) in new[]
        {
            ("another encryption", "3des-sha256-ecp256", "encryption"),
            ("another length of the key", "aes256-sha256-ecp256", "encryption"),
            ("another hash", "aes128-sha384-ecp256", "hash"),
            ("another group", "aes128-sha256-modp2048", "group"),
        })
        {
            var responder = new Told("no-proposal", "either", "phase 1 proposals have nothing in common", difference) { Settings = [("proposals", "proposals = ")] };
            var initiator = new Told("no-proposal", "either", "accepts none of our phase 1 proposals") { Settings = [("proposals", "proposals = ")] };
            yield return new($"phase 1: {name}", side => side with { Ike = wrong }) { Both = V1, AsInitiator = initiator, OtherResponds = responder, AsResponder = responder, OtherInitiates = initiator };
        }

        var method = new Told("no-proposal", "either", "phase 1 proposals have nothing in common", "the peer wants") { Settings = [("local.auth", ""), ("remote.auth", "")] };
        yield return new("phase 1: a pre-shared key where the peer wants a signature", side => side with { LocalAuth = "auth = psk", RemoteAuth = "auth = psk" })
        {
            Both = Certified,
            AsInitiator = new("no-proposal", "either", "accepts none of our phase 1 proposals"),
            OtherResponds = method,
            AsResponder = method,
            OtherInitiates = new("no-proposal", "either", "accepts none of our phase 1 proposals"),
        };
    }

    private static IEnumerable<Mistake> Modes()
    {
        yield return new("aggressive mode where the peer wants main mode", Aggressive)
        {
            Both = V1,
            OtherResponds = new("mode", "either", "begins with aggressive mode, connection site is configured for main mode"),
            AsResponder = new("mode", "either", "begins with main mode, connection site is configured for aggressive mode") { Settings = [("aggressive", "aggressive = yes")] },
        };
        // silence is all that the initiator hears
        var guessable = new Told("mode", "either", "would let it guess the key at leisure") { Settings = [("aggressive_psk", "")] };
        yield return new("aggressive mode with a pre-shared key that the responder does not answer", side => side)
        {
            Both = side => V1(side) with { Connection = "aggressive = yes" },
            OtherResponds = guessable,
            AsResponder = guessable,
        };
    }

    private static IEnumerable<Mistake> PhaseTwo()
    {
        foreach (var (name, wrong, right, difference) in new[]
        {
            ("another encryption", "aes256-sha256", "aes128-sha256", "encryption"),
            ("another integrity", "aes128-sha512", "aes128-sha256", "integrity"),
            ("another group for PFS", "aes128-sha256-modp2048", "aes128-sha256-ecp256", "PFS group"),
            ("no PFS where the peer requires it", "aes128-sha256", "aes128-sha256-ecp256", ""),
            ("ESN on one side only", "aes128-sha256-esn", "aes128-sha256", "sequence numbers"),
        })
        {
            var initiator = new Told("no-proposal", "either", "the peer refused our phase 2 proposals for child net (NO-PROPOSAL-CHOSEN)") { Settings = [("esp_proposals", "esp_proposals = ")] };
            var responder = new Told("no-proposal", "either", difference.Length == 0 ? "without PFS" : "phase 2 proposals", difference) { Settings = [("esp_proposals", "esp_proposals = ")] };
            // who does not ask for PFS takes it from a peer that wants it
            var one = difference.Length == 0;
            yield return new($"phase 2: {name}", side => side with { Esp = wrong })
            {
                Both = V1,
                Right = side => side with { Esp = right },
                AsInitiator = initiator,
                OtherResponds = responder,
                AsResponder = one ? responder with { Why = ["phase 2 proposals", "PFS group"] } : responder,
                OtherInitiates = initiator,
            };
        }

        yield return new("phase 2: AH where the peer wants ESP", side => side with { Child = "ah_proposals = sha256", Esp = "" })
        {
            Both = V1,
            OtherResponds = new("no-proposal", "either", "phase 2 proposals", "the peer offers AH"),
            AsResponder = new("no-proposal", "either", "phase 2 proposals", "the peer offers ESP"),
        };
        yield return new("phase 2: transport mode on one side", side => side with { Child = "mode = transport" })
        {
            Both = side => V1(side) with { LocalTs = "dynamic", RemoteTs = "dynamic" },
            AsResponder = new("mode", "either", "child net wants transport mode") { Settings = [("mode", "mode = transport")] },
            OtherResponds = new("mode", "either", "child net wants tunnel mode"),
        };
    }

    private static IEnumerable<Mistake> ProxyIds()
    {
        foreach (var (name, wrong) in new (string, Func<Side, Side>)[]
        {
            ("the other way round", side => side with { LocalTs = side.RemoteTs, RemoteTs = side.LocalTs }),
            ("the own network with a typing error", side => side with { LocalTs = "10.99.0.0/16" }),
            ("the peer's network with a typing error", side => side with { RemoteTs = "10.20.0.0/16" }),
            ("wider by a bit", side => side with { LocalTs = side.LocalTs.Replace("/16", "/15", StringComparison.Ordinal) }),
            ("narrower by a bit", side => side with { RemoteTs = side.RemoteTs.Replace("/16", "/17", StringComparison.Ordinal) }),
            ("one protocol only", side => side with { LocalTs = side.LocalTs + "[udp]", RemoteTs = side.RemoteTs + "[udp]" }),
        })
        {
            var initiator = new Told("selectors", "either", "INVALID-ID-INFORMATION", "local ", "remote ") { Settings = [("local_ts", "local_ts = "), ("remote_ts", "remote_ts = ")] };
            var responder = new Told("selectors", "either", "has exactly the proxy IDs of the peer", "net: local ") { Settings = [("local_ts", "local_ts = "), ("remote_ts", "remote_ts = ")] };
            yield return new($"proxy IDs: {name}", wrong) { Both = V1, AsInitiator = initiator, OtherResponds = name.StartsWith("the other way", StringComparison.Ordinal) ? responder with { Why = ["the other way round"] } : responder, AsResponder = responder, OtherInitiates = initiator };
        }
    }

    private static IEnumerable<Mistake> Addresses()
    {
        yield return new("an address of the peer that is another's", side => side with { RemoteAddress = "127.0.0.9" })
        {
            Both = V1,
            AsResponder = new("no-connection", "here", "no connection here is for 127.0.0.1 and 127.0.0.1"),
            OtherResponds = new("no-connection", "here", "no connection here is for 127.0.0.9 and 127.0.0.1"),
        };
    }

    private static IEnumerable<Mistake> Certificates()
    {
        yield return Refused("a certificate that has expired", "certificate-expired", side => Own(side, s_ca, shape: wanted => wanted with { NotBefore = DateTimeOffset.UtcNow.AddDays(-40), NotAfter = DateTimeOffset.UtcNow.AddDays(-10) }), "expired at");
        yield return Refused("a certificate of a CA that the peer does not trust", "certificate-missing-issuer", side => Own(side, s_otherCa), "Other Phase One CA");
        yield return Refused("an identity that is not in the certificate", "certificate-identity", side => Own(side, s_ca, holder: "somebody"), "somebody.example.org");
        yield return new("a certificate without its private key", side => side with { Files = folder => { Credential.Write(folder, "x509", side.Own + ".pem", s_ca.Issue(side.Own, "rsa", 2048).Pem); s_ca.Own.TrustIn(folder); } })
        {
            Both = Certified,
            AsInitiator = new("no-secret", "here", "no private key for"),
            AsResponder = new("no-secret", "here", "no private key for"),
        };
    }

    /// <summary>The right side is the one that asks for a password, the left one answers; the mistake is the client's, so that it initiates in one direction only.</summary>
    private static IEnumerable<Mistake> Users()
    {
        foreach (var (name, user, password) in new[] { ("a wrong password", "alice", "not hers"), ("a user that nobody knows", "mallory", "Vq4-Hn8s.Kd2") })
        {
            var (refused, wrong) = (new Told("authentication-failed", "", $"the peer refused user {user} (XAuth)"), new Told("authentication-failed", "", user));
            yield return new($"XAuth: {name}", side => side)
            {
                Both = side => side.Own == "left"
                    ? V1(side) with { MoreRounds = $"local-xauth {{\n auth = xauth\n xauth_id = {user}\n}}", MoreSecrets = $"xauth-me {{\n id = {user}\n secret = \"{password}\"\n}}" }
                    : V1(side) with { MoreRounds = "remote-xauth {\n auth = xauth\n}", MoreSecrets = "xauth-alice {\n id = alice\n secret = \"Vq4-Hn8s.Kd2\"\n}" },
                AsInitiator = refused,
                OtherInitiates = refused,
                OtherResponds = wrong,
                AsResponder = wrong,
            };
        }
    }

    private static Mistake Refused(string name, string reason, Func<Side, Side> wrong, params string[] why)
    {
        var told = new Told(reason, "", why);
        return new Mistake("certificates: " + name, wrong) { Both = Certified, OtherResponds = told, OtherInitiates = told };
    }

    private static Side Certified(Side side) => Own(V1(side), s_ca) with { RemoteAuth = "auth = pubkey" };

    private static Side Own(Side side, TestCa ca, string? holder = null, Func<NewCertificate, NewCertificate>? shape = null)
    {
        var own = ca.Issue(holder ?? side.Own, "rsa", 2048, shape);
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
}
