using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.IO;
using System.Linq;
using Warifu.Engine;
using Warifu.Fuzz;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Simulation;
using Warifu.Wire;
using Xunit;

namespace Warifu.Tests.Policy;

/// <summary>Exact contents of the named suites, as numbers of IANA's tables, in the policy and on the wire (R162 to R169, RFC 6379, RFC 9206, the proposal sets of Junos).</summary>
[Trait("Item", "2.18")]
public sealed class SuiteTests
{
    // type/id or type/id/bits
    public static TheoryData<string, string, string, string> Contents => new()
    {
        { "suiteb-gcm-128", "Suite-B-GCM-128", "1/12/128 3/12 2/5 4/19", "1/20/128 4/19 4/0 5/0" },
        { "suiteb-gcm-256", "Suite-B-GCM-256", "1/12/256 3/13 2/6 4/20", "1/20/256 4/20 4/0 5/0" },
        { "suiteb-gmac-128", "Suite-B-GMAC-128", "1/12/128 3/12 2/5 4/19", "1/21/128 4/19 4/0 5/0" },
        { "suiteb-gmac-256", "Suite-B-GMAC-256", "1/12/256 3/13 2/6 4/20", "1/21/256 4/20 4/0 5/0" },
        { "prime-128", "PRIME-128", "1/20/128 2/5 4/19", "1/20/128 4/19 4/0 5/0" },
        { "prime-256", "PRIME-256", "1/20/256 2/6 4/20", "1/20/256 4/20 4/0 5/0" },
        { "cnsa", "CNSA", "1/20/256 2/7 4/20|1/20/256 2/7 4/15|1/20/256 2/7 4/16|1/20/256 2/6 4/20 4/15 4/16", "1/20/256 4/20 4/15 4/16 4/0 5/0" },
        { "standard", "standard", "1/3 3/2 2/2 4/2|1/12/128 3/2 2/2 4/2", "1/3 3/2 4/2 5/0|1/12/128 3/2 4/2 5/0" },
        { "compatible", "compatible", "1/3 3/2 2/2 4/2|1/3 3/1 2/1 4/2|1/2 3/2 2/2 4/2|1/2 3/1 2/1 4/2", "1/3 3/2 5/0|1/3 3/1 5/0|1/2 3/2 5/0|1/2 3/1 5/0" },
        { "basic", "basic", "1/2 3/2 2/2 4/1|1/2 3/1 2/1 4/1", "1/2 3/2 5/0|1/2 3/1 5/0" },
    };

    [Theory]
    [MemberData(nameof(Contents))]
    public void Each_word_is_exactly_its_suite(string word, string name, string ike, string esp)
    {
        Assert.Equal(name, Suite.Find(word)!.Name);
        Assert.Equal(ike, Numbers(Parse(ProtocolId.Ike, word)));
        Assert.Equal(esp, Numbers(Parse(ProtocolId.Esp, word)));
        Assert.False(ProposalKeywords.TryParse(ProtocolId.Ah, word, out _, out _, out _));
    }

    [Fact]
    public void There_is_no_other_suite() => Assert.Equal(Contents.Select(row => row.Data.Item1).Order(StringComparer.Ordinal), Suite.All.Select(suite => suite.Word));

    [Theory]
    [MemberData(nameof(Contents))]
    public void The_wire_carries_every_transform_id_and_key_length(string word, string name, string ike, string esp)
    {
        _ = name;
        using var pair = new EnginePair(1, new EngineOptions { KeyLog = true });
        pair.Load(EnginePair.LeftGateway(word, word), EnginePair.RightGateway(word, word));
        Assert.True(pair.Up().Success);
        var first = pair.Sent[0].Message.Message;
        Assert.True(IkeHeader.TryRead(first, out var header));
        Assert.Equal(ike, Numbers(Offered(header.NextPayload, first.AsSpan(IkeHeader.Length))));
        Assert.Equal(Without(esp), Numbers(Offered(pair.Sent[2].Message.Message, pair.Left.IkeKeys[0])));
        // and a rekeying offers the groups of PFS
        pair.Left.Command(id => new IkeCommand.Rekey(id, new SaTarget("net", "net")), pair.Now);
        pair.Run();
        Assert.Equal(esp, Numbers(Offered(pair.Sent[4].Message.Message, pair.Left.IkeKeys[0])));
        Assert.Single(pair.Right.Installed);
    }

    [Theory]
    [InlineData("prime-128", 0)]
    [InlineData("prime-256", 0)]
    [InlineData("suiteb-gmac-128", 0)]
    [InlineData("suiteb-gmac-256", 0)]
    [InlineData("cnsa", 3)]
    public void Another_implementation_offers_the_same_and_is_accepted(string word, int which)
    {
        using var reader = new StreamReader(typeof(SuiteTests).Assembly.GetManifestResourceStream("suites/" + word)!);
        var trace = RecordedTrace.Read(word, reader);
        var suite = Suite.Find(word)!;
        var first = trace.Messages[0].Octets;
        Assert.True(IkeHeader.TryRead(first, out var header));
        ImmutableArray<Proposal> ike = [.. Offered(header.NextPayload, first.AsSpan(IkeHeader.Length))];
        var chosen = ProposalSelection.Select(suite.Ike, ike).Chosen!;
        if (which == 0) Assert.Equal(Numbers(suite.Ike), Numbers(ike));
        Assert.Null(ProposalSelection.CheckAnswer([suite.Ike[which]], chosen));
        byte[] Key(string label) => trace.Initiator.Where(line => line.Label == label).Select(line => line.Octets).FirstOrDefault() ?? [];
        using var cipher = Warifu.Crypto.PacketCipher.Create((EncrId)chosen.Find(TransformType.Encr).Id, chosen.Find(TransformType.Encr).KeyBits, (IntegId)chosen.Find(TransformType.Integ).Id, Key("Sk_ei"), Key("Sk_ai"), new SeededEntropy(1));
        ImmutableArray<Proposal> esp = [.. Offered(trace.Messages[2].Octets, cipher)];
        Assert.Equal(Without(Numbers(suite.Esp)), Numbers(esp));
        Assert.NotNull(ProposalSelection.Select(suite.Esp, esp, withoutKe: true).Chosen);
    }

    [Theory]
    [InlineData("suiteb-gcm-128", 256)]
    [InlineData("suiteb-gcm-256", 384)]
    [InlineData("prime-128", 256)]
    [InlineData("prime-256", 384)]
    [InlineData("cnsa", 384)]
    public void Suites_bind_the_signature_to_their_curve(string word, int curve)
    {
        var suite = Suite.Find(word)!;
        foreach (var (name, bits) in new[] { ("nistP256", 256), ("nistP384", 384), ("nistP521", 521) })
        {
            using var key = System.Security.Cryptography.ECDsa.Create(System.Security.Cryptography.ECCurve.CreateFromFriendlyName(name));
            Assert.True(Warifu.Crypto.Signatures.PublicKey.TryParse(key.ExportSubjectPublicKeyInfo(), out var parsed));
            Assert.Equal(bits == curve, suite.Misfit(parsed!) is null);
            // RFC 6380 section 4.3: at the lower level a peer may have a key of the higher one
            Assert.Equal(bits == curve || (word == "suiteb-gcm-128" && bits == 384), suite.PeerMisfit(parsed!) is null);
            // ECDSA-256 is P-256 with SHA-256, ECDSA-384 is P-384 with SHA-384: nothing in between
            foreach (var (hash, length) in new[] { (HashId.Sha256, 256), (HashId.Sha384, 384), (HashId.Sha512, 512) })
            {
                Assert.Equal(bits == curve && length == curve, suite.Auth!.AllowsIke(parsed!, Warifu.Crypto.Signatures.SignatureScheme.Ecdsa(hash), bound: false));
                Assert.Equal(length == bits && suite.PeerMisfit(parsed!) is null, suite.PeerAuth!.AllowsIke(parsed!, Warifu.Crypto.Signatures.SignatureScheme.Ecdsa(hash), bound: false));
            }
        }

        foreach (var bits in new[] { 2048, 3072 })
        {
            using var rsa = System.Security.Cryptography.RSA.Create(bits);
            Assert.True(Warifu.Crypto.Signatures.PublicKey.TryParse(rsa.ExportSubjectPublicKeyInfo(), out var other));
            Assert.Equal(word == "cnsa" && bits >= 3072, suite.Misfit(other!) is null);
        }
    }

    internal static string Numbers(IEnumerable<Proposal> proposals) =>
        string.Join('|', proposals.Select(proposal => string.Join(' ', proposal.Transforms.Select(one => one.KeyBits == 0 ? $"{(byte)one.Type}/{one.Id}" : $"{(byte)one.Type}/{one.Id}/{one.KeyBits}"))));

    private static string Without(string numbers) => string.Join('|', numbers.Split('|').Select(proposal => string.Join(' ', proposal.Split(' ').Where(one => !one.StartsWith("4/", StringComparison.Ordinal)))));

    private static ImmutableArray<Proposal> Parse(ProtocolId protocol, string word) => ProposalKeywords.TryParse(protocol, word, out var proposals, out var error, out _) ? proposals : throw new ArgumentException(error);

    /// <summary>What stands in a message of IKE_SA_INIT.</summary>
    internal static Proposal[] Offered(byte[] message) => IkeHeader.TryRead(message, out var header) ? Offered(header.NextPayload, message.AsSpan(IkeHeader.Length)) : throw new ArgumentException("no IKE message", nameof(message));

    internal static Proposal[] Offered(byte[] message, IkeAction.LogIkeKeys keys)
    {
        Assert.True(IkeHeader.TryRead(message, out var header));
        var (cipherKey, macKey) = header.FromInitiator ? (keys.SkEi, keys.SkAi) : (keys.SkEr, keys.SkAr);
        using var cipher = Warifu.Crypto.PacketCipher.Create((EncrId)keys.Encr.Id, keys.Encr.KeyBits, (IntegId)keys.Integ.Id, cipherKey.Span, macKey.Span, new SeededEntropy(1));
        return Offered(message, cipher);
    }

    private static Proposal[] Offered(byte[] message, Warifu.Crypto.PacketCipher cipher)
    {
        Assert.True(IkeHeader.TryRead(message, out var header));
        var copy = message.ToArray();
        Assert.Equal(ParseError.None, SkFraming.TryLocate(header, copy, out var sk));
        Assert.True(cipher.Open(copy, sk.Head));
        Assert.True(SkFraming.TryUnpad(copy, sk.Head, cipher.IvLength, cipher.IcvLength, out var chain));
        return Offered(sk.First, chain);
    }

    private static Proposal[] Offered(PayloadType type, ReadOnlySpan<byte> chain)
    {
        Assert.Equal(ParseError.None, MessageView.TryParse(type, chain, out var view));
        Assert.True(view.TryGet(PayloadType.Sa, out var body));
        Assert.Equal(ParseError.None, SaPayload.TryParse(body, out var offers));
        return offers.Select(offer => offer.Proposal).ToArray();
    }
}
