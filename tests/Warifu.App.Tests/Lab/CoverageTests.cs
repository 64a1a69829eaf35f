using System.Linq;
using Xunit;

namespace Warifu.App.Tests.Lab;

/// <summary>The generator of docs/coverage.md.</summary>
public sealed class CoverageTests
{
    private static readonly CoverageRow[] s_rows =
    [
        new("b-peer", "zeta", Wanted.V4),
        new("b-peer", "alpha", Wanted.V4 | Wanted.OnlyOurs, Wanted.V6),
        new("a-peer", "esn", 0, Impossible: "it has none"),
    ];

    private static readonly Cell[] s_all = [Of("zeta", true), Of("zeta", false), Of("alpha", true)];

    [Fact]
    public void A_run_that_proved_everything_has_no_faults_and_the_same_text_every_time()
    {
        var first = Coverage.Render(s_rows, s_all, "", _ => true, isLong: false);
        Assert.Empty(first.Faults);
        Assert.Equal(first, Coverage.Render([.. s_rows.Reverse()], [.. s_all.Reverse()], first.Text, _ => true, isLong: false), (left, right) => left.Text == right.Text && right.Faults.Count == 0);
        Assert.Contains("| zeta | passed | · | · | · | passed | · | · | · |", first.Text, System.StringComparison.Ordinal);
        Assert.Contains("| alpha | passed | · | · | missing | · | · | · | missing |", first.Text, System.StringComparison.Ordinal);
        Assert.Contains("Impossible (esn): it has none.", first.Text, System.StringComparison.Ordinal);
        Assert.Contains("| esn | impossible | impossible |", first.Text, System.StringComparison.Ordinal);
    }

    [Fact]
    public void A_missing_cell_is_a_fault_and_shows()
    {
        var (text, faults) = Coverage.Render(s_rows, s_all[1..], "", _ => true, isLong: false);
        Assert.Contains("zeta", Assert.Single(faults), System.StringComparison.Ordinal);
        Assert.Contains("| zeta | missing | · | · | · | passed |", text, System.StringComparison.Ordinal);
    }

    [Fact]
    public void A_recorded_cell_that_no_row_has_is_a_fault() => Assert.Single(Coverage.Render(s_rows, [.. s_all, Of("omega", true)], "", _ => true, isLong: false).Faults);

    [Fact]
    public void What_a_run_could_not_try_keeps_its_state()
    {
        Cell[] longer = [.. s_all, new("b-peer", "alpha", true, true, true), new("b-peer", "alpha", false, true, true)];
        var complete = Coverage.Render(s_rows, longer, "", _ => true, isLong: true);
        Assert.Empty(complete.Faults);
        Assert.Equal(complete.Text, Coverage.Render(s_rows, s_all, complete.Text, _ => true, isLong: false).Text);
        Assert.Equal(complete.Text, Coverage.Render(s_rows, [], complete.Text, _ => false, isLong: true).Text);
        Assert.Equal(2, Coverage.Render(s_rows, s_all, complete.Text, _ => true, isLong: true).Faults.Count);
    }

    private static Cell Of(string scenario, bool weInitiate) => new("b-peer", scenario, weInitiate, false, false);
}
