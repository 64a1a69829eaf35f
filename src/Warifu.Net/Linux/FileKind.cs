using System.Runtime.InteropServices;

namespace Warifu.Net.Linux;

/// <summary>What kind of file a name stands for.</summary>
internal static unsafe partial class FileKind
{
    private const int AtFdCwd = -100;
    private const int AtSymlinkNoFollow = 0x100;
    private const uint StatxType = 1;

    /// <summary>S_IFMT and S_IFSOCK of stat(2).</summary>
    private const ushort TypeMask = 0xF000, Socket = 0xC000;

    /// <summary>True for a UNIX socket; a link to one is none.</summary>
    public static bool IsSocket(string path)
    {
        // struct statx: 256 octets on every architecture, stx_mode at octet 28
        var status = stackalloc byte[256];
        return statx(AtFdCwd, path, AtSymlinkNoFollow, StatxType, status) == 0 && (*(ushort*)(status + 28) & TypeMask) == Socket;
    }

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int statx(int folder, string path, int flags, uint mask, byte* status);
}
