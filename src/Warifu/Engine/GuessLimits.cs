using System;
using System.Collections.Generic;
using Warifu.Policy;
using Warifu.Primitives;

namespace Warifu.Engine;

/// <summary>Limits guesses at passwords: by user and address, so that nobody can lock a user out from elsewhere. Bounded: when there are too many all are forgotten.</summary>
internal sealed class GuessLimits
{
    private readonly Dictionary<(Identity User, UInt128 Prefix), (int Count, Instant Until)> _wrong = [];

    /// <summary>No password of this user is looked at from there for a while.</summary>
    public bool IsBarred(Identity user, IpAddress from, Instant now) => Of(Key(user, from), now) >= ProtocolTimes.WrongPasswords;

    /// <summary>A password was wrong. Returns what somebody should know.</summary>
    public string? Wrong(Identity user, IpAddress from, Instant now)
    {
        var here = Count(Key(user, from), now);
        var everywhere = Count((Identities.Canonical(user), UInt128.MaxValue), now);
        if (here == ProtocolTimes.WrongPasswords) return $"{here} wrong passwords of user {Identities.Print(user)} from {from}: none is looked at from there for {ProtocolTimes.GuessPeriod.TotalMinutes:0} minutes";
        if (everywhere == ProtocolTimes.WrongPasswordsInAll) return $"{everywhere} wrong passwords of user {Identities.Print(user)} within {ProtocolTimes.GuessPeriod.TotalMinutes:0} minutes: somebody guesses";
        return null;
    }

    public void Right(Identity user, IpAddress from) => _wrong.Remove(Key(user, from));

    private static (Identity, UInt128) Key(Identity user, IpAddress from) => (Identities.Canonical(user), from.IsV4 ? from.Bits : from.Bits >> 64 << 64);

    private int Of((Identity, UInt128) key, Instant now) => _wrong.TryGetValue(key, out var known) && known.Until > now ? known.Count : 0;

    private int Count((Identity, UInt128) key, Instant now)
    {
        var count = Of(key, now) + 1;
        if (_wrong.Count >= ProtocolTimes.GuessesRemembered && !_wrong.ContainsKey(key)) _wrong.Clear();
        _wrong[key] = (count, now + ProtocolTimes.GuessPeriod);
        return count;
    }
}
