using System.Threading.Tasks;
using Warifu.App.Cli;

namespace Warifu.App;

internal static class Program
{
    internal static Task<int> Main(string[] args) => CommandTree.RunAsync(args);
}
