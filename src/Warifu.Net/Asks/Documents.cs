using System;
using System.Collections.Concurrent;
using System.Threading.Tasks;
using Warifu.Engine;
using Warifu.Pki;

namespace Warifu.Net.Asks;

/// <summary>Answers <see cref="Ask.Fetch"/> for all engines of a node. Revocation lists are read and verified here, once for all who want one at the same time; those that are good are kept on the disk until their next update.</summary>
/// <param name="fetcher">Gets what is not there.</param>
/// <param name="folder">Null: nothing is kept on the disk.</param>
internal sealed class Documents(DocumentFetcher fetcher, CrlFolder? folder)
{
    private readonly ConcurrentDictionary<string, Lazy<Task<(Crl? List, string Why)>>> _lists = new(StringComparer.Ordinal);

    /// <summary>Never throws.</summary>
    public async Task<Answer> AnswerAsync(AskId id, Ask.Fetch ask)
    {
        if (ask.Kind != DocumentKind.Crl)
        {
            var (octets, why) = await fetcher.FetchAsync(ask).ConfigureAwait(false);
            return why.Length == 0 ? FetchedDocument.Answer(id, ask, octets) : new Answer.Failed(id, why);
        }

        var shared = _lists.GetOrAdd(ask.Uri, _ => new Lazy<Task<(Crl? List, string Why)>>(() => Task.Run(() => ListAsync(ask))));
        var (list, whyNot) = await shared.Value.ConfigureAwait(false);
        _lists.TryRemove(new(ask.Uri, shared));
        return list is null ? new Answer.Failed(id, whyNot) : await Task.Run(() => FetchedDocument.Answer(id, ask, list)).ConfigureAwait(false);
    }

    /// <summary>Forgets what is on the disk.</summary>
    public void Clear() => folder?.Clear();

    private async Task<(Crl? List, string Why)> ListAsync(Ask.Fetch ask)
    {
        // files of this machine need no copy
        var kept = ask.Uri.StartsWith("http", StringComparison.OrdinalIgnoreCase) ? folder : null;
        if (kept?.Read(ask.Uri, DateTimeOffset.UtcNow) is { } known && FetchedDocument.IsSigned(known, ask)) return (known, "");
        var (octets, why) = await fetcher.FetchAsync(ask).ConfigureAwait(false);
        if (why.Length > 0) return (null, why);
        if (FetchedDocument.TryReadList(octets) is not { } crl) return (null, "there is no CRL");
        if (FetchedDocument.IsSigned(crl, ask)) kept?.Write(ask.Uri, crl, DateTimeOffset.UtcNow);
        return (crl, "");
    }
}
