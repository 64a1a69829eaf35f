using System.Collections.Generic;
using Warifu.Policy;

namespace Warifu.Engine;

/// <summary>Who asks the host something: an SA, of either version. When it is closed, answers to its questions mean nothing any more.</summary>
internal interface IAsker
{
    IkeEngine Engine { get; }

    uint Id { get; }

    Connection Connection { get; }

    ReportBuilder Report { get; }

    /// <summary>Numbers of questions without an answer.</summary>
    HashSet<ulong> Asks { get; }

    bool IsClosed { get; }

    /// <summary>Ends at once, without a word to the peer.</summary>
    void Close(string reason, string text);
}
