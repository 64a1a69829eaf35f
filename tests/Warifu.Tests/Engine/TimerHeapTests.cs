using System.Collections.Generic;
using System.Linq;
using Warifu.Engine;
using Warifu.Primitives;
using Warifu.Simulation;
using Xunit;

namespace Warifu.Tests.Engine;

/// <summary>The heap of timers against a plain list (items 1.10, 1.18).</summary>
[Trait("Item", "1.10")]
public sealed class TimerHeapTests
{
    [Fact]
    public void It_gives_the_earliest_and_never_grows_beyond_its_items()
    {
        var luck = new SeededEntropy(4);
        var heap = new TimerHeap<Item>();
        var items = Enumerable.Range(0, 50).Select(_ => new Item()).ToArray();
        var expected = new Dictionary<Item, long>();
        for (var i = 0; i < 20_000; i++)
        {
            var item = items[luck.Below(items.Length)];
            switch (luck.Below(4))
            {
                case 0:
                    heap.Remove(item);
                    expected.Remove(item);
                    break;
                case 1 when expected.Count > 0:
                    var now = expected.Values.Min();
                    Assert.True(heap.TryTake(new Instant(now), out var taken));
                    Assert.Equal(now, expected[taken]);
                    expected.Remove(taken);
                    break;
                default:
                    var at = luck.Chance(0.05) ? Instant.Never : new Instant(luck.Below(1000));
                    heap.Set(item, at);
                    if (at == Instant.Never) expected.Remove(item);
                    else expected[item] = at.Nanoseconds;
                    break;
            }

            Assert.Equal(expected.Count, heap.Count);
            Assert.Equal(expected.Count == 0 ? Instant.Never : new Instant(expected.Values.Min()), heap.Next);
        }

        Assert.False(heap.TryTake(new Instant(-1), out _));
    }

    private sealed class Item : ITimed
    {
        Instant ITimed.DueAt { get; set; }

        int ITimed.HeapSlot { get; set; }
    }
}
