using System.Collections.Immutable;
using Warifu.Primitives;

namespace Warifu.Engine;

/// <summary>Collects a negotiation step by step for <see cref="NegotiationReport"/>. Bounded: a peer cannot make it grow.</summary>
internal sealed class ReportBuilder(Instant started, bool initiator)
{
    private readonly ImmutableArray<NegotiationStep>.Builder _steps = ImmutableArray.CreateBuilder<NegotiationStep>();
    private int _characters;

    public Instant Started { get; } = started;

    public bool Initiator { get; } = initiator;

    public bool Ended { get; private set; }

    public void Add(Instant at, StepDirection direction, string title, params ImmutableArray<string> details)
    {
        if (_steps.Count >= ProtocolTimes.ReportSteps) return;
        // what a message holds is long when somebody wants it to be
        foreach (var line in details) _characters += line.Length;
        if (_characters > ProtocolTimes.ReportCharacters) details = [];
        _steps.Add(new NegotiationStep(at, direction, title, details));
    }

    public NegotiationReport Build(string connection, string? child, Endpoint local, Endpoint remote, Instant ended, NegotiationFailure? failure)
    {
        Ended = true;
        return new NegotiationReport
        {
            Connection = connection,
            Child = child,
            Local = local,
            Remote = remote,
            Initiator = Initiator,
            Started = Started,
            Ended = ended,
            Success = failure is null,
            Steps = _steps.ToImmutable(),
            Failure = failure,
        };
    }
}
