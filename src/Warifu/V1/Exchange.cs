using System.Collections.Generic;
using Warifu.Engine;
using Warifu.Primitives;
using Warifu.Wire.V1;

namespace Warifu.V1;

/// <summary>An exchange under an ISAKMP SA with a message ID of its own: quick mode, Mode Config. When one of its times changes, the SA is told: nobody looks through all exchanges for the next one.</summary>
internal abstract class Exchange : ITimed
{
    protected Exchange(IsakmpSa sa, uint messageId)
    {
        (Sa, MessageId, Iv) = (sa, messageId, sa.ExchangeIv(messageId));
        Flight = new Flight(() => Sa.Reset(this));
        Place = new LinkedListNode<Exchange>(this);
    }

    public IsakmpSa Sa { get; }

    public uint MessageId { get; }

    /// <summary>IV of the next message, of whichever side.</summary>
    public byte[] Iv { get; set; }

    public Flight Flight { get; }

    /// <summary>Among those that are open, or those that are over. Of the ISAKMP SA.</summary>
    public LinkedListNode<Exchange> Place { get; }

    /// <summary>An answer of the host is awaited.</summary>
    public bool IsBusy { get; protected set; }

    public bool IsDone
    {
        get;
        set
        {
            if (field == value) return;
            field = value;
            Sa.DoneChanged(this);
        }
    }

    public Instant ForgetAt
    {
        get;
        set
        {
            field = value;
            Sa.Reset(this);
        }
    }

    = Instant.Never;

    /// <summary>When something is left to do, though the exchange may be over.</summary>
    public Instant DueAt
    {
        get;
        protected set
        {
            field = value;
            Sa.Reset(this);
        }
    }

    = Instant.Never;

    public abstract ExchangeType Type { get; }

    /// <summary>Its name in listings.</summary>
    public abstract string Task { get; }

    public abstract MessageKind Expected { get; }

    Instant ITimed.DueAt { get; set; }

    int ITimed.HeapSlot { get; set; }

    /// <summary>The peer's next message is authentic.</summary>
    public abstract bool CheckHash(scoped in ChainView view);

    /// <summary>The peer's next message, which is authentic and follows the rules.</summary>
    public abstract void Receive(scoped in ChainView view);

    /// <summary>The peer does not answer.</summary>
    public abstract void NoAnswer(int sent);

    /// <summary>What was left to do.</summary>
    public virtual void OnDue() => DueAt = Instant.Never;

    /// <summary>The peer's last message came again, and ours went again.</summary>
    public virtual void OnRepeated()
    {
    }

    /// <summary>The ISAKMP SA ends.</summary>
    public abstract void Abandon(string reason, string text);
}
