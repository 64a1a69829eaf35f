using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.Linq;
using Warifu.Crypto;
using Warifu.Crypto.Signatures;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Wire;
using Warifu.Wire.V1;

namespace Warifu.V1;

/// <summary>What phase 1 agrees on (RFC 2409 appendix A): one algorithm of each kind, the way to authenticate, and lifetimes.</summary>
internal sealed record IsakmpSuite(EncrId Encr, ushort KeyBits, PrfId Prf, KeId Group, AuthV1 Auth)
{
    /// <summary>Seconds as offered; 0 = nothing was said.</summary>
    public ulong Seconds { get; init; }

    public ulong Kilobytes { get; init; }

    /// <summary>In the words of the configuration.</summary>
    public Proposal AsProposal() => new(ProtocolId.Ike, [Transform.Encr(Encr, KeyBits), Transform.Integ(IntegOf(Prf)), Transform.Prf(Prf), Transform.Ke(Group)]);

    /// <summary>The same algorithms; lifetimes are another matter.</summary>
    public bool IsSame(IsakmpSuite other) => (Encr, KeyBits, Prf, Group, Auth) == (other.Encr, other.KeyBits, other.Prf, other.Group, other.Auth);

    public override string ToString() => $"{ProposalKeywords.Print(AsProposal())} with {NameOf(Auth)}";

    /// <summary>Null when it holds something that we do not know: then it cannot be chosen.</summary>
    public static IsakmpSuite? Read(TransformV1 transform)
    {
        const byte KeyIke = 1;
        if (transform.Id != KeyIke) return null;
        var (encr, bits, hash, group, auth) = (EncrId.None, 0UL, PrfId.None, KeId.None, (AuthV1)0);
        var (life, seconds, kilobytes) = ((LifeTypeV1)0, 0UL, 0UL);
        foreach (var attribute in transform.Attributes)
        {
            if (attribute.IsLong) return null;
            switch ((IsakmpAttribute)attribute.Type)
            {
                case IsakmpAttribute.Encryption:
                    encr = (EncrV1)attribute.Value switch { EncrV1.DesCbc => EncrId.Des, EncrV1.TripleDesCbc => EncrId.TripleDes, EncrV1.AesCbc => EncrId.AesCbc, EncrV1.CamelliaCbc => EncrId.CamelliaCbc, _ => EncrId.None };
                    break;
                case IsakmpAttribute.KeyLength:
                    bits = attribute.Value;
                    break;
                case IsakmpAttribute.Hash:
                    hash = (HashV1)attribute.Value switch { HashV1.Md5 => PrfId.HmacMd5, HashV1.Sha1 => PrfId.HmacSha1, HashV1.Sha256 => PrfId.HmacSha256, HashV1.Sha384 => PrfId.HmacSha384, HashV1.Sha512 => PrfId.HmacSha512, _ => PrfId.None };
                    break;
                case IsakmpAttribute.Group:
                    group = attribute.Value <= ushort.MaxValue ? (KeId)attribute.Value : KeId.None;
                    break;
                case IsakmpAttribute.AuthMethod:
                    auth = attribute.Value <= ushort.MaxValue ? (AuthV1)attribute.Value : 0;
                    break;
                case IsakmpAttribute.LifeType:
                    life = (LifeTypeV1)attribute.Value;
                    break;
                case IsakmpAttribute.LifeDuration when life == LifeTypeV1.Seconds:
                    seconds = attribute.Value;
                    break;
                case IsakmpAttribute.LifeDuration when life == LifeTypeV1.Kilobytes:
                    kilobytes = attribute.Value;
                    break;
                case IsakmpAttribute.GroupType:
                    break;
                default:
                    return null;
            }
        }

        // a few peers leave the attribute out and mean 128
        if (encr is EncrId.AesCbc or EncrId.CamelliaCbc && bits == 0) bits = 128;
        if (encr == EncrId.None || hash == PrfId.None || !HasGroup(group) || bits > ushort.MaxValue || !Algorithms.Encr[encr].Accepts((int)bits)) return null;
        return new IsakmpSuite(encr, (ushort)bits, hash, group, auth) { Seconds = seconds, Kilobytes = kilobytes };
    }

    public TransformV1 Write(byte number)
    {
        const byte KeyIke = 1;
        var writer = new WireWriter(48);
        void Add(IsakmpAttribute type, uint value) => AttributeList.Write(writer, (ushort)type, value);
        Add(IsakmpAttribute.Encryption, Encr switch { EncrId.Des => (uint)EncrV1.DesCbc, EncrId.TripleDes => (uint)EncrV1.TripleDesCbc, EncrId.CamelliaCbc => (uint)EncrV1.CamelliaCbc, _ => (uint)EncrV1.AesCbc });
        if (KeyBits != 0) Add(IsakmpAttribute.KeyLength, KeyBits);
        Add(IsakmpAttribute.Hash, Prf switch { PrfId.HmacMd5 => (uint)HashV1.Md5, PrfId.HmacSha1 => (uint)HashV1.Sha1, PrfId.HmacSha256 => (uint)HashV1.Sha256, PrfId.HmacSha384 => (uint)HashV1.Sha384, _ => (uint)HashV1.Sha512 });
        Add(IsakmpAttribute.Group, (uint)Group);
        Add(IsakmpAttribute.AuthMethod, (uint)Auth);
        if (Seconds > 0)
        {
            Add(IsakmpAttribute.LifeType, (uint)LifeTypeV1.Seconds);
            Add(IsakmpAttribute.LifeDuration, (uint)Math.Min(Seconds, uint.MaxValue));
        }

        return new TransformV1(number, KeyIke, [.. writer.Written]);
    }

    /// <summary>Groups that IKEv1 has numbers for. Curve25519 and Curve448 are not among them.</summary>
    public static bool HasGroup(KeId group) => group is KeId.Modp768 or KeId.Modp1024 or KeId.Modp1536 or (>= KeId.Modp2048 and <= KeId.Brainpool512) && Algorithms.Ke.ContainsKey(group);

    /// <summary>RFC 4754: the hash of HASH_I and HASH_R is that of the curve; with DSS it is SHA-1 (RFC 2409 section 5.1).</summary>
    public PrfId ProofPrf => Base switch { AuthV1.Ecdsa256 => PrfId.HmacSha256, AuthV1.Ecdsa384 => PrfId.HmacSha384, AuthV1.Ecdsa521 => PrfId.HmacSha512, AuthV1.Dss => PrfId.HmacSha1, _ => Prf };

    /// <summary>What phase 1 itself is proved with, without the XAuth that may follow.</summary>
    public AuthV1 Base => Auth switch
    {
        AuthV1.XauthInitPsk or AuthV1.XauthRespPsk => AuthV1.Psk,
        AuthV1.XauthInitDss or AuthV1.XauthRespDss => AuthV1.Dss,
        AuthV1.XauthInitRsa or AuthV1.XauthRespRsa or AuthV1.HybridInitRsa or AuthV1.HybridRespRsa => AuthV1.Rsa,
        _ => Auth,
    };

    public bool UsesPsk => Base == AuthV1.Psk;

    /// <summary>One side is a user, who must give a password after phase 1.</summary>
    public bool UsesXauth => Base != Auth;

    /// <summary>Only the gateway proves itself in phase 1 (draft-ietf-ipsec-isakmp-hybrid-auth-05).</summary>
    public bool IsHybrid => Auth is AuthV1.HybridInitRsa or AuthV1.HybridRespRsa;

    /// <summary>That side of phase 1 is the user: the method says which one it is.</summary>
    public bool IsUser(bool initiator) => UsesXauth && initiator == (Auth is AuthV1.XauthInitPsk or AuthV1.XauthInitDss or AuthV1.XauthInitRsa or AuthV1.HybridInitRsa);

    /// <summary>That side proves itself by a signature, else by HASH.</summary>
    public bool Signs(bool initiator) => !UsesPsk && !(IsHybrid && IsUser(initiator));

    /// <summary>The method with XAuth behind it; 0 = there is none.</summary>
    public static AuthV1 WithXauth(AuthV1 method, bool userInitiates) => method switch
    {
        AuthV1.Psk => userInitiates ? AuthV1.XauthInitPsk : AuthV1.XauthRespPsk,
        AuthV1.Dss => userInitiates ? AuthV1.XauthInitDss : AuthV1.XauthRespDss,
        AuthV1.Rsa => userInitiates ? AuthV1.XauthInitRsa : AuthV1.XauthRespRsa,
        _ => 0,
    };

    public static AuthV1 AuthOf(PublicKey key) => key.Kind switch
    {
        PublicKeyKind.Rsa => AuthV1.Rsa,
        PublicKeyKind.Dsa => AuthV1.Dss,
        PublicKeyKind.EcdsaP256 => AuthV1.Ecdsa256,
        PublicKeyKind.EcdsaP384 => AuthV1.Ecdsa384,
        PublicKeyKind.EcdsaP521 => AuthV1.Ecdsa521,
        _ => 0,
    };

    public static string NameOf(AuthV1 auth) => auth switch
    {
        AuthV1.Psk => "a pre-shared key",
        AuthV1.Dss => "DSS signatures",
        AuthV1.Rsa => "RSA signatures",
        AuthV1.RsaEncryption or AuthV1.RevisedRsaEncryption => "RSA encryption, which is not supported here",
        AuthV1.Ecdsa256 => "ECDSA signatures on P-256",
        AuthV1.Ecdsa384 => "ECDSA signatures on P-384",
        AuthV1.Ecdsa521 => "ECDSA signatures on P-521",
        AuthV1.HybridInitRsa or AuthV1.HybridRespRsa => "hybrid RSA",
        AuthV1.XauthInitPsk or AuthV1.XauthRespPsk => "XAuth and a pre-shared key",
        AuthV1.XauthInitDss or AuthV1.XauthRespDss => "XAuth and DSS signatures",
        AuthV1.XauthInitRsa or AuthV1.XauthRespRsa => "XAuth and RSA signatures",
        _ => $"authentication method {(ushort)auth}",
    };

    private static IntegId IntegOf(PrfId prf) => prf switch { PrfId.HmacMd5 => IntegId.HmacMd5_96, PrfId.HmacSha1 => IntegId.HmacSha1_96, PrfId.HmacSha256 => IntegId.HmacSha256_128, PrfId.HmacSha384 => IntegId.HmacSha384_192, _ => IntegId.HmacSha512_256 };
}

/// <summary>Offering and choosing suites: what stands in the configuration is what may happen, nothing else.</summary>
internal static class SuiteChoice
{
    private const byte FirstNumber = 1;

    /// <summary>The suites of a connection, in order of preference. In a proposal with several algorithms of a kind each combination is one.</summary>
    public static ImmutableArray<IsakmpSuite> Of(Connection connection, params ReadOnlySpan<AuthV1> methods)
    {
        var found = ImmutableArray.CreateBuilder<IsakmpSuite>();
        var proposals = connection.Proposals == ProposalKeywords.DefaultIke ? ProposalKeywords.DefaultIkeV1 : connection.Proposals;
        foreach (var method in methods)
        {
            foreach (var proposal in proposals)
            {
                foreach (var encr in Of(proposal, TransformType.Encr).Where(encr => !Algorithms.Encr[(EncrId)encr.Id].IsAead && (EncrId)encr.Id != EncrId.AesCtr))
                {
                    foreach (var prf in Of(proposal, TransformType.Prf).Where(prf => (PrfId)prf.Id is PrfId.HmacMd5 or PrfId.HmacSha1 or PrfId.HmacSha256 or PrfId.HmacSha384 or PrfId.HmacSha512))
                    {
                        foreach (var group in Of(proposal, TransformType.Ke).Where(group => IsakmpSuite.HasGroup((KeId)group.Id))) found.Add(new IsakmpSuite((EncrId)encr.Id, encr.KeyBits, (PrfId)prf.Id, (KeId)group.Id, method));
                    }
                }
            }
        }

        return found.ToImmutable();
    }

    /// <summary>SA of the first message: one proposal, a transform for each suite.</summary>
    public static ImmutableArray<ProposalV1> Offer(ImmutableArray<IsakmpSuite> suites, ulong seconds) =>
        [new ProposalV1(FirstNumber, ProtocolId.Ike, [], [.. suites.Take(byte.MaxValue).Select((suite, index) => (suite with { Seconds = seconds }).Write((byte)(index + 1)))])];

    /// <summary>The first of ours that the peer offers; the transform goes back unchanged.</summary>
    public static (IsakmpSuite Suite, ProposalV1 Answer)? Select(ImmutableArray<IsakmpSuite> ours, List<(ProposalV1 Proposal, TransformV1 Transform, IsakmpSuite Suite)> offers)
    {
        foreach (var own in ours)
        {
            foreach (var (proposal, transform, suite) in offers)
            {
                if (suite.IsSame(own)) return (suite, proposal with { Spi = [], Transforms = [transform] });
            }
        }

        return null;
    }

    /// <summary>What the peer offers, in our words; at most sixteen lines.</summary>
    public static ImmutableArray<string> Print(ImmutableArray<ProposalV1> offers) =>
        [.. offers.SelectMany(offer => offer.Transforms).Take(16).Select(transform => IsakmpSuite.Read(transform) is { } suite ? suite.ToString() : $"transform {transform.Number}, with something that is not known here")];

    public static ImmutableArray<string> Print(ImmutableArray<IsakmpSuite> suites) => [.. suites.Take(16).Select(suite => suite.ToString())];

    /// <summary>For each of ours what the nearest offer has instead.</summary>
    public static ImmutableArray<string> WhyNot(ImmutableArray<IsakmpSuite> ours, ImmutableArray<ProposalV1> offers)
    {
        var read = Readable(offers);
        return [.. ours.Take(16).Select(own => $"{own}: {(read.Count == 0 ? "the peer offers nothing that is known here" : read.Select(offer => Difference(own, offer.Suite)).MaxBy(pair => pair.Rank).Text)}")];
    }

    private static (int Rank, string Text) Difference(IsakmpSuite own, IsakmpSuite offer)
    {
        if (own.Auth != offer.Auth) return (0, $"the peer wants {IsakmpSuite.NameOf(offer.Auth)}");
        var (mine, theirs) = (own.AsProposal(), offer.AsProposal());
        (TransformType, string)[] kinds = [(TransformType.Encr, "encryption"), (TransformType.Prf, "hash"), (TransformType.Ke, "group")];
        for (var i = 0; i < kinds.Length; i++)
        {
            var (left, right) = (mine.Find(kinds[i].Item1), theirs.Find(kinds[i].Item1));
            if (left != right) return (i + 1, $"{kinds[i].Item2} {ProposalKeywords.Word(left)} against {ProposalKeywords.Word(right)}");
        }

        return (9, "");
    }

    /// <summary>What can be read of an offer.</summary>
    public static List<(ProposalV1 Proposal, TransformV1 Transform, IsakmpSuite Suite)> Readable(ImmutableArray<ProposalV1> offers)
    {
        var read = new List<(ProposalV1, TransformV1, IsakmpSuite)>();
        foreach (var offer in offers.Where(offer => offer.Protocol == ProtocolId.Ike))
        {
            foreach (var transform in offer.Transforms)
            {
                if (IsakmpSuite.Read(transform) is { } suite) read.Add((offer, transform, suite));
            }
        }

        return read;
    }

    private static IEnumerable<Transform> Of(Proposal proposal, TransformType type) => proposal.Transforms.Where(transform => transform.Type == type && Algorithms.Supports(transform));
}
