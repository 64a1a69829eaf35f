using System;

namespace Warifu.App;

internal static class Program
{
    internal static int Main(string[] args)
    {
        Console.WriteLine("warifu 0.1.0");
        return args.Length == 0 ? 0 : 2;
    }
}
