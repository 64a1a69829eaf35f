using System;
using System.Buffers.Binary;
using Warifu.Crypto;
using Warifu.Primitives;
using Warifu.Wire.V1;

namespace Warifu.V1;

/// <summary>NAT-D (RFC 3947 section 3.2): hashes of both ends as each side sees them, with the hash that was negotiated.</summary>
internal static class NatDetectionV1
{
    public static void Write(ChainBuilder builder, IsakmpSa sa)
    {
        if (!sa.Connection.NatTraversal || TypeOf(sa) is not { } type) return;
        // the receiver's end first, then ours; a wrong one makes the peer believe that we are behind a NAT, so that ESP travels in UDP
        var own = Hash(sa, sa.Local);
        if (sa.ForceEncapsulation) own[0] ^= 0xFF;
        builder.Raw(type, Hash(sa, sa.Remote)).Raw(type, own);
    }

    /// <summary>What the peer's hashes say: the first is our end as it sees it, the others are its own possible ends.</summary>
    public static void Read(IsakmpSa sa, scoped in ChainView view)
    {
        if (!sa.Connection.NatTraversal || TypeOf(sa) is not { } type) return;
        var first = view.IndexOf(type);
        if (first < 0 || view.IndexOf(type, first + 1) < 0) return;
        sa.LocalBehindNat = !view.Body(first).SequenceEqual(Hash(sa, sa.Local));
        var expected = Hash(sa, sa.Remote);
        sa.RemoteBehindNat = true;
        for (var i = view.IndexOf(type, first + 1); i >= 0; i = view.IndexOf(type, i + 1)) sa.RemoteBehindNat &= !view.Body(i).SequenceEqual(expected);
    }

    private static PayloadV1? TypeOf(IsakmpSa sa) => sa.Peer.NatTraversal switch { VendorKind.NatTraversal => PayloadV1.NatD, VendorKind.NatTraversalDraft => PayloadV1.NatDDraft, _ => null };

    private static byte[] Hash(IsakmpSa sa, Endpoint endpoint)
    {
        var end = new byte[endpoint.Address.Length + 2];
        endpoint.Address.Write(end);
        BinaryPrimitives.WriteUInt16BigEndian(end.AsSpan(endpoint.Address.Length), endpoint.Port);
        return KeyScheduleV1.Digest(sa.Suite!.Prf, sa.Cookies(), end);
    }
}
