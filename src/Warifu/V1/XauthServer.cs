using System;
using Warifu.Engine;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Wire;
using Warifu.Wire.V1;

namespace Warifu.V1;

/// <summary>XAuth of the gateway (draft-beaulieu-ike-xauth-02 section 5.1): it asks for name and password, and says by SET whether they are right. One try for each phase 1; the next costs a new one.</summary>
internal static class XauthServer
{
    private const ushort Fail = 0, Ok = 1;

    private const int LongestPassword = 1024;

    public static void Begin(IsakmpSa sa)
    {
        var identifier = (ushort)sa.Engine.Entropy.NextUInt32();
        OwnTransaction.Start(sa, Transaction.Xauth, ConfigurationKind.Request, identifier, WriteRequest, (scoped in body) => OnReply(sa, identifier, body), sent => sa.Access?.Fail(NoAnswer(sa, sent)));
    }

    /// <summary>The generic type goes without saying.</summary>
    public static void WriteRequest(WireWriter writer)
    {
        ConfigurationList.Octets(writer, (ushort)XauthAttribute.UserName, default);
        ConfigurationList.Octets(writer, (ushort)XauthAttribute.UserPassword, default);
    }

    public static void WriteStatus(WireWriter writer, bool ok) => ConfigurationList.Number(writer, (ushort)XauthAttribute.Status, ok ? Ok : Fail);

    private static void OnReply(IsakmpSa sa, ushort identifier, scoped in AttributesBody body)
    {
        if (sa.Access is not { Stage: AccessStage.Xauth }) return;
        _ = ConfigurationReader.TryFind(body.Attributes, (ushort)XauthAttribute.UserName, out var name);
        var hasPassword = ConfigurationReader.TryFind(body.Attributes, (ushort)XauthAttribute.UserPassword, out var password) && password.Length is > 0 and <= LongestPassword;
        if (ConfigurationReader.NumberOf(body.Attributes, (ushort)XauthAttribute.Status) is not null || UserNames.IdentityOf(name) is not { } user || !hasPassword)
        {
            Refuse(sa, identifier, new NegotiationFailure("authentication-failed", "the peer gave no user name and password (XAuth)", [], [], [], "at the peer: configure the user's name and password, and XAuth of the generic type"));
            return;
        }

        if (!RemoteAccess.UsersOf(sa.Connection).Matches(user))
        {
            Refuse(sa, identifier, WrongUser(sa, user, $"connections.{sa.Connection.Name} accepts users {RemoteAccess.UsersOf(sa.Connection)}"));
            return;
        }

        if (sa.Engine.Guesses.IsBarred(user, sa.Remote.Address, sa.Engine.Now))
        {
            Refuse(sa, identifier, WrongUser(sa, user, $"there were too many wrong passwords from {sa.Remote.Address}: nothing is looked at for {ProtocolTimes.GuessPeriod.TotalMinutes:0} minutes"));
            return;
        }

        sa.Engine.Ask(sa, new Ask.CheckPassword(user, new Secret(password), sa.Connection.Name), answer =>
        {
            if (sa.Access is not { Stage: AccessStage.Xauth } access) return;
            if (answer is not Answer.PasswordChecked { IsRight: true })
            {
                if (sa.Engine.Guesses.Wrong(user, sa.Remote.Address, sa.Engine.Now) is { } warning) sa.Engine.Raise(new Notice(NoticeLevel.Warning, warning) { Connection = sa.Connection.Name, IkeId = sa.Id });
                Refuse(sa, identifier, WrongUser(sa, user, (answer as Answer.PasswordChecked)?.WhyNot ?? (answer as Answer.Failed)?.Why ?? ""));
                return;
            }

            sa.Engine.Guesses.Right(user, sa.Remote.Address);
            sa.User = user;
            sa.Report.Add(sa.Engine.Now, StepDirection.Here, $"the password of user {Identities.Print(user)} is right");
            // now it is known whose others this one may replace
            sa.Engine.Claim(sa, access.InitialContact, () =>
            {
                access.IsProven = true;
                Say(sa, identifier, true, () => sa.Access?.Configure(), sent => sa.Access?.Fail(NoAnswer(sa, sent)));
            }, failure => Refuse(sa, identifier, failure));
        });
    }

    /// <summary>Status 0, and when the peer has it phase 1 goes.</summary>
    private static void Refuse(IsakmpSa sa, ushort identifier, NegotiationFailure failure)
    {
        sa.Access?.Refuse();
        Say(sa, identifier, false, () => sa.Access?.Fail(failure), _ => sa.Access?.Fail(failure));
    }

    private static void Say(IsakmpSa sa, ushort identifier, bool ok, Action acknowledged, Action<int> silent) =>
        OwnTransaction.Start(sa, Transaction.Xauth, ConfigurationKind.Set, identifier, writer => WriteStatus(writer, ok), (scoped in _) => acknowledged(), silent);

    private static NegotiationFailure WrongUser(IsakmpSa sa, Identity user, string why) => new(
        "authentication-failed",
        $"user {Identities.Print(user)} is refused (XAuth){(why.Length > 0 ? ": " + why : "")}",
        [Identities.Print(user)],
        [],
        [],
        $"here: add the user to 'secrets' (xauth… {{ id = {Identities.Print(user)}; secret = … }}), or correct its password; or at the peer: give the right password");

    private static NegotiationFailure NoAnswer(IsakmpSa sa, int sent) => new("timeout", $"{sa.Remote} did not say who its user is: it was asked {sent} times (XAuth)", [], [], [], "at the peer: configure XAuth, or use a connection without it");
}
