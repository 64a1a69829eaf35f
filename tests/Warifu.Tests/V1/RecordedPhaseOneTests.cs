using System;
using System.Collections.Generic;
using System.Linq;
using System.Text;
using Warifu.Crypto;
using Warifu.Crypto.Signatures;
using Warifu.Fuzz;
using Warifu.Pki;
using Warifu.Primitives;
using Warifu.Wire;
using Warifu.Wire.V1;
using Xunit;

namespace Warifu.Tests.V1;

/// <summary>Recorded IKEv1 exchanges of another implementation: our key schedule, IV chain, hashes, signatures and codec must give its keys and its octets.</summary>
[Trait("Item", "3.1")]
[Trait("Item", "3.4")]
public sealed class RecordedPhaseOneTests
{
    public static TheoryData<string> Names => [.. RecordedTrace.Version1];

    [Fact]
    public void There_are_twenty_four() => Assert.Equal(24, RecordedTrace.Version1.Length);

    [Theory]
    [MemberData(nameof(Names))]
    public void Keys_hashes_and_octets_are_those_of_the_recording(string name)
    {
        var trace = RecordedTrace.Load(name);
        var replay = new Replay(trace);
        replay.Run();
        Assert.Equal(replay.Recorded("skeyid").Count, replay.KeySets);
        Assert.Equal(replay.Recorded("child-e-i").Count, replay.Children);
        Assert.Equal(replay.Recorded("hash-i").Count + replay.Recorded("hash-r").Count, replay.Proofs);
        Assert.Equal(replay.Recorded("hash1").Count, replay.Quick);
        Assert.True(replay.Recorded("hash").Count <= replay.Hashes, $"{replay.Hashes} of {replay.Recorded("hash").Count}");
        Assert.True(replay.NatHashes >= (name.StartsWith("v1-nat", StringComparison.Ordinal) ? 1 : 2));
    }

    [Theory]
    [InlineData("v1-main-rsa", "Rsa")]
    [InlineData("v1-aggr-rsa", "Rsa")]
    [InlineData("v1-main-ec256", "EcdsaP256")]
    [InlineData("v1-main-ec384", "EcdsaP384")]
    [InlineData("v1-hybrid", "Rsa")]
    public void Recorded_signatures_verify_over_the_hash_itself_and_nothing_else_does(string name, string kind)
    {
        var replay = new Replay(RecordedTrace.Load(name));
        replay.Run();
        Assert.NotEmpty(replay.Signatures);
        foreach (var (key, hash, signature) in replay.Signatures)
        {
            Assert.Equal(kind, key.Kind.ToString());
            var scheme = SignatureScheme.OfDigest(key.Kind == PublicKeyKind.Rsa ? SignatureKind.RsaPkcs1 : SignatureKind.Ecdsa);
            foreach (var provider in new[] { Provider.Managed, Provider.Processor })
            {
                Assert.True(key.Verify(scheme, hash, signature, provider));
                for (var i = 0; i < hash.Length; i += 7)
                {
                    var wrong = hash.ToArray();
                    wrong[i] ^= 1;
                    Assert.False(key.Verify(scheme, wrong, signature, provider));
                }

                // with a DigestInfo, or hashed again, it is another signature
                Assert.False(key.Verify(scheme with { Hash = HashId.Sha256 }, hash, signature, provider));
            }
        }
    }

    [Fact]
    public void A_fragmented_negotiation_was_put_together()
    {
        var replay = new Replay(RecordedTrace.Load("v1-fragmentation"));
        replay.Run();
        Assert.True(replay.Merged >= 2);
    }

    private sealed class Sa
    {
        public byte[] SaI { get; set; } = [];

        public byte[] KeI { get; set; } = [];

        public byte[] KeR { get; set; } = [];

        public byte[] Ni { get; set; } = [];

        public byte[] Nr { get; set; } = [];

        public Dictionary<IsakmpAttribute, ulong> Chosen { get; set; } = [];

        public IsakmpKeys? Keys { get; set; }

        public ChainedCipher? Cipher { get; set; }

        public byte[] Iv { get; set; } = [];

        public int Messages { get; set; }

        public Dictionary<uint, byte[]> Ivs { get; } = [];

        public Dictionary<uint, (byte[] Ni, byte[] Nr, uint SpiI, uint SpiR, int Step)> Quick { get; } = [];

        public byte[]? IdI { get; set; }

        public byte[]? IdR { get; set; }

        public PublicKey? KeyI { get; set; }

        public PublicKey? KeyR { get; set; }
    }

    private sealed class Replay(RecordedTrace trace)
    {
        private readonly Dictionary<ulong, Sa> _sas = [];
        private readonly Dictionary<(bool, ushort), SortedDictionary<int, byte[]>> _pieces = [];

        public int KeySets { get; private set; }

        public int Children { get; private set; }

        public int Proofs { get; private set; }

        public int Quick { get; private set; }

        public int Hashes { get; private set; }

        public int NatHashes { get; private set; }

        public int Merged { get; private set; }

        public List<(PublicKey Key, byte[] Hash, byte[] Signature)> Signatures { get; } = [];

        public List<byte[]> Recorded(string label) => [.. trace.Initiator.Where(line => line.Label == label).Select(line => line.Octets)];

        public void Run()
        {
            foreach (var (fromInitiator, octets) in trace.Messages) On(fromInitiator, octets);
        }

        private void On(bool fromInitiator, byte[] octets)
        {
            Assert.True(IkeHeader.TryRead(octets, out var header));
            Assert.Equal(1, header.MajorVersion);
            if ((PayloadV1)header.NextPayload == PayloadV1.Fragment)
            {
                Assert.Equal(ParseError.None, ChainView.TryParse(PayloadV1.Fragment, octets.AsSpan(IkeHeader.Length), false, out var outer));
                Assert.Equal(ParseError.None, FragmentBody.TryParse(outer.Body(0), out var piece));
                if (!_pieces.TryGetValue((fromInitiator, piece.Id), out var pieces)) _pieces.Add((fromInitiator, piece.Id), pieces = []);
                pieces[piece.Number] = piece.Data.ToArray();
                if (!piece.IsLast) return;
                Assert.Equal(piece.Number, pieces.Count);
                Merged++;
                On(fromInitiator, [.. pieces.Values.SelectMany(part => part)]);
                return;
            }

            if (!_sas.TryGetValue(header.InitiatorSpi.Value, out var sa)) _sas.Add(header.InitiatorSpi.Value, sa = new Sa());
            var body = octets[IkeHeader.Length..];
            var encrypted = (header.Flags & 1) != 0;
            if (encrypted) body = Decrypt(sa, header, body);
            Assert.Equal(ParseError.None, ChainView.TryParse((PayloadV1)header.NextPayload, body, encrypted, out var view));
            var kind = KindOf(sa, header);
            Assert.Null(MessageRules.Check(kind, view));
            // what is read is written the same
            for (var i = 0; i < view.Count; i++)
            {
                if (view[i].Type != PayloadV1.Sa) continue;
                Assert.Equal(ParseError.None, SaBody.TryParse(view.Body(i), out var proposals));
                var writer = new WireWriter();
                SaBody.Write(writer, proposals.AsSpan());
                Assert.Equal(view.Body(i).ToArray(), writer.ToArray());
            }

            if (kind <= MessageKind.Aggressive3) OnPhaseOne(sa, header, kind, fromInitiator, view);
            else if (kind <= MessageKind.Quick3) OnQuick(sa, header, view);
            else OnHashed(sa, header, view);
        }

        private static MessageKind KindOf(Sa sa, in IkeHeader header)
        {
            switch (header.Exchange)
            {
                case ExchangeType.IdentityProtection:
                    return MessageKind.Main1 + sa.Messages++;
                case ExchangeType.Aggressive:
                    return MessageKind.Aggressive1 + sa.Messages++;
                case ExchangeType.QuickMode:
                    var step = sa.Quick.TryGetValue(header.MessageId, out var quick) ? quick.Step + 1 : 0;
                    sa.Quick[header.MessageId] = quick with { Step = step };
                    return MessageKind.Quick1 + step;
                default:
                    return header.Exchange == ExchangeType.ModeConfig ? MessageKind.Transaction : MessageKind.Informational;
            }
        }

        private static byte[] Decrypt(Sa sa, in IkeHeader header, byte[] body)
        {
            var iv = header.MessageId == 0 ? sa.Iv : sa.Ivs.TryGetValue(header.MessageId, out var known) ? known : KeyScheduleV1.ExchangeIv(sa.Keys!.Prf, sa.Iv, header.MessageId);
            var sealedOctets = body.ToArray();
            var next = sa.Cipher!.Decrypt(iv, body);
            var again = body.ToArray();
            Assert.Equal(next, sa.Cipher.Encrypt(iv, again));
            Assert.Equal(sealedOctets, again);
            if (header.MessageId == 0) sa.Iv = next;
            else sa.Ivs[header.MessageId] = next;
            return body;
        }

        private void OnPhaseOne(Sa sa, in IkeHeader header, MessageKind kind, bool fromInitiator, scoped in ChainView view)
        {
            if (view.TryGet(PayloadV1.Sa, out var body))
            {
                Assert.Equal(ParseError.None, SaBody.TryParse(body, out var proposals));
                if (fromInitiator) sa.SaI = body.ToArray();
                else sa.Chosen = Assert.Single(Assert.Single(proposals).Transforms).Attributes.Where(attribute => attribute.Type <= 14).DistinctBy(attribute => attribute.Type).ToDictionary(attribute => (IsakmpAttribute)attribute.Type, attribute => attribute.Value);
            }

            if (view.TryGet(PayloadV1.Ke, out body))
            {
                if (fromInitiator) sa.KeI = body.ToArray();
                else sa.KeR = body.ToArray();
                view.TryGet(PayloadV1.Nonce, out var nonce);
                if (fromInitiator) sa.Ni = nonce.ToArray();
                else sa.Nr = nonce.ToArray();
                if (!fromInitiator) Derive(sa, header);
            }

            if (view.TryGet(PayloadV1.Id, out body))
            {
                if (fromInitiator) sa.IdI = body.ToArray();
                else sa.IdR = body.ToArray();
            }

            for (var i = 0; i < view.Count; i++)
            {
                if (view[i].Type == PayloadV1.NatD)
                {
                    // the recorder pretends a NAT by a wrong hash of its own address
                    var given = view.Body(i).ToArray();
                    if (Recorded("natd-chunk").Any(chunk => KeyScheduleV1.Digest(sa.Keys?.Prf ?? PrfOf(sa), chunk).AsSpan().SequenceEqual(given))) NatHashes++;
                }

                if (view[i].Type != PayloadV1.Cert || CertBody.TryParse(view.Body(i), out var encoding, out var der) != ParseError.None) continue;
                Assert.Equal(4, encoding);
                Assert.True(Certificate.TryParse(der.ToArray(), out var certificate, out _));
                if (fromInitiator) sa.KeyI ??= certificate!.Key;
                else sa.KeyR ??= certificate!.Key;
            }

            if (view.TryGet(PayloadV1.Hash, out var hash) || view.TryGet(PayloadV1.Sig, out hash)) Check(sa, header, fromInitiator, view.IndexOf(PayloadV1.Sig) >= 0, hash);
        }

        private static PrfId PrfOf(Sa sa) => (HashV1)sa.Chosen[IsakmpAttribute.Hash] switch { HashV1.Md5 => PrfId.HmacMd5, HashV1.Sha1 => PrfId.HmacSha1, HashV1.Sha256 => PrfId.HmacSha256, HashV1.Sha384 => PrfId.HmacSha384, _ => PrfId.HmacSha512 };

        private void Derive(Sa sa, in IkeHeader header)
        {
            var prf = PrfOf(sa);
            var encr = (EncrV1)sa.Chosen[IsakmpAttribute.Encryption] switch { EncrV1.DesCbc => EncrId.Des, EncrV1.TripleDesCbc => EncrId.TripleDes, _ => EncrId.AesCbc };
            var bits = (int)sa.Chosen.GetValueOrDefault(IsakmpAttribute.KeyLength);
            using var shared = new Secret(Recorded("g^xy")[KeySets]);
            byte[] nonces = [.. sa.Ni, .. sa.Nr];
            using var psk = new Secret(Encoding.UTF8.GetBytes("an example secret"));
            var auth = (AuthV1)sa.Chosen[IsakmpAttribute.AuthMethod];
            var skeyid = auth is AuthV1.Psk or AuthV1.XauthInitPsk or AuthV1.XauthRespPsk ? KeyScheduleV1.SkeyidOfPsk(prf, psk, nonces) : KeyScheduleV1.SkeyidOfSignature(prf, nonces, shared);
            Assert.Equal(Recorded("skeyid")[KeySets], skeyid.Span.ToArray());
            byte[] cookies = [.. header.InitiatorSpi.Value.ToBigEndian(), .. header.ResponderSpi.Value.ToBigEndian()];
            sa.Keys = KeyScheduleV1.Derive(prf, skeyid, shared, cookies, encr, bits)!;
            Assert.Equal(Recorded("skeyid_d")[KeySets], sa.Keys.SkeyidD.Span.ToArray());
            Assert.Equal(Recorded("skeyid_a")[KeySets], sa.Keys.SkeyidA.Span.ToArray());
            Assert.Equal(Recorded("ka")[KeySets], sa.Keys.Encr.Span.ToArray());
            sa.Cipher = new ChainedCipher(encr, sa.Keys.Encr);
            sa.Iv = KeyScheduleV1.FirstIv(prf, sa.KeI, sa.KeR, sa.Cipher.BlockLength);
            Assert.Equal(Recorded("iv")[KeySets][..sa.Iv.Length], sa.Iv);
            KeySets++;
        }

        private void Check(Sa sa, in IkeHeader header, bool fromInitiator, bool isSignature, ReadOnlySpan<byte> given)
        {
            var auth = (AuthV1)sa.Chosen[IsakmpAttribute.AuthMethod];
            // RFC 4754 section 4: the hash of the curve
            var prf = auth switch { AuthV1.Ecdsa256 => PrfId.HmacSha256, AuthV1.Ecdsa384 => PrfId.HmacSha384, AuthV1.Ecdsa521 => PrfId.HmacSha512, _ => sa.Keys!.Prf };
            var proof = fromInitiator
                ? KeyScheduleV1.Proof(prf, sa.Keys!.Skeyid, sa.KeI, sa.KeR, header.InitiatorSpi, header.ResponderSpi, sa.SaI, sa.IdI)
                : KeyScheduleV1.Proof(prf, sa.Keys!.Skeyid, sa.KeR, sa.KeI, header.ResponderSpi, header.InitiatorSpi, sa.SaI, sa.IdR);
            Assert.Contains(proof, Recorded(fromInitiator ? "hash-i" : "hash-r"));
            Proofs++;
            if (!isSignature)
            {
                Assert.Equal(proof, given.ToArray());
                return;
            }

            Signatures.Add(((fromInitiator ? sa.KeyI : sa.KeyR)!, proof, given.ToArray()));
        }

        private void OnQuick(Sa sa, in IkeHeader header, scoped in ChainView view)
        {
            var quick = sa.Quick[header.MessageId];
            var expected = new byte[view[0].Length];
            Assert.Equal(PayloadV1.Hash, view[0].Type);
            if (quick.Step == 2) KeyScheduleV1.Hash3(sa.Keys!, header.MessageId, quick.Ni, quick.Nr, expected);
            else KeyScheduleV1.Hash(sa.Keys!, header.MessageId, quick.Step == 1 ? quick.Ni : [], view.After(0), expected);
            Assert.Equal(expected, view.Body(0).ToArray());
            if (quick.Step == 2)
            {
                Quick++;
                return;
            }

            view.TryGet(PayloadV1.Nonce, out var nonce);
            view.TryGet(PayloadV1.Sa, out var body);
            Assert.Equal(ParseError.None, SaBody.TryParse(body, out var proposals));
            var spi = proposals[0].Spi.AsSpan().FromBigEndian();
            if (quick.Step == 0)
            {
                sa.Quick[header.MessageId] = quick with { Ni = nonce.ToArray(), SpiI = spi };
                return;
            }

            sa.Quick[header.MessageId] = quick = quick with { Nr = nonce.ToArray(), SpiR = spi };
            var shared = view.IndexOf(PayloadV1.Ke) < 0 ? null : new Secret(Recorded("g^qm").Single());
            var (encr, integ) = (Recorded("child-e-i")[Children].Length, Recorded("child-a-i").Count > 0 ? Recorded("child-a-i")[Children].Length : 0);
            var keys = KeyScheduleV1.DeriveChild(sa.Keys!, shared, proposals[0].Protocol, new ChildSpi(quick.SpiI), new ChildSpi(quick.SpiR), quick.Ni, quick.Nr, encr, integ);
            Assert.Equal(Recorded("child-e-i")[Children], keys.InitiatorEncr.Span.ToArray());
            Assert.Equal(Recorded("child-e-r")[Children], keys.ResponderEncr.Span.ToArray());
            if (integ > 0) Assert.Equal(Recorded("child-a-i")[Children], keys.InitiatorInteg.Span.ToArray());
            if (integ > 0) Assert.Equal(Recorded("child-a-r")[Children], keys.ResponderInteg.Span.ToArray());
            Children++;
        }

        private void OnHashed(Sa sa, in IkeHeader header, scoped in ChainView view)
        {
            var expected = new byte[view[0].Length];
            Assert.Equal(PayloadV1.Hash, view[0].Type);
            KeyScheduleV1.Hash(sa.Keys!, header.MessageId, default, view.After(0), expected);
            Assert.Equal(expected, view.Body(0).ToArray());
            Hashes++;
        }
    }
}

internal static class BigEndian
{
    public static byte[] ToBigEndian(this ulong value)
    {
        var octets = new byte[8];
        System.Buffers.Binary.BinaryPrimitives.WriteUInt64BigEndian(octets, value);
        return octets;
    }

    public static uint FromBigEndian(this ReadOnlySpan<byte> octets) => System.Buffers.Binary.BinaryPrimitives.ReadUInt32BigEndian(octets);
}
