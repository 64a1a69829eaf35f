using System;
using System.Globalization;
using System.IO;
using Warifu.Engine;
using Warifu.Ipsec;
using Warifu.Primitives;

namespace Warifu.Net;

/// <summary>Writes keys in the tables that Wireshark reads from its configuration directory (ikev1_decryption_table, ikev2_decryption_table, esp_sa). Whoever has them reads the traffic: off unless asked for.</summary>
internal sealed class KeyLog
{
    private readonly string _directory;

    /// <param name="directory">Made with mode 0700 if it is not there.</param>
    public KeyLog(string directory)
    {
        _directory = directory;
        if (OperatingSystem.IsLinux()) Directory.CreateDirectory(directory, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
    }

    public void Write(IkeAction.LogIkeKeys keys)
    {
        if (IkeCipherName((EncrId)keys.Encr.Id, keys.Encr.KeyBits) is not { } cipher) return;
        // AEAD: no integrity transform and no SK_a
        var integrity = keys.Integ.Id == 0 ? "NONE [RFC4306]" : IkeIntegrityName((IntegId)keys.Integ.Id);
        if (integrity is null) return;
        Append("ikev2_decryption_table", $"{keys.Initiator},{keys.Responder},{Hex(keys.SkEi)},{Hex(keys.SkEr)},\"{cipher}\",{Hex(keys.SkAi)},{Hex(keys.SkAr)},\"{integrity}\"");
    }

    /// <summary>IKEv1: the cookie of the initiator and the key. Cipher and hash Wireshark takes from the messages.</summary>
    public void Write(IkeAction.LogIsakmpKey key) => Append("ikev1_decryption_table", $"{key.Initiator},{Hex(key.Key)}");

    public void Write(ChildSa sa)
    {
        if (sa.Protocol != ProtocolId.Esp || EspCipherName(sa.Encr) is not { } cipher) return;
        var integrity = sa.Integ == IntegId.None ? "NULL" : EspIntegrityName(sa.Integ);
        if (integrity is null) return;
        Line(sa.Remote.Address, sa.Local.Address, sa.InboundSpi, sa.InboundEncrKey, sa.InboundIntegKey);
        Line(sa.Local.Address, sa.Remote.Address, sa.OutboundSpi, sa.OutboundEncrKey, sa.OutboundIntegKey);

        void Line(IpAddress from, IpAddress to, ChildSpi spi, Secret encryption, Secret authentication)
        {
            Append("esp_sa", $"\"IPv{from.Version}\",\"{from}\",\"{to}\",\"0x{spi}\",\"{cipher}\",\"{Prefixed(encryption)}\",\"{integrity}\",\"{Prefixed(authentication)}\"");
        }
    }

    private static string Prefixed(Secret secret) => secret.Length == 0 ? "" : "0x" + Hex(secret);

    private static string Hex(Secret secret) => Convert.ToHexStringLower(secret.Span);

    private void Append(string file, string line)
    {
        var options = new FileStreamOptions { Mode = FileMode.Append, Access = FileAccess.Write };
        if (OperatingSystem.IsLinux()) options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        using var writer = new StreamWriter(Path.Combine(_directory, file), options);
        writer.Write(line + "\n");
    }

    // The names are those of Wireshark's value lists; what it does not know is left out.
    private static string? IkeCipherName(EncrId id, int bits) => id switch
    {
        EncrId.Des => "DES [RFC2405]",
        EncrId.TripleDes => "3DES [RFC2451]",
        EncrId.AesCbc => string.Create(CultureInfo.InvariantCulture, $"AES-CBC-{bits} [RFC3602]"),
        EncrId.AesGcm8 or EncrId.AesGcm12 or EncrId.AesGcm16 => string.Create(CultureInfo.InvariantCulture, $"AES-GCM-{bits} with {TagOctets(id)} octet ICV [RFC5282]"),
        EncrId.AesCcm8 or EncrId.AesCcm12 or EncrId.AesCcm16 => string.Create(CultureInfo.InvariantCulture, $"AES-CCM-{bits} with {TagOctets(id)} octet ICV [RFC5282]"),
        _ => null,
    };

    private static string? IkeIntegrityName(IntegId id) => id switch
    {
        IntegId.HmacMd5_96 => "HMAC_MD5_96 [RFC2403]",
        IntegId.HmacSha1_96 => "HMAC_SHA1_96 [RFC2404]",
        IntegId.HmacSha256_128 => "HMAC_SHA2_256_128 [RFC4868]",
        IntegId.HmacSha384_192 => "HMAC_SHA2_384_192 [RFC4868]",
        IntegId.HmacSha512_256 => "HMAC_SHA2_512_256 [RFC4868]",
        IntegId.AesXcbc96 or IntegId.AesCmac96 => "ANY 96-bits of Authentication [No Checking]",
        _ => null,
    };

    private static string? EspCipherName(EncrId id) => id switch
    {
        EncrId.Des => "DES-CBC [RFC2405]",
        EncrId.TripleDes => "TripleDES-CBC [RFC2451]",
        EncrId.AesCbc => "AES-CBC [RFC3602]",
        EncrId.AesCtr => "AES-CTR [RFC3686]",
        EncrId.AesGcm8 or EncrId.AesGcm12 or EncrId.AesGcm16 => string.Create(CultureInfo.InvariantCulture, $"AES-GCM with {TagOctets(id)} octet ICV [RFC4106]"),
        EncrId.Null => "NULL",
        _ => null,
    };

    private static string? EspIntegrityName(IntegId id) => id switch
    {
        IntegId.HmacMd5_96 => "HMAC-MD5-96 [RFC2403]",
        IntegId.HmacSha1_96 => "HMAC-SHA-1-96 [RFC2404]",
        IntegId.HmacSha256_128 => "HMAC-SHA-256-128 [RFC4868]",
        IntegId.HmacSha384_192 => "HMAC-SHA-384-192 [RFC4868]",
        IntegId.HmacSha512_256 => "HMAC-SHA-512-256 [RFC4868]",
        IntegId.AesXcbc96 or IntegId.AesCmac96 => "ANY 96 bit authentication [no checking]",
        _ => null,
    };

    private static int TagOctets(EncrId id) => id is EncrId.AesGcm8 or EncrId.AesCcm8 ? 8 : id is EncrId.AesGcm12 or EncrId.AesCcm12 ? 12 : 16;
}
