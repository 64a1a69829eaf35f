using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.Globalization;
using System.Linq;
using System.Security.Cryptography;
using Warifu.Crypto;
using Warifu.Policy;
using Warifu.Primitives;

namespace Warifu.App.Configuration;

/// <summary>Sections <c>manual.NAME</c>: SAs whose keys are entered by hand at both ends. Keys become secrets here and are never text.</summary>
internal sealed class ManualBuilder
{
    /// <summary>What IKE takes for its own SPIs begins above.</summary>
    public const long LargestInboundSpi = 0xBFFF_FFFF;

    /// <summary>The key that lets a counter-mode cipher run with a fixed key.</summary>
    public const string Danger = "danger_counter_mode_with_fixed_key";

    private readonly ConfigSection _section;
    private readonly List<Diagnostic> _findings;
    private readonly SectionReader _reader;

    private ManualBuilder(ConfigSection section, List<Diagnostic> findings)
    {
        (_section, _findings) = (section, findings);
        _reader = new SectionReader(section, Scope.Manual, $"manual SA '{section.Name}'", findings);
    }

    /// <summary>All sections with their keys; those with errors are left out.</summary>
    public static ImmutableArray<(ManualSa Sa, Secret Keys)> BuildAll(IEnumerable<ConfigSection> sections, IReadOnlyCollection<Connection> connections, List<Diagnostic> findings)
    {
        var all = ImmutableArray.CreateBuilder<(ManualSa Sa, Secret Keys)>();
        foreach (var section in sections)
        {
            var before = findings.Count;
            var builder = new ManualBuilder(section, findings);
            if (connections.FirstOrDefault(connection => connection.Name == section.Name) is { } twin) builder.Add(section.Position, $"'{section.Name}' is a connection at {twin.Source}, too: one VPN has its keys by IKE or by hand, not both", "remove one of the two, or give it another name");
            if (builder.Build() is not var (sa, keys)) continue;
            foreach (var other in all) builder.Compare(sa, other.Sa);
            foreach (var connection in connections.Where(connection => connection.Name != section.Name))
            {
                if (Clash(sa, connection) is var (text, remedy)) builder.Add(section.Position, text, remedy);
            }

            if (findings.Skip(before).Any(finding => finding.Severity == Severity.Error)) keys.Dispose();
            else all.Add((sa, keys));
        }

        return all.ToImmutable();
    }

    /// <summary>One VPN has its keys by IKE or by hand. Null: these are two.</summary>
    public static (string Text, string Remedy)? Clash(ManualSa sa, Connection connection)
    {
        if (connection.Name == sa.Name) return ($"'{sa.Name}' is a manual SA and a connection: one VPN has its keys by IKE or by hand, not both", "remove one of the two, or give it another name");
        if (sa.Meets(connection) is not { } child) return null;
        return ($"manual SA '{sa.Name}' and connection '{connection.Name}' ({connection.Source}) are between the same gateways, and child '{child.Name}' is for the same traffic: one VPN has its keys by IKE or by hand, not both",
            "remove one of the two, or give them traffic selectors that do not meet");
    }

    private (ManualSa Sa, Secret Keys)? Build()
    {
        foreach (var inner in _section.Sections) Add(inner.Position, $"unknown section '{inner.Name}' in manual SA '{_section.Name}'", "it holds keys only");
        var before = Errors;
        var (local, remote) = (Address("local"), Address("remote"));
        if (local.Version != remote.Version && !local.IsNone && !remote.IsNone) Error("remote", $"local {local} and remote {remote} are of two IP versions", "give both ends addresses of the same version");
        if (local == remote && !local.IsNone) Error("remote", $"local and remote are both {local}", "write the peer's address");
        var protocol = _reader.Word("protocol", "esp") == "ah" ? ProtocolId.Ah : ProtocolId.Esp;
        var mode = _reader.Word("mode", "tunnel") == "transport" ? IpsecMode.Transport : IpsecMode.Tunnel;
        var (inbound, outbound) = (Spi("spi_in"), Spi("spi_out"));
        if (inbound > LargestInboundSpi) Error(_section.Find("spi_in") is null ? "spi" : "spi_in", "SPIs from 0xc0000000 are those that IKE gives out", "write 256..3221225471");
        var (encr, integ) = (Algorithm("encr", TransformType.Encr), Algorithm("integ", TransformType.Integ));
        if (Errors == before) Check(protocol, ref encr, ref integ);
        var (encrName, integName) = (NameOf(encr), NameOf(integ));
        var (encrLength, integLength) = (ManualSa.KeyLength(encr), ManualSa.KeyLength(integ));
        if (Errors > before) return null;
        var (encrIn, encrOut) = Keys("encr_key", encrName, encrLength);
        var (integIn, integOut) = Keys("integ_key", integName, integLength);
        if (encr.Id == (ushort)EncrId.TripleDes) CheckParts(encrIn, encrOut);
        var (localTs, remoteTs) = (Selectors("local_ts", local), Selectors("remote_ts", remote));
        PolicyBuilder.CheckSelectors(_reader, [.. localTs.Select(SelectorPattern.Of)], [.. remoteTs.Select(SelectorPattern.Of)]);
        if (mode == IpsecMode.Transport && (_reader.Has("local_ts") || _reader.Has("remote_ts")) && !(IsEnd(localTs, local) && IsEnd(remoteTs, remote)))
            Error("mode", "transport mode is between the two ends only, and the selectors name others", "write mode = tunnel, or selectors of local and remote");
        var bound = PolicyBuilder.Interface(_reader);
        var keys = Join(encrIn, integIn, encrOut, integOut);
        if (Errors > before)
        {
            keys.Dispose();
            return null;
        }

        return (new ManualSa
        {
            Name = _section.Name,
            Local = local,
            Remote = remote,
            Protocol = protocol,
            Mode = mode,
            InboundSpi = new ChildSpi((uint)inbound),
            OutboundSpi = new ChildSpi((uint)outbound),
            Encr = encr,
            Integ = integ,
            LocalSelectors = localTs,
            RemoteSelectors = remoteTs,
            BindInterface = bound,
            Mtu = (int)_reader.Number("mtu", 0),
        }, keys);
    }

    /// <summary>Two manual SAs that are loaded together.</summary>
    private void Compare(ManualSa sa, ManualSa other)
    {
        if (other.Protocol == sa.Protocol && other.InboundSpi == sa.InboundSpi)
            Error("spi_in", $"manual SA '{other.Name}' has the same protocol and inbound SPI: what comes in could not be told apart", "give it another spi_in (and the peer that spi_out)");
        if (other.BindInterface == sa.BindInterface && other.LocalSelectors.SequenceEqual(sa.LocalSelectors) && other.RemoteSelectors.SequenceEqual(sa.RemoteSelectors))
            Error("remote_ts", $"manual SA '{other.Name}' has the same traffic selectors: only one of the two could carry anything", "change the selectors of one, or bind them to different interfaces");
    }

    /// <summary>The keys as <see cref="ManualSa.Split"/> takes them; the single ones are erased.</summary>
    private static Secret Join(params ReadOnlySpan<Secret> keys)
    {
        var length = 0;
        foreach (var key in keys) length += key.Length;
        var all = new Secret(length);
        var rest = all.Span;
        foreach (var key in keys)
        {
            key.Span.CopyTo(rest);
            rest = rest[key.Length..];
            key.Dispose();
        }

        return all;
    }

    private int Errors => _findings.Count(finding => finding.Severity == Severity.Error);

    /// <summary>What may stand together, and what is too weak or too dangerous.</summary>
    private void Check(ProtocolId protocol, ref Transform encr, ref Transform integ)
    {
        if (protocol == ProtocolId.Ah)
        {
            if (encr.Id == (ushort)EncrId.NullAesGmac && integ.Id == 0) (encr, integ) = (default, GmacOf(encr));
            if (encr.Id != 0) Error("encr", $"{NameOf(encr)} encrypts, and AH does not", "remove encr, or write protocol = esp");
            else if (integ.Id == 0) _reader.Add(Severity.Error, _section.Position, $"manual SA '{_section.Name}': AH needs an integrity algorithm", "add integ, for example integ = sha256, and integ_key");
        }
        else if (encr.Id == 0 && integ.Id == 0)
        {
            _reader.Add(Severity.Error, _section.Position, $"manual SA '{_section.Name}' names no algorithm", "add encr = aes256 with encr_key and integ = sha256 with integ_key");
        }
        else if (encr.Id == 0)
        {
            encr = Transform.Encr(EncrId.Null);
        }
        else if (Algorithms.Encr[(EncrId)encr.Id].IsAead && integ.Id != 0)
        {
            Error("integ", $"{NameOf(encr)} authenticates by itself", "remove integ and its keys");
        }
        else if (!Algorithms.Encr[(EncrId)encr.Id].IsAead && integ.Id == 0)
        {
            Error("encr", $"{NameOf(encr)} without an integrity algorithm: packets could be changed at will and nobody would notice", "add integ = sha256 and integ_key");
        }

        var counting = encr.Id != 0 && (Algorithms.Encr[(EncrId)encr.Id].IsAead || encr.Id == (ushort)EncrId.AesCtr) ? NameOf(encr) : Algorithms.Gmac.ContainsKey((IntegId)integ.Id) ? NameOf(integ) : null;
        if (counting is not null && !_reader.YesNo(Danger, false))
            Error(integ.Id != 0 && encr.Id == 0 ? "integ" : "encr", $"{counting} with a key that never changes counts its IVs from the beginning at every start: the same IV twice under one key gives away the traffic and lets others forge it (RFC 4106 section 2, RFC 8221 section 3)", $"write encr = aes256 with integ = sha256, or use IKE; {Danger} = yes takes the risk");
        else if (counting is not null)
            _findings.Add(new Diagnostic(Severity.Warning, _section.Position, $"DANGER: manual SA '{_section.Name}' uses {counting} with a fixed key: after a restart IVs repeat, which gives away traffic and lets others forge it", "use encr = aes256 with integ = sha256, or IKE"));
        foreach (var (key, transform) in new[] { ("encr", encr), ("integ", integ) })
        {
            // integrity alone was asked for
            if (transform.Id == 0 || transform.Id == (ushort)EncrId.Null && key == "encr" && !_reader.Has("encr")) continue;
            if (WeakAlgorithms.Of(transform) is { } weakness) _findings.Add(new Diagnostic(Severity.Warning, _section.Find(key)?.ValuePosition ?? _section.Position, $"WEAK: manual SA '{_section.Name}' names {weakness.Name} in {key}: {weakness.Why}", $"write {(key == "encr" ? "aes256" : "sha256")} instead"));
        }
    }

    /// <summary>Three DES keys of which two that follow each other are the same are one DES key (RFC 2451 section 2.2).</summary>
    private void CheckParts(Secret inbound, Secret outbound)
    {
        foreach (var (key, name) in new[] { (inbound, "encr_key_in"), (outbound, "encr_key_out") })
        {
            if (key.Length != 24) continue;
            var parts = key.Span;
            if (!CryptographicOperations.FixedTimeEquals(parts[..8], parts[8..16]) && !CryptographicOperations.FixedTimeEquals(parts[8..16], parts[16..24])) continue;
            Error(_section.Find(name) is null ? "encr_key" : name, $"the 3DES key of manual SA '{_section.Name}' has two equal parts in a row: that is DES", "take 24 random octets");
            return;
        }
    }

    private IpAddress Address(string key)
    {
        if (_reader.Text(key) is not { } text)
        {
            _reader.Add(Severity.Error, _section.Position, $"manual SA '{_section.Name}' has no {key} address", $"add {key} = ADDRESS: {(key == "local" ? "our end" : "the peer's end")}");
            return default;
        }

        if (IpAddress.TryParse(text, out var address) && !address.IsUnspecified) return address;
        Error(key, $"'{text}' is no address of one host", "write an IPv4 or IPv6 address: without IKE no name is looked up and no end may be open");
        return default;
    }

    private long Spi(string key)
    {
        var found = _reader.Has(key) ? key : "spi";
        if (_reader.Has(key) && _reader.Has("spi")) Error(key, $"spi is for both directions, and {key} for one", $"keep spi, or spi_in and spi_out");
        if (_reader.NumberOrNull(found) is { } value) return value;
        // one that is out of range was told already
        if (_section.Find(found) is null) _reader.Add(Severity.Error, _section.Position, $"manual SA '{_section.Name}' has no {key}", "add spi = NUMBER for both directions, or spi_in and spi_out; 256..16639 suits every peer");
        return 256;
    }

    private Transform Algorithm(string key, TransformType type)
    {
        if (_reader.Text(key) is not { } word) return default;
        if (word is "none") return default;
        if (ProposalKeywords.Lookup(word) is { } transform && transform.Type == TransformType.Encr && type == TransformType.Integ && transform.Id == (ushort)EncrId.NullAesGmac) return GmacOf(transform);
        if (ProposalKeywords.Lookup(word) is { } found && found.Type == type && Algorithms.Supports(found)) return found;
        Error(key, $"'{word}' is no {(type == TransformType.Encr ? "cipher" : "integrity algorithm")} for manual keys", type == TransformType.Encr ? "write aes128, aes192, aes256, camellia256, 3des, des or null" : "write sha256, sha384, sha512, sha1, md5, aesxcbc or aescmac");
        return default;
    }

    private static Transform GmacOf(Transform encr) => Transform.Integ((IntegId)(9 + ((encr.KeyBits - 128) / 64)));

    private static string NameOf(Transform transform) => transform.Id == 0 ? "none" : ProposalKeywords.Word(transform);

    private (Secret In, Secret Out) Keys(string name, string algorithm, int length)
    {
        var inbound = Key(name, "_in", algorithm, length);
        return (inbound, _section.Find(name + "_in") is null && _section.Find(name + "_out") is null ? inbound.Clone() : Key(name, "_out", algorithm, length));
    }

    /// <summary>A key for one direction, or for both where it has no suffix: text, hexadecimal behind 0x, or base64 behind 0s.</summary>
    private Secret Key(string name, string direction, string algorithm, int length)
    {
        var (own, both) = (_section.Find(name + direction), _section.Find(name));
        var setting = own ?? both;
        var found = own is null ? name : name + direction;
        if (length == 0)
        {
            if (setting is not null) Error(found, $"{found}: {(algorithm == "none" ? $"no {(name == "encr_key" ? "encr" : "integ")} is named that it would be for" : $"{algorithm} takes no key")}", "remove it");
            return new Secret(0);
        }

        if (own is not null && both is not null) Error(found, $"{name} is for both directions, and {found} for one", $"keep {name}, or {name}_in and {name}_out");
        var right = string.Create(CultureInfo.InvariantCulture, $"{length} octets: {length} characters of text, or {length * 2} hexadecimal digits behind 0x");
        if (setting is null || setting.Values.Count != 1)
        {
            if (setting is null) _reader.Add(Severity.Error, _section.Position, $"manual SA '{_section.Name}' has no {name} for {algorithm}", $"add {name} of {right}");
            return new Secret(0);
        }

        var value = setting.Values[0].AsSpan();
        var digits = value.StartsWith("0x"u8) ? value.Length - 2 : -1;
        if (!ValueReader.TrySecret(value, out var octets, out _, out var error))
        {
            Error(found, $"{found}: {error}", $"{algorithm} takes {right}");
            return new Secret(0);
        }

        var key = new Secret(octets);
        CryptographicOperations.ZeroMemory(octets);
        if (key.Length == length && digits is -1 || digits == length * 2) return key;
        Error(found, $"{found}: the key has {(digits >= 0 ? string.Create(CultureInfo.InvariantCulture, $"{digits} hexadecimal digits") : string.Create(CultureInfo.InvariantCulture, $"{key.Length} octets"))}", $"{algorithm} takes {right}");
        key.Dispose();
        return new Secret(0);
    }

    private ImmutableArray<TrafficSelector> Selectors(string key, IpAddress end) => [.. _reader.Selectors(key).Select(pattern => pattern.IsDynamic ? pattern.Resolve(end) : pattern.Selector)];

    private static bool IsEnd(ImmutableArray<TrafficSelector> selectors, IpAddress end) => selectors.All(selector => selector.First == end && selector.Last == end);

    private void Error(string key, string text, string remedy) => _reader.Error(key, text, remedy);

    private void Add(SourcePosition position, string text, string remedy) => _reader.Add(Severity.Error, position, text, remedy);
}
