using System;

namespace Warifu.V2;

/// <summary>What of our own is under way (its request is out) when a request of the peer comes in.</summary>
internal enum OwnActivity
{
    None,
    CreatingChild,
    /// <summary>The child that the request is about.</summary>
    RekeyingThisChild,
    RekeyingOtherChild,
    DeletingThisChild,
    DeletingOtherChild,
    RekeyingIke,
    /// <summary>Closing the IKE SA, or waiting for the delete of one that was rekeyed.</summary>
    DeletingIke,
}

/// <summary>What the peer asks for.</summary>
internal enum PeerRequest
{
    CreateChild,
    RekeyChild,
    DeleteChild,
    RekeyIke,
    DeleteIke,
}

internal enum CollisionAnswer
{
    /// <summary>Do it as if nothing else happened.</summary>
    Proceed,
    /// <summary>Do it, and compare nonces when our own exchange ends.</summary>
    ProceedAndCompare,
    /// <summary>TEMPORARY_FAILURE.</summary>
    Later,
    /// <summary>Answer without a delete of our own: ours is on its way.</summary>
    AnswerEmpty,
}

/// <summary>Crossing exchanges (RFC 7296 sections 2.8.1, 2.8.2 and 2.25) as a pure table.</summary>
internal static class Collisions
{
    public const int Requests = (int)PeerRequest.DeleteIke + 1;
    public const int Activities = (int)OwnActivity.DeletingIke + 1;

    public static CollisionAnswer Decide(PeerRequest request, OwnActivity own) => (request, own) switch
    {
        (PeerRequest.DeleteIke, _) => CollisionAnswer.Proceed,
        // section 2.25.2: an IKE SA that is being rekeyed or closed takes no new children
        (PeerRequest.CreateChild or PeerRequest.RekeyChild, OwnActivity.RekeyingIke or OwnActivity.DeletingIke) => CollisionAnswer.Later,
        (PeerRequest.RekeyIke, OwnActivity.RekeyingIke) => CollisionAnswer.ProceedAndCompare,
        (PeerRequest.RekeyIke, OwnActivity.None) => CollisionAnswer.Proceed,
        // section 2.25.1: while a child is being made, rekeyed or closed the IKE SA is not rekeyed; section 2.25.2: nor while it is closed
        (PeerRequest.RekeyIke, _) => CollisionAnswer.Later,
        // section 2.25.1
        (PeerRequest.RekeyChild, OwnActivity.RekeyingThisChild) => CollisionAnswer.ProceedAndCompare,
        (PeerRequest.RekeyChild, OwnActivity.DeletingThisChild) => CollisionAnswer.Later,
        (PeerRequest.DeleteChild, OwnActivity.DeletingThisChild) => CollisionAnswer.AnswerEmpty,
        _ => CollisionAnswer.Proceed,
    };

    /// <summary>Of two SAs made at the same time the one that used the lowest of the four nonces is redundant; whoever created it deletes it (section 2.8.1).</summary>
    /// <returns>True when ours has the lowest nonce.</returns>
    public static bool OursIsRedundant(ReadOnlySpan<byte> ourNi, ReadOnlySpan<byte> ourNr, ReadOnlySpan<byte> theirNi, ReadOnlySpan<byte> theirNr) =>
        Lower(ourNi, ourNr).SequenceCompareTo(Lower(theirNi, theirNr)) < 0;

    private static ReadOnlySpan<byte> Lower(ReadOnlySpan<byte> left, ReadOnlySpan<byte> right) => left.SequenceCompareTo(right) <= 0 ? left : right;
}
