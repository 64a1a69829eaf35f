using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.IO;
using System.Linq;
using Warifu.Net;
using Warifu.Policy;
using Warifu.Primitives;

namespace Warifu.App.Configuration;

/// <summary>Makes the typed policy of a configuration tree. Reports everything in one run: errors, limits (valid, and not served by this build), weak algorithms, notices.</summary>
internal static class PolicyBuilder
{
    private static readonly string[] s_sections = ["connections", "secrets", "pools", "authorities", "daemon", "manual"];

    private static readonly string[] s_laterSecrets = ["ntlm", "token"];

    /// <param name="root">The tree; names of files in it have been replaced by their contents (<see cref="CredentialFiles"/>).</param>
    /// <param name="findings">Findings are added.</param>
    /// <param name="credentials">Certificates and keys that stand beside it; null = none.</param>
    public static BuiltConfiguration Build(ConfigSection root, List<Diagnostic> findings, Credentials? credentials = null)
    {
        foreach (var setting in root.Settings) findings.Add(new Diagnostic(Severity.Error, setting.Position, $"key '{setting.Key}' outside of any section", $"sections are {string.Join(", ", s_sections)}"));
        foreach (var section in root.Sections)
        {
            if (!s_sections.Contains(section.Name) && !section.IsTemplate) findings.Add(new Diagnostic(Severity.Error, section.Position, $"unknown section '{section.Name}'", $"nearest known section: '{Spelling.Nearest(section.Name, s_sections)}'"));
        }

        var policies = ImmutableDictionary.CreateBuilder<string, PskPolicy>();
        var positions = ImmutableDictionary.CreateBuilder<string, SourcePosition>();

        var connections = ImmutableArray.CreateBuilder<Connection>();
        var all = new List<Connection>();
        var leftOut = ImmutableArray.CreateBuilder<LeftOutConnection>();
        var chains = ImmutableDictionary.CreateBuilder<string, ImmutableArray<ImmutableArray<byte>>>();
        foreach (var section in Below(root, "connections", findings))
        {
            var before = findings.Count;
            var (connection, chain) = BuildConnection(section, findings);
            all.Add(connection);
            var stops = findings.Skip(before).Where(finding => finding.Severity >= Severity.Limit).ToList();
            positions[section.Name] = section.Position;
            if (section.Find("psk_policy") is { } own && PskPolicyOf(own.Text) is { } policy) policies[section.Name] = policy;
            if (stops.Count == 0 && !chain.IsEmpty) chains[section.Name] = chain;
            if (stops.Count == 0) connections.Add(connection);
            else leftOut.Add(new LeftOutConnection(section.Name, stops[0].ToString()));
        }

        var poolSections = Below(root, "pools", findings).ToList();
        var pools = poolSections.Select(section => AuthorityBuilder.BuildPool(section, findings)).OfType<Pool>().ToImmutableArray();
        var authorities = Below(root, "authorities", findings).Select(section => AuthorityBuilder.Build(section, findings)).OfType<Authority>().ToImmutableArray();

        var manual = ManualBuilder.BuildAll(Below(root, "manual", findings), all, findings);

        var daemon = root.Section("daemon") is { } settings ? BuildDaemon(settings, findings) : new DaemonSettings();
        return new BuiltConfiguration(new PolicySet { Connections = connections.ToImmutable(), Pools = pools, Manual = [.. manual.Select(one => one.Sa)] }, daemon, BuildSecrets(root, findings), leftOut.ToImmutable())
        {
            PskPolicies = policies.ToImmutable(),
            Positions = positions.ToImmutable(),
            Authorities = authorities,
            PoolNames = [.. poolSections.Select(section => section.Name)],
            Chains = chains.ToImmutable(),
            Credentials = credentials ?? Credentials.None,
            ManualKeys = manual.ToImmutableDictionary(one => one.Sa.Name, one => one.Keys),
        };
    }

    /// <summary>One section of <c>connections</c>, and certificates that stood in the files of its own ones.</summary>
    public static (Connection Connection, ImmutableArray<ImmutableArray<byte>> Chains) BuildConnection(ConfigSection section, List<Diagnostic> findings)
    {
        var reader = new SectionReader(section, Scope.Connection, $"connection '{section.Name}'", findings);
        CheckVersion(reader);
        var auth = new AuthBuilder(section, findings);
        var (local, remote) = (auth.Local(), auth.Remote());
        var keep = reader.Word("keep", "no");
        var kept = keep != "no" || section.Section("children")?.Sections.Exists(child => child.Find("keep")?.Text is "up" or "on-demand") == true;
        var rekey = reader.Time("rekey_time", TimeSpan.FromHours(4));
        if (!reader.Has("rekey_time") && reader.Time("reauth_time", default) > TimeSpan.Zero) rekey = TimeSpan.Zero;
        var isV1 = reader.Text("version") == "1";
        if (isV1 && reader.Has("reauth_frequency")) reader.Error("reauth_frequency", "re-authentication by frequency is for IKEv2; IKEv1 authenticates anew at each rekeying", "remove it");
        else if (reader.Number("reauth_frequency", 0) > 0 && rekey == TimeSpan.Zero) reader.Error("reauth_frequency", "re-authentication by frequency counts rekeyings, and rekey_time = 0 makes none", "set rekey_time, or use reauth_time instead of reauth_frequency");
        TimesCheck.OfConnection(reader, rekey, kept);
        if (!isV1 && reader.Has("reauth_frequency") && reader.Time("reauth_time", default) > TimeSpan.Zero) reader.Error("reauth_frequency", "reauth_time already says when to authenticate anew", "keep one of them");
        if (reader.YesNo("encap", false) && !reader.YesNo("nat_traversal", true)) reader.Error("encap", "encap = yes puts ESP into UDP, which the peer learns by NAT payloads, and nat_traversal = no sends none", "keep one of them");
        var weak = new WeaknessWarnings(section.Name, isV1, findings);
        weak.Find(reader, "proposals", reader.Proposals("proposals", ProtocolId.Ike));
        ImmutableArray<Child> children = [.. ChildrenOf(section, keep, weak, findings)];
        if (reader.YesNo("encap", false) && children.FirstOrDefault(child => child.IsAh) is { } ah) reader.Error("encap", $"encap = yes puts packets into UDP, and child '{ah.Name}' has ah_proposals: AH cannot go in UDP", "remove encap, or use ESP: esp_proposals = aes256gmac is integrity alone");
        if (kept && reader.Has("keyingtries")) reader.Error("keyingtries", "keep already says how long to try: for ever", "remove keyingtries or keep");
        var dscp = reader.Text("dscp");
        var connection = new Connection
        {
            Name = section.Name,
            LocalAddresses = reader.Hosts("local_addrs"),
            RemoteAddresses = reader.Hosts("remote_addrs"),
            LocalPort = (ushort)(reader.NumberOrNull("local_port") is { } port && port != 500 ? port : 0),
            RemotePort = (ushort)reader.Number("remote_port", 500),
            Version = isV1 ? IkeVersion.V1 : IkeVersion.V2,
            Aggressive = reader.YesNo("aggressive", false),
            AggressivePsk = reader.YesNo("aggressive_psk", false),
            Proposals = reader.Proposals("proposals", ProtocolId.Ike),
            Local = local[0],
            Remote = remote[0],
            LocalRounds = local[1..],
            RemoteRounds = remote[1..],
            SendCert = reader.Word("send_cert", "ifasked") switch { "always" => SendCertificates.Always, "never" => SendCertificates.Never, _ => SendCertificates.IfAsked },
            SendCertReq = reader.YesNo("send_certreq", true),
            VirtualIps = VirtualIps(reader),
            Pools = [.. reader.Items("pools").Distinct(StringComparer.Ordinal)],
            Pull = reader.YesNo("pull", true),
            RequestAttributes = PoolValues.Requested(reader),
            Ocsp = reader.Word("ocsp", "reply") switch { "never" => OcspExchange.Never, "request" => OcspExchange.Request, "both" => OcspExchange.Both, _ => OcspExchange.Reply },
            PpkId = PpkId(reader),
            PpkRequired = reader.YesNo("ppk_required", false),
            Children = children,
            RekeyTime = rekey,
            ReauthTime = reader.Time("reauth_time", TimeSpan.Zero),
            ReauthFrequency = (int)reader.Number("reauth_frequency", 0),
            OverTime = reader.TimeOrNull("over_time"),
            RandTime = reader.TimeOrNull("rand_time"),
            DpdDelay = reader.Time("dpd_delay", kept ? TimeSpan.FromSeconds(30) : TimeSpan.Zero),
            DpdMode = reader.Word("dpd_mode", "probe-idle-tunnel") switch { "optimized" => DpdMode.Optimized, "always-send" => DpdMode.AlwaysSend, _ => DpdMode.ProbeIdleTunnel },
            DpdThreshold = (int)reader.Number("dpd_threshold", 0),
            DpdTimeout = isV1 ? reader.Time("dpd_timeout", TimeSpan.Zero) : TimeSpan.Zero,
            KeyingTries = kept ? 0 : (int)Math.Min(reader.Number("keyingtries", 1), int.MaxValue),
            Unique = reader.Word("unique", "no") switch { "never" => UniquePolicy.Never, "keep" => UniquePolicy.Keep, "replace" => UniquePolicy.Replace, _ => UniquePolicy.No },
            ForceEncapsulation = reader.YesNo("encap", false),
            NatTraversal = reader.YesNo("nat_traversal", true),
            Fragmentation = reader.Word("fragmentation", "yes") switch { "accept" => FragmentationPolicy.Accept, "force" => FragmentationPolicy.Force, "no" => FragmentationPolicy.No, _ => FragmentationPolicy.Yes },
            Mobike = reader.YesNo("mobike", true),
            Childless = reader.Word("childless", "allow") switch { "prefer" => ChildlessPolicy.Prefer, "force" => ChildlessPolicy.Force, "never" => ChildlessPolicy.Never, _ => ChildlessPolicy.Allow },
            FragmentSize = (int)(reader.NumberOrNull("fragment_size") ?? 0),
            Dscp = dscp is null ? (byte)0 : Convert.ToByte(dscp, 2),
            Source = section.Position.ToString(),
        };
        return (Version1Check.Apply(section, SuiteCheck.Apply(section, connection, findings), findings), auth.Chains.ToImmutable());
    }

    private static ImmutableArray<IpAddress> VirtualIps(SectionReader reader)
    {
        var addresses = ImmutableArray.CreateBuilder<IpAddress>();
        foreach (var item in reader.Items("vips"))
        {
            if (IpAddress.TryParse(item, out var address)) addresses.Add(address);
            else reader.Error("vips", $"'{item}' is no IP address", "write 0.0.0.0 for any IPv4 address, :: for any IPv6 address, or the one that you would like to have");
        }

        if (addresses.Count > 8) reader.Error("vips", $"{addresses.Count} virtual IPs are more than a gateway gives", "write at most eight");
        return addresses.ToImmutable();
    }

    private static Identity? PpkId(SectionReader reader)
    {
        if (reader.Text("ppk_id") is not { } text || !IdentityPattern.TryParse(text, out var pattern, out _)) return null;
        if (pattern.Exact is null) reader.Error("ppk_id", $"'{text}' is a pattern", "write one definite name");
        return pattern.Exact;
    }

    private static IEnumerable<ConfigSection> Below(ConfigSection root, string name, List<Diagnostic> findings)
    {
        if (root.Section(name) is not { } parent) yield break;
        foreach (var setting in parent.Settings) findings.Add(new Diagnostic(Severity.Error, setting.Position, name == "secrets" ? "a key directly in 'secrets'" : $"key '{setting.Key}' directly in '{name}'", "it holds sections with names of your choice"));
        foreach (var section in parent.Sections) yield return section;
    }

    private static void CheckVersion(SectionReader reader)
    {
        if (reader.Section.Find("version") is null) reader.Add(Severity.Notice, reader.Section.Position, $"connection '{reader.Section.Name}' has no version: IKEv2 is used");
    }

    private static IEnumerable<Child> ChildrenOf(ConfigSection connection, string keep, WeaknessWarnings weak, List<Diagnostic> findings)
    {
        foreach (var section in connection.Sections)
        {
            if (section.Name == "children" || section.Name.StartsWith("local", StringComparison.Ordinal) || section.Name.StartsWith("remote", StringComparison.Ordinal)) continue;
            findings.Add(new Diagnostic(Severity.Error, section.Position, $"unknown section '{section.Name}' in connection '{connection.Name}'", $"nearest known section: '{Spelling.Nearest(section.Name, ["local", "remote", "children"])}'"));
        }

        if (connection.Section("children") is not { } children) yield break;
        foreach (var setting in children.Settings) findings.Add(new Diagnostic(Severity.Error, setting.Position, $"key '{setting.Key}' directly in 'children'", "it holds sections with names of your choice"));
        foreach (var section in children.Sections) yield return BuildChild(section, keep, weak, findings);
    }

    private static Child BuildChild(ConfigSection section, string connectionKeep, WeaknessWarnings weak, List<Diagnostic> findings)
    {
        var reader = new SectionReader(section, Scope.Child, $"child '{section.Name}'", findings);
        foreach (var inner in section.Sections) findings.Add(new Diagnostic(Severity.Error, inner.Position, $"unknown section '{inner.Name}' in child '{section.Name}'", "a child holds keys only"));
        var keep = reader.Word("keep", connectionKeep);
        foreach (var key in new[] { "start_action", "close_action", "dpd_action" })
        {
            if (keep != "no" && reader.Has(key)) reader.Error(key, $"keep = {keep} already says what {key} does", $"remove {key} or keep");
        }

        var kept = keep switch { "up" => StartAction.Start, "on-demand" => StartAction.Trap, _ => (StartAction?)null };
        var mode = reader.Word("mode", "tunnel");
        if (mode is "transport_proxy" or "iptfs" or "beet") reader.Add(Severity.Limit, reader.PositionOf("mode"), $"mode {mode} is not there yet", "use tunnel or transport");
        var life = reader.TimeOrNull("life_time");
        var rekey = reader.TimeOrNull("rekey_time") ?? (life is { } limit ? limit / 1.1 : TimeSpan.FromHours(1));
        if (life is { } hard && reader.Has("rekey_time") && hard != TimeSpan.Zero && hard < rekey) reader.Error("life_time", "life_time is shorter than rekey_time: the pair would be gone before it is rekeyed", "make it longer, or rekey_time shorter");
        TimesCheck.OfChild(reader, rekey);
        var window = (int)reader.Number("replay_window", 64);
        if (window is > 0 and < 32) reader.Error("replay_window", $"'{window}' is too small a window", "write 0 (off) or 32..8192");
        var mss = reader.Text("mss");
        var clamp = mss is null or "auto" ? 0 : mss == "no" ? -1 : ValueReader.TryNumber(mss, out var size) && size is >= 88 and <= 65495 ? (int)size : int.MinValue;
        if (clamp == int.MinValue) reader.Error("mss", $"'{mss}' is no MSS", "write auto, no or a number of 88..65495");
        var bound = Interface(reader);
        if (reader.Has("leak") && bound is null) reader.Error("leak", "leak is for route-based children only", "add bind_interface, or remove leak");
        var (protocol, proposalKey) = reader.Has("ah_proposals") ? (ProtocolId.Ah, "ah_proposals") : (ProtocolId.Esp, "esp_proposals");
        if (protocol == ProtocolId.Ah && reader.Has("esp_proposals")) reader.Error("ah_proposals", "AH and ESP around each other (a bundle) is not supported: a child has one of them", "keep ah_proposals or esp_proposals; ESP authenticates, too");
        var proposals = reader.Proposals(proposalKey, protocol);
        weak.Find(reader, proposalKey, proposals);
        var (localTs, remoteTs) = (reader.Selectors("local_ts"), reader.Selectors("remote_ts"));
        CheckSelectors(reader, localTs, remoteTs);
        if (reader.Number("mtu", 0) is > 0 and < 576) reader.Error("mtu", "an MTU below 576 is no IPv4 link", "write 0 (by path) or 576..65535; IPv6 needs 1280");
        if (reader.Has("df") && reader.Has("copy_df")) reader.Error("df", "copy_df already says what becomes of the DF bit", "keep one of them");
        var dscp = reader.Word("copy_dscp", "out");
        return new Child
        {
            Name = section.Name,
            Proposals = proposals,
            LocalSelectors = localTs,
            RemoteSelectors = remoteTs,
            SinglePair = reader.YesNo("single_pair", false),
            Mode = mode switch { "transport" => ChildMode.Transport, "pass" => ChildMode.Pass, "drop" => ChildMode.Drop, _ => ChildMode.Tunnel },
            RekeyTime = rekey,
            LifeTime = life,
            RandTime = reader.TimeOrNull("rand_time"),
            RekeyBytes = reader.Size("rekey_bytes") ?? (ulong)((reader.Size("life_bytes") ?? 0) / 1.1),
            LifeBytes = reader.Size("life_bytes"),
            RekeyPackets = (ulong)(reader.NumberOrNull("rekey_packets") ?? (long)(reader.Number("life_packets", 0) / 1.1)),
            LifePackets = (ulong?)reader.NumberOrNull("life_packets"),
            StartAction = kept ?? Action(reader.Word("start_action", "none")),
            CloseAction = kept ?? Action(reader.Word("close_action", "none")),
            DpdAction = kept ?? Action(reader.Word("dpd_action", "none")),
            Inactivity = reader.Time("inactivity", TimeSpan.Zero),
            ReplayWindow = window,
            BindInterface = bound,
            Mtu = (int)reader.Number("mtu", 0),
            Mss = clamp,
            Df = reader.Word("df", reader.YesNo("copy_df", true) ? "copy" : "clear") switch { "set" => DfPolicy.Set, "clear" => DfPolicy.Clear, _ => DfPolicy.Copy },
            CopyDscpOut = dscp is "out" or "yes",
            CopyDscpIn = dscp is "in" or "yes",
            CopyEcn = reader.YesNo("copy_ecn", true),
            Leak = reader.YesNo("leak", false),
            BypassLan = reader.YesNo("bypass_lan", false),
            Priority = (int)reader.Number("priority", 0),
        };
    }

    /// <summary>The name of a TUN; null = the shared one.</summary>
    public static string? Interface(SectionReader reader)
    {
        var bound = reader.Text("bind_interface");
        if (bound is not null && (bound.Length is 0 or > 15 || bound is "." or ".." || bound.Any(letter => char.IsControl(letter) || char.IsWhiteSpace(letter)) || bound.AsSpan().ContainsAny("/:%"))) reader.Error("bind_interface", $"'{bound}' is no name for an interface", "1 to 15 letters, digits, dots and dashes");
        return bound;
    }

    private static StartAction Action(string text)
    {
        var (trap, start) = (false, false);
        foreach (var word in text.Split('|'))
        {
            trap |= word.Trim() is "trap" or "route" or "hold";
            start |= word.Trim() is "start" or "restart";
        }

        return trap ? (start ? StartAction.TrapAndStart : StartAction.Trap) : start ? StartAction.Start : StartAction.None;
    }

    /// <summary>RFC 7296 section 2.9: a pair needs one IP version and one protocol; "dynamic" takes any version.</summary>
    public static void CheckSelectors(SectionReader reader, ImmutableArray<SelectorPattern> local, ImmutableArray<SelectorPattern> remote)
    {
        static bool Fits(SelectorPattern left, SelectorPattern right) =>
            (left.IsDynamic || right.IsDynamic || left.Selector.Version == right.Selector.Version) && (left.Selector.Protocol == 0 || right.Selector.Protocol == 0 || left.Selector.Protocol == right.Selector.Protocol);
        foreach (var (key, own, otherKey, others) in new[] { ("local_ts", local, "remote_ts", remote), ("remote_ts", remote, "local_ts", local) })
        {
            // one octet counts them on the wire (section 3.13)
            if (own.Length > Narrowing.MaxSelectors) reader.Error(key, $"{key}: {own.Length} selectors are more than the {Narrowing.MaxSelectors} that a child can negotiate", "join neighbours, or put the rest into another child");
            foreach (var one in own)
            {
                if (!others.Any(other => Fits(one, other))) reader.Error(key, $"{(one.IsDynamic ? "dynamic" : one.Selector.ToString())} has no counterpart of the same IP version and protocol in {otherKey}", "add one there, or remove it here");
            }
        }
    }

    private static ImmutableArray<ConfiguredSecret> BuildSecrets(ConfigSection root, List<Diagnostic> findings)
    {
        var secrets = ImmutableArray.CreateBuilder<ConfiguredSecret>();
        foreach (var section in Below(root, "secrets", findings))
        {
            if (BuildSecret(section, findings) is { } secret) secrets.Add(secret);
        }

        return secrets.ToImmutable();
    }

    private static ConfiguredSecret? BuildSecret(ConfigSection section, List<Diagnostic> findings)
    {
        var reader = new SectionReader(section, Scope.Secret, $"secret '{section.Name}'", findings);
        if (s_laterSecrets.FirstOrDefault(kind => section.Name.StartsWith(kind, StringComparison.Ordinal)) is { } later)
        {
            findings.Add(new Diagnostic(Severity.Limit, section.Position, $"secret '{section.Name}': secrets of the kind '{later}' are not used yet", "pre-shared keys are named ike…"));
            return null;
        }

        if (CredentialFiles.IsOfFile(section.Name, out _))
        {
            CheckFileSecret(section, findings);
            return null;
        }

        SecretKind? kind = section.Name switch
        {
            _ when section.Name.StartsWith("ike", StringComparison.Ordinal) => SecretKind.Psk,
            _ when section.Name.StartsWith("ppk", StringComparison.Ordinal) => SecretKind.Ppk,
            _ when section.Name.StartsWith("xauth", StringComparison.Ordinal) || section.Name.StartsWith("eap", StringComparison.Ordinal) => SecretKind.Password,
            _ => null,
        };
        if (kind is not { } known)
        {
            findings.Add(new Diagnostic(Severity.Error, section.Position, $"the name of secret '{section.Name}' does not say its kind", "begin it with ike (pre-shared key), ppk (post-quantum pre-shared key), xauth or eap (password of a user), or private, rsa, ecdsa, pkcs8, pkcs12 (password of a file)"));
            return null;
        }

        foreach (var setting in section.Settings)
        {
            if (setting.Key != "secret" && !setting.Key.StartsWith("id", StringComparison.Ordinal) && KeyRegistry.Find(Scope.Secret, setting.Key) is not null) findings.Add(new Diagnostic(Severity.Error, setting.Position, $"key '{setting.Key}' has no meaning for {(known == SecretKind.Password ? "the password of a user" : "a pre-shared key")}", $"a section {known switch { SecretKind.Ppk => "ppk", SecretKind.Password => "xauth", _ => "ike" }}… holds one secret and ids"));
        }

        if (section.Find("secret") is not { } value)
        {
            findings.Add(new Diagnostic(Severity.Error, section.Position, $"secret '{section.Name}' has no value", "add 'secret = …'"));
            return null;
        }

        if (value.Values.Count != 1) return null;
        if (!ValueReader.TrySecret(value.Values[0], out var octets, out var isKey, out var error))
        {
            findings.Add(new Diagnostic(Severity.Error, value.ValuePosition, $"secret '{section.Name}': {error}", "write the key in pairs of digits behind 0x, in base64 behind 0s, or text that begins otherwise"));
            return null;
        }

        var owners = ImmutableArray.CreateBuilder<IdentityPattern>();
        foreach (var setting in section.Settings)
        {
            if (setting.Key.StartsWith("id", StringComparison.Ordinal) && IdentityPattern.TryParse(setting.Text, out var owner, out _)) owners.Add(owner);
        }

        return new ConfiguredSecret(section.Name, octets, isKey, owners.ToImmutable(), value.ValuePosition) { Kind = known };
    }

    /// <summary>A password of a file: whoever read the files took it.</summary>
    private static void CheckFileSecret(ConfigSection section, List<Diagnostic> findings)
    {
        foreach (var setting in section.Settings)
        {
            if (setting.Key != "file" && !setting.Key.StartsWith("secret", StringComparison.Ordinal) && KeyRegistry.Find(Scope.Secret, setting.Key) is not null) findings.Add(new Diagnostic(Severity.Error, setting.Position, $"key '{setting.Key}' has no meaning for the password of a file", "such a section holds file and secret"));
        }

        if (section.Find("file") is null) findings.Add(new Diagnostic(Severity.Error, section.Position, $"secret '{section.Name}' names no file", "add 'file = NAME', a file of the folder of that kind"));
    }

    private static DaemonSettings BuildDaemon(ConfigSection section, List<Diagnostic> findings)
    {
        var reader = new SectionReader(section, Scope.Daemon, "'daemon'", findings);
        foreach (var inner in section.Sections) findings.Add(new Diagnostic(Severity.Error, inner.Position, $"unknown section '{inner.Name}' in 'daemon'", "it holds keys only"));
        var dataPlane = reader.Word("dataplane", "auto");
        if (dataPlane == "xfrm") reader.Add(Severity.Limit, reader.PositionOf("dataplane"), "the kernel's XFRM as data plane is not there yet", "use auto or tun");
        var table = reader.Number("table", 8757);
        if (table is >= 252 and <= 255) reader.Error("table", "tables 253 to 255 are the system's, and the next one is used too", "write another number");
        var (port, portNatT) = (reader.Number("port", 500), reader.Number("port_nat_t", 4500));
        if (port == portNatT && port != 0) reader.Error("port_nat_t", "port and port_nat_t are the same", "give them two numbers");
        var words = PskDictionary.BuiltIn;
        if (reader.Text("psk_words") is { } file)
        {
            words = words.With(Path.GetFullPath(file, Path.GetDirectoryName(Path.GetFullPath(reader.PositionOf("psk_words").File))!), out var unused, out var why);
            if (why is not null) reader.Add(Severity.Limit, reader.PositionOf("psk_words"), $"psk_words: {why}", "the built-in words are used alone");
            if (unused > 0) reader.Add(Severity.Notice, reader.PositionOf("psk_words"), $"psk_words: {unused} lines hold no word of {PskDictionary.ShortestWord} to {PskDictionary.LongestWord} letters a-z");
        }

        return new DaemonSettings
        {
            Words = words,
            Port = (ushort)port,
            PortNatT = (ushort)portNatT,
            Sockets = [.. reader.Items("socket")],
            DataPlane = dataPlane == "xfrm" ? "auto" : dataPlane,
            PskPolicy = reader.Text("psk_policy") is { } policy ? PskPolicyOf(policy) : null,
            PskWords = reader.Text("psk_words"),
            CookieThreshold = (int)reader.Number("cookie_threshold", 30),
            HalfOpenLimit = (int)reader.Number("half_open_limit", 1000),
            HalfOpenTimeout = reader.Time("half_open_timeout", TimeSpan.FromSeconds(30)),
            HalfOpenPerPrefix = (int)reader.Number("half_open_per_prefix", 20),
            IdentityLimit = (int)reader.Number("identity_limit", 1024),
            RetransmitTimeout = reader.Time("retransmit_timeout", TimeSpan.FromSeconds(1)),
            RetransmitTries = (int)reader.Number("retransmit_tries", 6),
            MakeBeforeBreak = reader.YesNo("make_before_break", true),
            CrashDetection = reader.YesNo("crash_detection", true),
            KeepAlive = reader.Time("keep_alive", TimeSpan.FromSeconds(20)),
            FirewallMark = (uint)reader.Number("fwmark", 0x57),
            Table = (uint)table,
            HashAndUrl = reader.YesNo("hash_and_url", false),
            HashAndUrlPrivate = reader.YesNo("hash_and_url_private", false),
            StateDirectory = reader.Text("state_dir") ?? new DaemonSettings().StateDirectory,
            KeyLog = reader.Text("keylog"),
        };
    }

    public static PskPolicy? PskPolicyOf(string text) => text.ToLowerInvariant() switch { "warn" => PskPolicy.Warn, "off" => PskPolicy.Off, "strict" => PskPolicy.Strict, _ => null };
}

/// <summary>Warns of weak algorithms that a connection names, once for each.</summary>
internal sealed class WeaknessWarnings(string connection, bool isV1, List<Diagnostic> findings)
{
    private readonly HashSet<string> _seen = new(StringComparer.Ordinal);

    public void Find(SectionReader reader, string key, ImmutableArray<Proposal> proposals)
    {
        foreach (var weakness in proposals.SelectMany(proposal => proposal.Transforms).Select(WeakAlgorithms.Of).OfType<Weakness>())
        {
            if (!_seen.Add(weakness.Name)) continue;
            findings.Add(new Diagnostic(Severity.Warning, reader.Section.Find(key)?.ValuePosition ?? reader.Section.Position, $"WEAK: connection '{connection}' names {weakness.Name} in {key}: {weakness.Why}", $"write {InsteadOf(weakness, key)} instead"));
        }
    }

    /// <summary>IKEv1 has no AEAD in phase 1, no PRFs of their own and no Curve25519.</summary>
    private string InsteadOf(Weakness weakness, string key)
    {
        if (!isV1) return weakness.Instead;
        var words = weakness.Instead.Replace("x25519 or ", "", StringComparison.Ordinal).Replace("prfsha", "sha", StringComparison.Ordinal);
        return key == "proposals" ? words.Replace("aes256gcm16", "aes256", StringComparison.Ordinal) : words;
    }
}
