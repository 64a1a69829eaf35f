using System;
using System.Buffers.Binary;
using System.ComponentModel;
using System.Diagnostics;
using System.IO;
using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Threading;
using System.Threading.Tasks;

namespace Warifu.App.Tests.Lab;

/// <summary>First messages of IKE from addresses that nobody has: a thread in a namespace with a raw socket.</summary>
internal static partial class Flood
{
    private const int NewNet = 0x40000000; // CLONE_NEWNET

    /// <summary>Sends <paramref name="count"/> different IKE_SA_INIT requests (aes256gcm16, prfsha384, ecp384) to UDP 500, each from another address below 10.128.0.0/9.</summary>
    public static Task RunAsync(string ns, string target, int count, int perSecond)
    {
        var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var thread = new Thread(() =>
        {
            try
            {
                Send(ns, IPAddress.Parse(target), count, perSecond);
                done.SetResult();
            }
            catch (Exception exception) when (exception is IOException or SocketException or Win32Exception)
            {
                done.SetException(exception);
            }
        });
        thread.Start();
        return done.Task;
    }

    private static void Send(string ns, IPAddress target, int count, int perSecond)
    {
        using (var file = File.OpenHandle($"/var/run/netns/{ns}"))
        {
            if (setns((int)file.DangerousGetHandle(), NewNet) != 0) throw new Win32Exception(Marshal.GetLastPInvokeError());
        }

        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Raw, ProtocolType.Raw);
        socket.SetSocketOption(SocketOptionLevel.IP, SocketOptionName.HeaderIncluded, true);
        var packet = Packet(target);
        using var curve = ECDiffieHellman.Create(ECCurve.NamedCurves.nistP384);
        var point = curve.ExportParameters(includePrivateParameters: false).Q;
        point.X!.CopyTo(packet, PointOffset);
        point.Y!.CopyTo(packet, PointOffset + 48);
        var start = Stopwatch.StartNew();
        for (var i = 0; i < count; i++)
        {
            BinaryPrimitives.WriteUInt32BigEndian(packet.AsSpan(12), 0x0A80_0000u + (uint)i);
            // SPI and nonce are new each time
            BinaryPrimitives.WriteUInt64BigEndian(packet.AsSpan(28), 0x1122_3344_0000_0001u + (ulong)i);
            BinaryPrimitives.WriteUInt32BigEndian(packet.AsSpan(packet.Length - 4), (uint)i);
            socket.SendTo(packet, new IPEndPoint(target, 500));
            var ahead = (i / (double)perSecond) - start.Elapsed.TotalSeconds;
            if (ahead > 0.005) Thread.Sleep(TimeSpan.FromSeconds(ahead));
        }
    }

    private const int PointOffset = 28 + 28 + 40 + 8;

    private static byte[] Packet(IPAddress target)
    {
        // ENCR_AES_GCM_16 256, PRF_HMAC_SHA2_384, group 20
        byte[] sa =
        [
            34, 0, 0, 40, 0, 0, 0, 36, 1, 1, 0, 3,
            3, 0, 0, 12, 1, 0, 0, 20, 0x80, 14, 1, 0,
            3, 0, 0, 8, 2, 0, 0, 6,
            0, 0, 0, 8, 4, 0, 0, 20,
        ];
        byte[] ke = [40, 0, 0, 104, 0, 20, 0, 0, .. new byte[96]];
        byte[] nat = [0, 0, 0, 28, 0, 0, 0x40, 4, .. new byte[20]];
        byte[] nonce = [0, 0, 0, 36, .. RandomNumberGenerator.GetBytes(32)];
        // two hashes that fit nothing make it as long as a real one; the nonce goes last, for its final octets change
        byte[] chain = [.. sa, .. Patch(ke, 41), .. Patch(nat, 41), .. Patch([.. nat[..7], 5, .. nat[8..]], 40), .. Patch(nonce, 0)];
        var ike = new byte[28 + chain.Length];
        ike[16] = 33;
        ike[17] = 0x20;
        ike[18] = 34;
        ike[19] = 0x08;
        BinaryPrimitives.WriteUInt32BigEndian(ike.AsSpan(24), (uint)ike.Length);
        chain.CopyTo(ike, 28);
        var packet = new byte[28 + ike.Length];
        packet[0] = 0x45;
        packet[8] = 64;
        packet[9] = 17;
        target.GetAddressBytes().CopyTo(packet, 16);
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(20), 500);
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(22), 500);
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(24), (ushort)(8 + ike.Length));
        ike.CopyTo(packet, 28);
        return packet;
    }

    /// <summary>A payload whose next-payload field is <paramref name="next"/>.</summary>
    private static byte[] Patch(byte[] payload, byte next) => [next, .. payload[1..]];

    [LibraryImport("libc", SetLastError = true)]
    private static partial int setns(int file, int kind);
}
