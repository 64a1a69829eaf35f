using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text;

namespace Warifu.App.Configuration;

/// <summary>
/// Reads the files that stand beside a configuration: those that it names (certs, cacerts, pubkeys, cacert, file) and those of the folders x509, x509ca, x509crl, pubkey, private, rsa, ecdsa, pkcs8, pkcs12. Names of
/// files become their contents in the tree, so that it is what a management client would send. A file that is missing is a limit of what names it, not an error: the rest works.
/// </summary>
internal static class CredentialFiles
{
    /// <summary>A certificate, a key or a container; CRLs of large CAs are the largest.</summary>
    private const int MaxLength = 32 << 20;

    private const int MaxFiles = 10_000;

    private static readonly (string Folder, CertificateType Type)[] s_certificates =
    [
        ("x509", CertificateType.X509), ("x509ca", CertificateType.Ca), ("x509aa", CertificateType.Aa), ("x509ocsp", CertificateType.Ocsp), ("x509ac", CertificateType.AttributeCertificate), ("x509crl", CertificateType.Crl), ("pubkey", CertificateType.PublicKey),
    ];

    private static readonly string[] s_keys = ["private", "rsa", "ecdsa", "pkcs8", "pkcs12"];

    /// <summary>Kinds of secrets that open files.</summary>
    public static bool IsOfFile(string secret, out string folder)
    {
        // pkcs12 before what it begins with
        folder = s_keys.Where(kind => secret.StartsWith(kind, StringComparison.Ordinal)).MaxBy(kind => kind.Length) ?? "";
        return folder.Length > 0;
    }

    /// <summary>Puts contents in place of names, and gathers what the folders hold.</summary>
    /// <param name="root">The tree of the file.</param>
    /// <param name="file">Its path: folders and relative names are beside it.</param>
    /// <param name="findings">Files of folders that cannot be read.</param>
    public static CredentialSet Read(ConfigSection root, string file, List<Diagnostic> findings)
    {
        var set = new CredentialSet(Path.GetDirectoryName(Path.GetFullPath(file))!);
        foreach (var connection in root.Section("connections")?.Sections ?? [])
        {
            foreach (var round in connection.Sections.Where(section => section.Name.StartsWith("local", StringComparison.Ordinal) || section.Name.StartsWith("remote", StringComparison.Ordinal))) ReadRound(round, set);
        }

        foreach (var authority in root.Section("authorities")?.Sections ?? [])
        {
            var named = authority.Find("cacert") ?? authority.Find("file");
            if (named is not null) authority.Set(Contents(named, "cacert", "x509ca", set));
            authority.Settings.RemoveAll(setting => setting.Key == "file");
        }

        foreach (var (folder, type) in s_certificates)
        {
            foreach (var path in Files(set, folder, findings))
            {
                if (TryRead(path, out var data, out var why)) set.Certificates.Add(new CertificateData(type, data, new SourcePosition(path, 0, 0)));
                else findings.Add(new Diagnostic(Severity.Limit, new SourcePosition(path, 0, 0), $"it cannot be read: {why}", "give the daemon the right to read it, or remove it"));
            }
        }

        ReadKeys(root, set, findings);
        return set;
    }

    private static void ReadRound(ConfigSection round, CredentialSet set)
    {
        foreach (var (key, folder) in new[] { ("certs", "x509"), ("cacerts", "x509ca"), ("pubkeys", "pubkey") })
        {
            var settings = new List<ConfigSetting>();
            if (round.Find(key) is { } listed) settings.Add(Contents(listed, key, folder, set));
            // cert and certX, cacert and cacertX are single files by their whole paths
            var prefix = key[..^1];
            foreach (var section in round.Sections.Where(section => prefix is "cert" or "cacert" && section.Name.StartsWith(prefix, StringComparison.Ordinal)).ToList())
            {
                if (section.Find("file") is not { } single || section.Find("handle") is not null) continue;
                settings.Add(Contents(single, key, folder, set));
                round.Sections.Remove(section);
            }

            if (settings.Count > 0) round.Set(settings.Count == 1 ? settings[0] : ConfigSetting.Join(settings));
        }
    }

    /// <summary>The setting with the contents of the files that it names.</summary>
    private static ConfigSetting Contents(ConfigSetting named, string key, string folder, CredentialSet set)
    {
        var (values, limits) = (new List<byte[]>(), new List<Diagnostic>());
        foreach (var item in ValueReader.Items(named))
        {
            if (item.StartsWith("0x", StringComparison.Ordinal) || item.StartsWith("0s", StringComparison.Ordinal))
            {
                if (ValueReader.TrySecret(Encoding.UTF8.GetBytes(item), out var inline, out _, out var wrong)) values.Add(inline);
                else limits.Add(new Diagnostic(Severity.Error, named.ValuePosition, $"{key}: {wrong}", "write the name of a file, or the octets as 0x… or 0s…"));
                continue;
            }

            var path = Path.Combine(set.Folder, folder, item);
            if (TryRead(path, out var data, out var why)) values.Add(data);
            else limits.Add(new Diagnostic(Severity.Limit, named.ValuePosition, $"{key}: {path} cannot be read: {why}", "put the file there, or name another"));
            set.Watch(path);
        }

        return new ConfigSetting(key, named.Position, named.ValuePosition, [.. values]) { Limits = limits };
    }

    /// <summary>Private keys, with the passwords that secrets give for their files.</summary>
    private static void ReadKeys(ConfigSection root, CredentialSet set, List<Diagnostic> findings)
    {
        var passwords = new Dictionary<string, List<byte[]>>(StringComparer.Ordinal);
        foreach (var secret in root.Section("secrets")?.Sections ?? [])
        {
            if (!IsOfFile(secret.Name, out var folder) || secret.Find("file") is not { } file) continue;
            var path = Path.Combine(set.Folder, folder, file.Text);
            if (!passwords.TryGetValue(path, out var list)) passwords.Add(path, list = []);
            list.AddRange(secret.Settings.Where(setting => setting.Key.StartsWith("secret", StringComparison.Ordinal)).SelectMany(setting => setting.Values).Select(value => value.ToArray()));
            if (!File.Exists(path)) findings.Add(new Diagnostic(Severity.Limit, file.ValuePosition, $"secret '{secret.Name}': there is no file {path}", "put the file there, or name another"));
        }

        foreach (var folder in s_keys)
        {
            foreach (var path in Files(set, folder, findings))
            {
                if (TryRead(path, out var data, out var why)) set.Keys.Add(new KeyData(path, data, passwords.GetValueOrDefault(path) ?? [], folder == "pkcs12", new SourcePosition(path, 0, 0)));
                else findings.Add(new Diagnostic(Severity.Limit, new SourcePosition(path, 0, 0), $"the key cannot be read: {why}", "give the daemon the right to read it, or remove it"));
                passwords.Remove(path);
            }
        }

        foreach (var unused in passwords.Values.SelectMany(list => list)) System.Security.Cryptography.CryptographicOperations.ZeroMemory(unused);
    }

    private static List<string> Files(CredentialSet set, string folder, List<Diagnostic> findings)
    {
        var path = Path.Combine(set.Folder, folder);
        set.Watch(path);
        try
        {
            if (!Directory.Exists(path)) return [];
            var files = Directory.EnumerateFiles(path).Where(file => Path.GetFileName(file) is [not '.', ..]).Take(MaxFiles + 1).Order(StringComparer.Ordinal).ToList();
            if (files.Count > MaxFiles) findings.Add(new Diagnostic(Severity.Limit, new SourcePosition(path, 0, 0), $"more than {MaxFiles} files", "put several certificates into one file"));
            files.ForEach(set.Watch);
            return files;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            findings.Add(new Diagnostic(Severity.Limit, new SourcePosition(path, 0, 0), $"the folder cannot be read: {exception.Message}", "give the daemon the right to read it"));
            return [];
        }
    }

    private static bool TryRead(string path, out byte[] data, out string why)
    {
        (data, why) = ([], "");
        try
        {
            using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0);
            if (stream.Length is 0 or > MaxLength)
            {
                why = stream.Length == 0 ? "it is empty" : "it is larger than 32 MiB";
                return false;
            }

            // it may be a private key
            data = GC.AllocateUninitializedArray<byte>((int)stream.Length, pinned: true);
            stream.ReadExactly(data);
            return true;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException or NotSupportedException or ArgumentException)
        {
            why = exception is FileNotFoundException or DirectoryNotFoundException ? "there is no such file" : exception.Message;
            return false;
        }
    }
}
