using Xunit;

namespace Warifu.Tests;

public sealed class SkeletonTests
{
    [Fact]
    public void The_core_is_one_assembly() => Assert.Equal("Warifu", typeof(Primitives.Instant).Assembly.GetName().Name);
}
