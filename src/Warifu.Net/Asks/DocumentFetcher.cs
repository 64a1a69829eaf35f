using System;
using System.Collections.Generic;
using System.IO;
using System.Net;
using System.Net.Http;
using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Threading;
using System.Threading.Tasks;
using Warifu.Engine;
using Warifu.Net.Linux;
using Warifu.Pki;
using Warifu.Primitives;

namespace Warifu.Net.Asks;

/// <summary>
/// Gets CRLs, OCSP responses and certificates named by hash and URL for all engines of a node. Time, size, redirects, connections and waiting requests are bounded; one document is fetched once for all who want it at the same
/// time. What a peer names itself is never fetched from private, loopback and the like addresses unless that is allowed (a peer would make us ask our own network), whatever the name resolves to.
/// </summary>
internal sealed class DocumentFetcher : IDisposable
{
    public const int MaxConcurrent = 8;
    public const int MaxWaiting = 256;

    private static readonly TimeSpan s_connect = TimeSpan.FromSeconds(4);
    private static readonly TimeSpan s_shared = TimeSpan.FromSeconds(5);

    private readonly HttpClient _trusted;
    private readonly HttpClient _named;
    private readonly int _mark;
    private readonly SemaphoreSlim _slots = new(MaxConcurrent);
    private readonly CancellationTokenSource _end = new();
    private readonly Dictionary<(string, DocumentKind), (Task<Fetched> Task, long Until)> _shared = [];
    private int _waiting;

    /// <param name="mark">fwmark of our packets, which keeps them out of our own tunnels; zero = none.</param>
    /// <param name="allowPrivate">What peers name may be in private networks.</param>
    public DocumentFetcher(uint mark, bool allowPrivate)
    {
        _mark = (int)mark;
        _trusted = new HttpClient(Handler(allowPrivate: true), disposeHandler: true) { Timeout = Timeout.InfiniteTimeSpan };
        _named = new HttpClient(Handler(allowPrivate), disposeHandler: true) { Timeout = Timeout.InfiniteTimeSpan };
    }

    /// <summary>Time for one document, waiting included.</summary>
    public TimeSpan Patience { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>A document, or why there is none.</summary>
    public readonly record struct Fetched(ReadOnlyMemory<byte> Octets, string Why);

    /// <summary>Octets that a document of this kind may have.</summary>
    public static int LimitOf(DocumentKind kind) => kind switch
    {
        DocumentKind.Crl => Crl.MaxLength,
        DocumentKind.Bundle => 256 * 1024,
        _ => Certificate.MaxLength,
    };

    /// <summary>Never throws.</summary>
    public Task<Fetched> FetchAsync(Ask.Fetch ask)
    {
        // answers to OCSP requests are of one asker: they carry its nonce
        if (ask.Kind == DocumentKind.Ocsp) return RunAsync(ask);
        var now = Environment.TickCount64;
        lock (_shared)
        {
            if (_shared.TryGetValue((ask.Uri, ask.Kind), out var known) && (!known.Task.IsCompleted || known.Until > now)) return known.Task;
            foreach (var (key, value) in new List<KeyValuePair<(string, DocumentKind), (Task<Fetched> Task, long Until)>>(_shared))
            {
                if (value.Task.IsCompleted && value.Until <= now) _shared.Remove(key);
            }

            var task = RunAsync(ask);
            if (_shared.Count < MaxWaiting) _shared[(ask.Uri, ask.Kind)] = (task, now + (long)(Patience + s_shared).TotalMilliseconds);
            return task;
        }
    }

    public void Dispose()
    {
        _end.Cancel();
        _trusted.Dispose();
        _named.Dispose();
    }

    /// <summary>Addresses that a stranger's URL must not lead to: this host, this network, other networks of the same owner, groups (RFC 6890).</summary>
    public static bool IsPrivate(IpAddress address)
    {
        if (address.IsV4)
        {
            var bits = (uint)address.Bits;
            return Within(bits, 0x00000000, 8) || Within(bits, 0x0A000000, 8) || Within(bits, 0x64400000, 10) || Within(bits, 0x7F000000, 8) || Within(bits, 0xA9FE0000, 16) || Within(bits, 0xAC100000, 12)
                || Within(bits, 0xC0000000, 24) || Within(bits, 0xC0A80000, 16) || Within(bits, 0xC6120000, 15) || bits >= 0xE0000000;
        }

        var octets = address.ToOctets();
        // IPv4 in IPv6: mapped, compatible, NAT64 (RFC 6052), 6to4 (RFC 3056)
        if (octets.AsSpan(0, 10).IndexOfAnyExcept((byte)0) < 0) return true;
        if (octets.AsSpan(0, 12).SequenceEqual(new byte[] { 0, 0x64, 0xFF, 0x9B, 0, 0, 0, 0, 0, 0, 0, 0 })) return IsPrivate(IpAddress.FromOctets(octets.AsSpan(12)));
        if (octets[0] == 0x20 && octets[1] == 0x02) return IsPrivate(IpAddress.FromOctets(octets.AsSpan(2, 4)));
        return (octets[0] & 0xFE) == 0xFC || octets[0] == 0xFF || (octets[0] == 0xFE && octets[1] >= 0x80) || (octets[0] == 0x20 && octets[1] == 0x01 && octets[2] == 0 && octets[3] == 0);

        static bool Within(uint bits, uint prefix, int length) => (bits ^ prefix) >> (32 - length) == 0;
    }

    private async Task<Fetched> RunAsync(Ask.Fetch ask)
    {
        if (Interlocked.Increment(ref _waiting) > MaxWaiting)
        {
            Interlocked.Decrement(ref _waiting);
            return new Fetched(default, "too many documents are being fetched");
        }

        using var patience = CancellationTokenSource.CreateLinkedTokenSource(_end.Token);
        patience.CancelAfter(Patience);
#pragma warning disable CA1031 // whatever a server does: it becomes a sentence
        try
        {
            await _slots.WaitAsync(patience.Token).ConfigureAwait(false);
            try
            {
                return await Task.Run(() => GetAsync(ask, patience.Token), patience.Token).ConfigureAwait(false);
            }
            finally
            {
                _slots.Release();
            }
        }
        catch (OperationCanceledException)
        {
            return new Fetched(default, "no answer in time");
        }
        catch (Exception failure)
        {
            return new Fetched(default, failure is HttpRequestException { InnerException: { } inner } ? inner.Message : failure.Message);
        }
        finally
        {
            Interlocked.Decrement(ref _waiting);
        }
#pragma warning restore CA1031
    }

    private async Task<Fetched> GetAsync(Ask.Fetch ask, CancellationToken cancellation)
    {
        if (!Uri.TryCreate(ask.Uri, UriKind.Absolute, out var uri)) return new Fetched(default, "it is no URL");
        var isNamed = ask.Kind is DocumentKind.Certificate or DocumentKind.Bundle;
        if (uri.IsFile) return isNamed || !uri.IsLoopback ? new Fetched(default, "a peer must not name files") : await ReadFileAsync(uri.LocalPath, LimitOf(ask.Kind), cancellation).ConfigureAwait(false);
        if (uri.Scheme != Uri.UriSchemeHttp && (uri.Scheme != Uri.UriSchemeHttps || isNamed)) return new Fetched(default, $"{uri.Scheme} is not supported");
        using var request = new HttpRequestMessage(ask.Kind == DocumentKind.Ocsp ? HttpMethod.Post : HttpMethod.Get, uri);
        request.Headers.UserAgent.Add(new ProductInfoHeaderValue("Warifu", null));
        if (ask.Kind == DocumentKind.Ocsp)
        {
            // RFC 6960 appendix A.1
            request.Content = new ByteArrayContent(ask.Request.AsSpan().ToArray());
            request.Content.Headers.ContentType = new MediaTypeHeaderValue("application/ocsp-request");
        }

        using var response = await (isNamed ? _named : _trusted).SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancellation).ConfigureAwait(false);
        if (response.StatusCode != HttpStatusCode.OK) return new Fetched(default, $"HTTP status {(int)response.StatusCode}");
        if (response.Content.Headers.ContentLength > LimitOf(ask.Kind)) return new Fetched(default, $"it has {response.Content.Headers.ContentLength} octets, more than {LimitOf(ask.Kind)}");
        await using var body = await response.Content.ReadAsStreamAsync(cancellation).ConfigureAwait(false);
        return await ReadAsync(body, LimitOf(ask.Kind), cancellation).ConfigureAwait(false);
    }

    private static async Task<Fetched> ReadFileAsync(string path, int limit, CancellationToken cancellation)
    {
        // a device or a pipe would never end
        if (!FileKind.IsRegular(path)) return new Fetched(default, "there is no such file");
        await using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, 64 * 1024, useAsync: true);
        return await ReadAsync(file, limit, cancellation).ConfigureAwait(false);
    }

    /// <summary>All there is, growing with what comes, never by what is claimed.</summary>
    private static async Task<Fetched> ReadAsync(Stream stream, int limit, CancellationToken cancellation)
    {
        using var all = new MemoryStream();
        var buffer = new byte[32 * 1024];
        int count;
        while ((count = await stream.ReadAsync(buffer, cancellation).ConfigureAwait(false)) > 0)
        {
            if (all.Length + count > limit) return new Fetched(default, $"it has more than {limit} octets");
            all.Write(buffer, 0, count);
        }

        return new Fetched(all.ToArray(), "");
    }

    private SocketsHttpHandler Handler(bool allowPrivate) => new()
    {
        AllowAutoRedirect = true,
        MaxAutomaticRedirections = 2,
        AutomaticDecompression = DecompressionMethods.None,
        ConnectCallback = (context, cancellation) => ConnectAsync(context.DnsEndPoint, allowPrivate, cancellation),
        MaxConnectionsPerServer = 4,
        MaxResponseHeadersLength = 16,
        PooledConnectionIdleTimeout = TimeSpan.FromSeconds(5),
        UseCookies = false,
        UseProxy = false,
    };

    /// <summary>One address after the other, as the name resolves now; each redirect comes here too.</summary>
    private async ValueTask<Stream> ConnectAsync(DnsEndPoint endpoint, bool allowPrivate, CancellationToken cancellation)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        patience.CancelAfter(s_connect);
        Exception? last = null;
        foreach (var address in await Dns.GetHostAddressesAsync(endpoint.Host, patience.Token).ConfigureAwait(false))
        {
            if (!allowPrivate && IsPrivate(IpAddress.From(address)))
            {
                last ??= new IOException($"{endpoint.Host} is {address}, a private address, where a peer must not send us");
                continue;
            }

            var socket = new Socket(address.AddressFamily, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
            try
            {
                // without privilege the mark fails, and there are no tunnels of ours to keep out of
                if (_mark != 0) _ = Libc.TrySetOption((int)socket.Handle, Libc.SolSocket, Libc.SoMark, _mark);
                await socket.ConnectAsync(address, endpoint.Port, patience.Token).ConfigureAwait(false);
                return new NetworkStream(socket, ownsSocket: true);
            }
            catch (SocketException failure)
            {
                socket.Dispose();
                last = failure;
            }
            catch
            {
                socket.Dispose();
                throw;
            }
        }

        throw last ?? new IOException($"{endpoint.Host} has no address");
    }
}
