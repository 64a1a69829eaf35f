using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.Linq;
using Warifu.Crypto;
using Warifu.Fuzz;
using Warifu.Pki;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Simulation;
using Warifu.V2.Exchanges;
using Warifu.Wire;
using Xunit;

namespace Warifu.Tests.Wire;

/// <summary>Recorded exchanges of another implementation (items 1.5, 1.6): our key schedule, framing and codec must give its keys, its AUTH values and its octets.</summary>
[Trait("Item", "1.5")]
public sealed class TraceTests
{
    public static TheoryData<string> Names => [.. RecordedTrace.Names, .. RecordedTrace.Negotiations];

    [Fact]
    public void There_are_at_least_forty() => Assert.True(Names.Count >= 40);

    [Theory]
    [MemberData(nameof(Names))]
    public void Keys_auth_and_octets_are_those_of_the_recording(string name)
    {
        var replay = new Replay(RecordedTrace.Load(name));
        replay.Run();
        // every key set, child and AUTH that the recording knows was met
        Assert.Equal(replay.Recorded("SKEYSEED").Count, replay.IkeKeySets);
        Assert.Equal(replay.Recorded("seed").Count, replay.Children);
        Assert.Equal(replay.Recorded("octets").Count, replay.Auths);
        Assert.True(replay.Resealed >= (RecordedTrace.Names.Contains(name) ? 4 : 3), "IKE_AUTH and what comes after it");
        // RFC 7383 (item 2.11)
        if (name == "v2-fragmentation") Assert.True(replay.Merged >= 2, "IKE_AUTH in both directions");
    }

    /// <summary>What is signed, and how, is read and written like the other implementation does (items 2.1, 2.5).</summary>
    [Theory]
    [Trait("Item", "2.1")]
    [InlineData("v2-rsa", "DigitalSignature rsa-sha256")]
    [InlineData("v2-rsa-sha1", "Rsa rsa-sha1")]
    [InlineData("v2-rsa-pss-sig", "DigitalSignature rsa/pss-sha512")]
    [InlineData("v2-rsapss", "DigitalSignature rsa-sha256")]
    [InlineData("v2-rsa4096", "DigitalSignature rsa-sha384")]
    [InlineData("v2-ec256", "DigitalSignature ecdsa-sha256")]
    [InlineData("v2-ec384", "DigitalSignature ecdsa-sha384")]
    [InlineData("v2-ec521", "DigitalSignature ecdsa-sha512")]
    [InlineData("v2-ecdsa-rfc4754", "Ecdsa256 ecdsa-sha256")]
    [InlineData("v2-ed25519", "DigitalSignature ed25519")]
    [InlineData("v2-ed448", "DigitalSignature ed448")]
    public void Recorded_signatures_are_of_the_kind_that_the_recording_is_about(string name, string scheme)
    {
        var replay = new Replay(RecordedTrace.Load(name));
        replay.Run();
        Assert.Contains(scheme, replay.Schemes);
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Both_sides_computed_the_same(string name)
    {
        var trace = RecordedTrace.Load(name);
        foreach (var label in new[] { "SKEYSEED", "Sk_d", "Sk_ei", "Sk_er", "Sk_pi", "Sk_pr", "child-e-i", "child-e-r" })
        {
            Assert.Equal(trace.Initiator.Where(line => line.Label == label).Select(line => Convert.ToHexString(line.Octets)), trace.Responder.Where(line => line.Label == label).Select(line => Convert.ToHexString(line.Octets)));
        }
    }

    /// <summary>One IKE SA of a recording.</summary>
    private sealed class Sa
    {
        public required IkeKeys Keys { get; init; }

        public required Transform Encr { get; init; }

        public required IntegId Integ { get; init; }

        public bool FirstIsInitiator { get; init; }

        public byte[] IdI { get; set; } = [];

        public byte[] IdR { get; set; } = [];

        public byte[] CertI { get; set; } = [];

        public byte[] CertR { get; set; } = [];

        public Dictionary<(bool, uint), List<(SkView Sk, byte[] Message, byte[] Chunk)>> Fragments { get; } = [];

        public PacketCipher Cipher(bool ofInitiator) => PacketCipher.Create((EncrId)Encr.Id, Encr.KeyBits, Integ, (ofInitiator ? Keys.SkEi : Keys.SkEr).Span, (ofInitiator ? Keys.SkAi : Keys.SkAr).Span, new SeededEntropy(1));
    }

    private sealed class Replay(RecordedTrace trace)
    {
        private readonly Dictionary<(IkeSpi, IkeSpi), Sa> _sas = [];
        private byte[] _initRequest = [];
        private byte[] _initResponse = [];
        private byte[] _ni = [];
        private byte[] _nr = [];
        private byte[] _childNi = [];
        private ulong _rekeySpi;

        public int IkeKeySets { get; private set; }

        public int Children { get; private set; }

        public int Auths { get; private set; }

        public int Resealed { get; private set; }

        public int Merged { get; private set; }

        public SortedSet<string> Schemes { get; } = [];

        public List<byte[]> Recorded(string label) => [.. trace.Initiator.Where(line => line.Label == label).Select(line => line.Octets)];

        public void Run()
        {
            foreach (var (_, octets) in trace.Messages)
            {
                Assert.True(IkeHeader.TryRead(octets, out var header));
                Assert.Equal(2, header.MajorVersion);
                var again = new byte[IkeHeader.Length];
                header.Write(again);
                Assert.Equal(octets[..IkeHeader.Length], again);
                if (header.Exchange == ExchangeType.IkeSaInit) OnInit(header, octets);
                else OnSealed(header, octets);
            }
        }

        private void OnInit(in IkeHeader header, byte[] octets)
        {
            Assert.Equal(ParseError.None, MessageView.TryParse(header.NextPayload, octets.AsSpan(IkeHeader.Length), out var view));
            Assert.Null(PayloadRules.Check(header.Exchange, header.IsResponse, view));
            Assert.Equal(octets, Rebuild(view).ToMessage(header));
            if (!view.TryGet(PayloadType.Nonce, out var nonce)) return;
            if (!header.IsResponse)
            {
                (_initRequest, _ni) = (octets, nonce.ToArray());
                return;
            }

            (_initResponse, _nr) = (octets, nonce.ToArray());
            Assert.True(view.TryGet(PayloadType.Sa, out var body));
            Assert.Equal(ParseError.None, SaPayload.TryParse(body, out var answers));
            using var shared = new Secret(Recorded("g^ir")[IkeKeySets]);
            Derive(Assert.Single(answers).Proposal, header.InitiatorSpi, header.ResponderSpi, _ni, _nr, prf => KeyScheduleV2.SkeySeed(prf, _ni, _nr, shared));
        }

        private void OnSealed(in IkeHeader header, byte[] octets)
        {
            var sa = _sas[(header.InitiatorSpi, header.ResponderSpi)];
            using var cipher = sa.Cipher(header.FromInitiator);
            var message = octets.ToArray();
            Assert.Equal(ParseError.None, SkFraming.TryLocate(header, message, out var sk));
            Assert.True(cipher.Open(message, sk.Head));
            Assert.True(SkFraming.TryUnpad(message, sk.Head, cipher.IvLength, cipher.IcvLength, out var chunk));
            var content = chunk.ToArray();
            Reseal(sa, cipher, header, sk, octets, message, content);
            var first = sk.First;
            if (sk.IsFragment)
            {
                if (!sa.Fragments.TryGetValue((header.IsResponse, header.MessageId), out var parts)) sa.Fragments.Add((header.IsResponse, header.MessageId), parts = []);
                // they were recorded in order
                Assert.Equal(parts.Count + 1, sk.Fragment);
                parts.Add((sk, octets, content));
                if (parts.Count < sk.Total) return;
                (first, content) = Merge(header.MessageId, parts);
                Merged++;
            }

            Assert.Equal(ParseError.None, MessageView.TryParse(first, content, out var view));
            Assert.Null(PayloadRules.Check(header.Exchange, header.IsResponse, view));
            // every payload of a real peer: parsed, owned and built again, octet for octet
            var rebuilt = Rebuild(view);
            Assert.Equal(content, rebuilt.Chain.ToArray());
            Assert.Equal(first, rebuilt.First);
            if (header.Exchange == ExchangeType.IkeAuth) OnAuth(sa, header, view);
            if (header.Exchange == ExchangeType.CreateChildSa) OnCreateChild(sa, header, view);
        }

        /// <summary>RFC 7383 section 2.6: in whatever order they come, and some of them twice.</summary>
        private static (PayloadType First, byte[] Chain) Merge(uint messageId, List<(SkView Sk, byte[] Message, byte[] Chunk)> parts)
        {
            var reassembly = new Warifu.V2.Reassembly(messageId, isResponse: false, Instant.Never);
            for (var i = parts.Count - 1; i >= 0; i--)
            {
                var (sk, message, chunk) = parts[i];
                Assert.False(i < parts.Count - 1 && reassembly.IsComplete);
                Assert.True(reassembly.Wants(sk));
                Assert.True(reassembly.TryAdd(sk, message, chunk, WireLimits.MessageLength));
                Assert.False(reassembly.Wants(sk));
            }

            Assert.True(reassembly.IsComplete);
            return (reassembly.First, reassembly.Take());
        }

        private void OnAuth(Sa sa, in IkeHeader header, scoped in MessageView view)
        {
            if (view.TryGet(PayloadType.IdI, out var id) && header.FromInitiator) sa.IdI = id.ToArray();
            if (view.TryGet(PayloadType.IdR, out id) && !header.FromInitiator) sa.IdR = id.ToArray();
            if (view.TryGet(PayloadType.Cert, out var cert) && CertView.TryParse(cert, out var certificate) == ParseError.None)
            {
                Assert.Equal(4, certificate.Encoding);
                if (header.FromInitiator) sa.CertI = certificate.Data.ToArray();
                else sa.CertR = certificate.Data.ToArray();
            }

            if (view.TryGet(PayloadType.Auth, out var body))
            {
                Assert.Equal(ParseError.None, AuthView.TryParse(body, out var auth));
                var signed = header.FromInitiator
                    ? KeyScheduleV2.SignedOctets(sa.Keys.Prf, _initRequest, _nr, sa.Keys.SkPi, sa.IdI)
                    : KeyScheduleV2.SignedOctets(sa.Keys.Prf, _initResponse, _ni, sa.Keys.SkPr, sa.IdR);
                Verify(sa, signed, auth, header.FromInitiator ? sa.CertI : sa.CertR);
            }

            if (header.IsResponse && view.TryGet(PayloadType.Sa, out var chosen)) CheckChild(sa, chosen, null, _ni, _nr);
        }

        private void OnCreateChild(Sa sa, in IkeHeader header, scoped in MessageView view)
        {
            Assert.True(view.TryGet(PayloadType.Nonce, out var nonce));
            Assert.True(view.TryGet(PayloadType.Sa, out var body));
            Assert.Equal(ParseError.None, SaPayload.TryParse(body, out var proposals));
            if (!header.IsResponse)
            {
                _childNi = nonce.ToArray();
                _rekeySpi = proposals[0].Spi;
                var isNew = view.IndexOf(PayloadType.TsI) >= 0 && trace.Name is "v2-second-child" or "v2-childless";
                Assert.Equal(view.IndexOf(PayloadType.TsI) >= 0 && !isNew, view.TryGetNotify(NotifyType.RekeySa, out var rekey) && rekey.Spi.Length == 4);
                return;
            }

            var nr = nonce.ToArray();
            if (view.IndexOf(PayloadType.TsI) >= 0)
            {
                using var shared = view.IndexOf(PayloadType.Ke) < 0 ? null : new Secret(Recorded("g^ir-child").Single());
                CheckChild(sa, body, shared, _childNi, nr);
                return;
            }

            // RFC 7296 section 2.18: the SPIs come from the SA payloads, SKEYSEED from the old SK_d
            var answer = Assert.Single(proposals);
            Assert.Equal(8, answer.SpiLength);
            using var fresh = new Secret(Recorded("g^ir")[IkeKeySets]);
            var ni = _childNi;
            Derive(answer.Proposal, new IkeSpi(_rekeySpi), new IkeSpi(answer.Spi), ni, nr, _ => KeyScheduleV2.SkeySeedRekey(sa.Keys.Prf, sa.Keys.SkD, ni, nr, fresh));
        }

        private void Derive(Proposal proposal, IkeSpi spiI, IkeSpi spiR, byte[] ni, byte[] nr, Func<PrfId, Secret> seed)
        {
            var prf = (PrfId)proposal.Find(TransformType.Prf).Id;
            var encr = proposal.Find(TransformType.Encr);
            var integ = (IntegId)proposal.Find(TransformType.Integ).Id;
            using var skeySeed = seed(prf);
            Assert.Equal(Recorded("SKEYSEED")[IkeKeySets], skeySeed.Span.ToArray());
            var keys = KeyScheduleV2.Derive(prf, (EncrId)encr.Id, encr.KeyBits, integ, skeySeed, ni, nr, spiI, spiR);
            foreach (var (label, key) in new[] { ("Sk_d", keys.SkD), ("Sk_ai", keys.SkAi), ("Sk_ar", keys.SkAr), ("Sk_ei", keys.SkEi), ("Sk_er", keys.SkEr), ("Sk_pi", keys.SkPi), ("Sk_pr", keys.SkPr) })
            {
                var recorded = Recorded(label);
                if (recorded.Count == 0) Assert.Equal(0, key.Length);
                else Assert.Equal(recorded[IkeKeySets], key.Span.ToArray());
            }

            if (Recorded("ppk") is [var ppk, ..]) keys = Mixed(keys, ppk);
            _sas[(spiI, spiR)] = new Sa { Keys = keys, Encr = encr, Integ = integ };
            IkeKeySets++;
        }

        /// <summary>RFC 8784 section 3.</summary>
        private IkeKeys Mixed(IkeKeys keys, byte[] octets)
        {
            using var ppk = new Secret(octets);
            var mixed = new IkeKeys { Prf = keys.Prf, SkD = KeyScheduleV2.MixPpk(keys.Prf, ppk, keys.SkD), SkAi = keys.SkAi, SkAr = keys.SkAr, SkEi = keys.SkEi, SkEr = keys.SkEr, SkPi = KeyScheduleV2.MixPpk(keys.Prf, ppk, keys.SkPi), SkPr = KeyScheduleV2.MixPpk(keys.Prf, ppk, keys.SkPr) };
            foreach (var (label, key) in new[] { ("mixed-Sk_d", mixed.SkD), ("mixed-Sk_pi", mixed.SkPi), ("mixed-Sk_pr", mixed.SkPr) }) Assert.Equal(Recorded(label).Single(), key.Span.ToArray());
            return mixed;
        }

        private void CheckChild(Sa sa, ReadOnlySpan<byte> body, Secret? shared, byte[] ni, byte[] nr)
        {
            Assert.Equal(ParseError.None, SaPayload.TryParse(body, out var answers));
            var proposal = Assert.Single(answers).Proposal;
            var encr = proposal.Find(TransformType.Encr);
            var keys = KeyScheduleV2.DeriveChild(sa.Keys.Prf, sa.Keys.SkD, shared, ni, nr, (EncrId)encr.Id, encr.KeyBits, (IntegId)proposal.Find(TransformType.Integ).Id);
            Assert.Equal(Recorded("child-e-i")[Children], keys.InitiatorEncr.Span.ToArray());
            Assert.Equal(Recorded("child-e-r")[Children], keys.ResponderEncr.Span.ToArray());
            if (keys.InitiatorInteg.Length > 0)
            {
                Assert.Equal(Recorded("child-a-i")[Children], keys.InitiatorInteg.Span.ToArray());
                Assert.Equal(Recorded("child-a-r")[Children], keys.ResponderInteg.Span.ToArray());
            }

            Children++;
        }

        private void Verify(Sa sa, byte[] signed, in AuthView auth, byte[] cert)
        {
            var lines = trace.Initiator;
            // with EAP the responder proves itself twice over the same octets: first by signature
            var found = Enumerable.Range(0, lines.Length).Where(i => lines[i].Label == "octets" && lines[i].Octets.AsSpan().SequenceEqual(signed)).ToArray();
            Assert.NotEmpty(found);
            if (auth.Method == AuthMethod.SharedKey)
            {
                var at = found.Single(i => lines[i + 1].Label == "secret");
                using var secret = new Secret(lines[at + 1].Octets);
                using var expected = KeyScheduleV2.SharedKeyAuth(sa.Keys.Prf, secret, signed);
                Assert.Equal(expected.Span.ToArray(), auth.Data.ToArray());
                Assert.Equal(lines[at + 3].Octets, auth.Data.ToArray());
            }
            else
            {
                // the recorded signature fits the recorded certificate
                Assert.True(SignatureChoice.TryRead(auth.Method, auth.Data.ToArray(), out var scheme, out var signature, out _));
                Assert.True(Certificate.TryParse(cert, out var certificate, out var error), error);
                Assert.True(certificate!.Key!.Fits(scheme) && SignatureChoice.FitsCurve(auth.Method, certificate.Key));
                foreach (var provider in new[] { Provider.Managed, Provider.Processor }) Assert.True(certificate.Key.Verify(scheme, signed, signature.Span, provider));
                signed[^1] ^= 1;
                foreach (var provider in new[] { Provider.Managed, Provider.Processor }) Assert.False(certificate.Key.Verify(scheme, signed, signature.Span, provider));
                // method 14: written again, the AlgorithmIdentifier is the recorded one, octet for octet
                Assert.Equal(auth.Data.ToArray(), SignatureChoice.Write(auth.Method, scheme, signature.Span));
                Schemes.Add($"{auth.Method} {scheme}");
            }

            Auths++;
        }

        /// <summary>Frames the content again, takes padding octets and IV from the recording and seals: all octets must be the recorded ones.</summary>
        private void Reseal(Sa sa, PacketCipher cipher, in IkeHeader header, in SkView sk, byte[] recorded, byte[] opened, byte[] content)
        {
            var frame = sk.IsFragment
                ? SkFraming.FrameFragment(header, sk.First, content, sk.Fragment, sk.Total, cipher.IvLength, cipher.BlockLength, cipher.IcvLength)
                : SkFraming.Frame(header, Rebuild(sk.First, content), cipher.IvLength, cipher.BlockLength, cipher.IcvLength);
            Assert.Equal(recorded.Length, frame.Length);
            Assert.Equal(recorded[..sk.Head], frame[..sk.Head]);
            var body = sk.Head + cipher.IvLength;
            Assert.Equal(opened[^(cipher.IcvLength + 1)], frame[^(cipher.IcvLength + 1)]);
            opened.AsSpan(body, frame.Length - body - cipher.IcvLength).CopyTo(frame.AsSpan(body));
            var iv = recorded.AsSpan(sk.Head, cipher.IvLength);
            if (cipher is AeadPacketCipher || (EncrId)sa.Encr.Id == EncrId.AesCtr)
            {
                cipher.Seal(frame, sk.Head, BinaryPrimitives.ReadUInt64BigEndian(iv));
            }
            else
            {
                iv.CopyTo(frame.AsSpan(sk.Head));
                var keys = header.FromInitiator ? (sa.Keys.SkEi, sa.Keys.SkAi) : (sa.Keys.SkEr, sa.Keys.SkAr);
                using var cbc = BlockCipherContext.Plain((EncrId)sa.Encr.Id, keys.Item1.Span, encrypt: true);
                cbc.Transform(iv, frame.AsSpan(body, frame.Length - body - cipher.IcvLength));
                using var mac = KeyedHash.Create(Algorithms.Integ[sa.Integ].Mac, keys.Item2.Span.ToArray());
                mac.Append(frame.AsSpan(0, frame.Length - cipher.IcvLength));
                mac.Finish(frame.AsSpan(frame.Length - cipher.IcvLength));
            }

            Assert.Equal(recorded, frame);
            Resealed++;
        }

        private static MessageBuilder Rebuild(PayloadType first, byte[] chain)
        {
            Assert.Equal(ParseError.None, MessageView.TryParse(first, chain, out var view));
            return Rebuild(view);
        }

        private static MessageBuilder Rebuild(scoped in MessageView view)
        {
            var builder = new MessageBuilder();
            for (var i = 0; i < view.Count; i++)
            {
                Assert.Equal(ParseError.None, OwnedPayload.TryParse(view[i], view.Body(i), out var payload));
                builder.Add(payload!);
            }

            return builder;
        }
    }
}
