using System.Threading;

namespace Warifu.Ipsec;

/// <summary>
/// Lets one thread at a time use a direction of an SA, and none once it is closed: keys are zeroed only when nobody can be using them. A direction is held for one packet (about a microsecond),
/// so that whoever finds it taken spins; a host with one sender and one receiver thread never does.
/// </summary>
internal struct SaGate
{
    private const int Free = 0, Taken = 1, Closed = 2;
    private int _state;

    public readonly bool IsClosed => _state == Closed;

    /// <summary>False when closed, now and for ever.</summary>
    public bool TryEnter()
    {
        var spin = default(SpinWait);
        while (true)
        {
            var seen = Interlocked.CompareExchange(ref _state, Taken, Free);
            if (seen == Free) return true;
            if (seen == Closed) return false;
            spin.SpinOnce();
        }
    }

    public void Exit() => Volatile.Write(ref _state, Free);

    /// <summary>Waits for the packet that is under way. True for the one call that closed it.</summary>
    public bool Close()
    {
        var spin = default(SpinWait);
        while (true)
        {
            var seen = Interlocked.CompareExchange(ref _state, Closed, Free);
            if (seen == Free) return true;
            if (seen == Closed) return false;
            spin.SpinOnce();
        }
    }
}
