using System;
using System.Security.Cryptography;

namespace Warifu.Crypto.Native;

/// <summary>HMAC by libcrypto: the key schedule is computed once.</summary>
internal sealed unsafe class NativeHmac : KeyedHash
{
    private nint _context;

    public NativeHmac(MacKind kind, nint digest, ReadOnlySpan<byte> key)
    {
        OutputLength = LengthOf(kind);
        _context = Libcrypto.HMAC_CTX_new();
        byte none = 0;
        // a null key means "the old one": an empty key needs an address
        fixed (byte* pointer = key) Libcrypto.Check(Libcrypto.HMAC_Init_ex(_context, key.IsEmpty ? &none : pointer, key.Length, digest, 0));
    }

    ~NativeHmac() => Dispose();

    public override int OutputLength { get; }

    public override void Append(ReadOnlySpan<byte> data)
    {
        ObjectDisposedException.ThrowIf(_context == 0, this);
        fixed (byte* pointer = data) Libcrypto.Check(Libcrypto.HMAC_Update(_context, pointer, (nuint)data.Length));
    }

    public override void Finish(Span<byte> output)
    {
        ObjectDisposedException.ThrowIf(_context == 0, this);
        Span<byte> full = stackalloc byte[64];
        fixed (byte* pointer = full)
        {
            Libcrypto.Check(Libcrypto.HMAC_Final(_context, pointer, out _));
            Libcrypto.Check(Libcrypto.HMAC_Init_ex(_context, null, 0, 0, 0));
        }

        full[..output.Length].CopyTo(output);
        CryptographicOperations.ZeroMemory(full);
    }

    public override void Dispose()
    {
        if (_context != 0) Libcrypto.HMAC_CTX_free(_context);
        _context = 0;
        GC.SuppressFinalize(this);
    }
}
