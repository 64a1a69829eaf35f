using System;
using System.Linq;
using Warifu.App.Cli;
using Warifu.App.Vici;
using Warifu.Policy;
using Warifu.Primitives;
using Xunit;

namespace Warifu.App.Tests.Vici;

/// <summary>RFC 6379 section 3: people see suites by their names, also where the algorithms were spelled out.</summary>
[Trait("Item", "3.2")]
public sealed class SuiteNameTests
{
    [Theory]
    [InlineData("aes128-sha256-ecp256", "aes128gcm16", "Suite-B-GCM-128")]
    [InlineData("aes128-sha256-ecp256", "aes128gcm16-ecp256", "Suite-B-GCM-128")]
    [InlineData("aes128-sha256-ecp256", "aes128gmac", "Suite-B-GMAC-128")]
    [InlineData("aes256-sha384-ecp384", "aes256gcm16-ecp384", "Suite-B-GCM-256")]
    [InlineData("aes256-sha384-ecp384", "aes256gmac", "Suite-B-GMAC-256")]
    [InlineData("aes256-sha384-ecp384", "aes128gcm16", null)]
    [InlineData("aes128-sha256-ecp256", "aes128gcm16-modp2048", null)]
    [InlineData("aes128-sha256-modp2048", "aes128gcm16", null)]
    [InlineData("aes128-sha384-ecp256", "aes128gcm16", null)]
    [InlineData("aes128gcm16-prfsha256-ecp256", "aes128gcm16", null)]
    [InlineData("aes128-sha256-ecp256", "aes128-sha256", null)]
    public void A_suite_is_known_by_its_algorithms(string ike, string esp, string? name) =>
        Assert.Equal(name, ViciListings.SuiteOf(Parse(ProtocolId.Ike, ike), Parse(ProtocolId.Esp, esp)));

    [Fact]
    public void AH_is_no_suite_and_keys_by_hand_have_no_IKE_half()
    {
        Assert.Null(ViciListings.SuiteOf(Parse(ProtocolId.Ike, "aes128-sha256-ecp256"), Parse(ProtocolId.Ah, "sha256")));
        Assert.Null(ViciListings.SuiteOf(null, Parse(ProtocolId.Esp, "aes128gcm16")));
    }

    /// <summary>What people read of an SA of IKEv1: when it authenticates anew, the suite's name, and AH without a cipher.</summary>
    [Fact]
    public void A_listing_shows_the_name_the_times_and_AH()
    {
        ViciMessage Child(string name) => new ViciMessage().Add("name", name).Add("uniqueid", 1L).Add("state", "INSTALLED").Add("mode", "TUNNEL");
        var children = new ViciMessage()
            .Add("net-1", Child("net").Add("protocol", "ESP").Add("encr-alg", "AES_GCM_16").Add("encr-keysize", 128L).Add("x-suite", "Suite-B-GCM-128"))
            .Add("ah-2", Child("ah").Add("protocol", "AH").Add("integ-alg", "HMAC_SHA2_256_128").Add("dh-group", "MODP_2048"));
        ViciMessage Sa(string when) => new ViciMessage().Add("gw", new ViciMessage().Add("state", "ESTABLISHED").Add("version", "1").Add("remote-id", "group").Add("remote-xauth-id", "carol").Add("established", 3L).Add(when, 77L).Add("child-sas", children));
        var text = Listings.Text([Sa("reauth-time")]);
        Assert.Contains("  remote 'group' user 'carol' @ ", text, StringComparison.Ordinal);
        Assert.Contains("established 3s ago, authenticating anew in 77s", text, StringComparison.Ordinal);
        Assert.Contains("TUNNEL, ESP:AES_GCM_16-128 (Suite-B-GCM-128)", text, StringComparison.Ordinal);
        Assert.Contains("TUNNEL, AH:HMAC_SHA2_256_128/MODP_2048", text, StringComparison.Ordinal);
        Assert.Contains("established 3s ago, rekeying in 77s", Listings.Text([Sa("rekey-time")]), StringComparison.Ordinal);
    }

    private static Proposal Parse(ProtocolId protocol, string text) => ProposalKeywords.TryParse(protocol, text, out var proposals, out var error, out _) ? proposals.Single() : throw new FormatException(error);
}
