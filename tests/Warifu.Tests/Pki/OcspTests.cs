using System;
using System.Linq;
using System.Security.Cryptography;
using Warifu.Pki;
using Warifu.Policy;
using Xunit;

namespace Warifu.Tests.Pki;

/// <summary>OCSP (RFC 6960), also as a peer sends it along (RFC 4806).</summary>
[Trait("Item", "2.3")]
public sealed class OcspTests
{
    private const string Uri = "http://ocsp.example.org/", Signing = "1.3.6.1.5.5.7.3.9";

    private readonly Entity _root = Issuing.Root();
    private readonly Entity _peer;

    public OcspTests() => _peer = _root.Issue("CN=gw", spec => spec.Ocsp(Uri));

    private string Key => $"ocsp {Uri} {RevocationJudge.ResponseKey(_peer.Certificate, _root.Certificate)}";

    private PathQuestion Strict(params OcspResponse[] responses) => Judging.Ask(_peer, [_root]).Revocation(RevocationPolicy.Strict).Responses(responses).Tried(Key);

    [Fact]
    public void Good_revoked_and_unknown()
    {
        Strict(_root.Ocsp(_peer.Certificate)).Good();
        var failure = Strict(_root.Ocsp(_peer.Certificate, spec => (spec.Status, spec.Reason) = (1, 1))).Bad(PathRule.Revoked, _peer);
        Assert.Contains("key compromise", failure.Sentence, StringComparison.Ordinal);
        failure = Strict(_root.Ocsp(_peer.Certificate, spec => spec.Status = 2)).Bad(PathRule.RevocationUnknown, _peer);
        Assert.Contains("does not know it", failure.Sentence, StringComparison.Ordinal);
    }

    [Fact]
    public void A_responder_is_named_by_name_or_by_key_and_a_certificate_by_either_hash()
    {
        Strict(_root.Ocsp(_peer.Certificate, spec => spec.ByKey = true)).Good();
        Strict(_root.Ocsp(_peer.Certificate, spec => spec.IdHash = HashAlgorithmName.SHA256)).Good();
        Strict(_root.Ocsp(_peer.Certificate, spec => (spec.Status, spec.IdHash) = (1, HashAlgorithmName.SHA256))).Bad(PathRule.Revoked, _peer);
    }

    [Fact]
    public void A_response_about_another_certificate_says_nothing()
    {
        Strict(_root.Ocsp(_root.Issue("CN=other").Certificate)).Bad(PathRule.RevocationUnknown, _peer);
        // the same serial number of another authority
        var other = Issuing.Root("CN=Other");
        var twin = other.Issue("CN=gw", spec => spec.Serial = _peer.Certificate.Serial.ToArray());
        Strict(other.Ocsp(twin.Certificate)).Bad(PathRule.RevocationUnknown, _peer);
        Judging.Ask(_peer, [_root]).Tried(Key).Responses(other.Ocsp(twin.Certificate, spec => spec.Status = 1)).Good();
        // the same name, another key
        Strict(Issuing.Root().Ocsp(_peer.Certificate)).Bad(PathRule.RevocationUnknown, _peer);
    }

    [Fact]
    public void A_forged_response_says_nothing()
    {
        var failure = Strict(_root.Ocsp(_peer.Certificate, spec => spec.ForgedBy = TestKey.New())).Bad(PathRule.RevocationUnknown, _peer);
        Assert.Contains("not signed by", failure.Sentence, StringComparison.Ordinal);
        Judging.Ask(_peer, [_root]).Tried(Key).Responses(_root.Ocsp(_peer.Certificate, spec => (spec.Status, spec.ForgedBy) = (1, TestKey.New()))).Good();
        Strict(_root.Ocsp(_peer.Certificate, spec => spec.Signer = _peer)).Bad(PathRule.RevocationUnknown, _peer);
        Strict(_root.Ocsp(_peer.Certificate, spec => { spec.Signer = _peer; spec.Included.Add(_peer.Certificate); })).Bad(PathRule.RevocationUnknown, _peer);
    }

    [Fact]
    public void A_delegated_responder_needs_its_appointment()
    {
        Entity Responder(Entity by, Action<CertificateSpec>? make = null) => by.Issue("CN=OCSP", make);
        PathQuestion Ask(Entity responder, params Entity[] more) => Strict(_root.Ocsp(_peer.Certificate, spec => { spec.Signer = responder; spec.Included.AddRange([responder.Certificate, .. more.Select(entity => entity.Certificate)]); }));
        Ask(Responder(_root, spec => spec.Purposes(Signing))).Good();
        Ask(Responder(_root, spec => spec.Purposes(Signing).Usage(0))).Good();
        Assert.Contains("no certificate for signing", Ask(Responder(_root)).Bad(PathRule.RevocationUnknown, _peer).Sentence, StringComparison.Ordinal);
        Ask(Responder(_root, spec => spec.Purposes("2.5.29.37.0"))).Bad(PathRule.RevocationUnknown, _peer);
        Ask(Responder(_root, spec => spec.Purposes("1.3.6.1.5.5.7.3.1"))).Bad(PathRule.RevocationUnknown, _peer);
        Ask(Responder(_root, spec => spec.Purposes(Signing).To = Issuing.Now.AddDays(-1))).Bad(PathRule.RevocationUnknown, _peer);
        Ask(Responder(_root, spec => spec.Purposes(Signing).Usage(5))).Bad(PathRule.RevocationUnknown, _peer);
        Ask(Responder(_root, spec => spec.Purposes(Signing).With("1.3.6.1.4.1.99999.1", true, Der.Null))).Bad(PathRule.RevocationUnknown, _peer);
        Assert.Contains("not appointed", Ask(Responder(Issuing.Root(), spec => spec.Purposes(Signing))).Bad(PathRule.RevocationUnknown, _peer).Sentence, StringComparison.Ordinal);
        // appointed by somebody below the authority, not by itself
        var sub = _root.Authority("CN=Sub");
        Ask(Responder(sub, spec => spec.Purposes(Signing)), sub).Bad(PathRule.RevocationUnknown, _peer);
        // appointed, and dismissed
        var dismissed = Responder(_root, spec => spec.Purposes(Signing));
        Assert.Contains("was revoked", (Ask(dismissed) with { Crls = [_root.Crl(list => list.Scope(reasons: [1]), dismissed.Certificate)] }).Bad(PathRule.RevocationUnknown, _peer).Sentence, StringComparison.Ordinal);
    }

    [Fact]
    public void Old_and_future_responses_are_not_taken()
    {
        Strict(_root.Ocsp(_peer.Certificate, spec => spec.Next = Issuing.Now.AddSeconds(-1))).Bad(PathRule.RevocationStale, _peer);
        Strict(_root.Ocsp(_peer.Certificate, spec => spec.This = Issuing.Now.AddHours(1))).Bad(PathRule.RevocationStale, _peer);
        Strict(_root.Ocsp(_peer.Certificate, spec => spec.This = Issuing.Now.AddMinutes(2))).Good();
        Strict(_root.Ocsp(_peer.Certificate, spec => spec.Next = null)).Bad(PathRule.RevocationStale, _peer);
        Strict(_root.Ocsp(_peer.Certificate, spec => (spec.This, spec.Next) = (Issuing.Now.AddMinutes(-5), null))).Good();
        // revoked stays revoked, on hold does not
        Judging.Ask(_peer, [_root]).Responses(_root.Ocsp(_peer.Certificate, spec => (spec.Status, spec.Next) = (1, Issuing.Now.AddDays(-1)))).Bad(PathRule.Revoked, _peer);
        Judging.Ask(_peer, [_root]).Tried(Key).Responses(_root.Ocsp(_peer.Certificate, spec => (spec.Status, spec.Reason, spec.Next) = (1, 6, Issuing.Now.AddDays(-1)))).Good();
    }

    [Fact]
    public void The_request_asks_about_this_certificate_with_a_nonce()
    {
        var nonce = Enumerable.Range(0, OcspRequest.NonceLength).Select(octet => (byte)octet).ToArray();
        var wish = Assert.Single((Judging.Ask(_peer, [_root]) with { Nonce = [.. nonce] }).Needs());
        Assert.Equal((Uri, DocumentKind.Ocsp), (wish.Uri, wish.Kind));
        var id = Der.Seq(Der.Seq(Der.Oid("1.3.14.3.2.26"), Der.Null), Der.Octets(SHA1.HashData(_root.Subject)), Der.Octets(SHA1.HashData(_root.Certificate.KeyBits.Span)), Der.Of(0x02, _peer.Certificate.Serial.ToArray()));
        var expected = Der.Seq(Der.Seq(Der.Seq(Der.Seq(id)), Der.Box(2, Der.Seq(Der.Seq(Der.Oid("1.3.6.1.5.5.7.48.1.2"), Der.Octets(Der.Octets(nonce)))))));
        Assert.Equal(Convert.ToHexString(expected), Convert.ToHexString(wish.Request.AsSpan()));
        Assert.True(OcspRequest.IsAnsweredBy(_root.Ocsp(_peer.Certificate), nonce));
        Assert.True(OcspRequest.IsAnsweredBy(_root.Ocsp(_peer.Certificate, spec => spec.Nonce = nonce), nonce));
        Assert.False(OcspRequest.IsAnsweredBy(_root.Ocsp(_peer.Certificate, spec => spec.Nonce = [.. nonce.Reverse()]), nonce));
    }

    [Theory]
    [InlineData(1, "malformed")]
    [InlineData(2, "internal error")]
    [InlineData(3, "try later")]
    [InlineData(5, "signed requests")]
    [InlineData(6, "unauthorized")]
    [InlineData(77, "status 77")]
    public void A_responder_that_does_not_answer_says_why(int status, string text)
    {
        Assert.False(OcspResponse.TryParse(_root.OcspDer(_peer.Certificate, spec => spec.ResponseStatus = status), out _, out var error));
        Assert.Contains(text, error, StringComparison.Ordinal);
    }

    [Fact]
    public void A_list_stands_in_for_a_responder_that_does_not_answer()
    {
        var peer = _root.Issue("CN=gw", spec => spec.Ocsp(Uri).Crl("http://crl.example.org/"));
        var key = $"ocsp {Uri} {RevocationJudge.ResponseKey(peer.Certificate, _root.Certificate)}";
        var question = Judging.Ask(peer, [_root]).Revocation(RevocationPolicy.Strict);
        Assert.Equal([DocumentKind.Ocsp], question.Needs().Select(wish => wish.Kind));
        Assert.Equal([DocumentKind.Crl], question.Tried(key).Needs().Select(wish => wish.Kind));
        question.Tried(key).Lists(_root.Crl()).Good();
        question.Lists(_root.Crl()).Good();
        question.Tried(key).Lists(_root.Crl(peer.Certificate)).Bad(PathRule.Revoked, peer);
    }

    [Fact]
    public void A_response_goes_before_a_list()
    {
        Strict(_root.Ocsp(_peer.Certificate)).Lists(_root.Crl(_peer.Certificate)).Good();
        Strict(_root.Ocsp(_peer.Certificate, spec => spec.Status = 2)).Lists(_root.Crl(_peer.Certificate)).Bad(PathRule.Revoked, _peer);
    }

    [Fact]
    public void Responders_of_the_configuration_come_first()
    {
        var material = Judging.Material(_root);
        material = material with { Authorities = [material.Authorities[0] with { OcspUris = ["http://local.example.org/", "file:///tmp/x"] }] };
        var question = Judging.Ask(_peer, [_root]) with { Trust = TrustStore.Of(material) };
        Assert.Equal(["http://local.example.org/"], question.Needs().Select(wish => wish.Uri));
    }

    [Fact]
    public void The_cache_keeps_responses_per_certificate_and_stays_bounded()
    {
        var cache = new RevocationCache();
        cache.Add(RevocationJudge.ResponseKey(_peer.Certificate, _root.Certificate), _root.Ocsp(_peer.Certificate, spec => spec.Status = 1));
        (Judging.Ask(_peer, [_root]) with { Known = cache }).Bad(PathRule.Revoked, _peer);
        var response = _root.Ocsp(_peer.Certificate);
        for (var i = 0; i < RevocationCache.MaxResponses + 10; i++) cache.Add($"{i}", response);
        Assert.Equal(RevocationCache.MaxResponses, cache.ResponseCount);
    }

    [Fact]
    public void Responses_with_critical_extensions_that_nobody_knows_are_refused()
    {
        var octets = _root.OcspDer(_peer.Certificate, spec => spec.Nonce = [1, 2, 3]);
        var at = octets.AsSpan().IndexOf(Der.Oid("1.3.6.1.5.5.7.48.1.2"));
        octets[at + 10] = 0x63;
        // not critical: it is passed over; the signature is another matter
        Assert.True(OcspResponse.TryParse(octets, out var response, out _));
        Assert.True(response!.Nonce.IsEmpty);
    }
}
