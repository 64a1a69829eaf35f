using System;
using System.Collections.Generic;
using Warifu.Primitives;

namespace Warifu.Simulation;

/// <summary>What a network does to datagrams.</summary>
internal sealed record LinkPlan
{
    public double Loss { get; init; }

    public double Duplication { get; init; }

    public TimeSpan Delay { get; init; } = TimeSpan.FromMilliseconds(20);

    /// <summary>At most this much more delay, drawn for each datagram: reorders.</summary>
    public TimeSpan Jitter { get; init; }

    /// <summary>Octets of an IP packet; longer messages travel in fragments, and the loss of one loses all.</summary>
    public int Mtu { get; init; } = 1500;

    /// <summary>No fragments pass: what is larger than the MTU is lost.</summary>
    public bool DropsFragments { get; init; }
}

/// <summary>The network between the hosts: loss, duplication, delay, outages and one NAT.</summary>
internal sealed class Network(World world, LinkPlan plan)
{
    private readonly Dictionary<Endpoint, ushort> _outward = [];
    private readonly Dictionary<ushort, Endpoint> _inward = [];
    private ushort _nextPort = 1024;

    public static IpAddress NatAddress { get; } = IpAddress.Parse("192.0.2.99");

    /// <summary>The host behind the NAT, if there is one.</summary>
    public SimHost? Behind { get; set; }

    /// <summary>Nothing passes until then.</summary>
    public Instant DeadUntil { get; set; }

    /// <summary>From then on the network is perfect.</summary>
    public bool Healed { get; set; }

    /// <summary>The NAT forgets its mappings: the next datagram comes from another port.</summary>
    public void Rebind()
    {
        _outward.Clear();
        _inward.Clear();
    }

    /// <summary>Carries a datagram of a host.</summary>
    /// <param name="from">Sender.</param>
    /// <param name="local">Its endpoint.</param>
    /// <param name="remote">Where it goes.</param>
    /// <param name="octets">Length of the message.</param>
    /// <param name="answered">It is an answer in CREATE_CHILD_SA.</param>
    /// <param name="arrive">Called on arrival, with the endpoints that the receiver sees.</param>
    public void Carry(SimHost from, Endpoint local, Endpoint remote, int octets, bool answered, Action<SimHost, Endpoint, Endpoint> arrive)
    {
        var source = local;
        if (from == Behind)
        {
            if (!_outward.TryGetValue(local, out var port))
            {
                port = _nextPort++;
                _outward.Add(local, port);
                _inward.Add(port, local);
            }

            source = new Endpoint(NatAddress, port);
        }

        if (!Healed && world.Now < DeadUntil)
        {
            world.Reach(answered ? "rekey answer lost" : "datagram lost in an outage");
            return;
        }

        if (plan.DropsFragments && octets + 28 > plan.Mtu)
        {
            world.Reach("message too large for the path");
            return;
        }

        var fragments = 1 + ((octets + 28) / plan.Mtu);
        var copies = !Healed && world.Luck.Chance(plan.Duplication) ? 2 : 1;
        for (var copy = 0; copy < copies; copy++)
        {
            if (!Healed && world.Luck.Chance(1 - Math.Pow(1 - plan.Loss, fragments)))
            {
                world.Reach(answered ? "rekey answer lost" : "datagram lost");
                continue;
            }

            if (copy > 0) world.Reach("datagram doubled");
            var delay = plan.Delay + (Healed ? TimeSpan.Zero : world.Luck.NextSpan(plan.Jitter));
            world.After(delay, () => Arrive(source, remote, arrive));
        }
    }

    /// <summary>A datagram of nobody's, straight to a host's door.</summary>
    public void Inject(Endpoint source, Endpoint target, Action<SimHost, Endpoint, Endpoint> arrive) => Arrive(source, target, arrive);

    private void Arrive(Endpoint source, Endpoint target, Action<SimHost, Endpoint, Endpoint> arrive)
    {
        if (Behind is not null && target.Address == NatAddress)
        {
            if (_inward.TryGetValue(target.Port, out var inner)) arrive(Behind, inner, source);
            return;
        }

        foreach (var host in world.Hosts)
        {
            if (host.Address == target.Address && host != Behind) arrive(host, target, source);
        }
    }
}
