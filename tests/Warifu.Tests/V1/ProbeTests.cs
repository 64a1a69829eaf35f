using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.Linq;
using Warifu.Fuzz;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.V1;
using Warifu.Wire;
using Warifu.Wire.V1;
using Xunit;

namespace Warifu.Tests.V1;

/// <summary>R-U-THERE and its answer (item 3.5, RFC 3706).</summary>
[Trait("Item", "3.5")]
public sealed class ProbeTests
{
    /// <summary>Section 5.3: both cookies are the SPI, and the answer repeats the number.</summary>
    [Fact]
    public void A_question_is_answered_once_with_its_number_and_only_for_this_SA()
    {
        using var pair = Attack.Peer(out var own);
        var victim = pair.Right.Engine.IsakmpSas.Single();
        var id = 0x8100u;
        var answer = Assert.Single(Attack.Knock(pair, Ask(own, id, own.Cookies(), [1, 2, 3, 4])));
        IkeHeader.TryRead(answer, out var header);
        Assert.Equal(ParseError.None, ChainView.TryParse(PayloadV1.Hash, ForgerV1.Open(victim, answer, victim.ExchangeIv(header.MessageId)), decrypted: true, out var view));
        Assert.True(view.TryGetNotify(NotifyV1.RUThereAck, out var notify));
        Assert.Equal((Convert.ToHexString(own.Cookies()), "01020304"), (Convert.ToHexString(notify.Spi), Convert.ToHexString(notify.Data)));
        var other = own.Cookies();
        other[15] ^= 1;
        foreach (var (cookies, data) in new (byte[], byte[])[] { (other, [1, 2, 3, 5]), ([], [1, 2, 3, 5]), (other[..8], [1, 2, 3, 5]), (own.Cookies(), [1, 2, 3]), (own.Cookies(), [1, 2, 3, 4, 5]) }) Assert.Empty(Attack.Knock(pair, Ask(own, ++id, cookies, data)));
    }

    /// <summary>Section 5.4: an answer to another question answers nothing. Whatever else is authentic shows that the peer lives, so that the question is not asked again.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void An_open_question_is_closed_by_its_number_and_any_authentic_message_stops_it(bool isRight)
    {
        using var pair = Attack.Peer(out _, connection => connection with { DpdDelay = TimeSpan.FromSeconds(10), DpdMode = DpdMode.AlwaysSend, DpdThreshold = 3 });
        var (sa, theirs) = (pair.Left.Engine.IsakmpSas.Single(), pair.Right.Engine.IsakmpSas.Single());
        var questions = new List<uint>();
        pair.Wire = (_, from, message) =>
        {
            if (from == pair.Left && NumberIn(sa, message.Message) is { } number) questions.Add(number);
            return 0;
        };
        while (questions.Count == 0) pair.Run(TimeSpan.FromSeconds(1));
        Assert.True(sa.Probe.IsOpen);
        var asked = questions.Single();
        pair.Run(TimeSpan.FromMilliseconds(1));
        pair.Left.Receive(Attack.Left, Attack.Right, Answer(theirs, 0x8001, theirs.Cookies(), isRight ? asked : asked + 1), pair.Now);
        Assert.Equal(!isRight, sa.Probe.IsOpen);
        // the next one is another question, which no repetition went before
        while (questions.Count == 1) pair.Run(TimeSpan.FromSeconds(1));
        Assert.Equal(asked + 1, questions[1]);
        Assert.Single(pair.Left.Installed);
        pair.Run(TimeSpan.FromMinutes(2));
        Assert.Empty(pair.Left.Installed);
        // one question and three repetitions
        Assert.Equal(4, questions.Count(number => number == questions[^1]));
    }

    private static uint? NumberIn(IsakmpSa sa, byte[] message)
    {
        IkeHeader.TryRead(message, out var header);
        if (header.Exchange != ExchangeType.InformationalV1 || ChainView.TryParse(PayloadV1.Hash, ForgerV1.Open(sa, message, sa.ExchangeIv(header.MessageId)), decrypted: true, out var view) != ParseError.None) return null;
        return view.TryGetNotify(NotifyV1.RUThere, out var notify) ? BinaryPrimitives.ReadUInt32BigEndian(notify.Data) : null;
    }

    private static byte[] Ask(IsakmpSa own, uint id, byte[] cookies, byte[] data) => ForgerV1.Hashed(own, ExchangeType.InformationalV1, id, new ChainBuilder().Notify(ProtocolId.Ike, cookies, NotifyV1.RUThere, data));

    private static byte[] Answer(IsakmpSa theirs, uint id, byte[] cookies, uint number)
    {
        var data = new byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(data, number);
        return ForgerV1.Hashed(theirs, ExchangeType.InformationalV1, id, new ChainBuilder().Notify(ProtocolId.Ike, cookies, NotifyV1.RUThereAck, data));
    }
}
