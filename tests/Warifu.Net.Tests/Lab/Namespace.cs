using System;
using System.ComponentModel;
using System.Diagnostics;
using System.IO;
using System.Net;
using System.Net.Sockets;
using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;
using System.Threading;

namespace Warifu.Net.Tests.Lab;

/// <summary>A network namespace. What is opened inside <see cref="Run{T}"/> belongs to it for good, whichever thread uses it later.</summary>
internal sealed partial class Namespace(string name)
{
    public string Name => name;

    /// <summary>Runs a piece of work on a thread that has entered the namespace; threads that it starts are inside too.</summary>
    public T Run<T>(Func<T> work)
    {
        T result = default!;
        ExceptionDispatchInfo? failure = null;
        var thread = new Thread(() =>
        {
            try
            {
                using var file = File.OpenHandle($"/var/run/netns/{name}");
                if (setns((int)file.DangerousGetHandle(), 0x40000000) != 0) throw new Win32Exception(Marshal.GetLastPInvokeError());
                result = work();
            }
            catch (Exception exception)
            {
                failure = ExceptionDispatchInfo.Capture(exception);
            }
        });
        thread.Start();
        thread.Join();
        failure?.Throw();
        return result;
    }

    /// <summary>A UDP socket inside.</summary>
    public Socket Udp(string address, int port, byte tos = 0, uint mark = 0) => Run(() =>
    {
        var ip = IPAddress.Parse(address);
        var socket = new Socket(ip.AddressFamily, SocketType.Dgram, ProtocolType.Udp) { ReceiveTimeout = 3000 };
        if (tos != 0) socket.SetRawSocketOption(0, 1, BitConverter.GetBytes((int)tos));
        if (mark != 0) socket.SetRawSocketOption(1, 36, BitConverter.GetBytes(mark));
        socket.Bind(new IPEndPoint(ip, port));
        return socket;
    });

    /// <summary><c>ip</c> inside.</summary>
    public string Ip(string arguments) => Shell.Run($"ip -n {name} {arguments}");

    /// <summary>Any command inside.</summary>
    public string Exec(string command) => Shell.Run($"ip netns exec {name} {command}");

    [LibraryImport("libc", SetLastError = true)]
    private static partial int setns(int file, int kind);
}

internal static class Shell
{
    public static string Run(string script, bool mayFail = false)
    {
        var info = new ProcessStartInfo("/bin/bash") { RedirectStandardOutput = true, RedirectStandardError = true };
        info.ArgumentList.Add("-c");
        info.ArgumentList.Add(script);
        using var process = Process.Start(info)!;
        var error = process.StandardError.ReadToEndAsync();
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        if (process.ExitCode != 0 && !mayFail) throw new InvalidOperationException($"{script}: exit {process.ExitCode}\n{output}{error.Result}");
        return output + (mayFail ? error.Result : "");
    }
}

/// <summary>A namespace with nothing in it but loopback.</summary>
internal sealed class OneNamespace : IDisposable
{
    private static int s_count;

    public OneNamespace()
    {
        Where = new Namespace(string.Create(System.Globalization.CultureInfo.InvariantCulture, $"warifu-o{Environment.ProcessId}-{Interlocked.Increment(ref s_count)}"));
        Shell.Run($"ip netns add {Where.Name} && ip -n {Where.Name} link set lo up");
    }

    public Namespace Where { get; }

    public void Dispose() => Shell.Run($"ip netns del {Where.Name}", mayFail: true);
}
