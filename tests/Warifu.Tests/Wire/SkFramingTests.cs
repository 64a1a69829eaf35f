using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.Linq;
using Warifu.Crypto;
using Warifu.Primitives;
using Warifu.Simulation;
using Warifu.Wire;
using Xunit;

namespace Warifu.Tests.Wire;

/// <summary>The frames of SK (RFC 7296 section 3.14) and SKF (RFC 7383 section 2.5), item 1.5.</summary>
[Trait("Item", "1.5")]
public sealed class SkFramingTests
{
    private static readonly IkeHeader s_header = IkeHeader.V2(new IkeSpi(0x0102030405060708), new IkeSpi(0x1112131415161718), ExchangeType.IkeAuth, fromInitiator: true, isResponse: false, 1);

    [Fact]
    public void SK_by_hand()
    {
        // AES-CBC with a 16-octet ICV: N(INITIAL_CONTACT) of 8 octets, padding to 16, Pad Length 7
        var frame = SkFraming.Frame(s_header, new MessageBuilder().Notify(NotifyType.InitialContact), 16, 16, 16);
        var expected = GoldenTests.Octets(
            """
            0102030405060708 1112131415161718 2e 20 23 08 00000001 00000050
            29 00 0034                               # the type of the first payload inside; 52 = 4 + 16 + 16 + 16
            00000000000000000000000000000000         # IV
            00 00 0008 00 00 4000  00000000000000 07
            00000000000000000000000000000000         # ICV
            """);
        Assert.Equal(expected, frame);
        Assert.True(IkeHeader.TryRead(frame, out var header));
        Assert.Equal(ParseError.None, SkFraming.TryLocate(header, frame, out var sk));
        Assert.Equal(new SkView(32, PayloadType.Notify, 0, 0, PayloadType.None), sk);
        Assert.False(sk.IsFragment);
        Assert.True(SkFraming.TryUnpad(frame, sk.Head, 16, 16, out var chain));
        Assert.Equal("0000000800004000", Convert.ToHexString(chain));
    }

    [Fact]
    public void SKF_by_hand()
    {
        // RFC 7383 section 2.5: fragment 2 of 3, Next Payload zero, fragment number and total before the IV; GCM: IV 8, ICV 16, no padding
        var frame = SkFraming.FrameFragment(s_header, PayloadType.IdI, [0xAA, 0xBB, 0xCC], 2, 3, 8, 1, 16);
        var expected = GoldenTests.Octets(
            """
            0102030405060708 1112131415161718 35 20 23 08 00000001 00000040
            00 00 0024  0002 0003
            0000000000000000
            aabbcc 00
            00000000000000000000000000000000
            """);
        Assert.Equal(expected, frame);
        Assert.True(IkeHeader.TryRead(frame, out var header));
        Assert.Equal(ParseError.None, SkFraming.TryLocate(header, frame, out var sk));
        Assert.Equal(new SkView(36, PayloadType.None, 2, 3, PayloadType.None), sk);
        Assert.True(sk.IsFragment);
        Assert.True(SkFraming.TryUnpad(frame, sk.Head, 8, 16, out var chunk));
        Assert.Equal("AABBCC", Convert.ToHexString(chunk));
        // only the first fragment names the first payload
        Assert.Equal((byte)PayloadType.IdI, SkFraming.FrameFragment(s_header, PayloadType.IdI, [1], 1, 3, 8, 1, 16)[28]);
    }

    [Theory]
    [InlineData(0, 1, false)]
    [InlineData(1, 0, false)]
    [InlineData(0, 0, false)]
    [InlineData(2, 1, false)]
    [InlineData(1, 1, true)]
    [InlineData(64, 64, true)]
    [InlineData(1, 65, false)]
    [InlineData(65, 65, false)]
    [InlineData(65535, 65535, false)]
    public void Fragment_numbers(int fragment, int total, bool legal)
    {
        // RFC 7383 section 2.6: non-zero, number at most total; above our limit nothing is kept
        var frame = SkFraming.FrameFragment(s_header, PayloadType.IdI, new byte[20], 1, 1, 8, 1, 16);
        BinaryPrimitives.WriteUInt16BigEndian(frame.AsSpan(32), (ushort)fragment);
        BinaryPrimitives.WriteUInt16BigEndian(frame.AsSpan(34), (ushort)total);
        Assert.True(IkeHeader.TryRead(frame, out var header));
        Assert.Equal(legal ? ParseError.None : ParseError.BadEncrypted, SkFraming.TryLocate(header, frame, out _));
    }

    [Fact]
    public void Fragments_that_make_no_sense_are_not_built()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => SkFraming.FrameFragment(s_header, PayloadType.IdI, [], 0, 1, 8, 1, 16));
        Assert.Throws<ArgumentOutOfRangeException>(() => SkFraming.FrameFragment(s_header, PayloadType.IdI, [], 2, 1, 8, 1, 16));
    }

    [Theory]
    [InlineData("29 80 0008 00 00 4000", "", PayloadType.Notify, false, ParseErrorIs.BadEncrypted)]
    [InlineData("", "2e 00 0008 00000000", PayloadType.Sk, true, ParseErrorIs.None)]
    [InlineData("2e 00 0008 00 00 4000", "00 00 0008 00000000", PayloadType.Notify, true, ParseErrorIs.None)]
    [InlineData("", "", PayloadType.None, false, ParseErrorIs.BadEncrypted)]
    [InlineData("", "29 00 0008 00000000 29 00 0008 00 00 4000", PayloadType.Sk, false, ParseErrorIs.TrailingOctets)]
    [InlineData("", "00 00 0007 000100", PayloadType.Skf, false, ParseErrorIs.BadEncrypted)]
    [InlineData("35 00 0008 00 00 4000", "00 00 0008 0001 0002", PayloadType.Notify, true, ParseErrorIs.None)]
    [InlineData("35 00 0008 00 00 4000", "00 00 0008 0002 0002", PayloadType.Notify, false, ParseErrorIs.BadEncrypted)]
    public void The_encrypted_payload_is_the_last_one(string before, string sk, PayloadType first, bool legal, ParseErrorIs expected)
    {
        var chain = GoldenTests.Octets(before + sk);
        if (before.StartsWith("29", StringComparison.Ordinal)) chain = GoldenTests.Octets("00" + before[2..]);
        var message = new byte[28 + chain.Length];
        (s_header with { NextPayload = first, TotalLength = (uint)message.Length }).Write(message);
        chain.CopyTo(message, 28);
        Assert.True(IkeHeader.TryRead(message, out var header));
        var error = SkFraming.TryLocate(header, message, out var view);
        Assert.Equal(expected.ToString(), error.ToString());
        Assert.Equal(legal, error == ParseError.None);
        if (legal) Assert.Equal(message.Length - 4 + (view.IsFragment ? 4 : 0), view.Head);
    }

    [Fact]
    public void Unknown_critical_payloads_before_SK_are_told()
    {
        foreach (var critical in new[] { false, true })
        {
            var chain = new MessageBuilder().Raw((PayloadType)54, [1], critical).Raw(PayloadType.Notify, [0, 0, 0x40, 0], critical: true).Raw(PayloadType.Sk, new byte[40]);
            var message = chain.ToMessage(s_header);
            Assert.True(IkeHeader.TryRead(message, out var header));
            Assert.Equal(ParseError.None, SkFraming.TryLocate(header, message, out var sk));
            Assert.Equal(critical ? (PayloadType)54 : PayloadType.None, sk.UnknownCritical);
        }
    }

    [Fact]
    public void Padding()
    {
        // RFC 7296 section 3.14: "The recipient MUST accept any length that results in proper alignment"
        var message = new byte[32 + 16 + 48 + 16];
        for (var padding = 0; padding <= 255; padding++)
        {
            message[32 + 16 + 47] = (byte)padding;
            Assert.Equal(padding <= 47, SkFraming.TryUnpad(message, 32, 16, 16, out var chain));
            Assert.Equal(padding <= 47 ? 47 - padding : 0, chain.Length);
        }

        Assert.False(SkFraming.TryUnpad(message.AsSpan(0, 64), 32, 16, 16, out _));
        Assert.False(SkFraming.TryUnpad(message.AsSpan(0, 40), 32, 16, 16, out _));
        for (var length = 0; length < 100; length++)
        {
            var frame = SkFraming.Frame(s_header, Chain(length), 16, 16, 12);
            Assert.Equal(0, (frame.Length - 32 - 16 - 12) % 16);
            Assert.True(frame.Length - 32 - 16 - 12 - (length + 4) is >= 1 and <= 16);
            Assert.True(SkFraming.TryUnpad(frame, 32, 16, 12, out var chain));
            Assert.Equal(length + 4, chain.Length);
        }
    }

    public static TheoryData<EncrId, int, IntegId> Ciphers => new()
    {
        { EncrId.AesCbc, 256, IntegId.HmacSha256_128 },
        { EncrId.TripleDes, 0, IntegId.HmacMd5_96 },
        { EncrId.AesCtr, 128, IntegId.HmacSha384_192 },
        { EncrId.AesGcm8, 128, IntegId.None },
        { EncrId.AesCcm12, 256, IntegId.None },
        { EncrId.ChaCha20Poly1305, 0, IntegId.None },
        { EncrId.CamelliaCbc, 192, IntegId.AesXcbc96 },
    };

    /// <summary>A chain cut into fragments that fit, sealed, shuffled, opened and put together again is the chain; a fragment that lies about its number does not open.</summary>
    [Theory]
    [MemberData(nameof(Ciphers))]
    public void Fragments_fit_and_make_the_message_again(EncrId encr, int keyBits, IntegId integ)
    {
        var luck = new SeededEntropy((ulong)encr);
        var key = new byte[Algorithms.Encr[encr].KeyMaterialLength(keyBits)];
        var integKey = new byte[integ == IntegId.None ? 0 : Algorithms.Integ[integ].KeyLength];
        luck.Fill(key);
        luck.Fill(integKey);
        using var cipher = PacketCipher.Create(encr, keyBits, integ, key, integKey, luck);
        for (var round = 0; round < 60; round++)
        {
            var chain = new MessageBuilder();
            while (chain.Chain.Length < 200 + luck.Below(6000)) chain.Raw(PayloadType.Cert, [4, .. new Warifu.Fuzz.ChainGenerator(luck.Next()).Octets(1, 900)]);
            var limit = 200 + luck.Below(1200);
            var room = SkFraming.ChunkLength(limit, cipher.IvLength, cipher.BlockLength, cipher.IcvLength);
            var total = (chain.Chain.Length + room - 1) / room;
            if (total > WireLimits.Fragments) continue;
            var fragments = new List<byte[]>();
            for (var i = 0; i < total; i++)
            {
                var chunk = chain.Chain.Slice(i * room, Math.Min(room, chain.Chain.Length - (i * room)));
                var message = SkFraming.FrameFragment(s_header, chain.First, chunk, i + 1, total, cipher.IvLength, cipher.BlockLength, cipher.IcvLength);
                Assert.True(message.Length <= limit);
                // a full fragment leaves no room for another block
                if (i < total - 1) Assert.True(message.Length + cipher.BlockLength > limit);
                cipher.Seal(message, SkFraming.FragmentHeadLength, (ulong)((round * 100) + i));
                fragments.Add(message);
            }

            var parts = new byte[total][];
            var first = PayloadType.None;
            foreach (var message in fragments.OrderBy(_ => luck.Next()))
            {
                var forged = message.ToArray();
                forged[33] ^= 0x40;
                Assert.True(IkeHeader.TryRead(message, out var header));
                Assert.Equal(ParseError.None, SkFraming.TryLocate(header, message, out var sk));
                Assert.False(cipher.Open(forged, sk.Head));
                Assert.True(cipher.Open(message, sk.Head));
                Assert.True(SkFraming.TryUnpad(message, sk.Head, cipher.IvLength, cipher.IcvLength, out var chunk));
                parts[sk.Fragment - 1] = chunk.ToArray();
                if (sk.Fragment == 1) first = sk.First;
            }

            Assert.Equal(chain.First, first);
            Assert.Equal(chain.Chain.ToArray(), parts.SelectMany(part => part));
        }
    }

    public enum ParseErrorIs
    {
        None,
        BadEncrypted,
        TrailingOctets,
    }

    private static MessageBuilder Chain(int length) => new MessageBuilder().VendorId(new byte[length]);
}
