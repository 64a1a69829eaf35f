using System;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Runtime;

namespace Warifu.Bench;

/// <summary>What IKE SAs with one child each hold, policies not counted: managed memory after a full collection, and anonymous resident memory (native cipher contexts are in it).</summary>
internal static class MemoryBench
{
    public static void Run(Options options, Report report)
    {
        report.Table("memory per IKE SA with one child in the data path, PSK x25519, aes128gcm16", "SAs", "initiator managed", "responder managed", "both, managed", "both, resident");
        foreach (var count in options.Smoke ? [500] : new[] { 1_000, 10_000 })
        {
            const string Ike = "aes128gcm16-prfsha256-x25519";
            var left = new Peer(Policies.Left, Policies.Initiator(count, Ike));
            var right = new Peer(Policies.Right, Policies.Responder(Ike));
            // code that runs for the first time stays, too
            for (var i = 0; i < 20; i++)
            {
                left.Up(Policies.Name(0));
                Peer.Settle(left, right);
                left.Down(Policies.Name(0));
                Peer.Settle(left, right);
            }

            var (managed, resident) = (Managed(), Resident());
            for (var i = 0; i < count; i++)
            {
                left.Up(Policies.Name(i));
                Peer.Settle(left, right);
            }

            if (left.Path.Sad.Count != count || right.Path.Sad.Count != count) throw new InvalidOperationException($"{left.Path.Sad.Count} and {right.Path.Sad.Count} of {count}: {left.LastResult?.Message}");
            var (managedAfter, residentAfter) = (Managed(), Resident());
            right.Dispose();
            right = null;
            var leftOnly = Managed();
            var responder = (double)(managedAfter - leftOnly) / count;
            var both = (double)(managedAfter - managed) / count;
            report.Row(count, both - responder, responder, both, (double)(residentAfter - resident) / count);
            report.Require(both < 200_000, $"an IKE SA with a child takes less than 100 kB per side at {count}");
            left.Dispose();
        }
    }

    private static long Managed()
    {
        GCSettings.LargeObjectHeapCompactionMode = GCLargeObjectHeapCompactionMode.CompactOnce;
        GC.Collect(2, GCCollectionMode.Aggressive, blocking: true, compacting: true);
        return GC.GetTotalMemory(forceFullCollection: true);
    }

    private static long Resident()
    {
        var line = File.ReadLines("/proc/self/status").First(line => line.StartsWith("RssAnon:", StringComparison.Ordinal));
        return long.Parse(line.AsSpan(8).Trim()[..^3], CultureInfo.InvariantCulture) * 1024;
    }
}
