using System;
using System.Linq;
using System.Security.Cryptography;
using Warifu.Pki;
using Warifu.Policy;
using Xunit;

namespace Warifu.Tests.Pki;

/// <summary>Revocation lists (RFC 5280 sections 5 and 6.3), in the groups of NIST's suite 4.4, 4.5, 4.14 and 4.15.</summary>
[Trait("Item", "2.3")]
public sealed class CrlTests
{
    private const string Uri = "http://crl.example.org/root.crl", Second = "http://crl.example.org/second.crl", DeltaUri = "http://crl.example.org/delta.crl";

    private readonly Entity _root = Issuing.Root();
    private readonly Entity _peer;

    public CrlTests() => _peer = _root.Issue("CN=gw", spec => spec.Crl(Uri));

    private PathQuestion Strict(params Crl[] lists) => Judging.Ask(_peer, [_root]).Revocation(RevocationPolicy.Strict).Lists(lists).Tried(Uri);

    private PathQuestion StrictOf(Entity peer, params Crl[] lists) => Judging.Ask(peer, [_root]).Revocation(RevocationPolicy.Strict).Lists(lists).Tried(Uri, Second, DeltaUri);

    [Fact]
    public void A_list_without_the_certificate_says_that_it_is_good()
    {
        Strict(_root.Crl()).Good();
        Strict(_root.Crl(_root.Issue("CN=other").Certificate)).Good();
        Strict(_root.Crl(list => (list.Version, list.NoKeyId) = (1, true))).Good();
    }

    [Fact]
    public void Serial_numbers_are_found_in_any_order()
    {
        var others = Enumerable.Range(0, 500).Select(_ => _root.Issue("CN=other").Certificate).OrderByDescending(certificate => Convert.ToHexString(certificate.Serial.Span)).ToArray();
        Strict(_root.Crl(list => { }, [.. others[..250], _peer.Certificate, .. others[250..]])).Bad(PathRule.Revoked, _peer);
        Strict(_root.Crl(others)).Good();
    }

    [Theory]
    [InlineData(null, "no reason given")]
    [InlineData(0, "no reason given")]
    [InlineData(4, "superseded")]
    [InlineData(6, "on hold")]
    [InlineData(9, "privilege withdrawn")]
    public void The_reason_is_told(int? reason, string text) =>
        Assert.Contains(text, Strict(_root.Crl(list => list.Revoke(_peer.Certificate, reason))).Bad(PathRule.Revoked, _peer).Sentence, StringComparison.Ordinal);

    [Fact]
    public void A_forged_list_says_nothing()
    {
        var failure = Strict(_root.Crl(list => list.Signer = TestKey.New())).Bad(PathRule.RevocationUnknown, _peer);
        Assert.Contains("not signed by", failure.Sentence, StringComparison.Ordinal);
        Judging.Ask(_peer, [_root]).Tried(Uri).Lists(_root.Crl(list => list.Revoke(_peer.Certificate).Signer = TestKey.New())).Good();
        var octets = _root.CrlDer(null);
        octets[^3] ^= 4;
        Assert.True(Crl.TryParse(octets, out var changed));
        Strict(changed!).Bad(PathRule.RevocationUnknown, _peer);
    }

    [Fact]
    public void A_list_of_another_issuer_says_nothing()
    {
        var other = Issuing.Root("CN=Other");
        Strict(other.Crl()).Bad(PathRule.RevocationUnknown, _peer);
        Judging.Ask(_peer, [_root]).Tried(Uri).Lists(other.Crl(_peer.Certificate)).Good();
        // the same name, another key
        Strict(Issuing.Root().Crl()).Bad(PathRule.RevocationUnknown, _peer);
    }

    [Fact]
    public void A_list_signed_by_a_peer_says_nothing()
    {
        var friend = _root.Issue("CN=friend");
        Strict(_root.Crl(list => list.Signer = friend.Key)).Bad(PathRule.RevocationUnknown, _peer);
    }

    [Fact]
    public void An_authority_that_may_not_sign_lists_signs_none()
    {
        var root = Issuing.Root("CN=Root", spec => spec.Usage(5));
        var peer = root.Issue("CN=gw");
        Judging.Ask(peer, [root]).Revocation(RevocationPolicy.Strict).Lists(root.Crl()).Bad(PathRule.RevocationUnknown, peer);
    }

    [Fact]
    public void An_old_list_does_not_prove_that_a_certificate_is_good_but_that_it_is_bad()
    {
        Crl Old(Action<CrlSpec>? make = null) => _root.Crl(list => { list.Next = Issuing.Now.AddSeconds(-1); make?.Invoke(list); });
        var failure = Strict(Old()).Bad(PathRule.RevocationStale, _peer);
        Assert.Contains("2026-06-01 11:59:59Z", failure.Sentence, StringComparison.Ordinal);
        Judging.Ask(_peer, [_root]).Tried(Uri).Lists(Old()).Good();
        Judging.Ask(_peer, [_root]).Lists(Old(list => list.Revoke(_peer.Certificate))).Bad(PathRule.Revoked, _peer);
        // on hold may have ended
        Judging.Ask(_peer, [_root]).Tried(Uri).Lists(Old(list => list.Revoke(_peer.Certificate, 6))).Good();
    }

    [Fact]
    public void A_list_of_the_future_or_without_an_end_is_not_taken()
    {
        Strict(_root.Crl(list => list.This = Issuing.Now.AddHours(1))).Bad(PathRule.RevocationStale, _peer);
        Strict(_root.Crl(list => list.This = Issuing.Now.AddMinutes(1))).Good();
        Strict(_root.Crl(list => list.Next = null)).Bad(PathRule.RevocationStale, _peer);
    }

    [Fact]
    public void SHA_1_is_taken_in_lists() => Strict(_root.Crl(list => list.Revoke(_peer.Certificate).Hash = HashAlgorithmName.SHA1)).Bad(PathRule.Revoked, _peer);

    [Fact]
    public void Critical_extensions_that_nobody_knows_make_a_list_useless()
    {
        Strict(_root.Crl(list => list.With("1.3.6.1.4.1.99999.1", true, Der.Null))).Bad(PathRule.RevocationUnknown, _peer);
        Strict(_root.Crl(list => list.With("1.3.6.1.4.1.99999.1", false, Der.Null))).Good();
        var entry = Der.Seq(Der.Oid("1.3.6.1.4.1.99999.1"), Der.Bool(true), Der.Octets(Der.Null));
        Strict(_root.Crl(list => list.Revoke(_root.Issue("CN=other").Certificate, more: entry))).Bad(PathRule.RevocationUnknown, _peer);
    }

    [Fact]
    public void An_indirect_list_is_refused_and_named()
    {
        var failure = Strict(_root.Crl(list => list.Scope(indirect: true))).Bad(PathRule.RevocationUnknown, _peer);
        Assert.Contains("indirect", failure.Sentence, StringComparison.Ordinal);
    }

    // scope (6.3.3 b)

    [Fact]
    public void A_list_for_users_says_nothing_about_authorities_and_the_other_way_round()
    {
        var sub = _root.Authority("CN=Sub");
        var peer = sub.Issue("CN=gw");
        PathQuestion Ask(params Crl[] lists) => Judging.Ask(peer, [_root], sub).Revocation(RevocationPolicy.Strict).Lists(lists);
        Ask(_root.Crl(list => list.Scope(authorities: true)), sub.Crl(list => list.Scope(users: true))).Good();
        Ask(_root.Crl(list => list.Scope(users: true)), sub.Crl()).Bad(PathRule.RevocationUnknown, sub);
        Ask(_root.Crl(), sub.Crl(list => list.Scope(authorities: true))).Bad(PathRule.RevocationUnknown, peer);
        Ask(_root.Crl(), sub.Crl(list => list.Scope(attributes: true))).Bad(PathRule.RevocationUnknown, peer);
    }

    /// <summary>RFC 4945 section 5.1.3.13: a good list of one distribution point must not stand in for another one's.</summary>
    [Fact]
    public void A_list_of_another_distribution_point_says_nothing()
    {
        Strict(_root.Crl(list => list.Scope(Uri))).Good();
        Strict(_root.Crl(list => list.Scope(Second))).Bad(PathRule.RevocationUnknown, _peer);
        // a certificate without distribution points is on the list that has none, or the issuer's name
        var bare = _root.Issue("CN=bare");
        StrictOf(bare, _root.Crl(list => list.Scope(Uri))).Bad(PathRule.RevocationUnknown, bare);
        StrictOf(bare, _root.Crl(list => list.With("2.5.29.28", true, Der.Seq(Der.Box(0, Der.Box(0, General.Directory("C=CH, O=Example, CN=Root"))))))).Good();
    }

    [Fact]
    public void Names_relative_to_the_issuer_are_made_whole()
    {
        var relative = Der.Of(0xA1, Der.Seq(Der.Oid("2.5.4.3"), Der.Utf8("CRL 1")));
        var point = Der.Seq(Der.Seq(Der.Box(0, relative)));
        var peer = _root.Issue("CN=gw", spec => spec.With("2.5.29.31", false, point));
        StrictOf(peer, _root.Crl(list => list.With("2.5.29.28", true, Der.Seq(Der.Box(0, relative))))).Good();
        StrictOf(peer, _root.Crl(list => list.With("2.5.29.28", true, Der.Seq(Der.Box(0, Der.Box(0, General.Directory("C=CH, O=Example, CN=Root, CN=CRL 1"))))))).Good();
        StrictOf(peer, _root.Crl(list => list.With("2.5.29.28", true, Der.Seq(Der.Box(0, Der.Box(0, General.Directory("C=CH, O=Example, CN=Root, CN=CRL 2"))))))).Bad(PathRule.RevocationUnknown, peer);
    }

    [Fact]
    public void Lists_for_some_reasons_must_cover_all_of_them_together()
    {
        var some = _root.Crl(list => list.Scope(reasons: [1, 2]));
        var rest = _root.Crl(list => list.Scope(reasons: [3, 4, 5, 6, 7, 8]));
        var failure = Strict(some).Bad(PathRule.RevocationUnknown, _peer);
        Assert.Contains("all reasons", failure.Sentence, StringComparison.Ordinal);
        Strict(some, rest).Good();
        Strict(some, _root.Crl(list => list.Revoke(_peer.Certificate, 4).Scope(reasons: [3, 4, 5, 6, 7, 8]))).Bad(PathRule.Revoked, _peer);
    }

    [Fact]
    public void A_distribution_point_of_another_issuer_is_passed_over()
    {
        var point = Der.Seq(Der.Box(0, Der.Box(0, General.Uri(Uri))), Der.Box(2, General.Directory("CN=CRL Issuer")));
        var peer = _root.Issue("CN=gw", spec => spec.With("2.5.29.31", false, Der.Seq(point)));
        StrictOf(peer, _root.Crl(list => list.Scope(Uri))).Bad(PathRule.RevocationUnknown, peer);
        Judging.Ask(peer, [_root]).Revocation(RevocationPolicy.IfUri).Bad(PathRule.RevocationUnknown, peer);
    }

    // delta lists

    [Fact]
    public void A_delta_list_adds_and_removes()
    {
        var complete = _root.Crl(list => list.Number = 10);
        var revoking = _root.Crl(list => list.Delta(9).Revoke(_peer.Certificate).Number = 11);
        Strict(complete, revoking).Bad(PathRule.Revoked, _peer);
        var holding = _root.Crl(list => list.Revoke(_peer.Certificate, 6).Number = 10);
        var releasing = _root.Crl(list => list.Delta(10).Revoke(_peer.Certificate, 8).Number = 11);
        Strict(holding).Bad(PathRule.Revoked, _peer);
        Strict(holding, releasing).Good();
    }

    [Fact]
    public void A_delta_list_makes_an_old_complete_list_new()
    {
        var old = _root.Crl(list => list.Next = Issuing.Now.AddHours(-1));
        Strict(old).Bad(PathRule.RevocationStale, _peer);
        Strict(old, _root.Crl(list => list.Delta(10).Number = 11)).Good();
        Strict(old, _root.Crl(list => { list.Delta(10); list.Number = 11; list.Next = Issuing.Now.AddSeconds(-1); })).Bad(PathRule.RevocationStale, _peer);
    }

    [Fact]
    public void A_delta_list_alone_or_for_another_base_says_nothing()
    {
        Strict(_root.Crl(list => list.Delta(9))).Bad(PathRule.RevocationUnknown, _peer);
        var old = _root.Crl(list => { list.Number = 8; list.Next = Issuing.Now.AddHours(-1); });
        Strict(old, _root.Crl(list => list.Delta(9).Number = 11)).Bad(PathRule.RevocationStale, _peer);
        Strict(old, _root.Crl(list => list.Delta(3).Number = 7)).Bad(PathRule.RevocationStale, _peer);
        Strict(old, _root.Crl(list => list.Delta(8).Scope(Uri).Number = 11)).Bad(PathRule.RevocationStale, _peer);
    }

    [Fact]
    public void A_forged_delta_list_says_nothing()
    {
        Strict(_root.Crl(), _root.Crl(list => { list.Delta(9).Revoke(_peer.Certificate); list.Number = 11; list.Signer = TestKey.New(); })).Good();
        var held = _root.Crl(list => list.Revoke(_peer.Certificate, 6));
        Strict(held, _root.Crl(list => { list.Delta(9).Revoke(_peer.Certificate, 8); list.Number = 11; list.Signer = TestKey.New(); })).Bad(PathRule.Revoked, _peer);
    }

    [Fact]
    public void A_delta_list_is_wished_for_where_one_is_named()
    {
        var peer = _root.Issue("CN=gw", spec => spec.Crl(Uri).Delta(DeltaUri));
        var question = Judging.Ask(peer, [_root]).Lists(_root.Crl());
        Assert.Equal([DeltaUri], question.Needs().Select(wish => wish.Uri));
        question.Tried(DeltaUri).Revocation(RevocationPolicy.Strict).Good();
        Assert.Equal([DeltaUri], Strict(_root.Crl(list => list.With("2.5.29.46", false, Der.Seq(General.Point(General.Uri(DeltaUri)))))).Needs().Select(wish => wish.Uri));
    }

    // who signs

    [Fact]
    public void An_authority_may_have_a_certificate_for_its_lists_alone()
    {
        var sub = _root.Authority("CN=Sub", spec => spec.Usage(5));
        var signer = _root.Issue("CN=Sub", spec => spec.Usage(6));
        var peer = sub.Issue("CN=gw");
        Crl Signed(Entity by) => sub.Crl(list => list.Signer = by.Key);
        PathQuestion Ask(Entity by) => Judging.Ask(peer, [_root], sub, by).Lists(Signed(by), _root.Crl()).Revocation(RevocationPolicy.Strict);
        Ask(signer).Good();
        Ask(_root.Issue("CN=Sub", spec => spec.Usage(0))).Bad(PathRule.RevocationUnknown, peer);
        Ask(_root.Issue("CN=Sub 2", spec => spec.Usage(6))).Bad(PathRule.RevocationUnknown, peer);
        Ask(Issuing.Root().Issue("CN=Sub", spec => spec.Usage(6))).Bad(PathRule.RevocationUnknown, peer);
        Ask(_root.Issue("CN=Sub", spec => spec.Usage(6).To = Issuing.Now.AddDays(-1))).Bad(PathRule.RevocationUnknown, peer);
    }

    [Fact]
    public void An_authority_that_changed_its_key_signs_lists_with_the_new_one()
    {
        var renewed = Entity.Make("C=CH, O=Example, CN=Root", _root, spec => spec.Ca());
        var list = _root.Crl(spec => spec.Signer = renewed.Key);
        (Judging.Ask(_peer, [_root], renewed).Lists(list).Revocation(RevocationPolicy.Strict).Tried(Uri)).Good();
        Strict(list).Bad(PathRule.RevocationUnknown, _peer);
    }

    // policy and wishes

    [Fact]
    public void What_is_wished_for_and_what_then()
    {
        var question = Judging.Ask(_peer, [_root]);
        var wish = Assert.Single(question.Needs());
        Assert.Equal((Uri, DocumentKind.Crl), (wish.Uri, wish.Kind));
        Assert.Equal(["whether 'CN=gw' was revoked is not known: http://crl.example.org/root.crl: no answer in time"], Assert.IsType<PathVerdict.Good>(PathJudge.Judge(question.Tried(Uri))).Notes);
        question.Tried(Uri).Revocation(RevocationPolicy.IfUri).Bad(PathRule.RevocationUnknown, _peer);
        var failure = question.Tried(Uri).Revocation(RevocationPolicy.Strict).Bad(PathRule.RevocationUnknown, _peer);
        Assert.Contains("no answer in time", failure.Sentence, StringComparison.Ordinal);
    }

    [Fact]
    public void Without_a_URI_strict_refuses_and_the_others_do_not()
    {
        var bare = _root.Issue("CN=bare");
        Judging.Ask(bare, [_root]).Good();
        Judging.Ask(bare, [_root]).Revocation(RevocationPolicy.IfUri).Good();
        Judging.Ask(bare, [_root]).Revocation(RevocationPolicy.Strict).Bad(PathRule.RevocationUnknown, bare);
    }

    [Fact]
    public void Nothing_is_wished_for_a_chain_that_is_not_good_otherwise()
    {
        Judging.Ask(_peer, []).Bad(PathRule.MissingIssuer, _peer);
        var other = Issuing.Root("CN=Other");
        var stranger = other.Issue("CN=gw", spec => spec.Crl(Uri).Ocsp("http://ocsp.example.org/"));
        Judging.Ask(stranger, [_root], other).Bad(PathRule.UntrustedRoot, other);
        Judging.Ask(_peer, [_root]).Of(Warifu.Primitives.Identity.Fqdn("gw.example.org")).Bad(PathRule.Identity, _peer);
        var old = _root.Issue("CN=gw", spec => spec.Crl(Uri).To = Issuing.Now.AddDays(-1));
        Judging.Ask(old, [_root]).Bad(PathRule.Expired, old);
        var impostor = Issuing.Root().Issue("CN=gw", spec => spec.Crl(Uri));
        Judging.Ask(impostor, [_root]).Bad(PathRule.Signature, impostor);
    }

    [Fact]
    public void Every_certificate_but_the_root_is_wished_for_at_once()
    {
        var root = Issuing.Root("CN=Root", spec => spec.Crl("http://crl.example.org/never"));
        var sub = root.Authority("CN=Sub", spec => spec.Crl(Uri));
        var peer = sub.Issue("CN=gw", spec => spec.Crl(Second));
        Assert.Equal([Uri, Second], Judging.Ask(peer, [root], sub).Needs().Select(wish => wish.Uri).Order(StringComparer.Ordinal));
    }

    [Fact]
    public void One_URI_after_the_other_and_only_those_that_can_be_fetched()
    {
        var peer = _root.Issue("CN=gw", spec => spec.Crl("ldap://crl.example.org/cn=x", "file:///etc/passwd", Uri, "ftp://x", Second));
        Assert.Equal([Uri], Judging.Ask(peer, [_root]).Needs().Select(wish => wish.Uri));
        Assert.Equal([Second], Judging.Ask(peer, [_root]).Tried(Uri).Needs().Select(wish => wish.Uri));
        Judging.Ask(peer, [_root]).Tried(Uri, Second).Good();
        var odd = _root.Issue("CN=odd", spec => spec.Crl("ldap://crl.example.org/cn=x"));
        Judging.Ask(odd, [_root]).Revocation(RevocationPolicy.IfUri).Bad(PathRule.RevocationUnknown, odd);
    }

    [Fact]
    public void URIs_of_the_configuration_come_first_and_may_be_files()
    {
        var material = Judging.Material(_root);
        material = material with { Authorities = [material.Authorities[0] with { CrlUris = ["file:///etc/warifu/root.crl"] }] };
        var question = Judging.Ask(_peer, [_root]) with { Trust = TrustStore.Of(material) };
        Assert.Equal(["file:///etc/warifu/root.crl"], question.Needs().Select(wish => wish.Uri));
        Assert.Equal([Uri], question.Tried("file:///etc/warifu/root.crl").Needs().Select(wish => wish.Uri));
    }

    [Fact]
    public void Lists_of_the_configuration_and_of_the_cache_count()
    {
        var question = Judging.Ask(_peer, [_root]);
        (question with { Trust = TrustStore.Of(Judging.Material(_root) with { Crls = [[.. _root.CrlDer(null, _peer.Certificate)]] }) }).Bad(PathRule.Revoked, _peer);
        var cache = new RevocationCache();
        Assert.True(cache.Add(Uri, _root.Crl(_peer.Certificate)));
        (question with { Known = cache }).Bad(PathRule.Revoked, _peer);
    }

    // the cache

    [Fact]
    public void The_cache_keeps_the_newest_genuine_list_and_stays_bounded()
    {
        var cache = new RevocationCache();
        var forged = _root.Crl(list => (list.This, list.Signer) = (Issuing.Now.AddYears(5), TestKey.New()));
        var current = _root.Crl();
        var yesterday = _root.Crl(list => list.This = Issuing.Now.AddDays(-1));
        Assert.True(cache.Add(Uri, forged));
        Assert.True(cache.Add(Uri, current));
        Assert.True(current.IsSignedBy(_root.Certificate.Key!));
        Assert.False(cache.Add(Uri, yesterday));
        Assert.Same(current, Assert.Single(cache.CrlsOf(_root.Certificate.Subject)));
        for (var i = 0; i < 2 * RevocationCache.MaxCrls; i++) cache.Add($"{Uri}{i}", _root.Crl());
        Assert.Equal(RevocationCache.MaxCrls, cache.CrlsOf(_root.Certificate.Subject).Count);
        // one in place of another is found alone
        cache.Add($"{Uri}{(2 * RevocationCache.MaxCrls) - 1}", _root.Crl());
        Assert.Equal(RevocationCache.MaxCrls, cache.CrlsOf(_root.Certificate.Subject).Count);
        Assert.Equal(RevocationCache.MaxCrls, cache.CrlCount);
        Assert.True(cache.CrlOctets <= RevocationCache.MaxCrlOctets);
        cache.Clear();
        Assert.Equal((0, 0, 0L), (cache.CrlCount, cache.ResponseCount, cache.CrlOctets));
    }

    [Fact]
    public void The_signature_of_a_list_is_checked_once_per_key()
    {
        var list = _root.Crl();
        Assert.False(list.IsVerified);
        Assert.False(list.IsSignedBy(Issuing.Root().Certificate.Key!));
        Assert.False(list.IsVerified);
        Assert.True(list.IsSignedBy(_root.Certificate.Key!));
        Assert.True(list.IsVerified);
        Assert.False(list.IsSignedBy(Issuing.Root().Certificate.Key!));
    }
}
