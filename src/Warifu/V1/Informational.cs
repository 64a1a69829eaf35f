using System;
using System.Buffers.Binary;
using System.Linq;
using Warifu.Engine;
using Warifu.Primitives;
using Warifu.Wire;
using Warifu.Wire.V1;

namespace Warifu.V1;

/// <summary>Informational exchanges under HASH(1) (RFC 2409 section 5.7): notifies and deletes. What is not protected never comes here.</summary>
internal static class Informational
{
    public static void Receive(IsakmpSa sa, scoped in ChainView view)
    {
        var answered = false;
        for (var i = 0; i < view.Count && !sa.IsClosed; i++)
        {
            if (view[i].Type == PayloadV1.Notify && sa.State != IsakmpState.Passive && NotifyBody.TryParse(view.Body(i), out var notify) == ParseError.None) OnNotify(sa, notify, ref answered);
            else if (view[i].Type == PayloadV1.Delete && DeleteBody.TryParse(view.Body(i), out var delete) == ParseError.None) OnDelete(sa, delete);
        }
    }

    /// <param name="sa">Whose.</param>
    /// <param name="notify">One of the message.</param>
    /// <param name="answered">The message was answered: nobody gets more messages than he sends.</param>
    private static void OnNotify(IsakmpSa sa, scoped in NotifyBody notify, ref bool answered)
    {
        switch (notify.Type)
        {
            case NotifyV1.RUThere when notify.Spi.SequenceEqual(sa.Cookies()) && notify.Data.Length == 4:
                if (answered) break;
                answered = true;
                var sequence = notify.Data.ToArray();
                sa.Inform(builder => builder.Notify(ProtocolId.Ike, sa.Cookies(), NotifyV1.RUThereAck, sequence));
                break;
            case NotifyV1.RUThereAck when notify.Spi.SequenceEqual(sa.Cookies()):
                sa.Probe.Heard(notify.Data);
                break;
            case NotifyV1.InitialContact when sa.State == IsakmpState.Established:
                sa.Engine.ClaimOwn(sa, initialContact: true);
                break;
            case NotifyV1.ResponderLifetime when notify.Protocol == ProtocolId.Ike && sa.Initiator && sa.State == IsakmpState.Established && notify.Spi.SequenceEqual(sa.Cookies()) && AttributeList.Check(notify.Data):
                PhaseLifetimes.OnResponderLifetime(sa, notify.Data);
                break;
            case NotifyV1.ResponderLifetime when notify.Protocol is ProtocolId.Esp or ProtocolId.Ah && AttributeList.Check(notify.Data):
                OnResponderLifetime(sa, notify);
                break;
            default:
                if (notify.IsError) OnError(sa, notify);
                break;
        }
    }

    /// <summary>A refusal names what it refuses only sometimes: by our SPI, else it is the oldest open request.</summary>
    private static void OnError(IsakmpSa sa, scoped in NotifyBody notify)
    {
        if (sa.Mode is { } mode)
        {
            mode.Fail(PhaseFailures.Rejected(sa, notify.Type), null);
            return;
        }

        var spi = notify.Spi.Length == 4 ? BinaryPrimitives.ReadUInt32BigEndian(notify.Spi) : 0;
        var open = sa.OpenExchanges.OfType<QuickInitiator>().ToArray();
        var named = open.FirstOrDefault(quick => quick.Spi.Value == spi);
        // packets on a pair that the peer has lost (RFC 2408 section 3.14.1): no answer to what we asked
        if (named is null && spi != 0 && notify.Type == NotifyV1.InvalidSpi) return;
        (named ?? open.FirstOrDefault())?.Refused(notify.Type);
    }

    private static void OnResponderLifetime(IsakmpSa sa, scoped in NotifyBody notify)
    {
        if (notify.Spi.Length != 4 || sa.Holder.Children.ByOutbound(new ChildSpi(BinaryPrimitives.ReadUInt32BigEndian(notify.Spi))) is not { } child) return;
        var (seconds, _) = Lifetime.Read((ushort)IpsecAttribute.LifeType, AttributeList.Read(notify.Data));
        if (seconds > 0) QuickInstall.Shorten(sa, child, seconds);
    }

    private static void OnDelete(IsakmpSa sa, scoped in DeleteBody delete)
    {
        if (delete.Protocol == ProtocolId.Ike)
        {
            for (var i = 0; i < delete.Count; i++)
            {
                if (sa.State is not (IsakmpState.Passive or IsakmpState.Closed) && delete[i].SequenceEqual(sa.Cookies())) sa.Engine.PeerDeleted(sa);
            }

            return;
        }

        for (var i = 0; i < delete.Count && !sa.IsClosed; i++)
        {
            if (delete.SpiLength != 4) return;
            var holder = sa.Holder;
            if (holder.Children.ByOutbound(new ChildSpi(BinaryPrimitives.ReadUInt32BigEndian(delete[i]))) is not { } child || child.Proposal.Protocol != delete.Protocol) continue;
            var wasLive = child.IsLive;
            holder.RemoveChild(child, child.Phase == ChildPhase.Rekeyed ? "rekeyed" : "peer-deleted", "the peer deleted it");
            if (wasLive && !holder.Children.HasLive(child.Config.Name)) sa.Engine.Act(sa.Connection, child.Config, child.Config.CloseAction);
        }
    }
}
