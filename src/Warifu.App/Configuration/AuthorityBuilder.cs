using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.Linq;
using Warifu.Policy;

namespace Warifu.App.Configuration;

/// <summary>Sections of <c>authorities</c> and <c>pools</c>.</summary>
internal static class AuthorityBuilder
{
    /// <summary>A CA with what is known about it; null when it cannot be served.</summary>
    public static Authority? Build(ConfigSection section, List<Diagnostic> findings)
    {
        var before = findings.Count;
        var reader = new SectionReader(section, Scope.Authority, $"authority '{section.Name}'", findings);
        foreach (var inner in section.Sections) findings.Add(new Diagnostic(Severity.Error, inner.Position, $"unknown section '{inner.Name}' in authority '{section.Name}'", "it holds keys only"));
        if (section.Find("file") is { } file) findings.Add(new Diagnostic(Severity.Limit, file.Position, "file: the daemon reads no files for its clients", "send the certificate itself in cacert"));
        var certificate = ImmutableArray<byte>.Empty;
        if (reader.Contents("cacert") is not [var data, ..])
        {
            if (!findings.Skip(before).Any(finding => finding.Severity >= Severity.Limit)) findings.Add(new Diagnostic(Severity.Error, section.Position, $"CA certificate missing: {section.Name}", "add 'cacert = FILE'"));
        }
        else if (!CertificateReader.TryRead(CertificateType.X509, data, out var read, out var error)) reader.Error("cacert", $"cacert: {error}", "name a certificate in PEM or DER");
        else if (CertificateReader.IsAuthority(read[0].AsMemory()) == false) reader.Error("cacert", $"'{CertificateReader.NameOf(read[0].AsMemory())}' is no CA: its basic constraints do not say so", "name the certificate of the CA");
        else certificate = read[0];

        foreach (var key in new[] { "crl_uris", "ocsp_uris", "cert_uri_base" })
        {
            foreach (var uri in reader.Items(key).Where(uri => !IsUri(uri, key))) reader.Error(key, $"'{uri}' is no place to fetch from", key == "crl_uris" ? "write http://… or file:///…" : "write http://…");
        }

        if (findings.Skip(before).Any(finding => finding.Severity >= Severity.Limit)) return null;
        return new Authority { Name = section.Name, Certificate = certificate, CrlUris = [.. reader.Items("crl_uris")], OcspUris = [.. reader.Items("ocsp_uris")], CertUriBase = reader.Text("cert_uri_base") };
    }

    /// <summary>Addresses and attributes for clients; null when it has errors.</summary>
    public static Pool? BuildPool(ConfigSection section, List<Diagnostic> findings)
    {
        var before = findings.Count;
        var ranges = ImmutableArray.CreateBuilder<AddressRange>();
        var attributes = ImmutableArray.CreateBuilder<PoolAttribute>();
        var leases = ImmutableArray.CreateBuilder<StaticLease>();
        foreach (var inner in section.Sections) findings.Add(new Diagnostic(Severity.Error, inner.Position, $"unknown section '{inner.Name}' in pool '{section.Name}'", "it holds keys only"));
        foreach (var setting in section.Settings)
        {
            if (KeyRegistry.Find(Scope.Pool, setting.Key) is null && !ushort.TryParse(setting.Key, out _))
            {
                findings.Add(new Diagnostic(Severity.Error, setting.Position, $"unknown key '{setting.Key}' in pool '{section.Name}'", $"nearest known key: '{KeyRegistry.Nearest(Scope.Pool, setting.Key)}'"));
                continue;
            }

            foreach (var item in setting.Key == "addrs" && setting.Values.Count == 1 ? [setting.Text] : ValueReader.Items(setting))
            {
                var wrong = (string?)null;
                if (setting.Key == "addrs")
                {
                    if (PoolText.TryParseAddresses(item, out var range, out wrong)) ranges.Add(range);
                }
                else if (setting.Key == "static")
                {
                    if (PoolValues.TryReadStatic(item, out var lease, out wrong)) leases.Add(lease);
                }
                else if (PoolText.TryParseAttribute(setting.Key, item, out var made, out wrong)) attributes.AddRange(made);

                if (wrong is not null) findings.Add(new Diagnostic(Severity.Error, setting.ValuePosition, $"pool '{section.Name}': {wrong}", setting.Key == "addrs" ? "write a subnet or FIRST-LAST" : ""));
            }
        }

        foreach (var twice in leases.GroupBy(lease => lease.Address).Where(group => group.Count() > 1)) findings.Add(new Diagnostic(Severity.Error, section.Find("static")!.ValuePosition, $"pool '{section.Name}': {twice.Key} is the static lease of {string.Join(" and of ", twice.Select(lease => Identities.Print(lease.Identity)))}", "give each its own address"));
        if (ranges.Count == 0 && leases.Count == 0 && !findings.Skip(before).Any(finding => finding.Severity == Severity.Error)) findings.Add(new Diagnostic(Severity.Error, section.Position, $"missing addrs for pool '{section.Name}'", "add 'addrs = SUBNET'"));
        return findings.Skip(before).Any(finding => finding.Severity >= Severity.Limit) ? null : new Pool { Name = section.Name, Addresses = ranges.ToImmutable(), Attributes = attributes.ToImmutable(), Static = leases.ToImmutable() };
    }

    private static bool IsUri(string text, string key) => Uri.TryCreate(text, UriKind.Absolute, out var uri) && (uri.Scheme == "http" || (key == "crl_uris" && uri.Scheme is "file"));
}
