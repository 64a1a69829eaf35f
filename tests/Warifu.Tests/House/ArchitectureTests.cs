using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Text.RegularExpressions;
using Warifu.Primitives;
using Xunit;

namespace Warifu.Tests.House;

/// <summary>The walls of ARCHITECTURE.md: which room may use which, and where the outside world may be touched.</summary>
[Trait("Item", "1.1")]
public sealed partial class ArchitectureTests
{
    private static readonly Assembly s_core = typeof(Instant).Assembly;

    /// <summary>Room and the rooms that it may use besides itself.</summary>
    private static readonly Dictionary<string, string[]> s_rooms = new()
    {
        ["Primitives"] = [],
        ["Wire"] = ["Primitives"],
        ["Crypto"] = ["Primitives"],
        ["Policy"] = ["Primitives", "Crypto"],
        ["Pki"] = ["Primitives", "Crypto", "Policy"],
        ["Ipsec"] = ["Primitives", "Crypto"],
        ["Engine"] = ["Primitives", "Crypto", "Policy", "Pki", "Ipsec", "Wire", "V1", "V2"],
        ["V2"] = ["Primitives", "Crypto", "Policy", "Pki", "Ipsec", "Wire", "Engine"],
        ["V1"] = ["Primitives", "Crypto", "Policy", "Pki", "Ipsec", "Wire", "Engine"],
    };

    internal static string Root { get; } = FindRoot();

    [Fact]
    public void Rooms_use_only_the_rooms_that_they_may()
    {
        var wrong = from type in s_core.GetTypes()
                    let room = RoomOf(type)
                    where room is not null
                    from used in TypeUses.Of(type)
                    where used.Assembly == s_core
                    let other = RoomOf(used)
                    where other is not null && other != room && !s_rooms[room].Contains(other)
                    select $"{type.FullName} uses {used.FullName}";
        None(wrong.Distinct());
    }

    [Fact]
    public void Every_type_of_the_core_lives_in_a_room()
    {
        var homeless = s_core.GetTypes().Where(type => !type.IsDefined(typeof(CompilerGeneratedAttribute)) && type.Namespace is { } space && space.StartsWith("Warifu", StringComparison.Ordinal) && RoomOf(type) is null);
        None(homeless.Select(type => type.FullName!));
    }

    [Fact]
    public void The_core_references_only_the_platform_and_BouncyCastle()
    {
        var foreign = s_core.GetReferencedAssemblies().Select(name => name.Name!).Where(name => name != "BouncyCastle.Cryptography" && !name.StartsWith("System.", StringComparison.Ordinal) && name != "netstandard");
        None(foreign);
        string[] worldly = ["System.Net.Sockets", "System.Net.Http", "System.Net.NameResolution", "System.Threading.ThreadPool", "System.Console", "System.IO.FileSystem", "System.Diagnostics.Process"];
        Assert.Empty(s_core.GetReferencedAssemblies().Select(name => name.Name!).Intersect(worldly));
    }

    [Fact]
    public void A_folder_is_a_namespace()
    {
        foreach (var (project, file) in Sources())
        {
            var folder = Path.GetDirectoryName(Path.GetRelativePath(Path.Combine(Root, "src", project), file))!.Replace(Path.DirectorySeparatorChar, '.');
            var expected = folder.Length > 0 ? $"{project}.{folder}" : project;
            if (Namespace().Match(File.ReadAllText(file)) is { Success: true } match) Assert.True(match.Groups[1].Value == expected, $"{file}: namespace {match.Groups[1].Value}, expected {expected}");
        }
    }

    [Fact]
    public void Native_code_is_called_in_two_folders_only()
    {
        foreach (var (_, file) in Sources())
        {
            if (!NativeCall().IsMatch(File.ReadAllText(file))) continue;
            var relative = Path.GetRelativePath(Path.Combine(Root, "src"), file);
            Assert.True(relative.StartsWith("Warifu/Crypto/Native/", StringComparison.Ordinal) || relative.StartsWith("Warifu.Net/Linux/", StringComparison.Ordinal), $"{relative} calls native code");
        }
    }

    [Fact]
    public void No_file_is_longer_than_800_lines()
    {
        var files = new[] { "src", "tests", "bench", "samples" }.Where(folder => Directory.Exists(Path.Combine(Root, folder))).SelectMany(folder => Directory.EnumerateFiles(Path.Combine(Root, folder), "*.cs", SearchOption.AllDirectories));
        Assert.DoesNotContain(files, file => !file.Contains("/obj/", StringComparison.Ordinal) && File.ReadLines(file).Count() > 800);
    }

    [Fact]
    public void Types_are_named_for_what_they_are()
    {
        var vague = s_core.GetTypes().Where(type => Vague().IsMatch(type.Name));
        None(vague.Select(type => type.FullName!));
    }

    /// <summary>A program is no shell script: it talks to the kernel by itself. Only the demo and publish start programs (this one, and the compiler).</summary>
    [Fact]
    public void Nothing_that_runs_in_production_starts_another_program()
    {
        foreach (var (_, file) in Sources())
        {
            if (!StartsProgram().IsMatch(File.ReadAllText(file))) continue;
            var relative = Path.GetRelativePath(Path.Combine(Root, "src"), file);
            Assert.True(relative.StartsWith("Warifu.App/Cli/Demo/", StringComparison.Ordinal) || relative == "Warifu.App/Cli/PublishCommand.cs", $"{relative} starts a program");
        }
    }

    /// <summary>README promises it.</summary>
    [Fact]
    public void The_embedding_sample_opens_a_tunnel_in_fifteen_lines()
    {
        var lines = File.ReadAllLines(Path.Combine(Root, "samples", "Embed", "Tunnel.cs")).SkipWhile(line => !line.Contains("OpenAsync", StringComparison.Ordinal)).Skip(2).TakeWhile(line => line != "    }").Count(line => line.Trim().Length > 0);
        Assert.InRange(lines, 5, 15);
    }

    private static void None(IEnumerable<string> wrong)
    {
        var lines = string.Join('\n', wrong);
        Assert.True(lines.Length == 0, lines);
    }

    private static string? RoomOf(Type type)
    {
        var parts = type.Namespace?.Split('.') ?? [];
        return parts is ["Warifu", var room, ..] && s_rooms.ContainsKey(room) ? room : null;
    }

    private static IEnumerable<(string Project, string File)> Sources() =>
        from project in new[] { "Warifu", "Warifu.Net", "Warifu.App" }
        from file in Directory.EnumerateFiles(Path.Combine(Root, "src", project), "*.cs", SearchOption.AllDirectories)
        where !file.Contains("/obj/", StringComparison.Ordinal)
        select (project, file);

    private static string FindRoot()
    {
        for (var folder = AppContext.BaseDirectory; folder is not null; folder = Path.GetDirectoryName(folder))
        {
            if (File.Exists(Path.Combine(folder, "Warifu.slnx"))) return folder;
        }

        throw new InvalidOperationException("the tests run outside the source tree");
    }

    [GeneratedRegex(@"^namespace ([\w.]+);", RegexOptions.Multiline)]
    private static partial Regex Namespace();

    [GeneratedRegex(@"\[(LibraryImport|DllImport)\(|NativeLibrary\.")]
    private static partial Regex NativeCall();

    [GeneratedRegex(@"\bProcess\.Start\(|\bnew Process(StartInfo)?\b")]
    private static partial Regex StartsProgram();

    [GeneratedRegex("(Manager|Helper|Helpers|Util|Utils|Utility)(`\\d)?$")]
    private static partial Regex Vague();
}
