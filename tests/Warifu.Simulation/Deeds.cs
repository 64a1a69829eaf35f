using System;
using System.Linq;
using Warifu.Engine;
using Warifu.Ipsec;
using Warifu.Primitives;

namespace Warifu.Simulation;

/// <summary>Plays the acts of a script.</summary>
internal static class Deeds
{
    public static void Do(World world, Act act, Adversary adversary)
    {
        var host = act.OnLeft ? world.Left : world.Right;
        var child = world.Plan.ChildNames.ElementAt(act.Child);
        world.Did(act.Deed);
        switch (act.Deed)
        {
            // who cannot reach the other by address cannot begin
            case Deed.Up or Deed.UpAll or Deed.Acquire when !act.OnLeft && (world.Plan.HasNat || world.Plan.HasImpostor || world.Plan.HasRoaming):
                break;
            case Deed.Up:
                host.Command($"up {child}", id => new IkeCommand.Up(id, "net", child));
                break;
            case Deed.UpAll:
                host.Command("up all", id => new IkeCommand.Up(id, "net", null));
                break;
            case Deed.Acquire:
                var number = act.Child + 1;
                world.Reach("acquire");
                host.Tell(new DataPlaneEvent.Acquire("net", child, TrafficSelector.Of(IpAddress.Parse($"10.{(act.OnLeft ? 1 : 2)}.{number}.7")), TrafficSelector.Of(IpAddress.Parse($"10.{(act.OnLeft ? 2 : 1)}.{number}.7"))));
                break;
            case Deed.RekeyChild:
                host.Command($"rekey {child}", id => new IkeCommand.Rekey(id, new SaTarget("net", child)));
                break;
            case Deed.RekeyIke:
                host.Command("rekey the IKE SA", id => new IkeCommand.Rekey(id, new SaTarget("net")));
                break;
            case Deed.Reauth:
                host.Command("authenticate anew", id => new IkeCommand.Reauth(id, new SaTarget("net")));
                break;
            case Deed.DownChild:
                host.Command($"down {child}", id => new IkeCommand.Down(id, new SaTarget("net", child)));
                break;
            case Deed.DownIke:
                host.Command("down", id => new IkeCommand.Down(id, new SaTarget("net")));
                break;
            case Deed.Reload:
                world.Reach("configuration changed");
                host.Load(world.Plan.Policy(act.OnLeft, longer: child));
                break;
            case Deed.DropChild:
                world.Reach("child taken out of the configuration");
                host.Load(world.Plan.Policy(act.OnLeft, dropped: child));
                world.After(act.Span, () => host.Load(world.Plan.Policy(act.OnLeft)));
                break;
            case Deed.Crash:
                host.Crash();
                break;
            case Deed.Outage:
                world.Reach(act.Span > TimeSpan.FromSeconds(75) ? "long outage" : "outage");
                world.Network.DeadUntil = world.Now + act.Span;
                break;
            case Deed.Roam:
                world.Reach("address changed");
                host.Roam();
                break;
            case Deed.Rebind:
                world.Reach("NAT rebound");
                world.Network.Rebind();
                break;
            case Deed.Attack:
                adversary.Act();
                break;
        }
    }
}
