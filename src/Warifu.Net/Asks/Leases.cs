using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Text;
using System.Threading;
using Warifu.Engine;
using Warifu.Policy;
using Warifu.Primitives;

namespace Warifu.Net.Asks;

/// <summary>
/// Virtual addresses among all shards: answers <see cref="Ask.Lease"/>. With a folder, leases outlive the process: a file gets a line for each address that goes to another identity than before, and is written anew
/// when it has become long.
/// </summary>
internal sealed class Leases : IDisposable
{
    private const string FileName = "leases";
    private const int LongestFile = 64 << 20;

    private readonly LeaseTable _table = new();
    private readonly Lock _gate = new();
    private readonly string? _path;
    private readonly Action<string> _troubled;
    private FileStream? _file;
    private List<(string Pool, IpAddress Address, Identity Identity)>? _earlier;
    private int _lines;
    private int _longest;

    /// <param name="directory">Made when it is missing; null = leases end with the process.</param>
    /// <param name="troubled">Told when the file cannot be read or written: leases go on without it.</param>
    public Leases(string? directory, Action<string> troubled)
    {
        _troubled = troubled;
        _table.Changed = Append;
        if (directory is null) return;
        _path = Path.Combine(directory, FileName);
    }

    public void SetPools(ImmutableArray<Pool> pools)
    {
        lock (_gate)
        {
            _table.SetPools(pools);
            // without pools nothing of the kind is wanted, and the folder need not be there
            if (_path is null || (pools.IsEmpty && _earlier is null)) return;
            var isFirst = _earlier is null;
            _earlier ??= Read();
            var names = pools.Select(pool => pool.Name).ToHashSet(StringComparer.Ordinal);
            foreach (var (pool, address, identity) in _earlier)
            {
                if (names.Contains(pool)) _table.Remember(pool, address, identity);
            }

            // those of pools that are not there now wait for them
            _earlier.RemoveAll(lease => names.Contains(lease.Pool));
            if (isFirst) Rewrite();
        }
    }

    public Answer Grant(AskId id, Ask.Lease ask)
    {
        lock (_gate)
        {
            var (lease, addresses) = _table.Grant(ask.Wish);
            return new Answer.Leased(id, lease, addresses);
        }
    }

    public void Release(LeaseId lease)
    {
        lock (_gate) _table.Release(lease);
    }

    public ImmutableArray<PoolStatus> Status()
    {
        lock (_gate) return _table.Status();
    }

    public void Dispose()
    {
        lock (_gate)
        {
            _table.Changed = null;
            _file?.Dispose();
            _file = null;
        }
    }

    /// <summary>No write is waited for: what a kill of the process leaves is whole lines, and what a loss of power takes are leases, not tunnels.</summary>
    private void Append(string pool, IpAddress address, Identity identity)
    {
        if (_file is null) return;
        try
        {
            _file.Write(Encoding.UTF8.GetBytes(Line(pool, address, identity)));
            _file.Flush();
            if (++_lines > _longest) Rewrite();
        }
        catch (IOException exception)
        {
            GiveUp(exception);
        }
    }

    private List<(string Pool, IpAddress Address, Identity Identity)> Read()
    {
        var found = new List<(string, IpAddress, Identity)>();
        try
        {
            var file = new FileInfo(_path!);
            if (!file.Exists || file.Length > LongestFile) return found;
            foreach (var line in File.ReadLines(_path!))
            {
                if (TryParse(line, out var lease)) found.Add(lease);
            }
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            _troubled($"leases of earlier cannot be read from {_path}: {exception.Message}");
        }

        return found;
    }

    private void Rewrite()
    {
        // rights of files as Linux has them
        if (OperatingSystem.IsWindows()) throw new PlatformNotSupportedException();
        _file?.Dispose();
        _file = null;
        try
        {
            Directory.CreateDirectory(Path.GetDirectoryName(_path!)!, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
            var next = _path + ".new";
            File.Delete(next);
            var options = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, Share = FileShare.Read, UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite };
            var file = new FileStream(next, options);
            _lines = 0;
            foreach (var (pool, address, identity) in _earlier!.Concat(_table.Remembered))
            {
                file.Write(Encoding.UTF8.GetBytes(Line(pool, address, identity)));
                _lines++;
            }

            _longest = Math.Max(1000, 4 * _lines);
            file.Flush(flushToDisk: true);
            File.Move(next, _path!, overwrite: true);
            _file = file;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            GiveUp(exception);
        }
    }

    private void GiveUp(Exception exception)
    {
        _file?.Dispose();
        _file = null;
        _troubled($"leases will not outlive this process: {_path} cannot be written: {exception.Message}; set daemon.state_dir to a folder that can be");
    }

    /// <summary>Names of pools are free text: they go last.</summary>
    private static string Line(string pool, IpAddress address, Identity identity) =>
        string.Create(CultureInfo.InvariantCulture, $"{address} {(byte)identity.Type} {Convert.ToHexStringLower(identity.Data.AsSpan())} {pool.ReplaceLineEndings(" ")}\n");

    private static bool TryParse(string line, out (string Pool, IpAddress Address, Identity Identity) lease)
    {
        lease = default;
        var parts = line.Split(' ', 4);
        if (parts.Length != 4 || !IpAddress.TryParse(parts[0], out var address) || !byte.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out var type)) return false;
        if (parts[2].Length % 2 != 0 || !parts[2].All(char.IsAsciiHexDigitLower)) return false;
        lease = (parts[3], address, new Identity((IdType)type, [.. Convert.FromHexString(parts[2])]));
        return true;
    }
}
