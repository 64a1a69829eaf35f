using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text;
using Warifu.App.Tests.Lab;
using Warifu.App.Vici;

namespace Warifu.App.Tests.Vici;

/// <summary>One recorded packet.</summary>
internal sealed record GoldenPacket(bool FromClient, ViciKind Kind, string Name, ViciMessage Message, byte[] Frame)
{
    /// <summary>"initiate child=net timeout=1500": how lists of exceptions name a request.</summary>
    public string Words => (Name + " " + Print(Message)).Trim();

    private static string Print(ViciMessage message) => string.Join(' ', message.Elements.Select(element =>
        element.Section is { } section ? $"{element.Name}{{{Print(section)}}}" : element.Items is { } items ? $"{element.Name}=[{string.Join(',', items.Select(Encoding.UTF8.GetString))}]" : $"{element.Name}={Encoding.UTF8.GetString(element.Value!)}"));
}

/// <summary>A packet of the client and what the server sent until the client's next.</summary>
internal sealed record GoldenExchange(GoldenPacket Sent, IReadOnlyList<GoldenPacket> Received);

/// <summary>A recorded session.</summary>
internal static class GoldenSession
{
    public static IReadOnlyList<GoldenPacket> Packets(string name) => [.. File.ReadLines(Path.Combine(Tool.Root, "tests/Warifu.App.Tests/Vici/Golden", name + ".hex")).Where(line => line.Length > 0 && line[0] != '#').Select(Read)];

    public static IReadOnlyList<GoldenExchange> Exchanges(string name)
    {
        var exchanges = new List<GoldenExchange>();
        List<GoldenPacket> received = [];
        foreach (var packet in Packets(name))
        {
            if (packet.FromClient) exchanges.Add(new GoldenExchange(packet, received = []));
            else received.Add(packet);
        }

        return exchanges;
    }

    private static GoldenPacket Read(string line)
    {
        var frame = Convert.FromHexString(line.AsSpan(4));
        if (!ViciPacket.TryParse(frame.AsMemory(4), out var packet) || !ViciMessage.TryDecode(packet.Body.Span, out var message)) throw new InvalidOperationException($"not VICI: {line}");
        return new GoldenPacket(line.StartsWith("C>S", StringComparison.Ordinal), packet.Kind, packet.Name, message, frame);
    }
}
