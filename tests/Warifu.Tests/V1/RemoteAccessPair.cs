using System;
using System.Collections.Immutable;
using System.Linq;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Simulation;
using Warifu.Tests.Crypto;
using Warifu.Tests.Pki;
using Xunit;

namespace Warifu.Tests.V1;

/// <summary>How the user of a <see cref="RemoteAccessPair"/> and its gateway prove themselves.</summary>
public enum AccessProof
{
    None,
    Psk,
    Rsa,
    Hybrid,
}

/// <summary>A client, left, and its gateway, right.</summary>
internal static class RemoteAccessPair
{
    public const string User = "carol", Password = "Ar3etTnp";

    private static readonly Entity s_root = Issuing.Root();

    private static readonly Lazy<Entity> s_left = new(() => Issue("left")), s_right = new(() => Issue("right"));

    public static Pool Pool { get; } = new()
    {
        Name = "p",
        Addresses = [Range("10.3.0.0/24")],
        Attributes = [.. new[] { ("dns", "10.2.0.53"), ("nbns", "10.2.0.54"), ("netmask", "255.255.255.0"), ("subnet", "10.2.0.0/16"), ("banner", "Welcome"), ("default_domain", "corp.example"), ("28675", "corp.example,lab.example"), ("7", "Warifu") }.SelectMany(pair => Attribute(pair.Item1, pair.Item2))],
    };

    public static Connection Client(AccessProof proof, bool aggressive = false, string user = User)
    {
        var connection = V1Pair.Left() with { Aggressive = aggressive };
        var xauth = new LocalAuth { Kind = AuthKind.Xauth, XauthId = Identities.Parse(user) };
        return proof switch
        {
            AccessProof.None => connection,
            AccessProof.Psk => connection with { LocalRounds = [xauth] },
            AccessProof.Rsa => Sign(connection, s_left.Value) with { LocalRounds = [xauth] },
            _ => connection with { Local = xauth with { Id = connection.Local.Id }, Remote = connection.Remote with { Kind = AuthKind.PublicKey } },
        };
    }

    public static Connection Gateway(AccessProof proof, bool aggressive = false)
    {
        var connection = V1Pair.Right() with { Aggressive = aggressive, AggressivePsk = true };
        var users = new RemoteAuth { Kind = AuthKind.Xauth };
        return proof switch
        {
            AccessProof.None => connection,
            AccessProof.Psk => connection with { RemoteRounds = [users] },
            AccessProof.Rsa => Sign(connection, s_right.Value) with { RemoteRounds = [users] },
            _ => Sign(connection, s_right.Value) with { Remote = users },
        };
    }

    /// <summary>The client wants an address; the gateway has a pool.</summary>
    public static (Connection Client, Connection Gateway) WithPool(Connection client, Connection gateway, bool pull = true) =>
    (
        client with { Pull = pull, VirtualIps = [IpAddress.AnyV4], Children = [client.Children[0] with { LocalSelectors = [] }] },
        gateway with { Pull = pull, Pools = ["p"], Children = [gateway.Children[0] with { RemoteSelectors = [] }] });

    public static EnginePair Make(Connection client, Connection gateway, string? password = Password, Pool? pool = null)
    {
        var pair = new EnginePair();
        pair.Right.Passwords[User] = Password;
        pair.Right.Passwords["dave"] = "dave's own";
        if (password is not null) pair.Left.Passwords[User] = password;
        pair.Left.Load(Policy(client), pair.Now);
        pair.Right.Load(Policy(gateway) with { Pools = [pool ?? Pool] }, pair.Now);
        foreach (var host in new[] { pair.Left, pair.Right })
        {
            foreach (var (_, key) in Keys.Known) host.AddKey(key);
        }

        return pair;
    }

    public static PolicySet Policy(Connection connection) => new() { Connections = [connection], Trust = Judging.Material(s_root) };

    public static string Why(EnginePair pair) => $"left: {pair.Left.LastReport?.Failure?.Sentence}; right: {pair.Right.LastReport?.Failure?.Sentence}";

    public static EnginePair Up(Connection client, Connection gateway, Pool? pool = null)
    {
        var pair = Make(client, gateway, pool: pool);
        var result = pair.Up();
        Assert.True(result.Success, Why(pair));
        V1Pair.AssertSame(pair);
        V1Pair.AssertQuiet(pair);
        return pair;
    }

    /// <summary>Message IDs of transactions, in order of their first messages.</summary>
    public static ImmutableArray<uint> Transactions(EnginePair pair) =>
        [.. pair.Sent.Select(sent => sent.Message.Message).Where(message => message[18] == 6).Select(message => System.Buffers.Binary.BinaryPrimitives.ReadUInt32BigEndian(message.AsSpan(20))).Distinct()];

    public static ImmutableArray<PoolAttribute> Attribute(string key, string value) => PoolText.TryParseAttribute(key, value, out var attributes, out var error) ? attributes : throw new ArgumentException(error);

    public static AddressRange Range(string text) => PoolText.TryParseAddresses(text, out var range, out var error) ? range : throw new ArgumentException(error);

    private static Connection Sign(Connection connection, Entity own) => connection with
    {
        Local = connection.Local with { Kind = AuthKind.PublicKey, Certificates = [[.. own.Der]] },
        Remote = connection.Remote with { Kind = AuthKind.PublicKey },
        SendCert = SendCertificates.Always,
    };

    private static Entity Issue(string side) => s_root.Issue($"C=CH, CN={side} of remote access", spec =>
    {
        spec.Key = TestKey.Foreign(Keys.Of($"rsa.access{side}").Public.Spki);
        spec.Dns($"{side}.example.org");
    });
}
