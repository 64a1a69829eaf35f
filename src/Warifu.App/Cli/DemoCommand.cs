using System.Threading;
using System.Threading.Tasks;

namespace Warifu.App.Cli;

/// <summary><c>warifu demo</c>.</summary>
internal static class DemoCommand
{
    public static Task<int> RunAsync(CancellationToken stop) => Task.FromResult(stop.IsCancellationRequested ? 1 : 1);
}
