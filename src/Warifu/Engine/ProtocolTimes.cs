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

    /// <summary>Each further wait is this much longer: ten tries take several minutes, after which the state of both sides counts as out of step.</summary>
    public const double TemporaryFailureFactor = 1.5;

    public static TimeSpan TemporaryFailureLongest { get; } = TimeSpan.FromSeconds(30);

    public const int TemporaryFailureTries = 10;

    /// <summary>A rekeyed SA waits this long for the peer's delete: longer than a peer that did not get our answer goes on asking.</summary>
    public static TimeSpan DeleteWait { get; } = TimeSpan.FromMinutes(4);

    /// <summary>A rekeying that was refused is tried again after this time, or after half of what is left of the hard lifetime if that is less.</summary>
    public static TimeSpan RekeyRetry { get; } = TimeSpan.FromMinutes(1);

    /// <summary>The last answer of an IKE SA that is gone stays this long, for a peer that did not get it.</summary>
    public static TimeSpan Linger { get; } = TimeSpan.FromSeconds(90);

    /// <summary>Last answers that are kept.</summary>
    public const int LingeringAnswers = 4096;

    /// <summary>Message id at which the IKE SA is rekeyed (RFC 7296 section 2.2).</summary>
    public const uint MessageIdsSoft = 0xC000_0000;

    /// <summary>Reports of refused first messages in a second: they are for people, and anybody can cause them.</summary>
    public const int RefusalReportsPerSecond = 20;

    /// <summary>Back-off of connections that must stay up.</summary>
    public static TimeSpan RetryFirst { get; } = TimeSpan.FromSeconds(1);

    public static TimeSpan RetryLongest { get; } = TimeSpan.FromMinutes(5);

    public const int ReportSteps = 64;

    /// <summary>Children of one IKE SA; more are answered with NO_ADDITIONAL_SAS.</summary>
    public const int ChildrenPerIke = 4096;

    /// <summary>Exchanges that may wait on one IKE SA.</summary>
    public const int QueuedExchanges = 8192;
}
