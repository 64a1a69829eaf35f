using System.Globalization;

namespace Warifu.App.Tests.Daemon;

/// <summary>The configuration of one of two daemons on loopback. Each line of it stands alone, so that tests know where a setting stands.</summary>
internal sealed record Side
{
    public const string Secret = "Zr8.kVq2-Wx7hTn4";

    public string Own { get; init; } = "left";

    public string Peer { get; init; } = "right";

    public int PeerPort { get; init; } = 500;

    public string RemoteAddress { get; init; } = "127.0.0.1";

    public string Version { get; init; } = "2";

    public string Ike { get; init; } = "aes128gcm16-prfsha256-x25519";

    public string Esp { get; init; } = "aes128gcm16";

    public string? LocalId { get; init; }

    public string? RemoteId { get; init; }

    public string LocalTs { get; init; } = "10.1.0.0/16";

    public string RemoteTs { get; init; } = "10.2.0.0/16";

    public string Connection { get; init; } = "";

    public string Child { get; init; } = "";

    public string Psk { get; init; } = Secret;

    /// <summary>Lines of the sections local and remote before their id, and further sections of the connection.</summary>
    public string LocalAuth { get; init; } = "auth = psk";

    public string RemoteAuth { get; init; } = "auth = psk";

    public string MoreRounds { get; init; } = "";

    /// <summary>Further sections of the file, and of secrets.</summary>
    public string More { get; init; } = "";

    public string MoreSecrets { get; init; } = "";

    public string LocalAddress { get; init; } = "127.0.0.1";

    /// <summary>Puts files beside the configuration.</summary>
    public System.Action<string>? Files { get; init; }

    /// <summary>Owners of the secret, a line each; empty = any pair.</summary>
    public string Owners { get; init; } = "";

    public static Side Left { get; } = new();

    public static Side Right { get; } = new() { Own = "right", Peer = "left", LocalTs = "10.2.0.0/16", RemoteTs = "10.1.0.0/16" };

    public string Text => string.Create(CultureInfo.InvariantCulture, $$"""
        connections {
          site {
            version = {{Version}}
            local_addrs = {{LocalAddress}}
            remote_addrs = {{RemoteAddress}}
            remote_port = {{PeerPort}}
            proposals = {{Ike}}
            {{Connection}}
            local {
              {{LocalAuth}}
              id = {{LocalId ?? Own + ".example.org"}}
            }
            remote {
              {{RemoteAuth}}
              id = {{RemoteId ?? Peer + ".example.org"}}
            }
            {{MoreRounds}}
            children {
              net {
                local_ts = {{LocalTs}}
                remote_ts = {{RemoteTs}}
                esp_proposals = {{Esp}}
                {{Child}}
              }
            }
          }
        }
        secrets {
          ike-site {
            secret = "{{Psk}}"
            {{Owners}}
          }
          {{MoreSecrets}}
        }
        {{More}}
        """);

    /// <summary>"file:line:" of the first line that holds a text.</summary>
    public static string PlaceOf(string file, string text)
    {
        var lines = System.IO.File.ReadAllLines(file);
        var at = System.Array.FindIndex(lines, line => line.Contains(text, System.StringComparison.Ordinal));
        return string.Create(CultureInfo.InvariantCulture, $"{file}:{at + 1}:");
    }
}
