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

    /// <summary>Owners of the secret, a line each; empty = any pair.</summary>
    public string Owners { get; init; } = "";

    public static Side Left { get; } = new();

    public static Side Right { get; } = new() { Own = "right", Peer = "left", LocalTs = "10.2.0.0/16", RemoteTs = "10.1.0.0/16" };

    public string Text => string.Create(CultureInfo.InvariantCulture, $$"""
        connections {
          site {
            version = {{Version}}
            local_addrs = 127.0.0.1
            remote_addrs = {{RemoteAddress}}
            remote_port = {{PeerPort}}
            proposals = {{Ike}}
            {{Connection}}
            local {
              auth = psk
              id = {{LocalId ?? Own + ".example.org"}}
            }
            remote {
              auth = psk
              id = {{RemoteId ?? Peer + ".example.org"}}
            }
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
        }
        """);

    /// <summary>"file:line:" of the first line that holds a text.</summary>
    public static string PlaceOf(string file, string text)
    {
        var lines = System.IO.File.ReadAllLines(file);
        var at = System.Array.FindIndex(lines, line => line.Contains(text, System.StringComparison.Ordinal));
        return string.Create(CultureInfo.InvariantCulture, $"{file}:{at + 1}:");
    }
}
