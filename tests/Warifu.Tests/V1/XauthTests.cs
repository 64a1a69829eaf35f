using System;
using System.Collections.Generic;
using System.Linq;
using System.Text;
using Warifu.Engine;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Simulation;
using Warifu.V1;
using Warifu.Wire;
using Warifu.Wire.V1;
using Xunit;

namespace Warifu.Tests.V1;

/// <summary>XAuth and hybrid authentication, both roles (item 3.6).</summary>
[Trait("Item", "3.6")]
public sealed class XauthTests
{
    public static TheoryData<AccessProof, bool> Ways => new() { { AccessProof.Psk, false }, { AccessProof.Psk, true }, { AccessProof.Rsa, false }, { AccessProof.Rsa, true }, { AccessProof.Hybrid, false }, { AccessProof.Hybrid, true } };

    [Theory]
    [MemberData(nameof(Ways))]
    public void A_user_with_its_password_gets_a_tunnel(AccessProof proof, bool aggressive)
    {
        using var pair = RemoteAccessPair.Up(RemoteAccessPair.Client(proof, aggressive), RemoteAccessPair.Gateway(proof, aggressive));
        Assert.Equal("carol", Identities.Print(pair.Right.Engine.Snapshot().IkeSas.Single().RemoteUser));
        Assert.Null(pair.Left.Engine.Snapshot().IkeSas.Single().RemoteUser);
        Assert.Equal(proof switch { AccessProof.Psk => AuthV1.XauthInitPsk, AccessProof.Rsa => AuthV1.XauthInitRsa, _ => AuthV1.HybridInitRsa }, pair.Right.Engine.IsakmpSas.Single().Suite!.Auth);
        // request and reply, set and acknowledgement: each pair has a message ID of its own
        Assert.Equal(2, RemoteAccessPair.Transactions(pair).Length);
        Assert.Equal(0, pair.Right.Engine.Snapshot().HalfOpen);
    }

    /// <summary>The gateway begins: the methods say that the user is on the other side (65002, 65006, 64222).</summary>
    [Theory]
    [MemberData(nameof(Ways))]
    public void The_gateway_may_begin_phase_1(AccessProof proof, bool aggressive)
    {
        using var pair = RemoteAccessPair.Make(RemoteAccessPair.Client(proof, aggressive) with { AggressivePsk = true }, RemoteAccessPair.Gateway(proof, aggressive));
        var id = pair.Right.Up("net", "net", pair.Now);
        pair.Run();
        Assert.True(pair.Right.Results[id].Success, RemoteAccessPair.Why(pair));
        V1Pair.AssertSame(pair);
        V1Pair.AssertQuiet(pair);
        Assert.Equal("carol", Identities.Print(pair.Right.Engine.Snapshot().IkeSas.Single().RemoteUser));
        Assert.Equal(proof switch { AccessProof.Psk => AuthV1.XauthRespPsk, AccessProof.Rsa => AuthV1.XauthRespRsa, _ => AuthV1.HybridRespRsa }, pair.Left.Engine.IsakmpSas.Single().Suite!.Auth);
    }

    [Theory]
    [InlineData(AccessProof.Psk, "wrong")]
    [InlineData(AccessProof.Hybrid, "wrong")]
    [InlineData(AccessProof.Psk, "Ar3etTn")]
    [InlineData(AccessProof.Psk, "Ar3etTnp ")]
    public void A_wrong_password_gets_status_0_and_phase_1_goes(AccessProof proof, string password)
    {
        using var pair = RemoteAccessPair.Make(RemoteAccessPair.Client(proof), RemoteAccessPair.Gateway(proof), password);
        var result = pair.Up();
        Assert.False(result.Success);
        Assert.Contains("refused user carol", result.Message, StringComparison.Ordinal);
        Assert.Equal("authentication-failed", pair.Left.LastReport!.Failure!.Reason);
        Assert.Equal("authentication-failed", pair.Right.LastReport!.Failure!.Reason);
        Assert.Contains("XAUTH_STATUS FAIL", pair.Left.LastReport.Steps.SelectMany(step => step.Details));
        AssertNothing(pair);
        Assert.DoesNotContain(pair.Sent, sent => sent.Message.Message[18] == (byte)ExchangeType.QuickMode);
        // and nobody can read it anywhere
        foreach (var text in new[] { pair.Left, pair.Right }.SelectMany(host => host.Events).Select(happening => happening is NegotiationEnded ended ? string.Join('\n', ended.Report.Steps.SelectMany(step => step.Details.Prepend(step.Title))) + ended.Report.Failure : happening.ToString())) Assert.DoesNotContain(password, text, StringComparison.Ordinal);
    }

    [Fact]
    public void A_user_that_is_not_there_is_told_no_more_than_one_with_a_wrong_password()
    {
        using var wrong = RemoteAccessPair.Make(RemoteAccessPair.Client(AccessProof.Psk), RemoteAccessPair.Gateway(AccessProof.Psk), "wrong");
        using var nobody = RemoteAccessPair.Make(RemoteAccessPair.Client(AccessProof.Psk), RemoteAccessPair.Gateway(AccessProof.Psk), "wrong");
        nobody.Right.Passwords.Clear();
        wrong.Up();
        nobody.Up();
        Assert.Equal(wrong.Sent.Select(sent => (sent.From == wrong.Left, sent.Message.Message.Length)), nobody.Sent.Select(sent => (sent.From == nobody.Left, sent.Message.Message.Length)));
        Assert.Equal(wrong.Left.LastReport!.Failure!.Sentence, nobody.Left.LastReport!.Failure!.Sentence);
    }

    [Fact]
    public void A_client_without_a_password_says_so_and_ends()
    {
        using var pair = RemoteAccessPair.Make(RemoteAccessPair.Client(AccessProof.Psk), RemoteAccessPair.Gateway(AccessProof.Psk), password: null);
        Assert.Contains("there is no password for user carol", pair.Up().Message, StringComparison.Ordinal);
        Assert.Equal("no-secret", pair.Left.LastReport!.Failure!.Reason);
        pair.Run(TimeSpan.FromSeconds(30));
        AssertNothing(pair);
    }

    [Fact]
    public void Users_may_be_limited_by_their_names()
    {
        var gateway = RemoteAccessPair.Gateway(AccessProof.Psk) with { RemoteRounds = [new RemoteAuth { Kind = AuthKind.Xauth, Id = IdentityPattern.Parse("dave") }] };
        using var pair = RemoteAccessPair.Make(RemoteAccessPair.Client(AccessProof.Psk), gateway);
        Assert.False(pair.Up().Success);
        Assert.Contains("accepts users dave", pair.Right.LastReport!.Failure!.Sentence, StringComparison.Ordinal);
        AssertNothing(pair);
    }

    /// <summary>CVE-2013-5018: names are octets, whatever they look like.</summary>
    [Theory]
    [InlineData("")]
    [InlineData("0")]
    [InlineData("0\u0082\u007f\u007f")]
    [InlineData("a\0b")]
    [InlineData("@")]
    [InlineData("10.0.0.1")]
    [InlineData("C=CH, CN=carol")]
    [InlineData("%any")]
    [InlineData("*")]
    public void Strange_names_are_refused_and_nothing_more(string name)
    {
        foreach (var octets in new[] { Encoding.Latin1.GetBytes(name), Encoding.Latin1.GetBytes(string.Concat(Enumerable.Repeat(name.Length == 0 ? "0" : name, 20_000)))[..20_000] })
        {
            using var pair = RemoteAccessPair.Make(RemoteAccessPair.Client(AccessProof.Psk), RemoteAccessPair.Gateway(AccessProof.Psk));
            pair.Left.HeldAsks = null;
            Hold(pair);
            Answer(pair, writer => ConfigurationList.Octets(writer, (ushort)XauthAttribute.UserName, octets), writer => ConfigurationList.Octets(writer, (ushort)XauthAttribute.UserPassword, "Ar3etTnp"u8));
            Assert.Equal("authentication-failed", pair.Right.LastReport!.Failure!.Reason);
            Assert.Empty(pair.Right.Engine.Snapshot().IkeSas);
        }
    }

    [Fact]
    public void An_answer_without_name_or_password_is_refused()
    {
        foreach (var writes in new Action<WireWriter>[][]
        {
            [],
            [writer => ConfigurationList.Octets(writer, (ushort)XauthAttribute.UserName, "carol"u8)],
            [writer => ConfigurationList.Octets(writer, (ushort)XauthAttribute.UserPassword, "Ar3etTnp"u8)],
            [writer => ConfigurationList.Octets(writer, (ushort)XauthAttribute.UserName, "carol"u8), writer => ConfigurationList.Octets(writer, (ushort)XauthAttribute.UserPassword, default)],
            [writer => ConfigurationList.Octets(writer, (ushort)XauthAttribute.UserName, "carol"u8), writer => ConfigurationList.Octets(writer, (ushort)XauthAttribute.UserPassword, "Ar3etTnp"u8), writer => XauthServer.WriteStatus(writer, ok: false)],
        })
        {
            using var pair = RemoteAccessPair.Make(RemoteAccessPair.Client(AccessProof.Psk), RemoteAccessPair.Gateway(AccessProof.Psk));
            Hold(pair);
            Answer(pair, writes);
            Assert.Equal("authentication-failed", pair.Right.LastReport!.Failure!.Reason);
            Assert.Empty(pair.Right.Engine.Snapshot().IkeSas);
        }
    }

    /// <summary>Draft section 6: before any other exchange.</summary>
    [Theory]
    [InlineData(AccessProof.Psk)]
    [InlineData(AccessProof.Hybrid)]
    public void No_quick_mode_and_no_request_for_an_address_is_answered_before_the_user_has_proved_itself(AccessProof proof)
    {
        var (client, gateway) = RemoteAccessPair.WithPool(RemoteAccessPair.Client(proof), RemoteAccessPair.Gateway(proof));
        using var pair = RemoteAccessPair.Make(client, gateway);
        Hold(pair);
        var sa = pair.Left.Engine.IsakmpSas.Single();
        var sent = pair.Sent.Count(message => message.From == pair.Right);
        QuickInitiator.Start(sa, new ChildRequest(client.Children[0], default));
        ConfigurationClient.Request(sa);
        pair.Left.Drain(pair.Now);
        pair.Settle();
        Assert.Equal(sent, pair.Sent.Count(message => message.From == pair.Right));
        Assert.Equal(1, pair.Right.Engine.Counters.Drops[(int)DropReason.NotEstablished]);
        Assert.Empty(pair.Right.Installed);
        Assert.Empty(pair.Right.Leases.Status().Single().Leases);
        Assert.Equal("CONNECTING", pair.Right.Engine.Snapshot().IkeSas.Single().State);
        // its time is over
        pair.Left.Outbox.Clear();
        pair.Wire = (_, _, _) => 0;
        pair.Run(TimeSpan.FromMinutes(3));
        Assert.Empty(pair.Right.Engine.Snapshot().IkeSas);
        Assert.Equal("timeout", pair.Right.LastReport!.Failure!.Reason);
    }

    /// <summary>Every message may be lost once, or come twice.</summary>
    [Theory]
    [InlineData(AccessProof.Psk, false)]
    [InlineData(AccessProof.Psk, true)]
    [InlineData(AccessProof.Hybrid, false)]
    public void Lost_and_repeated_messages_do_no_harm(AccessProof proof, bool aggressive)
    {
        foreach (var pull in new[] { true, false })
        {
            for (var number = 0; number < 18; number++)
            {
                foreach (var copies in new[] { 0, 2 })
                {
                    var (client, gateway) = RemoteAccessPair.WithPool(RemoteAccessPair.Client(proof, aggressive), RemoteAccessPair.Gateway(proof, aggressive), pull);
                    using var pair = RemoteAccessPair.Make(client, gateway);
                    pair.Wire = (at, _, _) => at == number ? copies : 1;
                    var result = pair.Up();
                    Assert.True(result.Success, $"{pull} {number} {copies}: {result.Message}; {RemoteAccessPair.Why(pair)}");
                    pair.Run(TimeSpan.FromSeconds(70));
                    V1Pair.AssertSame(pair);
                    V1Pair.AssertQuiet(pair);
                    Assert.Equal(1, pair.Right.Leases.Status().Single().Online);
                }
            }
        }
    }

    /// <summary>Those who share a key of the group have one identity in phase 1, and yet are several.</summary>
    [Fact]
    public void Users_of_one_group_do_not_replace_each_other()
    {
        var (client, gateway) = RemoteAccessPair.WithPool(RemoteAccessPair.Client(AccessProof.Psk, aggressive: true), RemoteAccessPair.Gateway(AccessProof.Psk, aggressive: true));
        using var pair = RemoteAccessPair.Make(client, gateway with { RemoteAddresses = [], Unique = UniquePolicy.Replace });
        Assert.True(pair.Up().Success, RemoteAccessPair.Why(pair));
        using var other = Dave(client, pair, "192.0.2.9");
        var id = other.Up("net", "net", pair.Now);
        Carry(pair, other);
        Assert.True(other.Results[id].Success, other.LastReport?.Failure?.Sentence);
        Assert.Equal(["carol", "dave"], pair.Right.Engine.Snapshot().IkeSas.Select(sa => Identities.Print(sa.RemoteUser)).Order());
        Assert.Equal(2, pair.Right.Installed.Count);
        Assert.Equal(2, pair.Right.Leases.Status().Single().Online);
        Assert.Equal(2, pair.Right.Installed.Values.Select(sa => sa.RemoteSelectors.Single()).Distinct().Count());
        // the same user once more replaces its own, and nobody else's
        using var again = Dave(client, pair, "192.0.2.10", seed: 8);
        id = again.Up("net", "net", pair.Now);
        Carry(pair, again);
        Assert.True(again.Results[id].Success, again.LastReport?.Failure?.Sentence);
        Assert.Equal(["carol", "dave"], pair.Right.Engine.Snapshot().IkeSas.Select(sa => Identities.Print(sa.RemoteUser)).Order());
        Assert.Equal(2, pair.Right.Leases.Status().Single().Online);
    }

    /// <summary>Several users of one host: one address, one identity of the group, and yet each has its own phase 1 and its own pair, whether the second one says that it has lost everything or not.</summary>
    [Theory]
    [InlineData(UniquePolicy.No)]
    [InlineData(UniquePolicy.Never)]
    public void Users_at_one_address_keep_their_own_children(UniquePolicy unique)
    {
        var (client, gateway) = RemoteAccessPair.WithPool(RemoteAccessPair.Client(AccessProof.Psk, aggressive: true), RemoteAccessPair.Gateway(AccessProof.Psk, aggressive: true));
        using var pair = RemoteAccessPair.Make(client, gateway);
        Assert.True(pair.Up().Success, RemoteAccessPair.Why(pair));
        using var other = Dave(client with { Unique = unique }, pair, "192.0.2.2");
        var id = other.Up("net", "net", pair.Now);
        Carry(pair, other);
        Assert.True(other.Results[id].Success, other.LastReport?.Failure?.Sentence);
        Assert.Equal([("carol", 1, "ESTABLISHED"), ("dave", 1, "ESTABLISHED")], pair.Right.Engine.Snapshot().IkeSas.Select(sa => (Identities.Print(sa.RemoteUser), sa.Children.Length, sa.State)).Order());
        Assert.Equal(2, pair.Right.Installed.Count);
        Assert.Empty(pair.Right.Events.OfType<IkeSaReauthenticated>());
    }

    /// <summary>In phase 1 a user has the identity of its group only: whoever stops there, with the group's key and no password, keeps nobody out.</summary>
    [Fact]
    [Trait("Item", "3.10")]
    public void Whoever_has_not_proved_itself_keeps_nobody_of_its_group_out()
    {
        var (client, gateway) = RemoteAccessPair.WithPool(RemoteAccessPair.Client(AccessProof.Psk, aggressive: true), RemoteAccessPair.Gateway(AccessProof.Psk, aggressive: true));
        using var pair = RemoteAccessPair.Make(client with { Unique = UniquePolicy.Never }, gateway with { RemoteAddresses = [], Unique = UniquePolicy.Keep });
        Hold(pair);
        Assert.Equal(0, pair.Right.Claims.Count);
        using var other = Dave(client with { Unique = UniquePolicy.Never }, pair, "192.0.2.9");
        var id = other.Up("net", "net", pair.Now);
        Carry(pair, other);
        Assert.True(other.Results[id].Success, other.LastReport?.Failure?.Sentence);
        Assert.Equal(1, pair.Right.Claims.Count);
    }

    [Fact]
    public void Guesses_are_limited_for_a_user_and_an_address_and_somebody_is_told()
    {
        using var pair = RemoteAccessPair.Make(RemoteAccessPair.Client(AccessProof.Psk), RemoteAccessPair.Gateway(AccessProof.Psk), "wrong");
        for (var i = 0; i < ProtocolTimes.WrongPasswords; i++) Assert.False(pair.Up().Success);
        Assert.Contains(pair.Right.Events.OfType<Notice>(), notice => notice.Level == NoticeLevel.Warning && notice.Text.Contains("wrong passwords of user carol from 192.0.2.2", StringComparison.Ordinal));
        pair.Left.Passwords[RemoteAccessPair.User] = RemoteAccessPair.Password;
        Assert.False(pair.Up().Success);
        Assert.Contains("too many wrong passwords", pair.Right.LastReport!.Failure!.Sentence, StringComparison.Ordinal);
        pair.Run(ProtocolTimes.GuessPeriod + TimeSpan.FromSeconds(1));
        Assert.True(pair.Up().Success, RemoteAccessPair.Why(pair));
    }

    [Fact]
    public void A_right_password_makes_wrong_ones_forgotten()
    {
        using var pair = RemoteAccessPair.Make(RemoteAccessPair.Client(AccessProof.Psk), RemoteAccessPair.Gateway(AccessProof.Psk));
        for (var i = 0; i < 3 * ProtocolTimes.WrongPasswords; i++)
        {
            var right = i % ProtocolTimes.WrongPasswords == ProtocolTimes.WrongPasswords - 1;
            pair.Left.Passwords[RemoteAccessPair.User] = right ? RemoteAccessPair.Password : "wrong";
            Assert.Equal(right, pair.Up().Success);
            pair.Left.Command(id => new IkeCommand.Down(id, new SaTarget("net")), pair.Now);
            pair.Settle();
        }
    }

    /// <summary>Draft section 5: what a name and a password do not answer is answered with FAIL.</summary>
    [Theory]
    [InlineData((ushort)XauthAttribute.Passcode, "XAUTH_PASSCODE")]
    [InlineData((ushort)XauthAttribute.Challenge, "XAUTH_CHALLENGE")]
    [InlineData((ushort)XauthAttribute.NextPin, "XAUTH_NEXT_PIN")]
    [InlineData((ushort)XauthAttribute.Answer, "XAUTH_ANSWER")]
    [InlineData((ushort)XauthAttribute.Type, "XAUTH_TYPE 2")]
    public void A_gateway_that_wants_more_than_a_password_gets_FAIL(ushort attribute, string named)
    {
        using var pair = RemoteAccessPair.Make(RemoteAccessPair.Client(AccessProof.Psk), RemoteAccessPair.Gateway(AccessProof.Psk));
        pair.Right.HeldAsks = [];
        var id = pair.Left.Up("net", "net", pair.Now);
        SettleHolding(pair, pair.Right);
        var status = (ushort?)null;
        OwnTransaction.Start(pair.Right.Engine.IsakmpSas.Single(), Transaction.Xauth, ConfigurationKind.Request, 7, writer =>
        {
            XauthServer.WriteRequest(writer);
            if (attribute == (ushort)XauthAttribute.Type) ConfigurationList.Number(writer, attribute, 2);
            else ConfigurationList.Octets(writer, attribute, default);
        }, (scoped in body) => status = ConfigurationReader.NumberOf(body.Attributes, (ushort)XauthAttribute.Status), _ => { });
        pair.Right.Drain(pair.Now);
        pair.Settle();
        Assert.Equal((ushort)0, status);
        Assert.False(pair.Left.Results[id].Success);
        Assert.Contains(named, pair.Left.Results[id].Message, StringComparison.Ordinal);
    }

    /// <summary>Some gateways keep one message ID through the whole XAuth.</summary>
    [Fact]
    public void All_of_XAuth_may_come_under_one_message_ID()
    {
        using var pair = RemoteAccessPair.Make(RemoteAccessPair.Client(AccessProof.Psk), RemoteAccessPair.Gateway(AccessProof.Psk));
        pair.Right.HeldAsks = [];
        pair.Left.Up("net", "net", pair.Now);
        SettleHolding(pair, pair.Right);
        var one = new OneMessageId(pair.Right.Engine.IsakmpSas.Single());
        one.Begin();
        pair.Right.Drain(pair.Now);
        pair.Settle();
        Assert.Equal(["request", "carol/Ar3etTnp", "acknowledged"], one.Seen);
        Assert.Equal("ESTABLISHED", pair.Left.Engine.Snapshot().IkeSas.Single().State);
    }

    [Fact]
    public void A_gateway_that_asks_again_and_again_gets_no_further_password()
    {
        using var pair = RemoteAccessPair.Make(RemoteAccessPair.Client(AccessProof.Psk), RemoteAccessPair.Gateway(AccessProof.Psk));
        pair.Right.HeldAsks = [];
        var id = pair.Left.Up("net", "net", pair.Now);
        SettleHolding(pair, pair.Right);
        var given = 1;
        for (var i = 0; i < 4; i++)
        {
            OwnTransaction.Start(pair.Right.Engine.IsakmpSas.Single(), Transaction.Xauth, ConfigurationKind.Request, 7, XauthServer.WriteRequest, (scoped in body) => given += ConfigurationReader.TryFind(body.Attributes, (ushort)XauthAttribute.UserPassword, out _) ? 1 : 0, _ => { });
            pair.Right.Drain(pair.Now);
            pair.Settle();
            if (pair.Left.Results.ContainsKey(id)) break;
        }

        Assert.Equal(3, given);
        Assert.False(pair.Left.Results[id].Success);
    }

    /// <summary>A gateway that says from the start that all is well (draft section 5.5).</summary>
    [Fact]
    public void A_status_without_a_question_is_enough()
    {
        using var pair = RemoteAccessPair.Make(RemoteAccessPair.Client(AccessProof.Psk), RemoteAccessPair.Gateway(AccessProof.Psk));
        Hold(pair);
        var acknowledged = false;
        OwnTransaction.Start(pair.Right.Engine.IsakmpSas.Single(), Transaction.Xauth, ConfigurationKind.Set, 7, writer => XauthServer.WriteStatus(writer, ok: true), (scoped in _) => acknowledged = true, _ => { });
        pair.Right.Drain(pair.Now);
        pair.Settle();
        Assert.True(acknowledged);
        Assert.Equal("ESTABLISHED", pair.Left.Engine.Snapshot().IkeSas.Single().State);
    }

    [Fact]
    public void Nobody_is_asked_who_is_no_user()
    {
        using var pair = RemoteAccessPair.Up(RemoteAccessPair.Client(AccessProof.None), RemoteAccessPair.Gateway(AccessProof.None));
        var before = pair.Sent.Count;
        var answered = 0;
        var sa = pair.Right.Engine.IsakmpSas.Single();
        OwnTransaction.Start(sa, Transaction.Xauth, ConfigurationKind.Request, 7, XauthServer.WriteRequest, (scoped in _) => answered++, _ => { });
        OwnTransaction.Start(sa, Transaction.Xauth, ConfigurationKind.Set, 7, writer => XauthServer.WriteStatus(writer, ok: false), (scoped in _) => answered++, _ => { });
        OwnTransaction.Start(sa, Transaction.ModeConfig, ConfigurationKind.Set, 7, writer => ConfigurationList.Octets(writer, 1, [10, 3, 0, 1]), (scoped in _) => answered++, _ => { });
        OwnTransaction.Start(sa, Transaction.ModeConfig, ConfigurationKind.Request, 7, writer => ConfigurationList.Octets(writer, 1, default), (scoped in _) => answered++, _ => { });
        pair.Right.Drain(pair.Now);
        pair.Settle();
        Assert.Equal(0, answered);
        Assert.Equal(4, pair.Sent.Count - before);
        Assert.Equal("ESTABLISHED", pair.Left.Engine.Snapshot().IkeSas.Single().State);
    }

    [Fact]
    public void Offers_say_whether_there_is_a_user_and_nothing_else_is_taken()
    {
        foreach (var (client, gateway) in new[] { (AccessProof.None, AccessProof.Psk), (AccessProof.Psk, AccessProof.None), (AccessProof.Rsa, AccessProof.Hybrid), (AccessProof.Hybrid, AccessProof.Rsa) })
        {
            using var pair = RemoteAccessPair.Make(RemoteAccessPair.Client(client), RemoteAccessPair.Gateway(gateway));
            Assert.False(pair.Up().Success);
            Assert.Equal("no-proposal", pair.Right.LastReport!.Failure!.Reason);
            AssertNothing(pair);
        }
    }

    /// <summary>In hybrid authentication only the client can notice somebody in the middle, and must.</summary>
    [Fact]
    public void A_hybrid_user_gives_its_password_to_nobody_who_has_not_proved_itself()
    {
        var client = RemoteAccessPair.Client(AccessProof.Hybrid);
        using var pair = RemoteAccessPair.Make(client with { Remote = client.Remote with { Id = IdentityPattern.Parse("other.example.org") } }, RemoteAccessPair.Gateway(AccessProof.Hybrid));
        pair.Left.HeldAsks = [];
        pair.Left.Up("net", "net", pair.Now);
        for (var i = 0; i < 20; i++)
        {
            pair.Settle();
            foreach (var (id, question) in pair.Left.HeldAsks.ToArray())
            {
                Assert.IsNotType<Ask.FindPassword>(question);
                pair.Left.HeldAsks.Remove((id, question));
                pair.Left.Answer(id, question, pair.Now);
            }
        }

        Assert.Empty(pair.Left.Engine.Snapshot().IkeSas);
        Assert.DoesNotContain(pair.Sent, sent => sent.From == pair.Left && sent.Message.Message[18] == (byte)ExchangeType.ModeConfig);
    }

    [Fact]
    public void A_hybrid_user_may_leave_open_who_it_is_in_phase_1()
    {
        using var pair = RemoteAccessPair.Make(RemoteAccessPair.Client(AccessProof.Hybrid), RemoteAccessPair.Gateway(AccessProof.Hybrid));
        Assert.Equal(ParseError.None, IdBody.TryParse([0, 0, 0, 0], out _));
        Assert.NotEqual(ParseError.None, IdBody.TryParse([0, 0, 0, 0, 1], out _));
        Assert.True(pair.Up().Success);
    }

    private static void AssertNothing(EnginePair pair)
    {
        foreach (var host in new[] { pair.Left, pair.Right })
        {
            Assert.Empty(host.Engine.Snapshot().IkeSas);
            Assert.Empty(host.Installed);
            Assert.Empty(host.Configured);
            Assert.Equal(0, host.Claims.Count);
            Assert.Equal(0, host.Engine.Snapshot().HalfOpen);
        }
    }

    /// <summary>Up to the gateway's question, which the client does not answer.</summary>
    private static void Hold(EnginePair pair)
    {
        pair.Left.HeldAsks = [];
        pair.Left.Up("net", "net", pair.Now);
        for (var i = 0; i < 40; i++)
        {
            pair.Settle();
            foreach (var (id, question) in pair.Left.HeldAsks.Where(held => held.Question is not Ask.FindPassword).ToArray())
            {
                pair.Left.HeldAsks.Remove((id, question));
                pair.Left.Answer(id, question, pair.Now);
            }
        }

        Assert.IsType<Ask.FindPassword>(Assert.Single(pair.Left.HeldAsks).Question);
    }

    /// <summary>Up to the question for the password's worth, which is not answered.</summary>
    private static void SettleHolding(EnginePair pair, EngineHost host)
    {
        for (var i = 0; i < 40; i++)
        {
            pair.Settle();
            foreach (var (id, question) in host.HeldAsks!.Where(held => held.Question is not Ask.CheckPassword).ToArray())
            {
                host.HeldAsks!.Remove((id, question));
                host.Answer(id, question, pair.Now);
            }
        }

        Assert.IsType<Ask.CheckPassword>(Assert.Single(host.HeldAsks!).Question);
    }

    /// <summary>The client's answer as this test wants it.</summary>
    private static void Answer(EnginePair pair, params Action<WireWriter>[] writes)
    {
        var exchange = pair.Left.Engine.IsakmpSas.Single().Exchanges.OfType<PeerTransaction>().Single();
        exchange.Wait(false);
        exchange.Answer(ConfigurationKind.Reply, 1, writer =>
        {
            foreach (var write in writes) write(writer);
        });
        pair.Left.Drain(pair.Now);
        pair.Settle();
        pair.Run(TimeSpan.FromSeconds(5));
    }

    private static EngineHost Dave(Connection client, EnginePair pair, string address, ulong seed = 7)
    {
        var dave = new EngineHost(IpAddress.Parse(address), seed, pair.Now);
        dave.SetPsk("ike-1", EnginePair.Secret);
        dave.Passwords["dave"] = "dave's own";
        dave.Load(PolicySet.Of(client with { LocalAddresses = [], LocalRounds = [new LocalAuth { Kind = AuthKind.Xauth, XauthId = Identity.Fqdn("dave") }] }), pair.Now);
        return dave;
    }

    private static void Carry(EnginePair pair, EngineHost other)
    {
        var (own, right) = (other.Address, pair.Right.Address);
        while (other.Outbox.Count + pair.Right.Outbox.Count > 0)
        {
            while (other.Outbox.TryDequeue(out var message)) pair.Right.Receive(new Endpoint(right, message.Remote.Port), new Endpoint(own, message.Local.Port), message.Message, pair.Now);
            while (pair.Right.Outbox.TryDequeue(out var message))
            {
                if (message.Remote.Address == own) other.Receive(new Endpoint(own, message.Remote.Port), new Endpoint(right, message.Local.Port), message.Message, pair.Now);
            }
        }
    }

    /// <summary>A gateway that never changes the message ID.</summary>
    private sealed class OneMessageId(IsakmpSa sa) : Transaction(sa, sa.NewMessageId(), Xauth)
    {
        public List<string> Seen { get; } = [];

        public void Begin()
        {
            Sa.Add(this);
            Seen.Add("request");
            Send(ConfigurationKind.Request, 9, XauthServer.WriteRequest, timed: true);
        }

        public override void Receive(scoped in ChainView view)
        {
            view.TryGet(PayloadV1.Attributes, out var octets);
            Assert.Equal(ParseError.None, AttributesBody.TryParse(octets, out var body));
            Assert.Equal(9, body.Identifier);
            if (body.Kind == ConfigurationKind.Ack)
            {
                Seen.Add("acknowledged");
                Sa.Finish(this);
                return;
            }

            ConfigurationReader.TryFind(body.Attributes, (ushort)XauthAttribute.UserName, out var name);
            ConfigurationReader.TryFind(body.Attributes, (ushort)XauthAttribute.UserPassword, out var password);
            Seen.Add(Encoding.ASCII.GetString(name) + "/" + Encoding.ASCII.GetString(password));
            Send(ConfigurationKind.Set, 9, writer => XauthServer.WriteStatus(writer, ok: true), timed: true);
        }

        public override void NoAnswer(int sent) => Seen.Add("silence");

        public override void Abandon(string reason, string text) => IsDone = true;
    }
}
