using System;
using Warifu.App.Configuration;
using Xunit;

namespace Warifu.App.Tests.Configuration;

/// <summary>Lifetimes that cannot be kept, and liveness checks that are switched off (items 2.2, 3.3).</summary>
[Trait("Item", "3.3")]
public sealed class TimesCheckTests
{
    [Theory]
    [InlineData("rekey_time = 1h\nrand_time = 2h", "", "rand_time = 7200s is more than half of rekey_time: 1800s are taken; write rand_time = 1800s or less")]
    [InlineData("rekey_time = 4h\nreauth_time = 1h\nrand_time = 40m", "", "rand_time = 2400s is more than half of reauth_time: 1800s are taken")]
    [InlineData("", "rekey_time = 10m\nrand_time = 6m", "rand_time = 360s is more than half of rekey_time: 300s are taken")]
    [InlineData("version = 1\nrekey_time = 1h\nover_time = 10m\nrand_time = 20m", "", "rand_time = 1200s is more than over_time: 600s are taken")]
    [InlineData("version = 1\nrekey_time = 1h\nrand_time = 20m", "", "rand_time = 1200s is more than over_time: 360s are taken")]
    [InlineData("version = 1\nrekey_time = 1h\nover_time = 2h\nrand_time = 50m", "", "rand_time = 3000s is more than half of rekey_time: 1800s are taken")]
    public void A_random_part_that_is_cut_is_told(string connection, string child, string notice)
    {
        var conf = Conf.With(connection, child);
        Assert.Empty(conf.Errors);
        Assert.Contains(notice, Assert.Single(conf.Findings, finding => finding.Severity == Severity.Notice && finding.Text.StartsWith("rand_time", StringComparison.Ordinal)).ToString(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("rekey_time = 1h\nrand_time = 30m", "rekey_time = 10m\nrand_time = 5m")]
    [InlineData("rekey_time = 1h\nover_time = 10m\nrand_time = 20m", "")]
    [InlineData("version = 1\nrekey_time = 1h\nrand_time = 6m", "")]
    [InlineData("rekey_time = 0\nrand_time = 20m", "rekey_time = 0\nrand_time = 20m")]
    public void A_random_part_that_is_kept_is_not(string connection, string child) =>
        Assert.DoesNotContain(Conf.With(connection, child).Lines, line => line.Contains("rand_time", StringComparison.Ordinal));

    [Theory]
    [InlineData("", "rekey_bytes = 2m\nlife_bytes = 1m", "life_bytes is less than rekey_bytes: the pair would be gone before it is rekeyed; make it larger, or rekey_bytes smaller")]
    [InlineData("", "rekey_packets = 2000\nlife_packets = 1000", "life_packets is less than rekey_packets")]
    [InlineData("dpd_threshold = 3", "", "dpd_threshold says how many checks may be without an answer, and dpd_delay = 0 switches the checks off; set dpd_delay")]
    [InlineData("dpd_mode = always-send", "", "dpd_mode says when to check liveness, and dpd_delay = 0 switches the checks off")]
    public void What_cannot_be_kept_is_an_error(string connection, string child, string error) =>
        Assert.Contains(error, Assert.Single(Conf.With(connection, child).Errors).ToString(), StringComparison.Ordinal);

    [Theory]
    [InlineData("rekey_bytes = 1m\nlife_bytes = 2m\nrekey_packets = 1000\nlife_packets = 2000")]
    [InlineData("rekey_bytes = 1m")]
    [InlineData("life_bytes = 1m\nlife_packets = 1000")]
    public void Volumes_that_can_be_kept_are_right(string child) => Assert.Empty(Conf.With("keep = up\ndpd_threshold = 3", child).Errors);
}
