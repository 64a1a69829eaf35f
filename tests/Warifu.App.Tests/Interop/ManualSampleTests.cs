using System.IO;
using System.Linq;
using System.Threading.Tasks;
using Warifu.App.Configuration;
using Warifu.App.Tests.Lab;
using Xunit;

namespace Warifu.App.Tests.Interop;

/// <summary>The ready files of samples/ for manual keys and AH: as they are, on both sides.</summary>
[Trait("Area", "interop")]
[Trait("Item", "3.16")]
public sealed class ManualSampleTests
{
    [LabTheory]
    [InlineData("manual-esp", "ESP")]
    [InlineData("manual-ah", "AH")]
    [InlineData("ah-ikev2", "AH")]
    [InlineData("ah-ikev1", "AH")]
    public async Task Two_sites_with_the_sample_reach_each_other(string name, string protocol)
    {
        var folder = Path.Combine(Tool.Root, "samples", name);
        foreach (var side in new[] { "left", "right" })
        {
            var read = ConfigurationReader.Read(Path.Combine(folder, side + ".conf"));
            Assert.DoesNotContain(read.Findings, finding => finding.Severity > Severity.Notice);
            read.Built.Erase();
        }

        await using var lab = await Topology.CreateAsync();
        await using var right = await Gateway.StartAsync(lab.Right, Path.Combine(lab.Folder, "right"), await File.ReadAllTextAsync(Path.Combine(folder, "right.conf"), TestContext.Current.CancellationToken));
        await using var left = await Gateway.StartAsync(lab.Left, Path.Combine(lab.Folder, "left"), await File.ReadAllTextAsync(Path.Combine(folder, "left.conf"), TestContext.Current.CancellationToken));
        await Until.HoldsAsync("the SAs are there", left.SasAsync, sas => sas is [{ Children: [{ State: "INSTALLED" }] }], _ => $"{left.Log}\n{right.Log}");
        Assert.Equal((3, 3), await Topology.PingAsync(lab.Left, "10.10.1.1", "10.10.2.1", count: 3));
        Assert.Equal((3, 3), await Topology.PingAsync(lab.Right, "10.10.2.1", "10.10.1.1", count: 3));
        var child = (await left.SasAsync()).Single().Children.Single();
        Assert.Equal((protocol, 0L), (child.Body.Text("protocol"), child.Drops));
        Assert.True(child is { PacketsIn: >= 6, PacketsOut: >= 6 });
        Assert.Equal(0, await lab.SeenAsync("inner"));
    }
}
