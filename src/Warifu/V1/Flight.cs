using System;
using Warifu.Engine;
using Warifu.Primitives;

namespace Warifu.V1;

/// <summary>The last message that we sent in an exchange: it goes again when its answer does not come, and when the message that it answers comes again.</summary>
/// <param name="changed">Told when the time changes at which it goes again.</param>
internal sealed class Flight(Action? changed = null)
{
    /// <summary>Datagrams; several when it was cut.</summary>
    public byte[][] Messages { get; set; } = [];

    /// <summary>Digest of the last message that was taken in this exchange.</summary>
    public UInt128? Received { get; set; }

    /// <summary>When it goes again; <see cref="Instant.Never"/> = only when it is asked for.</summary>
    public Instant RetransmitAt
    {
        get;
        private set
        {
            field = value;
            changed?.Invoke();
        }
    }

    = Instant.Never;

    public int Sent { get; private set; }

    /// <param name="engine">Whose options say how long to wait.</param>
    /// <param name="timed">We wait for an answer. What is sent to an address that nobody verified never goes again by a timer.</param>
    public void Launch(IkeEngine engine, bool timed)
    {
        Sent = 1;
        RetransmitAt = timed ? engine.Now + Wait(engine, 1) : Instant.Never;
    }

    public void Land() => RetransmitAt = Instant.Never;

    /// <summary>False when it has been sent often enough.</summary>
    public bool TryAgain(IkeEngine engine, int most)
    {
        if (Sent > most) return false;
        Sent++;
        RetransmitAt = engine.Now + Wait(engine, Sent);
        return true;
    }

    private static TimeSpan Wait(IkeEngine engine, int sent)
    {
        var wait = engine.Options.RetransmitTimeout * Math.Pow(ProtocolTimes.RetransmitFactor, sent - 1);
        if (wait > ProtocolTimes.RetransmitLongest) wait = ProtocolTimes.RetransmitLongest;
        return wait + engine.Entropy.NextSpan(wait * ProtocolTimes.RetransmitJitter);
    }
}
