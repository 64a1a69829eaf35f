namespace Warifu.Engine;

/// <summary>Why a datagram was dropped without an answer: unauthenticated rubbish is counted, never logged above Trace, never an exception.</summary>
internal enum DropReason
{
    None,
    /// <summary>Shorter than a header, or the length field is not that of the datagram.</summary>
    BadHeader,
    /// <summary>IKEv1, which no connection here speaks.</summary>
    Version1,
    HigherVersion,
    UnknownSpi,
    BadFlags,
    UnknownExchange,
    Malformed,
    /// <summary>The SK payload does not authenticate.</summary>
    BadIntegrity,
    /// <summary>A message id outside the window.</summary>
    OutOfWindow,
    /// <summary>A response to nothing that was asked.</summary>
    UnexpectedResponse,
    /// <summary>The same request again while it is being worked on.</summary>
    InProgress,
    HalfOpenLimit,
    HalfOpenPerPrefix,
    BadCookie,
    NoConnection,
    /// <summary>An answer would be longer than the design allows.</summary>
    Amplification,
    NotEstablished,
    /// <summary>A fragment although fragmentation was not agreed on, one that is there already or of a set that the sender has given up, or one too many.</summary>
    UnwantedFragment,
    /// <summary>IKEv2 from a peer that is configured for IKEv1 only.</summary>
    OtherVersion,
    /// <summary>An IKEv1 informational message that nothing protects: it is never acted on.</summary>
    Unprotected,
}
