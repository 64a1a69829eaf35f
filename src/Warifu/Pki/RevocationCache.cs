using System;
using System.Collections.Generic;
using System.Linq;

namespace Warifu.Pki;

/// <summary>CRLs and OCSP responses that were fetched: kept until their next update, bounded in number and octets. Nothing is in it that its issuer did not sign: the judge checks signatures each time, and a list remembers who signed it.</summary>
internal sealed class RevocationCache
{
    public const int MaxCrls = 256;
    public const long MaxCrlOctets = 64L * 1024 * 1024;
    public const int MaxResponses = 4096;

    private readonly Dictionary<string, Crl> _crls = [];
    private readonly Dictionary<X509Name, List<Crl>> _byIssuer = [];
    private readonly Dictionary<string, OcspResponse> _responses = [];

    public int CrlCount => _crls.Count;

    public int ResponseCount => _responses.Count;

    public long CrlOctets { get; private set; }

    /// <summary>Lists of this issuer.</summary>
    public IReadOnlyList<Crl> CrlsOf(X509Name issuer) => _byIssuer.TryGetValue(issuer, out var crls) ? crls : [];

    public OcspResponse? ResponseTo(string key) => _responses.GetValueOrDefault(key);

    /// <summary>Keeps what came from <paramref name="uri"/>; an older one than what is there is left out.</summary>
    public bool Add(string uri, Crl crl)
    {
        if (crl.Der.Length > MaxCrlOctets) return false;
        if (_crls.TryGetValue(uri, out var old))
        {
            // an attacker on the path can send what was true yesterday; and a forged one from the future must not stay
            if (old.IsVerified && old.Issuer.Equals(crl.Issuer) && old.ThisUpdate > crl.ThisUpdate) return false;
            RemoveCrl(uri, old);
        }

        while (_crls.Count > 0 && (_crls.Count >= MaxCrls || CrlOctets + crl.Der.Length > MaxCrlOctets))
        {
            var first = _crls.MinBy(pair => pair.Value.NextUpdate ?? DateTimeOffset.MinValue);
            RemoveCrl(first.Key, first.Value);
        }

        _crls.Add(uri, crl);
        if (!_byIssuer.TryGetValue(crl.Issuer, out var crls)) _byIssuer.Add(crl.Issuer, crls = []);
        crls.Add(crl);
        CrlOctets += crl.Der.Length;
        return true;
    }

    public void Add(string key, OcspResponse response)
    {
        if (_responses.TryGetValue(key, out var old) && old.IsVerified && old.ProducedAt > response.ProducedAt) return;
        _responses.Remove(key);
        while (_responses.Count >= MaxResponses) _responses.Remove(_responses.MinBy(pair => pair.Value.ProducedAt).Key);
        _responses.Add(key, response);
    }

    /// <summary>Forgets everything.</summary>
    public void Clear()
    {
        _crls.Clear();
        _byIssuer.Clear();
        _responses.Clear();
        CrlOctets = 0;
    }

    private void RemoveCrl(string uri, Crl crl)
    {
        _crls.Remove(uri);
        CrlOctets -= crl.Der.Length;
        var crls = _byIssuer[crl.Issuer];
        crls.Remove(crl);
        if (crls.Count == 0) _byIssuer.Remove(crl.Issuer);
    }
}
