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

    public static TimeSpan TemporaryFailureLeast { get; } = TimeSpan.FromMilliseconds(300);

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

    /// <summary>Wait before a new authentication that the peer's rekeyings made due, plus as much again at random.</summary>
    public static TimeSpan ReauthPause { get; } = TimeSpan.FromSeconds(1);

    /// <summary>A peer may not ask for another authentication sooner (RFC 4478 section 5).</summary>
    public static TimeSpan ReauthLeast { get; } = TimeSpan.FromSeconds(10);

    /// <summary>The responder of a pair that is made beside another one sends on it at the latest after this (RFC 7296 section 2.8).</summary>
    public static TimeSpan SendPatience { get; } = TimeSpan.FromSeconds(10);

    /// <summary>An IKE SA that a newer one of the same peer replaces stays this long, for a peer that does not know yet that the newer one is up.</summary>
    public static TimeSpan ReplacedPatience { get; } = TimeSpan.FromSeconds(5);

    /// <summary>Of two IKE SAs that both sides began at the same time the redundant one stays this long: longer than <see cref="SendPatience"/>, so that traffic has a way all the time.</summary>
    public static TimeSpan SettleSoon { get; } = TimeSpan.FromSeconds(3);

    /// <summary>Of two IKE SAs between the same peers the older one stays this long for the peer, which may be about to close it.</summary>
    public static TimeSpan SettlePatience { get; } = TimeSpan.FromSeconds(15);

    /// <summary>Hints that a peer has lost us are taken at most so often for one IKE SA (RFC 7296 section 2.21.4).</summary>
    public static TimeSpan HintInterval { get; } = TimeSpan.FromSeconds(10);

    /// <summary>So long after our start peers may not know that we have lost their SAs.</summary>
    public static TimeSpan RestartSpan { get; } = TimeSpan.FromMinutes(5);

    /// <summary>Answers to messages and packets of SAs that nobody knows, in a second, soon after our start (section 2.21.4).</summary>
    public const int StrangersPerSecond = 100;

    /// <summary>IKEv1: a half-open phase 1 whose address nobody verified gives way to a newer one after this: longer than an answer takes to come back.</summary>
    public static TimeSpan HalfOpenYields { get; } = TimeSpan.FromSeconds(1);

    /// <summary>IKEv1: an exchange that is over answers repetitions for so long.</summary>
    public static TimeSpan ExchangeMemory { get; } = TimeSpan.FromSeconds(120);

    /// <summary>IKEv1: who begins quick mode sends on the new pair after so long, or when the peer does so: its message 3 has no answer, and before it is there the peer cannot read what comes.</summary>
    public static TimeSpan SwitchSoon { get; } = TimeSpan.FromSeconds(2);

    /// <summary>IKEv1: a phase 1 under which nothing came for so long may be lost at the peer, since nobody answers a delete.</summary>
    public static TimeSpan PhaseInDoubt { get; } = TimeSpan.FromSeconds(30);

    /// <summary>IKEv1: a pair that we replaced is deleted after so long, a phase 1 that we replaced too: what is under way still arrives.</summary>
    public static TimeSpan RetireSoon { get; } = TimeSpan.FromSeconds(5);

    /// <summary>IKEv1: a pair that the peer has replaced and not deleted goes after so long, if the peer does not use it any more: its delete was lost.</summary>
    public static TimeSpan RetireUnused { get; } = TimeSpan.FromMinutes(1);

    /// <summary>IKEv1: answers to first messages of aggressive mode in a second while somebody floods us: each costs a key exchange before anybody has shown that he receives at his address.</summary>
    public const int AggressivePerSecond = 10;

    /// <summary>IKEv1: XAuth and Mode Config are over after this, with time to type a password.</summary>
    public static TimeSpan RemoteAccess { get; } = TimeSpan.FromSeconds(60);

    /// <summary>Wrong passwords of one user from one address (IPv6: one /64) within <see cref="GuessPeriod"/>; beyond, none is looked at any more.</summary>
    public const int WrongPasswords = 5;

    /// <summary>Wrong passwords of one user from everywhere within the period, beyond which somebody should look.</summary>
    public const int WrongPasswordsInAll = 20;

    public static TimeSpan GuessPeriod { get; } = TimeSpan.FromMinutes(5);

    /// <summary>Users and addresses whose wrong passwords are counted.</summary>
    public const int GuessesRemembered = 4096;

    /// <summary>IKEv1: peers that send on pairs that are gone here are told at most so often, all together.</summary>
    public static TimeSpan LostInterval { get; } = TimeSpan.FromMilliseconds(100);

    /// <summary>Message id at which the IKE SA is rekeyed (RFC 7296 section 2.2).</summary>
    public const uint MessageIdsSoft = 0xC000_0000;

    /// <summary>Reports of refused first messages in a second: they are for people, and anybody can cause them.</summary>
    public const int RefusalReportsPerSecond = 20;

    /// <summary>Life of a half-open responder SA while somebody floods us: a peer that means it sends IKE_AUTH at once.</summary>
    public static TimeSpan HalfOpenUnderAttack { get; } = TimeSpan.FromSeconds(10);

    /// <summary>Octets of an IP packet up to which IKE messages are not cut (RFC 7383 section 2.5.1).</summary>
    public const int FragmentSizeV4 = 576;

    public const int FragmentSizeV6 = 1280;

    /// <summary>How often fragments of one size are sent without an answer before smaller ones are tried (RFC 7383 section 2.5.2).</summary>
    public const int FragmentProbes = 2;

    /// <summary>How often a gateway may send us to another one within the period, for one connection (RFC 5685 section 7).</summary>
    public const int Redirects = 5;

    public static TimeSpan RedirectPeriod { get; } = TimeSpan.FromSeconds(300);

    /// <summary>How often a request is sent without an answer before other paths are tried (RFC 4555 section 3.5).</summary>
    public const int PathProbes = 2;

    /// <summary>Fragments of a message that does not become complete are forgotten (RFC 7383 section 2.6).</summary>
    public static TimeSpan Reassembly { get; } = TimeSpan.FromSeconds(30);

    /// <summary>Octets of a message in fragments from a peer that is not authenticated yet: enough for many certificates.</summary>
    public const int FragmentedOctetsBefore = 32_768;

    /// <summary>Back-off of connections that must stay up.</summary>
    public static TimeSpan RetryFirst { get; } = TimeSpan.FromSeconds(1);

    public static TimeSpan RetryLongest { get; } = TimeSpan.FromMinutes(5);

    public const int ReportSteps = 64;

    /// <summary>Characters of the details of one report; steps beyond have only their title.</summary>
    public const int ReportCharacters = 32_768;

    /// <summary>IKE SAs that we set up with one peer at the same time: fewer than the half-open ones that we would take from one address.</summary>
    public const int InitiationsPerPeer = 16;

    /// <summary>Children of one IKE SA; more are answered with NO_ADDITIONAL_SAS.</summary>
    public const int ChildrenPerIke = 4096;

    /// <summary>How often the rest of a child's selectors is asked for when the peer takes them only apart.</summary>
    public const int PartsPerChild = 200;

    /// <summary>Requests that are under way at the same time on one IKE SA, if the peer takes as many (RFC 7296 section 2.3).</summary>
    public const uint RequestsAtOnce = 16;

    /// <summary>Exchanges that may wait on one IKE SA.</summary>
    public const int QueuedExchanges = 8192;
}
