using Warifu.Primitives;
using Warifu.Wire;

namespace Warifu.V2;

/// <summary>The initiator's side of one exchange: from the request to its answer. An IKE SA runs one at a time and queues the others, but for those that may run beside each other where the peer has room (RFC 7296 section 2.3).</summary>
internal abstract class Exchange
{
    public abstract ExchangeType Type { get; }

    /// <summary>Name in status listings: IKE_INIT, CHILD_CREATE …</summary>
    public abstract string Task { get; }

    /// <summary>Writes the request. False: there is nothing to do any more.</summary>
    public abstract bool TryBuild(IkeSa sa, MessageBuilder builder);

    /// <summary>When the peer counts as dead if it has not answered; <see cref="Instant.Never"/> = when all retransmissions are used up.</summary>
    public virtual Instant GiveUpAt => Instant.Never;

    /// <summary>Neither result changes what the other asks for, in whatever order the peer takes them.</summary>
    public virtual bool MayRunBeside(Exchange other) => false;

    /// <summary>Takes the answer: authentic, and checked against the payload rules.</summary>
    public abstract void OnResponse(IkeSa sa, scoped in MessageView view);

    /// <summary>The IKE SA was rekeyed and is gone before the answer came: true when the exchange is to begin anew on the IKE SA that replaced it.</summary>
    public virtual bool TryMove(IkeSa from) => false;

    /// <summary>The answer never came, or the IKE SA ended before: whoever waits is told.</summary>
    public virtual void OnAbandoned(IkeSa sa, string reason, string text)
    {
    }
}
