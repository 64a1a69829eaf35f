using System;
using System.Collections.Generic;
using System.Linq;
using System.Text;
using Warifu.App.Configuration;
using Xunit;

namespace Warifu.App.Tests.Configuration;

/// <summary>Weak algorithms are off unless a configuration names them, and then exactly one warning says so.</summary>
[Trait("Item", "1.6")]
public sealed class WeakAlgorithmTests
{
    [Theory]
    [InlineData("3des-sha256-modp2048", "3DES")]
    [InlineData("aes128-md5-modp2048", "MD5")]
    [InlineData("aes128-sha1-modp2048", "SHA-1")]
    [InlineData("aes128-sha256-modp768", "modp768")]
    [InlineData("aes128-sha256-modp1024", "modp1024")]
    [InlineData("aes128-sha256-modp1536", "modp1536")]
    [InlineData("aes128-sha256-modp1024s160", "modp1024s160")]
    [InlineData("aes128-sha256-modp2048s224", "modp2048s224")]
    [InlineData("aes128-sha256-modp2048s256", "modp2048s256")]
    [InlineData("aes128-sha256-ecp192", "ecp192")]
    public void Naming_a_weak_algorithm_for_IKE_gives_one_warning(string proposals, string weak)
    {
        var warning = Assert.Single(Warnings(proposals, "default"));
        Assert.StartsWith($"WEAK: connection 'gw' names {weak} in proposals: ", warning.Text, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("3des-sha256", "3DES")]
    [InlineData("aes128-md5", "MD5")]
    [InlineData("aes128-sha1", "SHA-1")]
    [InlineData("aes128-sha256-modp1024", "modp1024")]
    [InlineData("null-sha256", "NULL")]
    public void Naming_a_weak_algorithm_for_ESP_gives_one_warning(string proposals, string weak)
    {
        var warning = Assert.Single(Warnings("default", proposals));
        Assert.StartsWith($"WEAK: connection 'gw' names {weak} in esp_proposals: ", warning.Text, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("default", "default")]
    [InlineData("aes256-sha256-modp2048", "aes128gcm16-ecp384")]
    public void Good_algorithms_give_none(string ike, string esp) => Assert.Empty(Warnings(ike, esp));

    [Theory]
    [InlineData("default", "aes256-sha256-prfsha256", "esp_proposals: 'prfsha256' in 'aes256-sha256-prfsha256' has no effect: the PRF of the IKE SA makes the keys of its children")]
    [InlineData("default", "aes256gcm16-sha256", "esp_proposals: 'sha256' in 'aes256gcm16-sha256' has no effect: the cipher authenticates by itself")]
    [InlineData("aes256gcm16-sha256-prfsha256-x25519", "default", "proposals: 'sha256' in 'aes256gcm16-sha256-prfsha256-x25519' has no effect: the cipher authenticates by itself, and a PRF is named")]
    [InlineData("aes256-sha256-x25519-esn", "default", "proposals: 'esn' in 'aes256-sha256-x25519-esn' has no effect: extended sequence numbers are of ESP and AH")]
    [InlineData("aes256-sha256-x25519-none", "default", "proposals: 'none' in 'aes256-sha256-x25519-none' has no effect: an IKE SA always exchanges keys")]
    public void A_word_without_effect_gets_a_notice(string ike, string esp, string expected)
    {
        var findings = Findings(ike, esp, out var built);
        Assert.Single(findings, finding => finding.Severity == Severity.Notice && finding.Text == expected);
        Assert.Single(built.Policy.Connections);
    }

    [Theory]
    [InlineData("aes256gcm16-sha256-x25519", "aes256gcm16-aes256-sha256")]
    [InlineData("default", "aes256gcm16-x25519-none-esn-noesn")]
    public void A_word_with_an_effect_gets_none(string ike, string esp) => Assert.DoesNotContain(Findings(ike, esp, out _), finding => finding.Text.Contains("no effect", StringComparison.Ordinal));

    [Fact]
    public void DES_is_taken_where_it_is_named_with_a_warning_and_is_in_no_default()
    {
        var findings = Findings("des-sha1-modp1024", "default", out var built);
        Assert.Single(findings, finding => finding.Severity == Severity.Warning && finding.Text.StartsWith("WEAK", StringComparison.Ordinal) && finding.Text.Contains("DES", StringComparison.Ordinal));
        Assert.Single(built.Policy.Connections);
        Assert.DoesNotContain(Findings("default", "default", out _), finding => finding.Text.StartsWith("WEAK", StringComparison.Ordinal));
    }

    private static IEnumerable<Diagnostic> Warnings(string ike, string esp) => Findings(ike, esp, out _).Where(finding => finding.Severity == Severity.Warning);

    private static List<Diagnostic> Findings(string ike, string esp, out BuiltConfiguration built)
    {
        var text = $$"""
            connections {
              gw {
                version = 2
                proposals = {{ike}}
                local { auth = psk
                  id = left.example.org }
                remote { auth = psk
                  id = right.example.org }
                children { net {
                  esp_proposals = {{esp}}
                  local_ts = 10.1.0.0/16
                  remote_ts = 10.2.0.0/16
                } }
              }
            }
            """;
        var findings = new List<Diagnostic>();
        built = PolicyBuilder.Build(SwanctlParser.Parse(Encoding.UTF8.GetBytes(text), "weak.conf", null, findings), findings);
        return findings;
    }
}
