using System;
using System.Linq;
using System.Reflection;
using Xunit;

namespace Warifu.Tests.V1;

/// <summary>Item 3.10: each row of the list of attacks that concerns IKEv1 has a test of its own; it carries the row's number as its trait "Attack".</summary>
[Trait("Item", "3.10")]
public sealed class AttackRowTests
{
    // the rows about EAP, IKEv2 payloads, X.509, control sockets and other rooms are answered elsewhere
    private static readonly string[] s_rows =
    [
        "T01", "T02", "T04", "T06", "T07", "T08", "T09", "T10", "T11", "T12", "T13", "T14", "T16", "T17", "T18", "T19", "T21", "T22", "T23", "T24", "T25", "T26", "T27", "T29", "T47", "T49", "T50", "T51", "T53", "T54", "T55",
        "T56", "T57", "T60", "T61", "T63", "T64", "T65", "T66", "T67", "T68", "T69", "T70", "T71", "T72", "T73", "T75",
        "CBC padding", "message-ID reuse", "replay", "reflected messages", "unauthenticated deletes and notifies", "duplicate first messages", "key reuse", "bounded memory", "proposal explosion", "INITIAL-CONTACT", "downgrade",
    ];

    [Fact]
    public void Each_row_has_a_test()
    {
        var answered = typeof(AttackRowTests).Assembly.GetTypes().SelectMany(type => type.GetMethods())
            .SelectMany(method => method.GetCustomAttributes<TraitAttribute>()).Where(trait => trait.Name == "Attack").Select(trait => trait.Value).ToHashSet(StringComparer.Ordinal);
        Assert.Equal(s_rows.Order(StringComparer.Ordinal), answered.Order(StringComparer.Ordinal));
    }
}
