using System;
using System.Buffers;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using Warifu.App.Vici;

namespace Warifu.App.Cli;

/// <summary>VICI messages as JSON: sections are objects, lists are arrays, decimal numbers are numbers, yes and no stay words.</summary>
internal static class Json
{
    public static string Print(ViciMessage message) => Print(writer => Write(writer, message));

    /// <summary>On one line, for streams.</summary>
    public static string PrintLine(ViciMessage message) => Print(writer => Write(writer, message), indented: false);

    /// <summary>Several messages as one array.</summary>
    public static string Print(IEnumerable<ViciMessage> messages) => Print(writer =>
    {
        writer.WriteStartArray();
        foreach (var message in messages) Write(writer, message);
        writer.WriteEndArray();
    });

    /// <summary>Messages that each hold named sections, as one object.</summary>
    public static string Merge(IEnumerable<ViciMessage> messages) => Print(messages.SelectMany(message => message.Elements).Aggregate(new ViciMessage(), (all, element) => all.Add(element)));

    private static string Print(Action<Utf8JsonWriter> write, bool indented = true)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(buffer, new JsonWriterOptions { Indented = indented, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping })) write(writer);
        return Encoding.UTF8.GetString(buffer.WrittenSpan);
    }

    private static void Write(Utf8JsonWriter writer, ViciMessage message)
    {
        writer.WriteStartObject();
        // two IKE SAs of one connection have one name: the second and further ones get a number
        var names = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach (var element in message.Elements)
        {
            var times = names[element.Name] = names.GetValueOrDefault(element.Name) + 1;
            writer.WritePropertyName(times == 1 ? element.Name : string.Create(CultureInfo.InvariantCulture, $"{element.Name}#{times}"));
            if (element.Section is { } section)
            {
                Write(writer, section);
            }
            else if (element.Items is { } items)
            {
                writer.WriteStartArray();
                foreach (var item in items) writer.WriteStringValue(item);
                writer.WriteEndArray();
            }
            else
            {
                WriteValue(writer, Encoding.UTF8.GetString(element.Value!));
            }
        }

        writer.WriteEndObject();
    }

    private static void WriteValue(Utf8JsonWriter writer, string text)
    {
        if (long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number) && number.ToString(CultureInfo.InvariantCulture) == text) writer.WriteNumberValue(number);
        else writer.WriteStringValue(text);
    }
}
