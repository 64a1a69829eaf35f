using System;
using System.Buffers.Binary;
using System.Linq;
using Warifu.Engine;
using Warifu.Fuzz;
using Warifu.Ipsec;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Simulation;
using Warifu.V1;
using Warifu.Wire;
using Warifu.Wire.V1;
using Xunit;

namespace Warifu.Tests.V1;

/// <summary>Informational messages and fragments of a peer that is authenticated, by RFC 2408, RFC 2409 section 5.7, RFC 3706 and RFC 4304 (items 3.4, 3.5, 3.10).</summary>
[Trait("Item", "3.5")]
[Trait("Item", "3.10")]
public sealed class ProtectedMessageTests
{
    /// <summary>One message is answered by one, however many questions it holds.</summary>
    [Fact]
    [Trait("Attack", "T70")]
    public void A_message_full_of_questions_is_answered_once()
    {
        using var pair = Attack.Peer(out var own);
        var questions = new ChainBuilder();
        for (var i = 1; i <= 60; i++) questions.Notify(ProtocolId.Ike, own.Cookies(), NotifyV1.RUThere, [0, 0, 0, (byte)i]);
        Assert.Single(Attack.Knock(pair, ForgerV1.Hashed(own, ExchangeType.InformationalV1, 0x71, questions)));
        Attack.AssertUnharmed(pair);
    }

    /// <summary>The peer has lost an old pair and says so (RFC 2408 section 3.14.1: INVALID-SPI): that is no answer to the quick mode that we have just begun.</summary>
    [Fact]
    public void INVALID_SPI_of_another_pair_does_not_end_a_quick_mode()
    {
        using var pair = Attack.Peer(out _);
        var old = pair.Right.Installed.Values.Single();
        pair.Wire = (_, from, _) => from == pair.Left ? 0 : 1;
        var id = pair.Left.Command(command => new IkeCommand.Rekey(command, new SaTarget("net", "net")), pair.Now);
        pair.Settle();
        var sa = pair.Right.Engine.IsakmpSas.Single();
        var spi = new byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(spi, old.InboundSpi.Value ^ 0x55);
        pair.Left.Receive(Attack.Left, Attack.Right, ForgerV1.Hashed(sa, ExchangeType.InformationalV1, 0x72, new ChainBuilder().Notify(ProtocolId.Esp, spi, NotifyV1.InvalidSpi)), pair.Now);
        Assert.False(pair.Left.Results.ContainsKey(id));
        // of the pair that is being made it is one
        BinaryPrimitives.WriteUInt32BigEndian(spi, pair.Left.Engine.IsakmpSas.Single().OpenExchanges.OfType<QuickInitiator>().Single().Spi.Value);
        pair.Left.Receive(Attack.Left, Attack.Right, ForgerV1.Hashed(sa, ExchangeType.InformationalV1, 0x73, new ChainBuilder().Notify(ProtocolId.Esp, spi, NotifyV1.InvalidSpi)), pair.Now);
        Assert.False(pair.Left.Results[id].Success);
    }

    /// <summary>A delete that names the same SA twice, when there is nothing that would outlive it: the second time nobody is there.</summary>
    [Fact]
    public void An_SA_that_is_deleted_twice_in_one_payload_is_gone_once()
    {
        using var pair = Attack.Peer(out var own);
        var spi = new byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(spi, pair.Left.Installed.Values.Single().InboundSpi.Value);
        var writer = new WireWriter();
        writer.U32(1);
        writer.U8((byte)ProtocolId.Ike);
        writer.U8(16);
        writer.U16(3);
        for (var i = 0; i < 3; i++) writer.Octets(own.Cookies());
        Attack.Knock(pair, ForgerV1.Hashed(own, ExchangeType.InformationalV1, 0x74, new ChainBuilder().Delete(ProtocolId.Esp, spi).Raw(PayloadV1.Delete, writer.Written)));
        Assert.Single(pair.Right.Events.OfType<IkeSaDown>());
        Assert.Empty(pair.Right.Engine.IsakmpSas);
        pair.Right.Command(command => new IkeCommand.Load(command, new PolicySet()), pair.Now);
        Assert.Equal(default, pair.Right.Engine.Holdings);
    }

    /// <summary>RFC 4304 section 3: "any attribute value but the value for 64-bit sequence numbers": the setup ends.</summary>
    [Theory]
    [InlineData(0, false)]
    [InlineData(1, true)]
    [InlineData(2, false)]
    [InlineData(65_535, false)]
    public void Of_the_attribute_for_sequence_numbers_only_one_value_is_known(uint value, bool isKnown)
    {
        var octets = Attack.Attributes(((ushort)IpsecAttribute.Mode, 1), ((ushort)IpsecAttribute.AuthAlgorithm, 2), ((ushort)IpsecAttribute.KeyLength, 128), ((ushort)IpsecAttribute.Esn, value));
        var suite = QuickOffer.Read(ProtocolId.Esp, new TransformV1(1, 12, [.. octets]));
        Assert.Equal(isKnown, suite is not null);
        Assert.Equal(isKnown, suite?.Esn == true);
    }

    /// <summary>A refusal names the protocol of what it refuses (RFC 2408 section 3.14).</summary>
    [Fact]
    public void What_we_refuse_of_AH_is_refused_as_AH()
    {
        using var pair = new EnginePair();
        Connection With(Connection connection) => connection with { Children = [connection.Children[0] with { Proposals = EnginePair.Proposals(ProtocolId.Ah, "sha256") }] };
        pair.Load(With(V1Pair.Left()), With(V1Pair.Right()));
        ProtocolId? named = null;
        var quick = 0;
        pair.Wire = (_, from, message) =>
        {
            if (message.Message[18] == (byte)ExchangeType.QuickMode && from == pair.Right && quick++ == 0)
            {
                // an SPI that nobody may use
                var own = pair.Left.Engine.IsakmpSas.Single();
                IkeHeader.TryRead(message.Message, out var header);
                var exchange = own.OpenExchanges.Single();
                Assert.Equal(ParseError.None, ChainView.TryParse(PayloadV1.Hash, ForgerV1.Open(own, message.Message, exchange.Iv), decrypted: true, out var view));
                var changed = ForgerV1.Rebuild(view, (_, type, body) =>
                {
                    if (type == PayloadV1.Hash) return null;
                    if (type != PayloadV1.Sa) return (type, body);
                    Assert.Equal(ParseError.None, SaBody.TryParse(body, out var answer));
                    var writer = new WireWriter();
                    SaBody.Write(writer, [answer[0] with { Spi = [0, 0, 0, 7] }]);
                    return (type, writer.ToArray());
                });
                Assert.Equal(ParseError.None, ChainView.TryParse(PayloadV1.Hash, ForgerV1.Open(own, pair.Sent.Last(sent => sent.From == pair.Left).Message.Message, own.ExchangeIv(header.MessageId)), decrypted: true, out var first));
                first.TryGet(PayloadV1.Nonce, out var ni);
                pair.Left.Receive(message.Remote, message.Local, ForgerV1.Hashed(own, ExchangeType.QuickMode, header.MessageId, ni, changed.First, changed.Chain, exchange.Iv), pair.Now);
                return 0;
            }

            if (message.Message[18] == (byte)ExchangeType.InformationalV1 && from == pair.Left)
            {
                var sa = pair.Left.Engine.IsakmpSas.Single();
                IkeHeader.TryRead(message.Message, out var header);
                Assert.Equal(ParseError.None, ChainView.TryParse(PayloadV1.Hash, ForgerV1.Open(sa, message.Message, sa.ExchangeIv(header.MessageId)), decrypted: true, out var view));
                if (view.TryGetError(out var error)) named ??= error.Protocol;
            }

            return 1;
        };
        Assert.False(pair.Up().Success);
        Assert.Equal(ProtocolId.Ah, named);
    }

    /// <summary>A delete of a pair that is not there names what the packet was (RFC 2408 section 3.15).</summary>
    [Theory]
    [InlineData(ProtocolId.Esp)]
    [InlineData(ProtocolId.Ah)]
    public void A_packet_of_an_unknown_SPI_is_answered_by_a_delete_of_its_protocol(ProtocolId protocol)
    {
        using var pair = Attack.Peer(out var own);
        pair.Right.Outbox.Clear();
        pair.Right.Engine.Handle(new DataPlaneEvent.UnknownSpi(new ChildSpi(0x1234_5678), Attack.Right with { Port = 0 }, Attack.Left with { Port = 0 }) { Protocol = protocol }, pair.Now);
        pair.Right.Drain(pair.Now);
        var message = Assert.Single(pair.Right.Outbox).Message;
        IkeHeader.TryRead(message, out var header);
        Assert.Equal(ParseError.None, ChainView.TryParse(PayloadV1.Hash, ForgerV1.Open(own, message, own.ExchangeIv(header.MessageId)), decrypted: true, out var view));
        Assert.True(view.TryGet(PayloadV1.Delete, out var body));
        Assert.Equal(ParseError.None, DeleteBody.TryParse(body, out var delete));
        Assert.Equal(protocol, delete.Protocol);
        Assert.Equal([0x12, 0x34, 0x56, 0x78], delete[0].ToArray());
    }

    /// <summary>What a message of several pieces held is gone when it was read: it was longer than the datagram that ended it.</summary>
    [Fact]
    public void Nothing_that_was_decrypted_stays_when_it_came_in_pieces()
    {
        using var pair = Attack.Peer(out var own);
        var whole = ForgerV1.Hashed(own, ExchangeType.InformationalV1, 0x75, new ChainBuilder().VendorId([.. Enumerable.Repeat((byte)0xA5, 3000)]));
        var pieces = whole.Chunk(1000).ToArray();
        for (var i = 0; i < pieces.Length; i++)
        {
            var writer = new WireWriter();
            FragmentBody.Write(writer, 5, (byte)(i + 1), i == pieces.Length - 1, pieces[i]);
            Attack.Knock(pair, ForgerV1.Clear(own, ExchangeType.InformationalV1, 0, PayloadV1.Fragment, new ChainBuilder().Raw(PayloadV1.Fragment, writer.Written).Chain));
        }

        // it was read
        Assert.Equal(DropReason.OutOfWindow, Attack.KnockDropped(pair, whole));
        Assert.True(pair.Right.Engine.Scratch.IndexOfAnyExcept((byte)0) < 0);
    }

    /// <summary>Dead peer detection is turned off while a question is open: nobody is dead for that.</summary>
    [Fact]
    public void A_question_that_is_open_when_detection_is_turned_off_is_forgotten()
    {
        using var pair = Attack.Peer(out var own, connection => connection with { DpdDelay = TimeSpan.FromSeconds(10), DpdThreshold = 5, DpdMode = DpdMode.AlwaysSend });
        pair.Wire = (_, _, _) => 0;
        pair.Run(TimeSpan.FromSeconds(15));
        Assert.True(own.Probe.IsOpen);
        own.Connection = own.Connection with { DpdDelay = TimeSpan.Zero };
        pair.Run(TimeSpan.FromMinutes(3));
        Assert.Empty(pair.Left.Events.OfType<IkeSaDown>());
        Assert.False(own.Probe.IsOpen);
    }

    /// <summary>Clients of a gateway renew phase 1 themselves: one that uses up the message IDs does not make the gateway begin phase 1 with it.</summary>
    [Fact]
    public void A_gateway_does_not_renew_what_its_client_wears_out()
    {
        using var pair = RemoteAccessPair.Up(RemoteAccessPair.Client(AccessProof.Psk), RemoteAccessPair.Gateway(AccessProof.Psk));
        var own = Assert.Single(pair.Left.Engine.IsakmpSas);
        var vendor = new ChainBuilder().VendorId([1, 2, 3]);
        for (var i = 0; i < 33_000; i++) Attack.Knock(pair, ForgerV1.Hashed(own, ExchangeType.InformationalV1, 0x10_0000u + (uint)i, vendor));
        pair.Run(TimeSpan.FromSeconds(30));
        Assert.DoesNotContain(pair.Right.Engine.IsakmpSas, sa => sa.Initiator);
        Assert.Single(pair.Right.Engine.IsakmpSas);
    }
}
