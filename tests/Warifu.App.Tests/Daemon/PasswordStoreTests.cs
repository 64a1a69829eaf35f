using Warifu.Net;
using Warifu.Policy;
using Warifu.Primitives;
using Xunit;

namespace Warifu.App.Tests.Daemon;

/// <summary>Passwords of users in the store of secrets (item 3.6).</summary>
[Trait("Item", "3.6")]
public sealed class PasswordStoreTests
{
    [Theory]
    [InlineData("carol", "Ar3etTnp", true, true)]
    [InlineData("CAROL", "Ar3etTnp", true, true)]
    [InlineData("carol", "Ar3etTn", true, false)]
    [InlineData("carol", "Ar3etTnpp", true, false)]
    [InlineData("carol", "", true, false)]
    [InlineData("dave", "Ar3etTnp", false, false)]
    [InlineData("erin@example.org", "for all of them", true, true)]
    [InlineData("boss@example.org", "for all of them", true, false)]
    [InlineData("boss@example.org", "his own", true, true)]
    [InlineData("10.0.0.1", "of a strange name", true, true)]
    public void A_password_is_compared_with_that_of_the_user(string user, string password, bool known, bool right)
    {
        using var store = Filled();
        Assert.Equal(right, store.CheckPassword(User(user), System.Text.Encoding.UTF8.GetBytes(password), out var isKnown));
        Assert.Equal(known, isKnown);
        Assert.Equal(known, !store.FindPassword(User(user)).IsNone);
    }

    /// <summary>Keys and passwords do not stand for each other.</summary>
    [Fact]
    public void A_password_is_no_pre_shared_key_and_the_other_way_round()
    {
        using var store = new SecretStore();
        store.SetPassword("xauth-c", "Ar3etTnp"u8, IdentityPattern.Parse("carol"));
        Assert.True(store.Index().Find(Identity.Fqdn("left"), Identity.Fqdn("carol")).Secret.IsNone);
        Assert.False(store.HasPpks);
        store.SetPsk("ike-1", "Zr8.kVq2-Wx7hTn4", IdentityPattern.Parse("dave"));
        Assert.False(store.CheckPassword(User("dave"), "Zr8.kVq2-Wx7hTn4"u8, out var isKnown));
        Assert.False(isKnown);
    }

    [Fact]
    public void Passwords_come_back_with_the_rest()
    {
        using var store = Filled();
        using var kept = store.Keep();
        store.SetPassword("xauth-c", "another"u8, IdentityPattern.Parse("carol"));
        Assert.False(store.CheckPassword(User("carol"), "Ar3etTnp"u8, out _));
        store.Restore(kept);
        Assert.True(store.CheckPassword(User("carol"), "Ar3etTnp"u8, out _));
        store.Remove("xauth-c");
        Assert.False(store.CheckPassword(User("carol"), "Ar3etTnp"u8, out var isKnown));
        Assert.False(isKnown);
    }

    private static SecretStore Filled()
    {
        var store = new SecretStore();
        store.SetPassword("xauth-c", "Ar3etTnp"u8, IdentityPattern.Parse("carol"));
        store.SetPassword("xauth-many", "for all of them"u8, IdentityPattern.Parse("*@example.org"));
        store.SetPassword("xauth-boss", "his own"u8, IdentityPattern.Parse("boss@example.org"), IdentityPattern.Parse("boss2@example.org"));
        store.SetPassword("xauth-strange", "of a strange name"u8, IdentityPattern.Parse("10.0.0.1"));
        return store;
    }

    private static Identity User(string name) => UserNames.IdentityOf(System.Text.Encoding.UTF8.GetBytes(name))!;
}
