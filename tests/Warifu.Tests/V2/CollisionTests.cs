using Warifu.V2;
using Xunit;

namespace Warifu.Tests.V2;

/// <summary>Crossing exchanges, cell by cell from RFC 7296 sections 2.25.1 and 2.25.2 (item 1.10).</summary>
[Trait("Item", "1.10")]
public sealed class CollisionTests
{
    [Theory]
    // 2.25.1: "a request to rekey a Child SA that it is currently trying to close, it SHOULD reply with TEMPORARY_FAILURE"
    [InlineData(nameof(PeerRequest.RekeyChild), nameof(OwnActivity.DeletingThisChild), nameof(CollisionAnswer.Later))]
    // "that it is currently rekeying, it SHOULD reply as usual, and SHOULD prepare to close redundant SAs"
    [InlineData(nameof(PeerRequest.RekeyChild), nameof(OwnActivity.RekeyingThisChild), nameof(CollisionAnswer.ProceedAndCompare))]
    [InlineData(nameof(PeerRequest.RekeyChild), nameof(OwnActivity.RekeyingOtherChild), nameof(CollisionAnswer.Proceed))]
    [InlineData(nameof(PeerRequest.RekeyChild), nameof(OwnActivity.DeletingOtherChild), nameof(CollisionAnswer.Proceed))]
    [InlineData(nameof(PeerRequest.RekeyChild), nameof(OwnActivity.CreatingChild), nameof(CollisionAnswer.Proceed))]
    // "a request to close a Child SA that it is currently trying to close, it SHOULD reply without a Delete payload"
    [InlineData(nameof(PeerRequest.DeleteChild), nameof(OwnActivity.DeletingThisChild), nameof(CollisionAnswer.AnswerEmpty))]
    // "that it is currently rekeying, it SHOULD reply as usual, with a Delete payload"
    [InlineData(nameof(PeerRequest.DeleteChild), nameof(OwnActivity.RekeyingThisChild), nameof(CollisionAnswer.Proceed))]
    // "a request to rekey the IKE SA, and it is currently creating, rekeying, or closing a Child SA of that IKE SA, it SHOULD reply with TEMPORARY_FAILURE"
    [InlineData(nameof(PeerRequest.RekeyIke), nameof(OwnActivity.CreatingChild), nameof(CollisionAnswer.Later))]
    [InlineData(nameof(PeerRequest.RekeyIke), nameof(OwnActivity.RekeyingOtherChild), nameof(CollisionAnswer.Later))]
    [InlineData(nameof(PeerRequest.RekeyIke), nameof(OwnActivity.RekeyingThisChild), nameof(CollisionAnswer.Later))]
    [InlineData(nameof(PeerRequest.RekeyIke), nameof(OwnActivity.DeletingOtherChild), nameof(CollisionAnswer.Later))]
    // 2.25.2
    [InlineData(nameof(PeerRequest.RekeyIke), nameof(OwnActivity.RekeyingIke), nameof(CollisionAnswer.ProceedAndCompare))]
    [InlineData(nameof(PeerRequest.RekeyIke), nameof(OwnActivity.DeletingIke), nameof(CollisionAnswer.Later))]
    [InlineData(nameof(PeerRequest.DeleteIke), nameof(OwnActivity.RekeyingIke), nameof(CollisionAnswer.Proceed))]
    [InlineData(nameof(PeerRequest.DeleteIke), nameof(OwnActivity.DeletingIke), nameof(CollisionAnswer.Proceed))]
    [InlineData(nameof(PeerRequest.CreateChild), nameof(OwnActivity.RekeyingIke), nameof(CollisionAnswer.Later))]
    [InlineData(nameof(PeerRequest.RekeyChild), nameof(OwnActivity.RekeyingIke), nameof(CollisionAnswer.Later))]
    [InlineData(nameof(PeerRequest.CreateChild), nameof(OwnActivity.DeletingIke), nameof(CollisionAnswer.Later))]
    [InlineData(nameof(PeerRequest.DeleteChild), nameof(OwnActivity.RekeyingIke), nameof(CollisionAnswer.Proceed))]
    public void Crossing_requests_are_answered_as_the_RFC_says(string request, string own, string answer) =>
        Assert.Equal(System.Enum.Parse<CollisionAnswer>(answer), Collisions.Decide(System.Enum.Parse<PeerRequest>(request), System.Enum.Parse<OwnActivity>(own)));

    [Theory]
    // 2.8.1: octet by octet, and the end of a nonce makes it the lower one
    [InlineData(new byte[] { 1, 9 }, new byte[] { 9 }, new byte[] { 2 }, new byte[] { 8 }, true)]
    [InlineData(new byte[] { 9 }, new byte[] { 1 }, new byte[] { 2 }, new byte[] { 8 }, true)]
    [InlineData(new byte[] { 3 }, new byte[] { 9 }, new byte[] { 8 }, new byte[] { 2 }, false)]
    [InlineData(new byte[] { 3 }, new byte[] { 9 }, new byte[] { 2 }, new byte[] { 8 }, false)]
    [InlineData(new byte[] { 2 }, new byte[] { 9 }, new byte[] { 2, 0 }, new byte[] { 8 }, true)]
    [InlineData(new byte[] { 0x80 }, new byte[] { 0xFF }, new byte[] { 0x7F, 0xFF, 0xFF }, new byte[] { 0xFF }, false)]
    public void The_lowest_of_four_nonces_marks_the_redundant_SA(byte[] ourNi, byte[] ourNr, byte[] theirNi, byte[] theirNr, bool redundant)
    {
        Assert.Equal(redundant, Collisions.OursIsRedundant(ourNi, ourNr, theirNi, theirNr));
        // both sides come to opposite conclusions
        Assert.Equal(!redundant, Collisions.OursIsRedundant(theirNi, theirNr, ourNi, ourNr));
    }
}
