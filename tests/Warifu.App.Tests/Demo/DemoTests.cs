using System;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Threading.Tasks;
using Warifu.App.Tests.Lab;
using Xunit;

namespace Warifu.App.Tests.Demo;

/// <summary>The demo as a newcomer runs it: as root, as nobody, where the kernel forbids namespaces; and what is left when it is interrupted or killed: nothing.</summary>
[Trait("Item", "1.15")]
[Collection("demo")]
public sealed class DemoTests : IDisposable
{
    private readonly string _temporary = Directory.CreateTempSubdirectory("warifu-t").FullName;

    public DemoTests() => File.SetUnixFileMode(_temporary, (UnixFileMode)0b111_111_111 | UnixFileMode.StickyBit);

    public void Dispose() => Directory.Delete(_temporary, recursive: true);

    [LabFact]
    [Trait("Smoke", "yes")]
    public async Task The_demo_shows_the_ladder_the_SAs_of_both_sides_throughput_and_ping()
    {
        var clock = Stopwatch.StartNew();
        var demo = await Tool.RunAsync("env", [Temporary, Gateway.Binary, "demo"]);
        Assert.True(demo.Ok, demo.All);
        Assert.True(clock.Elapsed < TimeSpan.FromSeconds(15), clock.Elapsed.ToString());
        Has(demo.Output, "two gateways in two network namespaces of their own (root)", "-----> IKE_SA_INIT request 0", "<----- IKE_SA_INIT response 0", "-----> IKE_AUTH request 1", "<----- IKE_AUTH response 1", "what left has:", "what right has:", "'left.example.org' @ 192.0.2.1", "'right.example.org' @ 192.0.2.2", "Mbit/s");
        Assert.Equal("  10 sent, 10 received, 0% packet loss", demo.Output.TrimEnd('\n').Split('\n')[^1]);
        Assert.Equal(2, demo.Output.Split("ESTABLISHED").Length - 1);
        AssertNothingIsLeft();
    }

    [Fact]
    public async Task The_demo_in_memory_needs_nothing()
    {
        var demo = await Tool.RunAsync("env", [Temporary, Gateway.Binary, "demo", "--in-memory"]);
        Assert.True(demo.Ok, demo.All);
        Has(demo.Output, "inner packets in memory (as asked for)", "IKE_AUTH response 1", "Mbit/s");
        Assert.Equal("  10 sent, 10 received, 0% packet loss", demo.Output.TrimEnd('\n').Split('\n')[^1]);
    }

    [LabFact]
    public async Task Somebody_without_privilege_gets_a_user_namespace_or_is_told_why_not()
    {
        using var program = Copy();
        // a device that everybody may open, as distributions have it; containers often keep it for root
        var device = Path.Combine(_temporary, "tun");
        (await Tool.RunAsync("mknod", ["-m", "666", device, "c", "10", "200"])).OrThrow("mknod");
        var overlaid = $"mount --bind {device} /dev/net/tun && exec setpriv {string.Join(' ', Nobody)} ";
        var allowed = (await Tool.RunAsync("unshare", ["-m", "bash", "-c", overlaid + "unshare --user --map-root-user --net test -w /dev/net/tun"])).Ok;
        var demo = await Tool.RunAsync("unshare", ["-m", "bash", "-c", $"{overlaid} env {Temporary} {string.Join(' ', program.Environment)} {program.Path} demo"]);
        Assert.True(demo.Ok, demo.All);
        Assert.Contains(allowed ? "two gateways in two network namespaces inside an unprivileged user namespace" : "inner packets in memory (no network namespace can be made here:", demo.Output, StringComparison.Ordinal);
        Assert.Equal("  10 sent, 10 received, 0% packet loss", demo.Output.TrimEnd('\n').Split('\n')[^1]);
        AssertNothingIsLeft();
    }

    [LabFact]
    public async Task Somebody_who_may_not_open_the_TUN_device_gets_the_demo_in_memory()
    {
        using var program = Copy();
        var device = Path.Combine(_temporary, "tun");
        (await Tool.RunAsync("mknod", ["-m", "600", device, "c", "10", "200"])).OrThrow("mknod");
        var demo = await Tool.RunAsync("unshare", ["-m", "bash", "-c", $"mount --bind {device} /dev/net/tun && exec setpriv {string.Join(' ', Nobody)} env {Temporary} {string.Join(' ', program.Environment)} {program.Path} demo"]);
        Assert.True(demo.Ok, demo.All);
        Assert.Matches(@"inner packets in memory \((/dev/net/tun is not to be had|no network namespace can be made here: .*)\)", demo.Output);
        Assert.Equal("  10 sent, 10 received, 0% packet loss", demo.Output.TrimEnd('\n').Split('\n')[^1]);
    }

    [LabFact]
    public async Task Where_the_kernel_forbids_namespaces_the_demo_runs_in_memory_and_says_why()
    {
        using var program = Copy();
        // a user namespace in which no further namespace may be made, and somebody without privilege in it
        var script = $"echo 0 > /proc/sys/user/max_user_namespaces; echo 0 > /proc/sys/user/max_net_namespaces; exec env {Temporary} {string.Join(' ', program.Environment)} {program.Path} demo";
        var demo = await Tool.RunAsync("setpriv", [.. Nobody, "unshare", "--user", "--map-root-user", "bash", "-c", script]);
        Assert.True(demo.Ok, demo.All);
        Assert.Contains("inner packets in memory (no network namespace can be made here: unshare", demo.Output, StringComparison.Ordinal);
        Assert.Equal("  10 sent, 10 received, 0% packet loss", demo.Output.TrimEnd('\n').Split('\n')[^1]);
    }

    [LabTheory]
    [InlineData(0.05, true)]
    [InlineData(0.3, true)]
    [InlineData(1, true)]
    [InlineData(2, true)]
    [InlineData(3, true)]
    [InlineData(0.3, false)]
    [InlineData(1, false)]
    [InlineData(2, false)]
    public async Task An_interrupted_demo_leaves_nothing_behind(double seconds, bool wholeGroup)
    {
        // a terminal interrupts the whole group of processes; others send the signal to the one they know; whoever runs the tests in the background has it ignored
        var demo = Tool.Start("setsid", ["env", "--default-signal=INT", Temporary, Gateway.Binary, "demo"]);
        var output = demo.StandardOutput.ReadToEndAsync();
        var error = demo.StandardError.ReadToEndAsync();
        await Task.Delay(TimeSpan.FromSeconds(seconds));
        // a fast machine may be through with it
        var through = demo.HasExited;
        await Tool.RunAsync("kill", ["-INT", "--", (wholeGroup ? "-" : "") + demo.Id.ToString(CultureInfo.InvariantCulture)]);
        await demo.WaitForExitAsync().WaitAsync(TimeSpan.FromSeconds(12));
        await output.WaitAsync(TimeSpan.FromSeconds(5));
        Assert.Equal(through, demo.ExitCode == 0);
        Assert.DoesNotContain("Unhandled", await error, StringComparison.Ordinal);
        demo.Dispose();
        AssertNothingIsLeft();
    }

    [LabFact]
    public async Task When_the_demo_is_killed_its_parts_end_and_the_next_one_removes_its_files()
    {
        using (var demo = Tool.Start("env", [Temporary, Gateway.Binary, "demo"]))
        {
            var output = demo.StandardOutput.ReadToEndAsync();
            await Until(() => Parts().Length >= 3);
            demo.Kill();
            await Until(() => Parts().Length == 0);
            await output;
        }

        // the part that has the folder is killed too
        using (var demo = Tool.Start("env", [Temporary, Gateway.Binary, "demo"]))
        {
            var output = demo.StandardOutput.ReadToEndAsync();
            await Until(() => Parts().Length >= 3 && Folders().Length > 0);
            foreach (var id in Parts()) await Tool.RunAsync("kill", ["-KILL", id]);
            await demo.WaitForExitAsync().WaitAsync(TimeSpan.FromSeconds(10));
            Assert.Equal(1, demo.ExitCode);
            await output;
        }

        Assert.NotEmpty(Folders());
        Assert.True((await Tool.RunAsync("env", [Temporary, Gateway.Binary, "demo", "--in-memory"])).Ok);
        AssertNothingIsLeft();
    }

    private static string[] Nobody => ["--reuid", "65534", "--regid", "65534", "--clear-groups"];

    /// <summary>The program where somebody without privilege can read it.</summary>
    private static Program Copy() => new();

    private string Temporary => "TMPDIR=" + _temporary;

    private string[] Folders() => Directory.GetDirectories(_temporary, "warifu-demo-*");

    /// <summary>Processes that are the stage or a gateway of a demo of this program.</summary>
    private static string[] Parts() => [.. Directory.GetDirectories("/proc").Select(Path.GetFileName).Where(id => id!.All(char.IsAsciiDigit)).Where(id => IsPart(id!))!];

    private static bool IsPart(string id)
    {
        try
        {
            var line = File.ReadAllText($"/proc/{id}/cmdline");
            return line.StartsWith(Gateway.Binary + "\0demo\0", StringComparison.Ordinal) && (line.Contains("\0stage\0", StringComparison.Ordinal) || line.Contains("\0gateway\0", StringComparison.Ordinal));
        }
        catch (IOException)
        {
            return false;
        }
    }

    private void AssertNothingIsLeft()
    {
        Assert.Empty(Parts());
        Assert.Empty(Folders());
        Assert.DoesNotContain(Directory.Exists("/run/netns") ? Directory.GetFiles("/run/netns").Select(Path.GetFileName) : [], name => name!.StartsWith("warifu-demo", StringComparison.Ordinal));
    }

    private static async Task Until(Func<bool> holds)
    {
        for (var i = 0; !holds(); i++)
        {
            Assert.True(i < 500, "it does not come");
            await Task.Delay(20);
        }
    }

    private static void Has(string text, params string[] parts)
    {
        foreach (var part in parts) Assert.Contains(part, text, StringComparison.Ordinal);
    }

    private sealed class Program : IDisposable
    {
        private readonly string _folder = Directory.CreateTempSubdirectory("warifu-t").FullName;

        public Program()
        {
            foreach (var file in Directory.GetFiles(System.IO.Path.GetDirectoryName(Gateway.Binary)!)) File.Copy(file, System.IO.Path.Combine(_folder, System.IO.Path.GetFileName(file)));
            File.SetUnixFileMode(_folder, (UnixFileMode)0b111_101_101);
        }

        public string Path => System.IO.Path.Combine(_folder, System.IO.Path.GetFileName(Gateway.Binary));

        public string[] Environment => ["HOME=/nonexistent", "DOTNET_EnableDiagnostics=0"];

        public void Dispose() => Directory.Delete(_folder, recursive: true);
    }
}

/// <summary>Demos of several tests would count each other's files.</summary>
[CollectionDefinition("demo", DisableParallelization = true)]
public sealed class DemoCollection;
