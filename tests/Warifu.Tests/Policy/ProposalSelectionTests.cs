using System.Collections.Immutable;
using System.Linq;
using CsCheck;
using Warifu.Policy;
using Warifu.Primitives;
using Xunit;

namespace Warifu.Tests.Policy;

/// <summary>The choice of proposals (RFC 7296 sections 2.7 and 3.3).</summary>
[Trait("Item", "1.8")]
public sealed class ProposalSelectionTests
{
    private static readonly string[] s_ciphers = ["aes256", "aes128", "3des", "camellia256", "aes256gcm16", "aes128gcm16", "chacha20poly1305"];
    private static readonly string[] s_hashes = ["sha256", "sha384", "sha512", "sha1"];
    private static readonly string[] s_groups = ["x25519", "ecp256", "ecp384", "modp2048", "modp1024"];

    [Fact]
    public void Our_first_proposal_that_fits_wins_and_in_it_our_order()
    {
        var choice = Select("aes256gcm16-aes128gcm16-prfsha384-x25519,aes128-sha256-modp2048", "aes128-sha256-modp2048,aes128gcm16-aes256gcm16-prfsha384-prfsha256-ecp256-x25519");
        Assert.Equal("aes256gcm16-prfsha384-x25519", ProposalKeywords.Print(choice.Chosen!));
        Assert.Equal(1, choice.OfferIndex);
        Assert.Empty(choice.WhyNot);
    }

    [Fact]
    public void The_choice_has_one_transform_of_each_type()
    {
        var chosen = Select("aes256-aes128-sha512-sha256-prfsha512-prfsha256-x25519-modp2048", "aes128-aes256-sha256-sha512-prfsha256-prfsha512-modp2048-x25519").Chosen!;
        Assert.Equal("aes256-prfsha512-sha512-x25519", ProposalKeywords.Print(chosen));
    }

    [Theory]
    [InlineData("aes256-sha256-x25519", "aes128-sha256-x25519", "encryption aes256 not offered; the peer offers aes128")]
    [InlineData("aes256-sha256-x25519", "aes256-sha384-prfsha256-x25519", "integrity sha256 not offered; the peer offers sha384")]
    [InlineData("aes256-sha256-prfsha512-x25519", "aes256-sha256-prfsha256-x25519", "PRF prfsha512 not offered; the peer offers prfsha256")]
    [InlineData("aes256-sha256-x25519-ecp256", "aes256-sha256-modp2048", "key exchange x25519, ecp256 not offered; the peer offers modp2048")]
    [InlineData("aes256gcm16-prfsha256-x25519", "aes256-sha256-x25519", "encryption aes256gcm16 not offered; the peer offers aes256")]
    public void When_none_fits_the_first_difference_is_told(string ours, string theirs, string why)
    {
        var choice = Select(ours, theirs);
        Assert.Null(choice.Chosen);
        Assert.Equal(-1, choice.OfferIndex);
        Assert.Equal($"{ProposalKeywords.Print(ProposalKeywordTests.Parse(ProtocolId.Ike, ours)[0])}: {why}", Assert.Single(choice.WhyNot));
    }

    [Fact]
    public void Each_of_ours_is_explained_by_the_offer_that_came_nearest()
    {
        var choice = Select("aes256-sha256-x25519,3des-sha1-modp1024", "camellia256-sha1-modp1024,aes256-sha256-modp2048,3des-md5-modp1024");
        Assert.Equal(
            [
                "aes256-sha256-prfsha256-x25519: key exchange x25519 not offered; the peer offers modp2048",
                "3des-sha1-prfsha1-modp1024: PRF prfsha1 not offered; the peer offers prfmd5",
            ],
            choice.WhyNot);
    }

    [Fact]
    public void A_key_length_is_part_of_the_transform()
    {
        Assert.Null(Select("aes256-sha256-x25519", "aes192-sha256-x25519").Chosen);
        var odd = new Proposal(ProtocolId.Ike, [Transform.Encr(EncrId.AesCbc, 0), Transform.Integ(IntegId.HmacSha256_128), Transform.Prf(PrfId.HmacSha256), Transform.Ke(KeId.Curve25519)]);
        Assert.Null(ProposalSelection.Select([.. ProposalKeywordTests.Parse(ProtocolId.Ike, "aes128-sha256-x25519")], [odd]).Chosen);
    }

    [Fact]
    public void An_offer_with_an_unknown_type_of_transform_cannot_be_chosen()
    {
        // RFC 7296 section 3.3.6
        var plain = ProposalKeywordTests.Parse(ProtocolId.Ike, "aes256-sha256-x25519")[0];
        var odd = plain with { Transforms = plain.Transforms.Add(new Transform((TransformType)42, 7)) };
        Assert.Null(ProposalSelection.Select([plain], [odd]).Chosen);
        Assert.Equal(1, ProposalSelection.Select([plain], [odd, plain]).OfferIndex);
    }

    [Fact]
    public void An_unknown_transform_of_a_known_type_is_no_obstacle_and_never_chosen()
    {
        var plain = ProposalKeywordTests.Parse(ProtocolId.Ike, "aes256-sha256-x25519")[0];
        var odd = plain with { Transforms = plain.Transforms.Insert(0, new Transform(TransformType.Encr, 999, 256)) };
        Assert.Equal("aes256-prfsha256-sha256-x25519", ProposalKeywords.Print(ProposalSelection.Select([plain], [odd]).Chosen!));
    }

    [Fact]
    public void The_first_child_has_no_key_exchange()
    {
        // section 1.2: IKE_AUTH carries no KE payload, so groups of the offer are not part of the choice
        var ours = ProposalKeywordTests.Parse(ProtocolId.Esp, "aes256gcm16-x25519").ToImmutableArray();
        var offer = ProposalKeywordTests.Parse(ProtocolId.Esp, "aes256gcm16").ToImmutableArray();
        Assert.Null(ProposalSelection.Select(ours, offer).Chosen);
        Assert.Equal("aes256gcm16", ProposalKeywords.Print(ProposalSelection.Select(ours, offer, withoutKe: true).Chosen!));
    }

    [Theory]
    [InlineData("aes256gcm16", "aes256gcm16-esn", false)]
    [InlineData("aes256gcm16-esn", "aes256gcm16", false)]
    [InlineData("aes256gcm16-esn-noesn", "aes256gcm16", true)]
    [InlineData("aes256gcm16-esn", "aes256gcm16-noesn-esn", true)]
    public void Sequence_numbers_are_chosen_like_all_else(string ours, string theirs, bool fits) =>
        Assert.Equal(fits, ProposalSelection.Select([.. ProposalKeywordTests.Parse(ProtocolId.Esp, ours)], [.. ProposalKeywordTests.Parse(ProtocolId.Esp, theirs)]).Chosen is not null);

    [Theory]
    [InlineData("aes256-sha256-prfsha256-x25519", null)]
    [InlineData("aes128-sha256-prfsha256-x25519", "is not among what we offered")]
    [InlineData("aes256-sha256-prfsha256-modp1024", "is not among what we offered")]
    public void An_answer_must_be_one_of_ours(string answer, string? wrong)
    {
        var told = ProposalSelection.CheckAnswer([.. ProposalKeywordTests.Parse(ProtocolId.Ike, "aes256-sha256-x25519-modp2048")], ProposalKeywordTests.Parse(ProtocolId.Ike, answer)[0]);
        if (wrong is null) Assert.Null(told);
        else Assert.Contains(wrong, told);
    }

    [Fact]
    public void An_answer_with_two_transforms_of_a_type_is_refused() =>
        Assert.Contains("one is allowed", ProposalSelection.CheckAnswer([.. ProposalKeywordTests.Parse(ProtocolId.Ike, "aes256-aes128-sha256-x25519")], ProposalKeywordTests.Parse(ProtocolId.Ike, "aes256-aes128-sha256-x25519")[0]));

    [Fact]
    public void A_choice_is_in_both_and_passes_the_initiators_check_and_else_both_agree_that_there_is_none()
    {
        Gen.Select(Texts, Texts).Sample(pair =>
        {
            var (ours, theirs) = (Parse(pair.Item1), Parse(pair.Item2));
            var there = ProposalSelection.Select(ours, theirs);
            var back = ProposalSelection.Select(theirs, ours);
            Assert.Equal(there.Chosen is null, back.Chosen is null);
            if (there.Chosen is not { } chosen)
            {
                Assert.Equal(ours.Length, there.WhyNot.Length);
                return;
            }

            Assert.All(chosen.Transforms, transform => Assert.Contains(transform, theirs[there.OfferIndex].Transforms));
            Assert.Contains(ours, own => chosen.Transforms.All(own.Transforms.Contains));
            Assert.Equal(chosen.Transforms.Length, chosen.Transforms.Select(transform => transform.Type).Distinct().Count());
            Assert.Null(ProposalSelection.CheckAnswer(theirs, chosen));
            // nothing better: no earlier proposal of ours fits any offer
            var mine = ours.TakeWhile(own => !chosen.Transforms.All(own.Transforms.Contains)).ToImmutableArray();
            if (!mine.IsEmpty) Assert.Null(ProposalSelection.Select(mine, theirs).Chosen);
        });
    }

    private static Gen<string> Texts { get; } =
        from ciphers in Gen.Shuffle(s_ciphers, 1, 3)
        from hashes in Gen.Shuffle(s_hashes, 1, 2)
        from groups in Gen.Shuffle(s_groups, 1, 3)
        from second in Gen.Shuffle(s_ciphers, 1, 2)
        from more in Gen.Bool
        select string.Join('-', ciphers.Concat(hashes).Concat(groups)) + (more ? $",{string.Join('-', second)}-{hashes[0]}-{groups[^1]}" : "");

    private static ProposalChoice Select(string ours, string theirs) => ProposalSelection.Select(Parse(ours), Parse(theirs));

    private static ImmutableArray<Proposal> Parse(string texts) => [.. texts.Split(',').SelectMany(text => ProposalKeywordTests.Parse(ProtocolId.Ike, text))];
}
