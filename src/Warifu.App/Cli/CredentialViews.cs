using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Warifu.App.Vici;
using Warifu.Crypto.Signatures;
using Warifu.Pki;

namespace Warifu.App.Cli;

/// <summary>Certificates, authorities and pools as people read them.</summary>
internal static class CredentialViews
{
    public static async Task<int> CertificatesAsync(ViciClient client, bool json, CancellationToken stop)
    {
        var (messages, _) = await client.StreamAsync("list-certs", "list-cert", cancellationToken: stop);
        var views = messages.Select(View).ToList();
        if (json) Console.WriteLine(Json.Print(views));
        else Console.WriteLine(views.Count == 0 ? "no certificates" : string.Join('\n', views.SelectMany(Lines)));
        return 0;
    }

    public static async Task<int> AuthoritiesAsync(ViciClient client, bool json, CancellationToken stop)
    {
        var (messages, _) = await client.StreamAsync("list-authorities", "list-authority", cancellationToken: stop);
        if (json)
        {
            Console.WriteLine(Json.Merge(messages));
            return 0;
        }

        var lines = new List<string>();
        foreach (var element in messages.SelectMany(message => message.Elements))
        {
            var authority = element.Section!;
            lines.Add($"{element.Name}: '{authority.Text("cacert")}'");
            lines.AddRange(authority.Items("crl_uris").Select(uri => $"  CRL   {uri}"));
            lines.AddRange(authority.Items("ocsp_uris").Select(uri => $"  OCSP  {uri}"));
            if (authority.Text("cert_uri_base") is { } uri) lines.Add($"  certificates by hash below {uri}");
        }

        Console.WriteLine(lines.Count == 0 ? "no authorities" : string.Join('\n', lines));
        return 0;
    }

    public static async Task<int> PoolsAsync(ViciClient client, bool json, CancellationToken stop)
    {
        var answer = await client.RequestAsync("get-pools", new ViciMessage().Add("leases", "yes"), cancellationToken: stop);
        if (json)
        {
            Console.WriteLine(Json.Print(answer));
            return 0;
        }

        var lines = new List<string>();
        foreach (var element in answer.Elements)
        {
            var pool = element.Section!;
            lines.Add($"{element.Name}: {pool.Text("size")} addresses from {pool.Text("base")}, {pool.Text("online")} in use, {pool.Text("offline")} kept");
            lines.AddRange((pool.Section("leases")?.Elements ?? []).Select(lease => $"  {lease.Section!.Text("address"),-40} {lease.Section!.Text("status"),-8} '{lease.Section!.Text("identity")}'"));
        }

        Console.WriteLine(lines.Count == 0 ? "no pools" : string.Join('\n', lines));
        return 0;
    }

    /// <summary>What list-cert said, understood. The octets are in base64.</summary>
    private static ViciMessage View(ViciMessage message)
    {
        var der = message.Find("data")?.Value ?? [];
        var view = new ViciMessage().Add("type", message.Text("type") ?? "");
        if (message.Text("flag") is { } flag) view.Add("flag", flag);
        view.Flag("has_privkey", message.Bool("has_privkey"));
        if (message.Text("type") == "X509" && Certificate.TryParse(der, out var certificate, out _))
        {
            view.Add("subject", certificate!.Subject.IsEmpty ? "" : certificate.Subject.ToString()).Add("issuer", certificate.Issuer.ToString()).Add("serial", Convert.ToHexStringLower(certificate.Serial.Span))
                .Add("not-before", Time(certificate.NotBefore)).Add("not-after", Time(certificate.NotAfter)).Add("alt-names", certificate.Extensions.AlternativeNames.Select(name => name.ToString()));
            if (certificate.Key is { } key) view.Add("key", key.ToString()).Add("key-id", Convert.ToHexStringLower(key.KeyId.Span));
        }
        else if (message.Text("type") == "X509_CRL" && Crl.TryParse(der, out var crl))
        {
            view.Add("issuer", crl!.Issuer.ToString()).Add("this-update", Time(crl.ThisUpdate));
            if (crl.NextUpdate is { } next) view.Add("next-update", Time(next));
            view.Add("revoked", crl.Count);
        }
        else if (PublicKey.TryParse(der, out var key))
        {
            view.Add("key", key.ToString()).Add("key-id", Convert.ToHexStringLower(key.KeyId.Span));
        }

        return view.Add("data", Convert.ToBase64String(der));
    }

    private static IEnumerable<string> Lines(ViciMessage view)
    {
        var key = view.Text("key") is { } kind ? $"{kind}, id {view.Text("key-id")}{(view.Bool("has_privkey") ? ", private key is here" : "")}" : null;
        switch (view.Text("type"))
        {
            case "X509":
                yield return $"'{view.Text("subject")}'{view.Text("flag") switch { "CA" => " (CA)", "OCSP" => " (OCSP)", "AA" => " (AA)", _ => "" }}";
                yield return $"  issuer   '{view.Text("issuer")}', serial {view.Text("serial")}";
                if (view.Items("alt-names").Any()) yield return $"  names    {string.Join(", ", view.Items("alt-names"))}";
                yield return $"  valid    {view.Text("not-before")} to {view.Text("not-after")}{Validity(view)}";
                if (key is not null) yield return $"  key      {key}";
                break;
            case "X509_CRL":
                yield return $"CRL of '{view.Text("issuer")}': {view.Text("revoked")} revoked, made {view.Text("this-update")}{(view.Text("next-update") is { } next ? $", next {next}" : "")}";
                break;
            default:
                yield return $"{(view.Text("type") == "PUBKEY" ? "public key" : view.Text("type"))}{(key is null ? "" : $": {key}")}";
                break;
        }
    }

    private static string Validity(ViciMessage view)
    {
        var now = Time(DateTimeOffset.UtcNow);
        return string.CompareOrdinal(now, view.Text("not-after")) > 0 ? " EXPIRED" : string.CompareOrdinal(now, view.Text("not-before")) < 0 ? " NOT YET VALID" : "";
    }

    private static string Time(DateTimeOffset time) => time.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture);
}
