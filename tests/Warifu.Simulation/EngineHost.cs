using System;
using System.Collections.Generic;
using System.Linq;
using System.Text;
using Warifu.Crypto;
using Warifu.Crypto.Signatures;
using Warifu.Engine;
using Warifu.Ipsec;
using Warifu.Policy;
using Warifu.Primitives;

namespace Warifu.Simulation;

/// <summary>An engine with everything around it that a host gives: secrets, identity claims, a data plane that only remembers. Nothing happens by itself.</summary>
internal sealed class EngineHost : IDisposable
{
    private readonly Dictionary<string, string> _psks = new(StringComparer.Ordinal);
    private readonly List<PskEntry> _entries = [];
    private readonly List<(SecretRef Ref, PrivateKey Key)> _keys = [];
    private readonly List<(SecretRef Ref, Identity Id, byte[] Secret)> _ppks = [];
    private ulong _nextCommand = 1;

    /// <summary>Who holds which identities.</summary>
    public IdentityClaims Claims { get; set; } = new();

    public EngineHost(IpAddress address, ulong seed, Instant now, EngineOptions? options = null)
    {
        Address = address;
        Entropy = new SeededEntropy(seed);
        Engine = new IkeEngine((options ?? new EngineOptions()) with { RethrowBugs = true }, Entropy, now);
    }

    /// <summary>What the host takes as source.</summary>
    public IpAddress Address { get; set; }

    public SeededEntropy Entropy { get; }

    public IkeEngine Engine { get; }

    /// <summary>Pairs in the data plane, by number.</summary>
    public SortedDictionary<uint, ChildSa> Installed { get; } = [];

    public Dictionary<(string, string), TrafficPolicy> Policies { get; } = [];

    public List<IkeEvent> Events { get; } = [];

    /// <summary>Where the pairs were moved to, by number.</summary>
    public Dictionary<uint, IkeAction.MoveChild> Moved { get; } = [];

    /// <summary>IKE SAs that want keepalives.</summary>
    public Dictionary<uint, IkeAction.Keepalive> Keepalives { get; } = [];

    /// <summary>Keys of IKE SAs, with <see cref="EngineOptions.KeyLog"/>.</summary>
    public List<IkeAction.LogIkeKeys> IkeKeys { get; } = [];

    public Dictionary<ulong, CommandResult> Results { get; } = [];

    /// <summary>Passwords of users, by their names.</summary>
    public Dictionary<string, string> Passwords { get; } = new(StringComparer.Ordinal);

    /// <summary>What names mean.</summary>
    public Dictionary<string, IpAddress> Names { get; } = new(StringComparer.Ordinal);

    /// <summary>Pairs that traffic may leave on.</summary>
    public HashSet<uint> Ready { get; } = [];

    /// <summary>SPIs on which packets are taken: those of the pairs, and for a while those of replaced ones.</summary>
    public HashSet<uint> Receiving { get; } = [];

    /// <summary>Latest packet that came in and that went out, as the data plane would tell.</summary>
    public Instant LastIn { get; set; }

    public Instant LastOut { get; set; }

    /// <summary>Messages to be carried, oldest first.</summary>
    public Queue<IkeAction.Send> Outbox { get; } = new();

    /// <summary>Questions that were not answered yet; null = answer at once.</summary>
    public List<(AskId Id, Ask Question)>? HeldAsks { get; set; }

    public LeaseTable Leases { get; } = new();

    /// <summary>What gateways gave to this host, by number.</summary>
    public SortedDictionary<uint, ClientConfiguration> Configured { get; } = [];

    public NegotiationReport? LastReport => Events.OfType<NegotiationEnded>().LastOrDefault()?.Report;

    public void SetPsk(string name, string secret, params IdentityPattern[] owners)
    {
        _entries.RemoveAll(entry => entry.Name == name);
        _psks[name] = secret;
        _entries.Add(new PskEntry(new SecretRef(name.GetHashCode(StringComparison.Ordinal) | 1), name, [.. owners]));
    }

    /// <summary>What can be fetched, by URI.</summary>
    public Dictionary<string, byte[]> Documents { get; } = [];

    /// <summary>What was fetched, in order.</summary>
    public List<string> Fetched { get; } = [];

    /// <summary>A private key; the caller disposes it.</summary>
    public void AddKey(PrivateKey key) => _keys.Add((new SecretRef(1_000_000 + _keys.Count), key));

    /// <summary>A post-quantum pre-shared key.</summary>
    public void AddPpk(Identity id, string secret)
    {
        _ppks.Add((new SecretRef(2_000_000 + _ppks.Count), id, Encoding.UTF8.GetBytes(secret)));
        Engine.HasPpks = true;
    }

    public ulong Command(Func<CommandId, IkeCommand> make, Instant now)
    {
        var id = _nextCommand++;
        Engine.Handle(make(new CommandId(id)), now);
        Drain(now);
        return id;
    }

    public ulong Load(PolicySet policy, Instant now)
    {
        Leases.SetPools(policy.Pools);
        return Command(id => new IkeCommand.Load(id, policy), now);
    }

    public ulong Up(string connection, string? child, Instant now) => Command(id => new IkeCommand.Up(id, connection, child), now);

    public void Receive(Endpoint local, Endpoint remote, ReadOnlySpan<byte> message, Instant now)
    {
        Engine.HandleDatagram(local, remote, message, now);
        Drain(now);
    }

    public void Wake(Instant now)
    {
        Engine.HandleTimeout(now);
        Drain(now);
    }

    /// <summary>Carries out what the engine wants until it wants nothing more.</summary>
    public void Drain(Instant now)
    {
        while (Engine.TryDequeue(out var action))
        {
            switch (action)
            {
                case IkeAction.Send send:
                    Outbox.Enqueue(send);
                    break;
                case IkeAction.InstallChild install:
                    Installed.Add(install.Sa.Id, install.Sa);
                    if (install.Sa.OutboundReady) Ready.Add(install.Sa.Id);
                    Receiving.Add(install.Sa.InboundSpi.Value);
                    break;
                case IkeAction.UseOutbound use:
                    Ready.Add(use.ChildId);
                    break;
                case IkeAction.RemoveChild remove:
                    Ready.Remove(remove.ChildId);
                    if (!Installed.Remove(remove.ChildId, out var gone)) break;
                    if (!remove.StillInFlight) Receiving.Remove(gone.InboundSpi.Value);
                    gone.Dispose();
                    break;
                case IkeAction.MoveChild move:
                    Moved[move.ChildId] = move;
                    break;
                case IkeAction.Keepalive { On: true } keepalive:
                    Keepalives[keepalive.IkeId] = keepalive;
                    break;
                case IkeAction.Keepalive keepalive:
                    Keepalives.Remove(keepalive.IkeId);
                    break;
                case IkeAction.InstallPolicy policy:
                    Policies[(policy.Policy.Connection, policy.Policy.Child)] = policy.Policy;
                    break;
                case IkeAction.RemovePolicy policy:
                    Policies.Remove((policy.Connection, policy.Child));
                    break;
                case IkeAction.ReleaseIdentity release:
                    Claims.Release(release.IkeId);
                    break;
                case IkeAction.ReleaseLease release:
                    Leases.Release(release.Lease);
                    break;
                case IkeAction.Configure configure:
                    Configured.Add(configure.Client.Id, configure.Client);
                    break;
                case IkeAction.Unconfigure unconfigure:
                    if (!Configured.Remove(unconfigure.Id)) throw new InvalidOperationException("a configuration is taken back twice");
                    break;
                case IkeAction.LogIkeKeys keys:
                    IkeKeys.Add(keys);
                    break;
                case IkeAction.LogIsakmpKey key:
                    key.Key.Dispose();
                    break;
                case IkeAction.Raise raise:
                    Claims.Observe(raise.Event);
                    Events.Add(raise.Event);
                    break;
                case IkeAction.Complete complete:
                    if (!Results.TryAdd(complete.Id.Value, complete.Result)) throw new InvalidOperationException($"command {complete.Id.Value} completed twice");
                    break;
                case IkeAction.RaiseAsk ask when HeldAsks is not null:
                    HeldAsks.Add((ask.Id, ask.Question));
                    break;
                case IkeAction.RaiseAsk ask:
                    Answer(ask.Id, ask.Question, now);
                    break;
            }
        }
    }

    /// <summary>What time it is in the world of this host.</summary>
    public DateTimeOffset WallTime { get; set; } = new(2026, 6, 1, 12, 0, 0, TimeSpan.Zero);

    public void Answer(AskId id, Ask question, Instant now)
    {
        Engine.Handle(AnswerTo(id, question), now);
        Drain(now);
    }

    public void Dispose()
    {
        Engine.Dispose();
        foreach (var sa in Installed.Values) sa.Dispose();
    }

    private Answer AnswerTo(AskId id, Ask question)
    {
        switch (question)
        {
            case Ask.FindPsk find:
                var (secret, whyNot) = new PskIndex(_entries).Find(find.Local, find.Remote);
                return new Answer.SecretHandle(id, secret, whyNot);
            case Ask.PskAuth auth:
                var name = _entries.First(entry => entry.Secret == auth.Secret).Name;
                using (var psk = new Secret(Encoding.UTF8.GetBytes(_psks[name]))) return new Answer.Octets(id, KeyScheduleV2.SharedKeyAuth(auth.Prf, psk, auth.SignedOctets.AsSpan()));
            case Ask.PskSkeyid skeyid:
                var skeyidName = _entries.First(entry => entry.Secret == skeyid.Secret).Name;
                using (var psk = new Secret(Encoding.UTF8.GetBytes(_psks[skeyidName]))) return new Answer.Octets(id, KeyScheduleV1.SkeyidOfPsk(skeyid.Prf, psk, skeyid.Nonces.AsSpan()));
            case Ask.CheckPassword check:
                var right = Passwords.TryGetValue(Identities.Print(check.User), out var password) && Encoding.UTF8.GetBytes(password).AsSpan().SequenceEqual(check.Password.Span);
                check.Password.Dispose();
                return new Answer.PasswordChecked(id, right, right ? "" : "not the password");
            case Ask.FindPassword find:
                return Passwords.TryGetValue(Identities.Print(find.User), out var own) ? new Answer.Octets(id, new Secret(Encoding.UTF8.GetBytes(own))) : new Answer.Failed(id, "there is no password for this user");
            case Ask.Resolve resolve:
                return Names.TryGetValue(resolve.Name, out var named) ? new Answer.Addresses(id, [named]) : new Answer.Failed(id, "no such name");
            case Ask.FindKeys find:
                return new Answer.Keys(id, [.. find.KeyIds.Select(wanted => _keys.Find(entry => entry.Key.Public.KeyId.Span.SequenceEqual(wanted.AsSpan())).Ref)]);
            case Ask.Sign sign:
                return new Answer.Octets(id, new Secret(_keys.Find(entry => entry.Ref == sign.Key).Key.Sign(sign.Scheme, sign.Octets.AsSpan())));
            case Ask.FindPpk find:
                return new Answer.SecretHandle(id, _ppks.Find(entry => entry.Id.Equals(find.Id)).Ref);
            case Ask.PpkMix mix:
                using (var ppk = new Secret(_ppks.Find(entry => entry.Ref == mix.Ppk).Secret))
                {
                    var mixed = new Answer.MixedKeys(id, KeyScheduleV2.MixPpk(mix.Prf, ppk, mix.SkD), KeyScheduleV2.MixPpk(mix.Prf, ppk, mix.SkPi), KeyScheduleV2.MixPpk(mix.Prf, ppk, mix.SkPr));
                    foreach (var copy in new[] { mix.SkD, mix.SkPi, mix.SkPr }) copy.Dispose();
                    return mixed;
                }

            case Ask.Fetch fetch:
                Fetched.Add(fetch.Uri);
                return Documents.TryGetValue(fetch.Uri, out var document) ? FetchedDocument.Answer(id, fetch, document) : new Answer.Failed(id, "nobody is there");
            case Ask.SourceAddress:
                return new Answer.Addresses(id, [Address]);
            case Ask.LastTraffic:
                return new Answer.Traffic(id, LastIn, LastOut);
            case Ask.WallTime:
                return new Answer.WallTime(id, WallTime);
            case Ask.ClaimIdentity claim:
                return Claims.Claim(id, claim);
            case Ask.Lease lease:
                var (granted, addresses) = Leases.Grant(lease.Wish);
                return new Answer.Leased(id, granted, addresses);
            default:
                return new Answer.Failed(id, "not in this world");
        }
    }
}
