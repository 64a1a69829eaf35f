using System;
using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Linq;
using System.Security.Cryptography;
using Warifu.Engine;
using Warifu.Primitives;
using Warifu.V2.Exchanges;
using Warifu.Wire;

namespace Warifu.V2;

/// <summary>
/// MOBIKE (RFC 4555): who began the first IKE SA of a line decides which addresses are used, and tells the other by UPDATE_SA_ADDRESSES. The other follows only that, after it has seen that the peer receives at the
/// new address. Both tell each other their further addresses.
/// </summary>
internal static class Mobike
{
    /// <summary>Addresses that are kept of what a peer announces.</summary>
    private const int MostAddresses = 16;

    /// <summary>Both sides announced it, and the peers are authenticated.</summary>
    public static bool IsActive(IkeSa sa) => sa.Peer.Mobike && sa.State == IkeState.Established;

    /// <summary>Our side chooses the path.</summary>
    public static bool Decides(IkeSa sa) => IsActive(sa) && sa.Origin.IsOurs;

    /// <summary>What IKE_AUTH says about it; also a proof that nobody translates addresses, where NAT traversal is off (section 3.9).</summary>
    public static void WriteSupported(IkeSa sa, MessageBuilder builder)
    {
        builder.Notify(NotifyType.MobikeSupported);
        var own = FurtherAddresses(sa);
        if (own.Length > 0) WriteAddresses(sa, builder, own);
        sa.Peer.Announced = own;
        WriteNatProhibition(sa, builder);
    }

    public static void WriteNatProhibition(IkeSa sa, MessageBuilder builder)
    {
        if (!sa.Connection.NatTraversal) builder.Notify(NotifyType.NoNatsAllowed, Prohibition(sa.Local, sa.Remote));
    }

    /// <summary>The complete list each time (section 3.6).</summary>
    public static void WriteAddresses(IkeSa sa, MessageBuilder builder, ImmutableArray<IpAddress> own)
    {
        foreach (var address in own) builder.Notify(address.IsV4 ? NotifyType.AdditionalIp4Address : NotifyType.AdditionalIp6Address, address.ToOctets());
        if (own.IsEmpty) builder.Notify(NotifyType.NoAdditionalAddresses);
        sa.Peer.Announced = own;
    }

    /// <summary>Takes over the peer's list, if there is one in the message.</summary>
    public static bool ReadAddresses(IkeSa sa, scoped in MessageView view)
    {
        var found = ImmutableArray.CreateBuilder<IpAddress>();
        var told = false;
        for (var i = 0; i < view.Count; i++)
        {
            if (view[i].Type != PayloadType.Notify || NotifyView.TryParse(view.Body(i), out var notify) != ParseError.None || !notify.IsWellFormed) continue;
            told |= notify.Type is NotifyType.AdditionalIp4Address or NotifyType.AdditionalIp6Address or NotifyType.NoAdditionalAddresses;
            if (notify.Type is not (NotifyType.AdditionalIp4Address or NotifyType.AdditionalIp6Address) || found.Count == MostAddresses) continue;
            var address = IpAddress.FromOctets(notify.Data);
            if (IsHost(address) && !found.Contains(address)) found.Add(address);
        }

        if (told) sa.Peer.Addresses = found.ToImmutable();
        return told;
    }

    /// <summary>Our own addresses beside the one in use, as far as the connection allows them.</summary>
    public static ImmutableArray<IpAddress> FurtherAddresses(IkeSa sa) =>
        [.. sa.Engine.OwnAddresses.Where(address => address != sa.Local.Address && IsAllowed(sa, address)).Take(MostAddresses)];

    /// <summary>The host's addresses changed.</summary>
    public static void OwnAddressesChanged(IkeSa sa)
    {
        if (!IsActive(sa)) return;
        if (Decides(sa))
        {
            ChoosePath(sa, 0, moveOnly: false);
            return;
        }

        if (!sa.Engine.OwnAddresses.Contains(sa.Local.Address) && sa.Engine.OwnAddresses.FirstOrDefault(address => address.Version == sa.Remote.Address.Version && IsAllowed(sa, address)) is { IsNone: false } other)
        {
            // the one exception to the rule that only the other side moves pairs (section 3.5)
            Move(sa, sa.Local with { Address = other }, sa.Remote);
            sa.Window.Repeat();
            sa.Window.StartFirst(new AddressesExchange());
        }
        else if (!FurtherAddresses(sa).SequenceEqual(sa.Peer.Announced))
        {
            sa.Window.Start(new AddressesExchange());
        }

        sa.Reschedule();
    }

    /// <summary>Finds the path that the host would take now; if it is another one, the IKE SA and its pairs move to it.</summary>
    /// <param name="sa">Ours.</param>
    /// <param name="index">Which of the peer's addresses is tried.</param>
    /// <param name="moveOnly">Nothing is said when the path stays.</param>
    public static void ChoosePath(IkeSa sa, int index, bool moveOnly)
    {
        if (Candidate(sa, index) is not { } remote) return;
        sa.Engine.Ask(sa, new Ask.SourceAddress(remote), answer =>
        {
            if (!Decides(sa)) return;
            if (Source(sa, remote, answer) is not { } local)
            {
                ChoosePath(sa, index + 1, moveOnly);
                return;
            }

            var (from, to) = Path(sa, local, remote);
            if (from != sa.Local || to != sa.Remote) Update(sa, from, to);
            else if (!moveOnly && !FurtherAddresses(sa).SequenceEqual(sa.Peer.Announced)) sa.Window.Start(new AddressesExchange());
            sa.Reschedule();
        });
    }

    /// <summary>A request got no answer for long: the same request goes out on another path, if there is one.</summary>
    public static void Probe(IkeSa sa)
    {
        if (!Decides(sa)) return;
        var count = 1 + sa.Peer.Addresses.Length;
        if (Candidate(sa, ++sa.Probes % count) is not { } remote) return;
        sa.Engine.Ask(sa, new Ask.SourceAddress(remote), answer =>
        {
            if (!Decides(sa) || sa.Window.Active is null || Source(sa, remote, answer) is not { } local) return;
            var (from, to) = Path(sa, local, remote);
            if (from == sa.Local && to == sa.Remote) return;
            sa.ProbedFrom ??= (sa.Local, sa.Remote);
            (sa.Local, sa.Remote) = (from, to);
            sa.Report.Add(sa.Engine.Now, StepDirection.Here, $"no answer: trying the path from {from} to {to}");
            sa.Window.Repeat(isProbe: true);
        });
    }

    /// <summary>An answer came after several paths were tried: the one on which it came works.</summary>
    public static void Answered(IkeSa sa, Endpoint local, Endpoint remote)
    {
        if (sa.ProbedFrom is not { } before) return;
        (sa.ProbedFrom, sa.Probes) = (null, 0);
        if (!Decides(sa)) return;
        (sa.Local, sa.Remote) = before;
        Update(sa, local, remote);
    }

    /// <summary>Our side changes the path: pairs move, what is under way is sent again from there, and the peer is told.</summary>
    public static void Update(IkeSa sa, Endpoint local, Endpoint remote)
    {
        Move(sa, local, remote);
        sa.Window.Repeat();
        sa.Window.StartFirst(new UpdateAddressesExchange(sa.Moves));
        sa.Reschedule();
    }

    /// <summary>New outer addresses for the IKE SA and its pairs.</summary>
    public static void Move(IkeSa sa, Endpoint local, Endpoint remote)
    {
        var (was, before) = (sa.Local, sa.Remote);
        (sa.Local, sa.Remote) = (local, remote);
        sa.Moves++;
        // its delete is still to be answered
        if (sa.Predecessor is { } old) (old.Local, old.Remote) = (local, remote);
        // what gets through here is not known
        sa.Peer.PacketLength = 0;
        MoveChildren(sa);
        if (was != local || before != remote) sa.Engine.Raise(new PathChanged(local, remote) { Connection = sa.Connection.Name, IkeId = sa.Id });
    }

    /// <summary>The pairs follow the IKE SA, also in whether ESP goes in UDP.</summary>
    public static void MoveChildren(IkeSa sa)
    {
        var encapsulated = sa.LocalBehindNat || sa.RemoteBehindNat || sa.ForceEncapsulation;
        foreach (var child in sa.Children.Values.ToArray())
        {
            child.Encapsulated = encapsulated && !child.Config.IsAh;
            sa.Engine.Emit(new IkeAction.MoveChild(child.Id, sa.Local, sa.Remote, child.Encapsulated, sa.LocalBehindNat));
            if (ChildFailures.AhInTheWay(sa, child.Config) is not { } nat || !child.IsLive) continue;
            // on this path it cannot carry anything
            sa.Engine.Raise(new Notice(NoticeLevel.Warning, $"{nat.Sentence}; it ends; {nat.Remedy}") { Connection = sa.Connection.Name, IkeId = sa.Id });
            child.Unfit = nat.Sentence;
            Lifetimes.Delete(sa, child, "nat");
        }

        sa.Engine.Emit(new IkeAction.Keepalive(sa.Id, sa.Local, sa.Remote, sa.LocalBehindNat));
    }

    /// <summary>NAT detection of a message on the path in use; remembers how the peer sees us.</summary>
    /// <returns>False when it says nothing.</returns>
    public static bool ReadNat(IkeSa sa, scoped in MessageView view, Endpoint local, Endpoint remote)
    {
        if (!sa.Connection.NatTraversal) return false;
        var (seen, localNat, remoteNat) = NatDetection.Read(view, sa.SpiI, sa.SpiR, local, remote);
        if (!seen) return false;
        (sa.LocalBehindNat, sa.RemoteBehindNat) = (localNat, remoteNat);
        if (view.TryGetNotify(NotifyType.NatDetectionDestinationIp, out var destination)) sa.Peer.SeenAs = [.. destination.Data];
        return true;
    }

    /// <summary>Only we can tell the peer that the mapping of our NAT has changed: it must not follow by itself (section 3.8).</summary>
    public static bool WatchesMapping(IkeSa sa) => Decides(sa) && sa.LocalBehindNat && sa.Connection.NatTraversal;

    /// <summary>The answer shows whether our NAT has another mapping by now (section 3.8).</summary>
    public static void AskMapping(IkeSa sa, MessageBuilder builder)
    {
        if (WatchesMapping(sa)) NatDetection.Write(builder, sa.SpiI, sa.SpiR, sa.Local, sa.Remote, sa.ForceEncapsulation);
    }

    /// <summary>The mapping of our NAT is no longer the one that the peer knows (section 3.8).</summary>
    public static void CheckMapping(IkeSa sa, scoped in MessageView view)
    {
        if (!Decides(sa) || !view.TryGetNotify(NotifyType.NatDetectionDestinationIp, out var destination)) return;
        sa.Peer.MappingSeen = sa.Engine.Now;
        if (sa.Peer.SeenAs.AsSpan().SequenceEqual(destination.Data)) return;
        sa.Peer.SeenAs = [.. destination.Data];
        Update(sa, sa.Local, sa.Remote);
    }

    /// <summary>The peer's part of an INFORMATIONAL request; what belongs into the answer is written. False: it was refused, and nothing else of the request counts.</summary>
    public static bool OnRequest(IkeSa sa, scoped in MessageView view, MessageBuilder answer, Endpoint local, Endpoint remote)
    {
        // section 4.2.5: as it is, whoever asks
        if (view.TryGetNotify(NotifyType.Cookie2, out var cookie)) answer.Notify(NotifyType.Cookie2, cookie.Data);
        if (!IsActive(sa)) return true;
        var updates = view.HasNotify(NotifyType.UpdateSaAddresses) && !sa.Origin.IsOurs;
        if (view.TryGetNotify(NotifyType.NoNatsAllowed, out var prohibition) && !prohibition.Data.SequenceEqual(Prohibition(remote, local)))
        {
            answer.Notify(NotifyType.UnexpectedNatDetected);
            sa.Engine.Raise(new Notice(NoticeLevel.Warning, $"{remote} allows no NAT between us, and there is one: its addresses are not followed") { Connection = sa.Connection.Name, IkeId = sa.Id });
            return false;
        }

        var told = ReadAddresses(sa, view);
        var asksNat = view.HasNotify(NotifyType.NatDetectionSourceIp) && sa.Connection.NatTraversal;
        if (asksNat) NatDetection.Write(answer, sa.SpiI, sa.SpiR, local, remote, sa.ForceEncapsulation);
        if (updates)
        {
            if (!IsHost(remote.Address))
            {
                answer.Notify(NotifyType.UnacceptableAddresses);
                return true;
            }

            // the IKE SA follows at once, the pairs when the peer has shown that it receives there (section 3.7)
            var isNew = local != sa.Local || remote != sa.Remote;
            (sa.Local, sa.Remote) = (local, remote);
            sa.Moves++;
            sa.Peer.PacketLength = 0;
            if (asksNat) ReadNat(sa, view, local, remote);
            if (isNew) sa.Window.Repeat();
            sa.Window.StartFirst(new RoutabilityExchange(sa.Moves, isNew));
        }
        else if (told && sa.Origin.IsOurs && remote.Address != sa.Remote.Address && !sa.Peer.Addresses.Contains(sa.Remote.Address))
        {
            // the peer has lost the address that we use (section 3.5)
            Update(sa, local, remote);
        }

        return true;
    }

    /// <summary>Content of NO_NATS_ALLOWED (section 4.2.7): source and destination address, source and destination port of the message.</summary>
    public static byte[] Prohibition(Endpoint source, Endpoint destination)
    {
        var length = source.Address.Length;
        var data = new byte[(2 * length) + 4];
        source.Address.Write(data);
        destination.Address.Write(data.AsSpan(length));
        BinaryPrimitives.WriteUInt16BigEndian(data.AsSpan(2 * length), source.Port);
        BinaryPrimitives.WriteUInt16BigEndian(data.AsSpan((2 * length) + 2), destination.Port);
        return data;
    }

    public static byte[] NewCookie(IkeSa sa)
    {
        var cookie = new byte[16];
        sa.Engine.Entropy.Fill(cookie);
        return cookie;
    }

    /// <summary>The answer shows that the peer has seen the request. If not, the IKE SA ends (section 3.7).</summary>
    public static bool IsProof(IkeSa sa, scoped in MessageView view, byte[] cookie)
    {
        if (view.TryGetNotify(NotifyType.Cookie2, out var given) && CryptographicOperations.FixedTimeEquals(given.Data, cookie)) return true;
        Lifetimes.DeleteButWant(sa, "mobike", "the peer did not repeat COOKIE2 in its answer");
        return false;
    }

    private static IpAddress? Candidate(IkeSa sa, int index) => index == 0 ? sa.Remote.Address : index <= sa.Peer.Addresses.Length ? sa.Peer.Addresses[index - 1] : null;

    /// <summary>Our end for a way to <paramref name="remote"/>: what the host would take, if the connection allows it, else the one in use, else another.</summary>
    private static IpAddress? Source(IkeSa sa, IpAddress remote, Answer answer)
    {
        if (answer is Answer.Addresses { Values: [var best, ..] } && IsAllowed(sa, best)) return best;
        if (answer is not Answer.Addresses { Values.Length: > 0 }) return null;
        if (sa.Local.Address.Version == remote.Version && sa.Engine.OwnAddresses.Contains(sa.Local.Address)) return sa.Local.Address;
        return sa.Engine.OwnAddresses.FirstOrDefault(address => address.Version == remote.Version && IsAllowed(sa, address)) is { IsNone: false } other ? other : null;
    }

    /// <summary>Another address of the peer is reached on the port that all its addresses share.</summary>
    private static (Endpoint Local, Endpoint Remote) Path(IkeSa sa, IpAddress local, IpAddress remote) =>
        (sa.Local with { Address = local }, remote == sa.Remote.Address ? sa.Remote : new Endpoint(remote, sa.Connection.RemotePort == 500 ? (ushort)4500 : sa.Connection.RemotePort));

    private static bool IsAllowed(IkeSa sa, IpAddress address) => sa.Connection.LocalAddresses.IsEmpty || sa.Connection.LocalAddresses.Any(pattern => pattern.Matches(address));

    private static bool IsHost(IpAddress address) => !address.IsNone && !address.IsUnspecified && (address.IsV4 ? (uint)address.Bits >> 28 < 14 : address.Bits >> 120 != 0xFF);
}
