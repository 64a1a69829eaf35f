using System;
using System.IO;
using System.Linq;
using System.Net;
using System.Net.Sockets;
using Warifu.Crypto.Native;
using Warifu.Net.Host;
using Warifu.Net.Linux;

namespace Warifu.App.Cli;

/// <summary><c>warifu check --host</c>: what this machine lacks, and how to add it. Nothing is changed.</summary>
internal static class HostCheck
{
    public static int Run(TextWriter output)
    {
        var bad = 0;
        void Say(bool good, string what, string remedy)
        {
            output.WriteLine(good ? $"ok       {what}" : $"missing  {what}; {remedy}");
            if (!good) bad++;
        }

        Say(HasCapability(12), "the right to change the network (CAP_NET_ADMIN)", "run as root, or give the capability to the service");
        Say(HasCapability(13), "the right to raw sockets (CAP_NET_RAW)", "run as root, or give the capability to the service: ESP straight on IP needs it");
        Say(CanOpenTun(), "/dev/net/tun", "load the module tun, or give the device to the container");
        Say(CanGuard(out var why), "nftables", $"{why}; without it packets that come unprotected are not filtered");
        if (why.Length == 0) Say(ClearTextGuard.ProbeRouted(), "nftables expression fib", "load the module nft_fib_inet: without it unprotected packets are not filtered for a bound interface whose selectors are everything");
        Say(Libcrypto.IsAvailable, "libcrypto 3", "install libssl3: the managed algorithms work and are slower");
        foreach (var port in new[] { 500, 4500 })
        {
            foreach (var (any, family) in new[] { (IPAddress.Any, "IPv4"), (IPAddress.IPv6Any, "IPv6") })
            {
                if (family == "IPv4" || Socket.OSSupportsIPv6) Say(IsFree(any, port), $"UDP port {port} of {family}", "another IKE daemon has it: stop that, or set daemon.port and daemon.port_nat_t");
            }
        }

        var rules = ForeignRules();
        Say(rules.Length == 0, "no routing rule of others before ours", $"rule{(rules.Contains(' ') ? "s" : "")} {rules} (ip rule) {(rules.Contains(' ') ? "are" : "is")} asked first: what {(rules.Contains(' ') ? "they lead" : "it leads")} elsewhere is not protected; give a priority above {HostRouting.SkipTarget}");
        Say(Setting("net/ipv4/ip_forward") == "1", "forwarding of IPv4", "a gateway needs 'sysctl -w net.ipv4.ip_forward=1'");
        Say(Setting("net/ipv6/conf/all/forwarding") == "1", "forwarding of IPv6", "a gateway for IPv6 needs 'sysctl -w net.ipv6.conf.all.forwarding=1'");
        Say(Setting("net/ipv4/conf/all/rp_filter") != "1", "loose reverse-path filter", "strict filtering on all interfaces drops what comes out of a tunnel: 'sysctl -w net.ipv4.conf.all.rp_filter=2'");
        return bad == 0 ? 0 : 1;
    }

    private static bool HasCapability(int number)
    {
        var line = File.ReadLines("/proc/self/status").FirstOrDefault(text => text.StartsWith("CapEff:", StringComparison.Ordinal));
        return line is not null && ulong.TryParse(line.AsSpan(7).Trim(), System.Globalization.NumberStyles.HexNumber, null, out var set) && (set >> number & 1) == 1;
    }

    private static bool CanOpenTun()
    {
        try
        {
            using var file = File.Open("/dev/net/tun", FileMode.Open, FileAccess.ReadWrite);
            return true;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }

    private static bool CanGuard(out string why)
    {
        why = "";
        try
        {
            ClearTextGuard.Probe();
            return true;
        }
        catch (System.ComponentModel.Win32Exception exception)
        {
            why = exception.Message;
            return false;
        }
    }

    /// <summary>Priorities of rules that are not ours and come before ours, with blanks between.</summary>
    private static string ForeignRules()
    {
        using var netlink = new Rtnetlink();
        return string.Join(' ', netlink.ForeignRulesBefore(HostRouting.SkipPriority));
    }

    private static bool IsFree(IPAddress any, int port)
    {
        try
        {
            using var socket = new Socket(any.AddressFamily, SocketType.Dgram, ProtocolType.Udp);
            if (any.AddressFamily == AddressFamily.InterNetworkV6) socket.DualMode = false;
            socket.Bind(new IPEndPoint(any, port));
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }

    private static string Setting(string name)
    {
        var path = "/proc/sys/" + name;
        return File.Exists(path) ? File.ReadAllText(path).Trim() : "";
    }
}
