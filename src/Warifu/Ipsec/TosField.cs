namespace Warifu.Ipsec;

/// <summary>DSCP and ECN between inner and outer header (RFC 4301 section 5.1.2, RFC 2983, RFC 6040).</summary>
internal static class TosField
{
    private const byte EcnMask = 0x03;
    private const byte NotEct = 0, Ect1 = 1, Ect0 = 2, Ce = 3;

    /// <summary>Outer octet of a packet that is wrapped: ECN copied (normal mode of RFC 6040 section 4.1) or zero (compatibility mode).</summary>
    public static byte Wrap(byte inner, bool copyDscp, bool copyEcn) => (byte)((copyDscp ? inner & ~EcnMask : 0) | (copyEcn ? inner & EcnMask : 0));

    /// <summary>Inner octet of a packet that is unwrapped (RFC 6040 figure 4). False: drop it, congestion was signalled to a transport that cannot hear it.</summary>
    public static bool TryUnwrap(byte inner, byte outer, bool copyDscp, bool copyEcn, out byte combined)
    {
        var ecn = (byte)(inner & EcnMask);
        var dscp = (copyDscp ? outer : inner) & ~EcnMask;
        combined = (byte)(dscp | ecn);
        if (!copyEcn) return true;
        switch (ecn, outer & EcnMask)
        {
            case (NotEct, Ce):
                return false;
            case (Ect0 or Ect1, Ce):
                combined = (byte)(dscp | Ce);
                return true;
            case (Ect0, Ect1):
                combined = (byte)(dscp | Ect1);
                return true;
            default:
                return true;
        }
    }
}
