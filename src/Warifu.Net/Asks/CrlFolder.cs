using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Security.Cryptography;
using System.Text;
using System.Threading;
using Warifu.Net.Linux;
using Warifu.Pki;

namespace Warifu.Net.Asks;

/// <summary>
/// Revocation lists on the disk, a file each, until their next update: a gateway that is started again need not fetch megabytes before the first peer comes in. What is read is no more trusted than what comes from the network: whoever
/// asks checks who signed it. A file that cannot be used is told of and removed.
/// </summary>
internal sealed class CrlFolder
{
    public const int MaxFiles = 256;
    public const long MaxOctets = 128L << 20;

    private const string Suffix = ".crl", Unfinished = ".new";

    /// <summary>Clocks differ.</summary>
    private static readonly TimeSpan s_skew = TimeSpan.FromMinutes(5);

    private readonly Lock _gate = new();
    private readonly string _folder;
    private readonly Action<string> _troubled;
    private readonly long _maxOctets;
    private bool _isBroken;

    /// <param name="folder">Made when something is to be kept.</param>
    /// <param name="troubled">Told of damaged files, and once that nothing can be written.</param>
    /// <param name="maxOctets">Of all files together.</param>
    public CrlFolder(string folder, Action<string> troubled, long maxOctets = MaxOctets) => (_folder, _troubled, _maxOctets) = (folder, troubled, maxOctets);

    /// <summary>What came from there and is good at <paramref name="now"/>; null: nothing is.</summary>
    public Crl? Read(string uri, DateTimeOffset now)
    {
        var path = PathOf(uri);
        lock (_gate)
        {
            try
            {
                var file = new FileInfo(path);
                if (!file.Exists) return null;
                // nothing but what was written here: no link to elsewhere, nothing without an end, and no more than was there when it was looked at
                if (FileKind.IsPlain(path) && file.Length <= Crl.MaxLength && Crl.TryParse(ReadAll(path, (int)file.Length), out var crl))
                {
                    if (crl!.NextUpdate > now && crl.ThisUpdate <= now + s_skew) return crl;
                    File.Delete(path);
                    return null;
                }

                _troubled($"the revocation list that was kept in {path} is damaged, and will be fetched again");
                File.Delete(path);
            }
            catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
            {
                _troubled($"the revocation list that was kept in {path} cannot be read, and will be fetched again: {exception.Message}");
            }

            return null;
        }
    }

    /// <summary>Keeps a list whose signature is right, in place of an older one; those that end first go when there are too many.</summary>
    public void Write(string uri, Crl crl, DateTimeOffset now)
    {
        if (crl.NextUpdate is not { } until || until <= now || crl.Der.Length > _maxOctets) return;
        // rights of files as Linux has them
        if (OperatingSystem.IsWindows()) throw new PlatformNotSupportedException();
        var path = PathOf(uri);
        lock (_gate)
        {
            try
            {
                Directory.CreateDirectory(_folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
                MakeRoom(path, crl.Der.Length);
                var next = path + Unfinished;
                File.Delete(next);
                var options = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite };
                using (var file = new FileStream(next, options))
                {
                    file.Write(crl.Der.Span);
                    file.Flush(flushToDisk: true);
                }

                // a file is as old as its list will be: then nobody reads it to know which one ends first
                File.SetLastWriteTimeUtc(next, until.UtcDateTime);
                File.Move(next, path, overwrite: true);
            }
            catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
            {
                if (!_isBroken) _troubled($"revocation lists will not outlive this process: {path} cannot be written: {exception.Message}; set daemon.state_dir to a folder that can be");
                _isBroken = true;
            }
        }
    }

    public void Clear()
    {
        lock (_gate)
        {
            foreach (var file in Files(Suffix).Concat(Files(Suffix + Unfinished))) TryDelete(file);
        }
    }

    private void MakeRoom(string path, long length)
    {
        // what a crash left half written
        foreach (var file in Files(Suffix + Unfinished)) TryDelete(file);
        var others = new Queue<FileInfo>(Files(Suffix).Where(file => file.FullName != Path.GetFullPath(path)).OrderBy(file => file.LastWriteTimeUtc));
        var sum = others.Sum(file => file.Length);
        while (others.Count > 0 && (others.Count >= MaxFiles || sum + length > _maxOctets))
        {
            var first = others.Dequeue();
            sum -= first.Length;
            TryDelete(first);
        }
    }

    private FileInfo[] Files(string suffix)
    {
        var folder = new DirectoryInfo(_folder);
        return folder.Exists ? folder.GetFiles("*" + suffix) : [];
    }

    private static ReadOnlyMemory<byte> ReadAll(string path, int length)
    {
        var octets = new byte[length];
        using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read);
        return octets.AsMemory(0, file.ReadAtLeast(octets, length, throwOnEndOfStream: false));
    }

    private static void TryDelete(FileInfo file)
    {
        try
        {
            file.Delete();
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            // it is tried again next time
        }
    }

    private string PathOf(string uri) => Path.Combine(_folder, Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(uri))) + Suffix);
}
