using System;
using System.IO;
using System.Linq;
using System.Text.RegularExpressions;
using System.Threading.Tasks;
using Warifu.App.Tests.Lab;
using Xunit;

namespace Warifu.App.Tests.House;

/// <summary>What README and ARCHITECTURE show is true.</summary>
[Trait("Item", "1.3")]
public sealed partial class ReadmeTests
{
    [Fact]
    public async Task The_site_to_site_example_has_ten_lines_and_checks_clean()
    {
        var lines = File.ReadAllLines(Path.Combine(Tool.Root, "README.md")).SkipWhile(line => !line.StartsWith("connections {", StringComparison.Ordinal)).TakeWhile(line => line != "```").ToArray();
        Assert.InRange(lines.Length, 8, 10);
        var file = Path.GetTempFileName();
        try
        {
            await File.WriteAllLinesAsync(file, lines);
            var checkedFile = await Tool.RunAsync(Gateway.Binary, ["check", "--strict", file]);
            Assert.True(checkedFile.Ok, checkedFile.All);
            Assert.DoesNotContain("warning", checkedFile.All, StringComparison.Ordinal);
        }
        finally
        {
            File.Delete(file);
        }
    }

    [Theory]
    [InlineData("README.md")]
    [InlineData("ARCHITECTURE.md")]
    [InlineData("CONTRIBUTING.md")]
    [InlineData("SECURITY.md")]
    [InlineData("docs/proof.md")]
    public void Every_link_and_every_path_that_is_named_exists(string document)
    {
        var text = File.ReadAllText(Path.Combine(Tool.Root, document));
        var folder = Path.GetDirectoryName(Path.Combine(Tool.Root, document))!;
        foreach (Match link in Link().Matches(text)) Assert.True(Path.Exists(Path.Combine(folder, link.Groups[1].Value)), $"{document} links to {link.Groups[1].Value}");
        foreach (Match path in NamedPath().Matches(text)) Assert.True(Path.Exists(Path.Combine(Tool.Root, path.Groups[1].Value)), $"{document} names {path.Groups[1].Value}");
    }

    [GeneratedRegex(@"\]\(((?!https?:)[^)#]+)")]
    private static partial Regex Link();

    [GeneratedRegex(@"`((?:src|tests|docs|samples|bench|build)/[\w./-]+)`")]
    private static partial Regex NamedPath();
}
