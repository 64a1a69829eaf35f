using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Serialization;
using System.Threading.Tasks;

namespace Warifu.App.Tests.Lab;

/// <summary>A line of the key shim's log: what a daemon told "the kernel". Names are those of the JSON.</summary>
internal sealed record ShimLine
{
    [JsonPropertyName("op")]
    public string Op { get; init; } = "";

    [JsonPropertyName("proto")]
    public string Protocol { get; init; } = "";

    [JsonPropertyName("spi")]
    public uint Spi { get; init; }

    [JsonPropertyName("mode")]
    public string Mode { get; init; } = "";

    [JsonPropertyName("reqid")]
    public uint ReqId { get; init; }

    [JsonPropertyName("esn")]
    public bool Esn { get; init; }

    [JsonPropertyName("src")]
    public string Source { get; init; } = "";

    [JsonPropertyName("dst")]
    public string Destination { get; init; } = "";

    [JsonPropertyName("enc")]
    public string Cipher { get; init; } = "";

    [JsonPropertyName("enckey")]
    public string CipherKey { get; init; } = "";

    [JsonPropertyName("auth")]
    public string Mac { get; init; } = "";

    [JsonPropertyName("authkey")]
    public string MacKey { get; init; } = "";

    [JsonPropertyName("icv")]
    public int IcvBits { get; init; }

    [JsonPropertyName("encap")]
    public int Encapsulation { get; init; }

    [JsonPropertyName("window")]
    public int Window { get; init; }

    [JsonPropertyName("dir")]
    public string Direction { get; init; } = "";

    [JsonPropertyName("action")]
    public int Action { get; init; }

    [JsonPropertyName("splen")]
    public int SourceLength { get; init; }

    [JsonPropertyName("dplen")]
    public int DestinationLength { get; init; }

    [JsonPropertyName("tproto")]
    public string TemplateProtocol { get; init; } = "";

    [JsonPropertyName("tmode")]
    public string TemplateMode { get; init; } = "";

    [JsonPropertyName("treqid")]
    public uint TemplateReqId { get; init; }

    [JsonPropertyName("tsrc")]
    public string TemplateSource { get; init; } = "";

    [JsonPropertyName("tdst")]
    public string TemplateDestination { get; init; } = "";
}

/// <summary>The library that stands in for the kernel's key interface, and the file where it writes what a daemon asked for.</summary>
internal sealed class KeyShim(string log)
{
    private static readonly Lazy<Task<string>> s_library = new(BuildAsync);

    /// <summary>Shell words that start a program under the shim.</summary>
    public async Task<string> PrefixAsync() => $"env KEYSHIM_LOG={log} LD_PRELOAD={await s_library.Value}";

    /// <summary>All lines so far.</summary>
    public IReadOnlyList<ShimLine> Lines() => File.Exists(log) ? [.. File.ReadLines(log).Where(line => line.EndsWith('}')).Select(Parse)] : [];

    public static ShimLine Parse(string line) => JsonSerializer.Deserialize<ShimLine>(line)!;

    private static async Task<string> BuildAsync()
    {
        var source = Path.Combine(Tool.Root, "tests", "Warifu.App.Tests", "Lab", "native", "keyshim.c");
        var folder = Directory.CreateDirectory(Path.Combine(Tool.Cache, "keyshim")).FullName;
        var library = Path.Combine(folder, Convert.ToHexStringLower(SHA256.HashData(await File.ReadAllBytesAsync(source)))[..16] + ".so");
        if (File.Exists(library)) return library;
        var made = Path.Combine(folder, Path.GetRandomFileName());
        (await Tool.RunAsync("gcc", ["-O1", "-Wall", "-shared", "-fPIC", "-o", made, source, "-ldl"])).OrThrow("keyshim");
        File.Move(made, library, overwrite: true);
        return library;
    }
}
