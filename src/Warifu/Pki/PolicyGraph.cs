using System.Collections.Generic;
using System.Collections.Immutable;
using System.Linq;

namespace Warifu.Pki;

/// <summary>
/// Certificate policies along a path (RFC 5280 sections 6.1.2 to 6.1.5). The valid_policy_tree is kept as a graph with one node per policy and depth: nodes of the same depth and policy have the same children, so nothing is lost,
/// and what a chosen set of mappings can make it grow to stays small (the tree of the text grows exponentially).
/// </summary>
internal sealed class PolicyGraph
{
    private static readonly Oid s_any = Oid.Of(Oids.AnyPolicy);

    private readonly ImmutableArray<Oid> _wanted;
    private Dictionary<Oid, Node> _level;
    private Dictionary<Oid, Node> _above = [];
    private int _explicit;
    private int _mapping;
    private int _any;

    /// <param name="length">Certificates of the path without the trusted one: n.</param>
    /// <param name="wanted">user-initial-policy-set; empty = any. When given, a policy must be there (initial-explicit-policy).</param>
    public PolicyGraph(int length, ImmutableArray<Oid> wanted)
    {
        _wanted = wanted;
        _level = new Dictionary<Oid, Node> { [s_any] = new Node(s_any, [s_any], []) };
        (_explicit, _mapping, _any) = (wanted.IsEmpty ? length + 1 : 0, length + 1, length + 1);
    }

    /// <summary>What a trusted authority's own certificate says holds for all below it.</summary>
    public void Begin(Certificate anchor)
    {
        var extensions = anchor.Extensions;
        if (extensions.RequireExplicitPolicy is { } require && require < _explicit) _explicit = require;
        if (extensions.InhibitPolicyMapping is { } mapping && mapping < _mapping) _mapping = mapping;
        if (extensions.InhibitAnyPolicy is { } any && any < _any) _any = any;
    }

    /// <summary>One certificate further down. False: no policy is left where one is needed, or a mapping is not allowed.</summary>
    public bool Take(Certificate certificate, bool isLast)
    {
        Process(certificate, isLast);
        if (_explicit == 0 && _level.Count == 0) return false;
        return isLast ? Finish(certificate) : Prepare(certificate);
    }

    /// <summary>Section 6.1.3 (d) and (e).</summary>
    private void Process(Certificate certificate, bool isLast)
    {
        var next = new Dictionary<Oid, Node>();
        if (certificate.Extensions.Policies is { } policies)
        {
            foreach (var policy in policies)
            {
                if (policy.Equals(s_any)) continue;
                Node[] parents = [.. _level.Values.Where(node => node.Expected.Contains(policy))];
                if (parents.Length == 0 && _level.TryGetValue(s_any, out var any)) parents = [any];
                if (parents.Length > 0) next.Add(policy, new Node(policy, [policy], [.. parents]));
            }

            if (policies.Contains(s_any) && (_any > 0 || (!isLast && certificate.IsSelfIssued)))
            {
                foreach (var node in _level.Values)
                {
                    foreach (var expected in node.Expected)
                    {
                        if (!next.TryGetValue(expected, out var child)) next.Add(expected, new Node(expected, [expected], [node]));
                        else if (!child.Parents.Contains(node)) child.Parents.Add(node);
                    }
                }
            }
        }

        (_above, _level) = (_level, next);
    }

    /// <summary>Section 6.1.4.</summary>
    private bool Prepare(Certificate certificate)
    {
        var extensions = certificate.Extensions;
        if (extensions.PolicyMappings.Any(pair => pair.Issuer.Equals(s_any) || pair.Subject.Equals(s_any))) return false;
        foreach (var mapping in extensions.PolicyMappings.GroupBy(pair => pair.Issuer))
        {
            if (_mapping == 0)
            {
                _level.Remove(mapping.Key);
                continue;
            }

            HashSet<Oid> expected = [.. mapping.Select(pair => pair.Subject)];
            if (_level.TryGetValue(mapping.Key, out var node)) node.Expected = expected;
            else if (_level.ContainsKey(s_any) && _above.TryGetValue(s_any, out var any)) _level.Add(mapping.Key, new Node(mapping.Key, expected, [any]));
        }

        if (!certificate.IsSelfIssued)
        {
            if (_explicit > 0) _explicit--;
            if (_mapping > 0) _mapping--;
            if (_any > 0) _any--;
        }

        if (extensions.RequireExplicitPolicy is { } require && require < _explicit) _explicit = require;
        if (extensions.InhibitPolicyMapping is { } inhibit && inhibit < _mapping) _mapping = inhibit;
        if (extensions.InhibitAnyPolicy is { } noAny && noAny < _any) _any = noAny;
        return true;
    }

    /// <summary>Section 6.1.5.</summary>
    private bool Finish(Certificate certificate)
    {
        if (_explicit > 0) _explicit--;
        if (certificate.Extensions.RequireExplicitPolicy == 0) _explicit = 0;
        return _explicit > 0 || (_wanted.IsEmpty ? _level.Count > 0 : _level.Values.Any(IsWanted));
    }

    /// <summary>Some way up from this leaf leaves anyPolicy by a policy that the user wants; a leaf of anyPolicy stands for all.</summary>
    private bool IsWanted(Node leaf)
    {
        if (leaf.Policy.Equals(s_any)) return true;
        var seen = new HashSet<Node> { leaf };
        var open = new Stack<Node>(seen);
        while (open.TryPop(out var node))
        {
            foreach (var parent in node.Parents)
            {
                if (parent.Policy.Equals(s_any))
                {
                    if (_wanted.Contains(node.Policy)) return true;
                }
                else if (seen.Add(parent))
                {
                    open.Push(parent);
                }
            }
        }

        return false;
    }

    private sealed class Node(Oid policy, HashSet<Oid> expected, List<Node> parents)
    {
        public Oid Policy { get; } = policy;

        public HashSet<Oid> Expected { get; set; } = expected;

        public List<Node> Parents { get; } = parents;
    }
}
