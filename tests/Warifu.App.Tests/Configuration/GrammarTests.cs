using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text;
using CsCheck;
using Warifu.App.Configuration;
using Xunit;

namespace Warifu.App.Tests.Configuration;

/// <summary>The grammar of swanctl.conf: everything that it may hold is read, everything that is wrong is told with its place, and nothing brings the reader down.</summary>
[Trait("Item", "1.14")]
public sealed class GrammarTests
{
    [Theory]
    [InlineData("a { b = c }", "c")]
    [InlineData("a{b=c}", "c")]
    [InlineData("a\n{\n b\n=\n c }", "-")]
    [InlineData("a { b = c d   e }", "c d e")]
    [InlineData("a { b = c # comment\n}", "c")]
    [InlineData("a { b = \"c # } {\" }", "c # } {")]
    [InlineData("a { b = \"x\\n\\t\\\"\\\\y\" }", "x\n\t\"\\y")]
    [InlineData("a { b = \"one \\\n two\" }", "one  two")]
    [InlineData("a { b = one \"two  three\" four }", "one two  three four")]
    [InlineData("# first\na { # second\n b = c\n}", "c")]
    [InlineData("\uFEFFa { b = c }", "c")]
    [InlineData("a { b = c\r\n}\r\n", "c")]
    [InlineData("a { b = a=b:c,d.e }", "a=b:c,d.e")]
    [InlineData("a { b = x\n b = y }", "y")]
    [InlineData("a { b = x }\na { b = y }", "y")]
    [InlineData("t { b = x }\na : t { }", "x")]
    [InlineData("t { b = x }\na : t { b = y }", "y")]
    [InlineData("t { b = x }\nu { b = y }\na : t, u { }", "x")]
    [InlineData("t { b = x }\na : t { b = \n}", "-")]
    [InlineData("u { b = x }\nt : u { }\na : t { }", "x")]
    [InlineData("a : t { }\nt { b = x }", "x")]
    public void Settings_are_read(string text, string value)
    {
        var root = Parse(text, out _);
        Assert.Equal(value, root.Section("a")?.Find("b")?.Text ?? "-");
    }

    [Theory]
    [InlineData("a { b = c", "1:1: error: section 'a' is not closed; add a '}'")]
    [InlineData("a {\n  b {\n }", "1:1: error: section 'a' is not closed; add a '}'")]
    [InlineData("}\na { }", "1:1: error: '}' without a section that it closes; remove it")]
    [InlineData("a { b = \"c }", "1:9: error: a quote that is not closed; add a '\"'")]
    [InlineData("a {\n  = c\n}", "2:3: error: '=' where a name is expected; names hold no # { } : . , = or quotes")]
    [InlineData("a {\n  b\n  c = d\n}", "2:3: error: a name that is followed by neither '=' nor '{'; write NAME = VALUE or NAME { … }, and put values that hold # or } into quotes")]
    [InlineData("a {\n  b = c { d }\n}", "2:9: error: '{' in the value of 'b'; put the value into quotes, or end the line before it")]
    [InlineData("a : t { }", "1:5: error: there is no section 't'; give the whole path from the root, for example 'connections.base'")]
    [InlineData("a : a { }", "1:5: error: section 'a' refers to itself; remove the reference")]
    [InlineData("a {\n b : a { } }", "2:6: error: section 'b' refers to itself; remove the reference")]
    [InlineData("a : b { }\nb : a { }", "2:5: error: sections refer to one another in a circle: 'b' to 'a' and back; remove one of the references")]
    [InlineData("a : { }", "1:5: error: a reference to a section is expected after ':'; write the path of a section, for example 'connections.base'")]
    [InlineData("a : t = c", "1:1: error: the references of 'a' are not followed by '{'; open the section")]
    [InlineData("include x.conf", "1:1: error: includes are not possible here; remove the include")]
    [InlineData("ä { b = \"x }", "1:9: error: a quote that is not closed; add a '\"'")]
    [InlineData("t { } a {\n b = c\n b = d }", "3:2: warning: 'b' is set again; the value of t.conf:2:2 is not used; keep one of them")]
    [InlineData("a { b = c#d\n}", "1:10: warning: '#' ends the value of 'b': what follows is a comment; put the value into quotes if it belongs to it, or a blank before the '#'")]
    [InlineData("a {\n b { c = d }\n b { e = f }\n}", "3:2: notice: section 'b' goes on here; it began at t.conf:2:2; if it was to be another one, give it another name")]
    public void What_is_wrong_is_told_with_its_place(string text, string finding)
    {
        Parse(text, out var findings);
        Assert.Contains("t.conf:" + finding, findings.Select(one => one.ToString()));
    }

    [Fact]
    public void All_errors_come_in_one_run()
    {
        Parse("a { b\n c = \"x\n\" }\n}\n= 1\ninclude y\nz", out var findings);
        Assert.Equal([(1, 5), (4, 1), (5, 1), (6, 1), (7, 1)], findings.Select(finding => (finding.Position.Line, finding.Position.Column)));
    }

    [Fact]
    public void The_rest_of_a_secret_without_quotes_is_not_repeated()
    {
        var lines = string.Join('\n', Conf.Read("secrets {\n ike-a { secret = Kq7!x}Hidden9-Zv\n}\n ike-b { secret = zQ9#xVisible7 }\n}").Lines);
        Assert.Contains("test.conf:2:25: error", lines);
        Assert.Contains("'#' ends the value of 'secret'", lines);
        Assert.DoesNotContain("Hidden9", lines);
        Assert.DoesNotContain("Visible7", lines);
        lines = string.Join('\n', Conf.Read("secrets {\n ike-a { secret = Kq7!x}Hidden9 = Zv\n}").Lines);
        Assert.Contains("test.conf:2:25: error: a key directly in 'secrets'", lines);
        Assert.DoesNotContain("Hidden9", lines);
    }

    [Fact]
    public void Files_include_files()
    {
        var folder = Conf.Folder();
        Directory.CreateDirectory(Path.Combine(folder, "conf.d"));
        File.WriteAllText(Path.Combine(folder, "main.conf"), "connections {\n  include conf.d/[ab]*.conf\n  include none.d/*.conf\n}\ninclude \"conf.d/secrets.conf\"\ninclude gone.conf\n");
        File.WriteAllText(Path.Combine(folder, "conf.d", "a.conf"), "a { version = 2 }\n");
        File.WriteAllText(Path.Combine(folder, "conf.d", "b1.conf"), "b {\n  version = 9\n}\n");
        File.WriteAllText(Path.Combine(folder, "conf.d", "c.conf"), "c { }\n");
        File.WriteAllText(Path.Combine(folder, "conf.d", ".a.conf"), "hidden { }\n");
        File.WriteAllText(Path.Combine(folder, "conf.d", "secrets.conf"), "secrets { ike-a { secret = x } }\n");
        var findings = new List<Diagnostic>();
        var root = ConfigurationFile.Read(Path.Combine(folder, "main.conf"), findings);
        Assert.Equal(["a", "b"], root.Section("connections")!.Sections.Select(section => section.Name));
        Assert.Equal("x", root.Section("secrets")!.Sections[0].Find("secret")!.Text);
        Assert.Equal(new SourcePosition(Path.Combine(folder, "conf.d", "b1.conf"), 2, 13), root.Section("connections")!.Section("b")!.Find("version")!.ValuePosition);
        Assert.Equal(["Notice 3:3", "Error 6:1"], findings.Select(finding => $"{finding.Severity} {finding.Position.Line}:{finding.Position.Column}"));
        Assert.Contains($"'{Path.Combine(folder, "gone.conf")}' cannot be read", findings[1].Text);
        Directory.Delete(folder, true);
    }

    [Theory]
    [InlineData("a.conf", "include a.conf\n", "")]
    [InlineData("a.conf", "include b.conf\n", "include ./a.conf\n")]
    [InlineData("a.conf", "x {\n include b.conf\n}\n", "include *.conf\n")]
    public void A_circle_of_includes_is_an_error_and_ends(string main, string a, string b)
    {
        var folder = Conf.Folder();
        File.WriteAllText(Path.Combine(folder, "a.conf"), a);
        File.WriteAllText(Path.Combine(folder, "b.conf"), b);
        var findings = new List<Diagnostic>();
        ConfigurationFile.Read(Path.Combine(folder, main), findings);
        Assert.InRange(findings.Count, 1, 3);
        Assert.All(findings, finding => Assert.Equal(Severity.Error, finding.Severity));
        Assert.Contains("includes itself: a.conf -> ", findings[0].Text);
        Directory.Delete(folder, true);
    }

    [Theory]
    [InlineData("*.conf", "a.conf", true)]
    [InlineData("*.conf", ".conf", false)]
    [InlineData(".*", ".conf", true)]
    [InlineData("*.conf", "a.conf.bak", false)]
    [InlineData("a?c", "abc", true)]
    [InlineData("a?c", "ac", false)]
    [InlineData("[a-c]x", "bx", true)]
    [InlineData("[a-c]x", "dx", false)]
    [InlineData("[!a-c]x", "dx", true)]
    [InlineData("[ab]", "a", true)]
    [InlineData("a*b*c", "axxbyybzc", true)]
    [InlineData("a*b*c", "axxbyybz", false)]
    [InlineData("*", "anything", true)]
    [InlineData("[", "[", true)]
    [InlineData("a**", "a", true)]
    public void Patterns_of_includes(string pattern, string name, bool fits) => Assert.Equal(fits, Wildcards.Match(pattern, name));

    [Fact]
    public void A_missing_file_and_a_folder_are_errors()
    {
        foreach (var path in new[] { "/nonexistent/warifu.conf", Path.GetTempPath(), "/dev/null/x", "a\0b" })
        {
            var findings = new List<Diagnostic>();
            Assert.Empty(ConfigurationFile.Read(path, findings).Sections);
            Assert.Equal(Severity.Error, Assert.Single(findings).Severity);
        }
    }

    [Fact]
    public void Inheritance_that_doubles_at_each_step_ends()
    {
        var text = new StringBuilder("s0 { a = b }\n");
        for (var i = 1; i <= 30; i++) text.Append($"s{i} {{ p : s{i - 1} {{ }}\n q : s{i - 1} {{ }} }}\n");
        Parse(text.ToString(), out var findings);
        Assert.Contains(findings, finding => finding.Text == "inheritance makes too many copies");
    }

    [Theory]
    [InlineData("line", 1 << 20)]
    [InlineData("open", 1 << 20)]
    [InlineData("close", 1 << 20)]
    [InlineData("keys", 1 << 20)]
    [InlineData("same", 1 << 20)]
    [InlineData("sections", 1 << 20)]
    [InlineData("names", 1 << 20)]
    [InlineData("quotes", 1 << 20)]
    [InlineData("value", 1 << 20)]
    public void A_megabyte_of_nonsense_is_read_in_seconds(string what, int length)
    {
        var text = what switch
        {
            "line" => "connections { a { proposals = " + new string('x', length) + " } }",
            "open" => Repeat("a{", length),
            "close" => Repeat("}", length),
            "keys" => "connections { a {\n" + string.Concat(Enumerable.Range(0, length / 10).Select(i => $"k{i}=v\n")) + "}}",
            "same" => "connections { a {\n" + Repeat("version=2\n", length) + "}}",
            "sections" => "connections {" + string.Concat(Enumerable.Range(0, length / 12).Select(i => $"c{i} {{}} ")) + "}",
            "names" => new string('n', length),
            "quotes" => "a { b = " + Repeat("\"", length + 1),
            _ => "secrets { ike-a { secret = " + new string('x', length) + "\n} }",
        };
        var clock = System.Diagnostics.Stopwatch.StartNew();
        var findings = Conf.Read(text).Findings;
        Assert.All(findings, finding => Assert.InRange(finding.ToString().Length, 1, 1000));
        // generous: it takes a second at most on a slow machine, and hours if something is quadratic
        Assert.InRange(clock.Elapsed.TotalSeconds, 0, 60);
    }

    [Fact]
    public void A_hundred_thousand_connections_are_read()
    {
        var text = new StringBuilder("base { version = 2\n proposals = aes256gcm16-prfsha384-x25519\n local { auth = psk\n id = hub }\n children { net { } } }\nconnections {\n");
        for (var i = 0; i < 100_000; i++) text.Append($"c{i} : base {{ remote {{ auth = psk\n id = peer{i} }} }}\n");
        var conf = Conf.Read(text.Append("}\nsecrets { ike { secret = 0x000102030405060708090a0b0c0d0e0f } }").ToString());
        Assert.Empty(conf.Errors);
        Assert.Equal(100_000, conf.Built.Policy.Connections.Length);
        Assert.Equal("hub", Policy.Identities.Print(conf.Built.Policy.Connections[^1].Local.Id));
    }

    [Fact]
    public void Property_random_octets_never_bring_the_reader_down() => Gen.Byte.Array[0, 400].Sample(octets => Try(octets), iter: 3000);

    [Fact]
    public void Property_random_pieces_of_grammar_never_bring_the_reader_down()
    {
        string[] pieces =
        [
            "connections", "secrets", "daemon", "manual", "pools", "authorities", "children", "local", "remote", "{", "}", "{", "}", "=", ":", ",", ".", "\"", "\\", "#", "\n", "\n", "\n", " ", "include x", "a", "ike-a", "secret", "id", "cert1",
            "proposals", "esp_proposals", "local_ts", "remote_ts", "remote_addrs", "version", "keep", "rekey_time", "life_time", "mark_in", "mss", "auth", "psk", "default", "aes256-sha256-x25519", "aes", "10.0.0.0/8[tcp/80]", "0x", "0s",
            "0xff", "-", "--", "5s", "99999999999999999999", "-1", "up", "%any", "*", "C=CH, CN=*", "\u0000", "ÿ", "df", "copy_df", "dpd_action", "life_bytes", "bind_interface", "label", "key",
        ];
        Gen.Int[0, pieces.Length - 1].Array[0, 120].Sample(indices => Try(Encoding.UTF8.GetBytes(string.Join(indices.Length % 2 == 0 ? " " : "", indices.Select(i => pieces[i])))), iter: 10_000);
    }

    [Fact]
    public void Property_every_value_of_every_key_is_judged_without_an_accident()
    {
        string[] values = ["", " ", "0", "-1", "1", "yes", "2147483648", "18446744073709551616", "9223372036854775807g", "0x", "0xffffffffffffffff", "08", "1s", "1.5s", "s", "%any", "%unique", "1/2/3", "/", "a,,b", ",", "[", "10.0.0.0/8[", "10.0.0.0/8[tcp/-]", "-", "a-b-c", "aes256-sha256-x25519", "*", "@", "@#", "=", "ipv4:", "fqdn:^x$", "\"", "日本", "\u0001", new('x', 5000), "1..2", "::-", "dynamic[1/(]", "none|trap|", "|"];
        foreach (var info in KeyRegistry.All)
        {
            foreach (var value in values) ValueCheck.Find(info, new ConfigSetting(info.Name, default, default, value.Utf8()));
            ValueCheck.Find(info, new ConfigSetting(info.Name, default, default));
            ValueCheck.Find(info, new ConfigSetting(info.Name, default, default, [0xFF, 0xFE], [0x00]));
            foreach (var value in values)
            {
                var path = KeyRegistry.PathOf(info.Scope)!.Split('.');
                var text = string.Concat(path.Select((part, i) => $"{(part == "NAME" ? "ike-n" : part)} {{\n")) + $"{info.Name} = \"{value.Replace("\\", "\\\\").Replace("\"", "\\\"")}\"\n" + string.Concat(path.Select(_ => "}\n"));
                Conf.Read(text);
            }
        }
    }

    private static void Try(byte[] octets)
    {
        var findings = new List<Diagnostic>();
        var root = SwanctlParser.Parse(octets, "t.conf", (_, _) => [new IncludedFile("x", "secrets { ike-z { secret = q } }"u8.ToArray())], findings);
        var built = PolicyBuilder.Build(root, findings);
        PskCheck.Judge(built, PskPolicy.Strict, findings);
        root.Erase();
        Assert.All(findings, finding => Assert.NotEmpty(finding.ToString()));
    }

    private static string Repeat(string text, int length) => string.Concat(Enumerable.Repeat(text, length / text.Length));

    private static ConfigSection Parse(string text, out List<Diagnostic> findings)
    {
        findings = [];
        return SwanctlParser.Parse(Encoding.UTF8.GetBytes(text), "t.conf", null, findings);
    }
}
