using System;

namespace Warifu.App.Tests.Daemon;

/// <summary>What an explanation must say.</summary>
/// <param name="Reason">The stable word.</param>
/// <param name="Who">Who can mend it: here, peer, either, between; empty = not looked at.</param>
/// <param name="Why">Parts of the sentence and of what was offered, accepted, different, or to be changed.</param>
internal sealed record Told(string Reason, string Who, params string[] Why)
{
    /// <summary>Nothing is negotiated: the command itself says that the connection was left out, and why.</summary>
    public const string LeftOut = "left-out";

    /// <summary>Settings of that side's own file that must be pointed at, by their last names, with a text of their line.</summary>
    public (string Setting, string Line)[] Settings { get; init; } = [];
}

/// <summary>One wrong setting on one of two gateways that would work otherwise, and what either side must say about it. It is tried with the wrong side as initiator and as responder.</summary>
/// <param name="Name">As a sentence.</param>
/// <param name="Wrong">Makes the mistake on one side.</param>
internal sealed record Mistake(string Name, Func<Side, Side> Wrong)
{
    /// <summary>Both sides before the mistake.</summary>
    public Func<Side, Side> Both { get; init; } = side => side;

    /// <summary>What the other side has of its own that makes the mistake matter.</summary>
    public Func<Side, Side> Right { get; init; } = side => side;

    /// <summary>What the wrong side says as initiator; null = it cannot know, or nothing fails there.</summary>
    public Told? AsInitiator { get; init; }

    /// <summary>What the other side says then, as responder.</summary>
    public Told? OtherResponds { get; init; }

    /// <summary>What the wrong side says as responder.</summary>
    public Told? AsResponder { get; init; }

    /// <summary>What the other side says then, as initiator.</summary>
    public Told? OtherInitiates { get; init; }

    /// <summary>It shows at the first rekeying of the child only.</summary>
    public bool AtRekey { get; init; }

    public override string ToString() => Name;
}
