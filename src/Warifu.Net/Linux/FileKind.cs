using System.Runtime.InteropServices;

namespace Warifu.Net.Linux;

/// <summary>What kind of file a name stands for.</summary>
internal static unsafe partial class FileKind
{
    private const int AtFdCwd = -100;
    private const int AtSymlinkNoFollow = 0x100;
    private const uint StatxType = 1;

    /// <summary>S_IFMT, S_IFSOCK and S_IFREG of stat(2).</summary>
    private const ushort TypeMask = 0xF000, Socket = 0xC000, Regular = 0x8000;

    /// <summary>True for a UNIX socket; a link to one is none.</summary>
    public static bool IsSocket(string path) => TypeOf(path, AtSymlinkNoFollow) == Socket;

    /// <summary>True for a file that has an end, and for a link to one.</summary>
    public static bool IsRegular(string path) => TypeOf(path, 0) == Regular;

    /// <summary>True for a file that has an end; a link to one is none.</summary>
    public static bool IsPlain(string path) => TypeOf(path, AtSymlinkNoFollow) == Regular;

    /// <summary>Zero when there is nothing.</summary>
    private static int TypeOf(string path, int flags)
    {
        // struct statx: 256 octets on every architecture, stx_mode at octet 28
        var status = stackalloc byte[256];
        return statx(AtFdCwd, path, flags, StatxType, status) == 0 ? *(ushort*)(status + 28) & TypeMask : 0;
    }

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int statx(int folder, string path, int flags, uint mask, byte* status);
}
