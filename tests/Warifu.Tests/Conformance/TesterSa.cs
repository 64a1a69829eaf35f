using System;
using System.Collections.Generic;
using Warifu.Crypto;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Simulation;
using Warifu.Wire;

namespace Warifu.Tests.Conformance;

/// <summary>The tester's end of an IKE SA: keys derived by itself, and message ids that go wherever a test wants.</summary>
internal sealed class TesterSa : IDisposable
{
    private readonly PacketCipher _sealer;
    private readonly PacketCipher _opener;
    private ulong _counter = 1UL << 40;

    private TesterSa(bool isInitiator, IkeSpi spiI, IkeSpi spiR, Proposal proposal, IkeKeys keys)
    {
        (IsInitiator, SpiI, SpiR, Proposal, Keys) = (isInitiator, spiI, spiR, proposal, keys);
        var (encr, integ) = (proposal.Find(TransformType.Encr), (IntegId)proposal.Find(TransformType.Integ).Id);
        var luck = new SeededEntropy(spiI.Value ^ spiR.Value);
        var (ours, theirs) = isInitiator ? ((keys.SkEi, keys.SkAi), (keys.SkEr, keys.SkAr)) : ((keys.SkEr, keys.SkAr), (keys.SkEi, keys.SkAi));
        _sealer = PacketCipher.Create((EncrId)encr.Id, encr.KeyBits, integ, ours.Item1.Span, ours.Item2.Span, luck);
        _opener = PacketCipher.Create((EncrId)encr.Id, encr.KeyBits, integ, theirs.Item1.Span, theirs.Item2.Span, luck);
    }

    /// <summary>The tester sent the first message.</summary>
    public bool IsInitiator { get; }

    public IkeSpi SpiI { get; }

    public IkeSpi SpiR { get; }

    public Proposal Proposal { get; }

    public IkeKeys Keys { get; }

    /// <summary>Message id of the tester's next request.</summary>
    public uint NextRequest { get; set; }

    public PrfId Prf => Keys.Prf;

    /// <summary>RFC 7296 section 2.14.</summary>
    public static TesterSa First(bool isInitiator, IkeSpi spiI, IkeSpi spiR, Proposal proposal, byte[] ni, byte[] nr, Secret shared)
    {
        using var seed = KeyScheduleV2.SkeySeed((PrfId)proposal.Find(TransformType.Prf).Id, ni, nr, shared);
        return Derive(isInitiator, spiI, spiR, proposal, seed, ni, nr);
    }

    /// <summary>RFC 7296 section 2.18.</summary>
    public TesterSa Rekeyed(bool isInitiator, IkeSpi spiI, IkeSpi spiR, Proposal proposal, byte[] ni, byte[] nr, Secret shared)
    {
        using var seed = KeyScheduleV2.SkeySeedRekey(Prf, Keys.SkD, ni, nr, shared);
        return Derive(isInitiator, spiI, spiR, proposal, seed, ni, nr);
    }

    public IkeHeader Header(ExchangeType exchange, bool isResponse, uint id) => IkeHeader.V2(SpiI, SpiR, exchange, IsInitiator, isResponse, id);

    /// <summary>Any content behind any header.</summary>
    /// <param name="header">Next payload and length are filled in.</param>
    /// <param name="first">Type of the first payload inside.</param>
    /// <param name="chain">The content of SK.</param>
    /// <param name="reserved">The reserved bits of the head of SK are set.</param>
    public byte[] Seal(in IkeHeader header, PayloadType first, ReadOnlySpan<byte> chain, bool reserved = false)
    {
        var padding = _sealer.BlockLength <= 1 ? 0 : (_sealer.BlockLength - ((chain.Length + 1) % _sealer.BlockLength)) % _sealer.BlockLength;
        var message = new byte[SkFraming.HeadLength + _sealer.IvLength + chain.Length + padding + 1 + _sealer.IcvLength];
        (header with { NextPayload = PayloadType.Sk, TotalLength = (uint)message.Length }).Write(message);
        message[IkeHeader.Length] = (byte)first;
        if (reserved) message[IkeHeader.Length + 1] = 0x7F;
        var length = message.Length - IkeHeader.Length;
        (message[IkeHeader.Length + 2], message[IkeHeader.Length + 3]) = ((byte)(length >> 8), (byte)length);
        chain.CopyTo(message.AsSpan(SkFraming.HeadLength + _sealer.IvLength));
        message[^(_sealer.IcvLength + 1)] = (byte)padding;
        _sealer.Seal(message, SkFraming.HeadLength, _counter++);
        return message;
    }

    /// <summary>The payloads of a message of the node, or null when it is not authentic.</summary>
    public List<Payload>? Open(in IkeHeader header, byte[] octets)
    {
        var copy = (byte[])octets.Clone();
        if (SkFraming.TryLocate(header, copy, out var sk) != ParseError.None || sk.IsFragment || !_opener.Open(copy, sk.Head)) return null;
        return SkFraming.TryUnpad(copy, sk.Head, _opener.IvLength, _opener.IcvLength, out var chain) ? Payload.Parse(sk.First, chain) : null;
    }

    public void Dispose()
    {
        Keys.Dispose();
        _sealer.Dispose();
        _opener.Dispose();
    }

    private static TesterSa Derive(bool isInitiator, IkeSpi spiI, IkeSpi spiR, Proposal proposal, Secret seed, byte[] ni, byte[] nr)
    {
        var encr = proposal.Find(TransformType.Encr);
        var keys = KeyScheduleV2.Derive((PrfId)proposal.Find(TransformType.Prf).Id, (EncrId)encr.Id, encr.KeyBits, (IntegId)proposal.Find(TransformType.Integ).Id, seed, ni, nr, spiI, spiR);
        return new TesterSa(isInitiator, spiI, spiR, proposal, keys);
    }
}

/// <summary>The tester's end of a pair of IPsec SAs.</summary>
/// <param name="Own">SPI that the tester receives on.</param>
/// <param name="Node">SPI that the node receives on.</param>
/// <param name="Proposal">What was chosen.</param>
/// <param name="TesterInitiated">The tester asked for it.</param>
internal sealed record TesterChild(ChildSpi Own, ChildSpi Node, Proposal Proposal, bool TesterInitiated, ChildKeys Keys);
