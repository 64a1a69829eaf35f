using System;
using System.IO;
using System.Linq;
using System.Runtime.CompilerServices;
using Xunit;

namespace Warifu.App.Tests.Lab;

/// <summary>A test that needs root and unpacked peers or plain programs; skipped, with the reason, where they are not there.</summary>
internal sealed class PeersFactAttribute : FactAttribute
{
    public PeersFactAttribute(string needs, [CallerFilePath] string? sourceFilePath = null, [CallerLineNumber] int sourceLineNumber = -1) : base(sourceFilePath, sourceLineNumber) =>
        Skip = PeersTheoryAttribute.WhyNot(needs);
}

/// <summary>The same for theories.</summary>
internal sealed class PeersTheoryAttribute : TheoryAttribute
{
    public PeersTheoryAttribute(string needs, [CallerFilePath] string? sourceFilePath = null, [CallerLineNumber] int sourceLineNumber = -1) : base(sourceFilePath, sourceLineNumber) => Skip = WhyNot(needs);

    /// <param name="needs">Words: names of build/peers.sh or of programs.</param>
    internal static string? WhyNot(string needs)
    {
        if (!Tool.IsRoot) return "needs root (network namespaces)";
        var missing = needs.Split(' ', StringSplitOptions.RemoveEmptyEntries).Where(need => !File.Exists(Path.Combine(Tool.Cache, "peers", need, ".complete")) && !OnPath(need)).ToArray();
        return missing.Length == 0 ? null : $"needs {string.Join(' ', missing)} (build/peers.sh or build/prepare.sh test)";
    }

    private static bool OnPath(string program) => (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Any(folder => File.Exists(Path.Combine(folder, program)));
}
