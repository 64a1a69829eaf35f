using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using Warifu.Crypto;
using Warifu.Engine;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.V2.Exchanges;

namespace Warifu.V2;

/// <summary>What exists only between IKE_SA_INIT and the end of IKE_AUTH. Its secrets end with it.</summary>
internal sealed class Handshake : IDisposable
{
    public KeyExchange? KeyExchange { get; set; }

    public byte[] Ni { get; set; } = [];

    public byte[] Nr { get; set; } = [];

    /// <summary>Our first message and the peer's, which AUTH covers.</summary>
    public byte[] OwnMessage { get; set; } = [];

    public byte[] PeerMessage { get; set; } = [];

    /// <summary>Name of the secret that proves us, for sentences about its failure; empty when unknown.</summary>
    public string SecretName { get; set; } = "";

    /// <summary>The peer has no other IKE SA with us, it says.</summary>
    public bool InitialContact { get; set; }

    /// <summary>The gateway that sent us here (RFC 5685).</summary>
    public IpAddress RedirectedFrom { get; init; }

    /// <summary>Where the authenticated gateway sends us.</summary>
    public HostPattern? RedirectedTo { get; set; }

    /// <summary>What the initiator's configuration payload asks for (responder).</summary>
    public ConfigurationRequest? Configuration { get; set; }

    /// <summary>Why there is no virtual address where one is needed: the first child is not made.</summary>
    public NegotiationFailure? AddressFailure { get; set; }

    /// <summary>Hashes that the peer takes in signatures (RFC 7427); default = it did not say.</summary>
    public ImmutableArray<HashId> PeerHashes { get; set; }

    /// <summary>What the peer's CERTREQ payloads ask for.</summary>
    public CertificateWish Wish { get; } = new();

    /// <summary>The peer can do several authentications (RFC 4739).</summary>
    public bool PeerDoesRounds { get; set; }

    /// <summary>The responder's rounds.</summary>
    public AuthRounds Rounds { get; } = new();

    /// <summary>The peer said USE_PPK; both did (RFC 8784).</summary>
    public bool PeerUsesPpk { get; set; }

    public bool PpkAgreed { get; set; }

    /// <summary>The responder uses the PPK that the initiator named.</summary>
    public bool PpkUsed { get; set; }

    /// <summary>Keys with the PPK mixed in, until it is known whether both sides use them.</summary>
    public MixedKeys? Mixed { get; set; }

    /// <summary>The initiator's IKE_AUTH.</summary>
    public Exchange? Auth { get; set; }

    /// <summary>Children that wait for the IKE SA; the first goes into IKE_AUTH.</summary>
    public Queue<ChildRequest> Children { get; } = new();

    public void Dispose()
    {
        KeyExchange?.Dispose();
        KeyExchange = null;
        Mixed?.Dispose();
        Mixed = null;
    }
}
