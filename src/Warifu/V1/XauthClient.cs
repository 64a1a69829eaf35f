using System;
using Warifu.Engine;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Wire;
using Warifu.Wire.V1;

namespace Warifu.V1;

/// <summary>XAuth of the user (draft-beaulieu-ike-xauth-02): generic name and password. To whom they go has proved itself in phase 1.</summary>
internal static class XauthClient
{
    /// <summary>A gateway that asks more often would ask for ever.</summary>
    private const int MostRequests = 3;

    private const ushort Generic = 0;

    public static bool IsXauth(scoped in AttributesBody body)
    {
        var reader = new ConfigurationReader(body.Attributes);
        while (reader.TryNext(out var type, out _))
        {
            if (type is >= (ushort)XauthAttribute.Type and <= (ushort)XauthAttribute.Answer) return true;
        }

        return false;
    }

    public static void OnRequest(PeerTransaction exchange, scoped in AttributesBody body)
    {
        var sa = exchange.Sa;
        if (!sa.Suite!.IsUser(sa.Initiator) || sa.Access is { Stage: not AccessStage.Xauth } || RemoteAccess.LocalOf(sa.Connection) is not { } local)
        {
            exchange.Ignore();
            return;
        }

        var identifier = body.Identifier;
        var type = ConfigurationReader.NumberOf(body.Attributes, (ushort)XauthAttribute.Type);
        var message = ConfigurationReader.TryFind(body.Attributes, (ushort)XauthAttribute.Message, out var octets) ? PoolText.Printable(octets) : "";
        var wanted = Others(body);
        var name = UserNames.OctetsOf(local.XauthId ?? local.Id ?? sa.LocalId!);
        if ((type ?? Generic) != Generic || wanted.Length > 0)
        {
            exchange.Answer(ConfigurationKind.Reply, identifier, writer => XauthServer.WriteStatus(writer, ok: false));
            Fail(sa, new NegotiationFailure("authentication-failed", $"the peer wants more of the user than a name and a password: {(wanted.Length > 0 ? wanted : $"XAUTH_TYPE {type}")}{(message.Length > 0 ? $" (\"{message}\")" : "")}", [], [], [], "at the peer: use XAuth of the generic type, by name and password"));
            return;
        }

        if (++sa.XauthRequests > MostRequests)
        {
            exchange.Answer(ConfigurationKind.Reply, identifier, writer => XauthServer.WriteStatus(writer, ok: false));
            Fail(sa, Refused(sa, name.AsSpan(), message));
            return;
        }

        if (message.Length > 0) sa.Engine.Raise(new Notice(NoticeLevel.Info, $"the gateway says: {message}") { Connection = sa.Connection.Name, IkeId = sa.Id });
        var (needsName, needsPassword) = (ConfigurationReader.TryFind(body.Attributes, (ushort)XauthAttribute.UserName, out _), ConfigurationReader.TryFind(body.Attributes, (ushort)XauthAttribute.UserPassword, out _));
        exchange.Wait(true);
        sa.Engine.Ask(sa, new Ask.FindPassword(UserNames.IdentityOf(name.AsSpan()) ?? Identity.Fqdn(""), sa.Connection.Name), answer =>
        {
            exchange.Wait(false);
            if (answer is not Answer.Octets password)
            {
                exchange.Answer(ConfigurationKind.Reply, identifier, writer => XauthServer.WriteStatus(writer, ok: false));
                Fail(sa, NoPassword(sa, name.AsSpan(), (answer as Answer.Failed)?.Why ?? ""));
                return;
            }

            exchange.Answer(ConfigurationKind.Reply, identifier, writer => WriteReply(writer, type, needsName ? name.AsSpan() : default, needsPassword ? password.Value.Span : default), isLast: false);
            password.Value.Dispose();
            // the status may come under the same message ID
            exchange.ForgetAt = sa.Engine.Now + ProtocolTimes.ExchangeMemory;
            sa.Reschedule();
        });
    }

    /// <summary>The type stands in the answer where it stood in the question.</summary>
    public static void WriteReply(WireWriter writer, ushort? type, ReadOnlySpan<byte> name, ReadOnlySpan<byte> password)
    {
        if (type is { } given) ConfigurationList.Number(writer, (ushort)XauthAttribute.Type, given);
        if (!name.IsEmpty) ConfigurationList.Octets(writer, (ushort)XauthAttribute.UserName, name);
        if (!password.IsEmpty) ConfigurationList.Octets(writer, (ushort)XauthAttribute.UserPassword, password);
    }

    public static void OnStatus(PeerTransaction exchange, scoped in AttributesBody body)
    {
        var sa = exchange.Sa;
        if (!sa.Suite!.IsUser(sa.Initiator) || ConfigurationReader.NumberOf(body.Attributes, (ushort)XauthAttribute.Status) is not { } status)
        {
            exchange.Ignore();
            return;
        }

        var message = ConfigurationReader.TryFind(body.Attributes, (ushort)XauthAttribute.Message, out var octets) ? PoolText.Printable(octets) : "";
        exchange.Answer(ConfigurationKind.Ack, body.Identifier, writer => ConfigurationList.Octets(writer, (ushort)XauthAttribute.Status, default));
        if (status != 1)
        {
            var name = RemoteAccess.LocalOf(sa.Connection) is { } local ? UserNames.OctetsOf(local.XauthId ?? local.Id ?? sa.LocalId!) : [];
            Fail(sa, Refused(sa, name.AsSpan(), message));
            return;
        }

        sa.XauthRequests = 0;
        if (sa.Access is not { Stage: AccessStage.Xauth } access) return;
        sa.Report.Add(sa.Engine.Now, StepDirection.Here, "the peer accepts the user and its password");
        access.Configure();
    }

    /// <summary>What a name and a password do not answer.</summary>
    private static string Others(scoped in AttributesBody body)
    {
        var reader = new ConfigurationReader(body.Attributes);
        while (reader.TryNext(out var type, out _))
        {
            if (type is (ushort)XauthAttribute.Passcode or (ushort)XauthAttribute.Challenge or (ushort)XauthAttribute.NextPin or (ushort)XauthAttribute.Answer) return MessageNames.NameOfAttribute(type);
        }

        return "";
    }

    private static void Fail(IsakmpSa sa, NegotiationFailure failure)
    {
        if (sa.Access is { } access) access.Fail(failure);
        else PhaseLifetimes.Delete(sa, failure.Reason, failure.Sentence);
    }

    private static NegotiationFailure Refused(IsakmpSa sa, ReadOnlySpan<byte> name, string message) => new(
        "authentication-failed",
        $"the peer refused user {PoolText.Printable(name)} (XAuth){(message.Length > 0 ? $": \"{message}\"" : "")}",
        [PoolText.Printable(name)],
        [],
        [],
        $"here: check connections.{sa.Connection.Name}.{(sa.Connection.Local.Kind == AuthKind.Xauth ? "local" : "local-2")}.xauth_id and the password of this user in 'secrets'; or at the peer: its log shows why");

    private static NegotiationFailure NoPassword(IsakmpSa sa, ReadOnlySpan<byte> name, string why) => new(
        "no-secret",
        $"there is no password for user {PoolText.Printable(name)} of connection {sa.Connection.Name} (XAuth){(why.Length > 0 ? ": " + why : "")}",
        [],
        [],
        [],
        $"here: add to 'secrets': xauth-NAME {{ id = {PoolText.Printable(name)}; secret = … }}");
}
