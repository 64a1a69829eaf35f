using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.Linq;
using Warifu.Policy;
using Warifu.Primitives;

namespace Warifu.Simulation;

/// <summary>What kind of world a seed makes: network, configuration of both gateways, who keeps the connection up, how long it is played.</summary>
internal sealed class WorldPlan
{
    private static readonly string[] s_names = ["net", "lan", "dmz"];

    private static readonly Pool s_pool = new() { Name = "clients", Addresses = [PoolText.TryParseAddresses("10.64.0.0/24", out var range, out var error) ? range : throw new InvalidOperationException(error)] };

    /// <param name="luck">Draws everything.</param>
    /// <param name="version">Which IKE both gateways speak.</param>
    public WorldPlan(SeededEntropy luck, IkeVersion version)
    {
        Version = version;
        var kind = luck.Below(10);
        IsPerfect = kind < 2;
        Network = IsPerfect
            ? new LinkPlan { Delay = TimeSpan.FromMilliseconds(1 + luck.Below(80)) }
            : new LinkPlan
            {
                Loss = luck.Chance(0.2) ? 0 : luck.Below(25) / 100.0,
                Duplication = luck.Chance(0.4) ? 0 : luck.Below(30) / 100.0,
                Delay = TimeSpan.FromMilliseconds(1 + luck.Below(120)),
                Jitter = luck.Chance(0.3) ? TimeSpan.Zero : TimeSpan.FromMilliseconds(luck.Below(luck.Chance(0.1) ? 3000 : 300)),
                Mtu = luck.Chance(0.3) ? 296 : 1500,
            };
        HasV6 = luck.Chance(0.3);
        HasNat = !HasV6 && luck.Chance(0.3);
        HasAdversary = !IsPerfect && luck.Chance(0.35);
        HasImpostor = !HasNat && luck.Chance(0.1);
        Outages = !IsPerfect && luck.Chance(0.4);
        Cookies = luck.Chance(0.15);
        SlowAsks = luck.Chance(0.15);
        Length = TimeSpan.FromSeconds(60 + luck.Below(240));
        Children = 1 + (luck.Chance(0.4) ? luck.Below(3) : 0);
        var initialKe = luck.Below(8);
        (LeftIke, RightIke) = initialKe switch
        {
            0 => ("aes128-sha256-x25519-ecp256", "aes128-sha256-ecp256"),
            1 => ("aes128gcm16-prfsha256-x25519", "aes128gcm16-prfsha256-x25519"),
            _ => ("aes128-sha256-x25519", "aes128-sha256-x25519"),
        };
        (LeftEsp, RightEsp) = luck.Below(10) switch
        {
            0 => ("aes128gcm16-x25519-ecp256", "aes128gcm16-ecp256"),
            1 or 2 => ("aes128gcm16-x25519", "aes128gcm16-x25519"),
            _ => ("aes128gcm16", "aes128gcm16"),
        };
        LeftKeeps = HasNat || HasAdversary || Outages || luck.Chance(0.6);
        RightKeeps = !HasNat && !HasImpostor && luck.Chance(LeftKeeps ? 0.4 : 0.2);
        // a peer that lost everything is noticed by liveness only
        Dpd = IsPerfect && !HasNat && luck.Chance(0.5) ? TimeSpan.Zero : TimeSpan.FromSeconds(8 + luck.Below(25));
        IkeLife = luck.Chance(0.4) ? TimeSpan.FromSeconds(40 + luck.Below(200)) : TimeSpan.FromHours(4);
        ChildLife = luck.Chance(0.4) ? TimeSpan.FromSeconds(20 + luck.Below(120)) : TimeSpan.FromHours(1);
        // the same lifetimes without a spread on both sides: they begin together
        InStep = luck.Chance(0.3);
        Packets = luck.Chance(0.15) ? 20UL + (ulong)luck.Below(60) : 0;
        Unique = luck.Below(5) switch { 0 => UniquePolicy.Replace, 1 => UniquePolicy.Never, _ => UniquePolicy.No };
        Closes = luck.Chance(0.6);
        IsNervous = luck.Chance(0.2);
        // nothing but IKE: what only packets would tell must be told by IKE
        IsQuiet = luck.Chance(0.15) || (HasNat && luck.Chance(0.4));
        LeftFrequency = luck.Chance(0.15) ? 1 + luck.Below(3) : 0;
        RightFrequency = luck.Chance(0.15) ? 1 + luck.Below(3) : 0;
        if (IkeLife < TimeSpan.FromHours(1) && luck.Chance(0.3)) ReauthTime = IkeLife * (0.5 + luck.Below(3));
        if (ReauthTime > TimeSpan.Zero) (LeftFrequency, RightFrequency) = (0, 0);
        Mode = (DpdMode)luck.Below(3);
        Threshold = luck.Chance(0.2) ? 3 : 0;
        HasTokens = luck.Chance(0.4);
        Shards = luck.Chance(0.25) ? 4 : 1;
        Script = WorldScript.Draw(this, luck);
        HasLargeMessages = luck.Chance(0.15);
        Mobike = luck.Chance(0.5);
        if (HasLargeMessages && luck.Chance(0.7)) Network = Network with { Mtu = luck.Chance(0.5) ? 600 : 420, DropsFragments = true };
        // no link of IPv6 is narrower (RFC 8200 section 5)
        if (HasV6 && Network.Mtu < 1280) Network = Network with { Mtu = 1280 };
        HasRoaming = Mobike && !HasNat && !HasImpostor && !RightKeeps && luck.Chance(0.6);
        // an attempt that was given up with its address may be up at the peer, and only liveness ends it where many may have one identity
        if (HasRoaming && Unique == UniquePolicy.Never && Dpd == TimeSpan.Zero) Dpd = TimeSpan.FromSeconds(20);
        if (HasRoaming) Script = [.. Script.Concat(WorldScript.Roaming(this, luck)).OrderBy(act => act.At)];
        Window = Children > 1 && luck.Chance(0.4) ? 2u + (uint)luck.Below(3) : 1;
        // who neither sends nor asks never notices
        if (Mode == DpdMode.Optimized && (IsQuiet || Script.Exists(act => act.Deed == Deed.Crash))) Mode = DpdMode.ProbeIdleTunnel;
        if (luck.Chance(0.3)) Proofs = new SimProofs(luck, IsV1);
        HasVirtualAddress = luck.Chance(0.25);
        if (IsV1)
        {
            // what IKEv1 has not
            (Cookies, HasTokens, Mobike, HasRoaming, HasVirtualAddress, HasLargeMessages, Window, LeftFrequency, RightFrequency) = (false, false, false, false, false, false, 1, 0, 0);
            // nobody answers a delete: where one is lost, only packets tell that a pair is gone
            IsQuiet &= IsPerfect && !HasNat;
            Script.RemoveAll(act => act.Deed == Deed.Roam);
            Aggressive = luck.Chance(0.35);
            (LeftIke, RightIke) = luck.Below(5) switch
            {
                // several transforms, of which the responder takes one
                0 when !Aggressive => ("aes256-sha384-ecp384,aes128-sha256-ecp256", "aes128-sha256-ecp256"),
                1 => ("aes128-sha1-ecp256,aes128-sha256-ecp256", "aes128-sha256-ecp256"),
                _ => ("aes128-sha256-ecp256", "aes128-sha256-ecp256"),
            };
            (LeftEsp, RightEsp) = luck.Chance(0.4) ? ("aes128gcm16-ecp256", "aes128gcm16-ecp256") : luck.Chance(0.3) ? ("aes128-sha256", "aes128-sha256") : ("aes128gcm16", "aes128gcm16");
            // certificates travel in pieces where no IP fragment passes; but not in the first message of aggressive mode, when nobody knows whether the peer takes them
            if (!HasV6) Network = Network with { Mtu = Network.Mtu < 600 ? 600 : Network.Mtu, DropsFragments = Network.Mtu < 600 && !(Aggressive && Proofs is not null) };
        }

        IsSeamless = IsPerfect && !HasRoaming && !Script.Exists(act => act.Deed is Deed.DownChild or Deed.DownIke or Deed.Crash or Deed.Reload or Deed.DropChild) && !(IsNervous && Closes) && !LeftKeeps && !RightKeeps && Packets == 0;
    }

    public IkeVersion Version { get; }

    public bool IsV1 => Version == IkeVersion.V1;

    /// <summary>IKEv1 in aggressive mode.</summary>
    public bool Aggressive { get; }

    /// <summary>Children have many selectors, so that their messages are cut; on some paths no IP fragment passes.</summary>
    public bool HasLargeMessages { get; }

    public bool Mobike { get; }

    /// <summary>Both prove themselves by certificates; null = by a secret.</summary>
    public SimProofs? Proofs { get; }

    /// <summary>The left side asks for a virtual address.</summary>
    public bool HasVirtualAddress { get; }

    /// <summary>Requests that each side believes the other to take at once.</summary>
    public uint Window { get; }

    /// <summary>The left side's address changes.</summary>
    public bool HasRoaming { get; }

    public LinkPlan Network { get; }

    /// <summary>Nothing is lost, nothing overtakes.</summary>
    public bool IsPerfect { get; }

    /// <summary>Perfect, and nobody closes anything: rekeying must not lose a single packet.</summary>
    public bool IsSeamless { get; }

    public bool HasNat { get; }

    public bool HasAdversary { get; }

    /// <summary>A third host that calls itself by the left one's name and has another secret.</summary>
    public bool HasImpostor { get; }

    public bool Outages { get; }

    public bool HasV6 { get; }

    /// <summary>Engines of each host.</summary>
    public int Shards { get; }

    /// <summary>Somebody closes something.</summary>
    public bool Closes { get; }

    /// <summary>Operators act at the very moment when something comes up.</summary>
    public bool IsNervous { get; }

    /// <summary>No packets.</summary>
    public bool IsQuiet { get; }

    public int LeftFrequency { get; }

    public int RightFrequency { get; }

    public TimeSpan ReauthTime { get; }

    public DpdMode Mode { get; }

    public int Threshold { get; }

    /// <summary>Both sides make tokens of quick crash detection.</summary>
    public bool HasTokens { get; }

    public bool Cookies { get; }

    public bool SlowAsks { get; }

    public bool LeftKeeps { get; }

    public bool RightKeeps { get; }

    public bool InStep { get; }

    public int Children { get; }

    public ulong Packets { get; }

    public TimeSpan Length { get; }

    public TimeSpan Dpd { get; }

    public TimeSpan IkeLife { get; }

    public TimeSpan ChildLife { get; }

    public UniquePolicy Unique { get; }

    public string LeftIke { get; }

    public string RightIke { get; }

    public string LeftEsp { get; }

    public string RightEsp { get; }

    public List<Act> Script { get; }

    public IEnumerable<string> ChildNames => s_names[..Children];

    public static IpAddress Inner { get; } = IpAddress.Parse("10.9.0.2");

    public IpAddress Left => IpAddress.Parse(HasV6 ? "2001:db8:1::2" : "192.0.2.2");

    public IpAddress Right => IpAddress.Parse(HasV6 ? "2001:db8:2::2" : "198.51.100.2");

    public IpAddress Impostor => IpAddress.Parse(HasV6 ? "2001:db8:1::66" : "192.0.2.66");

    private ImmutableArray<SelectorPattern> Selectors(string first, int side, int number) =>
        [EnginePair.Ts(first), .. Enumerable.Range(0, HasLargeMessages ? 40 : 0).Select(more => EnginePair.Ts($"10.{100 + side}.{number}.{2 * more}"))];

    /// <param name="isLeft">Whose.</param>
    /// <param name="dropped">A child that is taken out of the configuration.</param>
    /// <param name="longer">Another lifetime for a child: what changes is made anew.</param>
    public PolicySet Policy(bool isLeft, string? dropped = null, string? longer = null)
    {
        var keeps = isLeft ? LeftKeeps : RightKeeps;
        var children = ImmutableArray.CreateBuilder<Child>();
        var number = 0;
        foreach (var name in ChildNames)
        {
            number++;
            if (name == dropped) continue;
            var (left, right) = ($"10.1.{number}.0/24", $"10.2.{number}.0/24");
            children.Add(new Child
            {
                Name = name,
                Proposals = EnginePair.Proposals(ProtocolId.Esp, isLeft ? LeftEsp : RightEsp),
                LocalSelectors = Selectors(isLeft ? left : right, isLeft ? 1 : 2, number),
                RemoteSelectors = Selectors(isLeft ? right : left, isLeft ? 2 : 1, number),
                StartAction = keeps ? StartAction.Start : StartAction.None,
                CloseAction = keeps ? StartAction.Start : StartAction.None,
                DpdAction = keeps ? StartAction.Start : StartAction.None,
                RekeyTime = name == longer ? ChildLife + TimeSpan.FromSeconds(1) : ChildLife,
                RandTime = InStep ? TimeSpan.Zero : null,
                RekeyPackets = Packets,
                LifePackets = Packets == 0 ? null : Packets + (Packets % 2 == 0 ? 2 : 3 * Packets),
            });
        }

        var policy = new PolicySet
        {
            Pools = isLeft || !HasVirtualAddress ? [] : [s_pool],
            Connections =
            [
                new Connection
                {
                    Name = "net",
                    Version = Version,
                    Aggressive = Aggressive,
                    AggressivePsk = Aggressive,
                    LocalAddresses = isLeft && HasRoaming ? [] : [HostPattern.Of(isLeft ? (HasNat ? Inner : Left) : Right)],
                    RemoteAddresses = isLeft ? [HostPattern.Of(Right)] : HasNat || HasImpostor || HasRoaming ? [] : [HostPattern.Of(Left)],
                    Proposals = EnginePair.Proposals(ProtocolId.Ike, (isLeft ? LeftIke : RightIke).Split(',')),
                    Local = new LocalAuth { Id = Identity.Fqdn(isLeft ? "left.example.org" : "right.example.org") },
                    Remote = new RemoteAuth { Id = IdentityPattern.Of(Identity.Fqdn(isLeft ? "right.example.org" : "left.example.org")) },
                    Children = children.ToImmutable(),
                    DpdDelay = Dpd,
                    DpdMode = Mode,
                    DpdThreshold = Threshold,
                    ReauthFrequency = isLeft ? LeftFrequency : RightFrequency,
                    ReauthTime = ReauthTime,
                    RekeyTime = IkeLife,
                    RandTime = InStep ? TimeSpan.Zero : null,
                    KeyingTries = keeps ? 0 : 1,
                    Unique = Unique,
                    Mobike = Mobike,
                    VirtualIps = isLeft && HasVirtualAddress ? [IpAddress.AnyV4] : [],
                    Pools = isLeft || !HasVirtualAddress ? [] : [s_pool.Name],
                },
            ],
        };
        return Proofs?.Of(policy, isLeft) ?? policy;
    }
}
