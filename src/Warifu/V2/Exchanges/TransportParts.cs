using Warifu.Engine;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Wire;

namespace Warifu.V2.Exchanges;

/// <summary>IKEV2_FRAGMENTATION_SUPPORTED (RFC 7383 section 2.3): it is used only when both sides say so.</summary>
internal sealed class FragmentationPart : InitPart
{
    public override void WriteRequest(IkeSa sa, MessageBuilder builder)
    {
        if (sa.Connection.Fragmentation != FragmentationPolicy.No) builder.Notify(NotifyType.Ikev2FragmentationSupported);
    }

    public override void ReadRequest(IkeSa sa, scoped in MessageView view) => Read(sa, view);

    public override void WriteResponse(IkeSa sa, MessageBuilder builder)
    {
        if (sa.Peer.Fragmentation) builder.Notify(NotifyType.Ikev2FragmentationSupported);
    }

    public override void ReadResponse(IkeSa sa, scoped in MessageView view) => Read(sa, view);

    public override int ResponseLength(Connection connection, scoped in MessageView request) => connection.Fragmentation != FragmentationPolicy.No && request.HasNotify(NotifyType.Ikev2FragmentationSupported) ? 8 : 0;

    private static void Read(IkeSa sa, scoped in MessageView view) => sa.Peer.Fragmentation = sa.Connection.Fragmentation != FragmentationPolicy.No && view.HasNotify(NotifyType.Ikev2FragmentationSupported);
}

/// <summary>MOBIKE_SUPPORTED and the further addresses of both sides (RFC 4555 sections 3.1 and 3.4).</summary>
internal sealed class MobikePart : AuthPart
{
    public override void WriteRequest(IkeSa sa, MessageBuilder builder)
    {
        if (sa.Connection.Mobike) Mobike.WriteSupported(sa, builder);
    }

    public override void ReadRequest(IkeSa sa, scoped in MessageView view) => Read(sa, view);

    public override void WriteResponse(IkeSa sa, MessageBuilder builder)
    {
        if (sa.Peer.Mobike) Mobike.WriteSupported(sa, builder);
    }

    public override void ReadResponse(IkeSa sa, scoped in MessageView view) => Read(sa, view);

    private static void Read(IkeSa sa, scoped in MessageView view)
    {
        sa.Peer.Mobike = sa.Connection.Mobike && view.HasNotify(NotifyType.MobikeSupported);
        if (sa.Peer.Mobike) Mobike.ReadAddresses(sa, view);
    }
}

/// <summary>REDIRECT_SUPPORTED and REDIRECTED_FROM of a client (RFC 5685 section 3).</summary>
internal sealed class RedirectPart : InitPart
{
    public override void WriteRequest(IkeSa sa, MessageBuilder builder)
    {
        if (sa.Handshake!.RedirectedFrom is { IsNone: false } from) builder.Notify(NotifyType.RedirectedFrom, [from.IsV4 ? (byte)1 : (byte)2, (byte)from.Length, .. from.ToOctets()]);
        else if (sa.Connection.FollowRedirects) builder.Notify(NotifyType.RedirectSupported);
    }
}

/// <summary>A REDIRECT in IKE_AUTH (RFC 5685 section 6): the gateway has proved who it is.</summary>
internal sealed class RedirectedPart : AuthPart
{
    public override void ReadResponse(IkeSa sa, scoped in MessageView view)
    {
        if (sa.Connection.FollowRedirects && view.TryGetNotify(NotifyType.Redirect, out var redirect)) sa.Handshake!.RedirectedTo = IkeEngine.GatewayOf(redirect, out _);
    }
}
