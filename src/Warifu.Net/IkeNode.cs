using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.Linq;
using System.Net;
using System.Net.Sockets;
using System.Runtime.CompilerServices;
using System.Security.Cryptography;
using System.Threading;
using System.Threading.Channels;
using System.Threading.Tasks;
using Warifu.Crypto;
using Warifu.Engine;
using Warifu.Ipsec;
using Warifu.Net.Asks;
using Warifu.Net.DataPlane;
using Warifu.Net.Host;
using Warifu.Net.Linux;
using Warifu.Net.Udp;
using Warifu.Policy;
using Warifu.Primitives;

namespace Warifu.Net;

/// <summary>An IKE endpoint with its IPsec data plane: what an application embeds, and what the daemon is built on. Thread-safe.</summary>
public sealed class IkeNode : IAsyncDisposable
{
    private readonly IkeNodeOptions _options;
    private readonly SystemEntropy _entropy = new();
    private readonly UdpHub _hub;
    private readonly Pump _pump;
    private readonly UserspaceDataPlane? _dataPlane;
    private readonly ManualSas _manual;
    private readonly KeyLog? _keyLog;
    private readonly IdentityClaims _claims;
    private readonly DocumentFetcher _fetcher;
    private readonly Documents _documents;
    private readonly Leases _leases;
    private readonly ConcurrentDictionary<ulong, TaskCompletionSource<CommandResult>> _commands = new();
    private readonly ConcurrentDictionary<uint, (Endpoint Local, Endpoint Remote)> _keepalives = new();
    private readonly List<Channel<IkeEvent>> _listeners = [];
    private readonly Timer? _keepaliveTimer;
    private readonly Timer _cookieTimer;
    private readonly AddressWatch? _addresses;
    private long _nextCommand;
    private byte _cookieVersion;
    private int _disposed;

    private IkeNode(IkeNodeOptions options)
    {
        _options = options;
        var byTun = options.DataPlane == DataPlaneKind.Tun || (options.DataPlane == DataPlaneKind.Auto && options.Packets is null);
        _hub = new UdpHub(options.Port, options.PortNatT, byTun ? options.FirewallMark : 0, rawEsp: byTun);
        var entropy = _entropy;
        var engine = new IkeEngine(
            new EngineOptions
            {
                Port = _hub.Port,
                PortNatT = _hub.SharedPort,
                // raw sockets and marks need privilege; without them ESP goes in UDP
                ForceEncapsulation = options.Packets is not null && !byTun,
                HasAh = !byTun || _hub.HasAh,
                KeyLog = options.KeyLogDirectory is not null,
                HashAndUrl = options.HashAndUrl,
                RetransmitTimeout = options.RetransmitTimeout,
                BreakBeforeMake = !options.MakeBeforeBreak,
                CrashSecret = options.CrashSecret,
                RetransmitTries = options.RetransmitTries,
                CookieThreshold = options.CookieThreshold,
                HalfOpenLimit = options.HalfOpenLimit,
                HalfOpenPerPrefix = options.HalfOpenPerPrefix,
                HalfOpenTimeout = options.HalfOpenTimeout,
            },
            entropy,
            Libc.Now());
        _claims = new IdentityClaims(options.IdentityLimit);
        _fetcher = new DocumentFetcher(byTun ? options.FirewallMark : 0, options.HashAndUrlPrivate);
        _documents = new Documents(_fetcher, options.StateDirectory is { } state ? new CrlFolder(System.IO.Path.Combine(state, "crls"), text => Tell(new Notice(NoticeLevel.Warning, text))) : null);
        _leases = new Leases(options.StateDirectory, text => Tell(new Notice(NoticeLevel.Warning, text)));
        if (options.KeyLogDirectory is { } directory) _keyLog = new KeyLog(directory);
        _pump = new Pump(engine, Libc.Now, Perform, bug => Tell(new Notice(NoticeLevel.Error, $"an error of our own: {bug.GetType().Name}: {bug.Message}")));
        try
        {
            if (options.DataPlane != DataPlaneKind.None) _dataPlane = new UserspaceDataPlane(_hub, entropy, options.Packets, options.FirewallMark, options.RoutingTable, TakeEvents) { Troubled = text => Tell(new Notice(NoticeLevel.Warning, text)) };
            _manual = new ManualSas(_dataPlane, options.Secrets, _keyLog, () => byTun && _hub.HasAh, byTun, (name, text) => Tell(new Notice(NoticeLevel.Warning, text) { Connection = name }));
        }
        catch
        {
            _hub.Dispose();
            _fetcher.Dispose();
            engine.Dispose();
            throw;
        }

        _hub.OnIke = _pump.Datagram;
        if (byTun) _addresses = new AddressWatch(own => _pump.Post((engine, now) => engine.Handle(new IkeCommand.Addresses(default, own), now)), index => _dataPlane?.Owns(index) ?? false);
        _cookieTimer = new Timer(_ => RotateCookies(), null, options.CookieLife, options.CookieLife);
        if (options.KeepaliveInterval > TimeSpan.Zero) _keepaliveTimer = new Timer(_ => SendKeepalives(), null, options.KeepaliveInterval, options.KeepaliveInterval);
    }

    /// <summary>The IKE port that was bound.</summary>
    public int Port => _hub.Port;

    /// <summary>The port shared with ESP that was bound.</summary>
    public int PortNatT => _hub.SharedPort;

    internal PacketPath? Packets => _dataPlane?.Path;

    /// <summary>SAs with manual keys.</summary>
    internal ImmutableArray<ManualStatus> Manual => _manual.Status;

    /// <summary>Why unprotected packets are not filtered; null when they are.</summary>
    internal string? GuardMissing => _dataPlane?.GuardMissing;

    /// <summary>Packets that came unprotected and were dropped.</summary>
    internal long UnprotectedDrops => _dataPlane?.UnprotectedDrops ?? 0;

    /// <summary>Fragments that would have left in clear, and were dropped.</summary>
    internal long FragmentDrops => _dataPlane?.FragmentDrops ?? 0;

    /// <summary>Binds the ports, starts the threads and loads the policy.</summary>
    /// <param name="policy">Connections; those with a start action begin at once. With <see cref="PolicySet.Empty"/> nothing is answered until <see cref="LoadAsync"/>.</param>
    /// <param name="options">Ports, secrets, data plane; null = the defaults (which need root).</param>
    /// <param name="cancellationToken">Gives up waiting.</param>
    /// <exception cref="System.ComponentModel.Win32Exception">A port, a device or a route cannot be had.</exception>
    public static async Task<IkeNode> StartAsync(PolicySet policy, IkeNodeOptions? options = null, CancellationToken cancellationToken = default)
    {
        var node = new IkeNode(options ?? new IkeNodeOptions());
        node._pump.Start();
        node._hub.Prepare();
        node._options.Secrets.PpksChanged += node.TellPpks;
        node.TellPpks();
        node._addresses?.Tell();
        await node.LoadAsync(policy, cancellationToken).ConfigureAwait(false);
        return node;
    }

    /// <summary>Replaces the policy. SAs that the change does not touch stay up.</summary>
    public async Task LoadAsync(PolicySet policy, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(policy);
        var interfaces = ImmutableHashSet.CreateBuilder<string>();
        foreach (var connection in policy.Connections)
        {
            foreach (var child in connection.Children)
            {
                if (child.BindInterface is { } name) interfaces.Add(name);
            }
        }

        foreach (var manual in policy.Manual)
        {
            if (manual.BindInterface is { } name) interfaces.Add(name);
        }

        _leases.SetPools(policy.Pools);
        // lists of megabytes are read here, not on the engine's thread
        await Task.Run(() => Pki.TrustStore.For(policy.Trust), cancellationToken).ConfigureAwait(false);
        await OnPumpAsync(() =>
        {
            _dataPlane?.KeepDevices(interfaces.ToImmutable());
            // where keys entered by hand take the place of IKE, and where they leave it, nothing is open in between
            _manual.Hold(policy.Manual);
        }).WaitAsync(cancellationToken).ConfigureAwait(false);
        await RunAsync(id => new IkeCommand.Load(id, policy), cancellationToken).ConfigureAwait(false);
        await OnPumpAsync(() => _manual.Apply(policy.Manual)).WaitAsync(cancellationToken).ConfigureAwait(false);
        // who begins with nothing loads later; until then what a crash left protects, and nobody is told that there is no proposal for him
        if (ReferenceEquals(policy, PolicySet.Empty)) return;
        _dataPlane?.Loaded();
        _hub.Start();
    }

    /// <summary>Brings up a connection, or one child of it, and waits until it carries traffic.</summary>
    /// <exception cref="IkeException">It failed; the message says why and which side changes what.</exception>
    public async Task UpAsync(string connection, string? child = null, CancellationToken cancellationToken = default)
    {
        var result = await RunAsync(id => new IkeCommand.Up(id, connection, child), cancellationToken).ConfigureAwait(false);
        if (!result.Success) throw new IkeException(Explain(result), result.Report);
    }

    /// <summary>Closes a connection, or one child of it. Nothing happens when it is not up.</summary>
    public async Task DownAsync(string connection, string? child = null, CancellationToken cancellationToken = default) =>
        await RunAsync(id => new IkeCommand.Down(id, new SaTarget(connection, child)), cancellationToken).ConfigureAwait(false);

    /// <summary>Everything that happens from now on. A reader that does not keep up loses the oldest.</summary>
    public async IAsyncEnumerable<IkeEvent> Events([EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        var channel = Listen();
        try
        {
            await foreach (var happening in channel.Reader.ReadAllAsync(cancellationToken).ConfigureAwait(false)) yield return happening;
        }
        finally
        {
            lock (_listeners) _listeners.Remove(channel);
        }
    }

    /// <summary>Says goodbye to all peers (waiting a second for their answers), then ends.</summary>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0) return;
        using (var patience = new CancellationTokenSource(TimeSpan.FromSeconds(1)))
        {
            try
            {
                await RunAsync(id => new IkeCommand.Shutdown(id), patience.Token).ConfigureAwait(false);
            }
            catch (OperationCanceledException)
            {
                // peers that do not answer learn it by their own liveness checks
            }
        }

        _options.Secrets.PpksChanged -= TellPpks;
        await _cookieTimer.DisposeAsync().ConfigureAwait(false);
        _addresses?.Dispose();
        if (_keepaliveTimer is not null) await _keepaliveTimer.DisposeAsync().ConfigureAwait(false);
        _hub.Dispose();
        _pump.Dispose();
        _dataPlane?.Dispose();
        _fetcher.Dispose();
        _leases.Dispose();
        foreach (var waiting in _commands.Values) waiting.TrySetCanceled();
        lock (_listeners)
        {
            foreach (var listener in _listeners) listener.Writer.TryComplete();
        }
    }

    /// <summary>Runs a command of the engine to its end.</summary>
    internal async Task<CommandResult> RunAsync(Func<CommandId, IkeCommand> make, CancellationToken cancellationToken = default)
    {
        var id = (ulong)Interlocked.Increment(ref _nextCommand);
        var waiting = new TaskCompletionSource<CommandResult>(TaskCreationOptions.RunContinuationsAsynchronously);
        _commands[id] = waiting;
        _pump.Post((engine, now) => engine.Handle(make(new CommandId(id)), now));
        try
        {
            return await waiting.Task.WaitAsync(cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            _commands.TryRemove(id, out _);
        }
    }

    /// <summary>Commands to the data plane come from the engine's thread.</summary>
    private Task OnPumpAsync(Action action)
    {
        var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _pump.Post((_, _) =>
        {
            try
            {
                action();
                done.SetResult();
            }
            catch (System.ComponentModel.Win32Exception exception)
            {
                done.SetException(exception);
            }
        });
        return done.Task;
    }

    /// <summary>State of everything, taken on the engine's thread.</summary>
    internal Task<EngineSnapshot> SnapshotAsync()
    {
        var waiting = new TaskCompletionSource<EngineSnapshot>(TaskCreationOptions.RunContinuationsAsynchronously);
        _pump.Post((engine, _) => waiting.SetResult(engine.Snapshot()));
        return waiting.Task;
    }

    /// <summary>Pools and who holds what of them.</summary>
    internal ImmutableArray<PoolStatus> Pools() => _leases.Status();

    /// <summary>Forgets CRLs and OCSP responses that were fetched, also those on the disk.</summary>
    internal void FlushDocuments()
    {
        _documents.Clear();
        _pump.Post((engine, _) => engine.Trust.Flush());
    }

    internal static Instant Now => Libc.Now();

    internal bool TryQuery(uint childId, out ChildCounters counters)
    {
        counters = default;
        return _dataPlane?.TryQuery(childId, out counters) ?? false;
    }

    /// <summary>A bounded channel of events; remove it by completing the reader's enumeration.</summary>
    internal Channel<IkeEvent> Listen(int capacity = 1024)
    {
        var channel = Channel.CreateBounded<IkeEvent>(new BoundedChannelOptions(capacity) { FullMode = BoundedChannelFullMode.DropOldest });
        lock (_listeners) _listeners.Add(channel);
        return channel;
    }

    private static string Explain(CommandResult result) =>
        result.Report?.Failure is { Remedy.Length: > 0 } failure ? $"{result.Message}; {failure.Remedy}" : result.Message;

    private void Perform(IkeAction action)
    {
        switch (action)
        {
            case IkeAction.Send send:
                _hub.SendIke(send.Local, send.Remote, send.Message, send.Marker, send.Dscp);
                break;
            case IkeAction.InstallPolicy install:
                _dataPlane?.InstallPolicy(install.Policy);
                break;
            case IkeAction.RemovePolicy remove:
                _dataPlane?.RemovePolicy(remove.Connection, remove.Child);
                break;
            case IkeAction.InstallChild install:
                _keyLog?.Write(install.Sa);
                if (_dataPlane is not null) _dataPlane.Install(install.Sa);
                else install.Sa.Dispose();
                break;
            case IkeAction.UseOutbound use:
                _dataPlane?.UseOutbound(use.ChildId);
                break;
            case IkeAction.MoveChild move:
                _dataPlane?.Move(move.ChildId, move.Local, move.Remote, move.UdpEncapsulation, move.LocalBehindNat);
                break;
            case IkeAction.RemoveChild remove:
                if (remove.StillInFlight) _dataPlane?.Retire(remove.ChildId);
                else _dataPlane?.Remove(remove.ChildId);
                break;
            case IkeAction.Keepalive { On: true } keepalive:
                _keepalives[keepalive.IkeId] = (keepalive.Local, keepalive.Remote);
                break;
            case IkeAction.Keepalive keepalive:
                _keepalives.TryRemove(keepalive.IkeId, out _);
                break;
            case IkeAction.ReleaseLease release:
                _leases.Release(release.Lease);
                break;
            case IkeAction.ReleaseIdentity release:
                _claims.Release(release.IkeId);
                break;
            case IkeAction.Configure configure:
                _dataPlane?.Configure(configure.Client);
                break;
            case IkeAction.Unconfigure unconfigure:
                _dataPlane?.Unconfigure(unconfigure.Id);
                break;
            case IkeAction.RaiseAsk ask:
                Answer(ask.Id, ask.Question);
                break;
            case IkeAction.Raise raise:
                _claims.Observe(raise.Event);
                Tell(raise.Event);
                break;
            case IkeAction.Complete complete:
                if (_commands.TryGetValue(complete.Id.Value, out var waiting)) waiting.TrySetResult(complete.Result);
                break;
            case IkeAction.LogIkeKeys keys:
                _keyLog?.Write(keys);
                foreach (var secret in new[] { keys.SkEi, keys.SkEr, keys.SkAi, keys.SkAr }) secret.Dispose();
                break;
            case IkeAction.LogIsakmpKey key:
                _keyLog?.Write(key);
                key.Key.Dispose();
                break;
        }
    }

    private void Answer(AskId id, Ask question)
    {
        switch (question)
        {
            case Ask.FindPsk find:
                var (secret, whyNot) = _options.Secrets.Index().Find(find.Local, find.Remote);
                _pump.Post(new Answer.SecretHandle(id, secret, whyNot, _options.Secrets.NameOf(secret)));
                break;
            case Ask.PskAuth auth:
                Secret? value = null;
                var found = _options.Secrets.TryUse(auth.Secret, psk => value = KeyScheduleV2.SharedKeyAuth(auth.Prf, psk, auth.SignedOctets.AsSpan()));
                _pump.Post(found ? new Answer.Octets(id, value!) : new Answer.Failed(id, "the secret was removed"));
                break;
            case Ask.PskSkeyid ask:
                Secret? skeyid = null;
                var known = _options.Secrets.TryUse(ask.Secret, psk => skeyid = KeyScheduleV1.SkeyidOfPsk(ask.Prf, psk, ask.Nonces.AsSpan()));
                _pump.Post(known ? new Answer.Octets(id, skeyid!) : new Answer.Failed(id, "the secret was removed"));
                break;
            case Ask.CheckPassword check:
                var isRight = _options.Secrets.CheckPassword(check.User, check.Password.Span, out var isKnown);
                check.Password.Dispose();
                _pump.Post(new Answer.PasswordChecked(id, isRight, isKnown ? "the password is wrong" : "there is no password for this user"));
                break;
            case Ask.FindPassword password:
                Secret? copy = null;
                var has = _options.Secrets.TryUse(_options.Secrets.FindPassword(password.User), own => copy = new Secret(own.Span));
                _pump.Post(has ? new Answer.Octets(id, copy!) : new Answer.Failed(id, "there is no password for this user"));
                break;
            case Ask.FindKeys keys:
                _pump.Post(new Answer.Keys(id, [.. keys.KeyIds.Select(key => _options.Secrets.FindKey(key.AsSpan()))]));
                break;
            case Ask.Sign sign:
                // milliseconds with long RSA keys: not on the engine's thread
                _ = Task.Run(() => _pump.Post(Sign(id, sign)));
                break;
            case Ask.FindPpk ppk:
                _pump.Post(new Answer.SecretHandle(id, _options.Secrets.FindPpk(ppk.Id)));
                break;
            case Ask.PpkMix mix:
                _pump.Post(Mix(id, mix));
                break;
            case Ask.SourceAddress source:
                _pump.Post(new Answer.Addresses(id, SourceFor(source.Remote) is { } own ? [own] : []));
                break;
            case Ask.Resolve resolve:
                _ = ResolveAsync(id, resolve.Name);
                break;
            case Ask.WallTime:
                _pump.Post(new Answer.WallTime(id, DateTimeOffset.UtcNow));
                break;
            case Ask.Fetch fetch:
                _ = FetchAsync(id, fetch);
                break;
            case Ask.LastTraffic traffic:
                Instant lastIn = default, lastOut = default;
                foreach (var child in traffic.ChildIds)
                {
                    if (!TryQuery(child, out var counters)) continue;
                    if (counters.LastIn > lastIn) lastIn = counters.LastIn;
                    if (counters.LastOut > lastOut) lastOut = counters.LastOut;
                }

                _pump.Post(new Answer.Traffic(id, lastIn, lastOut));
                break;
            case Ask.ClaimIdentity claim:
                _pump.Post(_claims.Claim(id, claim));
                break;
            case Ask.Lease lease:
                _pump.Post(_leases.Grant(id, lease));
                break;
            default:
                _pump.Post(new Answer.Failed(id, "not supported"));
                break;
        }
    }

    /// <summary>IKE_SA_INIT asks nobody: the engine knows beforehand whether there are post-quantum pre-shared keys.</summary>
    private void TellPpks()
    {
        var any = _options.Secrets.HasPpks;
        _pump.Post((engine, _) => engine.HasPpks = any);
    }

    private Answer Sign(AskId id, Ask.Sign sign)
    {
        try
        {
            return new Answer.Octets(id, new Secret(_options.Secrets.Sign(sign.Key, sign.Scheme, sign.Octets.AsSpan())));
        }
        catch (CryptographicException failure)
        {
            return new Answer.Failed(id, failure.Message);
        }
    }

    private Answer Mix(AskId id, Ask.PpkMix mix)
    {
        Secret[]? mixed = null;
        _options.Secrets.TryUse(mix.Ppk, ppk => mixed = [KeyScheduleV2.MixPpk(mix.Prf, ppk, mix.SkD), KeyScheduleV2.MixPpk(mix.Prf, ppk, mix.SkPi), KeyScheduleV2.MixPpk(mix.Prf, ppk, mix.SkPr)]);
        foreach (var copy in new[] { mix.SkD, mix.SkPi, mix.SkPr }) copy.Dispose();
        return mixed is null ? new Answer.Failed(id, "the post-quantum pre-shared key was removed") : new Answer.MixedKeys(id, mixed[0], mixed[1], mixed[2]);
    }

    private async Task ResolveAsync(AskId id, string name)
    {
        try
        {
            var addresses = await Dns.GetHostAddressesAsync(name).ConfigureAwait(false);
            var builder = ImmutableArray.CreateBuilder<IpAddress>();
            foreach (var address in addresses) builder.Add(IpAddress.From(address));
            _pump.Post(new Answer.Addresses(id, builder.ToImmutable()));
        }
        catch (SocketException exception)
        {
            _pump.Post(new Answer.Failed(id, exception.Message));
        }
    }

    private async Task FetchAsync(AskId id, Ask.Fetch fetch)
    {
        _pump.Post(await _documents.AnswerAsync(id, fetch).ConfigureAwait(false));
    }

    /// <summary>The own address that the kernel would use, as our marked packets see the routes.</summary>
    private IpAddress? SourceFor(IpAddress remote)
    {
        try
        {
            using var socket = new Socket(remote.IsV6 ? AddressFamily.InterNetworkV6 : AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
            if (_options.Packets is null) _ = Libc.TrySetOption((int)socket.Handle, Libc.SolSocket, Libc.SoMark, (int)_options.FirewallMark);
            socket.Connect(new IPEndPoint(remote.ToPlatform(), 500));
            return socket.LocalEndPoint is IPEndPoint local ? IpAddress.From(local.Address) : null;
        }
        catch (SocketException)
        {
            return null;
        }
    }

    private void TakeEvents()
    {
        while (_dataPlane is { } plane && plane.TryDequeueEvent(out var happening))
        {
            if (happening is not null) _pump.Post(happening);
        }
    }

    private void SendKeepalives()
    {
        foreach (var (local, remote) in _keepalives.Values) _hub.SendKeepalive(local, remote);
    }

    /// <summary>A new secret for cookies (RFC 7296 section 2.6); those that were made with the last one stay good for as long again.</summary>
    private void RotateCookies()
    {
        var secret = new Secret(32);
        _entropy.Fill(secret.Span);
        var version = unchecked(++_cookieVersion);
        _pump.Post((engine, now) =>
        {
            engine.Handle(new IkeCommand.CookieSecret(default, version, secret), now);
            secret.Dispose();
        });
    }

    private void Tell(IkeEvent happening)
    {
        lock (_listeners)
        {
            foreach (var listener in _listeners) listener.Writer.TryWrite(happening);
        }
    }
}
