using System;
using System.Linq;
using System.Text;
using Warifu.App.Cli.Ca;
using Warifu.Crypto.Signatures;
using Warifu.Policy;

namespace Warifu.Bench;

/// <summary>A root, an authority below it, and certificates of that for one key: what both sides of a benchmark prove themselves with.</summary>
internal sealed class Certificates : IDisposable
{
    private readonly PrivateKey _key;
    private readonly byte[] _pem;
    private readonly byte[] _root;
    private readonly byte[] _authority;

    public Certificates(string kind, int size)
    {
        _pem = Encoding.ASCII.GetBytes(KeyMaker.Generate(kind, size));
        _key = Key();
        _root = CertificateMaker.SelfSigned(new NewCertificate { Subject = "C=CH, CN=Root", IsCa = true }, _key, pss: false);
        _authority = CertificateMaker.Issue(new NewCertificate { Subject = "C=CH, CN=Authority", IsCa = true }, _key.Public, _root, _key, pss: false);
    }

    public PrivateKey Key() => PrivateKey.Parse(_pem);

    /// <summary>The same policy with certificates; connections are called NAME.example.org.</summary>
    public PolicySet Of(PolicySet policy, string name)
    {
        var own = CertificateMaker.Issue(new NewCertificate { Subject = $"C=CH, CN={name}", AlternativeNames = [$"{name}.example.org"] }, _key.Public, _authority, _key, pss: false);
        return policy with
        {
            Connections = [.. policy.Connections.Select(connection => connection with
            {
                Local = connection.Local with { Kind = AuthKind.PublicKey, Certificates = [[.. own]] },
                Remote = connection.Remote with { Kind = AuthKind.PublicKey },
            })],
            Trust = new TrustMaterial { Authorities = [new Authority { Name = "root", Certificate = [.. _root] }], Certificates = [[.. _authority]] },
        };
    }

    public void Dispose() => _key.Dispose();
}
