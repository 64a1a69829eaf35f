using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.Linq;
using System.Threading;
using Warifu.Ipsec;
using Warifu.Policy;
using Warifu.Primitives;

namespace Warifu.Net.DataPlane;

/// <summary>A manual SA and the number of its pair in the data plane; 0 = it could not be installed.</summary>
internal sealed record ManualStatus(ManualSa Sa, uint Id, Instant Installed, string? WhyNot);

/// <summary>Keeps the pairs of SAs with manual keys that are configured in the data plane. A change touches only those that changed.</summary>
internal sealed class ManualSas(UserspaceDataPlane plane, KeyLog? keyLog, Func<bool> hasAh, bool rawSockets, Func<Instant> now)
{
    private readonly Dictionary<string, ManualStatus> _installed = new(StringComparer.Ordinal);
    private readonly Lock _gate = new();

    // the engine counts upwards from 1
    private uint _nextId = uint.MaxValue;

    public ImmutableArray<ManualStatus> Status
    {
        get
        {
            lock (_gate) return [.. _installed.Values.OrderBy(one => one.Sa.Name, StringComparer.Ordinal)];
        }
    }

    public void Apply(ImmutableArray<ManualSa> wanted)
    {
        lock (_gate)
        {
            var names = wanted.ToDictionary(sa => sa.Name, StringComparer.Ordinal);
            foreach (var (name, known) in _installed.ToArray())
            {
                if (names.TryGetValue(name, out var same) && known.Id != 0 && known.Sa.Same(same)) continue;
                if (known.Id != 0) plane.Remove(known.Id);
                known.Sa.Keys.Dispose();
                _installed.Remove(name);
            }

            foreach (var sa in wanted)
            {
                if (!_installed.ContainsKey(sa.Name)) _installed.Add(sa.Name, Install(sa with { Keys = sa.Keys.Clone() }));
            }
        }
    }

    private ManualStatus Install(ManualSa sa)
    {
        if (sa.Protocol == ProtocolId.Ah && !hasAh()) return new ManualStatus(sa, 0, now(), "this process cannot send AH: it has no raw sockets for IP protocol 51; run it as root or with CAP_NET_RAW");
        if (!rawSockets) return new ManualStatus(sa, 0, now(), "packets of an application go in UDP, which is negotiated by IKE: manual SAs need raw sockets");
        var keys = sa.Keys.Clone();
        var child = new ChildSa
        {
            Id = _nextId--,
            IkeId = 0,
            Connection = sa.Name,
            Name = sa.Name,
            Protocol = sa.Protocol,
            Mode = sa.Mode,
            InboundSpi = sa.InboundSpi,
            OutboundSpi = sa.OutboundSpi,
            Encr = (EncrId)sa.Encr.Id,
            EncrKeyBits = sa.Encr.KeyBits,
            Integ = (IntegId)sa.Integ.Id,
            InboundEncrKey = keys.InboundEncr,
            InboundIntegKey = keys.InboundInteg,
            OutboundEncrKey = keys.OutboundEncr,
            OutboundIntegKey = keys.OutboundInteg,
            Local = new Endpoint(sa.Local, 0),
            Remote = new Endpoint(sa.Remote, 0),
            LocalSelectors = sa.LocalSelectors,
            RemoteSelectors = sa.RemoteSelectors,
            ReplayWindow = 0,
            SequenceCycles = true,
            Options = new ChildOptions { BindInterface = sa.BindInterface, Mtu = sa.Mtu },
        };
        try
        {
            keyLog?.Write(child);
            plane.Install(child);
            return new ManualStatus(sa, child.Id, now(), null);
        }
        catch (InvalidOperationException taken)
        {
            return new ManualStatus(sa, 0, now(), taken.Message);
        }
    }
}
