using System;
using System.Runtime.CompilerServices;
using Xunit;

namespace Warifu.Net.Tests.Lab;

/// <summary>A test that needs root for network namespaces; skipped, with the reason, where there is none.</summary>
internal sealed class LabFactAttribute : FactAttribute
{
    public LabFactAttribute([CallerFilePath] string? sourceFilePath = null, [CallerLineNumber] int sourceLineNumber = -1) : base(sourceFilePath, sourceLineNumber) => Skip = Missing;

    public static string? Missing { get; } = Environment.UserName == "root" && Environment.GetEnvironmentVariable("WARIFU_NO_ROOT") is null ? null : "needs root (network namespaces)";
}

/// <summary>The same for theories.</summary>
internal sealed class LabTheoryAttribute : TheoryAttribute
{
    public LabTheoryAttribute([CallerFilePath] string? sourceFilePath = null, [CallerLineNumber] int sourceLineNumber = -1) : base(sourceFilePath, sourceLineNumber) => Skip = LabFactAttribute.Missing;
}
