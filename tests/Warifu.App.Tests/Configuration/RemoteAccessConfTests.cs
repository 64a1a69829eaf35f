using System;
using System.Linq;
using Warifu.App.Configuration;
using Warifu.Net;
using Warifu.Policy;
using Warifu.Primitives;
using Xunit;

namespace Warifu.App.Tests.Configuration;

/// <summary>XAuth, hybrid authentication and Mode Config as people write them (item 3.6).</summary>
[Trait("Item", "3.6")]
public sealed class RemoteAccessConfTests
{
    private const string Psk = "secrets { ike-1 { secret = 0x000102030405060708090a0b0c0d0e0f } xauth-c { id = carol\n secret = Ar3etTnp } }";

    [Fact]
    public void A_gateway_with_users_a_pool_and_push()
    {
        var conf = Conf.Read(Text("local { auth = psk\n id = gw.example.org }\n remote { auth = psk\n id = keyid:group }\n remote-2 { auth = xauth\n id = *@example.org }", "pools = p\n pull = no") + Psk + "pools { p { addrs = 10.3.0.0/24\n banner = \"Hello all\"\n default_domain = corp.example } }");
        Assert.Empty(conf.Errors);
        Assert.False(conf.Only.Pull);
        Assert.Equal((AuthKind.Psk, AuthKind.Xauth), (conf.Only.Remote.Kind, conf.Only.RemoteRounds.Single().Kind));
        Assert.Equal("*@example.org", conf.Only.RemoteRounds.Single().Id.Text);
        Assert.Equal(["UNITY_BANNER Hello all", "UNITY_DEF_DOMAIN corp.example"], conf.Built.Policy.Pools.Single().Attributes.Select(attribute => attribute.ToString()).Order());
        Assert.Equal([SecretKind.Psk, SecretKind.Password], conf.Built.Secrets.Select(secret => secret.Kind));
        // whoever knows the group's key can be the gateway
        Assert.Contains(conf.Findings, finding => finding.Severity == Severity.Warning && finding.Text.Contains("can pretend to be this gateway", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("local { auth = psk\n id = left.example.org }\n local-2 { auth = xauth\n xauth_id = carol }\n remote { auth = psk }", AuthKind.Psk)]
    [InlineData("local { auth = psk\n id = left.example.org }\n local-2 { auth = xauth-generic\n id = carol }\n remote { auth = psk }", AuthKind.Psk)]
    [InlineData("local { auth = xauth\n xauth_id = carol }\n remote { auth = pubkey\n id = right.example.org }", AuthKind.Xauth)]
    public void A_user(string auth, AuthKind first)
    {
        var conf = Conf.Read(Text(auth, "vips = 0.0.0.0") + Psk);
        Assert.Empty(conf.Errors);
        Assert.Equal(first, conf.Only.Local.Kind);
        var user = conf.Only.LocalRounds.Prepend(conf.Only.Local).Single(round => round.Kind == AuthKind.Xauth);
        Assert.Equal(Identity.Fqdn("carol"), user.XauthId ?? user.Id);
        Assert.True(conf.Only.Pull);
        Assert.DoesNotContain(conf.Findings, finding => finding.Text.Contains("password of user", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("local { auth = psk }\n remote { auth = xauth }", "the gateway proves itself by a certificate")]
    [InlineData("local { auth = xauth\n xauth_id = a }\n remote { auth = psk }", "the gateway proves itself by a certificate")]
    [InlineData("local { auth = psk }\n local-2 { auth = xauth\n xauth_id = a }\n remote { auth = psk }\n remote-2 { auth = xauth }", "XAuth is for users")]
    [InlineData("local { auth = psk }\n local-2 { auth = psk }\n remote { auth = psk }", "no further authentication rounds but XAuth")]
    [InlineData("local { auth = psk }\n remote { auth = xauth }\n remote-2 { auth = psk }", "XAuth comes behind phase 1, and the section with auth = xauth stands first")]
    [InlineData("local { auth = psk }\n remote { auth = psk }\n remote-2 { auth = xauth }\n remote-3 { auth = xauth }", "no further authentication rounds but XAuth")]
    [InlineData("local { auth = psk }\n local-2 { auth = xauth\n xauth_id = *@example.org }\n remote { auth = psk }", "is no user's name")]
    [InlineData("local { auth = psk }\n remote { auth = pubkey }", "both sides authenticate in the same way")]
    [InlineData("local { auth = psk }\n local-2 { auth = xauth-pam }\n remote { auth = psk }", "'xauth-pam' is not there yet")]
    public void What_makes_no_sense_is_named(string auth, string text) => Assert.Contains(Conf.Read(Text(auth) + Psk).Findings, finding => finding.Severity >= Severity.Limit && finding.Text.Contains(text, StringComparison.Ordinal) && finding.Position.Line > 0);

    [Fact]
    public void XAuth_is_of_version_1() => Assert.Contains(Conf.Read(Text("local { auth = psk }\n remote { auth = psk }\n remote-2 { auth = xauth }", version: 2) + Psk).Errors, error => error.Text == "XAuth is of IKEv1");

    [Theory]
    [InlineData("xauth-x { id = dave\n secret = y }", "no secret in this configuration is the password of user 'carol'")]
    [InlineData("xauth-x { secret = y }", "it is the password of everybody")]
    [InlineData("eap-x { id = carol\n secret = \"\" }", "has no value")]
    public void Passwords_that_are_missing_empty_or_everybodys_are_named(string secret, string text) =>
        Assert.Contains(Conf.Read(Text("local { auth = psk\n id = l }\n local-2 { auth = xauth\n xauth_id = carol }\n remote { auth = psk }") + $"secrets {{ ike-1 {{ secret = 0x000102030405060708090a0b0c0d0e0f }} {secret} }}").Findings, finding => finding.Text.Contains(text, StringComparison.Ordinal));

    [Fact]
    public void A_gateway_without_users_is_named() =>
        Assert.Contains(Conf.Read(Text("local { auth = psk }\n remote { auth = psk }\n remote-2 { auth = xauth }") + "secrets { ike-1 { secret = 0x000102030405060708090a0b0c0d0e0f } }").Findings, finding => finding.Text.Contains("no user of this configuration", StringComparison.Ordinal));

    [Fact]
    public void A_name_without_XAuth_has_no_effect() =>
        Assert.Contains(Conf.Read(Text("local { auth = psk\n xauth_id = carol }\n remote { auth = psk }") + Psk).Findings, finding => finding.Severity == Severity.Notice && finding.Text.Contains("xauth_id has no effect", StringComparison.Ordinal));

    private static string Text(string auth, string more = "", int version = 1) => $$"""
        connections {
          gw {
            version = {{version}}
            remote_addrs = 192.0.2.1
            {{more}}
            {{auth}}
            children { net { local_ts = 10.1.0.0/16 } }
          }
        }

        """;
}
