using System;
using Warifu.Engine;
using Warifu.Primitives;

namespace Warifu.V2.Exchanges;

/// <summary>TEMPORARY_FAILURE (RFC 7296 section 2.25): wait, never at once again; after several minutes the two sides are out of step and the IKE SA ends.</summary>
internal static class Retries
{
    /// <param name="sa">Whose.</param>
    /// <param name="exchange">What was refused.</param>
    /// <param name="tries">How often.</param>
    /// <param name="deadline">Hard lifetime of what it is about; <see cref="Instant.Never"/> = none.</param>
    public static void Later(IkeSa sa, Exchange exchange, int tries, Instant deadline)
    {
        if (tries >= ProtocolTimes.TemporaryFailureTries)
        {
            const string text = "the peer was busy for minutes (TEMPORARY_FAILURE): the two sides are out of step";
            exchange.OnAbandoned(sa, "out-of-step", text);
            Lifetimes.DeleteButWant(sa, "out-of-step", text);
            return;
        }

        var wait = ProtocolTimes.TemporaryFailureWait * Math.Pow(ProtocolTimes.TemporaryFailureFactor, tries - 1);
        if (wait > ProtocolTimes.TemporaryFailureLongest) wait = ProtocolTimes.TemporaryFailureLongest;
        // what must be rekeyed before its end is tried again before
        if (deadline != Instant.Never && (deadline - sa.Engine.Now) / 6 < wait) wait = (deadline - sa.Engine.Now) / 6;
        if (wait < ProtocolTimes.TemporaryFailureLeast) wait = ProtocolTimes.TemporaryFailureLeast;
        sa.Later.Add(exchange);
        var at = sa.Engine.Now + wait + sa.Engine.Entropy.NextSpan(wait);
        sa.RetryAt = Instant.Min(sa.RetryAt, at);
    }
}
