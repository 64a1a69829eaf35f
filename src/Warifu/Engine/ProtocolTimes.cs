using System;

namespace Warifu.Engine;

/// <summary>All times and bounds of the protocol on one screen.</summary>
internal static class ProtocolTimes
{
    /// <summary>Each further wait is this much longer (RFC 7296 section 2.4 asks for exponential back-off).</summary>
    public const double RetransmitFactor = 1.8;

    /// <summary>Random part of a wait, so that many peers do not beat in time.</summary>
    public const double RetransmitJitter = 0.1;

    public static TimeSpan RetransmitLongest { get; } = TimeSpan.FromSeconds(30);

    /// <summary>How often a cookie or another group may be asked of us before we give up.</summary>
    public const int InitRestarts = 4;

    /// <summary>Wait before an exchange that got TEMPORARY_FAILURE is tried again, plus as much again at random (RFC 7296 section 2.25).</summary>
    public static TimeSpan TemporaryFailureWait { get; } = TimeSpan.FromSeconds(2);

    public const int TemporaryFailureTries = 10;

    /// <summary>A rekeyed or refused SA waits this long for the peer's delete.</summary>
    public static TimeSpan DeleteWait { get; } = TimeSpan.FromSeconds(20);

    /// <summary>Back-off of connections that must stay up.</summary>
    public static TimeSpan RetryFirst { get; } = TimeSpan.FromSeconds(1);

    public static TimeSpan RetryLongest { get; } = TimeSpan.FromMinutes(5);

    public const int ReportSteps = 64;

    /// <summary>Children of one IKE SA; more are answered with NO_ADDITIONAL_SAS.</summary>
    public const int ChildrenPerIke = 4096;

    /// <summary>Exchanges that may wait on one IKE SA.</summary>
    public const int QueuedExchanges = 8192;
}
