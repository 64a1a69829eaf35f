using System;
using System.Collections.Generic;
using System.Linq;
using Warifu.App.Tests.Lab;
using Xunit;

namespace Warifu.App.Tests.Interop;

/// <summary>Rows of theories: both roles with IPv4, and in the long run with IPv6 too.</summary>
internal static class Families
{
    /// <summary>We initiate; in the long run the peer does too.</summary>
    public static IEnumerable<TheoryDataRow<bool>> OursFirst => [new(true), .. Tool.IsLong ? [new TheoryDataRow<bool>(false)] : Array.Empty<TheoryDataRow<bool>>()];

    /// <summary>The peer initiates; in the long run we do too.</summary>
    public static IEnumerable<TheoryDataRow<bool>> PeersFirst => [new(false), .. Tool.IsLong ? [new TheoryDataRow<bool>(true)] : Array.Empty<TheoryDataRow<bool>>()];

    /// <summary>(we initiate, IPv6 outside and inside)</summary>
    public static IEnumerable<TheoryDataRow<bool, bool>> BothRoles =>
        from v6 in Tool.IsLong ? new[] { false, true } : [false] from weInitiate in new[] { true, false } select new TheoryDataRow<bool, bool>(weInitiate, v6);
}
