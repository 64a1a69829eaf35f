using System;
using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using Warifu.Policy;
using Warifu.Primitives;

namespace Warifu.App.Configuration;

/// <summary>Values of configuration payloads that are ours, beside those of swanctl.conf.</summary>
internal static class PoolValues
{
    /// <summary>"10.3.0.9 boss@example.org".</summary>
    public static bool TryReadStatic(string item, [NotNullWhen(true)] out StaticLease? lease, [NotNullWhen(false)] out string? error)
    {
        (lease, error) = (null, null);
        var blank = item.IndexOf(' ', StringComparison.Ordinal);
        if (blank < 0 || !IpAddress.TryParse(item.AsSpan(0, blank), out var address)) error = $"'{item}' is no static lease; write ADDRESS IDENTITY, for example 10.3.0.9 boss@example.org";
        else if (Identities.TryParse(item[(blank + 1)..].Trim(), out var identity, out error)) lease = new StaticLease(address, identity);
        return lease is not null;
    }

    /// <summary>Key request of a connection.</summary>
    public static ImmutableArray<ConfigurationType> Requested(SectionReader reader)
    {
        var types = ImmutableArray.CreateBuilder<ConfigurationType>();
        foreach (var item in reader.Items("request"))
        {
            if (item == "version") types.Add(ConfigurationType.ApplicationVersion);
            else if (item == "supported") types.Add(ConfigurationType.SupportedAttributes);
            else if (ValueReader.TryNumber(item, out var number) && number is > 0 and <= 0x7FFF) types.Add((ConfigurationType)number);
            else reader.Error("request", $"'{item}' is no configuration attribute", "write version, supported or a number of 1..32767");
        }

        return types.ToImmutable();
    }
}
