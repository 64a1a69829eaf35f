using System;
using System.Linq;
using Warifu.Crypto;
using Warifu.Engine;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Simulation;
using Warifu.Wire;

namespace Warifu.Fuzz;

/// <summary>The left side of an established pair whose keys are known: seals whatever chain of payloads it likes, so that what lies behind the encryption can be tried.</summary>
internal sealed class Impostor : IDisposable
{
    private readonly EnginePair _pair;
    private readonly PacketCipher _sealer;
    private readonly PacketCipher _opener;
    private ulong _counter = 1UL << 40;
    private uint _nextRequest = 2;

    /// <param name="seed">Of the pair.</param>
    /// <param name="ike">IKE proposal.</param>
    /// <param name="right">Changes the connection of the side that is attacked.</param>
    /// <param name="pools">Its pools.</param>
    public Impostor(ulong seed = 1, string ike = "aes128gcm16-prfsha256-x25519", Func<Connection, Connection>? right = null, params Pool[] pools)
    {
        _pair = new EnginePair(seed, new EngineOptions { KeyLog = true }, new EngineOptions());
        _pair.Load(EnginePair.LeftGateway(ike), null);
        _pair.Right.Load(new PolicySet { Connections = [right?.Invoke(EnginePair.RightGateway(ike)) ?? EnginePair.RightGateway(ike)], Pools = [.. pools] }, _pair.Now);
        if (!_pair.Up().Success) throw new InvalidOperationException("the pair does not come up");
        var keys = _pair.Left.IkeKeys.Single();
        (SpiI, SpiR) = (keys.Initiator, keys.Responder);
        (_sealer, _opener) = (Sealing.CipherOf(keys, ofInitiator: true), Sealing.CipherOf(keys, ofInitiator: false));
        Local = new Endpoint(_pair.Right.Address, 500);
        Remote = new Endpoint(_pair.Left.Address, 500);
    }

    /// <summary>The side that is attacked.</summary>
    public EngineHost Victim => _pair.Right;

    public Instant Now => _pair.Now;

    public IkeSpi SpiI { get; }

    public IkeSpi SpiR { get; }

    public Endpoint Local { get; }

    public Endpoint Remote { get; }

    /// <summary>The victim still has the IKE SA.</summary>
    public bool IsUp => Victim.Engine.Snapshot().IkeSas.Any(sa => sa.InitiatorSpi == SpiI && sa.State is not "DELETING");

    /// <summary>A sealed message.</summary>
    /// <param name="exchange">Exchange type.</param>
    /// <param name="isResponse">R flag.</param>
    /// <param name="messageId">Message ID.</param>
    /// <param name="first">Type of the first payload.</param>
    /// <param name="chain">The content of SK.</param>
    public byte[] Seal(ExchangeType exchange, bool isResponse, uint messageId, PayloadType first, ReadOnlySpan<byte> chain) =>
        Sealing.Seal(_sealer, IkeHeader.V2(SpiI, SpiR, exchange, fromInitiator: true, isResponse, messageId), first, chain, _counter++);

    /// <summary>Sends a request with the next message id. Answers with what came back, or null.</summary>
    public byte[]? Request(ExchangeType exchange, PayloadType first, ReadOnlySpan<byte> chain)
    {
        Victim.Outbox.Clear();
        Victim.Receive(Local, Remote, Seal(exchange, isResponse: false, _nextRequest, first, chain), Now);
        byte[]? answer = null;
        foreach (var sent in Victim.Outbox)
        {
            if (IkeHeader.TryRead(sent.Message, out var header) && header.IsResponse && header.MessageId == _nextRequest) answer = sent.Message;
        }

        if (answer is not null) _nextRequest++;
        return answer;
    }

    /// <summary>Sends an empty INFORMATIONAL request with a payload in clear before SK. Answers with what came back, or null.</summary>
    public byte[]? RequestBehind(PayloadType before, bool critical)
    {
        var clear = new MessageBuilder().Raw(before, [1, 2, 3, 4], critical).Raw(PayloadType.Sk, new byte[_sealer.IvLength + Math.Max(_sealer.BlockLength, 1) + _sealer.IcvLength]);
        var message = clear.ToMessage(IkeHeader.V2(SpiI, SpiR, ExchangeType.Informational, fromInitiator: true, isResponse: false, _nextRequest));
        message[^(_sealer.IcvLength + 1)] = (byte)(Math.Max(_sealer.BlockLength, 1) - 1);
        _sealer.Seal(message, IkeHeader.Length + 8 + 4, _counter++);
        Victim.Outbox.Clear();
        Victim.Receive(Local, Remote, message, Now);
        if (!Victim.Outbox.TryDequeue(out var sent)) return null;
        _nextRequest++;
        return sent.Message;
    }

    /// <summary>The decrypted chain of an answer.</summary>
    public byte[] Open(ReadOnlySpan<byte> answer, out PayloadType first)
    {
        var copy = answer.ToArray();
        first = PayloadType.None;
        if (!IkeHeader.TryRead(copy, out var header) || SkFraming.TryLocate(header, copy, out var sk) != ParseError.None || !_opener.Open(copy, sk.Head) ||
            !SkFraming.TryUnpad(copy, sk.Head, _opener.IvLength, _opener.IcvLength, out var chain)) throw new InvalidOperationException("the answer is not authentic");
        first = sk.First;
        return chain.ToArray();
    }

    public void Dispose()
    {
        _sealer.Dispose();
        _opener.Dispose();
        _pair.Dispose();
    }
}
