using System;
using Warifu.Crypto.Signatures;
using Warifu.Pki;

namespace Warifu.Engine;

/// <summary>What a host makes of a document before it gives it to an engine. A CRL may have megabytes: it is read, and its signature checked, on the host's time.</summary>
internal static class FetchedDocument
{
    /// <summary>The answer to <see cref="Ask.Fetch"/>.</summary>
    /// <param name="id">Of the question.</param>
    /// <param name="ask">The question.</param>
    /// <param name="octets">What came; they must not change afterwards.</param>
    public static Answer Answer(AskId id, Ask.Fetch ask, ReadOnlyMemory<byte> octets) =>
        ask.Kind != DocumentKind.Crl ? new Answer.Document(id, octets) : TryReadList(octets) is { } crl ? Answer(id, ask, crl) : new Answer.Failed(id, "there is no CRL");

    /// <summary>As the other overload, with a list that was read before.</summary>
    public static Answer Answer(AskId id, Ask.Fetch ask, Crl crl) =>
        IsSigned(crl, ask) ? new Answer.RevocationList(id, crl) : new Answer.Failed(id, $"the CRL of {Failures.Time(crl.ThisUpdate)} there is not signed by '{crl.Issuer}'");

    /// <summary>Null: it is no CRL. Some publish them as PEM.</summary>
    public static Crl? TryReadList(ReadOnlyMemory<byte> octets) => Crl.TryParse(Unwrapped(octets), out var crl) ? crl : null;

    /// <summary>One of those whom the judge would believe has signed it.</summary>
    public static bool IsSigned(Crl crl, Ask.Fetch ask)
    {
        foreach (var signer in ask.Signers)
        {
            if (PublicKey.TryParse(signer.Span, out var key) && crl.IsSignedBy(key)) return true;
        }

        return false;
    }

    private static ReadOnlyMemory<byte> Unwrapped(ReadOnlyMemory<byte> octets) =>
        Pem.IsPem(octets.Span) && Pem.Read(octets.Span).Find(block => block.Label == "X509 CRL") is { Octets: { } der } ? der : octets;
}
