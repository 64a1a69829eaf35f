using System;
using Warifu.Primitives;
using Warifu.Wire;
using Warifu.Wire.V1;

namespace Warifu.V1;

/// <summary>Takes the attributes of an answer.</summary>
internal delegate void AttributesTaker(scoped in AttributesBody body);

/// <summary>The transaction exchange (draft-dukes-ike-mode-cfg-02 section 3): HASH ATTR and HASH ATTR, with HASH = prf(SKEYID_a, M-ID | ATTR). Its message ID is its own, its IV begins as in quick mode.</summary>
internal abstract class Transaction(IsakmpSa sa, uint messageId, string task) : Exchange(sa, messageId)
{
    public const string Xauth = "XAUTH", ModeConfig = "MODE_CONFIG";

    public override ExchangeType Type => ExchangeType.ModeConfig;

    public override string Task { get; } = task;

    public override MessageKind Expected => MessageKind.Transaction;

    public override bool CheckHash(scoped in ChainView view) => Sa.CheckHash(MessageId, default, view);

    protected void Send(ConfigurationKind kind, ushort identifier, Action<WireWriter> write, bool timed)
    {
        var attributes = new WireWriter(1024);
        write(attributes);
        var builder = new ChainBuilder(2048).HashPlace(Sa.HashLength).Attributes(kind, identifier, attributes.Written);
        attributes.Erase();
        Sa.SetHash(builder, MessageId, default);
        Sa.Send(this, builder, MessageKind.Transaction, timed);
        // a password may have been in it
        builder.Erase();
    }
}

/// <summary>A transaction that we begin: CFG_REQUEST for CFG_REPLY, or CFG_SET for CFG_ACK.</summary>
internal sealed class OwnTransaction : Transaction
{
    private readonly ConfigurationKind _answer;
    private readonly AttributesTaker _answered;
    private readonly Action<int> _silent;

    private OwnTransaction(IsakmpSa sa, string task, ConfigurationKind answer, AttributesTaker answered, Action<int> silent) : base(sa, sa.NewMessageId(), task) => (_answer, _answered, _silent) = (answer, answered, silent);

    /// <param name="sa">With whom.</param>
    /// <param name="task">Its name in listings.</param>
    /// <param name="kind">CFG_REQUEST or CFG_SET.</param>
    /// <param name="identifier">The same in all transactions of one XAuth.</param>
    /// <param name="write">Writes the attributes.</param>
    /// <param name="answered">Gets those of the answer.</param>
    /// <param name="silent">The peer does not answer: told how often it was asked.</param>
    public static void Start(IsakmpSa sa, string task, ConfigurationKind kind, ushort identifier, Action<WireWriter> write, AttributesTaker answered, Action<int> silent)
    {
        var exchange = new OwnTransaction(sa, task, kind == ConfigurationKind.Set ? ConfigurationKind.Ack : ConfigurationKind.Reply, answered, silent);
        sa.Add(exchange);
        exchange.Send(kind, identifier, write, timed: true);
    }

    public override void Receive(scoped in ChainView view)
    {
        Sa.Finish(this);
        view.TryGet(PayloadV1.Attributes, out var octets);
        _ = AttributesBody.TryParse(octets, out var body);
        if (body.Kind == _answer) _answered(body);
        else _silent(Flight.Sent);
    }

    public override void NoAnswer(int sent) => _silent(sent);

    public override void Abandon(string reason, string text)
    {
        IsDone = true;
        Flight.Land();
    }
}

/// <summary>A transaction that the peer begins. Some gateways keep one message ID for a whole XAuth, so that it stays open until that is over.</summary>
internal sealed class PeerTransaction(IsakmpSa sa, uint messageId) : Transaction(sa, messageId, sa.Suite!.UsesXauth && sa.Access is not null ? Xauth : ModeConfig)
{
    public override void Receive(scoped in ChainView view)
    {
        view.TryGet(PayloadV1.Attributes, out var octets);
        _ = AttributesBody.TryParse(octets, out var body);
        switch (body.Kind)
        {
            case ConfigurationKind.Request when XauthClient.IsXauth(body):
                XauthClient.OnRequest(this, body);
                break;
            case ConfigurationKind.Set when XauthClient.IsXauth(body):
                XauthClient.OnStatus(this, body);
                break;
            case ConfigurationKind.Request:
                ConfigurationServer.OnRequest(this, body);
                break;
            case ConfigurationKind.Set:
                ConfigurationClient.OnSet(this, body);
                break;
            default:
                Sa.Finish(this);
                break;
        }
    }

    /// <summary>An answer of the host is awaited.</summary>
    public void Wait(bool busy) => IsBusy = busy;

    public void Answer(ConfigurationKind kind, ushort identifier, Action<WireWriter> write, bool isLast = true)
    {
        IsBusy = false;
        if (isLast) Sa.Finish(this);
        Send(kind, identifier, write, timed: false);
    }

    /// <summary>Nothing is answered.</summary>
    public void Ignore()
    {
        IsBusy = false;
        Sa.Finish(this);
    }

    public override void NoAnswer(int sent)
    {
    }

    public override void Abandon(string reason, string text) => IsDone = true;
}
