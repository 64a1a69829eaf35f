using Warifu.Primitives;
using Warifu.Wire;
using Warifu.Wire.V1;

namespace Warifu.V1;

/// <summary>Transport mode through a NAT (RFC 3947 section 5.2): NAT-OA says what the ends look like to each other, over which they compute checksums.</summary>
internal static class QuickNat
{
    /// <summary>The initiator's address, then the responder's, as we see them; in the drafts only our own (draft-ietf-ipsec-nat-t-ike-03 section 5.2).</summary>
    public static void Write(ChainBuilder builder, IsakmpSa sa, bool initiator)
    {
        if (sa.Peer.NatTraversal == VendorKind.NatTraversalDraft)
        {
            builder.Raw(PayloadV1.NatOaDraft, Body(sa.Local.Address));
            return;
        }

        var (first, second) = initiator ? (sa.Local, sa.Remote) : (sa.Remote, sa.Local);
        builder.Raw(PayloadV1.NatOa, Body(first.Address)).Raw(PayloadV1.NatOa, Body(second.Address));
    }

    /// <summary>Our end and the peer's as the peer sees them; none where it does not say.</summary>
    /// <param name="view">Its message.</param>
    /// <param name="initiator">We began this quick mode.</param>
    public static (IpAddress Local, IpAddress Remote) Read(scoped in ChainView view, bool initiator)
    {
        var type = view.IndexOf(PayloadV1.NatOa) >= 0 ? PayloadV1.NatOa : PayloadV1.NatOaDraft;
        var first = view.IndexOf(type);
        if (first < 0 || NatOaBody.TryParse(view.Body(first), out var one) != ParseError.None) return default;
        var second = view.IndexOf(type, first + 1);
        // a single one is that of its sender
        if (second < 0 || NatOaBody.TryParse(view.Body(second), out var other) != ParseError.None) return (default, one);
        return initiator ? (one, other) : (other, one);
    }

    /// <summary>An end behind a NAT has another address here than in the peer's proxy IDs.</summary>
    public static (TrafficSelector Local, TrafficSelector Remote) Substitute(IsakmpSa sa, (TrafficSelector Local, TrafficSelector Remote) asked)
    {
        var (local, remote) = asked;
        if (sa.RemoteBehindNat && remote.First == remote.Last && remote.Version == sa.Remote.Address.Version) remote = remote with { First = sa.Remote.Address, Last = sa.Remote.Address };
        if (sa.LocalBehindNat && local.First == local.Last && local.Version == sa.Local.Address.Version) local = local with { First = sa.Local.Address, Last = sa.Local.Address };
        return (local, remote);
    }

    private static byte[] Body(IpAddress address) => [(byte)(address.IsV4 ? IdV1.Ipv4 : IdV1.Ipv6), 0, 0, 0, .. address.ToOctets()];
}
