using System.Collections.Generic;
using System.Globalization;
using System.Linq;

namespace Warifu.App.Tests.Lab;

/// <summary>A site-to-site configuration for both ends of a <see cref="Topology"/>, in the grammar that both programs read.</summary>
internal sealed record Site
{
    public const string Secret = "Zr8.kVq2-Wx7hTn4";

    /// <summary>Name of the connection.</summary>
    public string Name { get; init; } = "site";

    /// <summary>Of IKE.</summary>
    public int Version { get; init; } = 2;

    public string RightName { get; init; } = "right";

    /// <summary>Addresses, where they are not those of the <see cref="Topology"/>.</summary>
    public string? LeftHostIs { get; init; }

    public string? RightHostIs { get; init; }

    public string? LeftInnerIs { get; init; }

    public string? RightInnerIs { get; init; }

    /// <summary>Identities, where they are not the sides' names.</summary>
    public string? LeftId { get; init; }

    public string? RightId { get; init; }

    public string Ike { get; init; } = "aes256gcm16-prfsha384-ecp384";

    public string Esp { get; init; } = "aes256gcm16";

    public bool OuterV6 { get; init; }

    public bool InnerV6 { get; init; }

    /// <summary>Selectors of the left and the right side; null = the LANs.</summary>
    public string? LeftTs { get; init; }

    public string? RightTs { get; init; }

    public string? LeftIke { get; init; }

    public string? RightIke { get; init; }

    public string? LeftEsp { get; init; }

    public string? RightEsp { get; init; }

    /// <summary>How each side authenticates, and what it expects of the other: lines of the sections local and remote.</summary>
    public string LeftAuth { get; init; } = "auth = psk";

    public string RightAuth { get; init; } = "auth = psk";

    public string LeftExpects { get; init; } = "auth = psk";

    public string RightExpects { get; init; } = "auth = psk";

    /// <summary>Further rounds: whole sections.</summary>
    public string LeftRounds { get; init; } = "";

    public string RightRounds { get; init; } = "";

    /// <summary>Further sections of both files, and of their secrets.</summary>
    public string MoreSections { get; init; } = "";

    public string LeftSections { get; init; } = "";

    public string RightSections { get; init; } = "";

    public string MoreSecrets { get; init; } = "";

    public string LeftSecret { get; init; } = Secret;

    public string RightSecret { get; init; } = Secret;

    /// <summary>More keys of the connection, the child, and of all of the file, on both sides.</summary>
    public string Connection { get; init; } = "";

    public string LeftConnection { get; init; } = "";

    public string RightConnection { get; init; } = "";

    public string Child { get; init; } = "";

    public string LeftChild { get; init; } = "";

    public string RightChild { get; init; } = "";

    /// <summary>Further children: name and both selectors.</summary>
    public (string Name, string Left, string Right)[] More { get; init; } = [];

    /// <summary>Where left finds right, when that is not right's own address.</summary>
    public string? RightSeenAt { get; init; }

    /// <summary>Right takes left from anywhere (NAT).</summary>
    public bool LeftFromAnywhere { get; init; }

    public string LeftHost => LeftHostIs ?? (OuterV6 ? "2001:db8:1::2" : "192.0.2.2");

    public string RightHost => RightHostIs ?? (OuterV6 ? "2001:db8:2::2" : "198.51.100.2");

    public string LeftNet => LeftTs ?? (InnerV6 ? "fd10:1::/64" : "10.10.1.0/24");

    public string RightNet => RightTs ?? (InnerV6 ? "fd10:2::/64" : "10.10.2.0/24");

    public string LeftInner => LeftInnerIs ?? (InnerV6 ? "fd10:1::1" : "10.10.1.1");

    public string RightInner => RightInnerIs ?? (InnerV6 ? "fd10:2::1" : "10.10.2.1");

    /// <summary>Own addresses of the left side, when it has more than the one.</summary>
    public string? LeftLocal { get; init; }

    /// <summary>The sides have changed places.</summary>
    public Site Turned() => this with
    {
        LeftHostIs = RightHostIs,
        RightHostIs = LeftHostIs,
        LeftInnerIs = RightInnerIs,
        RightInnerIs = LeftInnerIs,
        LeftId = RightId,
        RightId = LeftId,
        LeftTs = RightTs,
        RightTs = LeftTs,
        LeftIke = RightIke,
        RightIke = LeftIke,
        LeftEsp = RightEsp,
        RightEsp = LeftEsp,
        LeftAuth = RightAuth,
        RightAuth = LeftAuth,
        LeftExpects = RightExpects,
        RightExpects = LeftExpects,
        LeftRounds = RightRounds,
        RightRounds = LeftRounds,
        LeftSections = RightSections,
        RightSections = LeftSections,
        LeftSecret = RightSecret,
        RightSecret = LeftSecret,
        LeftConnection = RightConnection,
        RightConnection = LeftConnection,
        LeftChild = RightChild,
        RightChild = LeftChild,
        More = [.. More.Select(more => (more.Name, more.Right, more.Left))],
    };

    public string Left(string daemon = "") => File(LeftLocal ?? LeftHost, RightSeenAt ?? RightHost, LeftId ?? "left.example.org", RightId ?? RightName + ".example.org", LeftIke ?? Ike, LeftEsp ?? Esp, LeftNet, RightNet, LeftSecret, LeftConnection, LeftChild, More.Select(more => (more.Name, more.Left, more.Right)), daemon, LeftAuth, LeftExpects, LeftRounds, LeftSections);

    public string Right(string daemon = "") => File(RightHost, LeftFromAnywhere ? "%any" : LeftHost, RightId ?? RightName + ".example.org", LeftId ?? "left.example.org", RightIke ?? Ike, RightEsp ?? Esp, RightNet, LeftNet, RightSecret, RightConnection, RightChild, More.Select(more => (more.Name, more.Right, more.Left)), daemon, RightAuth, RightExpects, RightRounds, RightSections);

    private string File(string local, string remote, string id, string peer, string ike, string esp, string localTs, string remoteTs, string secret, string connection, string child, IEnumerable<(string Name, string Local, string Remote)> more, string daemon, string auth, string expects, string rounds, string sections) => string.Create(CultureInfo.InvariantCulture, $$"""
        {{(daemon.Length > 0 ? "daemon {\n" + daemon + "\n}" : "")}}
        connections {
          {{Name}} {
            version = {{Version}}
            local_addrs = {{local}}
            remote_addrs = {{remote}}
            proposals = {{ike}}
            {{(Connection.Contains("mobike") || connection.Contains("mobike") ? "" : "mobike = no")}}
            {{Connection}}
            {{connection}}
            local {
              {{auth}}
              id = {{id}}
            }
            remote {
              {{expects}}
              id = {{peer}}
            }
            {{rounds}}
            children {
              net {
                local_ts = {{localTs}}
                remote_ts = {{remoteTs}}
                {{(esp.Length > 0 ? "esp_proposals = " + esp : "")}}
                {{Child}}
                {{child}}
              }
              {{string.Join('\n', more.Select(one => $"{one.Name} {{\n local_ts = {one.Local}\n remote_ts = {one.Remote}\n esp_proposals = {esp}\n {Child}\n }}"))}}
            }
          }
        }
        secrets {
          ike-{{Name}} {
            id-1 = {{id}}
            id-2 = {{peer}}
            secret = "{{secret}}"
          }
          {{MoreSecrets}}
        }
        {{MoreSections}}
        {{sections}}
        """);
}
