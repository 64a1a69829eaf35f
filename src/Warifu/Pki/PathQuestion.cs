using System;
using System.Collections.Frozen;
using System.Collections.Generic;
using System.Collections.Immutable;
using Warifu.Policy;
using Warifu.Primitives;

namespace Warifu.Pki;

/// <summary>Everything that <see cref="PathJudge"/> may look at: the same question has the same verdict.</summary>
internal sealed record PathQuestion
{
    /// <summary>What the peer sent, its own certificate first; the others in any order.</summary>
    public required ImmutableArray<Certificate> Offered { get; init; }

    public required TrustStore Trust { get; init; }

    /// <summary>What the connection asks for.</summary>
    public required RemoteAuth Remote { get; init; }

    /// <summary>Authorities of the connection, read from <see cref="RemoteAuth.CaCertificates"/>: when there are any, only they are trusted.</summary>
    public ImmutableArray<Certificate> Authorities { get; init; } = [];

    /// <summary>What the peer calls itself; null: any (the chain alone is judged).</summary>
    public Identity? Identity { get; init; }

    public required DateTimeOffset Now { get; init; }

    /// <summary>OCSP responses that the peer sent along (RFC 4806).</summary>
    public ImmutableArray<OcspResponse> Responses { get; init; } = [];

    /// <summary>CRLs that the peer sent along.</summary>
    public ImmutableArray<Crl> Crls { get; init; } = [];

    /// <summary>CRLs and responses that were fetched before.</summary>
    public RevocationCache? Known { get; init; }

    /// <summary>Keys of wishes that were tried, with what came of them: they are not wished for again.</summary>
    public IReadOnlyDictionary<string, string> Tried { get; init; } = FrozenDictionary<string, string>.Empty;

    /// <summary>Nonce for OCSP requests; empty: none.</summary>
    public ImmutableArray<byte> Nonce { get; init; } = [];

    /// <summary>Path of the settings, for remedies: "connections.NAME.remote".</summary>
    public string Settings { get; init; } = "remote";
}
