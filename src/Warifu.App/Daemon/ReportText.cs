using Warifu.Engine;

namespace Warifu.App.Daemon;

/// <summary>What people read: events as lines of a log.</summary>
internal static class ReportText
{
    /// <summary>One line for the log; null for what only programs want.</summary>
    public static (NoticeLevel Level, string Text)? Line(IkeEvent happening) => happening switch
    {
        IkeSaUp up => (NoticeLevel.Info, $"IKE SA {up.IkeId} of {up.Connection} is up: {up.Local} [{up.LocalId}] {(up.Initiator ? "->" : "<-")} {up.Remote} [{up.RemoteId}]"),
        IkeSaDown down => (down.Reason is "down" or "peer-deleted" or "shutdown" or "replaced" or "rekeyed" or "reauthenticated" ? NoticeLevel.Info : NoticeLevel.Warning, $"IKE SA {down.IkeId} of {Named(down.Connection)} is down: {down.Text}"),
        IkeSaRekeyed rekeyed => (NoticeLevel.Info, $"IKE SA {rekeyed.IkeId} of {rekeyed.Connection} was rekeyed: now {rekeyed.NewIkeId}"),
        IkeSaReauthenticated anew => (NoticeLevel.Info, $"IKE SA {anew.IkeId} of {anew.Connection} was authenticated anew: now {anew.NewIkeId}"),
        PathChanged path => (NoticeLevel.Info, $"IKE SA {path.IkeId} of {path.Connection} goes by {path.Local} and {path.Remote} now"),
        VirtualIpsGiven given => (NoticeLevel.Info, $"IKE SA {given.IkeId} of {given.Connection}: the peer got {string.Join(' ', given.Addresses)} of our pools"),
        VirtualIpsReceived received => (NoticeLevel.Info, $"IKE SA {received.IkeId} of {received.Connection}: the peer gave us {string.Join(' ', received.Addresses)}"),
        ChildUp up => (NoticeLevel.Info, $"child {up.Child} ({up.ChildId}) of {up.Connection} is up: SPIs in {up.InboundSpi} out {up.OutboundSpi}, {string.Join(' ', up.Local)} === {string.Join(' ', up.Remote)}"),
        ChildDown down => (NoticeLevel.Info, $"child {down.Child} ({down.ChildId}) of {down.Connection} is down: {down.Text}"),
        ChildRekeyed rekeyed => (NoticeLevel.Info, $"child {rekeyed.Child} ({rekeyed.OldChildId}) of {rekeyed.Connection} was rekeyed: now {rekeyed.NewChildId}"),
        NegotiationEnded { Report: { Success: false, Failure: { } failure } report } => (NoticeLevel.Warning, $"{Named(report.Connection)}: {Sentence(failure)}"),
        Notice notice => (notice.Level, notice.Connection.Length > 0 ? $"{notice.Connection}: {notice.Text}" : notice.Text),
        _ => null,
    };

    /// <summary>What happened and what to change, in one line.</summary>
    public static string Sentence(NegotiationFailure failure) => failure.Remedy.Length > 0 ? $"{failure.Sentence}; {failure.Remedy}" : failure.Sentence;

    private static string Named(string connection) => connection.Length > 0 ? connection : "(no connection matched)";
}
