using System;
using System.Collections.Generic;
using System.Linq;
using Warifu.Pki;
using Warifu.Policy;
using Warifu.Primitives;

namespace Warifu.Engine;

/// <summary>What an engine knows about certificates: its trust store, the lists and responses that were fetched, and what is being fetched now. All peers share it; a document is fetched once, and not again for a while, whatever came of it.</summary>
internal sealed class TrustState
{
    /// <summary>A document that was just fetched, or could not be, is not asked for again.</summary>
    private static readonly TimeSpan s_pause = TimeSpan.FromSeconds(60);

    private const int MaxOutcomes = 4096;

    private readonly Dictionary<string, (Instant Until, string Why)> _outcomes = [];
    private readonly Dictionary<string, List<Action<string>>> _pending = [];
    private TrustMaterial _material = TrustMaterial.Empty;
    private TrustStore _store = TrustStore.Empty;

    public RevocationCache Known { get; } = new();

    /// <summary>Documents that are being fetched.</summary>
    public int Pending => _pending.Count;

    public TrustStore StoreOf(PolicySet policy)
    {
        if (!ReferenceEquals(policy.Trust, _material)) (_material, _store) = (policy.Trust, TrustStore.For(policy.Trust));
        return _store;
    }

    /// <summary>What came of it lately: empty when it came, else why not; null when it has not been tried.</summary>
    public string? OutcomeOf(string key, Instant now) => _outcomes.TryGetValue(key, out var outcome) && outcome.Until > now ? outcome.Why : null;

    /// <summary>Waits for a document. True: nobody else does, so it must be asked for.</summary>
    public bool Join(string key, Action<string> then)
    {
        if (_pending.TryGetValue(key, out var waiting))
        {
            waiting.Add(then);
            return false;
        }

        _pending.Add(key, [then]);
        return true;
    }

    /// <summary>It came (<paramref name="why"/> is empty), or did not.</summary>
    public void Leave(string key, string why, Instant now)
    {
        if (_outcomes.Count >= MaxOutcomes)
        {
            foreach (var old in _outcomes.Where(outcome => outcome.Value.Until <= now).Select(outcome => outcome.Key).ToArray()) _outcomes.Remove(old);
            if (_outcomes.Count >= MaxOutcomes) _outcomes.Remove(_outcomes.MinBy(outcome => outcome.Value.Until).Key);
        }

        _outcomes[key] = (now + s_pause, why);
        if (!_pending.Remove(key, out var waiting)) return;
        foreach (var then in waiting) then(why);
    }

    /// <summary>Forgets what was fetched.</summary>
    public void Flush()
    {
        Known.Clear();
        _outcomes.Clear();
    }
}
