using System.Collections.Immutable;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Wire;

namespace Warifu.V2.Exchanges;

/// <summary>A concern that rides on IKE_SA_INIT beside proposal, key exchange, nonces and NAT detection. Nothing here is authenticated before AUTH covers it: a part notes what the peer said, and acts on it later.</summary>
internal abstract class InitPart
{
    /// <summary>All of them, in the order in which they write and read.</summary>
    public static ImmutableArray<InitPart> All { get; } = [new ChildlessPart(), new FragmentationPart(), new RedirectPart(), new SignatureHashPart(), new MultipleAuthPart(), new CertReqPart(), new PpkPart()];

    public virtual void WriteRequest(IkeSa sa, MessageBuilder builder)
    {
    }

    public virtual void ReadRequest(IkeSa sa, scoped in MessageView view)
    {
    }

    public virtual void WriteResponse(IkeSa sa, MessageBuilder builder)
    {
    }

    public virtual void ReadResponse(IkeSa sa, scoped in MessageView view)
    {
    }

    /// <summary>The most octets that <see cref="WriteResponse"/> may add, known before there is an SA: what answers more than 1.5 times the request needs a cookie first.</summary>
    public virtual int ResponseLength(Connection connection, scoped in MessageView request) => 0;

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

    internal static int ResponseLengths(Connection connection, scoped in MessageView request)
    {
        var length = 0;
        foreach (var part in All) length += part.ResponseLength(connection, request);
        return length;
    }
}

/// <summary>CHILDLESS_IKEV2_SUPPORTED (RFC 6023 section 4).</summary>
internal sealed class ChildlessPart : InitPart
{
    public override void WriteResponse(IkeSa sa, MessageBuilder builder)
    {
        if (sa.Connection.Childless != ChildlessPolicy.Never) builder.Notify(NotifyType.ChildlessIkev2Supported);
    }

    public override void ReadResponse(IkeSa sa, scoped in MessageView view) => sa.Peer.Childless = view.HasNotify(NotifyType.ChildlessIkev2Supported);

    public override int ResponseLength(Connection connection, scoped in MessageView request) => connection.Childless != ChildlessPolicy.Never ? 8 : 0;
}
