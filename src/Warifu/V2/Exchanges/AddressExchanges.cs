using System.Linq;
using Warifu.Engine;
using Warifu.Primitives;
using Warifu.Wire;

namespace Warifu.V2.Exchanges;

/// <summary>INFORMATIONAL with UPDATE_SA_ADDRESSES (RFC 4555 section 3.5): the path that we have chosen.</summary>
internal sealed class UpdateAddressesExchange(int move, int tries = 0) : Exchange
{
    private const int Most = 3;

    private byte[] _cookie = [];

    public override ExchangeType Type => ExchangeType.Informational;

    public override string Task => "IKE_MOBIKE";

    public override bool TryBuild(IkeSa sa, MessageBuilder builder)
    {
        // the path has changed again: that update follows
        if (!Mobike.Decides(sa) || sa.Moves != move) return false;
        _cookie = Mobike.NewCookie(sa);
        builder.Notify(NotifyType.UpdateSaAddresses);
        if (sa.Connection.NatTraversal) NatDetection.Write(builder, sa.SpiI, sa.SpiR, sa.Local, sa.Remote, sa.ForceEncapsulation);
        Mobike.WriteNatProhibition(sa, builder);
        var own = Mobike.FurtherAddresses(sa);
        if (!own.SequenceEqual(sa.Peer.Announced)) Mobike.WriteAddresses(sa, builder, own);
        builder.Notify(NotifyType.Cookie2, _cookie);
        return true;
    }

    public override void OnResponse(IkeSa sa, scoped in MessageView view)
    {
        if (!Mobike.Decides(sa) || sa.Moves != move || !Mobike.IsProof(sa, view, _cookie)) return;
        if (view.HasNotify(NotifyType.UnacceptableAddresses) || view.HasNotify(NotifyType.UnexpectedNatDetected))
        {
            Refused(sa, view.HasNotify(NotifyType.UnexpectedNatDetected));
            return;
        }

        if (Mobike.ReadNat(sa, view, sa.Local, sa.Remote)) Mobike.MoveChildren(sa);
    }

    private void Refused(IkeSa sa, bool hasNat)
    {
        // section 3.9: whoever can change a single packet must not keep us from a path
        if (hasNat && tries < Most)
        {
            sa.Window.StartFirst(new UpdateAddressesExchange(move, tries + 1));
            return;
        }

        sa.Engine.Raise(new Notice(NoticeLevel.Warning, hasNat
            ? $"the path from {sa.Local} to {sa.Remote} leads through a NAT, and NAT traversal is switched off (connections.{sa.Connection.Name}.nat_traversal)"
            : $"the peer does not want the path from {sa.Local} to {sa.Remote} (UNACCEPTABLE_ADDRESSES)")
        { Connection = sa.Connection.Name, IkeId = sa.Id });
        if (!sa.Peer.Addresses.IsEmpty) Mobike.ChoosePath(sa, 1, moveOnly: true);
    }
}

/// <summary>INFORMATIONAL with our further addresses (RFC 4555 section 3.6).</summary>
internal sealed class AddressesExchange : Exchange
{
    private byte[] _cookie = [];

    public override ExchangeType Type => ExchangeType.Informational;

    public override string Task => "IKE_MOBIKE";

    public override bool TryBuild(IkeSa sa, MessageBuilder builder)
    {
        if (!Mobike.IsActive(sa)) return false;
        _cookie = Mobike.NewCookie(sa);
        Mobike.WriteAddresses(sa, builder, Mobike.FurtherAddresses(sa));
        Mobike.WriteNatProhibition(sa, builder);
        builder.Notify(NotifyType.Cookie2, _cookie);
        return true;
    }

    public override void OnResponse(IkeSa sa, scoped in MessageView view)
    {
        if (Mobike.IsActive(sa)) Mobike.IsProof(sa, view, _cookie);
    }
}

/// <summary>INFORMATIONAL with COOKIE2 (RFC 4555 section 3.7): does the peer receive at the address that it wants to move to? Only then do its pairs follow.</summary>
internal sealed class RoutabilityExchange(int move, bool isNew) : Exchange
{
    private byte[] _cookie = [];

    public override ExchangeType Type => ExchangeType.Informational;

    public override string Task => "IKE_MOBIKE";

    public override bool TryBuild(IkeSa sa, MessageBuilder builder)
    {
        if (!Mobike.IsActive(sa) || sa.Moves != move) return false;
        _cookie = Mobike.NewCookie(sa);
        builder.Notify(NotifyType.Cookie2, _cookie);
        return true;
    }

    public override void OnResponse(IkeSa sa, scoped in MessageView view)
    {
        if (!Mobike.IsActive(sa) || sa.Moves != move || !Mobike.IsProof(sa, view, _cookie)) return;
        Mobike.MoveChildren(sa);
        if (isNew) sa.Engine.Raise(new PathChanged(sa.Local, sa.Remote) { Connection = sa.Connection.Name, IkeId = sa.Id });
    }
}
