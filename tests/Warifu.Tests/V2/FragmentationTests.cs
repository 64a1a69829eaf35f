using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.Linq;
using Warifu.Engine;
using Warifu.Fuzz;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Simulation;
using Warifu.Wire;
using Xunit;

namespace Warifu.Tests.V2;

/// <summary>IKE fragmentation (RFC 7383) between two engines.</summary>
[Trait("Item", "2.11")]
public sealed class FragmentationTests
{
    private const int UdpAndIp = 28;

    [Theory]
    [InlineData("aes128-sha256-x25519", 570)]
    [InlineData("aes128gcm16-prfsha256-x25519", 576)]
    [InlineData("chacha20poly1305-prfsha256-x25519", 577)]
    [InlineData("aes128ctr-aescmac-prfaescmac-x25519", 900)]
    [InlineData("3des-sha1-modp1024", 1320)]
    public void A_large_message_travels_in_fragments_none_of_which_is_larger_than_configured(string ike, int size)
    {
        using var pair = Large(60, left => left with { FragmentSize = size }, right => right with { FragmentSize = size }, ike);
        Assert.True(pair.Up().Success);
        Assert.Equal(60, Assert.Single(pair.Left.Installed.Values).LocalSelectors.Length);
        Assert.Equal(60, Assert.Single(pair.Right.Installed.Values).RemoteSelectors.Length);
        var secured = pair.Sent.Where(sent => HeaderOf(sent.Message.Message).Exchange == ExchangeType.IkeAuth).ToArray();
        foreach (var side in new[] { pair.Left, pair.Right })
        {
            var fragments = secured.Where(sent => sent.From == side).Select(sent => sent.Message.Message).ToArray();
            // cut as little as possible: all but the last are nearly full
            Assert.True(fragments.Length > 1);
            Assert.All(fragments, fragment => Assert.True(fragment.Length + UdpAndIp <= size));
            Assert.All(fragments[..^1], fragment => Assert.True(fragment.Length + UdpAndIp > size - 16));
            Assert.All(fragments, fragment => Assert.Equal(PayloadType.Skf, HeaderOf(fragment).NextPayload));
        }

        Assert.All(pair.Sent.Where(sent => HeaderOf(sent.Message.Message).Exchange == ExchangeType.IkeSaInit), sent => Assert.NotEqual(PayloadType.Skf, HeaderOf(sent.Message.Message).NextPayload));
    }

    [Fact]
    public void The_marker_behind_a_NAT_counts()
    {
        using var pair = Large(60, left => left with { ForceEncapsulation = true });
        Assert.True(pair.Up().Success);
        var fragments = pair.Sent.Where(sent => sent.Message.Marker).ToArray();
        Assert.True(fragments.Length > 4);
        Assert.All(fragments, sent => Assert.True(sent.Message.Message.Length + UdpAndIp + 4 <= 576));
        Assert.Contains(fragments, sent => sent.Message.Message.Length + UdpAndIp + 4 == 576);
    }

    [Fact]
    public void A_message_that_fits_is_not_cut()
    {
        using var pair = Large(1);
        Assert.True(pair.Up().Success);
        Assert.Equal(4, pair.Sent.Count);
        // exactly the limit is not too large, one octet more is
        var length = pair.Sent[2].Message.Message.Length + UdpAndIp;
        foreach (var (size, messages) in new[] { (length, 1), (length - 1, 2) })
        {
            using var again = Large(1, left => left with { FragmentSize = size });
            Assert.True(again.Up().Success);
            Assert.Equal(messages, again.Sent.Count(sent => sent.From == again.Left) - 1);
        }
    }

    [Theory]
    [InlineData(FragmentationPolicy.No, FragmentationPolicy.Yes, false, false)]
    [InlineData(FragmentationPolicy.Yes, FragmentationPolicy.No, false, false)]
    [InlineData(FragmentationPolicy.Accept, FragmentationPolicy.Yes, false, true)]
    [InlineData(FragmentationPolicy.Yes, FragmentationPolicy.Accept, true, false)]
    [InlineData(FragmentationPolicy.Force, FragmentationPolicy.Force, true, true)]
    public void It_is_used_only_where_both_announce_it_and_the_sender_wants_it(FragmentationPolicy left, FragmentationPolicy right, bool request, bool response)
    {
        using var pair = Large(60, one => one with { Fragmentation = left }, one => one with { Fragmentation = right });
        Assert.True(pair.Up().Success);
        Assert.Equal(request, pair.Sent.Any(sent => sent.From == pair.Left && IsFragment(sent.Message.Message)));
        Assert.Equal(response, pair.Sent.Any(sent => sent.From == pair.Right && IsFragment(sent.Message.Message)));
        Assert.Equal(left != FragmentationPolicy.No, Announces(pair.Sent[0].Message.Message));
        Assert.Equal(left != FragmentationPolicy.No && right != FragmentationPolicy.No, Announces(pair.Sent[1].Message.Message));

        static bool Announces(byte[] message) => MessageView.TryParse(HeaderOf(message).NextPayload, message.AsSpan(IkeHeader.Length), out var view) == ParseError.None && view.HasNotify(NotifyType.Ikev2FragmentationSupported);
    }

    [Fact]
    public void Fragments_of_somebody_who_did_not_agree_to_them_are_dropped()
    {
        using var pair = Large(1, left => left with { Fragmentation = FragmentationPolicy.No });
        using var peer = new Sealer(pair);
        peer.Send(peer.Cut(2, 2, []));
        Assert.Empty(pair.Right.Outbox);
        Assert.Equal(2, pair.Right.Engine.Counters.Drops[(int)DropReason.UnwantedFragment]);
    }

    [Fact]
    public void Any_order_will_do_and_copies_do_no_harm()
    {
        for (ulong seed = 1; seed <= 40; seed++)
        {
            using var pair = Large(100, seed: seed);
            var luck = new SeededEntropy(seed);
            pair.Left.Up("net", "net", pair.Now);
            for (var round = 0; pair.Left.Outbox.Count + pair.Right.Outbox.Count > 0; round++)
            {
                Assert.True(round < 10);
                foreach (var (from, to) in new[] { (pair.Left, pair.Right), (pair.Right, pair.Left) })
                {
                    var messages = from.Outbox.ToArray();
                    from.Outbox.Clear();
                    // each of them once, and some of them again
                    var order = messages.Concat(messages.Where(_ => luck.Chance(0.5))).OrderBy(_ => luck.Next()).ToArray();
                    foreach (var message in order) to.Receive(message.Remote, message.Local, message.Message, pair.Now);
                }
            }

            Assert.Single(pair.Left.Installed);
            Assert.Single(pair.Right.Installed);
            Assert.Single(pair.Left.Engine.Snapshot().IkeSas);
        }
    }

    [Theory]
    [InlineData("aes128-sha256-x25519")]
    [InlineData("aes128gcm16-prfsha256-x25519")]
    public void Forged_fragments_are_dropped_before_anything_is_kept_and_the_real_ones_still_make_the_message(string ike)
    {
        using var pair = Large(60, ike: ike);
        var forged = 0;
        pair.Wire = (_, from, sent) =>
        {
            if (!IsFragment(sent.Message)) return 1;
            var to = from == pair.Left ? pair.Right : pair.Left;
            var reports = to.Events.Count;
            for (var at = 0; at < sent.Message.Length; at += at < 64 ? 1 : 37)
            {
                var forgery = sent.Message.ToArray();
                forgery[at] ^= 0x01;
                to.Engine.HandleDatagram(sent.Remote, sent.Local, forgery, pair.Now);
                forged++;
            }

            // another number, another total: what decides is the ICV
            foreach (var (number, total) in new (byte, byte)[] { (1, 1), (1, 9), (9, 9), (1, 64) })
            {
                var forgery = sent.Message.ToArray();
                (forgery[SkFraming.HeadLength + 1], forgery[SkFraming.HeadLength + 3]) = (number, total);
                if (forgery.AsSpan().SequenceEqual(sent.Message)) continue;
                to.Engine.HandleDatagram(sent.Remote, sent.Local, forgery, pair.Now);
                forged++;
            }

            to.Drain(pair.Now);
            // a changed version or exchange type is answered in clear; nothing else is answered, and nothing happens
            Assert.Equal(reports, to.Events.Count);
            to.Outbox.Clear();
            return 1;
        };
        Assert.True(pair.Up().Success);
        Assert.True(forged > 300);
        // nothing was sent twice
        Assert.Equal(pair.Sent.Count, pair.Sent.Select(sent => Convert.ToHexString(sent.Message.Message)).Distinct().Count());
    }

    [Theory]
    [InlineData(2)]
    [InlineData(4)]
    [InlineData(6)]
    [InlineData(8)]
    public void A_lost_fragment_is_sent_again_with_all_the_others(int lost)
    {
        using var pair = Large(60);
        pair.Wire = (number, _, _) => number == lost ? 0 : 1;
        Assert.True(pair.Up().Success);
        Assert.Single(pair.Left.Installed);
        Assert.Single(pair.Right.Installed);
        // RFC 7296 section 2.1: the same octets
        foreach (var side in new[] { pair.Left, pair.Right })
        {
            var octets = pair.Sent.Where(sent => sent.From == side && IsFragment(sent.Message.Message)).Select(sent => Convert.ToHexString(sent.Message.Message)).ToArray();
            Assert.InRange(octets.Length, octets.Distinct().Count(), 2 * octets.Distinct().Count());
        }
    }

    [Fact]
    public void Only_the_first_fragment_of_an_answered_request_brings_the_answer_again()
    {
        using var pair = Large(1);
        using var peer = new Sealer(pair);
        var fragments = peer.Cut(2, 3, [0x00, 0x00, 0x00, 0x08, 0x00, 0x00, 0x40, 0x00], PayloadType.Notify);
        peer.Send(fragments);
        var answer = Assert.Single(pair.Right.Outbox).Message;
        pair.Right.Outbox.Clear();
        peer.Send([fragments[1], fragments[2], fragments[1]]);
        Assert.Empty(pair.Right.Outbox);
        peer.Send([fragments[0]]);
        Assert.Equal(answer, Assert.Single(pair.Right.Outbox).Message);
        pair.Right.Outbox.Clear();
        // cut anew, as a peer does that looks for a size that gets through: other octets, but authentic
        peer.Send(peer.Cut(2, 4, [0x00, 0x00, 0x00, 0x08, 0x00, 0x00, 0x40, 0x00], PayloadType.Notify));
        Assert.Equal(answer, Assert.Single(pair.Right.Outbox).Message);
        pair.Right.Outbox.Clear();
        // and not authentic
        var forged = peer.Cut(2, 4, [0x00, 0x00, 0x00, 0x08, 0x00, 0x00, 0x40, 0x00], PayloadType.Notify)[0];
        forged[^1] ^= 1;
        peer.Send([forged]);
        Assert.Empty(pair.Right.Outbox);
    }

    [Theory]
    [InlineData(450)]
    [InlineData(320)]
    public void Where_the_path_takes_only_less_smaller_fragments_are_tried_and_remembered(int path)
    {
        using var pair = Large(60);
        var dropped = new HashSet<EngineHost>();
        pair.Wire = (_, from, sent) =>
        {
            if (sent.Message.Length + UdpAndIp <= path) return 1;
            dropped.Add(from);
            return 0;
        };
        var start = pair.Now;
        Assert.True(pair.Up().Success);
        // two tries for each size that did not get through (RFC 7383 section 2.5.2: within several seconds)
        Assert.True(pair.Now - start < TimeSpan.FromSeconds(path == 450 ? 4 : 8), $"{pair.Now - start}");
        Assert.Single(pair.Right.Installed);
        // the responder's answer was cut to what the request showed: it lost nothing
        Assert.Equal([pair.Left], dropped);
        var before = pair.Sent.Count;
        pair.Left.Command(id => new IkeCommand.Rekey(id, new SaTarget("net", "net")), pair.Now);
        pair.Run();
        var created = pair.Sent.Skip(before).Where(sent => HeaderOf(sent.Message.Message).Exchange == ExchangeType.CreateChildSa).ToArray();
        Assert.NotEmpty(created);
        Assert.All(created, sent => Assert.True(sent.Message.Message.Length + UdpAndIp <= path));
    }

    [Fact]
    public void An_answer_that_does_not_get_through_is_cut_like_the_request_that_asks_again()
    {
        // the request is small enough, the answer is not: only what comes back is dropped
        using var pair = Large(60);
        pair.Wire = (_, from, sent) => from == pair.Right && sent.Message.Length + UdpAndIp > 450 ? 0 : 1;
        Assert.True(pair.Up().Success);
        Assert.Single(pair.Left.Installed);
        Assert.Single(pair.Right.Installed);
    }

    [Fact]
    public void A_whole_message_that_was_lost_is_cut_when_it_is_sent_again()
    {
        using var pair = Large(10);
        pair.Wire = (_, _, sent) => sent.Message.Length + UdpAndIp > 400 ? 0 : 1;
        pair.Left.Up("net", "net", pair.Now);
        pair.Run();
        Assert.Contains(pair.Sent, sent => !IsFragment(sent.Message.Message) && sent.Message.Message.Length + UdpAndIp is > 400 and <= 576);
        Assert.Single(pair.Left.Installed);
    }

    [Fact]
    public void A_set_of_smaller_fragments_replaces_an_unfinished_one_and_an_older_set_is_ignored()
    {
        using var pair = Large(1);
        using var peer = new Sealer(pair);
        byte[] chain = [0x00, 0x00, 0x00, 0x08, 0x00, 0x00, 0x40, 0x00];
        var (two, four) = (peer.Cut(2, 2, chain, PayloadType.Notify), peer.Cut(2, 4, chain, PayloadType.Notify));
        peer.Send([two[0], four[0], four[1], two[1], two[0]]);
        Assert.Empty(pair.Right.Outbox);
        Assert.Equal(2, pair.Right.Engine.Counters.Drops[(int)DropReason.UnwantedFragment]);
        peer.Send([four[3], four[2]]);
        Assert.Single(pair.Right.Outbox);
    }

    [Fact]
    public void An_unfinished_set_ends_with_time_or_with_the_whole_message()
    {
        using var pair = Large(1);
        using var peer = new Sealer(pair);
        var sa = Assert.Single(pair.Right.Engine.IkeSas);
        var fragments = peer.Cut(2, 2, []);
        peer.Send([fragments[0]]);
        Assert.True(sa.NextTimeout() <= pair.Now + ProtocolTimes.Reassembly);
        pair.Run(ProtocolTimes.Reassembly + TimeSpan.FromSeconds(1));
        peer.Send([fragments[1]]);
        Assert.Empty(pair.Right.Outbox);
        peer.Send([fragments[0]]);
        Assert.Single(pair.Right.Outbox);
        pair.Right.Outbox.Clear();
        // the peer gave fragments up
        peer.Send([peer.Cut(3, 2, [])[0], peer.Whole(3)]);
        Assert.Single(pair.Right.Outbox);
        Assert.True(sa.NextTimeout() > pair.Now + TimeSpan.FromMinutes(5));
    }

    [Fact]
    public void What_one_peer_can_make_us_keep_is_bounded()
    {
        using var pair = Large(1);
        using var peer = new Sealer(pair);
        // 64 fragments of 20,000 octets would be more than a megabyte
        for (var number = 1; number <= WireLimits.Fragments; number++) peer.Send([peer.Fragment(2, number, WireLimits.Fragments, new byte[20_000])]);
        Assert.Equal(WireLimits.Fragments - 3, pair.Right.Engine.Counters.Drops[(int)DropReason.UnwantedFragment]);
        pair.Right.Outbox.Clear();
        // a total beyond the limit is no fragment at all
        peer.Send([peer.Fragment(2, 1, WireLimits.Fragments + 1, [])]);
        Assert.Equal(1, pair.Right.Engine.Counters.Drops[(int)DropReason.Malformed]);
        Assert.Single(pair.Right.Engine.IkeSas);
    }

    [Fact]
    public void Before_the_peer_is_authenticated_the_bound_is_lower()
    {
        using var pair = Large(1, unopened: true);
        using var peer = new Sealer(pair, authenticate: false);
        for (var number = 1; number <= 40; number++) peer.Send([peer.Fragment(1, number, 40, new byte[1000], ExchangeType.IkeAuth)]);
        Assert.Equal(40 - (ProtocolTimes.FragmentedOctetsBefore / 1000), pair.Right.Engine.Counters.Drops[(int)DropReason.UnwantedFragment]);
        Assert.Empty(pair.Right.Outbox);
    }

    [Fact]
    public void A_rekeyed_IKE_SA_goes_on_with_fragments()
    {
        using var pair = Large(60);
        Assert.True(pair.Up().Success);
        pair.Left.Command(id => new IkeCommand.Rekey(id, new SaTarget("net")), pair.Now);
        pair.Run();
        var before = pair.Sent.Count;
        pair.Right.Command(id => new IkeCommand.Rekey(id, new SaTarget("net", "net")), pair.Now);
        pair.Run();
        Assert.Contains(pair.Sent.Skip(before), sent => IsFragment(sent.Message.Message) && sent.From == pair.Left);
        Assert.Contains(pair.Sent.Skip(before), sent => IsFragment(sent.Message.Message) && sent.From == pair.Right);
        Assert.Single(pair.Left.Installed);
    }

    private static IkeHeader HeaderOf(byte[] message) => IkeHeader.TryRead(message, out var header) ? header : throw new ArgumentException("no IKE message");

    private static bool IsFragment(byte[] message) => HeaderOf(message).NextPayload == PayloadType.Skf;

    /// <summary>A pair whose IKE_AUTH is large: each selector takes 16 octets.</summary>
    private static EnginePair Large(int selectors, Func<Connection, Connection>? left = null, Func<Connection, Connection>? right = null, string ike = "aes128gcm16-prfsha256-x25519", ulong seed = 1, bool unopened = false)
    {
        var pair = new EnginePair(seed, new EngineOptions { KeyLog = true });
        var (first, second) = (With(EnginePair.LeftGateway(ike), 1, 2), With(EnginePair.RightGateway(ike), 2, 1));
        pair.Load(left?.Invoke(first) ?? first, right?.Invoke(second) ?? second);
        if (unopened) pair.Wire = (number, _, _) => number < 2 ? 1 : 0;
        return pair;

        Connection With(Connection connection, int own, int other) => connection with
        {
            Children = [connection.Children[0] with { LocalSelectors = Many(own), RemoteSelectors = Many(other) }],
        };

        ImmutableArray<SelectorPattern> Many(int net) => [.. Enumerable.Range(0, selectors).Select(number => EnginePair.Ts($"10.{net}.{2 * number}.0/24"))];
    }

    /// <summary>The left side's keys in the hands of a test.</summary>
    private sealed class Sealer : IDisposable
    {
        private readonly EnginePair _pair;
        private readonly IkeAction.LogIkeKeys _keys;
        private readonly Warifu.Crypto.PacketCipher _cipher;
        private ulong _counter = 1UL << 40;

        public Sealer(EnginePair pair, bool authenticate = true)
        {
            _pair = pair;
            pair.Left.Up("net", "net", pair.Now);
            pair.Settle();
            Assert.Equal(authenticate ? 1 : 0, pair.Right.Installed.Count);
            _keys = pair.Left.IkeKeys.Single();
            _cipher = Sealing.CipherOf(_keys, ofInitiator: true);
        }

        public byte[] Fragment(uint messageId, int number, int total, ReadOnlySpan<byte> chunk, ExchangeType exchange = ExchangeType.Informational, PayloadType first = PayloadType.None)
        {
            var header = IkeHeader.V2(_keys.Initiator, _keys.Responder, exchange, fromInitiator: true, isResponse: false, messageId);
            var message = SkFraming.FrameFragment(header, first, chunk, number, total, _cipher.IvLength, _cipher.BlockLength, _cipher.IcvLength);
            _cipher.Seal(message, SkFraming.FragmentHeadLength, _counter++);
            return message;
        }

        /// <summary>An INFORMATIONAL request in so many fragments, some of which may be empty.</summary>
        public byte[][] Cut(uint messageId, int count, byte[] chain, PayloadType first = PayloadType.None)
        {
            var chunk = (chain.Length + count - 1) / count;
            return [.. Enumerable.Range(0, count).Select(i => Fragment(messageId, i + 1, count, chain.AsSpan(Math.Min(i * chunk, chain.Length), Math.Max(0, Math.Min(chunk, chain.Length - (i * chunk)))), first: first))];
        }

        public byte[] Whole(uint messageId) => Sealing.Seal(_cipher, IkeHeader.V2(_keys.Initiator, _keys.Responder, ExchangeType.Informational, fromInitiator: true, isResponse: false, messageId), PayloadType.None, [], _counter++);

        public void Send(IEnumerable<byte[]> messages)
        {
            foreach (var message in messages) _pair.Right.Receive(new Endpoint(_pair.Right.Address, 500), new Endpoint(_pair.Left.Address, 500), message, _pair.Now);
        }

        public void Dispose() => _cipher.Dispose();
    }
}
