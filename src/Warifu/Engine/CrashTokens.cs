using System;
using System.Security.Cryptography;
using Warifu.Primitives;
using Warifu.V2;
using Warifu.Wire;

namespace Warifu.Engine;

/// <summary>
/// Quick crash detection (RFC 6290): a token that only we can make goes to the peer under protection; after a crash it proves that we have lost the IKE SA. It is made from the SPIs and a secret that survives
/// (section 5.1), and nothing is kept.
/// </summary>
internal static class CrashTokens
{
    /// <summary>The least that section 5 allows: the answer that presents it must stay small.</summary>
    public const int Length = 16;

    /// <summary>Tokens of one message that are compared (section 4.5 wants four at least).</summary>
    private const int Most = 8;

    /// <param name="secret">Survives restarts.</param>
    /// <param name="isInitiator">
    /// We are the initiator of the IKE SA. Part of the token: whoever sends us a message of a living IKE SA with the other side's flag must not be told a token that is good for it (section 9.2).
    /// </param>
    /// <param name="initiator">Its SPI.</param>
    /// <param name="responder">The other one.</param>
    public static byte[] Make(Secret secret, bool isInitiator, IkeSpi initiator, IkeSpi responder)
    {
        Span<byte> input = stackalloc byte[17];
        input[0] = isInitiator ? (byte)1 : (byte)0;
        System.Buffers.Binary.BinaryPrimitives.WriteUInt64BigEndian(input[1..], initiator.Value);
        System.Buffers.Binary.BinaryPrimitives.WriteUInt64BigEndian(input[9..], responder.Value);
        return HMACSHA256.HashData(secret.Span, input)[..Length];
    }

    /// <summary>Writes our token for an IKE SA (section 4.2), if we make any.</summary>
    public static void Write(IkeSa sa, MessageBuilder builder)
    {
        if (sa.Engine.Options.CrashSecret is { } secret) builder.NotifyIke(NotifyType.QuickCrashDetection, Make(secret, sa.Initiator, sa.SpiI, sa.SpiR));
    }

    /// <summary>Keeps a digest of the peer's token (section 3); it may be replaced at any time (section 4.4).</summary>
    public static void Read(IkeSa sa, scoped in MessageView view)
    {
        if (view.TryGetNotify(NotifyType.QuickCrashDetection, out var token)) sa.PeerToken = SHA256.HashData(token.Data);
    }

    /// <summary>One of the tokens in an unprotected message is the peer's.</summary>
    public static bool Fits(IkeSa sa, scoped in MessageView view)
    {
        if (sa.PeerToken is not { } known) return false;
        Span<byte> digest = stackalloc byte[SHA256.HashSizeInBytes];
        var (fits, seen) = (false, 0);
        for (var i = 0; i < view.Count && seen < Most; i++)
        {
            if (view[i].Type != PayloadType.Notify || NotifyView.TryParse(view.Body(i), out var notify) != ParseError.None || notify.Type != NotifyType.QuickCrashDetection || !notify.IsWellFormed) continue;
            seen++;
            SHA256.HashData(notify.Data, digest);
            fits |= CryptographicOperations.FixedTimeEquals(digest, known);
        }

        return fits;
    }
}
