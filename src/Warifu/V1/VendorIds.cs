using System;
using System.Collections.Immutable;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Wire.V1;

namespace Warifu.V1;

/// <summary>What a vendor ID announces. There is no other negotiation of extensions in IKEv1.</summary>
internal enum VendorKind
{
    Unknown,
    /// <summary>Only a name, for the log.</summary>
    Named,
    NatTraversal,
    /// <summary>draft-ietf-ipsec-nat-t-ike-02 and -03: the same with other numbers.</summary>
    NatTraversalDraft,
    /// <summary>Older drafts, which go by port 500: they are recognised and not spoken.</summary>
    NatTraversalOld,
    DeadPeerDetection,
    Fragmentation,
    Xauth,
    Unity,
}

/// <summary>One known vendor ID. Some carry a version behind it.</summary>
internal sealed record VendorId(VendorKind Kind, string Name, ImmutableArray<byte> Octets)
{
    public static VendorId Of(VendorKind kind, string name, string octets) => new(kind, name, [.. Convert.FromHexString(octets)]);
}

/// <summary>The table of vendor IDs. Most are MD5 of a name; what matters is what they announce.</summary>
internal static class VendorIds
{
    // RFC 3947 section 3.1, RFC 3706 section 5; the others are what peers send
    private static readonly VendorId
        s_natT = VendorId.Of(VendorKind.NatTraversal, "NAT-T (RFC 3947)", "4a131c81070358455c5728f20e95452f"),
        s_natT03 = VendorId.Of(VendorKind.NatTraversalDraft, "draft-ietf-ipsec-nat-t-ike-03", "7d9419a65310ca6f2c179d9215529d56"),
        s_natT02 = VendorId.Of(VendorKind.NatTraversalDraft, "draft-ietf-ipsec-nat-t-ike-02 with a line feed", "90cb80913ebb696e086381b5ec427b1f"),
        s_xauth = VendorId.Of(VendorKind.Xauth, "XAuth", "09002689dfd6b712"),
        s_unity = VendorId.Of(VendorKind.Unity, "Cisco Unity", "12f5f28c457168a9702d9fe274cc"),
        s_deadPeer = VendorId.Of(VendorKind.DeadPeerDetection, "DPD", "afcad71368a1f1c96b8696fc77570100"),
        // the last four octets say that main and aggressive mode may come in pieces
        s_fragmentation = VendorId.Of(VendorKind.Fragmentation, "FRAGMENTATION", "4048b7d56ebce88525e7de7f00d6c2d380000000");

    private static readonly VendorId[] s_known =
    [
        s_natT, s_natT03, s_natT02, s_xauth, s_unity, s_deadPeer,
        VendorId.Of(VendorKind.NatTraversalDraft, "draft-ietf-ipsec-nat-t-ike-02", "cd60464335df21f87cfdb2fc68b6a448"),
        VendorId.Of(VendorKind.NatTraversalOld, "draft-ietf-ipsec-nat-t-ike-01", "16f6ca16e4a4066d83821a0f0aeaa862"),
        VendorId.Of(VendorKind.NatTraversalOld, "draft-ietf-ipsec-nat-t-ike-00", "4485152d18b6bbcd0be8a8469579ddcc"),
        VendorId.Of(VendorKind.NatTraversalOld, "draft-stenberg-ipsec-nat-traversal-01", "27bab5dc01ea0760ea4e3190ac27c0d0"),
        VendorId.Of(VendorKind.NatTraversalOld, "draft-stenberg-ipsec-nat-traversal-02", "6105c422e76847e43f9684801292aecd"),
        VendorId.Of(VendorKind.Named, "draft-ietf-ipsec-nat-t-ike", "4df37928e9fc4fd1b3262170d515c662"),
        VendorId.Of(VendorKind.Named, "draft-ietf-ipsec-nat-t-ike-04", "9909b64eed937c6573de52ace952fa6b"),
        VendorId.Of(VendorKind.Named, "draft-ietf-ipsec-nat-t-ike-05", "80d0bb3def54565ee84645d4c85ce3ee"),
        VendorId.Of(VendorKind.Named, "draft-ietf-ipsec-nat-t-ike-06", "4d1e0e136deafa34c4f3ea9f02ec7285"),
        VendorId.Of(VendorKind.Named, "draft-ietf-ipsec-nat-t-ike-07", "439b59f8ba676c4c7737ae22eab8f582"),
        VendorId.Of(VendorKind.Named, "draft-ietf-ipsec-nat-t-ike-08", "8f8d83826d246b6fc7a8a6a428c11de8"),
        VendorId.Of(VendorKind.Fragmentation, "FRAGMENTATION", "4048b7d56ebce88525e7de7f00d6c2d3"),
        VendorId.Of(VendorKind.Named, "strongSwan", "882fe56d6fd20dbc2251613b2ebe5beb"),
        VendorId.Of(VendorKind.Named, "MS NT5 ISAKMPOAKLEY", "1e2b516905991c7d7c96fcbfb587e461"),
        VendorId.Of(VendorKind.Named, "MS-Negotiation Discovery Capable", "fb1de3cdf341b7ea16b7e5be0855f120"),
        VendorId.Of(VendorKind.Named, "Vid-Initial-Contact", "26244d38eddb61b3172a36e3d0cfb819"),
        VendorId.Of(VendorKind.Named, "Juniper SRX", "fd808804df73b15150709d878044cde0ac1efcde"),
        VendorId.Of(VendorKind.Named, "NetScreen", "699369228741c6d4ca094c93e242c9de"),
        VendorId.Of(VendorKind.Named, "KAME/racoon", "7003cbc1097dbe9c2600ba6983bc8b35"),
        VendorId.Of(VendorKind.Named, "Cisco VPN 3000 client", "f6f7efc7f5aeb8cb158cb9d094ba69e7"),
        VendorId.Of(VendorKind.Named, "Cisco VPN concentrator", "1f07f70eaa6514d3b0fa96542a50"),
    ];

    public static VendorId? Find(ReadOnlySpan<byte> octets)
    {
        foreach (var known in s_known)
        {
            if (octets.StartsWith(known.Octets.AsSpan())) return known;
        }

        return null;
    }

    /// <summary>What we announce; as responder only what the initiator announced too, so that the answer is never longer than what it answers.</summary>
    public static void Write(ChainBuilder builder, Connection connection, PeerTraits? asked)
    {
        if (connection.NatTraversal)
        {
            if (asked is null or { NatTraversal: VendorKind.NatTraversal }) builder.VendorId(s_natT.Octets.AsSpan());
            if (asked is null) builder.VendorId(s_natT03.Octets.AsSpan()).VendorId(s_natT02.Octets.AsSpan());
            else if (asked.NatTraversal == VendorKind.NatTraversalDraft) builder.VendorId(asked.NatTraversalId);
        }

        if ((RemoteAccess.IsUser(connection) || RemoteAccess.HasUsers(connection)) && asked is null or { Xauth: true }) builder.VendorId(s_xauth.Octets.AsSpan());
        // clients and gateways of addresses know Cisco's attributes; its version is 1.0
        if (!(connection.VirtualIps.IsEmpty && connection.Pools.IsEmpty) && asked is null or { Unity: true }) builder.VendorId([.. s_unity.Octets, 1, 0]);
        if (asked is null or { DeadPeerDetection: true }) builder.VendorId(s_deadPeer.Octets.AsSpan());
        if (connection.Fragmentation != FragmentationPolicy.No && (asked is null || asked.FragmentationLength > 0)) builder.VendorId(s_fragmentation.Octets.AsSpan()[..(asked is { FragmentationLength: < 20 } ? 16 : 20)]);
    }
}

/// <summary>What the peer can do, by its vendor IDs.</summary>
internal sealed class PeerTraits
{
    /// <summary><see cref="VendorKind.NatTraversal"/>, <see cref="VendorKind.NatTraversalDraft"/> or unknown.</summary>
    public VendorKind NatTraversal { get; private set; }

    public byte[] NatTraversalId { get; private set; } = [];

    public bool DeadPeerDetection { get; private set; }

    /// <summary>Octets of the vendor ID; 0 = the peer takes no fragments.</summary>
    public int FragmentationLength { get; private set; }

    public bool Xauth { get; private set; }

    public bool Unity { get; private set; }

    /// <summary>Names for the report.</summary>
    public ImmutableArray<string> Names { get; private set; } = [];

    public void Read(scoped in ChainView view)
    {
        for (var i = 0; i < view.Count; i++)
        {
            if (view[i].Type != PayloadV1.VendorId) continue;
            var found = VendorIds.Find(view.Body(i));
            if (found is not null && Names.Length < 16 && !Names.Contains(found.Name)) Names = Names.Add(found.Kind == VendorKind.NatTraversalOld ? found.Name + " (not spoken here)" : found.Name);
            switch (found?.Kind)
            {
                case VendorKind.NatTraversal:
                    NatTraversal = VendorKind.NatTraversal;
                    break;
                case VendorKind.NatTraversalDraft when NatTraversal == VendorKind.Unknown:
                    (NatTraversal, NatTraversalId) = (VendorKind.NatTraversalDraft, view.Body(i).ToArray());
                    break;
                case VendorKind.DeadPeerDetection:
                    DeadPeerDetection = true;
                    break;
                case VendorKind.Fragmentation:
                    FragmentationLength = Math.Max(FragmentationLength, Math.Min(view.Body(i).Length, 20));
                    break;
                case VendorKind.Xauth:
                    Xauth = true;
                    break;
                case VendorKind.Unity:
                    Unity = true;
                    break;
            }
        }
    }
}
