using System;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Warifu.Ipsec;
using Warifu.Net.Linux;

namespace Warifu.Net.Tun;

/// <summary>
/// Writes packets to TUN devices, those that follow each other in a flow in one call. What is written must stay in its place, in pinned memory, until <see cref="Flush"/>. For one thread.
/// </summary>
internal sealed unsafe class TunWriter : IDisposable
{
    private readonly Libc.IoVector* _pieces = (Libc.IoVector*)NativeMemory.AllocZeroed((nuint)(PacketRun.MaxCount + 1), (nuint)sizeof(Libc.IoVector));
    private readonly VnetHeader* _header = (VnetHeader*)NativeMemory.AllocZeroed(VnetHeader.Length);
    private TunDevice? _tun;
    private PacketRun _run;

    /// <summary>Writes one packet, now or together with those that come next.</summary>
    public void Write(TunDevice tun, Span<byte> packet)
    {
        if (!tun.HasOffloads)
        {
            _ = tun.TryWrite(packet);
            return;
        }

        var data = (byte*)Unsafe.AsPointer(ref MemoryMarshal.GetReference(packet));
        if (_run.Count > 0)
        {
            ref var first = ref _pieces[1];
            if (_tun == tun && _run.TryJoin(new ReadOnlySpan<byte>(first.Data, FirstLength), packet))
            {
                _pieces[_run.Count] = new Libc.IoVector { Data = data + _run.HeaderLength, Length = (nuint)(packet.Length - _run.HeaderLength) };
                return;
            }

            Flush();
        }

        if (!_run.TryBegin(packet) || (_run.Kind == SegmentKind.Udp && !tun.HasUdpOffload))
        {
            _run = default;
            _ = tun.TryWrite(packet);
            return;
        }

        _tun = tun;
        _pieces[1] = new Libc.IoVector { Data = data, Length = (nuint)packet.Length };
    }

    /// <summary>Writes what waits.</summary>
    public void Flush()
    {
        if (_run.Count == 0) return;
        *_header = VnetHeader.Of(_run);
        if (_run.Count > 1) _run.Finish(new Span<byte>(_pieces[1].Data, FirstLength));
        _pieces[0] = new Libc.IoVector { Data = (byte*)_header, Length = VnetHeader.Length };
        _ = Libc.writev(_tun!.File, _pieces, _run.Count + 1);
        _run = default;
    }

    public void Dispose()
    {
        NativeMemory.Free(_pieces);
        NativeMemory.Free(_header);
    }

    private int FirstLength => (int)_pieces[1].Length;
}
