using System;
using System.IO;
using System.Linq;
using System.Net;
using System.Net.Sockets;
using Warifu.Crypto.Native;
using Warifu.Net.Host;

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
        Say(CanOpenTun(), "/dev/net/tun", "load the module tun, or give the device to the container");
        Say(CanGuard(out var why), "nftables", $"{why}; without it packets that come unprotected are not filtered");
        Say(Libcrypto.IsAvailable, "libcrypto 3", "install libssl3: the managed algorithms work and are slower");
        foreach (var port in new[] { 500, 4500 }) Say(IsFree(port), $"UDP port {port}", "another IKE daemon has it: stop that, or set daemon.port and daemon.port_nat_t");
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

    private static bool IsFree(int port)
    {
        try
        {
            using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
            socket.Bind(new IPEndPoint(IPAddress.Any, port));
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
