using System;
using System.Runtime.InteropServices;
using System.Threading;

namespace Warifu.Net.Linux;

/// <summary>Listens to what happens to links, addresses, routes, rules and nftables, on a thread of its own.</summary>
internal sealed unsafe class NetlinkWatch : IDisposable
{
    // RTMGRP_* of linux/rtnetlink.h, RTNLGRP_IPV6_RULE = 19, and NFNLGRP_NFTABLES = 7, each as a bit
    private const uint RouteGroups = 0x1 | 0x10 | 0x40 | 0x80 | 0x100 | 0x400 | (1u << 18);
    private const uint TableGroups = 1u << 6;
    private const int Enobufs = 105;
    private const int Breath = 20;

    private readonly Message _happened;
    private readonly Func<bool> _settle;
    private readonly Action _lost;
    private readonly int _routes;
    private readonly int _tables;
    private readonly int _wake;
    private readonly Thread _thread;
    private volatile bool _stopping;

    /// <summary>One message; <paramref name="netfilter"/> tells which family's numbers it uses.</summary>
    public delegate void Message(bool netfilter, in NetlinkReader message);

    /// <param name="happened">Called on the thread of the watch.</param>
    /// <param name="settle">Called when no more messages wait; true = something was done about them, and the next look is a little later.</param>
    /// <param name="lost">Messages were lost: anything may have happened.</param>
    public NetlinkWatch(Message happened, Func<bool> settle, Action lost)
    {
        (_happened, _settle, _lost) = (happened, settle, lost);
        _routes = Open(0, RouteGroups);
        _tables = Open(12, TableGroups);
        _wake = Libc.eventfd(0, Libc.SockCloexec);
        if (_routes < 0) throw Libc.Error("rtnetlink notifications");
        _thread = new Thread(Run) { IsBackground = true, Name = "warifu-netlink" };
        _thread.Start();
    }

    public void Dispose()
    {
        if (_stopping) return;
        _stopping = true;
        ulong one = 1;
        _ = Libc.write(_wake, (byte*)&one, 8);
        if (Thread.CurrentThread != _thread) _thread.Join();
        _ = Libc.close(_routes);
        if (_tables >= 0) _ = Libc.close(_tables);
        _ = Libc.close(_wake);
    }

    /// <summary>Lets the kernel give a netlink socket its number; 0 when it cannot be had.</summary>
    public static uint Bind(int file, uint groups)
    {
        var address = stackalloc byte[12];
        new Span<byte>(address, 12).Clear();
        *(ushort*)address = Libc.AfNetlink;
        *(uint*)(address + 8) = groups;
        var length = 12;
        return Libc.bind(file, address, 12) == 0 && Libc.getsockname(file, address, &length) == 0 ? *(uint*)(address + 4) : 0;
    }

    private static int Open(int family, uint groups)
    {
        var file = Libc.socket(Libc.AfNetlink, Libc.SockRaw | Libc.SockCloexec | Libc.ONonblock, family);
        if (file < 0) return -1;
        _ = Libc.TrySetOption(file, Libc.SolSocket, Libc.SoRcvbufforce, 4 << 20);
        if (Bind(file, groups) != 0) return file;
        _ = Libc.close(file);
        return -1;
    }

    private void Run()
    {
        var buffer = new byte[65536];
        var entries = stackalloc Libc.PollEntry[3];
        while (!_stopping)
        {
            entries[0] = new Libc.PollEntry { File = _wake, Events = Libc.PollIn };
            entries[1] = new Libc.PollEntry { File = _routes, Events = Libc.PollIn };
            entries[2] = new Libc.PollEntry { File = _tables, Events = Libc.PollIn };
            if (Libc.poll(entries, 3, -1) <= 0) continue;
            if (entries[1].Returned != 0) Read(_routes, netfilter: false, buffer);
            if (entries[2].Returned != 0) Read(_tables, netfilter: true, buffer);
            if (!_stopping && _settle()) Thread.Sleep(Breath);
        }
    }

    private void Read(int file, bool netfilter, byte[] buffer)
    {
        while (!_stopping)
        {
            int length;
            fixed (byte* data = buffer) length = (int)Libc.recv(file, data, buffer.Length, 0);
            if (length <= 0)
            {
                if (length < 0 && Marshal.GetLastPInvokeError() == Enobufs) _lost();
                return;
            }

            var reader = new NetlinkReader(buffer.AsSpan(0, length));
            while (reader.TryNext()) _happened(netfilter, reader);
        }
    }
}
