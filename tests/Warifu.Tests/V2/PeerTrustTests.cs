using System;
using System.Collections.Generic;
using System.Linq;
using System.Text;
using Warifu.Engine;
using Warifu.Pki;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Simulation;
using Warifu.Tests.Pki;
using Warifu.V2;
using Xunit;

namespace Warifu.Tests.V2;

/// <summary>How the engine comes to a verdict: which questions it asks the host, once, in which order, and what is kept.</summary>
[Trait("Item", "2.3")]
public sealed class PeerTrustTests : IDisposable
{
    private const string CrlUri = "http://crl.example.org/root.crl", OcspUri = "http://ocsp.example.org/";

    private static readonly Identity s_name = Identity.Fqdn("gw.example.org");

    private readonly Entity _root = Issuing.Root();
    private readonly EnginePair _pair;
    private readonly IkeSa _sa;
    private readonly List<PathVerdict> _verdicts = [];
    private Instant _now;

    public PeerTrustTests()
    {
        _pair = new EnginePair(left: new EngineOptions { HashAndUrl = true });
        _pair.Load(EnginePair.LeftGateway(), EnginePair.RightGateway());
        Assert.True(_pair.Up().Success);
        _now = _pair.Now;
        Trust(Judging.Material(_root));
        _sa = Assert.Single(Host.Engine.IkeSas);
        Host.HeldAsks = [];
    }

    private EngineHost Host => _pair.Left;

    private RemoteAuth Remote { get; set; } = new() { Kind = AuthKind.PublicKey };

    public void Dispose() => _pair.Dispose();

    private void Trust(TrustMaterial material) => Host.Load(new PolicySet { Connections = [EnginePair.LeftGateway()], Trust = material }, _now);

    private static PeerCertificates Offer(params Entity[] entities)
    {
        var offered = new PeerCertificates();
        foreach (var entity in entities) offered.Add(CertEncoding.X509Signature, entity.Der);
        return offered;
    }

    private void Decide(PeerCertificates offered, Identity? identity = null, IkeSa? sa = null)
    {
        PeerTrust.Decide(sa ?? _sa, Remote, offered, identity ?? s_name, _verdicts.Add);
        Host.Drain(_now);
    }

    private (AskId Id, T Question) Next<T>()
        where T : Ask
    {
        var index = Host.HeldAsks!.FindIndex(ask => ask.Question is T);
        Assert.True(index >= 0, $"no {typeof(T).Name} among {Host.HeldAsks.Count} questions");
        var (id, question) = Host.HeldAsks[index];
        Host.HeldAsks.RemoveAt(index);
        return (id, (T)question);
    }

    private void Give(Answer answer)
    {
        Host.Engine.Handle(answer, _now);
        Host.Drain(_now);
    }

    private void TellTime(DateTimeOffset? time = null) => Give(new Answer.WallTime(Next<Ask.WallTime>().Id, time ?? Issuing.Now));

    private Ask.Fetch Deliver(byte[] document)
    {
        var (id, question) = Next<Ask.Fetch>();
        Give(FetchedDocument.Answer(id, question, document));
        return question;
    }

    private void Refuse(string why) => Give(new Answer.Failed(Next<Ask.Fetch>().Id, why));

    private PathVerdict Verdict()
    {
        Assert.Empty(Host.HeldAsks!);
        var verdict = Assert.Single(_verdicts);
        _verdicts.Clear();
        return verdict;
    }

    private Entity Peer(Action<CertificateSpec>? make = null) => _root.Issue("CN=gw", spec =>
    {
        spec.Dns("gw.example.org");
        make?.Invoke(spec);
    });

    [Fact]
    public void The_host_tells_the_time()
    {
        Decide(Offer(Peer()));
        Assert.Empty(_verdicts);
        TellTime();
        Assert.IsType<PathVerdict.Good>(Verdict());
        Decide(Offer(Peer()));
        TellTime(Issuing.Now.AddYears(2));
        Assert.Equal(PathRule.Expired, Assert.IsType<PathVerdict.Bad>(Verdict()).Failure.Rule);
        Decide(Offer(Peer()));
        Give(new Answer.Failed(Next<Ask.WallTime>().Id, "no clock"));
        Assert.IsType<PathVerdict.Bad>(Verdict());
    }

    [Fact]
    public void A_list_is_fetched_once_for_all_who_come_later()
    {
        Remote = Remote with { Revocation = RevocationPolicy.Strict };
        var (peer, bad) = (Peer(spec => spec.Crl(CrlUri)), Peer(spec => spec.Crl(CrlUri)));
        Decide(Offer(peer));
        TellTime();
        Assert.Empty(_verdicts);
        var asked = Deliver(_root.CrlDer(null, bad.Certificate));
        Assert.Equal((CrlUri, DocumentKind.Crl), (asked.Uri, asked.Kind));
        Assert.IsType<PathVerdict.Good>(Verdict());
        Decide(Offer(bad));
        TellTime();
        Assert.Equal(PathRule.Revoked, Assert.IsType<PathVerdict.Bad>(Verdict()).Failure.Rule);
        // the next list is due
        _now += TimeSpan.FromDays(2);
        Decide(Offer(peer));
        TellTime(Issuing.Now.AddDays(2));
        Deliver(_root.CrlDer(list => (list.This, list.Next) = (Issuing.Now.AddDays(2), Issuing.Now.AddDays(3)), peer.Certificate));
        Assert.Equal(PathRule.Revoked, Assert.IsType<PathVerdict.Bad>(Verdict()).Failure.Rule);
    }

    [Fact]
    public void What_cannot_be_fetched_is_not_asked_for_again_at_once()
    {
        var peer = Peer(spec => spec.Crl(CrlUri));
        Decide(Offer(peer));
        TellTime();
        Refuse("connection refused");
        Assert.Contains("connection refused", Assert.Single(Assert.IsType<PathVerdict.Good>(Verdict()).Notes), StringComparison.Ordinal);
        Remote = Remote with { Revocation = RevocationPolicy.Strict };
        Decide(Offer(peer));
        TellTime();
        var failure = Assert.IsType<PathVerdict.Bad>(Verdict()).Failure;
        Assert.Equal(PathRule.RevocationUnknown, failure.Rule);
        Assert.Contains("connection refused", failure.Sentence, StringComparison.Ordinal);
        _now += TimeSpan.FromSeconds(61);
        Decide(Offer(peer));
        TellTime();
        Deliver(_root.CrlDer(null));
        Assert.IsType<PathVerdict.Good>(Verdict());
    }

    [Fact]
    public void Those_who_want_the_same_list_wait_for_it_together_and_one_that_ends_hurts_nobody()
    {
        var other = Host.Engine.NewSa(_sa.Connection, true, _sa.Local, _sa.Remote);
        Decide(Offer(Peer(spec => spec.Crl(CrlUri))));
        TellTime();
        Decide(Offer(Peer(spec => spec.Crl(CrlUri))), sa: other);
        TellTime();
        Assert.Single(Host.HeldAsks!);
        Assert.Equal(1, Host.Engine.Trust.Pending);
        _sa.Close("down", "a test");
        Host.Drain(_now);
        Assert.Single(Host.HeldAsks!);
        Deliver(_root.CrlDer(null));
        Assert.IsType<PathVerdict.Good>(Verdict());
        Assert.Equal(0, Host.Engine.Trust.Pending);
    }

    [Fact]
    public void Nothing_is_fetched_for_a_stranger()
    {
        var stranger = Issuing.Root("CN=Stranger");
        Decide(Offer(stranger.Issue("CN=gw", spec => spec.Dns("gw.example.org").Crl(CrlUri).Ocsp(OcspUri)), stranger));
        TellTime();
        Assert.Equal(PathRule.UntrustedRoot, Assert.IsType<PathVerdict.Bad>(Verdict()).Failure.Rule);
        Decide(Offer(Peer(spec => spec.Crl(CrlUri))), Identity.Fqdn("other.example.org"));
        TellTime();
        Assert.Equal(PathRule.Identity, Assert.IsType<PathVerdict.Bad>(Verdict()).Failure.Rule);
    }

    [Fact]
    public void A_responder_is_asked_and_its_answer_kept_and_an_old_answer_is_found_out_by_its_nonce()
    {
        Remote = Remote with { Revocation = RevocationPolicy.Strict };
        var peer = Peer(spec => spec.Ocsp(OcspUri));
        Decide(Offer(peer));
        TellTime();
        var asked = Deliver(_root.OcspDer(peer.Certificate, spec => spec.Nonce = new byte[OcspRequest.NonceLength]));
        Assert.Equal((OcspUri, DocumentKind.Ocsp), (asked.Uri, asked.Kind));
        Assert.Contains("nonce differs", Assert.IsType<PathVerdict.Bad>(Verdict()).Failure.Sentence, StringComparison.Ordinal);
        _now += TimeSpan.FromSeconds(61);
        Decide(Offer(peer));
        TellTime();
        asked = Assert.IsType<Ask.Fetch>(Host.HeldAsks![0].Question);
        Deliver(_root.OcspDer(peer.Certificate, spec => spec.Nonce = asked.Request.AsSpan()[^OcspRequest.NonceLength..].ToArray()));
        Assert.IsType<PathVerdict.Good>(Verdict());
        _now += TimeSpan.FromSeconds(61);
        Decide(Offer(peer));
        TellTime();
        Assert.IsType<PathVerdict.Good>(Verdict());
    }

    [Fact]
    public void A_response_that_the_peer_sends_along_spares_the_question()
    {
        Remote = Remote with { Revocation = RevocationPolicy.Strict };
        var peer = Peer(spec => spec.Ocsp(OcspUri));
        var offered = Offer(peer);
        offered.Add(CertEncoding.OcspContent, _root.OcspDer(peer.Certificate));
        Decide(offered);
        TellTime();
        Assert.IsType<PathVerdict.Good>(Verdict());
    }

    [Fact]
    public void Rubbish_instead_of_a_list_is_told()
    {
        Remote = Remote with { Revocation = RevocationPolicy.IfUri };
        Decide(Offer(Peer(spec => spec.Crl(CrlUri))));
        TellTime();
        Deliver(Encoding.ASCII.GetBytes("<html>"));
        Assert.Contains("there is no CRL", Assert.IsType<PathVerdict.Bad>(Verdict()).Failure.Sentence, StringComparison.Ordinal);
    }

    [Fact]
    public void A_list_of_somebody_else_is_no_list()
    {
        Remote = Remote with { Revocation = RevocationPolicy.Strict };
        var peer = Peer(spec => spec.Crl(CrlUri));
        Decide(Offer(peer));
        TellTime();
        // the same name and another key
        Deliver(Issuing.Root().CrlDer(null));
        Assert.Contains("is not signed by 'C=CH, O=Example, CN=Root'", Assert.IsType<PathVerdict.Bad>(Verdict()).Failure.Sentence, StringComparison.Ordinal);
        // and it does not stand in the way of the right one
        Assert.Equal(0, Host.Engine.Trust.Known.CrlCount);
        _now += TimeSpan.FromSeconds(61);
        Decide(Offer(peer));
        TellTime();
        Deliver(_root.CrlDer(null));
        Assert.IsType<PathVerdict.Good>(Verdict());
    }

    [Fact]
    public void The_host_is_told_whose_signature_counts_and_the_engine_hashes_no_list()
    {
        Remote = Remote with { Revocation = RevocationPolicy.IfUri };
        var sub = _root.Authority("CN=Sub");
        Decide(Offer(sub.Issue("CN=gw", spec => spec.Dns("gw.example.org").Crl(CrlUri)), sub));
        TellTime();
        var asked = Deliver(sub.CrlDer(null));
        Assert.Equal([sub.Certificate.Spki.ToArray()], asked.Signers.Select(signer => signer.ToArray()));
        Assert.True(Assert.Single(Host.Engine.Trust.Known.CrlsOf(sub.Certificate.Subject)).IsVerified);
    }

    [Fact]
    public void A_list_may_be_signed_by_another_certificate_of_the_authority()
    {
        // RFC 5280 section 6.3.3 (f): the root gave its sub CA another one, for lists
        Remote = Remote with { Revocation = RevocationPolicy.IfUri };
        var sub = _root.Authority("CN=Sub");
        var lists = _root.Issue("CN=Sub", spec => spec.Usage(6));
        Decide(Offer(sub.Issue("CN=gw", spec => spec.Dns("gw.example.org").Crl(CrlUri)), sub, lists));
        TellTime();
        var asked = Deliver(sub.CrlDer(list => list.Signer = lists.Key));
        Assert.Equal(2, asked.Signers.Length);
        Assert.IsType<PathVerdict.Good>(Verdict());
    }

    [Fact]
    public void A_list_may_be_PEM()
    {
        Remote = Remote with { Revocation = RevocationPolicy.Strict };
        Decide(Offer(Peer(spec => spec.Crl(CrlUri))));
        TellTime();
        Deliver(Encoding.ASCII.GetBytes($"-----BEGIN X509 CRL-----\n{Convert.ToBase64String(_root.CrlDer(null), Base64FormattingOptions.InsertLineBreaks)}\n-----END X509 CRL-----\n"));
        Assert.IsType<PathVerdict.Good>(Verdict());
    }

    [Fact]
    public void A_peer_that_waits_too_long_gets_its_verdict_without_what_is_missing()
    {
        Decide(Offer(Peer(spec => spec.Crl(CrlUri, CrlUri + "2", CrlUri + "3"))));
        TellTime();
        _now += TimeSpan.FromSeconds(21);
        Host.Engine.HandleTimeout(_now);
        Host.HeldAsks!.RemoveAll(ask => ask.Question is not Ask.Fetch);
        Refuse("no answer in time");
        Host.HeldAsks.RemoveAll(ask => ask.Question is Ask.LastTraffic);
        Assert.Contains("no time is left", Assert.Single(Assert.IsType<PathVerdict.Good>(Verdict()).Notes), StringComparison.Ordinal);
    }

    [Fact]
    public void All_certificates_of_a_chain_are_asked_about_at_once()
    {
        Remote = Remote with { Revocation = RevocationPolicy.Strict };
        var sub = _root.Authority("CN=Sub", spec => spec.Crl(CrlUri));
        var peer = sub.Issue("CN=gw", spec => spec.Dns("gw.example.org").Ocsp(OcspUri));
        Decide(Offer(peer, sub));
        TellTime();
        Assert.Equal(2, Host.HeldAsks!.Count);
        Host.HeldAsks.Sort((left, right) => string.CompareOrdinal(((Ask.Fetch)left.Question).Uri, ((Ask.Fetch)right.Question).Uri));
        Deliver(_root.CrlDer(null));
        Assert.Empty(_verdicts);
        Deliver(sub.OcspDer(peer.Certificate));
        Assert.IsType<PathVerdict.Good>(Verdict());
    }

    [Fact]
    public void A_peer_that_sends_no_certificate_is_known_by_its_name()
    {
        var peer = Peer();
        Trust(Judging.Material(_root) with { Certificates = [[.. _root.Issue("CN=x", spec => spec.Dns("x.example.org")).Der], [.. peer.Der]] });
        Host.HeldAsks!.Clear();
        Decide(new PeerCertificates());
        TellTime();
        Assert.Equal(peer.Certificate, Assert.IsType<PathVerdict.Good>(Verdict()).Chain[0]);
        Decide(new PeerCertificates(), Identity.Fqdn("y.example.org"));
        TellTime();
        Assert.Equal(PathRule.NoCertificate, Assert.IsType<PathVerdict.Bad>(Verdict()).Failure.Rule);
        var offered = new PeerCertificates();
        offered.Add(CertEncoding.X509Signature, [0x30, 0x03, 1, 2, 3]);
        Decide(offered, Identity.Fqdn("y.example.org"));
        TellTime();
        Assert.Equal(PathRule.Malformed, Assert.IsType<PathVerdict.Bad>(Verdict()).Failure.Rule);
    }

    [Fact]
    public void Authorities_of_the_connection_are_the_only_ones()
    {
        var other = Issuing.Root("CN=Other");
        Remote = Remote with { CaCertificates = [[.. other.Der]] };
        Decide(Offer(Peer()));
        TellTime();
        Assert.Equal(PathRule.UntrustedRoot, Assert.IsType<PathVerdict.Bad>(Verdict()).Failure.Rule);
        Decide(Offer(other.Issue("CN=gw", spec => spec.Dns("gw.example.org"))));
        TellTime();
        Assert.IsType<PathVerdict.Good>(Verdict());
    }

    [Fact]
    public void Certificates_by_hash_and_URL_are_fetched_first()
    {
        var peer = Peer();
        var offered = new PeerCertificates();
        offered.Add(CertEncoding.HashAndUrl, [.. System.Security.Cryptography.SHA1.HashData(peer.Der), .. "http://example.org/gw"u8]);
        Decide(offered);
        TellTime();
        var asked = Deliver(peer.Der);
        Assert.Equal(("http://example.org/gw", DocumentKind.Certificate), (asked.Uri, asked.Kind));
        Assert.IsType<PathVerdict.Good>(Verdict());
        offered.Add(CertEncoding.HashAndUrl, [.. new byte[20], .. "http://example.org/gw"u8]);
        Decide(offered);
        TellTime();
        Refuse("HTTP status 404");
        Assert.IsType<PathVerdict.Good>(Verdict());
        Assert.Contains("404", offered.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void Without_leave_nothing_is_fetched_by_hash_and_URL()
    {
        using var pair = new EnginePair();
        pair.Load(EnginePair.LeftGateway(), EnginePair.RightGateway());
        Assert.True(pair.Up().Success);
        pair.Left.HeldAsks = [];
        var offered = new PeerCertificates();
        offered.Add(CertEncoding.HashAndUrl, [.. new byte[20], .. "http://example.org/gw"u8]);
        var isDone = false;
        PeerTrust.Resolve(pair.Left.Engine.IkeSas.Single(), offered, () => isDone = true);
        pair.Left.Drain(pair.Now);
        Assert.True(isDone);
        Assert.Empty(pair.Left.HeldAsks);
        Assert.Contains("off", offered.Error, StringComparison.Ordinal);
    }
}
