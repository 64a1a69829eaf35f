using System;
using System.Collections.Generic;
using Warifu.Ipsec;
using Xunit;

namespace Warifu.Tests.Ipsec;

/// <summary>RFC 4303 section 3.4.3 and appendix A2, RFC 6479; requirements R80, R82, R83.</summary>
[Trait("Item", "1.11")]
public sealed class ReplayWindowTests
{
    [Theory]
    [InlineData(32)]
    [InlineData(64)]
    [InlineData(65)]
    [InlineData(1000)]
    [InlineData(8192)]
    public void Every_position_is_accepted_once_and_replayed_never(int size)
    {
        const ulong Top = 50_000;
        for (var back = 0; back < size; back++)
        {
            var window = new ReplayWindow(size, esn: false);
            Assert.True(window.Commit(Top));
            var sequence = Top - (ulong)back;
            if (back != 0)
            {
                Assert.True(window.Check(sequence));
                Assert.True(window.Commit(sequence));
            }

            Assert.False(window.Check(sequence));
            Assert.False(window.Commit(sequence));
        }

        var fresh = new ReplayWindow(size, esn: false);
        fresh.Commit(Top);
        Assert.False(fresh.Check(Top - (ulong)size));
        Assert.True(fresh.Check(Top - (ulong)size + 1));
    }

    [Fact]
    public void Zero_is_no_number() => Assert.False(new ReplayWindow(64, esn: false).Check(0));

    [Fact]
    public void Off_accepts_everything()
    {
        var window = new ReplayWindow(0, esn: false);
        Assert.True(window.Commit(5));
        Assert.True(window.Commit(5));
        Assert.True(window.Check(1));
    }

    [Theory]
    [InlineData(32)]
    [InlineData(64)]
    [InlineData(128)]
    [InlineData(4096)]
    public void It_agrees_with_a_set_of_all_numbers_seen(int size)
    {
        var random = new Random(size);
        var window = new ReplayWindow(size, esn: false);
        var seen = new HashSet<ulong>();
        ulong highest = 0;
        for (var i = 0; i < 60_000; i++)
        {
            var jump = random.Next(100) switch { < 60 => random.Next(1, 3), < 95 => -random.Next(0, size + 5), < 99 => random.Next(1, size * 2), _ => random.Next(1, size * 9) };
            var sequence = (ulong)Math.Clamp((long)highest + jump, 1, uint.MaxValue);
            var expected = sequence > highest || (highest - sequence < (ulong)size && !seen.Contains(sequence));
            Assert.Equal(expected, window.Check(sequence));
            Assert.Equal(expected, window.Commit(sequence));
            seen.Add(sequence);
            if (expected) highest = Math.Max(highest, sequence);
        }
    }

    [Theory]
    // case A: the window lies in one subspace
    [InlineData(64, 0x0000_0001_0000_1000UL, 0x1001u, 0x0000_0001_0000_1001UL)]
    [InlineData(64, 0x0000_0001_0000_1000UL, 0x0FC1u, 0x0000_0001_0000_0FC1UL)]
    [InlineData(64, 0x0000_0001_0000_1000UL, 0x0FC0u, 0x0000_0002_0000_0FC0UL)]
    [InlineData(64, 0x0000_0000_FFFF_FFFFUL, 0x0000_0000u, 0x0000_0001_0000_0000UL)]
    [InlineData(64, 0x0000_0000_FFFF_FFFFUL, 0xFFFF_FFC0u, 0x0000_0000_FFFF_FFC0UL)]
    // case B: the window spans two
    [InlineData(64, 0x0000_0001_0000_0005UL, 0xFFFF_FFFFu, 0x0000_0000_FFFF_FFFFUL)]
    [InlineData(64, 0x0000_0001_0000_0005UL, 0xFFFF_FFC6u, 0x0000_0000_FFFF_FFC6UL)]
    [InlineData(64, 0x0000_0001_0000_0005UL, 0xFFFF_FFC5u, 0x0000_0001_FFFF_FFC5UL)]
    [InlineData(64, 0x0000_0001_0000_0005UL, 0x0000_0006u, 0x0000_0001_0000_0006UL)]
    // the first subspace has none before it
    [InlineData(64, 0x0000_0000_0000_0005UL, 0xFFFF_FFFFu, 0x0000_0000_FFFF_FFFFUL)]
    [InlineData(64, 0UL, 1u, 1UL)]
    public void The_upper_half_is_inferred_as_appendix_A2_says(int size, ulong highest, uint low, ulong expected)
    {
        var window = new ReplayWindow(size, esn: true);
        window.StartAt(highest);
        Assert.Equal(expected, window.Infer(low));
    }

    [Theory]
    [InlineData(32)]
    [InlineData(1024)]
    public void Shuffled_numbers_cross_the_border_of_2_to_the_32(int size)
    {
        var random = new Random(1);
        var window = new ReplayWindow(size, esn: true);
        const ulong Start = 0xFFFF_F000;
        window.StartAt(Start);
        var numbers = new ulong[0x4000];
        for (var i = 0; i < numbers.Length; i++) numbers[i] = Start + 1 + (ulong)i;
        for (var i = 0; i + 16 < numbers.Length; i += 16) random.Shuffle(numbers.AsSpan(i, 16));
        foreach (var number in numbers)
        {
            Assert.Equal(number, window.Infer((uint)number));
            Assert.True(window.Commit(number));
            Assert.False(window.Check(number));
        }
    }
}
