using System;
using System.Diagnostics;
using System.Globalization;
using System.Linq;
using System.Threading;

namespace Warifu.Fuzz;

/// <summary>./fuzz TARGET --time S [--seed N] [--count N]. Exit codes: 0 nothing found, 1 a failure (its seed is printed), 2 usage.</summary>
internal static class FuzzProgram
{
    private static readonly TimeSpan s_stuck = TimeSpan.FromSeconds(20);

    private static ulong s_current;
    private static long s_since;

    internal static int Main(string[] args)
    {
        FuzzTarget[] targets = [new WireTarget(), new EngineTarget(), new IpTarget(), new PkiTarget(), new V1Target()];
        if (!TryParse(args, out var name, out var seconds, out var seed, out var count) || targets.FirstOrDefault(target => target.Name == name) is not { } chosen)
        {
            Console.Error.WriteLine("usage: ./fuzz TARGET --time SECONDS [--seed N] [--count N]");
            foreach (var target in targets) Console.Error.WriteLine($"  {target.Name,-8} {target.What}");
            return 2;
        }

        using var watchdog = new Timer(_ => Watch(chosen.Name), null, TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(1));
        var clock = Stopwatch.StartNew();
        var tried = 0UL;
        for (; clock.Elapsed.TotalSeconds < seconds && tried < count; tried++)
        {
            Volatile.Write(ref s_since, Stopwatch.GetTimestamp());
            Volatile.Write(ref s_current, seed + tried);
            try
            {
                chosen.Try(seed + tried);
            }
            catch (Exception failure)
            {
                Console.Error.WriteLine($"{chosen.Name}: FAILED with seed {seed + tried}; again: ./fuzz {chosen.Name} --seed {seed + tried} --count 1");
                Console.Error.WriteLine(failure);
                return 1;
            }
        }

        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{chosen.Name}: {tried:N0} cases in {clock.Elapsed.TotalSeconds:F0} s, seeds {seed} to {seed + tried - 1}, nothing found"));
        return 0;
    }

    /// <summary>A case that does not end is a failure too.</summary>
    private static void Watch(string target)
    {
        var since = Volatile.Read(ref s_since);
        if (since == 0 || Stopwatch.GetElapsedTime(since) < s_stuck) return;
        Console.Error.WriteLine($"{target}: STUCK with seed {Volatile.Read(ref s_current)}");
        Environment.Exit(1);
    }

    private static bool TryParse(string[] args, out string name, out double seconds, out ulong seed, out ulong count)
    {
        (name, seconds, seed, count) = (args.FirstOrDefault(""), 10, (ulong)DateTime.UtcNow.Ticks, ulong.MaxValue);
        var timed = false;
        for (var i = 1; i < args.Length; i += 2)
        {
            if (i + 1 >= args.Length) return false;
            var legal = args[i] switch
            {
                "--time" => timed = double.TryParse(args[i + 1], NumberStyles.Float, CultureInfo.InvariantCulture, out seconds) && seconds > 0,
                "--seed" => ulong.TryParse(args[i + 1], NumberStyles.None, CultureInfo.InvariantCulture, out seed),
                "--count" => ulong.TryParse(args[i + 1], NumberStyles.None, CultureInfo.InvariantCulture, out count),
                _ => false,
            };
            if (!legal) return false;
        }

        if (!timed && count != ulong.MaxValue) seconds = double.MaxValue;
        return name.Length > 0;
    }
}
