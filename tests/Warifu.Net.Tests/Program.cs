using System.Linq;
using System.Threading.Tasks;
using Warifu.Net.Tests.Lab;

namespace Warifu.Net.Tests;

/// <summary>The test runner; and with <c>--node SIDE SITE</c> a gateway that a test can kill.</summary>
internal static class Program
{
    public static async Task<int> Main(string[] args)
    {
        if (args is ["--node", var side, var site]) return await NodeProcess.RunAsync(side, site);
        return args.Any(arg => arg is "--server" or "--internal-msbuild-node")
            ? await Xunit.MicrosoftTestingPlatform.TestPlatformTestFramework.RunAsync(args, SelfRegisteredExtensions.AddSelfRegisteredExtensions)
            : await Xunit.Runner.InProc.SystemConsole.ConsoleRunner.Run(args);
    }
}
