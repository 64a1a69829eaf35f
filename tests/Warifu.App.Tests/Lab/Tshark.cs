using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Threading.Tasks;

namespace Warifu.App.Tests.Lab;

/// <summary>A packet as tshark sees it. Lists are those of its fields, in order.</summary>
/// <param name="Number">In the capture.</param>
/// <param name="Protocols">From the outside to the inside.</param>
/// <param name="Malformed">A dissector gave up.</param>
/// <param name="Expert">Remarks: severity and text.</param>
/// <param name="Exchange">IKE exchange type; 0 = not IKE.</param>
/// <param name="Payloads">IKE payload types, those inside SK when it was decrypted.</param>
/// <param name="Decrypted">Plain octets of SK or ESP are there.</param>
/// <param name="Notifies">IKE notify types.</param>
/// <param name="IcvGood">ESP: the ICV was computed and is right.</param>
internal sealed record TsharkPacket(int Number, string[] Protocols, bool Malformed, string[] Expert, int Exchange, int[] Payloads, bool Decrypted, int[] Notifies, bool IcvGood)
{
    public bool IsIke => Exchange > 0;

    /// <summary>IKE with an SK payload.</summary>
    public bool IsProtectedIke => Exchange >= 35;

    public bool IsEsp => Protocols.Contains("esp");

    public bool ShowsIcmp => Protocols.Contains("icmp") || Protocols.Contains("icmpv6");
}

/// <summary>tshark on a capture, with the key tables of a folder.</summary>
internal static class Tshark
{
    private static readonly string[] s_fields =
    [
        "frame.number", "frame.protocols", "_ws.malformed", "_ws.expert.severity", "_ws.expert.message", "isakmp.exchangetype", "isakmp.typepayload", "isakmp.enc.decrypted", "esp.decrypted_data",
        "isakmp.notify.msgtype", "esp.icv_good",
    ];

    public static async Task<IReadOnlyList<TsharkPacket>> ReadAsync(string capture, string? keys)
    {
        // an empty folder, so that nobody's own settings count
        var folder = keys ?? Directory.CreateDirectory(capture + ".none").FullName;
        var ended = (await Tool.RunAsync("env", ["WIRESHARK_CONFIG_DIR=" + folder, "tshark", "-n", "-r", capture, "-o", "esp.enable_encryption_decode:TRUE", "-o", "esp.enable_authentication_check:TRUE",
            "-T", "fields", "-E", "separator=/t", "-E", "aggregator=;", .. s_fields.SelectMany(field => new[] { "-e", field })], TimeSpan.FromSeconds(40))).OrThrow("tshark");
        if (ended.Error.Contains("Error in", StringComparison.Ordinal) || ended.Error.Contains("isn't", StringComparison.Ordinal)) throw new InvalidOperationException(ended.Error);
        return [.. ended.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(Parse)];
    }

    /// <summary>What a person would read: for a failing test.</summary>
    public static async Task<string> ShowAsync(string capture, string keys) =>
        (await Tool.RunAsync("env", ["WIRESHARK_CONFIG_DIR=" + keys, "tshark", "-n", "-r", capture, "-o", "esp.enable_encryption_decode:TRUE"], TimeSpan.FromSeconds(40))).All;

    private static TsharkPacket Parse(string line)
    {
        var field = line.Split('\t');
        // severities of expert remarks, warn and above: 0x600000 warn, 0x800000 error
        var severities = Split(field[3]);
        var messages = Split(field[4]);
        var expert = severities.Select((severity, i) => (Level: int.Parse(severity, CultureInfo.InvariantCulture), Text: i < messages.Length ? messages[i] : "")).Where(remark => remark.Level >= 0x600000);
        return new TsharkPacket(int.Parse(field[0], CultureInfo.InvariantCulture), field[1].Split(':'), field[2].Length > 0, [.. expert.Select(remark => $"{remark.Level:x} {remark.Text}")],
            Split(field[5]).Select(Number).FirstOrDefault(), [.. Split(field[6]).Select(Number)], field[7].Length + field[8].Length > 0, [.. Split(field[9]).Select(Number)], field[10].Length > 0 && field[10] is "1" or "True");
    }

    private static string[] Split(string field) => field.Split(';', StringSplitOptions.RemoveEmptyEntries);

    private static int Number(string text) => text.StartsWith("0x", StringComparison.Ordinal) ? Convert.ToInt32(text, 16) : int.Parse(text, CultureInfo.InvariantCulture);
}
