using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.Globalization;
using System.Linq;
using System.Security.Cryptography;
using Warifu.Crypto.Signatures;

namespace Warifu.App.Cli.Ca;

/// <summary>Certificates, CRLs and keys as people read them.</summary>
internal static class PkiPrint
{
    /// <summary>Lines about a certificate.</summary>
    public static IEnumerable<string> Certificate(ImmutableArray<byte> der)
    {
        if (!Pki.Certificate.TryParse(der.AsMemory(), out var certificate, out var error)) return [error];
        var (extensions, now) = (certificate!.Extensions, DateTimeOffset.UtcNow);
        var lines = new List<string>
        {
            $"subject:  {certificate.Subject}",
            $"issuer:   {certificate.Issuer}",
            $"serial:   {Convert.ToHexStringLower(certificate.Serial.Span)}",
            $"valid:    {Time(certificate.NotBefore)} to {Time(certificate.NotAfter)}{(now < certificate.NotBefore ? " (NOT YET VALID)" : now > certificate.NotAfter ? " (EXPIRED)" : "")}",
        };
        if (!extensions.AlternativeNames.IsEmpty) lines.Add($"names:    {string.Join(", ", extensions.AlternativeNames.Select(name => name.ToString()))}");
        lines.Add($"CA:       {(certificate.IsCa ? "yes" : "no")}");
        lines.Add($"key:      {(certificate.Key is { } key ? Key(key) : "of a kind that is not known here")}");
        lines.Add($"signed:   {certificate.Scheme?.ToString() ?? "in a way that is not known here"}");
        lines.Add($"SHA-256:  {Convert.ToHexStringLower(SHA256.HashData(der.AsSpan()))}");
        return lines;
    }

    /// <summary>Lines about a list of revoked certificates.</summary>
    public static IEnumerable<string> Crl(ImmutableArray<byte> der)
    {
        if (!Pki.Crl.TryParse(der.AsMemory(), out var crl)) return ["it is no revocation list"];
        return
        [
            $"issuer:   {crl!.Issuer}",
            $"number:   {Convert.ToHexStringLower(crl.Number.Span)}",
            $"made:     {Time(crl.ThisUpdate)}{(crl.NextUpdate is { } next ? $", next {Time(next)}" : "")}",
            $"revoked:  {crl.Count}",
        ];
    }

    public static string Key(PublicKey key) => $"{key}, id {Convert.ToHexStringLower(key.KeyId.Span)}";

    private static string Time(DateTimeOffset time) => time.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture);
}
