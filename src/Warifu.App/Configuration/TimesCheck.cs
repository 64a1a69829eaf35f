using System;
using System.Globalization;

namespace Warifu.App.Configuration;

/// <summary>Lifetimes and liveness checks that say the same twice, or something that cannot be kept.</summary>
internal static class TimesCheck
{
    private static readonly TimeSpan s_keptDelay = TimeSpan.FromSeconds(30);

    public static void OfConnection(SectionReader reader, TimeSpan rekey, bool kept)
    {
        var isV1 = reader.Text("version") == "1";
        var delay = reader.Time("dpd_delay", kept ? s_keptDelay : TimeSpan.Zero);
        var timeout = reader.Time("dpd_timeout", TimeSpan.Zero);
        if (delay == TimeSpan.Zero)
        {
            if (reader.Has("dpd_mode")) reader.Error("dpd_mode", "dpd_mode says when to check liveness, and dpd_delay = 0 switches the checks off", "set dpd_delay");
            if (reader.Number("dpd_threshold", 0) > 0) reader.Error("dpd_threshold", "dpd_threshold says how many checks may be without an answer, and dpd_delay = 0 switches the checks off", "set dpd_delay");
            if (isV1 && timeout > TimeSpan.Zero) reader.Error("dpd_timeout", "dpd_timeout says when a peer that does not answer checks is dead, and dpd_delay = 0 switches the checks off", "set dpd_delay");
        }
        else if (isV1 && timeout > TimeSpan.Zero)
        {
            if (reader.Number("dpd_threshold", 0) > 0) reader.Error("dpd_timeout", "dpd_threshold says already when the peer is dead", "keep one of them");
            if (timeout <= delay) reader.Add(Severity.Warning, reader.PositionOf("dpd_timeout"), $"dpd_timeout = {Print(timeout)} is over when the first check is made, after dpd_delay = {Print(delay)}: a peer whose answer to it is lost is dead", "make it three times dpd_delay");
        }

        if (!isV1 && timeout > TimeSpan.Zero) reader.Add(Severity.Notice, reader.PositionOf("dpd_timeout"), "dpd_timeout has no effect: it is for IKEv1; IKEv2 uses the retransmissions, or dpd_threshold");
        var reauth = reader.Time("reauth_time", TimeSpan.Zero);
        var soft = reauth > TimeSpan.Zero && (rekey == TimeSpan.Zero || reauth < rekey) ? reauth : rekey;
        var over = reader.TimeOrNull("over_time") ?? (reauth > rekey && !isV1 ? reauth : soft) * 0.1;
        Random(reader, soft == rekey ? "rekey_time" : "reauth_time", soft, isV1 ? over : TimeSpan.MaxValue);
    }

    public static void OfChild(SectionReader reader, TimeSpan rekey)
    {
        Random(reader, "rekey_time", rekey, TimeSpan.MaxValue);
        if (reader.Size("life_bytes") is > 0 and var octets && octets < reader.Size("rekey_bytes")) reader.Error("life_bytes", "life_bytes is less than rekey_bytes: the pair would be gone before it is rekeyed", "make it larger, or rekey_bytes smaller");
        if (reader.NumberOrNull("life_packets") is > 0 and var packets && packets < reader.NumberOrNull("rekey_packets")) reader.Error("life_packets", "life_packets is less than rekey_packets: the pair would be gone before it is rekeyed", "make it larger, or rekey_packets smaller");
    }

    /// <summary>More than half of a lifetime is not left to chance, and in IKEv1 no more than the grace behind it.</summary>
    private static void Random(SectionReader reader, string name, TimeSpan soft, TimeSpan over)
    {
        if (reader.TimeOrNull("rand_time") is not { } random || soft == TimeSpan.Zero) return;
        var most = over < soft / 2 ? over : soft / 2;
        if (random > most) reader.Add(Severity.Notice, reader.PositionOf("rand_time"), $"rand_time = {Print(random)} is more than {(most == over ? "over_time" : $"half of {name}")}: {Print(most)} are taken", $"write rand_time = {Print(most)} or less");
    }

    private static string Print(TimeSpan time) => string.Create(CultureInfo.InvariantCulture, $"{(long)time.TotalSeconds}s");
}
