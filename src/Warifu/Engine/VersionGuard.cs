using System;
using System.Collections.Generic;
using System.Linq;
using Warifu.Policy;
using Warifu.Primitives;

namespace Warifu.Engine;

/// <summary>
/// One IKE version per peer, and no fallback in either direction (RFC 7296 section 2.5, RFC 9395): messages of the other version make no state and are counted. Somebody should know of them, too: once in a while for each peer.
/// </summary>
internal sealed class VersionGuard
{
    private const int MaxPeers = 1024;

    private static readonly TimeSpan s_pause = TimeSpan.FromMinutes(1);

    private readonly Dictionary<IpAddress, Instant> _told = [];

    /// <summary>Messages that were refused for their version.</summary>
    public long Mismatches { get; private set; }

    /// <param name="engine">Whose policy says which version a peer has.</param>
    /// <param name="local">Own end of the message.</param>
    /// <param name="remote">The peer's end, which nobody verified.</param>
    /// <param name="version">Major version of the message.</param>
    public void Refuse(IkeEngine engine, Endpoint local, Endpoint remote, int version)
    {
        Mismatches++;
        if (_told.TryGetValue(remote.Address, out var last) && engine.Now - last < s_pause) return;
        if (!engine.MayReportRefusal()) return;
        if (_told.Count >= MaxPeers && !TryMakeRoom(engine.Now)) return;
        _told[remote.Address] = engine.Now;
        var connection = First(engine, local, remote, IkeVersion.V2) ?? First(engine, local, remote, IkeVersion.V1);
        if (version is not (1 or 2))
        {
            engine.Raise(new Notice(NoticeLevel.Warning, $"{remote} sends messages of version {version}, which is none of IKE: dropped") { Connection = connection?.Name ?? "" });
            return;
        }

        var text = connection is null
            ? $"{remote} speaks IKEv{version}; no connection here is for it"
            : $"{remote} speaks IKEv{version}, connection {connection.Name} is IKEv{(int)connection.Version}: refused, and nothing falls back; at the peer: set this connection to IKEv{(int)connection.Version}; or here: set connections.{connection.Name}.version = {version}";
        engine.Raise(new Notice(NoticeLevel.Warning, text) { Connection = connection?.Name ?? "" });
        var report = new ReportBuilder(engine.Now, initiator: false);
        report.Add(engine.Now, StepDirection.In, $"a message of IKEv{version}");
        var failure = connection is null
            ? new NegotiationFailure("no-connection", $"no connection here is for {local.Address} and {remote.Address}", [], [], [], $"here: add a connection whose remote_addrs contains {remote.Address} (and whose version is {version})")
            : new NegotiationFailure(
                "version",
                $"{remote} speaks IKEv{version}, connection {connection.Name} is IKEv{(int)connection.Version}: nothing falls back",
                [$"IKEv{version}"],
                [$"IKEv{(int)connection.Version}"],
                [],
                $"here: set connections.{connection.Name}.version = {version}; or at the peer: set this connection to IKEv{(int)connection.Version}");
        engine.Raise(new NegotiationEnded(report.Build(connection?.Name ?? "", null, local, remote, engine.Now, failure)) { Connection = connection?.Name ?? "" });
    }

    private static Connection? First(IkeEngine engine, Endpoint local, Endpoint remote, IkeVersion version) => engine.Index.FirstCandidates(local.Address, remote.Address, version).FirstOrDefault();

    private bool TryMakeRoom(Instant now)
    {
        foreach (var old in _told.Where(entry => now - entry.Value >= s_pause).Select(entry => entry.Key).ToArray()) _told.Remove(old);
        return _told.Count < MaxPeers;
    }
}
