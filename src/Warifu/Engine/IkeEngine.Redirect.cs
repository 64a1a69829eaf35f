using System;
using System.Collections.Generic;
using System.Linq;
using System.Text;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.V2;
using Warifu.Wire;

namespace Warifu.Engine;

/// <summary>Gateways that send us to another one (RFC 5685). Connection, identities and secrets stay the same: who is not acceptable as the first gateway is not acceptable as the second either.</summary>
internal sealed partial class IkeEngine
{
    private readonly Dictionary<string, (Instant Since, int Count)> _redirects = new(StringComparer.Ordinal);

    /// <summary>The new gateway of a REDIRECT (section 9.2), and the nonce data behind it; null when it is none that we can use.</summary>
    public static HostPattern? GatewayOf(in NotifyView redirect, out ReadOnlySpan<byte> nonce)
    {
        var data = redirect.Data;
        nonce = data[(2 + data[1])..];
        var identity = data.Slice(2, data[1]);
        if (data[0] is 1 or 2) return IpAddress.FromOctets(identity) is { IsNone: false, IsUnspecified: false } address ? HostPattern.Of(address) : null;
        if (data[0] != 3 || identity.Length > 253 || identity.ContainsAnyExceptInRange((byte)'!', (byte)'~')) return null;
        return HostPattern.TryParse(Encoding.ASCII.GetString(identity), out var pattern, out _) && (pattern.DnsName is not null || pattern.Single is not null) ? pattern : null;
    }

    /// <summary>Goes on with another gateway: all that waits on this IKE SA, or is up on it, is made there. A loop ends after a few (section 7).</summary>
    public void Redirect(IkeSa sa, HostPattern target)
    {
        var connection = sa.Connection;
        var (since, count) = _redirects.GetValueOrDefault(connection.Name, (Now, 0));
        if (Now - since > ProtocolTimes.RedirectPeriod) (since, count) = (Now, 0);
        if (count >= ProtocolTimes.Redirects)
        {
            var sentence = $"{sa.Remote.Address} sends us on to {target}, the {count + 1}th time within {ProtocolTimes.RedirectPeriod.TotalSeconds:0} seconds: the gateways send us in a circle";
            if (sa.Handshake is null) Raise(new Notice(NoticeLevel.Warning, sentence) { Connection = connection.Name, IkeId = sa.Id });
            else InCircle(sa, new NegotiationFailure("redirect", sentence, [], [], [], "at the peer: its gateways must not redirect to each other"));
            return;
        }

        _redirects[connection.Name] = (since, count + 1);
        var text = $"{sa.Remote.Address} sends us on to {target}";
        sa.Report.Add(Now, StepDirection.Here, text);
        Raise(new Notice(NoticeLevel.Info, text) { Connection = connection.Name, IkeId = sa.Id });
        var initiation = new Initiation(connection) { Target = target, RedirectedFrom = sa.Remote.Address };
        TakeWishes(sa, initiation);
        initiation.Children.AddRange(sa.Children.Values.Where(child => child.IsLive).Select(child => new ChildRequest(child.Config, default)));
        if (sa.State == IkeState.Connecting) sa.Close("redirected", text);
        else Lifetimes.Delete(sa, "redirected", text);
        if (_initiating.TryAdd(connection.Name, initiation)) Initiate(initiation);
        else CannotInitiate(initiation, new NegotiationFailure("redirect", text, [], [], [], ""));
    }

    private void InCircle(IkeSa sa, NegotiationFailure failure)
    {
        if (sa.State == IkeState.Connecting)
        {
            Lifetimes.Fail(sa, failure);
            return;
        }

        // the gateway has authenticated itself, and makes no child
        Lifetimes.Tell(sa, failure);
        Lifetimes.Delete(sa, failure.Reason, failure.Sentence);
        RetryStarted(sa.Connection);
    }
}
