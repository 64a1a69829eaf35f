using Warifu.Net;
using Warifu.Policy;
using Xunit;

namespace Warifu.App.Tests.Daemon;

/// <summary>Handles of secrets across reloads: a handshake under way holds one.</summary>
[Trait("Item", "1.8")]
public sealed class SecretStoreTests
{
    [Fact]
    public void A_secret_that_a_reload_does_not_change_keeps_its_handle()
    {
        using var store = new SecretStore();
        var first = store.SetPsk("site", "Zr8.kVq2-Wx7hTn4");
        Assert.Equal(first, store.SetPsk("site", "Zr8.kVq2-Wx7hTn4", IdentityPattern.Parse("right.example.org")));
        Assert.True(store.TryUse(first, secret => Assert.Equal(16, secret.Length)));
        // its owners are the new ones
        Assert.True(store.Index().Find(Identities.Parse("left.example.org"), Identities.Parse("other.example.org")).Secret.IsNone);
        var changed = store.SetPsk("site", "Kq7.vXe2-Lw9pRz5");
        Assert.NotEqual(first, changed);
        Assert.False(store.TryUse(first, _ => { }));
    }

    [Fact]
    public void A_change_that_is_taken_back_leaves_the_handles_of_what_did_not_change()
    {
        using var store = new SecretStore();
        var (same, other) = (store.SetPsk("same", "Zr8.kVq2-Wx7hTn4"), store.SetPsk("other", "Kq7.vXe2-Lw9pRz5"));
        using var kept = store.Keep();
        var changed = store.SetPsk("other", "Zr8.kVq2-Wx7hTn5");
        store.SetPsk("more", "Zr8.kVq2-Wx7hTn6");
        store.Restore(kept);
        Assert.Equal(["other", "same"], store.Names);
        Assert.True(store.TryUse(same, _ => { }));
        Assert.False(store.TryUse(changed, _ => { }));
        Assert.False(store.TryUse(other, _ => { }));
    }
}
