using System;
using System.Formats.Asn1;
using System.Linq;
using System.Text;
using Warifu.Crypto.Signatures;
using Warifu.Policy;
using Warifu.Primitives;

namespace Warifu.Simulation;

/// <summary>
/// Certificates of a world: a root and both gateways below it, with keys out of the seed. Ed25519 signs without chance, and so does ECDSA P-256 as the managed provider does it (RFC 6979), which IKEv1 needs: a world
/// with certificates replays like any other.
/// </summary>
internal sealed class SimProofs : IDisposable
{
    private const string Algorithm = "1.3.101.112", EcAlgorithm = "1.2.840.10045.2.1", P256 = "1.2.840.10045.3.1.7";

    private static readonly DateTimeOffset s_from = new(2020, 1, 1, 0, 0, 0, TimeSpan.Zero), s_to = new(2040, 1, 1, 0, 0, 0, TimeSpan.Zero);

    private readonly byte[] _root;
    private readonly byte[] _left;
    private readonly byte[] _right;

    public SimProofs(SeededEntropy luck, bool isV1)
    {
        using var root = NewKey(luck);
        (Left, Right, Stranger) = isV1 ? (NewEcKey(luck), NewEcKey(luck), NewEcKey(luck)) : (NewKey(luck), NewKey(luck), NewKey(luck));
        _root = Certificate("root.example.org", root, root, 1, isAuthority: true);
        _left = Certificate("left.example.org", Left, root, 2, isAuthority: false);
        _right = Certificate("right.example.org", Right, root, 3, isAuthority: false);
    }

    public static DateTimeOffset Now { get; } = new(2026, 6, 1, 12, 0, 0, TimeSpan.Zero);

    public PrivateKey Left { get; }

    public PrivateKey Right { get; }

    /// <summary>Of somebody who has seen the left one's certificate.</summary>
    public PrivateKey Stranger { get; }

    public PolicySet Of(PolicySet policy, bool isLeft) => policy with
    {
        Connections = [.. policy.Connections.Select(connection => connection with
        {
            Local = connection.Local with { Kind = AuthKind.PublicKey, Certificates = [[.. isLeft ? _left : _right]] },
            Remote = connection.Remote with { Kind = AuthKind.PublicKey },
        })],
        Trust = new TrustMaterial { Authorities = [new Authority { Name = "root", Certificate = [.. _root] }] },
    };

    public void Dispose()
    {
        Left.Dispose();
        Right.Dispose();
        Stranger.Dispose();
    }

    /// <summary>PrivateKeyInfo of RFC 8410 section 7.</summary>
    private static PrivateKey NewKey(SeededEntropy luck)
    {
        var seed = new byte[32];
        luck.Fill(seed);
        return PrivateKey.Parse([0x30, 0x2E, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2B, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20, .. seed]);
    }

    /// <summary>PrivateKeyInfo of RFC 5958 around an ECPrivateKey of RFC 5915.</summary>
    private static PrivateKey NewEcKey(SeededEntropy luck)
    {
        var number = new byte[32];
        luck.Fill(number);
        // below the order of the curve, and not zero
        number[0] &= 0x7F;
        number[^1] |= 1;
        var inner = new AsnWriter(AsnEncodingRules.DER);
        using (inner.PushSequence())
        {
            inner.WriteInteger(1);
            inner.WriteOctetString(number);
        }

        var writer = new AsnWriter(AsnEncodingRules.DER);
        using (writer.PushSequence())
        {
            writer.WriteInteger(0);
            using (writer.PushSequence())
            {
                writer.WriteObjectIdentifier(EcAlgorithm);
                writer.WriteObjectIdentifier(P256);
            }

            writer.WriteOctetString(inner.Encode());
        }

        using var pkcs8 = new Secret(writer.Encode());
        return PrivateKey.FromPkcs8(pkcs8, Crypto.Provider.Managed);
    }

    private static byte[] Certificate(string name, PrivateKey key, PrivateKey issuer, int serial, bool isAuthority)
    {
        var writer = new AsnWriter(AsnEncodingRules.DER);
        using (writer.PushSequence())
        {
            using (writer.PushSequence(new Asn1Tag(TagClass.ContextSpecific, 0))) writer.WriteInteger(2);
            writer.WriteInteger(serial);
            WriteAlgorithm(writer);
            WriteName(writer, "root.example.org");
            using (writer.PushSequence())
            {
                writer.WriteUtcTime(s_from);
                writer.WriteUtcTime(s_to);
            }

            WriteName(writer, name);
            writer.WriteEncodedValue(key.PublicKeyInfo.Span);
            using (writer.PushSequence(new Asn1Tag(TagClass.ContextSpecific, 3)))
            using (writer.PushSequence())
            using (writer.PushSequence())
            {
                // basicConstraints of an authority, else the alternative name
                writer.WriteObjectIdentifier(isAuthority ? "2.5.29.19" : "2.5.29.17");
                if (isAuthority) writer.WriteBoolean(true);
                writer.WriteOctetString(isAuthority ? [0x30, 0x03, 0x01, 0x01, 0xFF] : [0x30, (byte)(name.Length + 2), 0x82, (byte)name.Length, .. Encoding.ASCII.GetBytes(name)]);
            }
        }

        var signed = writer.Encode();
        var whole = new AsnWriter(AsnEncodingRules.DER);
        using (whole.PushSequence())
        {
            whole.WriteEncodedValue(signed);
            WriteAlgorithm(whole);
            whole.WriteBitString(issuer.Sign(SignatureScheme.Ed25519, signed));
        }

        return whole.Encode();
    }

    private static void WriteAlgorithm(AsnWriter writer)
    {
        using (writer.PushSequence()) writer.WriteObjectIdentifier(Algorithm);
    }

    private static void WriteName(AsnWriter writer, string name)
    {
        using (writer.PushSequence())
        using (writer.PushSetOf())
        using (writer.PushSequence())
        {
            writer.WriteObjectIdentifier("2.5.4.3");
            writer.WriteCharacterString(UniversalTagNumber.UTF8String, name);
        }
    }
}
