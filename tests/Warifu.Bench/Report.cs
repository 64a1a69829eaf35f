using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;

namespace Warifu.Bench;

/// <summary>Rows of figures, printed as tables while they come or as one JSON document at the end, and the bounds that were broken.</summary>
internal sealed class Report(string name, bool json)
{
    private readonly List<(string Title, string[] Columns, List<object[]> Rows)> _tables = [];
    private readonly List<string> _broken = [];
    private int[] _widths = [];

    public void Table(string title, params string[] columns)
    {
        _tables.Add((title, columns, []));
        if (json) return;
        if (_tables.Count == 1) Console.WriteLine(Machine());
        _widths = [.. columns.Select((column, at) => Math.Max(column.Length, at == 0 ? 30 : 10))];
        Console.WriteLine();
        Console.WriteLine(title);
        Console.WriteLine(Line(columns));
    }

    /// <summary>Texts and numbers in the order of the columns.</summary>
    public void Row(params object[] cells)
    {
        _tables[^1].Rows.Add(cells);
        if (!json) Console.WriteLine(Line(cells));
    }

    /// <summary>A bound that must hold.</summary>
    public void Require(bool holds, string what)
    {
        if (holds) return;
        _broken.Add(what);
        Console.Error.WriteLine($"bound broken: {what}");
    }

    public int Finish()
    {
        if (json) Console.WriteLine(Document());
        else Console.WriteLine(_broken.Count == 0 ? $"\n{name}: all bounds hold" : $"\n{name}: {_broken.Count} broken");
        return _broken.Count == 0 ? 0 : 1;
    }

    private string Line(object[] cells)
    {
        var line = new StringBuilder();
        for (var at = 0; at < cells.Length; at++)
        {
            var text = cells[at] switch
            {
                double number => number.ToString(Math.Abs(number) >= 1000 ? "N0" : Math.Abs(number) >= 100 ? "F0" : Math.Abs(number) >= 10 ? "F1" : "F3", CultureInfo.InvariantCulture),
                var other => Convert.ToString(other, CultureInfo.InvariantCulture)!,
            };
            line.Append(at == 0 ? text.PadRight(_widths[at]) : text.PadLeft(_widths[at] + 2));
        }

        return line.ToString();
    }

    private string Document()
    {
        using var stream = new MemoryStream();
        using (var writer = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = true }))
        {
            writer.WriteStartObject();
            writer.WriteString("benchmark", name);
            writer.WriteString("machine", Machine());
            writer.WriteStartArray("tables");
            foreach (var (title, columns, rows) in _tables)
            {
                writer.WriteStartObject();
                writer.WriteString("title", title);
                writer.WriteStartArray("rows");
                foreach (var row in rows)
                {
                    writer.WriteStartObject();
                    for (var at = 0; at < row.Length; at++)
                    {
                        writer.WritePropertyName(columns[at]);
                        if (row[at] is double number) writer.WriteNumberValue(Math.Round(number, 4));
                        else if (row[at] is int or long) writer.WriteNumberValue(Convert.ToInt64(row[at], CultureInfo.InvariantCulture));
                        else writer.WriteStringValue(Convert.ToString(row[at], CultureInfo.InvariantCulture));
                    }

                    writer.WriteEndObject();
                }

                writer.WriteEndArray();
                writer.WriteEndObject();
            }

            writer.WriteEndArray();
            writer.WriteStartArray("broken");
            foreach (var what in _broken) writer.WriteStringValue(what);
            writer.WriteEndArray();
            writer.WriteEndObject();
        }

        return Encoding.UTF8.GetString(stream.ToArray());
    }

    private static string Machine()
    {
        var flags = File.Exists("/proc/cpuinfo") ? File.ReadLines("/proc/cpuinfo").FirstOrDefault(line => line.StartsWith("flags", StringComparison.Ordinal)) ?? "" : "";
        var known = new[] { "aes", "pclmulqdq", "avx2", "vaes", "vpclmulqdq", "avx512f", "sha_ni" }.Where(flag => flags.Contains($" {flag} ", StringComparison.Ordinal));
        return $"{Environment.ProcessorCount} processors {RuntimeInformation.ProcessArchitecture} ({string.Join(' ', known)}), Linux {Environment.OSVersion.Version}, {RuntimeInformation.FrameworkDescription}, OpenSSL by libcrypto";
    }
}
