using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.Linq;
using System.Threading;
using Warifu.Ipsec;
using Warifu.Net.Linux;
using Warifu.Policy;
using Warifu.Primitives;

namespace Warifu.Net.DataPlane;

/// <summary>A manual SA and the number of its pair in the data plane; 0 = it could not be installed.</summary>
internal sealed record ManualStatus(ManualSa Sa, uint Id, Instant Installed, string? WhyNot);

/// <summary>
/// Keeps the pairs of SAs with manual keys that are configured in the data plane. A change touches only those that changed. Each has an entry of the SPD of its own below it, which discards: while its pair is
/// replaced, when it cannot be installed, and after a crash its traffic stays where it is.
/// </summary>
/// <param name="plane">Null: there is none.</param>
/// <param name="secrets">Keeps the keys.</param>
/// <param name="keyLog">Null: off.</param>
/// <param name="hasAh">This process can send AH.</param>
/// <param name="rawSockets">It can send straight on IP.</param>
/// <param name="troubled">Told the name of an SA that cannot be installed, and why.</param>
internal sealed class ManualSas(UserspaceDataPlane? plane, SecretStore secrets, KeyLog? keyLog, Func<bool> hasAh, bool rawSockets, Action<string, string> troubled)
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

    /// <summary>Holds the traffic of those that will be there.</summary>
    public void Hold(ImmutableArray<ManualSa> wanted)
    {
        if (!rawSockets) return;
        lock (_gate)
        {
            foreach (var sa in wanted)
            {
                if (_installed.TryGetValue(sa.Name, out var known) && known.Sa.Same(sa)) continue;
                // children have names, so that this one is nobody else's
                plane?.InstallPolicy(new TrafficPolicy { Connection = sa.Name, Child = "", Action = TrafficAction.Discard, Mode = sa.Mode, LocalSelectors = sa.LocalSelectors, RemoteSelectors = sa.RemoteSelectors, Remote = sa.Remote, Options = OptionsOf(sa) });
            }
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
                if (known.Id != 0) plane!.Remove(known.Id);
                _installed.Remove(name);
                if (same is null) plane?.RemovePolicy(name, "");
            }

            foreach (var sa in wanted)
            {
                if (_installed.ContainsKey(sa.Name)) continue;
                var made = Install(sa);
                _installed.Add(sa.Name, made);
                if (made.WhyNot is { } why) troubled(sa.Name, $"manual SA {sa.Name} carries nothing: {why}");
            }
        }
    }

    private static ChildOptions OptionsOf(ManualSa sa) => new() { BindInterface = sa.BindInterface, Mtu = sa.Mtu };

    private ManualStatus Install(ManualSa sa)
    {
        ManualStatus Not(string why) => new(sa, 0, Libc.Now(), why);
        if (plane is null) return Not("this process has no data plane (daemon.dataplane)");
        if (!rawSockets) return Not("packets of an application go in UDP, which is negotiated by IKE: manual SAs need raw sockets");
        if (sa.Protocol == ProtocolId.Ah && !hasAh()) return Not("this process cannot send AH: it has no raw sockets for IP protocol 51; run it as root or with CAP_NET_RAW");
        ChildSa? child = null;
        if (!secrets.TryUse(sa.Keys, keys => child = PairOf(sa, keys))) return Not("its keys are gone");
        try
        {
            keyLog?.Write(child!);
            plane.Install(child!);
            return new ManualStatus(sa, child!.Id, Libc.Now(), null);
        }
        catch (InvalidOperationException taken)
        {
            return Not(taken.Message);
        }
    }

    private ChildSa PairOf(ManualSa sa, Secret secret)
    {
        var keys = sa.Split(secret.Span);
        return new ChildSa
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
            Options = OptionsOf(sa),
        };
    }
}
