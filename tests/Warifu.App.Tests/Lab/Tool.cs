using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Runtime.CompilerServices;
using System.Threading;
using System.Threading.Tasks;

namespace Warifu.App.Tests.Lab;

/// <summary>Result of a program that ended.</summary>
internal sealed record Ended(int ExitCode, string Output, string Error)
{
    public bool Ok => ExitCode == 0;

    public string All => Output + Error;

    public Ended OrThrow(string what) => Ok ? this : throw new InvalidOperationException($"{what}: exit {ExitCode}\n{All}");
}

/// <summary>Runs programs for the lab, optionally inside a network namespace.</summary>
internal static class Tool
{
    public static string Root { get; } = FindRoot();

    public static string Cache { get; } = Environment.GetEnvironmentVariable("WARIFU_CACHE") ?? Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache", "warifu");

    public static bool IsRoot { get; } = Environment.UserName == "root" && Environment.GetEnvironmentVariable("WARIFU_NO_ROOT") is null;

    /// <summary>./test --long.</summary>
    public static bool IsLong { get; } = Environment.GetEnvironmentVariable("WARIFU_LONG") is not null;

    public static async Task<Ended> RunAsync(string program, IEnumerable<string> arguments, TimeSpan? limit = null, string? input = null)
    {
        using var process = Start(program, arguments, redirectInput: true);
        if (input is not null) await process.StandardInput.WriteAsync(input);
        process.StandardInput.Close();
        var output = process.StandardOutput.ReadToEndAsync();
        var error = process.StandardError.ReadToEndAsync();
        using var timeout = new CancellationTokenSource(limit ?? TimeSpan.FromSeconds(30));
        try
        {
            await process.WaitForExitAsync(timeout.Token);
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            return new Ended(-1, await output, await error + $"\n{program} {string.Join(' ', arguments)}: not done in time");
        }

        return new Ended(process.ExitCode, await output, await error);
    }

    public static Process Start(string program, IEnumerable<string> arguments, bool redirectInput = false)
    {
        var info = new ProcessStartInfo(program) { RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = redirectInput, UseShellExecute = false };
        foreach (var argument in arguments) info.ArgumentList.Add(argument);
        return Process.Start(info) ?? throw new InvalidOperationException($"cannot start {program}");
    }

    public static Task<Ended> ShellAsync(string script, TimeSpan? limit = null) => RunAsync("/bin/bash", ["-c", script], limit);

    private static string FindRoot([CallerFilePath] string path = "")
    {
        for (var at = new DirectoryInfo(AppContext.BaseDirectory); at is not null; at = at.Parent)
        {
            if (File.Exists(Path.Combine(at.FullName, "Warifu.slnx"))) return at.FullName;
        }

        return Path.GetFullPath(Path.Combine(Path.GetDirectoryName(path)!, "../../.."));
    }
}
