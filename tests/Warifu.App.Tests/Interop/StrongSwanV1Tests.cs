using System.Threading.Tasks;
using Warifu.App.Tests.Lab;
using Xunit;

namespace Warifu.App.Tests.Interop;

/// <summary>IKEv1 with strongSwan, in both roles, judged by ping and by our own SA counters.</summary>
[Trait("Area", "interop")]
[Trait("Item", "3.11")]
public sealed class StrongSwanV1Tests
{
    private static Site Site => new() { Version = 1, Ike = "aes256-sha256-modp2048", Esp = "aes256-sha256" };

    [StrongSwanTheory]
    [InlineData(true)]
    [InlineData(false)]
    public Task Main_mode_with_pre_shared_keys(bool weInitiate) => PingThroughAsync(Site, weInitiate);

    [StrongSwanTheory]
    [InlineData("aes128-sha1-modp1024", "aes128-sha1-modp1024")]
    [InlineData("3des-md5-modp1536", "3des-md5")]
    [InlineData("aes256-sha512-ecp521", "aes256gcm16-ecp384")]
    public Task Other_algorithms_and_PFS(string ike, string esp) => Task.WhenAll(PingThroughAsync(Site with { Ike = ike, Esp = esp }, true), PingThroughAsync(Site with { Ike = ike, Esp = esp }, false));

    private static async Task PingThroughAsync(Site site, bool weInitiate)
    {
        await using var tunnel = await Tunnel.StartAsync(site);
        await tunnel.UpAsync(weInitiate);
        await tunnel.PingBothAsync();
        await tunnel.AgreeAsync();
    }
}
