using System;
using System.Diagnostics;
using System.Globalization;
using Warifu.Policy;
using Warifu.Simulation;

var (seed, worlds, world, hours, keepGoing, first, crossings, ike) = (1UL, 1000, -1, 0.0, false, 0, false, 0);
for (var i = 0; i < args.Length; i++)
{
    var value = i + 1 < args.Length ? args[i + 1] : "";
    switch (args[i])
    {
        case "--seed" when ulong.TryParse(value, CultureInfo.InvariantCulture, out seed):
        case "--worlds" when int.TryParse(value, CultureInfo.InvariantCulture, out worlds):
        case "--world" when int.TryParse(value, CultureInfo.InvariantCulture, out world):
        case "--first" when int.TryParse(value, CultureInfo.InvariantCulture, out first):
        case "--ike" when int.TryParse(value, CultureInfo.InvariantCulture, out ike) && ike is 1 or 2:
        case "--hours" when double.TryParse(value, CultureInfo.InvariantCulture, out hours):
            i++;
            break;
        case "--crossings":
            crossings = true;
            break;
        case "--keep-going":
            keepGoing = true;
            break;
        default:
            Console.Error.WriteLine("usage: ./sim --worlds N | --hours N  [--seed S] [--first N] [--ike 1|2] [--keep-going]     many worlds\n       ./sim --seed S --world W                                         one world, told step by step\n       ./sim --crossings [--ike 1|2]                                    every pair of deeds at the same time, in many orders of their messages");
            return 2;
    }
}

if (crossings)
{
    var wrong = (ike == 1 ? null : Crossings.PlayAll()) ?? (ike == 2 ? null : CrossingsV1.PlayAll());
    Console.Error.WriteLine(wrong ?? "all crossings end well");
    return wrong is null ? 0 : 1;
}

if (world >= 0)
{
    using var one = new World(seed, world) { Story = Console.Out };
    try
    {
        one.Run();
        Console.WriteLine($"world {world} of seed {seed} ends well: {one.Steps} steps, {(one.Now - one.Began).TotalMinutes:F0} minutes, trace {one.TraceHash:x16}");
        return 0;
    }
    catch (BadEnding ending)
    {
        Console.WriteLine(ending.Message);
        return 1;
    }
}

var watch = Stopwatch.StartNew();
var outcome = Worlds.Run(seed, first, hours > 0 ? int.MaxValue - first : worlds, hours > 0 ? TimeSpan.FromHours(hours) : null, keepGoing, ending => Console.Error.WriteLine(ending.Message + "\n"), ike == 0 ? null : (IkeVersion)ike);
Console.WriteLine(outcome.Coverage.Print());
Console.WriteLine($"{outcome.Count} worlds, {outcome.Failures.Count} bad endings, {outcome.Steps} steps, {watch.Elapsed.TotalSeconds:F0} s");
return outcome.Failures.Count == 0 ? 0 : 1;
