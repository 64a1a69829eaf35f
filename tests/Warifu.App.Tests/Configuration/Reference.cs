using System.Linq;
using System.Text;
using Warifu.App.Configuration;

namespace Warifu.App.Tests.Configuration;

/// <summary>The tables of docs/configuration.md, written from the registry.</summary>
internal static class Reference
{
    public const string Begin = "<!-- keys: written by the tests from the registry -->\n";

    public const string End = "<!-- end of keys -->";

    public static string Text()
    {
        var text = new StringBuilder(Begin);
        foreach (var scope in KeyRegistry.All.GroupBy(info => info.Scope))
        {
            text.Append($"\n### {KeyRegistry.PathOf(scope.Key)}\n\n| key | value | default | meaning |\n| --- | --- | --- | --- |\n");
            foreach (var info in scope) text.Append($"| `{info.Name}{(info.Prefix ? "…" : "")}`{(info.Own ? " ◆" : "")} | {Form(info)} | {(info.Default.Length > 0 ? info.Default : "–")} | {info.Meaning}{Note(info)} |\n");
        }

        return text.Append('\n').ToString();
    }

    private static string Form(KeyInfo info) => info.Kind switch
    {
        ValueKind.YesNo => "yes, no",
        ValueKind.Time when info.Least > 0 || info.Most != uint.MaxValue => $"time, {info.Least}s..{info.Most}s",
        ValueKind.Time => "time",
        ValueKind.Size => "size",
        ValueKind.Number when info.Most is uint.MaxValue or long.MaxValue => info.Least > 0 ? $"number from {info.Least}" : "number",
        ValueKind.Number => $"{info.Least}..{info.Most}",
        ValueKind.Word => string.Join(", ", info.Words),
        ValueKind.Words => string.Join(", ", info.Words) + "; joined by \\|",
        ValueKind.List => "list",
        ValueKind.Hosts => "list of hosts",
        ValueKind.Proposals => "list of proposals",
        ValueKind.Selectors => "list of selectors",
        ValueKind.IdentityName => "identity",
        ValueKind.Dscp => "six binary digits",
        ValueKind.Mark => "mark",
        ValueKind.InterfaceId => "interface id",
        ValueKind.Octets => "secret",
        ValueKind.Contents => "list of files",
        _ => "text",
    };

    private static string Note(KeyInfo info) => info.Service switch
    {
        Service.Later => ". *Limit: not there yet*",
        Service.NoEffect => $". *No effect: {info.Missing}*",
        _ => "",
    };
}
