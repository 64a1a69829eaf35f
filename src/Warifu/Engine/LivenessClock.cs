using System;
using Warifu.Policy;
using Warifu.Primitives;

namespace Warifu.Engine;

/// <summary>When a peer is asked whether it is still there (RFC 7296 section 2.4, RFC 3706): a pure function, the same in both versions.</summary>
internal static class LivenessClock
{
    /// <summary>So often in the time of the connection it is looked whether something was sent that has no answer.</summary>
    public const int Looks = 4;

    /// <summary>When a check is due (now or earlier: at once) or is to be thought of again, and since when something that we sent has had no answer.</summary>
    /// <param name="mode">Of the connection.</param>
    /// <param name="delay">Of the connection.</param>
    /// <param name="now">The time.</param>
    /// <param name="heard">Last authentic message or packet of the peer: proof of life.</param>
    /// <param name="lastOut">Last packet to the peer.</param>
    /// <param name="unanswered">What this said before; <see cref="Instant.Never"/> = nothing.</param>
    public static (Instant At, Instant Unanswered) Next(DpdMode mode, TimeSpan delay, Instant now, Instant heard, Instant lastOut, Instant unanswered)
    {
        switch (mode)
        {
            case DpdMode.AlwaysSend:
                return (now, Instant.Never);
            case DpdMode.Optimized when lastOut <= heard:
                return (now + (delay / Looks), Instant.Never);
            case DpdMode.Optimized:
                // the first packet without an answer is not known, only the last one when it was noticed: that one is given its time
                if (unanswered == Instant.Never || unanswered <= heard) unanswered = lastOut;
                return (unanswered + delay, unanswered);
            default:
                return (heard + delay, Instant.Never);
        }
    }
}
