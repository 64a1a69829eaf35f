using System;
using System.Collections.Immutable;
using System.ComponentModel;
using Warifu.Net.Linux;
using Warifu.Primitives;

namespace Warifu.Net.Host;

/// <summary>Tells which addresses the host has, at the start and whenever addresses, links or routes change: the way to a peer may be another one then (MOBIKE).</summary>
internal sealed class AddressWatch : IDisposable
{
    private readonly Action<ImmutableArray<IpAddress>> _tell;
    private readonly Func<int, bool> _isOurs;
    private readonly NetlinkWatch _watch;
    private volatile bool _changed;

    /// <param name="tell">Called on the thread of the watch, and by <see cref="Tell"/>.</param>
    /// <param name="isOurs">Whether an interface is one of our own devices: what is inside the tunnels is no way to a peer.</param>
    /// <exception cref="Win32Exception">No notifications can be had.</exception>
    public AddressWatch(Action<ImmutableArray<IpAddress>> tell, Func<int, bool> isOurs)
    {
        (_tell, _isOurs) = (tell, isOurs);
        _watch = new NetlinkWatch(Happened, Settle, () => _changed = true);
    }

    public void Tell()
    {
        var found = ImmutableArray.CreateBuilder<IpAddress>();
        try
        {
            using var netlink = new Rtnetlink();
            foreach (var address in netlink.Addresses())
            {
                if (address.IsGlobal && !_isOurs(address.Interface)) found.Add(address.Address);
            }
        }
        catch (Win32Exception)
        {
            // the next message asks again
            return;
        }

        _tell(found.ToImmutable());
    }

    public void Dispose() => _watch.Dispose();

    private void Happened(bool netfilter, in NetlinkReader message)
    {
        if (netfilter) return;
        // routes and devices of our own lead into tunnels
        _changed |= message.Type switch
        {
            Rtnetlink.NewRoute or Rtnetlink.DelRoute => !Rtnetlink.IsOwn(isRule: false, message.Body),
            // the index stands at the same place in messages about links and about addresses
            Rtnetlink.NewAddress or Rtnetlink.DelAddress or Rtnetlink.NewLink or Rtnetlink.DelLink => !_isOurs(Rtnetlink.LinkIndex(message.Body)),
            _ => false,
        };
    }

    /// <summary>One change comes as many messages: after each look there is a breath.</summary>
    private bool Settle()
    {
        if (!_changed) return false;
        _changed = false;
        Tell();
        return true;
    }
}
