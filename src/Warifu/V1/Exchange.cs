using Warifu.Primitives;
using Warifu.Wire.V1;

namespace Warifu.V1;

/// <summary>An exchange under an ISAKMP SA with a message ID of its own: quick mode, Mode Config.</summary>
internal abstract class Exchange(IsakmpSa sa, uint messageId)
{
    public IsakmpSa Sa { get; } = sa;

    public uint MessageId { get; } = messageId;

    /// <summary>IV of the next message, of whichever side.</summary>
    public byte[] Iv { get; set; } = sa.ExchangeIv(messageId);

    public Flight Flight { get; } = new();

    /// <summary>An answer of the host is awaited.</summary>
    public bool IsBusy { get; protected set; }

    public bool IsDone { get; set; }

    public Instant ForgetAt { get; set; } = Instant.Never;

    /// <summary>When something is left to do, though the exchange may be over.</summary>
    public Instant DueAt { get; protected set; } = Instant.Never;

    public abstract ExchangeType Type { get; }

    /// <summary>Its name in listings.</summary>
    public abstract string Task { get; }

    public abstract MessageKind Expected { get; }

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
