using System;
using System.Collections.Immutable;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Wire;

namespace Warifu.V2.Exchanges;

/// <summary>
/// A concern that rides on IKE_AUTH beside identities, proofs and the first child. Writing: into the first request, and into the response that carries the responder's last proof. Reading: from the same two messages, but only once
/// their sender is authenticated.
/// </summary>
internal abstract class AuthPart
{
    /// <summary>All of them, in the order in which they write and read.</summary>
    public static ImmutableArray<AuthPart> All { get; } = [new InitialContactPart(), new LifePart(), new MobikePart(), new RedirectedPart(), new ConfigurationPart()];

    /// <summary>The initiator, before the first child's payloads.</summary>
    public virtual void WriteRequest(IkeSa sa, MessageBuilder builder)
    {
    }

    /// <summary>The responder; the initiator is authenticated.</summary>
    public virtual void ReadRequest(IkeSa sa, scoped in MessageView view)
    {
    }

    /// <summary>The responder, before the first child's payloads.</summary>
    public virtual void WriteResponse(IkeSa sa, MessageBuilder builder)
    {
    }

    /// <summary>The initiator; the responder is authenticated, the child's answer has not been looked at.</summary>
    public virtual void ReadResponse(IkeSa sa, scoped in MessageView view)
    {
    }

    /// <summary>The responder, after all parts have read the request: calls <paramref name="next"/> once, at once or when an answer of the host has come.</summary>
    public virtual void BeforeChild(IkeSa sa, Action next) => next();

    internal static void WriteRequests(IkeSa sa, MessageBuilder builder)
    {
        foreach (var part in All) part.WriteRequest(sa, builder);
    }

    internal static void ReadRequests(IkeSa sa, scoped in MessageView view)
    {
        foreach (var part in All) part.ReadRequest(sa, view);
    }

    internal static void WriteResponses(IkeSa sa, MessageBuilder builder)
    {
        foreach (var part in All) part.WriteResponse(sa, builder);
    }

    internal static void ReadResponses(IkeSa sa, scoped in MessageView view)
    {
        foreach (var part in All) part.ReadResponse(sa, view);
    }

    /// <summary>One part after the other.</summary>
    internal static void BeforeChildren(IkeSa sa, Action next) => BeforeChild(sa, 0, next);

    private static void BeforeChild(IkeSa sa, int index, Action next)
    {
        if (index == All.Length) next();
        else All[index].BeforeChild(sa, () => BeforeChild(sa, index + 1, next));
    }
}

/// <summary>INITIAL_CONTACT (RFC 7296 section 2.4): we have no other IKE SA with this peer.</summary>
internal sealed class InitialContactPart : AuthPart
{
    public override void WriteRequest(IkeSa sa, MessageBuilder builder)
    {
        if (sa.Engine.BeginContact(sa) && sa.Connection.Unique != UniquePolicy.Never) builder.Notify(NotifyType.InitialContact);
    }

    public override void ReadRequest(IkeSa sa, scoped in MessageView view) => sa.Handshake!.InitialContact = view.HasNotify(NotifyType.InitialContact);

    public override void ReadResponse(IkeSa sa, scoped in MessageView view) => sa.Handshake!.InitialContact = view.HasNotify(NotifyType.InitialContact);
}
