using System;

namespace Warifu.Primitives;

/// <summary>A moment of monotonic time in nanoseconds (CLOCK_BOOTTIME on a real host, virtual time in simulation). The core never reads a clock: instants come in with every call.</summary>
/// <param name="Nanoseconds">Nanoseconds since an arbitrary origin that is the same for all calls.</param>
public readonly record struct Instant(long Nanoseconds) : IComparable<Instant>
{
    /// <summary>Later than every other instant.</summary>
    public static Instant Never => new(long.MaxValue);

    /// <summary>The instant <paramref name="span"/> after <paramref name="at"/>; saturates at <see cref="Never"/>.</summary>
    public static Instant operator +(Instant at, TimeSpan span)
    {
        if (at == Never || span == TimeSpan.MaxValue) return Never;
        var sum = (Int128)at.Nanoseconds + ((Int128)span.Ticks * 100);
        return sum >= long.MaxValue ? Never : new((long)sum);
    }

    /// <summary>The instant <paramref name="span"/> before <paramref name="at"/>.</summary>
    public static Instant operator -(Instant at, TimeSpan span) => new(at.Nanoseconds - (span.Ticks * 100));

    /// <summary>The time from <paramref name="earlier"/> to <paramref name="later"/>.</summary>
    public static TimeSpan operator -(Instant later, Instant earlier) => TimeSpan.FromTicks((later.Nanoseconds - earlier.Nanoseconds) / 100);

    /// <summary>Earlier than.</summary>
    public static bool operator <(Instant left, Instant right) => left.Nanoseconds < right.Nanoseconds;

    /// <summary>Later than.</summary>
    public static bool operator >(Instant left, Instant right) => left.Nanoseconds > right.Nanoseconds;

    /// <summary>Not later than.</summary>
    public static bool operator <=(Instant left, Instant right) => left.Nanoseconds <= right.Nanoseconds;

    /// <summary>Not earlier than.</summary>
    public static bool operator >=(Instant left, Instant right) => left.Nanoseconds >= right.Nanoseconds;

    /// <summary>The earlier of the two.</summary>
    public static Instant Min(Instant left, Instant right) => left <= right ? left : right;

    /// <inheritdoc/>
    public int CompareTo(Instant other) => Nanoseconds.CompareTo(other.Nanoseconds);
}
