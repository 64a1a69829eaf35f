using System.ComponentModel;
using System.Runtime.InteropServices;
using Warifu.Primitives;

namespace Warifu.Net.Linux;

/// <summary>The system calls that are used, by their own names.</summary>
internal static unsafe partial class Libc
{
    public const int AfInet = 2, AfInet6 = 10, AfNetlink = 16;
    public const int SockStream = 1, SockDgram = 2, SockRaw = 3, SockCloexec = 0x80000;
    public const int SolSocket = 1, IpprotoIp = 0, IpprotoIpv6 = 41, IpprotoUdp = 17, IpprotoEsp = 50, IpprotoAh = 51;
    public const int SoReuseaddr = 2, SoMark = 36, SoRcvbufforce = 33, SoSndbufforce = 32, SoRcvbuf = 8, SoSndbuf = 7, SoRcvtimeo = 20;
    public const int IpTos = 1, IpTtl = 2, IpPktinfo = 8, IpRecvttl = 12, IpMtuDiscover = 10, IpRecvtos = 13, IpRecverr = 11, IpHdrincl = 3;
    public const int Ipv6V6only = 26, Ipv6Recverr = 25, Ipv6Recvpktinfo = 49, Ipv6Pktinfo = 50, Ipv6Recvtclass = 66, Ipv6Tclass = 67, Ipv6MtuDiscover = 23, Ipv6Recvhoplimit = 51, Ipv6Hoplimit = 52, Ipv6Hdrincl = 36, Ipv6Recvhopopts = 53, Ipv6Hopopts = 54, Ipv6Recvrthdr = 56, Ipv6Rthdr = 57, Ipv6Recvdstopts = 58, Ipv6Dstopts = 59;
    public const int UdpSegment = 103, UdpGro = 104;
    public const int PmtudiscDont = 0, PmtudiscDo = 2, PmtudiscProbe = 3;
    public const int ORdwr = 2, ONonblock = 0x800, OCloexec = 0x80000;
    public const short PollIn = 1, PollErr = 8;
    public const int Eperm = 1, Enoent = 2, Esrch = 3, Eintr = 4, Eio = 5, Eagain = 11, Eacces = 13, Eexist = 17, Enodev = 19, Einval = 22, Emsgsize = 90, Eopnotsupp = 95, Eafnosupport = 97, Eaddrnotavail = 99, Econnrefused = 111, Ehostunreach = 113;
    public const int MsgDontwait = 0x40, MsgTrunc = 0x20, MsgCtrunc = 0x08, MsgErrqueue = 0x2000;

    [LibraryImport("libc", SetLastError = true)]
    public static partial int socket(int family, int type, int protocol);

    [LibraryImport("libc", SetLastError = true)]
    public static partial int bind(int socket, byte* address, int length);

    [LibraryImport("libc", SetLastError = true)]
    public static partial int connect(int socket, byte* address, int length);

    [LibraryImport("libc", SetLastError = true)]
    public static partial int getsockname(int socket, byte* address, int* length);

    [LibraryImport("libc", SetLastError = true)]
    public static partial int setsockopt(int socket, int level, int option, void* value, int length);

    [LibraryImport("libc", SetLastError = true)]
    public static partial nint sendmsg(int socket, MessageHeader* message, int flags);

    [LibraryImport("libc", SetLastError = true)]
    public static partial nint recvmsg(int socket, MessageHeader* message, int flags);

    [LibraryImport("libc", SetLastError = true)]
    public static partial int sendmmsg(int socket, MessageSlot* messages, uint count, int flags);

    [LibraryImport("libc", SetLastError = true)]
    public static partial int recvmmsg(int socket, MessageSlot* messages, uint count, int flags, TimeSpec* timeout);

    [LibraryImport("libc", SetLastError = true)]
    public static partial nint send(int socket, byte* data, nint length, int flags);

    [LibraryImport("libc", SetLastError = true)]
    public static partial nint recv(int socket, byte* data, nint length, int flags);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int open(string path, int flags);

    [LibraryImport("libc", SetLastError = true)]
    public static partial nint read(int file, byte* data, nint length);

    [LibraryImport("libc", SetLastError = true)]
    public static partial nint write(int file, byte* data, nint length);

    [LibraryImport("libc", SetLastError = true)]
    public static partial nint readv(int file, IoVector* pieces, int count);

    [LibraryImport("libc", SetLastError = true)]
    public static partial nint writev(int file, IoVector* pieces, int count);

    [LibraryImport("libc", SetLastError = true)]
    public static partial int close(int file);

    [LibraryImport("libc", SetLastError = true)]
    public static partial uint getuid();

    [LibraryImport("libc", SetLastError = true)]
    public static partial int ioctl(int file, nuint request, void* argument);

    [LibraryImport("libc", SetLastError = true)]
    public static partial int poll(PollEntry* entries, nuint count, int timeout);

    [LibraryImport("libc", SetLastError = true)]
    public static partial int eventfd(uint initial, int flags);

    [LibraryImport("libc", SetLastError = true)]
    public static partial int clock_gettime(int clock, TimeSpec* time);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial uint if_nametoindex(string name);

    /// <summary>CLOCK_BOOTTIME: goes on while the machine sleeps, so that lifetimes end on time.</summary>
    public static Instant Now()
    {
        TimeSpec time;
        return clock_gettime(7, &time) == 0 ? new Instant((time.Seconds * 1_000_000_000) + time.Nanoseconds) : throw Error("clock_gettime");
    }

    public static void SetOption(int socket, int level, int option, int value)
    {
        if (!TrySetOption(socket, level, option, value)) throw Error($"setsockopt {level}/{option}");
    }

    public static bool TrySetOption(int socket, int level, int option, int value) => setsockopt(socket, level, option, &value, sizeof(int)) == 0;

    /// <summary>Waits until one of the files can be read. The result has a bit per file.</summary>
    public static int WaitForInput(int first, int second, int timeout = -1)
    {
        var entries = stackalloc PollEntry[2];
        entries[0] = new PollEntry { File = first, Events = PollIn };
        entries[1] = new PollEntry { File = second, Events = PollIn };
        var ready = poll(entries, 2, timeout);
        if (ready <= 0) return 0;
        return (entries[0].Returned != 0 ? 1 : 0) | (entries[1].Returned != 0 ? 2 : 0);
    }

    public static Win32Exception Error(string what)
    {
        var number = Marshal.GetLastPInvokeError();
        return new Win32Exception(number, $"{what}: {Marshal.GetPInvokeErrorMessage(number)}");
    }

    [StructLayout(LayoutKind.Sequential)]
    public struct TimeSpec
    {
        public long Seconds;
        public long Nanoseconds;
    }

    [StructLayout(LayoutKind.Sequential)]
    public struct PollEntry
    {
        public int File;
        public short Events;
        public short Returned;
    }

    [StructLayout(LayoutKind.Sequential)]
    public struct IoVector
    {
        public byte* Data;
        public nuint Length;
    }

    [StructLayout(LayoutKind.Sequential)]
    public struct MessageHeader
    {
        public byte* Name;
        public int NameLength;
        public IoVector* Vectors;
        public nuint VectorCount;
        public byte* Control;
        public nuint ControlLength;
        public int Flags;
    }

    /// <summary>struct mmsghdr.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct MessageSlot
    {
        public MessageHeader Header;
        public uint Length;
    }
}
