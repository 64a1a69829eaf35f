using System;
using System.Linq;
using Warifu.Ipsec;
using Warifu.Primitives;
using Warifu.Tests.Ipsec;

namespace Warifu.Bench;

/// <summary>One thread seals packets (IP header, SPD, SA, ESP) and opens them (SPI, window, ICV, selectors). A packet that allocates fails the run.</summary>
internal static class EspBench
{
    private const int Batch = 128;
    private const int Slot = 2048;

    private static readonly (string Name, EncrId Encr, int Bits, IntegId Integ)[] s_suites =
    [
        ("aes128gcm16", EncrId.AesGcm16, 128, IntegId.None), ("aes256gcm16", EncrId.AesGcm16, 256, IntegId.None), ("chacha20poly1305", EncrId.ChaCha20Poly1305, 0, IntegId.None),
        ("aes256-sha256", EncrId.AesCbc, 256, IntegId.HmacSha256_128),
    ];

    public static void Run(Options options, Report report)
    {
        report.Table("ESP, one thread", "suite, octets of the inner packet", "out ns", "out pps", "out Gbit/s", "in ns", "in pps", "in Gbit/s", "octets allocated per packet");
        foreach (var suite in s_suites)
        {
            foreach (var size in new[] { 64, 576, 1400 })
            {
                var gateways = new Gateways(encr: suite.Encr, bits: suite.Bits, integ: suite.Integ);
                _ = Measure(gateways, size, options.Smoke ? 0.02 : 0.3);
                var runs = Enumerable.Range(0, options.Smoke ? 1 : options.Runs ?? 5).Select(_ => Measure(gateways, size, options.Smoke ? 0.03 : options.Seconds ?? 0.2)).ToArray();
                var (outwards, inwards) = (new Samples([.. runs.Select(run => run.Out)]).Median, new Samples([.. runs.Select(run => run.In)]).Median);
                var allocated = runs.Max(run => run.Allocated);
                report.Row($"{suite.Name} {size}", outwards, 1e9 / outwards, size * 8 / outwards, inwards, 1e9 / inwards, size * 8 / inwards, allocated);
                report.Require(allocated == 0, $"{suite.Name} at {size} octets allocates nothing per packet (it was {allocated} octets)");
            }
        }
    }

    /// <summary>Nanoseconds of CPU per packet in each direction.</summary>
    private static (double Out, double In, double Allocated) Measure(Gateways gateways, int size, double seconds)
    {
        var packet = Packets.V4("10.1.0.1", "10.2.0.1", 17, Packets.Udp(1000, 2000, size - 28));
        var buffer = GC.AllocateArray<byte>(Batch * Slot, pinned: true);
        var esp = new SealedPacket[Batch];
        long outwards = 0, inwards = 0, packets = 0;
        var until = Environment.TickCount64 + (long)(seconds * 1000);
        var allocated = GC.GetAllocatedBytesForCurrentThread();
        do
        {
            for (var i = 0; i < Batch; i++) packet.CopyTo(buffer.AsSpan((i * Slot) + EspOverhead.Headroom));
            var began = Clock.Thread();
            for (var i = 0; i < Batch; i++)
            {
                gateways.A.Outbound(buffer.AsSpan(i * Slot, Slot), EspOverhead.Headroom, size, null, Gateways.Now, default, out var result);
                if (result.Verdict != OutboundVerdict.Protect) throw new InvalidOperationException($"not sealed: {result.Drop}");
                esp[i] = result.Packet;
            }

            var between = Clock.Thread();
            for (var i = 0; i < Batch; i++)
            {
                gateways.B.Inbound(buffer.AsSpan(i * Slot, Slot), esp[i].Offset, esp[i].Length, new OuterInfo(Gateways.OuterB, Gateways.OuterA), Gateways.Now, out var result);
                if (result.Length != size) throw new InvalidOperationException($"not opened: {result.Drop}");
            }

            inwards += Clock.Thread() - between;
            outwards += between - began;
            packets += Batch;
        }
        while (Environment.TickCount64 < until);
        return ((double)outwards / packets, (double)inwards / packets, (double)(GC.GetAllocatedBytesForCurrentThread() - allocated) / packets);
    }
}
