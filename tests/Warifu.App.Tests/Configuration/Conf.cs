using System;
using System.Collections.Generic;
using System.Linq;
using System.Text;
using Warifu.App.Configuration;
using Warifu.App.Tests.Lab;

namespace Warifu.App.Tests.Configuration;

/// <summary>A configuration that a test writes: read, built and judged like a file of <c>warifu check</c>.</summary>
internal sealed class Conf
{
    private Conf(BuiltConfiguration built, List<Diagnostic> findings) => (Built, Findings) = (built, findings);

    public BuiltConfiguration Built { get; }

    public List<Diagnostic> Findings { get; }

    public IEnumerable<string> Lines => Findings.Select(finding => finding.ToString());

    public IEnumerable<Diagnostic> Errors => Findings.Where(finding => finding.Severity == Severity.Error);

    public Policy.Connection Only => Built.Policy.Connections.Single();

    public static Conf Read(string text, string name = "test.conf", PskPolicy fallback = PskPolicy.Strict, Func<string, SourcePosition, IReadOnlyList<IncludedFile>>? include = null)
    {
        var findings = new List<Diagnostic>();
        var tree = SwanctlParser.Parse(Encoding.UTF8.GetBytes(text), name, include is null ? null : new IncludeReader(include), findings);
        var built = PolicyBuilder.Build(tree, findings);
        PskCheck.Judge(built, fallback, findings);
        return new Conf(built, findings);
    }

    /// <summary>A connection that is complete, with these lines in it and in its child.</summary>
    public static Conf With(string connection = "", string child = "", string more = "") => Read(Text(connection, child, more));

    public static string Text(string connection = "", string child = "", string more = "") => $$"""
        connections {
          gw {
            version = 2
            {{connection}}
            local {
              auth = psk
              id = left.example.org
            }
            remote {
              auth = psk
              id = right.example.org
            }
            children {
              net {
                {{child}}
              }
            }
          }
        }
        secrets {
          ike-gw {
            secret = 0x000102030405060708090a0b0c0d0e0f
            id = right.example.org
          }
        }
        {{more}}
        """;

    public static string Folder() => TemporaryFolders.Make();
}
