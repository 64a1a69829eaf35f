using System.Collections.Generic;
using System.Linq;
using System.Text.Json;

namespace Warifu.App.Tests.Lab;

/// <summary>Looks into what the command line prints with --json.</summary>
internal static class Json
{
    /// <summary>The sum of a number wherever it occurs.</summary>
    public static long Sum(string json, string name) => Find(json, name).Sum(value => value.GetInt64());

    /// <summary>Every value with this name, in order.</summary>
    public static IReadOnlyList<JsonElement> Find(string json, string name)
    {
        using var document = JsonDocument.Parse(json);
        return [.. Walk(document.RootElement.Clone(), name)];
    }

    private static IEnumerable<JsonElement> Walk(JsonElement element, string name) => element.ValueKind switch
    {
        JsonValueKind.Object => element.EnumerateObject().SelectMany(property => property.Name == name ? [property.Value] : Walk(property.Value, name)),
        JsonValueKind.Array => element.EnumerateArray().SelectMany(item => Walk(item, name)),
        _ => [],
    };
}
