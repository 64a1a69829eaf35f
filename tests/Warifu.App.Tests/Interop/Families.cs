using System.Collections.Generic;
using System.Linq;
using Warifu.App.Tests.Lab;
using Xunit;

namespace Warifu.App.Tests.Interop;

/// <summary>Rows of theories: both roles with IPv4, and in the long run with IPv6 too.</summary>
internal static class Families
{
    /// <summary>(we initiate, IPv6 outside and inside)</summary>
    public static IEnumerable<TheoryDataRow<bool, bool>> BothRoles =>
        from v6 in Tool.IsLong ? new[] { false, true } : [false] from weInitiate in new[] { true, false } select new TheoryDataRow<bool, bool>(weInitiate, v6);
}
