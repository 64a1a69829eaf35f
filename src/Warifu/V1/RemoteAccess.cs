using System.Linq;
using Warifu.Engine;
using Warifu.Policy;
using Warifu.Primitives;

namespace Warifu.V1;

internal enum AccessStage
{
    /// <summary>The user proves itself (draft-beaulieu-ike-xauth-02): before anything else happens under phase 1.</summary>
    Xauth,
    /// <summary>The client gets its configuration (draft-dukes-ike-mode-cfg-02).</summary>
    Configuration,
    /// <summary>It has failed: the peer is told, and phase 1 goes.</summary>
    Refused,
}

/// <summary>What stands between phase 1 and the first quick mode of remote access: XAuth, then Mode Config. Until it is over the SA is not established, and a responder's counts as half open.</summary>
internal sealed class RemoteAccess
{
    private readonly IsakmpSa _sa;

    private RemoteAccess(IsakmpSa sa, bool initialContact) => (_sa, InitialContact) = (sa, initialContact);

    public AccessStage Stage { get; private set; }

    /// <summary>The peer has no other phase 1: what counts only when it is known who the user is.</summary>
    public bool InitialContact { get; }

    /// <summary>The user proved itself; only the peer's acknowledgement is missing.</summary>
    public bool IsProven { get; set; }

    public string Task => Stage == AccessStage.Configuration ? Transaction.ModeConfig : Transaction.Xauth;

    /// <summary>We are the user: our authentication is by XAuth, alone (hybrid) or behind another.</summary>
    public static bool IsUser(Connection connection) => LocalOf(connection) is not null;

    /// <summary>The peers are users.</summary>
    public static bool HasUsers(Connection connection) => connection.Remote.Kind == AuthKind.Xauth || connection.RemoteRounds.Any(round => round.Kind == AuthKind.Xauth);

    /// <summary>We are the gateway of clients: they renew phase 1, since only they can say who they are and what they have.</summary>
    public static bool IsGateway(Connection connection) => HasUsers(connection) || !connection.Pools.IsEmpty;

    public static LocalAuth? LocalOf(Connection connection) => connection.Local.Kind == AuthKind.Xauth ? connection.Local : connection.LocalRounds.FirstOrDefault(round => round.Kind == AuthKind.Xauth);

    /// <summary>Which users may come.</summary>
    public static IdentityPattern UsersOf(Connection connection) => connection.RemoteRounds.FirstOrDefault(round => round.Kind == AuthKind.Xauth)?.Id ?? IdentityPattern.Any;

    /// <summary>Phase 1 is over. False: nothing stands behind it.</summary>
    public static bool TryBegin(IsakmpSa sa, bool initialContact)
    {
        var connection = sa.Connection;
        if (!sa.Suite!.UsesXauth && connection.VirtualIps.IsEmpty && (connection.Pools.IsEmpty || connection.Pull)) return false;
        var access = new RemoteAccess(sa, initialContact);
        sa.Access = access;
        sa.ExpireAt = sa.Engine.Now + ProtocolTimes.RemoteAccess;
        sa.Report.Add(sa.Engine.Now, StepDirection.Here, $"phase 1 is over between {Identities.Print(sa.LocalId)} and {Identities.Print(sa.RemoteId)}; {(sa.Suite.UsesXauth ? "XAuth" : "Mode Config")} follows");
        if (!sa.Suite.UsesXauth) access.Configure();
        else if (sa.Suite.IsUser(!sa.Initiator)) XauthServer.Begin(sa);
        // else the gateway begins
        sa.Reschedule();
        return true;
    }

    /// <summary>The user proved itself.</summary>
    public void Configure()
    {
        if (_sa.Access != this || Stage != AccessStage.Xauth) return;
        Stage = AccessStage.Configuration;
        foreach (var open in _sa.OpenExchanges.OfType<Transaction>().Where(exchange => !exchange.IsBusy).ToArray())
        {
            open.Flight.Land();
            _sa.Finish(open);
        }

        var connection = _sa.Connection;
        if (!connection.VirtualIps.IsEmpty)
        {
            // with push the gateway begins
            if (connection.Pull) ConfigurationClient.Request(_sa);
        }
        else if (!connection.Pools.IsEmpty && !connection.Pull)
        {
            ConfigurationServer.Push(_sa);
        }
        else
        {
            Finish();
        }
    }

    /// <summary>All is there that quick mode needs.</summary>
    public void Finish()
    {
        if (_sa.Access != this || _sa.IsClosed) return;
        _sa.Access = null;
        _sa.Engine.Admit(_sa, InitialContact);
    }

    /// <summary>Nothing is answered any more.</summary>
    public void Refuse() => Stage = AccessStage.Refused;

    /// <summary>It failed: phase 1 goes, and the peer is told.</summary>
    public void Fail(NegotiationFailure failure)
    {
        if (_sa.IsClosed) return;
        Refuse();
        _sa.Inform(builder => builder.Delete(ProtocolId.Ike, _sa.Cookies()));
        PhaseLifetimes.Fail(_sa, failure);
    }

    /// <summary>Its time is over.</summary>
    public void Expire() => Fail(Stage == AccessStage.Configuration
        ? new NegotiationFailure("timeout", $"{_sa.Remote} {(_sa.Connection.VirtualIps.IsEmpty ? "did not take the configuration that was pushed" : _sa.Connection.Pull ? "did not answer the request for an address" : "did not push an address")} within {ProtocolTimes.RemoteAccess.TotalSeconds:0} s (Mode Config)", [], [], [],
            $"here: set connections.{_sa.Connection.Name}.pull = {(_sa.Connection.Pull ? "no" : "yes")} if that is what the peer does; or at the peer: {(_sa.Connection.VirtualIps.IsEmpty ? "let it ask for a virtual address" : "give its connection a pool of addresses")}")
        : new NegotiationFailure("timeout", _sa.Suite!.IsUser(_sa.Initiator) ? $"{_sa.Remote} did not ask for the user's name and password within {ProtocolTimes.RemoteAccess.TotalSeconds:0} s (XAuth)" : $"{_sa.Remote} gave no name and password within {ProtocolTimes.RemoteAccess.TotalSeconds:0} s (XAuth)", [], [], [], "at the peer: its log shows why; as a rule XAuth is not configured there, or nobody typed the password"));
}
