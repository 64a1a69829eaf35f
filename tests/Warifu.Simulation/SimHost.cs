using System;
using System.Collections.Generic;
using System.Linq;
using System.Text;
using Warifu.Crypto;
using Warifu.Engine;
using Warifu.Ipsec;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Wire;

namespace Warifu.Simulation;

/// <summary>A host of a <see cref="World"/>: an engine, its secrets, its data plane; questions are answered late and in any order. It may crash and start again with nothing.</summary>
internal sealed class SimHost : IDisposable
{
    private const byte EncryptionFlag = 0x01;

    private static readonly SecretRef s_secret = new(7);

    private static readonly (V2.PeerRequest, V2.OwnActivity)[] s_mustRefuse =
    [
        (V2.PeerRequest.CreateChild, V2.OwnActivity.RekeyingIke),
        (V2.PeerRequest.CreateChild, V2.OwnActivity.DeletingIke),
        (V2.PeerRequest.RekeyChild, V2.OwnActivity.RekeyingIke),
        (V2.PeerRequest.RekeyChild, V2.OwnActivity.DeletingIke),
        (V2.PeerRequest.RekeyChild, V2.OwnActivity.DeletingThisChild),
    ];

    private bool _losesPeer;
    private bool _isWaking;
    private int _removes;
    private readonly World _world;
    private readonly byte[] _psk;
    private readonly EngineOptions _options;
    private readonly IpAddress _peer;
    private readonly Dictionary<ulong, (string What, CommandResult? Result)> _commands = [];
    private readonly HashSet<UInt128> _accepted = [];
    private readonly HashSet<Instant> _authenticated = [];
    private readonly HashSet<IpAddress> _former = [];
    private readonly HashSet<(IkeSpi, IkeSpi)> _widened = [];
    private IdentityClaims _claims = new();
    private LeaseTable _leases = new();
    private int _configured;
    private ulong _nextCommand = 1;
    private ulong _boots;
    private int _actions;
    private int _sends;
    private int _sentOctets;
    private int _installs;

    public SimHost(World world, string name, IpAddress address, IpAddress peer, string psk, EngineOptions options)
    {
        _peer = peer;
        (_world, Name, Address, _options) = (world, name, address, options with { RethrowBugs = true, KeyLog = true, CrashSecret = world.Plan.HasTokens ? new Secret(Encoding.UTF8.GetBytes(name)) : null });
        _psk = Encoding.UTF8.GetBytes(psk);
        Plane = new PacketPlane(this, world);
        Monitor = new Monitor(world, this, _options);
        MonitorV1 = new MonitorV1(world, this, _options);
        Engine = Boot();
    }

    public string Name { get; }

    public IpAddress Address { get; private set; }

    public Shards Engine { get; private set; }

    public PacketPlane Plane { get; }

    public Monitor Monitor { get; private set; }

    public MonitorV1 MonitorV1 { get; private set; }

    /// <summary>Top byte of the SPIs and cookies of its first engine; those of all its engines have the upper half of it.</summary>
    public byte Shard => _options.Shard;

    public PolicySet Policy { get; private set; } = PolicySet.Empty;

    /// <summary>Peers that this host has held for authenticated: their addresses.</summary>
    public HashSet<IpAddress> Authenticated { get; } = [];

    public int RekeyedChildren { get; private set; }

    public int RekeyedIkes { get; private set; }

    /// <summary>Its phases 1 and pairs with the peer, at rest.</summary>
    public RestingSide Rest(SimHost peer) => new(
        Name,
        [.. Engine.IsakmpSas.Where(sa => peer.Owns(sa.Remote.Address))],
        [.. Plane.Pairs.Values.Where(pair => peer.Owns(pair.Remote.Address)).Select(pair => (pair.Sa, pair.OutboundReady))]);

    /// <summary>How many requests the peer takes at once, as this host was told for an IKE SA.</summary>
    public uint WindowOf(in IkeHeader header) => _widened.Contains((header.InitiatorSpi, header.ResponderSpi)) ? _world.Plan.Window : 1;

    public bool Owns(IpAddress address) => address == Address || _former.Contains(address) || (this == _world.Network.Behind && address == Network.NatAddress);

    public IEnumerable<string> OpenCommands => _commands.Where(command => command.Value.Result is null).Select(command => command.Value.What);

    public CommandResult? ResultOf(ulong command) => _commands[command].Result;

    /// <summary>Everything is lost without a word to anybody; the host comes back with its configuration.</summary>
    public void Crash()
    {
        _world.Reach("host crashed");
        Engine.Dispose();
        Plane.Clear();
        Engine = Boot();
        Monitor = new Monitor(_world, this, _options);
        MonitorV1 = new MonitorV1(_world, this, _options);
        _accepted.Clear();
        _authenticated.Clear();
        _claims = new IdentityClaims();
        _leases = new LeaseTable();
        _configured = 0;
        foreach (var (id, command) in _commands.Where(command => command.Value.Result is null).ToArray()) _commands[id] = (command.What, new CommandResult(false, "crashed"));
        Load(Policy);
    }

    /// <summary>The address is gone, another one is there.</summary>
    public void Roam()
    {
        _former.Add(Address);
        Address = IpAddress.FromBits(Address.Bits + 1, Address.Version);
        Command($"roam to {Address}", id => new IkeCommand.Addresses(id, [Address]));
    }

    public ulong Load(PolicySet policy)
    {
        Policy = policy;
        _leases.SetPools(policy.Pools);
        return Command("load", id => new IkeCommand.Load(id, policy));
    }

    public ulong Command(string what, Func<CommandId, IkeCommand> make)
    {
        var id = _nextCommand++;
        _commands.Add(id, (what, null));
        _world.Note(Name, what);
        Step(() => Engine.Handle(make(new CommandId(id)), _world.Now));
        return id;
    }

    public void Tell(DataPlaneEvent happening) => Step(() => Engine.Handle(happening, _world.Now));

    public void Wake()
    {
        _isWaking = true;
        Step(() => Engine.HandleTimeout(_world.Now));
        _isWaking = false;
    }

    /// <param name="local">Where it came to.</param>
    /// <param name="remote">Where it came from.</param>
    /// <param name="message">IKE message.</param>
    /// <param name="isForged">It is the adversary's.</param>
    public void Receive(Endpoint local, Endpoint remote, byte[] message, bool isForged)
    {
        var digest = V2.Window.DigestOf(message);
        // in IKEv1 the first messages are in clear, and may begin again what is gone
        var secured = IkeHeader.TryRead(message, out var header) && (header.MajorVersion == 1 ? (header.Flags & EncryptionFlag) != 0 : header.Exchange != ExchangeType.IkeSaInit);
        // a fragment may be needed again after its set was given up
        var known = secured && (header.MajorVersion == 1 || Monitor.FragmentOf(message).Number == 0) && _accepted.Contains(digest);
        var before = Drops();
        var activity = header.MajorVersion == 1 ? new ActivityV1(Engine.IsakmpSas) : default;
        (_actions, _sends, _sentOctets, _installs, _removes) = (0, 0, 0, 0, 0);
        var refused = Refusals();
        if (!isForged && secured && header is { IsResponse: true, NextPayload: PayloadType.Sk or PayloadType.Skf }) Monitor.Answered(header, message);
        _world.Note(Name, isForged ? "receives a forged" : "receives", message);
        Step(() => Engine.HandleDatagram(local, remote, message, _world.Now));
        if (Drops() == before && secured) _accepted.Add(digest);
        if (Drops() == before && header.MajorVersion == 1 && !isForged)
        {
            if (secured) MonitorV1.Received(header);
            activity.Crossed(new ActivityV1(Engine.IsakmpSas), header.Exchange == ExchangeType.InformationalV1 && _removes > 0, _world);
        }

        // RFC 7296 sections 2.25.1 and 2.25.2: such requests get TEMPORARY_FAILURE
        if (Refusals() > refused && _installs > 0) _world.Fail($"{Name} makes a pair that it must refuse for now");
        if (known && _actions > 0) _world.Fail($"{Name} acts on a message that it has had already: {MessageDescription.NameOf(header.Exchange)} {header.MessageId}");
        if (_sends > 1 && isForged) _world.Fail($"{Name} answers one forged message with {_sends}");
        if (isForged && _sends == 1 && _world.IsNobody(remote.Address))
        {
            // at most 1.5 times the octets to an address that nobody verified; in IKEv1 1.0, and 3 in aggressive mode
            var most = header.MajorVersion == 2 ? 1.5 : _world.Plan.Aggressive ? 3 : 1;
            if (_sentOctets > message.Length * most) _world.Fail($"{Name} answers {message.Length} octets of a stranger with {_sentOctets}");
        }
    }

    /// <summary>All that is left when everything was closed.</summary>
    public string? Leftovers()
    {
        var holdings = Engine.Holdings;
        if (holdings != default) return $"{Name} still holds {holdings}{(holdings.Commands > 0 ? ": " + string.Join(", ", OpenCommands) : "")}";
        if (Engine.NextTimeout != Instant.Never) return $"{Name} still wants to be woken";
        if (_leases.Status().Any(pool => pool.Online > 0)) return $"{Name} still has addresses given away";
        if (_configured != 0) return $"{Name} still has {_configured} virtual addresses";
        if (_claims.Count > 0) return $"{Name} still holds {_claims.Count} identities";
        if (Plane.Pairs.Count > 0) return $"{Name} still has {Plane.Pairs.Count} pairs";
        var open = OpenCommands.ToArray();
        return open.Length > 0 ? $"{Name} never ended: {string.Join(", ", open)}" : null;
    }

    public void Dispose()
    {
        Engine.Dispose();
        Plane.Clear();
        _options.CrashSecret?.Dispose();
    }

    private Shards Boot()
    {
        var boot = _boots++;
        return new Shards(_options, _world.Plan.Shards, number => new SeededEntropy(_world.SeedFor(Name, boot + ((ulong)number << 32))), _peer, _world.Now);
    }

    private long Drops()
    {
        var sum = 0L;
        for (var reason = 0; reason < 64; reason++) sum += Engine.Sum(counters => counters.Drops[reason]);
        return sum;
    }

    /// <summary>Requests that must be refused with TEMPORARY_FAILURE.</summary>
    private long Refusals()
    {
        var sum = 0L;
        foreach (var (request, own) in s_mustRefuse) sum += Engine.Sum(counters => counters.Crossings[((int)request * V2.Collisions.Activities) + (int)own]);
        return sum;
    }

    private void Step(Action call)
    {
        call();
        var engine = Engine;
        while (engine.TryDequeue(out var action)) Do(action);
        Plane.CheckRetired(_losesPeer);
        _losesPeer = false;
        if (engine == Engine) _world.CheckStep(this);
    }

    private void Do(IkeAction action)
    {
        switch (action)
        {
            case IkeAction.Send send:
                // the fragments of one message are one message
                if ((_world.Plan.IsV1 ? MonitorV1.PieceOf(send.Message) : Monitor.FragmentOf(send.Message).Number) <= 1) _sends++;
                if (_world.IsNobody(send.Remote.Address)) _sentOctets += send.Message.Length;
                if (_world.Plan.IsV1) MonitorV1.Sent(send, _isWaking);
                else Monitor.Sent(send);
                _world.Send(this, send);
                return;
            case IkeAction.LogIkeKeys keys:
                _world.Ledger.Keys(this, keys);
                return;
            case IkeAction.LogIsakmpKey key:
                key.Key.Dispose();
                return;
            case IkeAction.Complete complete:
                var (what, result) = _commands[complete.Id.Value];
                if (result is not null) _world.Fail($"{Name} ended '{what}' twice");
                _commands[complete.Id.Value] = (what, complete.Result);
                _world.Note(Name, $"ended '{what}': {(complete.Result.Success ? "done" : complete.Result.Message)}");
                return;
            case IkeAction.InstallPolicy or IkeAction.RemovePolicy or IkeAction.Keepalive:
                return;
            case IkeAction.ReleaseIdentity release:
                _claims.Release(release.IkeId);
                return;
            case IkeAction.ReleaseLease release:
                _leases.Release(release.Lease);
                return;
            case IkeAction.Configure:
                _configured++;
                _world.Reach("virtual address");
                return;
            case IkeAction.Unconfigure:
                if (--_configured < 0) _world.Fail($"{Name} takes back a configuration twice");
                return;
        }

        _actions++;
        switch (action)
        {
            case IkeAction.InstallChild install:
                var authenticated = Engine.IkeSas.FirstOrDefault(sa => sa.Id == install.Sa.IkeId)?.Authenticated ?? Engine.IsakmpSas.FirstOrDefault(sa => sa.Id == install.Sa.IkeId)?.Established;
                if (authenticated is not { } at || !_authenticated.Contains(at)) _world.Fail($"{Name} installs a pair for an IKE SA that nobody authenticated");
                _installs++;
                Plane.Install(install.Sa);
                _world.SendNow(install.Sa.Name);
                break;
            case IkeAction.UseOutbound use:
                Plane.UseOutbound(use.ChildId);
                break;
            case IkeAction.MoveChild move:
                Plane.Move(move.ChildId, move.Local, move.Remote);
                break;
            case IkeAction.RemoveChild remove:
                _removes++;
                Plane.Remove(remove.ChildId, remove.StillInFlight);
                foreach (var child in _world.Plan.ChildNames) _world.SendNow(child);
                break;
            case IkeAction.RaiseAsk ask:
                var engine = Engine;
                // claims are decided in their order, whenever the answer comes
                var claimed = ask.Question is Ask.ClaimIdentity claim ? Claim(ask.Id, claim) : null;
                _world.After(_world.AskDelay(), () =>
                {
                    if (engine == Engine) Step(() => engine.Handle(claimed ?? AnswerTo(ask.Id, ask.Question), _world.Now));
                });
                break;
            case IkeAction.Raise raise:
                Observe(raise.Event);
                break;
        }
    }

    private void Observe(IkeEvent happening)
    {
        if (happening is not NegotiationEnded) _world.Note(Name, happening.ToString());
        if (happening is IkeSaUp or IkeSaRekeyed && _world.Plan.Window > 1) Widen();
        switch (happening)
        {
            case NegotiationEnded { Report.Failure: { } failure }:
                _world.Note(Name, "failed: " + failure.Sentence);
                // the text of a refusal of somebody unknown is no state
                if (happening.IkeId == 0) _actions--;
                break;
            // so is the hint that somebody unknown speaks the other version
            case Notice { IkeId: 0 }:
                _actions--;
                break;
            case IkeSaUp up:
                _authenticated.Add(up.At);
                Authenticated.Add(up.Remote.Address);
                break;
            case IkeSaDown down:
                _losesPeer |= down.Reason is "dead-peer" or "peer-restarted";
                if (down.Reason == "peer-restarted") _world.Reach("peer restarted, as its token proves");
                if (down.Reason == "dead-peer" && _world.IsRunning && _world.Plan.IsPerfect && this != _world.Impostor && !_world.HasDone(Deed.Crash) && !_world.HasDone(Deed.Roam) && (!_world.HasDone(Deed.Rebind) || (_world.Plan.Window == 1 && _world.Plan.Dpd > TimeSpan.Zero && _world.Plan.Mode != DpdMode.Optimized))) _world.Fail($"{Name} takes its peer for dead on a perfect network");
                break;
            case IkeSaReauthenticated:
                _world.Reach(_world.Plan.IsV1 ? "phase 1 anew" : "authenticated anew");
                break;
            case ChildUp up:
                _world.Startle(this, up.Child);
                break;
            case ChildRekeyed child:
                RekeyedChildren++;
                Plane.Rekeyed(child.OldChildId);
                _world.Startle(this, child.Child);
                break;
            case IkeSaRekeyed rekeyed:
                RekeyedIkes++;
                _world.Startle(this, "");
                _claims.Observe(rekeyed);
                break;
        }
    }

    /// <summary>As if the peer had said SET_WINDOW_SIZE. It takes one request at a time all the same, and keeps one answer: what overtakes another is lost, and comes again; an answer that is lost after the next request was answered is lost for ever.</summary>
    private void Widen()
    {
        foreach (var sa in Engine.IkeSas)
        {
            if (sa.State != V2.IkeState.Established || !_widened.Add((sa.SpiI, sa.SpiR))) continue;
            sa.Window.Widen([0, 0, 0, (byte)_world.Plan.Window]);
            sa.Window.StartNext();
        }
    }

    private Crypto.Signatures.PrivateKey Key => this == _world.Left ? _world.Plan.Proofs!.Left : this == _world.Right ? _world.Plan.Proofs!.Right : _world.Plan.Proofs!.Stranger;

    private Answer AnswerTo(AskId id, Ask question)
    {
        switch (question)
        {
            case Ask.FindPsk:
                return new Answer.SecretHandle(id, s_secret);
            case Ask.PskAuth auth:
                using (var psk = new Secret(_psk)) return new Answer.Octets(id, KeyScheduleV2.SharedKeyAuth(auth.Prf, psk, auth.SignedOctets.AsSpan()));
            case Ask.PskSkeyid skeyid:
                using (var psk = new Secret(_psk)) return new Answer.Octets(id, KeyScheduleV1.SkeyidOfPsk(skeyid.Prf, psk, skeyid.Nonces.AsSpan()));
            case Ask.FindKeys keys:
                return new Answer.Keys(id, [.. keys.KeyIds.Select(_ => s_secret)]);
            case Ask.Sign sign:
                _world.Reach("signature");
                return new Answer.Octets(id, new Secret(Key.Sign(sign.Scheme, sign.Octets.AsSpan())));
            case Ask.WallTime:
                return new Answer.WallTime(id, SimProofs.Now + (_world.Now - _world.Began));
            case Ask.Lease lease:
                var (granted, addresses) = _leases.Grant(lease.Wish);
                return new Answer.Leased(id, granted, addresses);
            case Ask.SourceAddress:
                return new Answer.Addresses(id, [Address]);
            case Ask.LastTraffic traffic:
                return new Answer.Traffic(id, Plane.LastIn(traffic.ChildIds), Plane.LastOut(traffic.ChildIds));
            default:
                return new Answer.Failed(id, "not in this world");
        }
    }

    private Answer.Claim Claim(AskId id, Ask.ClaimIdentity ask)
    {
        var claim = _claims.Claim(id, ask);
        if (claim.Replaces.Length > 0) _world.Reach(ask.InitialContact ? "initial contact" : "replaced");
        if (claim.Elsewhere.Length > 0) _world.Reach("replaced in another engine");
        return claim;
    }
}
