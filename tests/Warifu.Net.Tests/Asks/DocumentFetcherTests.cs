using System;
using System.IO;
using System.Linq;
using System.Net;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using Warifu.Engine;
using Warifu.Net.Asks;
using Warifu.Pki;
using Warifu.Primitives;
using Xunit;

namespace Warifu.Net.Tests.Asks;

/// <summary>Fetching CRLs, OCSP responses and certificates: what comes, what is refused, and that no server can hold us up or fill us.</summary>
[Trait("Item", "2.3")]
public sealed class DocumentFetcherTests : IAsyncDisposable
{
    private readonly DocumentServer _server = new();
    private readonly DocumentFetcher _fetcher = new(0, allowPrivate: false) { Patience = TimeSpan.FromSeconds(5) };

    private static Ask.Fetch Crl(string uri) => new(uri, DocumentKind.Crl, []);

    public async ValueTask DisposeAsync()
    {
        _fetcher.Dispose();
        await _server.DisposeAsync();
    }

    [Fact]
    public async Task A_list_is_got()
    {
        _server.Answer = _ => DocumentServer.Ok("a list");
        var (octets, why) = await _fetcher.FetchAsync(Crl(_server.Uri("/root.crl")));
        Assert.Equal(("", "a list"), (why, Encoding.ASCII.GetString(octets.Span)));
        Assert.StartsWith("GET /root.crl HTTP/1.1\r\n", Assert.Single(_server.Requests), StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_OCSP_request_is_posted()
    {
        _server.Answer = _ => DocumentServer.Ok("a response");
        var (octets, why) = await _fetcher.FetchAsync(new Ask.Fetch(_server.Uri("/ocsp"), DocumentKind.Ocsp, [.. "a question"u8]));
        Assert.Equal(("", "a response"), (why, Encoding.ASCII.GetString(octets.Span)));
        var request = Assert.Single(_server.Requests);
        Assert.StartsWith("POST /ocsp HTTP/1.1\r\n", request, StringComparison.Ordinal);
        Assert.Contains("Content-Type: application/ocsp-request\r\n", request, StringComparison.Ordinal);
        Assert.EndsWith("a question", request, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "HTTP status 404")]
    [InlineData("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", "more than")]
    [InlineData("rubbish\r\n\r\n", "")]
    [InlineData("", "")]
    [InlineData("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", "")]
    public async Task What_a_server_does_wrong_becomes_a_sentence(string answer, string text)
    {
        _server.Answer = _ => Encoding.ASCII.GetBytes(answer);
        var (octets, why) = await _fetcher.FetchAsync(Crl(_server.Uri("/")));
        Assert.True(octets.IsEmpty);
        Assert.NotEmpty(why);
        Assert.Contains(text, why, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_body_without_a_length_ends_at_the_limit()
    {
        _server.Answer = _ => [.. "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"u8, .. new byte[DocumentFetcher.LimitOf(DocumentKind.Ocsp) + 1]];
        var (octets, why) = await _fetcher.FetchAsync(new Ask.Fetch(_server.Uri("/"), DocumentKind.Ocsp, [1]));
        Assert.True(octets.IsEmpty);
        Assert.Contains($"more than {DocumentFetcher.LimitOf(DocumentKind.Ocsp)} octets", why, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_head_without_an_end_is_given_up()
    {
        _server.Answer = _ => [.. "HTTP/1.1 200 OK\r\nX: "u8, .. Enumerable.Repeat((byte)'a', 100_000)];
        Assert.NotEmpty((await _fetcher.FetchAsync(Crl(_server.Uri("/")))).Why);
    }

    [Fact]
    public async Task A_server_that_says_nothing_is_given_up()
    {
        using var impatient = new DocumentFetcher(0, allowPrivate: false) { Patience = TimeSpan.FromMilliseconds(300) };
        _server.Answer = _ => null;
        Assert.Equal("no answer in time", (await impatient.FetchAsync(Crl(_server.Uri("/")))).Why);
    }

    [Fact]
    public async Task A_port_where_nobody_listens_is_told()
    {
        var uri = _server.Uri("/");
        await _server.DisposeAsync();
        Assert.Contains("refused", (await _fetcher.FetchAsync(Crl(uri))).Why, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(2, true)]
    [InlineData(3, false)]
    public async Task Redirects_are_followed_twice(int redirects, bool isGood)
    {
        _server.Answer = request => int.Parse(request[5..6], System.Globalization.CultureInfo.InvariantCulture) is var left && left > 0
            ? Encoding.ASCII.GetBytes($"HTTP/1.1 302 Found\r\nLocation: /{left - 1}\r\nContent-Length: 0\r\n\r\n")
            : DocumentServer.Ok("there");
        var (octets, _) = await _fetcher.FetchAsync(Crl(_server.Uri($"/{redirects}")));
        Assert.Equal(isGood, !octets.IsEmpty);
        Assert.Equal(3, _server.Requests.Count);
    }

    [Fact]
    public async Task A_redirect_to_a_file_is_not_followed()
    {
        _server.Answer = _ => "HTTP/1.1 302 Found\r\nLocation: file:///etc/hostname\r\nContent-Length: 0\r\n\r\n"u8.ToArray();
        Assert.True((await _fetcher.FetchAsync(Crl(_server.Uri("/")))).Octets.IsEmpty);
    }

    [Fact]
    public async Task What_a_peer_names_is_not_got_from_this_host_unless_that_is_allowed()
    {
        _server.Answer = _ => DocumentServer.Ok("secret");
        var ask = new Ask.Fetch(_server.Uri("/"), DocumentKind.Certificate, []);
        var (octets, why) = await _fetcher.FetchAsync(ask);
        Assert.True(octets.IsEmpty);
        Assert.Contains("private", why, StringComparison.Ordinal);
        Assert.True((await _fetcher.FetchAsync(ask with { Uri = ask.Uri.Replace("127.0.0.1", "localhost", StringComparison.Ordinal) })).Octets.IsEmpty);
        Assert.True((await _fetcher.FetchAsync(ask with { Kind = DocumentKind.Bundle })).Octets.IsEmpty);
        Assert.Empty(_server.Requests);
        using var allowed = new DocumentFetcher(0, allowPrivate: true);
        Assert.Equal("", (await allowed.FetchAsync(ask)).Why);
    }

    [Theory]
    [InlineData("127.0.0.1", true)]
    [InlineData("10.255.0.1", true)]
    [InlineData("172.16.0.1", true)]
    [InlineData("172.31.255.255", true)]
    [InlineData("172.32.0.1", false)]
    [InlineData("192.168.1.1", true)]
    [InlineData("169.254.169.254", true)]
    [InlineData("100.64.0.1", true)]
    [InlineData("100.128.0.1", false)]
    [InlineData("0.0.0.0", true)]
    [InlineData("224.0.0.1", true)]
    [InlineData("255.255.255.255", true)]
    [InlineData("8.8.8.8", false)]
    [InlineData("203.0.113.1", false)]
    [InlineData("::1", true)]
    [InlineData("::", true)]
    [InlineData("fe80::1", true)]
    [InlineData("fec0::1", true)]
    [InlineData("fc00::1", true)]
    [InlineData("fdff::1", true)]
    [InlineData("ff02::1", true)]
    [InlineData("::ffff:127.0.0.1", true)]
    [InlineData("64:ff9b::10.0.0.1", true)]
    [InlineData("64:ff9b::8.8.8.8", false)]
    [InlineData("2002:a00:1::", true)]
    [InlineData("2002:808:808::", false)]
    [InlineData("2001::1", true)]
    [InlineData("2001:db8::1", false)]
    public void Private_addresses(string address, bool isPrivate) => Assert.Equal(isPrivate, DocumentFetcher.IsPrivate(IpAddress.From(IPAddress.Parse(address))));

    [Theory]
    [InlineData("ftp://127.0.0.1/x")]
    [InlineData("ldap://127.0.0.1/x")]
    [InlineData("no url")]
    [InlineData("/etc/hostname/")]
    public async Task Other_schemes_are_refused(string uri) => Assert.NotEmpty((await _fetcher.FetchAsync(Crl(uri))).Why);

    [Fact]
    public async Task Files_are_read_and_devices_are_not()
    {
        var path = Path.Combine(AppContext.BaseDirectory, $"warifu-{Environment.ProcessId}.crl");
        await File.WriteAllTextAsync(path, "a list", TestContext.Current.CancellationToken);
        try
        {
            Assert.Equal("a list", Encoding.ASCII.GetString((await _fetcher.FetchAsync(Crl("file://" + path))).Octets.Span));
            Assert.Contains("peer must not", (await _fetcher.FetchAsync(new Ask.Fetch("file://" + path, DocumentKind.Certificate, []))).Why, StringComparison.Ordinal);
        }
        finally
        {
            File.Delete(path);
        }

        Assert.Contains("no such file", (await _fetcher.FetchAsync(Crl("file:///dev/zero"))).Why, StringComparison.Ordinal);
        Assert.Contains("no such file", (await _fetcher.FetchAsync(Crl("file:///nonexistent"))).Why, StringComparison.Ordinal);
        Assert.Contains("no such file", (await _fetcher.FetchAsync(Crl("file:///dev"))).Why, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_same_list_is_got_once_for_all_who_want_it()
    {
        using var gate = new ManualResetEventSlim();
        _server.Answer = _ =>
        {
            gate.Wait(TimeSpan.FromSeconds(5));
            return DocumentServer.Ok("a list");
        };
        var fetches = Enumerable.Range(0, 50).Select(_ => _fetcher.FetchAsync(Crl(_server.Uri("/one")))).ToArray();
        gate.Set();
        Assert.All(await Task.WhenAll(fetches), fetched => Assert.Equal("", fetched.Why));
        Assert.Single(_server.Requests);
    }

    [Fact]
    public async Task Only_so_many_at_a_time_and_only_so_many_waiting()
    {
        using var gate = new ManualResetEventSlim();
        _server.Answer = _ =>
        {
            gate.Wait(TimeSpan.FromSeconds(5));
            return DocumentServer.Ok("a list");
        };
        var fetches = Enumerable.Range(0, DocumentFetcher.MaxWaiting + 10).Select(index => _fetcher.FetchAsync(Crl(_server.Uri($"/{index}")))).ToArray();
        Assert.Equal(10, fetches.Count(fetch => fetch.IsCompleted));
        gate.Set();
        var all = await Task.WhenAll(fetches);
        Assert.Equal(10, all.Count(fetched => fetched.Why.Contains("too many", StringComparison.Ordinal)));
        Assert.InRange(_server.MostAtOnce, 1, DocumentFetcher.MaxConcurrent);
    }
}
