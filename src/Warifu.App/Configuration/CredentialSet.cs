using System;
using System.Collections.Generic;
using System.IO;
using System.Security.Cryptography;

namespace Warifu.App.Configuration;

/// <summary>Kinds of certificates, in the order in which management clients list them.</summary>
internal enum CertificateType
{
    PublicKey,
    X509,
    Ca,
    Aa,
    Ocsp,
    AttributeCertificate,
    Crl,
    OcspResponse,
}

/// <summary>A file with certificates, or what a management client sent in its place.</summary>
internal readonly record struct CertificateData(CertificateType Type, byte[] Data, SourcePosition Position);

/// <summary>A file with a private key, and the passwords that may open it.</summary>
internal sealed record KeyData(string Name, byte[] Data, IReadOnlyList<byte[]> Passwords, bool IsContainer, SourcePosition Position)
{
    public void Erase()
    {
        CryptographicOperations.ZeroMemory(Data);
        foreach (var password in Passwords) CryptographicOperations.ZeroMemory(password);
    }
}

/// <summary>What stands beside the tree of a configuration: contents of files, not yet understood.</summary>
internal sealed class CredentialSet(string folder = "")
{
    private readonly Dictionary<string, (DateTime Written, long Length)> _stamps = new(StringComparer.Ordinal);

    /// <summary>Where the configuration is.</summary>
    public string Folder => folder;

    public List<CertificateData> Certificates { get; } = [];

    public List<KeyData> Keys { get; } = [];

    /// <summary>A file or folder was looked at: a change of it is a change of the configuration.</summary>
    public void Watch(string path) => _stamps[path] = Stamp(path);

    /// <summary>Something that was looked at is not what it was: other contents, gone, or there now.</summary>
    public bool HasChanged()
    {
        foreach (var (path, stamp) in _stamps)
        {
            if (Stamp(path) != stamp) return true;
        }

        return false;
    }

    /// <summary>Zeroes keys and passwords.</summary>
    public void Erase() => Keys.ForEach(key => key.Erase());

    private static (DateTime, long) Stamp(string path)
    {
        try
        {
            return File.Exists(path) ? (File.GetLastWriteTimeUtc(path), new FileInfo(path).Length) : Directory.Exists(path) ? (Directory.GetLastWriteTimeUtc(path), -1) : default;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return default;
        }
    }
}
