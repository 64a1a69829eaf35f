using System.Runtime.CompilerServices;
using Xunit;

namespace Warifu.App.Tests.Lab;

/// <summary>A test that needs root and strongSwan; skipped, with the reason, where they are not there.</summary>
internal sealed class StrongSwanFactAttribute : FactAttribute
{
    public StrongSwanFactAttribute([CallerFilePath] string? sourceFilePath = null, [CallerLineNumber] int sourceLineNumber = -1) : base(sourceFilePath, sourceLineNumber) =>
        Skip = !Tool.IsRoot ? "needs root (network namespaces)" : !StrongSwan.IsThere ? "needs build/peers.sh strongswan" : null;
}

/// <summary>The same for theories.</summary>
internal sealed class StrongSwanTheoryAttribute : TheoryAttribute
{
    public StrongSwanTheoryAttribute([CallerFilePath] string? sourceFilePath = null, [CallerLineNumber] int sourceLineNumber = -1) : base(sourceFilePath, sourceLineNumber) =>
        Skip = !Tool.IsRoot ? "needs root (network namespaces)" : !StrongSwan.IsThere ? "needs build/peers.sh strongswan" : null;
}

/// <summary>A test that needs root and nothing else.</summary>
internal sealed class LabFactAttribute : FactAttribute
{
    public LabFactAttribute([CallerFilePath] string? sourceFilePath = null, [CallerLineNumber] int sourceLineNumber = -1) : base(sourceFilePath, sourceLineNumber) =>
        Skip = Tool.IsRoot ? null : "needs root (network namespaces)";
}

/// <summary>The same for theories.</summary>
internal sealed class LabTheoryAttribute : TheoryAttribute
{
    public LabTheoryAttribute([CallerFilePath] string? sourceFilePath = null, [CallerLineNumber] int sourceLineNumber = -1) : base(sourceFilePath, sourceLineNumber) =>
        Skip = Tool.IsRoot ? null : "needs root (network namespaces)";
}
