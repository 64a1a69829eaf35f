using System;
using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Linq;
using Warifu.Crypto.Signatures;
using Warifu.Primitives;

namespace Warifu.Policy;

/// <summary>Kinds of keys as words of <c>auth</c> name them.</summary>
internal enum AuthKey : byte
{
    /// <summary>pubkey: all but DSA.</summary>
    Any,
    Rsa,
    RsaPss,
    Ecdsa,
    Ed25519,
    Ed448,
    Dsa,
}

/// <summary>One kind of key with its least strength and the hashes of its signatures (none named = all but SHA-1, where the method does not prescribe it).</summary>
internal readonly record struct AuthRule(AuthKey Key, int MinBits, ImmutableArray<HashId> Hashes)
{
    /// <summary>The strength is not the least one but the only one: suites name a curve.</summary>
    public bool IsExact { get; init; }

    public bool FitsKey(PublicKey key) => FitsKind(key) && (Key is not (AuthKey.Rsa or AuthKey.RsaPss or AuthKey.Ecdsa or AuthKey.Dsa) || (IsExact ? key.Bits == MinBits : key.Bits >= MinBits));

    public bool FitsKind(PublicKey key) => Key switch
    {
        AuthKey.Any => key.Kind != PublicKeyKind.Dsa,
        AuthKey.Rsa or AuthKey.RsaPss => key.Kind == PublicKeyKind.Rsa,
        AuthKey.Ecdsa => key.Kind is PublicKeyKind.EcdsaP256 or PublicKeyKind.EcdsaP384 or PublicKeyKind.EcdsaP521,
        AuthKey.Ed25519 => key.Kind == PublicKeyKind.Ed25519,
        AuthKey.Ed448 => key.Kind == PublicKeyKind.Ed448,
        _ => key.Kind == PublicKeyKind.Dsa,
    };

    public bool FitsScheme(SignatureScheme scheme)
    {
        var kind = Key switch
        {
            AuthKey.Any => scheme.Kind != SignatureKind.Dsa,
            AuthKey.Rsa => scheme.Kind is SignatureKind.RsaPkcs1 or SignatureKind.RsaPss,
            AuthKey.RsaPss => scheme.Kind == SignatureKind.RsaPss,
            AuthKey.Ecdsa => scheme.Kind == SignatureKind.Ecdsa,
            AuthKey.Ed25519 => scheme.Kind == SignatureKind.Ed25519,
            AuthKey.Ed448 => scheme.Kind == SignatureKind.Ed448,
            _ => scheme.Kind == SignatureKind.Dsa,
        };
        return kind && (Hashes.IsEmpty || Hashes.Contains(scheme.Hash) || (Key is AuthKey.Ed25519 or AuthKey.Ed448));
    }

    public bool Equals(AuthRule other) => Key == other.Key && MinBits == other.MinBits && IsExact == other.IsExact && Hashes.AsSpan().SequenceEqual(other.Hashes.AsSpan());

    public override int GetHashCode() => HashCode.Combine(Key, MinBits, Hashes.Length);
}

/// <summary>
/// Which keys and signature schemes are used or accepted: what stands behind <c>auth</c>: "pubkey", "rsa-3072-sha256", "ecdsa-384-sha384", "ike:rsa/pss-sha256". Words joined by dashes: a kind of key (pubkey, rsa, rsa/pss,
/// ecdsa, ed25519, ed448, dsa), then the least bits (rsa, ecdsa, dsa) and hashes. Kinds that begin with "ike:" are for the signature of IKE only; without any such the others are for it and for the certificates of the chain.
/// </summary>
public sealed record AuthConstraints
{
    private readonly AuthConstraints? _within;

    private AuthConstraints(string text, ImmutableArray<AuthRule> ike, ImmutableArray<AuthRule> chain, AuthConstraints? within = null) => (Text, Ike, Chain, _within) = (text, ike, chain, within);

    /// <summary>Every kind but DSA; no SHA-1 where the method leaves the choice.</summary>
    public static AuthConstraints Any { get; } = new("pubkey", [], []);

    /// <summary>As configured.</summary>
    public string Text { get; }

    internal ImmutableArray<AuthRule> Ike { get; }

    internal ImmutableArray<AuthRule> Chain { get; }

    /// <summary>Reads the words.</summary>
    /// <exception cref="FormatException">A word is unknown; the message says what would be right.</exception>
    public static AuthConstraints Parse(string text) => TryParse(text, out var constraints, out var error) ? constraints : throw new FormatException(error);

    /// <summary>As <see cref="Parse"/>, without an exception.</summary>
    public static bool TryParse(string text, [NotNullWhen(true)] out AuthConstraints? constraints, [NotNullWhen(false)] out string? error)
    {
        ArgumentNullException.ThrowIfNull(text);
        (constraints, error) = (null, null);
        if (text == "pubkey")
        {
            constraints = Any;
            return true;
        }

        var (ike, chain) = (ImmutableArray.CreateBuilder<AuthRule>(), ImmutableArray.CreateBuilder<AuthRule>());
        var current = ike;
        foreach (var token in text.Split('-'))
        {
            var isIke = token.StartsWith("ike:", StringComparison.Ordinal);
            if (KeyOf(isIke ? token[4..] : token) is { } key)
            {
                current = isIke ? ike : chain;
                current.Add(new AuthRule(key, 0, []));
            }
            else if (ike.Count + chain.Count == 0)
            {
                error = $"'{text}' does not begin with a kind of key; write psk, pubkey, rsa, rsa/pss, ecdsa, ed25519, ed448 or dsa";
                return false;
            }
            else if (HashOf(token) is { } hash)
            {
                current[^1] = current[^1] with { Hashes = current[^1].Hashes.Add(hash) };
            }
            else if (current[^1].Key is AuthKey.Rsa or AuthKey.RsaPss or AuthKey.Ecdsa or AuthKey.Dsa && current[^1].MinBits == 0 && int.TryParse(token, NumberStyles.None, CultureInfo.InvariantCulture, out var bits) && bits is > 0 and <= 16384)
            {
                current[^1] = current[^1] with { MinBits = bits };
            }
            else
            {
                error = $"'{token}' in '{text}' is neither a kind of key nor a hash nor a strength; write words such as rsa-3072-sha256, ecdsa-384-sha384, ed25519 or pubkey-sha256-sha512";
                return false;
            }
        }

        constraints = new AuthConstraints(text, ike.Count > 0 ? ike.ToImmutable() : chain.ToImmutable(), chain.ToImmutable());
        return true;
    }

    /// <summary>As <see cref="Parse"/>, but ECDSA keys must have exactly the strength that is named.</summary>
    internal static AuthConstraints ParseExact(string text)
    {
        var read = Parse(text);
        return new AuthConstraints(text, Exact(read.Ike), Exact(read.Chain));

        static ImmutableArray<AuthRule> Exact(ImmutableArray<AuthRule> rules) => [.. rules.Select(rule => rule.Key == AuthKey.Ecdsa && rule.MinBits > 0 ? rule with { IsExact = true } : rule)];
    }

    /// <summary>What both allow.</summary>
    internal AuthConstraints Within(AuthConstraints outer) => this == Any ? outer : new AuthConstraints(Text, Ike, Chain, outer);

    /// <inheritdoc/>
    public bool Equals(AuthConstraints? other) => other is not null && Text == other.Text && Ike.AsSpan().SequenceEqual(other.Ike.AsSpan()) && Chain.AsSpan().SequenceEqual(other.Chain.AsSpan()) && Equals(_within, other._within);

    /// <inheritdoc/>
    public override int GetHashCode() => Text.GetHashCode(StringComparison.Ordinal);

    /// <inheritdoc/>
    public override string ToString() => _within is null ? Text : $"{Text} within {_within}";

    /// <summary>May this key prove an identity to IKE?</summary>
    internal bool AllowsIkeKey(PublicKey key) => (Ike.IsEmpty ? key.Kind != PublicKeyKind.Dsa : Ike.Any(rule => rule.FitsKey(key))) && _within?.AllowsIkeKey(key) != false;

    /// <summary>May AUTH be such a signature? <paramref name="bound"/>: the method leaves no choice of the hash (methods 1, 3 and 9 to 11).</summary>
    internal bool AllowsIke(PublicKey key, SignatureScheme scheme, bool bound)
    {
        if (_within?.AllowsIke(key, scheme, bound) == false) return false;
        if (scheme.Hash == HashId.Sha1 && !bound && !Ike.Any(rule => rule.Hashes.Contains(HashId.Sha1))) return false;
        return Ike.IsEmpty ? scheme.Kind != SignatureKind.Dsa : Ike.Any(rule => rule.FitsKey(key) && rule.FitsScheme(scheme));
    }

    /// <summary>May a certificate of the chain have this key? Kinds that are named with a strength bind keys of that kind.</summary>
    internal bool AllowsChainKey(PublicKey key) => (!Chain.Any(rule => rule.MinBits > 0 && rule.FitsKind(key)) || Chain.Any(rule => rule.FitsKey(key))) && _within?.AllowsChainKey(key) != false;

    /// <summary>May a certificate of the chain be signed so? Only where hashes are named.</summary>
    internal bool AllowsChain(SignatureScheme scheme) => (Chain.All(rule => rule.Hashes.IsEmpty) || Chain.Any(rule => !rule.Hashes.IsEmpty && rule.FitsScheme(scheme))) && _within?.AllowsChain(scheme) != false;

    /// <summary>May a certificate's key be of a kind or strength that is not taken unless it is named?</summary>
    /// <param name="key">The key.</param>
    /// <param name="isPeer">It is the peer's own, for which what is said of IKE's signature counts too.</param>
    internal bool NamesKey(PublicKey key, bool isPeer) => (isPeer ? Chain.Concat(Ike) : Chain).Any(rule => rule.FitsKey(key) && (rule.MinBits > 0 || rule.Key == AuthKey.Dsa));

    private static AuthKey? KeyOf(string word) => word switch
    {
        "pubkey" => AuthKey.Any,
        "rsa" => AuthKey.Rsa,
        "rsa/pss" => AuthKey.RsaPss,
        "ecdsa" => AuthKey.Ecdsa,
        "ed25519" => AuthKey.Ed25519,
        "ed448" => AuthKey.Ed448,
        "dsa" => AuthKey.Dsa,
        _ => null,
    };

    private static HashId? HashOf(string word) => word switch
    {
        "sha1" => HashId.Sha1,
        "sha256" => HashId.Sha256,
        "sha384" => HashId.Sha384,
        "sha512" => HashId.Sha512,
        "identity" => HashId.Identity,
        _ => null,
    };
}
