using System;
using System.Security.Cryptography;
using Warifu.Primitives;

namespace Warifu.Net;

/// <summary>The operating system's random numbers.</summary>
internal sealed class SystemEntropy : IEntropy
{
    public void Fill(Span<byte> destination) => RandomNumberGenerator.Fill(destination);
}
