using System.IO;
using System.Linq;
using System.Threading.Tasks;
using Warifu.App.Configuration;
using Warifu.App.Tests.Lab;
using Warifu.Policy;
using Xunit;

namespace Warifu.App.Tests.Configuration;

/// <summary>What <c>warifu check</c> says: errors with place and remedy, limits, warnings; and what comes out of values.</summary>
[Trait("Item", "1.14")]
public sealed class CheckTests
{
    /// <summary>Five different mistakes and a limit.</summary>
    private const string FiveMistakes = """
        connections {
          gw {
            version = 2
            remote_adrs = 192.0.2.1
            proposals = aes256-sha265-x25519
            local {
              auth = psk
            }
            remote {
              auth = psk
            }
            children {
              net {
                local_ts = 10.1.0.0/33
                rekey_time = 1 week
                start_action = star
                mark_in = 7
              }
            }
          }
        }
        """;

    [Fact]
    public async Task Five_mistakes_are_told_in_one_run()
    {
        var folder = Conf.Folder();
        var file = Path.Combine(folder, "five.conf");
        File.WriteAllText(file, FiveMistakes);
        var ended = await Tool.RunAsync(Gateway.Binary, ["check", file]);
        Assert.Equal(2, ended.ExitCode);
        Assert.Equal(
            [
                $"{file}:4:5: error: unknown key 'remote_adrs' in connection 'gw'; nearest known key: 'remote_addrs'",
                $"{file}:5:17: error: proposals: unknown algorithm 'sha265'; nearest known word: 'sha256'",
                $"{file}:14:20: error: local_ts: '10.1.0.0/33' has a prefix length that does not exist; write 0..32 for IPv4",
                $"{file}:15:22: error: rekey_time: '1 week' is no time of at most ten years; write a number with s, m, h or d, for example 90s",
                $"{file}:16:24: error: start_action: 'star' is not known; write one of none, trap, start, clear, route, restart, hold, or several joined by |",
                $"{file}:17:9: limit: mark_in: netfilter marks are not there yet; remove the key, or wait for a version that has it",
            ],
            ended.Output.TrimEnd().Split('\n'));
        Directory.Delete(folder, true);
    }

    [Fact]
    public async Task A_limit_is_no_error_unless_check_is_strict()
    {
        var folder = Conf.Folder();
        var file = Path.Combine(folder, "limit.conf");
        File.WriteAllText(file, Conf.Text("if_id_in = 7"));
        var plain = await Tool.RunAsync(Gateway.Binary, ["check", file]);
        var strict = await Tool.RunAsync(Gateway.Binary, ["check", "--strict", file]);
        Assert.Equal((0, 2), (plain.ExitCode, strict.ExitCode));
        Assert.StartsWith($"{file}:4:5: limit: if_id_in: XFRM interface ids are not there yet; ", plain.Output);
        Assert.Contains("0 connections can be served", plain.Output);
        File.WriteAllText(file, Conf.Text());
        plain = await Tool.RunAsync(Gateway.Binary, ["check", "--strict", file]);
        Assert.Equal((0, $"{file}: 1 connection can be served\n"), (plain.ExitCode, plain.Output));
        Directory.Delete(folder, true);
    }

    [Theory]
    [InlineData("remote_addr = x", "unknown key 'remote_addr' in connection 'gw'; nearest known key: 'remote_addrs'")]
    [InlineData("esp_proposals = default", "unknown key 'esp_proposals' in connection 'gw'; its place is connections.NAME.children.NAME")]
    [InlineData("version = 0", "version: version 0 (both) is not possible: a peer has exactly one IKE version, and neither side falls back to the other; write version = 2, or 1 for a peer that cannot do better")]
    [InlineData("version = 3", "version: '3' is not known; write one of 1, 2")]
    [InlineData("encap = maybe", "encap: 'maybe' is neither yes nor no; write yes or no")]
    [InlineData("dpd_delay = 5x", "dpd_delay: '5x' is no time")]
    [InlineData("dpd_delay = 1.5s", "dpd_delay: '1.5s' is no time")]
    [InlineData("dpd_delay = -5s", "dpd_delay: '-5s' is no time")]
    [InlineData("rekey_time = 20000d", "rekey_time: '20000d' is no time of at most ten years")]
    [InlineData("keyingtries = many", "keyingtries: 'many' is no number of this range; write a number of 0..4294967295")]
    [InlineData("local_port = 65536", "local_port: '65536' is no number of this range; write a number of 0..65535")]
    [InlineData("remote_port = 0", "remote_port: '0' is no number of this range; write a number of 1..65535")]
    [InlineData("dscp = 46", "dscp: '46' is no DSCP; write six binary digits, for example 101110")]
    [InlineData("unique = sometimes", "unique: 'sometimes' is not known; write one of no, never, keep, replace")]
    [InlineData("if_id_in = x", "if_id_in: 'x' is no interface id; write a number, %unique or %unique-dir")]
    [InlineData("remote_addrs = 192.0.2.0/40", "remote_addrs: '192.0.2.0/40' has a prefix length that does not exist")]
    [InlineData("remote_addrs = 192.0.2.9-192.0.2.1", "remote_addrs: '192.0.2.9-192.0.2.1' is no address range")]
    [InlineData("remote_addrs = 300.1.1.1", "remote_addrs: '300.1.1.1' is no address, range, subnet or host name")]
    [InlineData("remote_addrs = gw..example", "remote_addrs: 'gw..example' is no address, range, subnet or host name")]
    [InlineData("remote_addrs = ,", "remote_addrs: a list without an item")]
    [InlineData("proposals = aes256-sha256", "proposals: 'aes256-sha256' has no key exchange method; add one, for example -ecp256")]
    [InlineData("proposals = default, aes257", "proposals: unknown algorithm 'aes257'; nearest known word: 'aes256'")]
    [InlineData("reauth_frequency = 101", "reauth_frequency: '101' is no number of this range; write a number of 0..100")]
    [InlineData("reauth_frequency = -1", "reauth_frequency: '-1' is no number of this range")]
    [InlineData("reauth_frequency = 3\nrekey_time = 0", "re-authentication by frequency counts rekeyings, and rekey_time = 0 makes none; set rekey_time, or use reauth_time instead of reauth_frequency")]
    [InlineData("dpd_mode = optimized", "dpd_mode says when to check liveness, and dpd_delay = 0 switches the checks off; set dpd_delay")]
    [InlineData("reauth_frequency = 2\nreauth_time = 1h", "reauth_time already says when to authenticate anew; keep one of them")]
    [InlineData("reauth_frequency = 2\nversion = 1", "re-authentication by frequency is for IKEv2; IKEv1 authenticates anew at each rekeying; remove it")]
    [InlineData("fragment_size = 569", "fragment_size: '569' is no number of this range; write a number of 570..1320")]
    [InlineData("fragment_size = 1321", "fragment_size: '1321' is no number of this range")]
    [InlineData("dpd_mode = never", "dpd_mode: 'never' is not known; write one of optimized, probe-idle-tunnel, always-send")]
    [InlineData("suite_b = yes", "suite_b: 'yes' is not known; write one of normal, strict")]
    [InlineData("psk_policy = hard", "psk_policy: 'hard' is not known; write one of strict, warn, off")]
    [InlineData("keep = always", "keep: 'always' is not known; write one of up, on-demand, no")]
    [InlineData("keep = up\nkeyingtries = 3", "keep already says how long to try: for ever; remove keyingtries or keep")]
    [InlineData("encap = yes\nnat_traversal = no", "encap = yes puts ESP into UDP, which the peer learns by NAT payloads, and nat_traversal = no sends none; keep one of them")]
    [InlineData("childs { }", "unknown section 'childs' in connection 'gw'; nearest known section: 'children'")]
    public void Mistakes_in_a_connection(string lines, string error) => AssertError(Conf.With(lines), error);

    [Theory]
    [InlineData("esp_proposal = default", "unknown key 'esp_proposal' in child 'net'; nearest known key: 'esp_proposals'")]
    [InlineData("remote_addrs = 192.0.2.1", "unknown key 'remote_addrs' in child 'net'; its place is connections.NAME")]
    [InlineData("rekey_bytes = 5t", "rekey_bytes: '5t' is no size; write a number of octets, with or without k, m or g")]
    [InlineData("rekey_bytes = 99999999999g", "rekey_bytes: '99999999999g' is no size")]
    [InlineData("replay_window = 8193", "replay_window: '8193' is no number of this range; write a number of 0..8192")]
    [InlineData("replay_window = 16", "'16' is too small a window; write 0 (off) or 32..8192")]
    [InlineData("life_time = 10m\nrekey_time = 20m", "life_time is shorter than rekey_time")]
    [InlineData("mode = tunel", "mode: 'tunel' is not known; write one of tunnel, transport")]
    [InlineData("start_action = trap|go", "start_action: 'trap|go' is not known")]
    [InlineData("mark_in = 1/2/3", "mark_in: '1/2/3' is no mark; write VALUE, VALUE/MASK, %unique, %unique-dir or %same")]
    [InlineData("mss = 40", "'40' is no MSS; write auto, no or a number of 88..65495")]
    [InlineData("mtu = 100", "an MTU below 576 is no IPv4 link; write 0 (by path) or 576..65535")]
    [InlineData("df = maybe", "df: 'maybe' is not known; write one of copy, set, clear")]
    [InlineData("df = set\ncopy_df = no", "copy_df already says what becomes of the DF bit; keep one of them")]
    [InlineData("bind_interface = a-name-that-is-too-long", "'a-name-that-is-too-long' is no name for an interface")]
    [InlineData("leak = yes", "leak is for route-based children only; add bind_interface, or remove leak")]
    [InlineData("keep = up\nstart_action = trap", "keep = up already says what start_action does; remove start_action or keep")]
    [InlineData("keep = on-demand\nclose_action = none", "keep = on-demand already says what close_action does; remove close_action or keep")]
    [InlineData("keep = up\ndpd_action = restart", "keep = up already says what dpd_action does; remove dpd_action or keep")]
    [InlineData("local_ts = 10.0.0.0/8[tcp/http-]", "local_ts: 'http-' is no port")]
    [InlineData("local_ts = 10.0.0.0/8\nremote_ts = fd00::/8", "10.0.0.0/8 has no counterpart of the same IP version and protocol in remote_ts; add one there, or remove it here")]
    [InlineData("local_ts = 10.0.0.0/8[tcp]\nremote_ts = 10.9.0.0/16[udp], 10.8.0.0/16[tcp]", "10.9.0.0/16[udp] has no counterpart of the same IP version and protocol in local_ts")]
    [InlineData("ah_proposals = aes256", "ah_proposals: 'aes256' encrypts, and AH does not")]
    [InlineData("inner { }", "unknown section 'inner' in child 'net'; a child holds keys only")]
    public void Mistakes_in_a_child(string lines, string error) => AssertError(Conf.With(child: lines), error);

    [Theory]
    [InlineData(255, false)]
    [InlineData(256, true)]
    public void More_selectors_than_a_message_holds_are_an_error(int count, bool isError)
    {
        var nets = string.Join(", ", Enumerable.Range(0, count).Select(i => string.Create(System.Globalization.CultureInfo.InvariantCulture, $"10.{i / 2}.{i % 2}.0/24")));
        foreach (var key in new[] { "local_ts", "remote_ts" })
        {
            var conf = Conf.With(child: $"{key} = {nets}");
            if (isError) AssertError(conf, $"{key}: {count} selectors are more than the 255 that a child can negotiate; join neighbours, or put the rest into another child");
            else Assert.Empty(conf.Lines);
        }
    }

    [Theory]
    [InlineData("daemon { prot = 500 }", "unknown key 'prot' in 'daemon'; nearest known key: 'port'")]
    [InlineData("daemon { port = 70000\n}", "port: '70000' is no number of this range; write a number of 0..65535")]
    [InlineData("daemon { port_nat_t = 500\n}", "port and port_nat_t are the same; give them two numbers")]
    [InlineData("daemon { dataplane = magic\n}", "dataplane: 'magic' is not known; write one of auto, tun, xfrm, none")]
    [InlineData("daemon { cookie_threshold = 1000001\n}", "cookie_threshold: '1000001' is no number of this range; write a number of 0..1000000")]
    [InlineData("daemon { half_open_limit = 0\n}", "half_open_limit: '0' is no number of this range; write a number of 1..1000000")]
    [InlineData("daemon { half_open_timeout = 0\n}", "half_open_timeout: '0' is out of range; write a time of 1s..3600s")]
    [InlineData("daemon { retransmit_timeout = 2m\n}", "retransmit_timeout: '2m' is out of range; write a time of 1s..60s")]
    [InlineData("daemon { fwmark = 0\n}", "fwmark: '0' is no number of this range; write a number of 1..4294967295")]
    [InlineData("daemon { table = 254\n}", "tables 253 to 255 are the system's")]
    [InlineData("daemon { log { } }", "unknown section 'log' in 'daemon'")]
    [InlineData("base { versoin = 2 }\nconnections { b : base { } }", "unknown key 'versoin' in connection 'b'; nearest known key: 'version'")]
    [InlineData("base { version = 2 }\nbasis { }\nconnections { b : base { } }", "unknown section 'basis'; nearest known section:")]
    [InlineData("conections { }", "unknown section 'conections'; nearest known section: 'connections'")]
    [InlineData("port = 500", "key 'port' outside of any section")]
    [InlineData("connections { x = y\n}", "key 'x' directly in 'connections'")]
    [InlineData("secrets { my { secret = x\n} }", "the name of secret 'my' does not say its kind; begin it with ike")]
    [InlineData("secrets { ike-b { id = x\n} }", "secret 'ike-b' has no value")]
    [InlineData("secrets { ike-b { secert = x\n} }", "unknown key 'secert' in secret 'ike-b'; nearest known key: 'secret'")]
    [InlineData("secrets { ike-b { secret = x\nfile = y\n} }", "key 'file' has no meaning for a pre-shared key")]
    [InlineData("secrets { ike-b { secret = x\nsecret2 = y\n} }", "key 'secret2' has no meaning for a pre-shared key")]
    [InlineData("secrets { ike-b { secret = x\nid = a*b\n} }", "id: 'a*b' has a wildcard that is not at its beginning")]
    [InlineData("pools { p { adrs = 10.0.0.0/24\n} }", "unknown key 'adrs' in pool 'p'; nearest known key: 'addrs'")]
    [InlineData("pools { p { addrs = 10.3.0.0/24\nstatic = 10.3.0.9 a@example.org, 10.3.0.8 c@example.org, 10.3.0.9 b@example.org\n} }", "pool 'p': 10.3.0.9 is the static lease of a@example.org and of b@example.org; give each its own address")]
    [InlineData("authorities { a { cacrt = x\n} }", "unknown key 'cacrt' in authority 'a'; nearest known key: 'cacert'")]
    [InlineData("manual { m { sip = 300\n} }", "unknown key 'sip' in manual SA 'm'; nearest known key: 'spi'")]
    [InlineData("connections { b { version = 2\nlocal { auth = pks\n}\nremote { auth = psk\n} } }", "unknown authentication 'pks'; one of psk, pubkey")]
    [InlineData("connections { b { version = 2\nlocal { auth = psk\nid = *.x\n}\nremote { auth = psk\n} } }", "the own identity '*.x' is a pattern; write one definite identity")]
    [InlineData("connections { b { version = 2\nlocal { auth = psk\nid = 10.0.0.0/8\n}\nremote { auth = psk\n} } }", "the own identity '10.0.0.0/8' is a pattern")]
    [InlineData("connections { b { version = 2\nlocal { auth = psk\n}\nremote { auth = psk\nid = ipv4:x\n} } }", "id: 'x' is no IPv4 address")]
    [InlineData("connections { b { version = 2\nlocal { auth = psk\nx { }\n}\nremote { auth = psk\n} } }", "unknown section 'x' in 'local'; sections here are cert and cacert")]
    public void Mistakes_elsewhere(string text, string error) => AssertError(Conf.Read(text), error);

    [Theory]
    [InlineData("mediation = yes", "", "mediation: mediation is not there yet")]
    [InlineData("proposals = aes256-sha256-x25519-ke1_mlkem768", "", "proposals: algorithm 'ke1_mlkem768' is not there yet")]
    [InlineData("", "mode = beet", "mode beet is not there yet")]
    [InlineData("", "updown = /bin/true", "updown: updown scripts are not there yet")]
    [InlineData("", "if_id_in = 7", "if_id_in: XFRM interface ids are not there yet")]
    [InlineData("", "ipcomp = yes", "ipcomp: IPComp is not there yet")]
    [InlineData("", "esp_proposals = blowfish-sha256", "esp_proposals: algorithm 'blowfish' is not there yet")]
    public void What_this_build_cannot_serve_is_a_limit_and_leaves_the_connection_out(string connection, string child, string limit)
    {
        var conf = Conf.With(connection, child);
        Assert.Empty(conf.Errors);
        Assert.StartsWith(limit, Assert.Single(conf.Findings, finding => finding.Severity == Severity.Limit).Text);
        Assert.Empty(conf.Built.Policy.Connections);
        Assert.Contains(limit, Assert.Single(conf.Built.LeftOut).Why);
    }

    [Theory]
    [InlineData("aggressive = no", "")]
    [InlineData("mobike = yes", "")]
    [InlineData("reauth_time = 0", "")]
    [InlineData("reauth_time = 1h", "")]
    [InlineData("reauth_frequency = 1", "")]
    [InlineData("reauth_frequency = 100", "")]
    [InlineData("dpd_delay = 10s\ndpd_mode = always-send\ndpd_threshold = 5", "")]
    [InlineData("", "inactivity = 5m")]
    [InlineData("reauth_frequency = 0", "")]
    [InlineData("if_id_in = 0x0", "")]
    [InlineData("", "mark_in = 0x00000000")]
    [InlineData("", "policies = TRUE")]
    [InlineData("", "inactivity = 0s")]
    [InlineData("", "tfc_padding = 0")]
    public void A_key_that_is_not_served_with_its_default_value_is_nothing(string connection, string child) => Assert.Empty(Conf.With(connection, child).Lines);

    [Theory]
    [InlineData("dpd_timeout = 3s", "dpd_timeout has no effect")]
    public void What_has_no_effect_is_told(string connection, string notice)
    {
        var conf = Conf.With(connection);
        Assert.Contains(conf.Findings, finding => finding.Severity == Severity.Notice && finding.Text.StartsWith(notice, System.StringComparison.Ordinal));
        Assert.Single(conf.Built.Policy.Connections);
    }

    [Fact]
    public void Secrets_of_other_kinds_are_limits()
    {
        var conf = Conf.Read("secrets { ntlm-a { secret = x\n}\ntoken-b { handle = y\n} }");
        Assert.Equal(2, conf.Findings.Count(finding => finding.Severity == Severity.Limit));
        Assert.Empty(conf.Errors);
    }

    [Fact]
    public void No_version_is_two_and_a_notice()
    {
        var conf = Conf.Read(Conf.Text().Replace("version = 2", ""));
        Assert.Equal(["test.conf:2:3: notice: connection 'gw' has no version: IKEv2 is used"], conf.Lines);
        Assert.Equal(IkeVersion.V2, conf.Only.Version);
    }

    [Fact]
    public void Weak_algorithms_are_told_loudly_once_for_each_connection_and_algorithm()
    {
        var conf = Conf.With("proposals = 3des-md5-modp1024, aes128-sha1-modp1536, aes128-sha1-modp2048s256", "esp_proposals = 3des-sha1, null-md5-modp1024, aes128gmac, aes256gcm16");
        var warnings = conf.Findings.Where(finding => finding.Severity == Severity.Warning).ToList();
        Assert.Equal(["3DES", "MD5", "modp1024", "SHA-1", "modp1536", "modp2048s256", "NULL", "NULL_AES_GMAC"], warnings.Select(finding => finding.Text.Split(" names ")[1].Split(' ')[0]));
        Assert.All(warnings, finding => Assert.StartsWith("WEAK: connection 'gw' names ", finding.Text));
        Assert.All(warnings, finding => Assert.Matches("^write [a-z0-9]+.* instead$", finding.Remedy));
        Assert.Equal("test.conf:4:17: warning: WEAK: connection 'gw' names 3DES in proposals: blocks of 64 bits leak after some gigabytes (Sweet32); write aes256gcm16 instead", warnings[0].ToString());
        Assert.Single(conf.Built.Policy.Connections);
        Assert.Empty(Conf.With("proposals = default, aes256-sha256-modp2048", "esp_proposals = default").Lines);
    }

    [Fact]
    public void Keep_sets_what_it_stands_for()
    {
        var up = Conf.With("keep = up").Only;
        Assert.Equal((0, 30), (up.KeyingTries, up.DpdDelay.TotalSeconds));
        Assert.Equal((StartAction.Start, StartAction.Start, StartAction.Start), (up.Children[0].StartAction, up.Children[0].CloseAction, up.Children[0].DpdAction));
        var demand = Conf.With("", "keep = on-demand").Only;
        Assert.Equal(0, demand.KeyingTries);
        Assert.Equal((StartAction.Trap, StartAction.Trap, StartAction.Trap), (demand.Children[0].StartAction, demand.Children[0].CloseAction, demand.Children[0].DpdAction));
        var not = Conf.With("keep = up", "keep = no\nstart_action = trap").Only;
        Assert.Equal((StartAction.Trap, StartAction.None), (not.Children[0].StartAction, not.Children[0].CloseAction));
        Assert.Equal(1, Conf.With().Only.KeyingTries);
    }

    [Fact]
    public void Values_become_policy()
    {
        var connection = Conf.With(
            "local_addrs = 192.0.2.1\nremote_addrs = gw.example.org, 198.51.100.0/24, fd00::1-fd00::9\ndscp = 101110\nencap = yes\nrekey_time = 2h\nover_time = 5m\nrand_time = 90\ndpd_delay = 1d\nunique = replace\nfragment_size = 1000\nremote_port = 0x1f4",
            "esp_proposals = aes128gcm16\nlocal_ts = 10.1.0.0/16[tcp/80], fd00::/64\nremote_ts = 0.0.0.0/0, ::/0\nrekey_time = 10m\nrekey_bytes = 1g\nlife_packets = 1000\nreplay_window = 0\nbind_interface = st0.1\nmtu = 1400\nmss = no\ndf = set\ncopy_dscp = yes\ncopy_ecn = no\npriority = 7\nstart_action = trap|start").Only;
        Assert.Equal("gw.example.org, 198.51.100.0-198.51.100.255, fd00::1-fd00::9", string.Join(", ", connection.RemoteAddresses));
        Assert.Equal((46, true, true, UniquePolicy.Replace, 500), (connection.Dscp, connection.ForceEncapsulation, connection.NatTraversal, connection.Unique, connection.RemotePort));
        Assert.False(Conf.With("nat_traversal = no").Only.NatTraversal);
        Assert.Equal((7200d, 300d, 90d, 86400d), (connection.RekeyTime.TotalSeconds, connection.OverTime!.Value.TotalSeconds, connection.RandTime!.Value.TotalSeconds, connection.DpdDelay.TotalSeconds));
        var child = connection.Children[0];
        Assert.Equal("10.1.0.0/16[tcp/80], fd00::/64", string.Join(", ", child.LocalSelectors.Select(one => one.Selector)));
        Assert.Equal((600d, 1ul << 30, 1000ul, 909ul), (child.RekeyTime.TotalSeconds, child.RekeyBytes, child.LifePackets!.Value, child.RekeyPackets));
        Assert.Equal((0, "st0.1", 1400, -1, 7), (child.ReplayWindow, child.BindInterface, child.Mtu, child.Mss, child.Priority));
        Assert.True(child is { CopyDscpIn: true, CopyDscpOut: true, CopyEcn: false, StartAction: StartAction.TrapAndStart });
        Assert.Empty(Conf.With("remote_addrs = 192.0.2.1, %any").Only.RemoteAddresses);
        Assert.Equal("test.conf:2:3", connection.Source);
    }

    [Fact]
    public void Control_characters_of_a_file_do_not_reach_the_terminal() => Assert.All(Conf.With("encap = \"\u001b[31mno\"\nx\u0007y = 1").Lines, line => Assert.DoesNotContain(line, char.IsControl));

    [Fact]
    public void Every_error_says_what_would_be_right()
    {
        foreach (var finding in Conf.Read(FiveMistakes).Errors) Assert.Contains("; ", finding.ToString());
    }

    private static void AssertError(Conf conf, string error)
    {
        Assert.Contains(conf.Errors, finding => finding.ToString().Contains(error, System.StringComparison.Ordinal));
        Assert.All(conf.Errors, finding => Assert.InRange(finding.Position.Line, 1, 1000));
    }
}
