using Warifu.Engine;
using Warifu.Primitives;
using Warifu.Wire;

namespace Warifu.V2.Exchanges;

/// <summary>INFORMATIONAL with a delete of one pair (RFC 7296 section 1.4.1): each side deletes its own inbound SA.</summary>
internal sealed class DeleteChildExchange(ChildState child, string reason, CommandId command = default) : Exchange
{
    public ChildState Child => child;

    public override ExchangeType Type => ExchangeType.Informational;

    public override string Task => "CHILD_DELETE";

    public override bool TryBuild(IkeSa sa, MessageBuilder builder)
    {
        if (!sa.Children.Contains(child))
        {
            sa.Engine.Complete(command, new CommandResult(true, Matches: 1, Done: 1));
            return false;
        }

        builder.Delete(child.Proposal.Protocol, [child.Inbound]);
        return true;
    }

    public override void OnResponse(IkeSa sa, scoped in MessageView view)
    {
        // the IKE SA may have been rekeyed meanwhile
        var owner = sa;
        while (!owner.Children.Contains(child) && owner.Successor is { } successor) owner = successor;
        var wasThere = owner.Children.Contains(child);
        owner.RemoveChild(child, reason, child.Unfit ?? "closed from here");
        sa.Engine.Complete(command, new CommandResult(true, Matches: 1, Done: 1));
        // it expired, or the peer closed what was to replace it: that is not what was asked for here
        if (wasThere && (child.HasExpired || reason == "peer-deleted") && owner.State == IkeState.Established && !owner.Children.HasLive(child.Config.Name)) sa.Engine.Act(sa.Connection, child.Config, child.Config.CloseAction);
    }

    public override bool TryMove(IkeSa from) => true;

    public override void OnAbandoned(IkeSa sa, string why, string text) => sa.Engine.Complete(command, new CommandResult(true, Matches: 1, Done: 1));
}

/// <summary>INFORMATIONAL that tells the peer that we do not believe it (RFC 7296 section 2.21.2); the IKE SA ends with the answer, or without one.</summary>
internal sealed class RejectExchange(string reason, string text) : Exchange
{
    public override ExchangeType Type => ExchangeType.Informational;

    public override string Task => "IKE_REJECT";

    public override bool TryBuild(IkeSa sa, MessageBuilder builder)
    {
        builder.Notify(NotifyType.AuthenticationFailed);
        return true;
    }

    public override void OnResponse(IkeSa sa, scoped in MessageView view) => sa.Close(reason, text);
}

/// <summary>INFORMATIONAL that deletes a pair which only the peer has installed.</summary>
internal sealed class DeleteSpiExchange(ProtocolId protocol, ChildSpi spi) : Exchange
{
    public override ExchangeType Type => ExchangeType.Informational;

    public override string Task => "CHILD_DELETE";

    public override bool TryBuild(IkeSa sa, MessageBuilder builder)
    {
        builder.Delete(protocol, [spi]);
        return true;
    }

    public override void OnResponse(IkeSa sa, scoped in MessageView view)
    {
    }
}

/// <summary>INFORMATIONAL with a delete of the IKE SA itself; its children go with it.</summary>
internal sealed class DeleteIkeExchange(string reason, string text, CommandId command = default) : Exchange
{
    public override ExchangeType Type => ExchangeType.Informational;

    public override string Task => "IKE_DELETE";

    public override bool TryBuild(IkeSa sa, MessageBuilder builder)
    {
        builder.DeleteIke();
        return true;
    }

    public override void OnResponse(IkeSa sa, scoped in MessageView view)
    {
        sa.Close(reason, text);
        sa.Engine.Complete(command, new CommandResult(true, Matches: 1, Done: 1));
    }

    public override void OnAbandoned(IkeSa sa, string why, string what) => sa.Engine.Complete(command, new CommandResult(true, Matches: 1, Done: 1));
}

/// <summary>An empty INFORMATIONAL: are you there? (RFC 7296 section 2.4)</summary>
internal sealed class LivenessExchange : Exchange
{
    public override ExchangeType Type => ExchangeType.Informational;

    public override string Task => "IKE_DPD";

    public override Instant GiveUpAt => _giveUpAt;

    private Instant _giveUpAt = Instant.Never;

    public override bool TryBuild(IkeSa sa, MessageBuilder builder)
    {
        // so many intervals without an answer; within them the waits grow as always (section 2.4)
        if (sa.Connection is { DpdThreshold: > 0, DpdDelay: var delay } && delay > System.TimeSpan.Zero) _giveUpAt = sa.Engine.Now + (delay * sa.Connection.DpdThreshold);
        return true;
    }

    public override void OnResponse(IkeSa sa, scoped in MessageView view)
    {
    }
}
