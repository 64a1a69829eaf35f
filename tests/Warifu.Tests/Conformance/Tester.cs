using System;
using System.Collections.Generic;
using System.Linq;
using Warifu.Engine;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Simulation;
using Warifu.Wire;
using Xunit;

namespace Warifu.Tests.Conformance;

/// <summary>
/// Plays the peer of one engine message by message. It uses our codec and our algorithms, but none of our exchanges: what it sends, and when, a test says. This file: the wire, time, and messages of any kind.
/// </summary>
internal sealed partial class Tester : IDisposable
{
    private readonly Queue<(Instant At, IkeAction.Send Sent)> _inbox = new();
    private readonly List<TesterSa> _sas = [];
    private readonly SeededEntropy _luck = new(0x7E57);
    private Endpoint _node;
    private Endpoint _own;

    /// <param name="setting">What is under test.</param>
    /// <param name="change">Changes the node's configuration.</param>
    /// <param name="options">Of the node's engine.</param>
    public Tester(string setting, Func<Connection, Connection>? change = null, EngineOptions? options = null) : this(Setting.Of(setting), change, options)
    {
    }

    public Tester(Setting setting, Func<Connection, Connection>? change = null, EngineOptions? options = null, params Pool[] pools)
    {
        Setting = setting;
        Node = new EngineHost(Setting.Node, 7, Now, options);
        Node.SetPsk("ike-1", EnginePair.Secret);
        (_node, _own) = (new Endpoint(Setting.Node, 500), new Endpoint(Setting.Tester, 500));
        var connection = Setting.Connection();
        Node.Load(new PolicySet { Connections = [change is null ? connection : change(connection)], Pools = [.. pools] }, Now);
    }

    public Setting Setting { get; }

    /// <summary>The node under test.</summary>
    public EngineHost Node { get; }

    public Instant Now { get; private set; } = new(1_000_000_000);

    /// <summary>All reserved bits of everything that the tester sends are set, and the V flag.</summary>
    public bool Reserved { get; set; }

    /// <summary>The newest IKE SA.</summary>
    public TesterSa Sa => _sas[^1];

    /// <summary>Where the node is, and where the tester is, as the latest message said.</summary>
    public (Endpoint Node, Endpoint Own) Ends => (_node, _own);

    public byte[] Random(int length)
    {
        var octets = new byte[length];
        _luck.Fill(octets);
        return octets;
    }

    /// <summary>The next message of the node, or null when it says nothing.</summary>
    public Message? Take()
    {
        Collect();
        if (!_inbox.TryDequeue(out var next)) return null;
        var (at, sent) = next;
        (_node, _own) = (sent.Local, sent.Remote);
        Assert.True(IkeHeader.TryRead(sent.Message, out var header));
        List<Payload> payloads;
        if (header.Exchange == ExchangeType.IkeSaInit || header.NextPayload is not (PayloadType.Sk or PayloadType.Skf))
        {
            payloads = Payload.Parse(header.NextPayload, sent.Message.AsSpan(IkeHeader.Length));
        }
        else
        {
            var sa = _sas.Single(sa => sa.SpiI == header.InitiatorSpi && sa.SpiR == header.ResponderSpi);
            payloads = sa.Open(header, sent.Message) ?? throw new InvalidOperationException("the node's message is not authentic");
        }

        return new Message { Header = header, Octets = sent.Message, Payloads = payloads, From = sent.Local, To = sent.Remote, At = at };
    }

    /// <summary>The next message, which must be of this kind.</summary>
    public Message Expect(ExchangeType exchange, bool isResponse)
    {
        var message = Take();
        Assert.NotNull(message);
        Assert.True(message.Header.Exchange == exchange && message.Header.IsResponse == isResponse, $"the node sent {message}, not {exchange} {(isResponse ? "response" : "request")}");
        return message;
    }

    public Message ExpectRequest(ExchangeType exchange) => Expect(exchange, isResponse: false);

    /// <summary>Time passes until the node sends its next message, a request of this kind.</summary>
    public Message Await(ExchangeType exchange, TimeSpan within)
    {
        var end = Now + within;
        while (true)
        {
            if (Take() is { } message)
            {
                Assert.True(message.Header.Exchange == exchange && !message.Header.IsResponse, $"the node sent {message}, not a request of {exchange}");
                return message;
            }

            Assert.True(Now < end, $"no {exchange} within {within}");
            Wait(TimeSpan.FromMilliseconds(200));
        }
    }

    /// <summary>The node says nothing.</summary>
    public void ExpectSilence()
    {
        var message = Take();
        Assert.True(message is null, $"the node sent {message}");
    }

    /// <summary>Octets from the tester's address, or from somebody else's.</summary>
    public void Deliver(byte[] octets, Endpoint? from = null)
    {
        Node.Receive(_node, from ?? _own, octets, Now);
        Collect();
    }

    /// <summary>The tester speaks from its own address again.</summary>
    public void BackHome() => _own = new Endpoint(Setting.Tester, 500);

    /// <summary>Time passes.</summary>
    public void Wait(TimeSpan span)
    {
        var end = Now + span;
        Collect();
        while (Node.Engine.NextTimeout is var next && next <= end)
        {
            Now = next > Now ? next : Now;
            Node.Wake(Now);
            Collect();
        }

        Now = end;
    }

    /// <summary>A message in clear.</summary>
    public byte[] Clear(IkeHeader header, params IEnumerable<Payload> payloads)
    {
        var (first, chain) = Payload.Build(payloads, Reserved);
        var message = new byte[IkeHeader.Length + chain.Length];
        (Flagged(header) with { NextPayload = first, TotalLength = (uint)message.Length }).Write(message);
        chain.CopyTo(message, IkeHeader.Length);
        return message;
    }

    /// <summary>A protected message.</summary>
    public byte[] Seal(TesterSa sa, ExchangeType exchange, bool isResponse, uint id, params IEnumerable<Payload> payloads) => Seal(sa, sa.Header(exchange, isResponse, id), payloads);

    public byte[] Seal(TesterSa sa, IkeHeader header, params IEnumerable<Payload> payloads)
    {
        var (first, chain) = Payload.Build(payloads, Reserved);
        return sa.Seal(Flagged(header), first, chain, Reserved);
    }

    /// <summary>Sends a request with the next message id.</summary>
    public byte[] Send(TesterSa sa, ExchangeType exchange, params IEnumerable<Payload> payloads)
    {
        var message = Seal(sa, exchange, isResponse: false, sa.NextRequest++, payloads);
        Deliver(message);
        return message;
    }

    /// <summary>Sends a request and takes the answer, which must be the node's next message.</summary>
    public Message Ask(TesterSa sa, ExchangeType exchange, params IEnumerable<Payload> payloads)
    {
        Send(sa, exchange, payloads);
        var answer = Expect(exchange, isResponse: true);
        Assert.Equal(sa.NextRequest - 1, answer.Header.MessageId);
        return answer;
    }

    public Message Ask(ExchangeType exchange, params IEnumerable<Payload> payloads) => Ask(Sa, exchange, payloads);

    /// <summary>Answers a protected request of the node on the IKE SA on which it came.</summary>
    public byte[] Answer(Message request, params IEnumerable<Payload> payloads)
    {
        var sa = _sas.Single(sa => sa.SpiI == request.Header.InitiatorSpi && sa.SpiR == request.Header.ResponderSpi);
        var message = Seal(sa, request.Header.Exchange, isResponse: true, request.Header.MessageId, payloads);
        Deliver(message);
        return message;
    }

    /// <summary>Gives the node a command.</summary>
    public ulong Command(Func<CommandId, IkeCommand> make)
    {
        var id = Node.Command(make, Now);
        Collect();
        return id;
    }

    /// <summary>The node is there and takes requests: an empty INFORMATIONAL is answered with an empty one.</summary>
    public void IsAlive(TesterSa? sa = null)
    {
        var answer = Ask(sa ?? Sa, ExchangeType.Informational);
        Assert.Empty(answer.Payloads);
    }

    /// <summary>The node has no IKE SA.</summary>
    public void NodeHasNothing()
    {
        Assert.Empty(Node.Engine.Snapshot().IkeSas);
        Assert.Empty(Node.Installed);
    }

    public void Dispose()
    {
        foreach (var sa in _sas) sa.Dispose();
        _keyExchange?.Dispose();
        Node.Dispose();
    }

    private void Collect()
    {
        while (Node.Outbox.TryDequeue(out var sent)) _inbox.Enqueue((Now, sent));
    }

    /// <summary>Reserved flags and the V flag (RFC 7296 section 3.1).</summary>
    private IkeHeader Flagged(IkeHeader header) => Reserved ? header with { Flags = (byte)(header.Flags | 0xD7) } : header;
}
