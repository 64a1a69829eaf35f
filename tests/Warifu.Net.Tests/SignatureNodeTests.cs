using System;
using System.Collections.Immutable;
using System.Linq;
using System.Security.Cryptography;
using System.Text;
using System.Threading.Tasks;
using Warifu.Crypto.Signatures;
using Warifu.Policy;
using Warifu.Primitives;
using Xunit;

namespace Warifu.Net.Tests;

/// <summary>What a library user does with keys: a store, a policy, two nodes on loopback.</summary>
[Trait("Item", "2.1")]
public sealed class SignatureNodeTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    [Fact]
    public async Task Raw_keys_and_a_post_quantum_key_make_a_tunnel_and_a_removed_key_makes_none()
    {
        using SecretStore leftSecrets = new(), rightSecrets = new();
        var (left, right) = (NewKey(), NewKey());
        ImmutableArray<byte> leftPublic = [.. left.PublicKeyInfo.Span], rightPublic = [.. right.PublicKeyInfo.Span];
        leftSecrets.AddKey("mine", left);
        rightSecrets.AddKey("mine", right);
        leftSecrets.SetPpk("quantum", "a post-quantum pre-shared key for two"u8, IdentityPattern.Parse("ppk-1"));
        IkeNodeOptions Options(SecretStore secrets) => new() { Port = 0, PortNatT = 0, Packets = new MemoryPacketPort(), Secrets = secrets };
        await using var responder = await IkeNode.StartAsync(Signing(NodePair.Policy("right", "left", "10.2.0.0", "10.1.0.0", null), rightPublic, leftPublic, null), Options(rightSecrets), TestContext.Current.CancellationToken);
        await using var initiator = await IkeNode.StartAsync(Signing(NodePair.Policy("left", "right", "10.1.0.0", "10.2.0.0", responder), leftPublic, rightPublic, Identities.Parse("ppk-1")), Options(leftSecrets), TestContext.Current.CancellationToken);
        // the responder has no PPK yet: with ppk_required it fails, and says so
        var failure = await Assert.ThrowsAsync<IkeException>(() => initiator.UpAsync("net", "lan", TestContext.Current.CancellationToken).WaitAsync(Patience));
        Assert.Equal("ppk", failure.Report!.Failure!.Reason);
        rightSecrets.SetPpk("quantum", "a post-quantum pre-shared key for two"u8, IdentityPattern.Parse("ppk-1"));
        await initiator.UpAsync("net", "lan", TestContext.Current.CancellationToken).WaitAsync(Patience, TestContext.Current.CancellationToken);
        await initiator.DownAsync("net", cancellationToken: TestContext.Current.CancellationToken);
        Assert.True(leftSecrets.RemoveKey("mine"));
        failure = await Assert.ThrowsAsync<IkeException>(() => initiator.UpAsync("net", "lan", TestContext.Current.CancellationToken).WaitAsync(Patience));
        Assert.Equal("no-secret", failure.Report!.Failure!.Reason);
    }

    [Fact]
    public void The_store_finds_keys_by_their_public_half_and_comes_back_to_what_it_kept()
    {
        using var store = new SecretStore();
        using var key = NewKey();
        var id = Convert.ToHexStringLower(key.Public.KeyId.Span);
        var handle = store.AddKey("one", key.Clone());
        Assert.Equal(handle, store.FindKey(key.Public));
        Assert.Equal([id], store.KeyIds);
        // the same key again keeps its handle: a handshake under way goes on
        Assert.Equal(handle, store.AddKey("one", key.Clone()));
        using var kept = store.Keep();
        store.AddKey("two", NewKey());
        Assert.True(store.RemoveKey("one"));
        Assert.False(store.RemoveKey("one"));
        Assert.True(store.FindKey(key.Public).IsNone);
        Assert.Throws<CryptographicException>(() => store.Sign(handle, SignatureScheme.Ecdsa(HashId.Sha256), "x"u8));
        store.Restore(kept);
        Assert.Equal([id], store.KeyIds);
        var signature = store.Sign(store.FindKey(key.Public), SignatureScheme.Ecdsa(HashId.Sha256), "x"u8);
        Assert.True(key.Public.Verify(SignatureScheme.Ecdsa(HashId.Sha256), "x"u8, signature));
        store.Clear();
        Assert.Empty(store.KeyIds);
    }

    [Fact]
    [Trait("Item", "2.5")]
    public void A_post_quantum_key_is_found_by_its_exact_name_first()
    {
        using var store = new SecretStore();
        Assert.False(store.HasPpks);
        var any = store.SetPpk("any", Encoding.ASCII.GetBytes(new string('a', 32)));
        var named = store.SetPpk("named", Encoding.ASCII.GetBytes(new string('b', 32)), IdentityPattern.Parse("ppk.example.org"));
        var wild = store.SetPpk("wild", Encoding.ASCII.GetBytes(new string('c', 32)), IdentityPattern.Parse("*.example.org"));
        Assert.True(store.HasPpks);
        Assert.Equal(named, store.FindPpk(Identities.Parse("ppk.example.org")));
        Assert.Equal(wild, store.FindPpk(Identities.Parse("other.example.org")));
        Assert.Equal(any, store.FindPpk(Identities.Parse("elsewhere.example.net")));
        // never as a pre-shared key
        Assert.True(store.Index().Find(Identity.Fqdn("a"), Identity.Fqdn("ppk.example.org")).Secret.IsNone);
    }

    private static PrivateKey NewKey()
    {
        using var ecdsa = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        return PrivateKey.Parse(Encoding.ASCII.GetBytes(ecdsa.ExportPkcs8PrivateKeyPem()));
    }

    private static PolicySet Signing(PolicySet policy, ImmutableArray<byte> own, ImmutableArray<byte> peer, Identity? ppk)
    {
        var connection = policy.Connections.Single();
        return policy with
        {
            Connections =
            [
                connection with
                {
                    Local = connection.Local with { Kind = AuthKind.PublicKey, PublicKeys = [own] },
                    Remote = connection.Remote with { Kind = AuthKind.PublicKey, PublicKeys = [peer] },
                    PpkId = ppk,
                    PpkRequired = ppk is not null,
                },
            ],
        };
    }
}
