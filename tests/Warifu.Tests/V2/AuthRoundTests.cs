using System;
using System.Linq;
using Warifu.Engine;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Simulation;
using Warifu.Tests.Crypto;
using Xunit;

namespace Warifu.Tests.V2;

/// <summary>Several authentications (RFC 4739) and post-quantum pre-shared keys (RFC 8784), engine to engine.</summary>
[Trait("Item", "2.1")]
public sealed class AuthRoundTests
{
    private const string Quantum = "a post-quantum pre-shared key of forty-four octets";

    [Theory]
    [InlineData(1, 0, 6)]
    [InlineData(0, 1, 6)]
    [InlineData(1, 1, 6)]
    [InlineData(2, 1, 8)]
    [InlineData(0, 3, 10)]
    public void Each_side_proves_itself_as_often_as_it_is_asked(int left, int right, int messages)
    {
        using var pair = new EnginePair();
        pair.Load(Rounds(EnginePair.LeftGateway(), left, right, "left", "right"), Rounds(EnginePair.RightGateway(), right, left, "right", "left"));
        Assert.True(pair.Up().Success, Why(pair));
        Assert.Equal(messages, pair.Sent.Count);
        Assert.Single(pair.Left.Installed);
        Assert.Single(pair.Right.Installed);
        Assert.Equal("left.example.org", Assert.Single(pair.Right.Events.OfType<IkeSaUp>()).RemoteId);
        Assert.Equal("ESTABLISHED", Assert.Single(pair.Right.Engine.Snapshot().IkeSas).State);
    }

    [Fact]
    public void A_certificate_and_then_a_secret_prove_the_initiator()
    {
        using var pair = new EnginePair();
        var (left, right) = (EnginePair.LeftGateway(), EnginePair.RightGateway());
        pair.Left.AddKey(Keys.Of("p256"));
        var raw = Keys.Of("p256").Public.Spki.ToArray();
        left = Rounds(left with { Local = left.Local with { Kind = AuthKind.PublicKey, PublicKeys = [[.. raw]] } }, 1, 0, "left", "right");
        right = Rounds(right with { Remote = right.Remote with { Kind = AuthKind.PublicKey, PublicKeys = [[.. raw]] } }, 0, 1, "right", "left");
        pair.Load(left, right);
        Assert.True(pair.Up().Success, Why(pair));
        Assert.Equal(6, pair.Sent.Count);
    }

    [Theory]
    [InlineData(1, 0, "1 times, connection net has 1 sections remote")]
    [InlineData(0, 1, "authenticated 1 times, connection net has 2 sections remote")]
    public void Another_number_of_rounds_than_configured_is_refused(int proves, int wanted, string sentence)
    {
        using var pair = new EnginePair();
        pair.Load(Rounds(EnginePair.LeftGateway(), proves, 0, "left", "right"), Rounds(EnginePair.RightGateway(), 0, wanted, "right", "left"));
        Assert.False(pair.Up().Success);
        Assert.Equal("authentication-rounds", pair.Right.LastReport!.Failure!.Reason);
        Assert.Contains(sentence, pair.Right.LastReport.Failure.Sentence, StringComparison.Ordinal);
        Assert.Empty(pair.Right.Installed);
        Assert.Empty(pair.Left.Installed);
    }

    [Fact]
    public void A_wrong_second_proof_ends_it_and_installs_nothing()
    {
        using var pair = new EnginePair();
        Give(pair.Left, "left", "left2", "right", "another secret that only one side has");
        pair.Load(Rounds(EnginePair.LeftGateway(), 1, 0, "left", "right"), Rounds(EnginePair.RightGateway(), 0, 1, "right", "left"));
        Assert.False(pair.Up().Success);
        Assert.Equal("authentication-failed", pair.Right.LastReport!.Failure!.Reason);
        Assert.Contains(pair.Right.LastReport.Steps, step => step.Title.StartsWith("IKE_AUTH request 2", StringComparison.Ordinal));
        Assert.Empty(pair.Right.Installed);
        Assert.Empty(pair.Left.Installed);
        Assert.Empty(pair.Right.Engine.Snapshot().IkeSas);
        Assert.Empty(pair.Left.Engine.Snapshot().IkeSas);
        Assert.Empty(pair.Right.Events.OfType<IkeSaUp>());
    }

    [Theory]
    [InlineData(UniquePolicy.No)]
    [InlineData(UniquePolicy.Replace)]
    public void Who_gives_only_the_first_of_two_proofs_replaces_nothing(UniquePolicy unique)
    {
        using var pair = new EnginePair();
        pair.Right.Load(PolicySet.Of(Rounds(EnginePair.RightGateway() with { Unique = unique }, 0, 1, "right", "left")), pair.Now);
        pair.Left.Load(PolicySet.Of(Rounds(EnginePair.LeftGateway(), 1, 0, "left", "right")), pair.Now);
        Assert.True(pair.Up().Success, Why(pair));
        // somebody who has stolen the first secret only, and says that it is the first contact
        using var thief = new EngineHost(IpAddress.Parse("192.0.2.2"), 99, pair.Now);
        Give(thief, "left", "left2", "right", "what it does not know");
        thief.Load(PolicySet.Of(Rounds(EnginePair.LeftGateway(), 1, 0, "left", "right")), pair.Now);
        thief.Up("net", "net", pair.Now);
        while (thief.Outbox.Count + pair.Right.Outbox.Count > 0)
        {
            while (thief.Outbox.TryDequeue(out var message)) pair.Right.Receive(message.Remote, message.Local, message.Message, pair.Now);
            while (pair.Right.Outbox.TryDequeue(out var message)) thief.Receive(message.Remote, message.Local, message.Message, pair.Now);
        }

        Assert.Equal("authentication-failed", pair.Right.LastReport!.Failure!.Reason);
        Assert.Contains(pair.Right.LastReport.Steps, step => step.Title.StartsWith("IKE_AUTH request 2", StringComparison.Ordinal));
        pair.Right.Wake(pair.Now + TimeSpan.FromMinutes(1));
        Assert.Single(pair.Right.Installed);
        Assert.Equal(1, pair.Right.Claims.Count);
    }

    [Fact]
    public void A_wrong_second_proof_of_the_responder_ends_it_too()
    {
        using var pair = new EnginePair();
        Give(pair.Right, "right", "right2", "left", "another secret that only one side has");
        pair.Load(Rounds(EnginePair.LeftGateway(), 0, 2, "left", "right"), Rounds(EnginePair.RightGateway(), 2, 0, "right", "left"));
        Assert.False(pair.Up().Success);
        Assert.Equal("authentication-failed", pair.Left.LastReport!.Failure!.Reason);
        Assert.Contains(pair.Left.LastReport.Steps, step => step.Title.StartsWith("IKE_AUTH response 2", StringComparison.Ordinal));
        Assert.Empty(pair.Left.Installed);
        Assert.Empty(pair.Right.Installed);
        Assert.Empty(pair.Right.Engine.Snapshot().IkeSas);
        Assert.Empty(pair.Left.Engine.Snapshot().IkeSas);
    }

    [Fact]
    public void Any_message_of_several_rounds_may_be_lost_or_come_twice()
    {
        for (var lost = 0; lost < 8; lost++)
        {
            var which = lost;
            using var pair = new EnginePair { Wire = (number, _, _) => number == which ? 0 : 2 };
            pair.Load(Rounds(EnginePair.LeftGateway(), 2, 1, "left", "right"), Rounds(EnginePair.RightGateway(), 1, 2, "right", "left"));
            Assert.True(pair.Up().Success, Why(pair));
            Assert.Single(pair.Left.Installed);
            Assert.Single(pair.Right.Installed);
        }
    }

    [Fact]
    public void A_connection_that_is_closed_between_rounds_leaves_nothing()
    {
        using var pair = new EnginePair();
        pair.Load(Rounds(EnginePair.LeftGateway(), 2, 0, "left", "right"), Rounds(EnginePair.RightGateway(), 0, 2, "right", "left"));
        // the third message is the first IKE_AUTH
        pair.Wire = (number, _, _) =>
        {
            if (number == 3) pair.Left.Command(id => new IkeCommand.Down(id, new SaTarget("net")), pair.Now);
            return 1;
        };
        pair.Left.Up("net", "net", pair.Now);
        pair.Run();
        Assert.Empty(pair.Left.Engine.Snapshot().IkeSas);
        Assert.Empty(pair.Right.Engine.Snapshot().IkeSas);
        Assert.Empty(pair.Right.Installed);
    }

    /// <summary>Table 1 of RFC 8784 section 3, and the initiator's side of it.</summary>
    [Theory]
    [Trait("Item", "2.5")]
    [InlineData("left", "required", "right", "optional", "ppk")]
    [InlineData("left", "optional", "right", "optional", "ppk")]
    [InlineData("left", "required", "right", "required", "ppk")]
    [InlineData("left", "optional", "right", "required", "ppk")]
    // the responder has none at all
    [InlineData("left", "optional", "", "optional", "plain")]
    [InlineData("left", "required", "", "optional", "fails left")]
    // the responder has another one
    [InlineData("left", "optional", "other", "optional", "plain")]
    [InlineData("left", "required", "other", "optional", "fails right")]
    [InlineData("left", "optional", "other", "required", "fails right")]
    // the initiator uses none
    [InlineData("", "optional", "right", "optional", "plain")]
    [InlineData("", "optional", "right", "required", "fails right")]
    [InlineData("", "optional", "", "optional", "plain")]
    // same name, other octets
    [InlineData("wrong", "required", "right", "optional", "wrong right")]
    [InlineData("wrong", "optional", "right", "optional", "wrong right")]
    public void Post_quantum_keys_are_used_as_both_sides_say(string left, string leftMode, string right, string rightMode, string outcome)
    {
        using var pair = new EnginePair();
        var id = Identities.Parse("ppk-1");
        if (left.Length > 0) pair.Left.AddPpk(id, left == "wrong" ? Quantum + "!" : Quantum);
        if (right.Length > 0) pair.Right.AddPpk(right == "other" ? Identities.Parse("ppk-2") : id, Quantum);
        pair.Load(
            EnginePair.LeftGateway() with { PpkId = left.Length > 0 ? id : null, PpkRequired = leftMode == "required" },
            EnginePair.RightGateway() with { PpkRequired = rightMode == "required" });
        var up = pair.Up();
        Assert.Equal(outcome is "ppk" or "plain", up.Success);
        var used = pair.Left.LastReport!.Steps.Any(step => step.Title == "using a post-quantum pre-shared key");
        Assert.Equal(outcome == "ppk", used);
        if (up.Success)
        {
            Assert.True(Assert.Single(pair.Left.Installed.Values).OutboundEncrKey.FixedTimeEquals(Assert.Single(pair.Right.Installed.Values).InboundEncrKey.Span));
            Assert.Equal(used, pair.Right.LastReport!.Steps.Any(step => step.Title == "using a post-quantum pre-shared key"));
            return;
        }

        var host = outcome.EndsWith("left", StringComparison.Ordinal) ? pair.Left : pair.Right;
        Assert.Equal(outcome.StartsWith("wrong", StringComparison.Ordinal) ? "authentication-failed" : "ppk", host.LastReport!.Failure!.Reason);
        Assert.Empty(pair.Left.Installed);
        Assert.Empty(pair.Right.Installed);
        // who gives up after IKE_SA_INIT tells nobody: the other side's half-open state ends by time
        if (host == pair.Right) Assert.Empty(pair.Right.Engine.Snapshot().IkeSas);
    }

    [Fact]
    [Trait("Item", "2.5")]
    public void An_initiator_that_requires_a_ppk_and_names_none_says_that_it_is_its_own_mistake()
    {
        using var pair = new EnginePair();
        pair.Right.AddPpk(Identities.Parse("ppk-1"), Quantum);
        pair.Load(EnginePair.LeftGateway() with { PpkRequired = true }, EnginePair.RightGateway());
        Assert.False(pair.Up().Success);
        var failure = pair.Left.LastReport!.Failure!;
        Assert.Equal("ppk", failure.Reason);
        Assert.StartsWith("here: set connections.net.ppk_id", failure.Remedy, StringComparison.Ordinal);
        Assert.DoesNotContain("at the peer", failure.Remedy, StringComparison.Ordinal);
    }

    [Fact]
    [Trait("Item", "2.5")]
    public void A_responder_that_strips_the_ppk_is_refused_where_it_is_required()
    {
        // the responder says USE_PPK and then goes on without: only one that does not know the key would
        using var pair = new EnginePair();
        pair.Left.AddPpk(Identities.Parse("ppk-1"), Quantum);
        pair.Right.Engine.HasPpks = true;
        pair.Load(EnginePair.LeftGateway() with { PpkId = Identities.Parse("ppk-1"), PpkRequired = false }, EnginePair.RightGateway());
        Assert.True(pair.Up().Success, Why(pair));
        using var strict = new EnginePair();
        strict.Left.AddPpk(Identities.Parse("ppk-1"), Quantum);
        strict.Right.Engine.HasPpks = true;
        strict.Load(EnginePair.LeftGateway() with { PpkId = Identities.Parse("ppk-1"), PpkRequired = true }, EnginePair.RightGateway());
        Assert.False(strict.Up().Success);
        Assert.Equal("ppk", strict.Right.LastReport!.Failure!.Reason);
    }

    [Fact]
    [Trait("Item", "2.5")]
    public void The_ppk_is_in_every_key_of_the_children_and_in_none_of_a_rekeying()
    {
        using var pair = new EnginePair();
        var id = Identities.Parse("ppk-1");
        pair.Left.AddPpk(id, Quantum);
        pair.Right.AddPpk(id, Quantum);
        pair.Load(EnginePair.LeftGateway() with { PpkId = id, PpkRequired = true }, EnginePair.RightGateway() with { PpkRequired = true });
        Assert.True(pair.Up().Success, Why(pair));
        pair.Left.Command(command => new IkeCommand.Rekey(command, new SaTarget("net")), pair.Now);
        pair.Run();
        pair.Right.Command(command => new IkeCommand.Rekey(command, new SaTarget("net", "net")), pair.Now);
        pair.Run();
        Assert.True(Assert.Single(pair.Left.Installed.Values).OutboundEncrKey.FixedTimeEquals(Assert.Single(pair.Right.Installed.Values).InboundEncrKey.Span));
        Assert.Single(pair.Left.Engine.Snapshot().IkeSas);
    }

    [Fact]
    [Trait("Item", "2.5")]
    public void A_signature_is_made_twice_where_the_ppk_is_optional()
    {
        using var pair = new EnginePair();
        var raw = Keys.Of("ed25519").Public.Spki.ToArray();
        pair.Left.AddKey(Keys.Of("ed25519"));
        pair.Left.AddPpk(Identities.Parse("ppk-1"), Quantum);
        pair.Right.AddPpk(Identities.Parse("ppk-2"), Quantum);
        var (left, right) = (EnginePair.LeftGateway(), EnginePair.RightGateway());
        pair.Load(
            left with { PpkId = Identities.Parse("ppk-1"), Local = left.Local with { Kind = AuthKind.PublicKey, PublicKeys = [[.. raw]] } },
            right with { Remote = right.Remote with { Kind = AuthKind.PublicKey, PublicKeys = [[.. raw]] } });
        Assert.True(pair.Up().Success, Why(pair));
        Assert.Contains("N(NO_PPK_AUTH)", pair.Left.LastReport!.Steps.Single(step => step.Title.StartsWith("IKE_AUTH request", StringComparison.Ordinal)).Title, StringComparison.Ordinal);
    }

    /// <summary>The right secret for the first proof and another for the second: each with its own identities, or one would be taken for both.</summary>
    private static void Give(EngineHost host, string own, string second, string peer, string secret)
    {
        host.SetPsk("ike-1", EnginePair.Secret, Name(own), Name(peer));
        host.SetPsk("ike-2", secret, Name(second), Name(peer));

        static IdentityPattern Name(string name) => IdentityPattern.Of(Identity.Fqdn(name + ".example.org"));
    }

    private static Connection Rounds(Connection connection, int own, int peer, string ownName, string peerName) => connection with
    {
        LocalRounds = [.. Enumerable.Range(2, own).Select(number => new LocalAuth { Id = Identity.Fqdn($"{ownName}{number}.example.org") })],
        RemoteRounds = [.. Enumerable.Range(2, peer).Select(number => new RemoteAuth { Id = IdentityPattern.Of(Identity.Fqdn($"{peerName}{number}.example.org")) })],
    };

    private static string Why(EnginePair pair) => $"left: {pair.Left.LastReport?.Failure?.Sentence}; right: {pair.Right.LastReport?.Failure?.Sentence}";
}
