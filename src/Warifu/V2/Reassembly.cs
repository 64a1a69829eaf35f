using System;
using System.Security.Cryptography;
using Warifu.Primitives;
using Warifu.Wire;

namespace Warifu.V2;

/// <summary>Puts the fragments of one message together (RFC 7383 section 2.6): in any order, each of them authenticated before it comes here.</summary>
internal sealed class Reassembly(uint messageId, bool isResponse, Instant expireAt)
{
    private byte[]?[] _parts = [];
    private int _missing;
    private int _octets;

    public uint MessageId => messageId;

    public bool IsResponse => isResponse;

    /// <summary>What is not complete by then is forgotten.</summary>
    public Instant ExpireAt => expireAt;

    /// <summary>Type of the first payload inside.</summary>
    public PayloadType First { get; private set; }

    /// <summary>A payload before the first fragment that we do not know and that is critical.</summary>
    public PayloadType UnknownCritical { get; private set; }

    /// <summary>Of the first fragment: it stands for the message when that is repeated.</summary>
    public UInt128 Digest { get; private set; }

    /// <summary>Octets of the fragment messages, in all and the largest.</summary>
    public int Received { get; private set; }

    public int Largest { get; private set; }

    public int Count => _parts.Length;

    /// <summary>Worth decrypting: not there yet, and not of a set that the sender has given up for smaller fragments (section 2.5.2).</summary>
    public bool Wants(in SkView sk) => sk.Total > _parts.Length || (sk.Total == _parts.Length && _parts[sk.Fragment - 1] is null);

    /// <summary>Keeps a fragment. False: the message would be larger than <paramref name="limit"/>.</summary>
    public bool TryAdd(in SkView sk, ReadOnlySpan<byte> message, ReadOnlySpan<byte> chunk, int limit)
    {
        // smaller fragments than before: the sender begins anew
        if (sk.Total > _parts.Length) Restart(sk.Total);
        if (_octets + chunk.Length > limit) return false;
        _parts[sk.Fragment - 1] = chunk.ToArray();
        _missing--;
        _octets += chunk.Length;
        Received += message.Length;
        Largest = Math.Max(Largest, message.Length);
        if (sk.Fragment == 1) (First, UnknownCritical, Digest) = (sk.First, sk.UnknownCritical, Window.DigestOf(message));
        return true;
    }

    public bool IsComplete => _missing == 0;

    /// <summary>The chain of payloads; the parts are zeroed.</summary>
    public byte[] Take()
    {
        var chain = new byte[_octets];
        var at = 0;
        foreach (var part in _parts)
        {
            part!.CopyTo(chain, at);
            at += part.Length;
        }

        Clear();
        return chain;
    }

    public void Clear()
    {
        foreach (var part in _parts) CryptographicOperations.ZeroMemory(part);
        (_parts, _missing, _octets, Received, Largest) = ([], 0, 0, 0, 0);
    }

    private void Restart(int total)
    {
        Clear();
        (_parts, _missing) = (new byte[]?[total], total);
    }
}
