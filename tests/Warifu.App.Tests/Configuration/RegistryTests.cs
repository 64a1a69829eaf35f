using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using Warifu.App.Configuration;
using Warifu.App.Tests.Lab;
using Xunit;

namespace Warifu.App.Tests.Configuration;

/// <summary>All keys of swanctl.conf and our own are known, with their type and default.</summary>
[Trait("Item", "1.14")]
public sealed class RegistryTests
{
    /// <summary>Keys of swanctl.conf: section, then KEY TYPE DEFAULT (- = none); a star = any suffix. Types: b bool, t time, s size, n number, w word, l list, i identity, x text, o octets, d DSCP, m mark, f interface id, c contents of files.</summary>
    private const string Swanctl = """
        Connection: version w 2, local_addrs l %any, remote_addrs l %any, local_port n 500, remote_port n 500, proposals l default, vips l -, aggressive b no, pull b yes, dscp d 000000, encap b no, mobike b yes,
          dpd_delay t 0s, dpd_timeout t 0s, fragmentation w yes, childless w allow, send_certreq b yes, send_cert w ifasked, ocsp w reply, ppk_id i -, ppk_required b no, keyingtries n 1, unique w no, reauth_time t 0s,
          rekey_time t 4h, over_time t ~, rand_time t over_time, pools l -, if_id_in f 0, if_id_out f 0, mediation b no, mediated_by x -, mediation_peer i -
        Local: round n 0, auth x pubkey, id i ~, eap_id i id, aaa_id i ~, xauth_id i id, certs c -, pubkeys c -
        Remote: round n 0, auth x pubkey, id i %any, eap_id i id, certs c -, pubkeys c -, groups l -, cert_policy l -, cacerts c -, ca_id i -, revocation w relaxed
        CertFile: file x -, handle x -, slot x -, module x -
        Child: ah_proposals l -, esp_proposals l default, sha256_96 b no, local_ts l dynamic, remote_ts l dynamic, rekey_time t 1h, life_time t ~, rand_time t ~, rekey_bytes s 0, life_bytes s ~, rand_bytes s ~,
          rekey_packets n 0, life_packets n ~, rand_packets n ~, updown x -, hostaccess b no, mode w tunnel, policies b yes, policies_fwd_out b no, dpd_action w clear, ipcomp b no, inactivity t 0s, reqid n 0, priority n 0,
          interface x -, mark_in m 0, mark_out m 0, mark_in_sa b no, set_mark_in m 0, set_mark_out m 0, if_id_in f 0, if_id_out f 0, label x -, label_mode w system, tfc_padding x 0, replay_window n 64, per_cpu_sas w no,
          hw_offload w no, copy_df b yes, copy_ecn b yes, copy_dscp w out, icmp b no, start_action w none, close_action w none
        Secret: secret* o -, id* i ~, file x -, handle x -, slot x -, module x -, pin o -
        Pool: addrs x -, dns l -, nbns l -, dhcp l -, netmask l -, server l -, subnet l -, p_cscf l -, split_include l -, split_exclude l -
        Authority: cacert c -, file c -, handle x -, slot x -, module x -, crl_uris l -, ocsp_uris l -, cert_uri_base x -
        """;

    /// <summary>Our own keys.</summary>
    private const string Own = """
        Connection: psk_policy w ~, reauth_frequency n 0, nat_traversal b yes, dpd_mode w probe-idle-tunnel, dpd_threshold n ~, keep w no, fragment_size n ~, suite_b w ~, request l -, aggressive_psk b no
        Child: keep w no, bind_interface x -, mtu n 0, mss x auto, df w copy, leak b no, bypass_lan b no, single_pair b no
        Pool: static l -, dns_domain l -, banner l -, default_domain l -
        Daemon: port n 500, port_nat_t n 4500, socket l /run/warifu/vici.sock, dataplane w auto, psk_policy w ~, psk_words x -, cookie_threshold n 30, half_open_limit n 1000, half_open_timeout t 30s, half_open_per_prefix n 20, identity_limit n 1024,
          retransmit_timeout t 1s, retransmit_tries n 6, keep_alive t 20s, fwmark n 0x57, table n 8757, hash_and_url b no, hash_and_url_private b no, crash_detection b yes, make_before_break b yes, state_dir x /var/lib/warifu, keylog x -
        Manual: local x -, remote x -, protocol w esp, mode w tunnel, spi n -, spi_in n -, spi_out n -, encr x -, integ x -, encr_key o -, encr_key_in o -, encr_key_out o -, integ_key o -, integ_key_in o -, integ_key_out o -,
          danger_counter_mode_with_fixed_key b no, local_ts l dynamic, remote_ts l dynamic, bind_interface x -, mtu n 0
        """;

    private static readonly Dictionary<char, ValueKind[]> s_kinds = new()
    {
        ['b'] = [ValueKind.YesNo],
        ['t'] = [ValueKind.Time],
        ['s'] = [ValueKind.Size],
        ['n'] = [ValueKind.Number],
        ['w'] = [ValueKind.Word, ValueKind.Words],
        ['l'] = [ValueKind.List, ValueKind.Hosts, ValueKind.Proposals, ValueKind.Selectors],
        ['i'] = [ValueKind.IdentityName],
        ['x'] = [ValueKind.Text],
        ['o'] = [ValueKind.Octets],
        ['d'] = [ValueKind.Dscp],
        ['m'] = [ValueKind.Mark],
        ['f'] = [ValueKind.InterfaceId],
        ['c'] = [ValueKind.Contents],
    };

    public static IEnumerable<TheoryDataRow<string, string, char, string, bool>> Keys() => Rows(Swanctl, false).Concat(Rows(Own, true));

    [Theory]
    [MemberData(nameof(Keys))]
    public void Every_key_is_known_with_its_type_and_default(string scope, string key, char type, string standard, bool own)
    {
        var info = KeyRegistry.Find(Enum.Parse<Scope>(scope), key.TrimEnd('*'));
        Assert.NotNull(info);
        Assert.Contains(info.Kind, s_kinds[type]);
        Assert.Equal(key.EndsWith('*'), info.Prefix);
        Assert.Equal(own, info.Own);
        // ~ = a rule in words
        if (standard == "~") Assert.NotEqual("-", info.Default);
        else Assert.Equal(standard == "-" ? "" : standard, info.Default);
        Assert.NotEmpty(info.Meaning);
    }

    [Fact]
    public void Nothing_else_is_in_the_registry() =>
        Assert.Equal(Keys().Select(row => $"{row.Data.Item1}.{row.Data.Item2}").Append("Pool.address").Order(), KeyRegistry.All.Select(info => $"{info.Scope}.{info.Name}{(info.Prefix ? "*" : "")}").Order());

    [Fact]
    public void Every_default_that_is_a_value_is_accepted_and_changes_nothing()
    {
        foreach (var info in KeyRegistry.All.Where(info => info.Default.Length > 0 && info.Kind is ValueKind.YesNo or ValueKind.Time or ValueKind.Number or ValueKind.Word or ValueKind.Words or ValueKind.Dscp or ValueKind.Mark or ValueKind.InterfaceId or ValueKind.Hosts or ValueKind.Selectors or ValueKind.Proposals))
        {
            if (info.Default.Length == 0 || info.Default.Contains(' ') || info.Default == "over_time" || info is { Name: "psk_policy", Scope: Scope.Connection }) continue;
            var setting = new ConfigSetting(info.Name, default, default, info.Default.Utf8());
            Assert.True(ValueCheck.Find(info, setting) is null, $"{info.Scope}.{info.Name} = {info.Default}");
            Assert.True(ValueCheck.IsDefault(info, setting), $"{info.Scope}.{info.Name} = {info.Default}");
        }
    }

    [Fact]
    public void Every_word_of_a_key_is_accepted()
    {
        foreach (var info in KeyRegistry.All)
        {
            foreach (var word in info.Words) Assert.Null(ValueCheck.Find(info, new ConfigSetting(info.Name, default, default, word.ToUpperInvariant().Utf8())));
        }
    }

    [Fact]
    public void The_reference_in_the_documentation_is_current()
    {
        var file = Path.Combine(Tool.Root, "docs", "configuration.md");
        var text = File.ReadAllText(file);
        var (from, to) = (text.IndexOf(Reference.Begin, StringComparison.Ordinal), text.IndexOf(Reference.End, StringComparison.Ordinal));
        Assert.True(from > 0 && to > from, "the marks of the reference are missing");
        var current = text[..from] + Reference.Text() + text[to..];
        if (current == text) return;
        File.WriteAllText(file, current);
        Assert.Fail("docs/configuration.md was not current and has been written anew: look at it and commit it");
    }

    [Fact]
    public void The_example_of_the_documentation_passes_the_check_without_a_word()
    {
        var text = File.ReadAllText(Path.Combine(Tool.Root, "docs", "configuration.md"));
        var example = text.Split("```conf\n")[1].Split("```")[0];
        Assert.InRange(example.TrimEnd().Split('\n').Length, 1, 20);
        var conf = Conf.Read(example);
        Assert.Empty(conf.Lines);
        Assert.Equal("office", conf.Only.Name);
    }

    [Theory]
    [Trait("Item", "3.6")]
    [InlineData("users", "pre-shared key")]
    [InlineData("l2tp", "pre-shared key")]
    public void The_examples_of_IKEv1_work_and_say_what_is_weak(string connection, string weakness)
    {
        var text = File.ReadAllText(Path.Combine(Tool.Root, "docs", "configuration.md"));
        var example = Assert.Single(text.Split("```conf\n")[1..], block => block.StartsWith($"connections {{ {connection} {{", StringComparison.Ordinal)).Split("```")[0];
        var conf = Conf.Read(example);
        Assert.NotEmpty(conf.Lines);
        Assert.All(conf.Lines, line => Assert.Contains("warning: ", line, StringComparison.Ordinal));
        Assert.All(conf.Lines, line => Assert.Contains(weakness, line, StringComparison.Ordinal));
        Assert.Equal(connection, conf.Only.Name);
    }

    private static IEnumerable<TheoryDataRow<string, string, char, string, bool>> Rows(string table, bool own)
    {
        var scope = "";
        foreach (var part in table.Split([",", "\n"], StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))
        {
            var entry = part;
            if (part.IndexOf(':', StringComparison.Ordinal) is var colon and > 0 && colon < part.IndexOf(' ', StringComparison.Ordinal)) (scope, entry) = (part[..colon], part[(colon + 1)..].Trim());
            var fields = entry.Split(' ', 3);
            yield return new TheoryDataRow<string, string, char, string, bool>(scope, fields[0], fields[1][0], fields[2], own);
        }
    }
}
