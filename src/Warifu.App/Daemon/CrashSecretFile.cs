using System;
using System.IO;
using System.Security.Cryptography;
using Warifu.Primitives;

namespace Warifu.App.Daemon;

/// <summary>The secret of quick crash detection (RFC 6290 section 5.1): 32 random octets, made once and kept in the state folder, readable by root only.</summary>
internal static class CrashSecretFile
{
    private const int Length = 32;

    /// <param name="folder">The state folder; made when it is not there.</param>
    /// <param name="whyNot">Why there is none.</param>
    public static Secret? Read(string folder, out string? whyNot)
    {
        whyNot = null;
        var path = Path.Combine(folder, "crash.secret");
        Span<byte> octets = stackalloc byte[Length];
        try
        {
            if (File.Exists(path))
            {
                using var there = File.OpenRead(path);
                if (there.Length == Length)
                {
                    there.ReadExactly(octets);
                    return new Secret(octets);
                }
            }

            Directory.CreateDirectory(folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
            RandomNumberGenerator.Fill(octets);
            // whole or not at all: half a secret would make other tokens after the next start
            var fresh = path + ".new";
            using (var file = new FileStream(fresh, new FileStreamOptions { Mode = FileMode.Create, Access = FileAccess.Write, UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite })) file.Write(octets);
            File.Move(fresh, path, overwrite: true);
            return new Secret(octets);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            whyNot = exception.Message;
            return null;
        }
        finally
        {
            CryptographicOperations.ZeroMemory(octets);
        }
    }
}
