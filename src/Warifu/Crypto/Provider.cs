namespace Warifu.Crypto;

/// <summary>Who computes. Callers name the best one that may be used; what it lacks, the one below serves.</summary>
internal enum Provider
{
    /// <summary>BouncyCastle: everything, everywhere; slow, allocates, not in constant time.</summary>
    Managed,
    /// <summary>OpenSSL 3's libcrypto, found at run time.</summary>
    Libcrypto,
    /// <summary>Instructions of the processor: AES-GCM and AES-GMAC.</summary>
    Processor,
}
