using System;
using System.Collections.Generic;
using System.Linq;
using Warifu.App.Configuration;
using Warifu.Policy;
using Warifu.Primitives;
using Xunit;

namespace Warifu.App.Tests.Configuration;

/// <summary>Sections <c>manual.NAME</c>.</summary>
[Trait("Item", "3.8")]
public sealed class ManualTests
{
    private const string Danger = "danger_counter_mode_with_fixed_key = yes";

    /// <summary>Every algorithm with the octets of its key.</summary>
    public static IEnumerable<TheoryDataRow<string, string, int>> Algorithms() =>
    [
        new("integ", "md5", 16), new("integ", "sha1", 20), new("integ", "sha256", 32), new("integ", "sha384", 48), new("integ", "sha512", 64), new("integ", "aesxcbc", 16), new("integ", "aescmac", 16),
        new("encr", "des", 8), new("encr", "3des", 24), new("encr", "aes128", 16), new("encr", "aes192", 24), new("encr", "aes256", 32), new("encr", "camellia128", 16), new("encr", "camellia192", 24), new("encr", "camellia256", 32),
        new("encr", "aes128gcm8", 20), new("encr", "aes192gcm8", 28), new("encr", "aes256gcm8", 36), new("encr", "aes128gcm12", 20), new("encr", "aes192gcm12", 28), new("encr", "aes256gcm12", 36), new("encr", "aes128gcm16", 20), new("encr", "aes192gcm16", 28), new("encr", "aes256gcm16", 36),
        new("encr", "aes128ccm8", 19), new("encr", "aes192ccm8", 27), new("encr", "aes256ccm8", 35), new("encr", "aes128ccm12", 19), new("encr", "aes192ccm12", 27), new("encr", "aes256ccm12", 35), new("encr", "aes128ccm16", 19), new("encr", "aes192ccm16", 27), new("encr", "aes256ccm16", 35),
        new("encr", "aes128ctr", 20), new("encr", "aes192ctr", 28), new("encr", "aes256ctr", 36), new("encr", "chacha20poly1305", 36), new("encr", "aes128gmac", 20), new("encr", "aes192gmac", 28), new("encr", "aes256gmac", 36),
        new("integ", "aes128gmac", 20), new("integ", "aes192gmac", 28), new("integ", "aes256gmac", 36),
    ];

    /// <summary>None is missing above.</summary>
    [Fact]
    public void The_table_has_every_algorithm_in_every_size()
    {
        var named = Algorithms().Select(row => (Kind: row.Data.Item1, Found: ProposalKeywords.Lookup(row.Data.Item2)!.Value)).ToList();
        foreach (var (id, info) in Crypto.Algorithms.Encr)
        {
            if (id == EncrId.Null) continue;
            foreach (var bits in new[] { 0, 128, 192, 256 }.Where(bits => info.Accepts(bits))) Assert.Contains(("encr", Transform.Encr(id, (ushort)(info.KeyLengthAttribute ? bits : 0))), named);
        }

        foreach (var id in Crypto.Algorithms.Integ.Keys) Assert.Contains(("integ", Transform.Integ(id)), named);
        // three sizes of AES-GMAC, which goes by the name of the cipher
        Assert.Equal(Crypto.Algorithms.Gmac.Count, Algorithms().Count(row => row.Data.Item1 == "integ" && row.Data.Item2.Contains("gmac", StringComparison.Ordinal)));
    }

    [Theory]
    [MemberData(nameof(Algorithms))]
    public void Keys_of_one_octet_less_or_more_are_refused_and_the_length_is_told(string kind, string algorithm, int length)
    {
        foreach (var (written, how) in new[] { (1, "text"), (2, "0x") })
        {
            for (var octets = length - 1; octets <= length + 1; octets++)
            {
                for (var odd = 0; odd < written; odd++)
                {
                    // hexadecimal digits one by one, too
                    var count = (octets * written) + odd;
                    var key = how == "text" ? Text(count) : "0x" + Digits(count);
                    var conf = Read(kind, algorithm, key);
                    if (count == length * written)
                    {
                        Assert.Empty(conf.Errors);
                        var sa = Assert.Single(conf.Built.Policy.Manual);
                        var keys = Keys(conf, sa);
                        var secret = kind == "encr" ? keys.InboundEncr : keys.InboundInteg;
                        Assert.Equal(how == "text" ? System.Text.Encoding.ASCII.GetBytes(key) : Convert.FromHexString(key[2..]), secret.Span.ToArray());
                        continue;
                    }

                    var error = Assert.Single(conf.Errors).ToString();
                    Assert.Contains(how == "text" ? $"{kind}_key: the key has {count} octets; " : $"{kind}_key: the key has {count} hexadecimal digits; ", error, StringComparison.Ordinal);
                    Assert.Contains($"takes {length} octets: {length} characters of text, or {length * 2} hexadecimal digits behind 0x", error, StringComparison.Ordinal);
                    Assert.Empty(conf.Built.Policy.Manual);
                    // no message holds a part of a key
                    Assert.DoesNotContain(conf.Lines, line => line.Contains(key[^6..], StringComparison.Ordinal));
                }
            }
        }
    }

    [Fact]
    public void A_whole_one_is_what_was_written()
    {
        var conf = Conf.Read("""
            manual {
              site {
                local = 192.0.2.1
                remote = 192.0.2.2
                protocol = esp
                mode = tunnel
                spi_in = 256
                spi_out = 0xfffffffe
                encr = aes256
                encr_key_in = 01234567890123456789012345678901
                encr_key_out = 0x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f
                integ = sha256
                integ_key = 0sAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=
                local_ts = 10.1.0.0/16
                remote_ts = 10.2.0.0/16
                bind_interface = st0.1
                mtu = 1300
              }
            }
            """);
        Assert.Empty(conf.Findings);
        var sa = Assert.Single(conf.Built.Policy.Manual);
        Assert.Equal(("site", "192.0.2.1", "192.0.2.2", ProtocolId.Esp, IpsecMode.Tunnel), (sa.Name, sa.Local.ToString(), sa.Remote.ToString(), sa.Protocol, sa.Mode));
        Assert.Equal((256u, 0xFFFF_FFFEu, "st0.1", 1300), (sa.InboundSpi.Value, sa.OutboundSpi.Value, sa.BindInterface, sa.Mtu));
        Assert.Equal((Transform.Encr(EncrId.AesCbc, 256), Transform.Integ(IntegId.HmacSha256_128)), (sa.Encr, sa.Integ));
        var keys = Keys(conf, sa);
        Assert.Equal("01234567890123456789012345678901"u8.ToArray(), keys.InboundEncr.Span.ToArray());
        byte[] counted = [.. Enumerable.Range(0, 32).Select(i => (byte)i)];
        Assert.Equal(counted, keys.OutboundEncr.Span.ToArray());
        Assert.Equal(counted, keys.InboundInteg.Span.ToArray());
        Assert.Equal(counted, keys.OutboundInteg.Span.ToArray());
        Assert.Equal(("10.1.0.0/16", "10.2.0.0/16"), (Selectors.Print(sa.LocalSelectors), Selectors.Print(sa.RemoteSelectors)));
        // the policy has a handle at most
        Assert.True(sa.Keys.IsNone);
        conf.Built.Erase();
        Assert.True(conf.Built.ManualKeys["site"].IsDisposed);
    }

    [Theory]
    [InlineData("spi = 255", "spi: '255' is no number of this range; write a number of 256..4294967295")]
    [InlineData("spi = 0xc0000000", "SPIs from 0xc0000000 are those that IKE gives out; write 256..3221225471")]
    [InlineData("spi = 300\nspi_in = 300", "spi is for both directions, and spi_in for one")]
    [InlineData("remote = 2001:db8::1", "local 192.0.2.1 and remote 2001:db8::1 are of two IP versions")]
    [InlineData("remote = %any", "'%any' is no address of one host")]
    [InlineData("remote = gw.example.org", "'gw.example.org' is no address of one host")]
    [InlineData("mode = beet", "mode: 'beet' is not known; write one of tunnel, transport")]
    [InlineData("protocol = ah", "aes256 encrypts, and AH does not")]
    [InlineData("integ = none", "aes256 without an integrity algorithm")]
    [InlineData("integ = aes128", "'aes128' is no integrity algorithm for manual keys")]
    [InlineData("encr = x25519", "'x25519' is no cipher for manual keys")]
    [InlineData("encr = null", "encr_key: null takes no key")]
    [InlineData("integ_key_in = 01234567890123456789012345678901", "integ_key is for both directions, and integ_key_in for one")]
    [InlineData("mode = transport\nlocal_ts = 10.0.0.0/8", "transport mode is between the two ends only")]
    [InlineData("encr_key = 0xzz", "encr_key: a value that begins with 0x may hold hexadecimal digits only; aes256 takes 32 octets")]
    [InlineData("remote = 192.0.2.1", "local and remote are both 192.0.2.1")]
    [InlineData("bind_interface = ../tun", "'../tun' is no name for an interface")]
    [InlineData("bind_interface = a-name-that-is-too-long", "is no name for an interface")]
    [InlineData("local_ts = 10.1.0.0/16\nremote_ts = fd02::/16", "10.1.0.0/16 has no counterpart of the same IP version and protocol in remote_ts")]
    [InlineData("encr = 3des\nencr_key = 012345670123456789abcdef", "the 3DES key of manual SA 'm' has two equal parts in a row: that is DES")]
    public void Mistakes(string lines, string error) => Assert.Contains(Conf.Read(With(lines)).Errors, finding => finding.ToString().Contains(error, StringComparison.Ordinal));

    [Theory]
    [InlineData("local = 192.0.2.1", "no local address")]
    [InlineData("remote = 192.0.2.2", "no remote address")]
    [InlineData("spi = 300", "no spi_in")]
    [InlineData("encr_key = 01234567890123456789012345678901", "has no encr_key for aes256; add encr_key of 32 octets: 32 characters of text, or 64 hexadecimal digits behind 0x")]
    [InlineData("integ_key = abcdefghijklmnopqrstuvwxyzABCDEF", "has no integ_key for sha256")]
    public void What_is_missing_is_told(string line, string error) => Assert.Contains(Conf.Read(With("").Replace(line, "", StringComparison.Ordinal)).Errors, finding => finding.ToString().Contains(error, StringComparison.Ordinal));

    [Theory]
    [InlineData("aes128gcm16")]
    [InlineData("aes256ccm16")]
    [InlineData("aes128ctr")]
    [InlineData("chacha20poly1305")]
    [InlineData("aes128gmac")]
    public void Ciphers_that_count_their_IVs_are_refused_unless_forced(string cipher)
    {
        var length = cipher switch { "aes128gcm16" or "aes128ctr" or "aes128gmac" => 20, "aes256ccm16" => 35, _ => 36 };
        var integ = cipher == "aes128ctr" ? "integ = sha1\ninteg_key = 01234567890123456789" : "";
        string Section(string more) => $"manual {{ m {{ local = 192.0.2.1\nremote = 192.0.2.2\nspi = 300\nencr = {cipher}\nencr_key = {Text(length)}\n{integ}\n{more}\n}} }}";
        var refused = Conf.Read(Section(""));
        Assert.Contains("the same IV twice under one key", Assert.Single(refused.Errors).Text, StringComparison.Ordinal);
        Assert.Contains(Danger, refused.Errors.Single().Remedy, StringComparison.Ordinal);
        Assert.Empty(refused.Built.Policy.Manual);
        var forced = Conf.Read(Section(Danger));
        Assert.Empty(forced.Errors);
        Assert.Single(forced.Built.Policy.Manual);
        Assert.Contains(forced.Findings, finding => finding.Severity == Severity.Warning && finding.Text.StartsWith("DANGER: manual SA 'm' uses " + cipher, StringComparison.Ordinal));
    }

    [Fact]
    public void IKE_and_manual_keys_in_one_VPN_are_an_error_and_so_are_SPIs_that_come_twice()
    {
        var both = Conf.Read(Conf.Text() + With("").Replace("m {", "gw {", StringComparison.Ordinal));
        Assert.Contains("'gw' is a connection at test.conf:2:3, too: one VPN has its keys by IKE or by hand, not both", Assert.Single(both.Errors).ToString(), StringComparison.Ordinal);
        var twice = Conf.Read(With("") + With("local_ts = 10.0.0.0/8").Replace("m {", "n {", StringComparison.Ordinal));
        Assert.Contains("manual SA 'm' has the same protocol and inbound SPI", Assert.Single(twice.Errors).ToString(), StringComparison.Ordinal);
        // AH and ESP are told apart
        var apart = Conf.Read(With("") + With("protocol = ah\nencr = none\nlocal_ts = 10.0.0.0/8").Replace("m {", "n {", StringComparison.Ordinal).Replace("encr_key = 01234567890123456789012345678901", "", StringComparison.Ordinal));
        Assert.Empty(apart.Errors);
        Assert.Equal(2, apart.Built.Policy.Manual.Length);
        // by different interfaces the routes decide; by one, only one could carry anything
        var same = With("spi = 301").Replace("m {", "n {", StringComparison.Ordinal);
        Assert.Contains("manual SA 'm' has the same traffic selectors", Assert.Single(Conf.Read(With("") + same).Errors).ToString(), StringComparison.Ordinal);
        Assert.Empty(Conf.Read(With("") + With("spi = 301\nbind_interface = st0.1").Replace("m {", "n {", StringComparison.Ordinal)).Errors);
    }

    /// <summary>Names apart, it is one VPN when gateways and traffic are the same.</summary>
    [Theory]
    [InlineData("remote_addrs = 192.0.2.2", "remote_ts = 10.2.0.0/16", true)]
    [InlineData("remote_addrs = 192.0.2.2\nlocal_addrs = 192.0.2.1", "remote_ts = 10.2.3.0/24[udp]", true)]
    [InlineData("remote_addrs = 192.0.2.0/24", "remote_ts = 0.0.0.0/0", true)]
    [InlineData("remote_addrs = 192.0.2.2", "remote_ts = 10.2.0.0/16\nmode = drop", false)]
    [InlineData("remote_addrs = 192.0.2.2", "remote_ts = 10.3.0.0/16", false)]
    [InlineData("remote_addrs = 192.0.2.2", "remote_ts = 10.2.0.0/16\nlocal_ts = 10.9.0.0/16", false)]
    [InlineData("remote_addrs = 192.0.2.2", "remote_ts = 10.2.0.0/16\nbind_interface = st0.1", false)]
    [InlineData("remote_addrs = 192.0.2.2", "", false)]
    [InlineData("remote_addrs = 192.0.2.3", "remote_ts = 10.2.0.0/16", false)]
    [InlineData("remote_addrs = 192.0.2.2\nlocal_addrs = 192.0.2.9", "remote_ts = 10.2.0.0/16", false)]
    [InlineData("remote_addrs = %any", "remote_ts = 10.2.0.0/16", false)]
    [InlineData("", "remote_ts = 10.2.0.0/16", false)]
    [InlineData("remote_addrs = gw.example.org", "remote_ts = 10.2.0.0/16", false)]
    public void IKE_with_the_same_gateway_for_the_same_traffic_is_an_error_whatever_the_names(string connection, string child, bool clash)
    {
        var local = child.Contains("local_ts", StringComparison.Ordinal) ? "" : "local_ts = 10.1.0.0/16\n";
        var conf = Conf.Read(Conf.Text(connection, local + child) + With("local_ts = 10.1.0.0/16\nremote_ts = 10.2.0.0/16"));
        Assert.Equal(clash ? 0 : 1, conf.Built.Policy.Manual.Length);
        if (!clash)
        {
            Assert.Empty(conf.Errors);
            return;
        }

        var error = Assert.Single(conf.Errors).ToString();
        Assert.Contains("error: manual SA 'm' and connection 'gw' (test.conf:2:3) are between the same gateways, and child 'net' is for the same traffic: one VPN has its keys by IKE or by hand, not both; remove one of the two", error, StringComparison.Ordinal);
    }

    [Fact]
    public void Selectors_that_do_not_say_otherwise_are_the_gateways_on_both_sides()
    {
        foreach (var (more, clash) in new[] { ("", true), ("vips = 0.0.0.0", false) })
        {
            var conf = Conf.Read(Conf.Text("remote_addrs = 192.0.2.2\n" + more) + With("mode = transport"));
            Assert.Equal(clash ? 1 : 0, conf.Errors.Count());
        }
    }

    [Fact]
    public void A_manual_SA_is_the_same_only_with_the_same_keys_which_are_compared_where_they_are_kept()
    {
        ManualSa Sa(string lines) => Assert.Single(Conf.Read(With(lines)).Built.Policy.Manual);
        Assert.True(Sa("").Same(Sa("")));
        foreach (var other in new[] { "spi = 301", "local_ts = 10.0.0.0/8", "mtu = 1300", "integ = aescmac\ninteg_key = 0123456789012345" }) Assert.False(Sa("").Same(Sa(other)));
        Assert.False(Sa("").Same(Sa("") with { Keys = new SecretRef(1) }));
        using var store = new Net.SecretStore();
        SecretRef Set(string lines)
        {
            var conf = Conf.Read(With(lines));
            return store.SetManual("m", conf.Built.ManualKeys["m"].Span);
        }

        var first = Set("");
        Assert.Equal(first, Set("spi = 301"));
        Assert.True(store.TryUse(first, keys => Assert.Equal(128, keys.Length)));
        foreach (var other in new[] { "encr_key = 01234567890123456789012345678902", "integ_key = abcdefghijklmnopqrstuvwxyzABCDEG" })
        {
            var changed = Set(other);
            Assert.NotEqual(first, changed);
            Assert.False(store.TryUse(first, _ => { }));
            first = changed;
        }

        // they are not among what peers are looked up by, and stay when that is cleared
        Assert.Empty(store.Names);
        store.ClearCredentials();
        Assert.True(store.TryUse(first, _ => { }));
        store.Clear();
        Assert.False(store.TryUse(first, _ => { }));
        Assert.True(store.FindManual("m").IsNone);
    }

    /// <summary>A value that is out of range is not missing, and what manual SAs have not is said so.</summary>
    [Theory]
    [InlineData("spi = 255", "spi: '255' is no number of this range; write a number of 256..4294967295")]
    [InlineData("replay_window = 64", "manual SA 'm' has no 'replay_window': it is never rekeyed, nothing checks against replay, and nothing is negotiated; remove it, or use a connection")]
    [InlineData("rekey_time = 1h", "manual SA 'm' has no 'rekey_time'")]
    public void A_mistake_in_a_manual_SA_is_told_once(string line, string error) => Assert.Contains(error, Assert.Single(Conf.Read(With(line)).Errors).ToString(), StringComparison.Ordinal);

    private static (Secret InboundEncr, Secret InboundInteg, Secret OutboundEncr, Secret OutboundInteg) Keys(Conf conf, ManualSa sa) => sa.Split(conf.Built.ManualKeys[sa.Name].Span);

    private static Conf Read(string kind, string algorithm, string key)
    {
        var other = kind == "integ" ? "protocol = ah" : algorithm.Contains("gcm") || algorithm.Contains("ccm") || algorithm.Contains("poly") || algorithm.Contains("gmac") ? "" : "integ = sha1\ninteg_key = ABCDEFGHIJKLMNOPQRST";
        return Conf.Read($"manual {{ m {{ local = 192.0.2.1\nremote = 192.0.2.2\nspi = 300\n{Danger}\n{other}\n{kind} = {algorithm}\n{kind}_key = {key}\n}} }}");
    }

    /// <summary>A good one with lines that replace those of the same keys.</summary>
    private static string With(string lines)
    {
        var settings = new Dictionary<string, string>(StringComparer.Ordinal)
        {
            ["local"] = "192.0.2.1",
            ["remote"] = "192.0.2.2",
            ["spi"] = "300",
            ["encr"] = "aes256",
            ["encr_key"] = "01234567890123456789012345678901",
            ["integ"] = "sha256",
            ["integ_key"] = "abcdefghijklmnopqrstuvwxyzABCDEF",
        };
        foreach (var line in lines.Split('\n', StringSplitOptions.RemoveEmptyEntries)) settings[line.Split(" = ")[0]] = line.Split(" = ")[1];
        return $"\nmanual {{ m {{\n{string.Join('\n', settings.Select(setting => $"{setting.Key} = {setting.Value}"))}\n}} }}\n";
    }

    private static string Text(int length) => string.Concat(Enumerable.Range(0, length).Select(i => (char)('a' + (i * 7 % 26))));

    private static string Digits(int length) => string.Concat(Enumerable.Range(0, length).Select(i => "0123456789abcdef"[((i * 11) + (i / 16) + 3) % 16]));
}
