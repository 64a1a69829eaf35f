using System.IO;
using System.Linq;
using System.Threading.Tasks;
using Warifu.App.Configuration;
using Warifu.App.Tests.Lab;
using Xunit;

namespace Warifu.App.Tests.Configuration;

/// <summary>Where the rules for pre-shared keys apply, and how strictly (R138, psk_policy).</summary>
[Trait("Item", "1.9")]
public sealed class PskCheckTests
{
    private const string Weak = "Summer2026!";

    [Theory]
    [InlineData("strict", Severity.Error)]
    [InlineData("warn", Severity.Warning)]
    [InlineData("off", null)]
    public void The_daemons_policy_decides(string policy, object? severity)
    {
        var findings = Secret(Weak, daemon: $"psk_policy = {policy}").Findings;
        var judged = findings.Where(finding => finding.Text.Contains("dictionary", System.StringComparison.Ordinal)).Select(finding => (object)finding.Severity);
        Assert.Equal(severity is null ? [] : [severity], judged);
        if (policy == "off") Assert.DoesNotContain(findings, finding => finding.Text.Contains("12", System.StringComparison.Ordinal));
    }

    [Fact]
    public void An_empty_secret_is_refused_whatever_the_policy() => Assert.Contains(Secret("\"\"", daemon: "psk_policy = off").Errors, finding => finding.Text.Contains("ike-gw", System.StringComparison.Ordinal));

    [Theory]
    [InlineData("/etc/swanctl/swanctl.conf", PskPolicy.Warn)]
    [InlineData("/etc/swanctl/conf.d/a.conf", PskPolicy.Warn)]
    [InlineData("/etc/swanctl/../warifu/warifu.conf", PskPolicy.Strict)]
    [InlineData("/etc/warifu/warifu.conf", PskPolicy.Strict)]
    [InlineData("/etc/swanctl-new/x.conf", PskPolicy.Strict)]
    [InlineData("swanctl.conf", PskPolicy.Strict)]
    public void The_default_depends_on_the_file(string file, object policy) => Assert.Equal(policy, PskCheck.DefaultFor(file));

    [Fact]
    public void An_included_file_below_etc_swanctl_keeps_its_default()
    {
        var inner = $"secrets {{ ike-gw {{ secret = {Weak}\n id = right.example.org }} }}".Utf8();
        var conf = Conf.Read("include /etc/swanctl/secrets.conf", "/etc/warifu/warifu.conf", PskPolicy.Strict, (_, _) => [new IncludedFile("/etc/swanctl/secrets.conf", inner)]);
        Assert.Empty(conf.Errors);
        Assert.Contains(conf.Findings, finding => finding is { Severity: Severity.Warning, Position: { File: "/etc/swanctl/secrets.conf", Line: 1 } } && finding.Text.Contains("dictionary", System.StringComparison.Ordinal));
        Assert.All(inner, octet => Assert.Equal(0, octet));
    }

    [Theory]
    [InlineData("psk_policy = warn", "", Severity.Warning)]
    [InlineData("psk_policy = strict", "psk_policy = off", Severity.Error)]
    [InlineData("psk_policy = off", "psk_policy = strict", null)]
    [InlineData("", "psk_policy = warn", Severity.Warning)]
    public void A_connections_policy_beats_the_daemons(string connection, string daemon, object? severity)
    {
        var judged = Secret(Weak, connection, daemon).Findings.Where(finding => finding.Text.Contains("dictionary", System.StringComparison.Ordinal)).Select(finding => (object)finding.Severity);
        Assert.Equal(severity is null ? [] : [severity], judged);
    }

    [Fact]
    public void A_secret_of_several_connections_is_judged_by_the_strictest()
    {
        var conf = Conf.Read($$"""
            connections {
              a { version = 2
                psk_policy = off
                local { auth = psk }
                remote { auth = psk
                  id = a } }
              b { version = 2
                local { auth = psk }
                remote { auth = psk
                  id = b } }
              c { version = 2
                psk_policy = warn
                local { auth = psk }
                remote { auth = psk
                  id = *.c } }
            }
            secrets {
              ike-a { secret = {{Weak}}
                id = a }
              ike-ab { secret = {{Weak}}
                id-1 = b
                id-2 = a }
              ike-c { secret = {{Weak}}
                id = x.c }
              ike-none { secret = {{Weak}}
                id = nobody }
            }
            """);
        Assert.Equal(
            ["ike-ab:Error", "ike-c:Warning", "ike-none:Error"],
            conf.Findings.Where(finding => finding.Text.Contains("dictionary", System.StringComparison.Ordinal)).Select(finding => $"{finding.Text.Split('\'')[1]}:{finding.Severity}").Order());
    }

    [Theory]
    [InlineData("0x000102030405060708090a0b0c0d0e0f", null)]
    [InlineData("0x000102030405060708090a0b0c0d0e", "is a key of 15 octets")]
    [InlineData("0sAAECAwQFBgcICQoLDA0ODw==", null)]
    [InlineData("0sAAECAwQFBgcICQoLDA0ODw", null)]
    [InlineData("0sAAEC", "is a key of 3 octets")]
    [InlineData("0x70617373776f72643132333435363738", null)]
    public void Keys_get_only_the_advice_of_16_octets(string secret, string? advice)
    {
        var conf = Secret(secret);
        Assert.Empty(conf.Errors);
        Assert.Equal(advice is null ? [] : [$"secret 'ike-gw' {advice}"], conf.Findings.Where(finding => finding.Severity == Severity.Warning).Select(finding => finding.Text));
    }

    [Theory]
    [InlineData("0xzz", "hexadecimal digits only")]
    [InlineData("0s!!!", "must be base64")]
    [InlineData("0sAAECA", "must be base64")]
    public void A_key_that_cannot_be_decoded_is_an_error_that_does_not_repeat_it(string secret, string error)
    {
        var finding = Assert.Single(Secret(secret).Errors);
        Assert.Contains(error, finding.Text);
        Assert.DoesNotContain(secret, finding.ToString());
    }

    [Fact]
    public void Case_is_kept_and_octets_are_used_as_they_are_typed()
    {
        var (upper, lower) = (Secret("\"Kq7!xZ9-Vw2mJp\""), Secret("\"kq7!xZ9-Vw2mJp\""));
        Assert.Equal("Kq7!xZ9-Vw2mJp"u8, upper.Built.Secrets[0].Value);
        Assert.NotEqual(upper.Built.Secrets[0].Value, lower.Built.Secrets[0].Value);
        Assert.Equal("пароль-Ключ-7391"u8, Secret("пароль-Ключ-7391").Built.Secrets[0].Value);
    }

    [Fact]
    public void A_connection_without_a_secret_and_a_secret_that_is_never_used_are_told()
    {
        var conf = Conf.Read(Conf.Text().Replace("    id = right.example.org\n  }\n}\n", "    id = third.example.org\n  }\n  ike-again {\n    secret = 0x100102030405060708090a0b0c0d0e0f\n    id = third.example.org\n  }\n}\n"));
        Assert.Contains(conf.Lines, line => line.Contains("no secret in this configuration is for connection 'gw'", System.StringComparison.Ordinal));
        Assert.Contains(conf.Lines, line => line.Contains("secret 'ike-gw' has the owners of 'ike-again' and is never used", System.StringComparison.Ordinal));
    }

    [Fact]
    public void A_missing_word_list_is_a_limit_and_a_present_one_counts()
    {
        var folder = Conf.Folder();
        var file = Path.Combine(folder, "warifu.conf");
        File.WriteAllText(Path.Combine(folder, "words"), "zyxqvar\n");
        var findings = new System.Collections.Generic.List<Diagnostic>();
        File.WriteAllText(file, "daemon {\n  psk_words = words\n}\nsecrets { ike-x { secret = Zyxqvar-26! } }\n");
        var built = PolicyBuilder.Build(ConfigurationFile.Read(file, findings), findings);
        PskCheck.Judge(built, PskPolicy.Strict, findings);
        Assert.Contains(findings, finding => finding.Severity == Severity.Error && finding.Text.Contains("dictionary", System.StringComparison.Ordinal));
        File.Delete(Path.Combine(folder, "words"));
        findings.Clear();
        PolicyBuilder.Build(ConfigurationFile.Read(file, findings), findings);
        Assert.Equal((Severity.Limit, 2, 3), (findings[0].Severity, findings[0].Position.Line, findings[0].Position.Column));
        Directory.Delete(folder, true);
    }

    [Fact]
    public async Task Check_and_run_refuse_a_weak_secret()
    {
        var folder = Conf.Folder();
        var file = Path.Combine(folder, "weak.conf");
        File.WriteAllText(file, $"secrets {{\n  ike-x {{\n    secret = \"{Weak}\"\n  }}\n}}\n");
        foreach (var arguments in new[] { new[] { "check", file }, ["run", "--config", file, "--dataplane", "none", "--socket", Path.Combine(folder, "s")] })
        {
            var ended = await Tool.RunAsync(Gateway.Binary, arguments);
            Assert.Equal(2, ended.ExitCode);
            Assert.Contains($"{file}:3:14: error: secret 'ike-x' is made of dictionary words", ended.All);
            Assert.DoesNotContain(Weak, ended.All);
        }

        Directory.Delete(folder, true);
    }

    private static Conf Secret(string secret, string connection = "", string daemon = "") =>
        Conf.Read(Conf.Text(connection, more: $"daemon {{\n{daemon}\n}}").Replace("0x000102030405060708090a0b0c0d0e0f", secret));
}

internal static class Octets
{
    public static byte[] Utf8(this string text) => System.Text.Encoding.UTF8.GetBytes(text);
}
