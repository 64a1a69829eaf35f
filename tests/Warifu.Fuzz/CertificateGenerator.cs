using System;
using System.Formats.Asn1;
using System.Linq;
using Warifu.Policy;
using Warifu.Simulation;

namespace Warifu.Fuzz;

/// <summary>Certificates, CRLs and OCSP responses out of a seed: well-formed, of few names and OIDs, so that they concern each other; the keys and signatures are noise.</summary>
internal sealed class CertificateGenerator(SeededEntropy luck)
{
    public static DateTimeOffset Now { get; } = new(2026, 6, 1, 12, 0, 0, TimeSpan.Zero);

    private static readonly string[] s_names = ["C=CH, CN=Root", "C=CH, O=Example, CN=Sub", "C=CH, O=Example, CN=gw", "C=DE, E=any@example.com", "CN=Zürich"];
    private static readonly string[] s_policies = ["2.5.29.32.0", "1.3.6.1.4.1.99999.2.1", "1.3.6.1.4.1.99999.2.2", "1.3.6.1.4.1.99999.2.3"];
    private static readonly string[] s_hosts = ["example.org", ".example.org", "gw.example.org", "example.com", "", "*.example.org", "a@example.org"];
    private static readonly string[] s_uris = ["http://crl.example.org/a", "http://crl.example.org/b", "ldap://x", "https://gw.example.org:1/", "urn:x", "http://[::1]/"];

    public byte[] Certificate(bool isAuthority) => Signed(writer =>
    {
        using (Box(writer, 0)) writer.WriteInteger(2);
        writer.WriteInteger(luck.Below(8));
        Algorithm(writer);
        Name(writer);
        using (writer.PushSequence())
        {
            writer.WriteUtcTime(Now.AddDays(luck.Below(40) - 39));
            writer.WriteUtcTime(Now.AddDays(luck.Below(40) - 1));
        }

        Name(writer);
        Key(writer);
        using (Box(writer, 3))
        using (writer.PushSequence()) Extensions(writer, isAuthority);
    });

    public byte[] Crl() => Signed(writer =>
    {
        writer.WriteInteger(1);
        Algorithm(writer);
        Name(writer);
        writer.WriteUtcTime(Now.AddDays(-1));
        if (luck.Chance(0.9)) writer.WriteUtcTime(Now.AddDays(luck.Below(4) - 1));
        if (luck.Chance(0.8))
        {
            using (writer.PushSequence())
            {
                for (var count = 1 + luck.Below(6); count > 0; count--)
                {
                    using (writer.PushSequence())
                    {
                        writer.WriteInteger(luck.Below(8));
                        writer.WriteUtcTime(Now.AddDays(-3));
                        if (luck.Chance(0.5)) continue;
                        using (writer.PushSequence()) Extension(writer, "2.5.29.21", luck.Chance(0.1), value => value.WriteEncodedValue([0x0A, 1, (byte)luck.Below(11)]));
                    }
                }
            }
        }

        using (Box(writer, 0))
        using (writer.PushSequence())
        {
            Extension(writer, "2.5.29.20", false, value => value.WriteInteger(luck.Below(20)));
            if (luck.Chance(0.3)) Extension(writer, "2.5.29.27", true, value => value.WriteInteger(luck.Below(20)));
            if (luck.Chance(0.3)) Extension(writer, "2.5.29.46", false, Points);
            if (luck.Chance(0.5)) Extension(writer, "2.5.29.28", true, Scope);
        }
    });

    public byte[] Ocsp()
    {
        var basic = Signed(writer =>
        {
            using (Box(writer, 1)) Name(writer);
            writer.WriteGeneralizedTime(Now, omitFractionalSeconds: true);
            using (writer.PushSequence())
            {
                for (var count = luck.Below(4); count > 0; count--) Single(writer);
            }
        }, luck.Chance(0.5) ? Certificate(isAuthority: false) : null);
        var outer = new AsnWriter(AsnEncodingRules.DER);
        using (outer.PushSequence())
        {
            outer.WriteEncodedValue([0x0A, 1, (byte)(luck.Chance(0.9) ? 0 : luck.Below(8))]);
            using (Box(outer, 0))
            using (outer.PushSequence())
            {
                outer.WriteObjectIdentifier("1.3.6.1.5.5.7.48.1.1");
                outer.WriteOctetString(basic);
            }
        }

        return outer.Encode();
    }

    public byte[] Pkcs7()
    {
        var writer = new AsnWriter(AsnEncodingRules.DER);
        using (writer.PushSequence())
        {
            writer.WriteObjectIdentifier("1.2.840.113549.1.7.2");
            using (Box(writer, 0))
            using (writer.PushSequence())
            {
                writer.WriteInteger(1);
                writer.WriteEncodedValue([0x31, 0]);
                using (writer.PushSequence()) writer.WriteObjectIdentifier("1.2.840.113549.1.7.1");
                using (Box(writer, 0)) writer.WriteEncodedValue(Certificate(isAuthority: true));
                if (luck.Chance(0.5))
                {
                    using (Box(writer, 1)) writer.WriteEncodedValue(Crl());
                }

                writer.WriteEncodedValue([0x31, 0]);
            }
        }

        return writer.Encode();
    }

    private static AsnWriter.Scope Box(AsnWriter writer, int number) => writer.PushSequence(new Asn1Tag(TagClass.ContextSpecific, number));

    private T Of<T>(T[] values) => values[luck.Below(values.Length)];

    private byte[] Signed(Action<AsnWriter> tbs, byte[]? certificate = null)
    {
        var writer = new AsnWriter(AsnEncodingRules.DER);
        using (writer.PushSequence())
        {
            using (writer.PushSequence()) tbs(writer);
            Algorithm(writer);
            var signature = new byte[64];
            luck.Fill(signature);
            writer.WriteBitString(signature);
            if (certificate is not null)
            {
                using (Box(writer, 0))
                using (writer.PushSequence()) writer.WriteEncodedValue(certificate);
            }
        }

        return writer.Encode();
    }

    private static void Algorithm(AsnWriter writer)
    {
        using (writer.PushSequence()) writer.WriteObjectIdentifier("1.2.840.10045.4.3.2");
    }

    private void Key(AsnWriter writer)
    {
        using (writer.PushSequence())
        {
            using (writer.PushSequence()) writer.WriteObjectIdentifier("1.3.101.112");
            var point = new byte[32];
            luck.Fill(point);
            writer.WriteBitString(point);
        }
    }

    private void Name(AsnWriter writer) => writer.WriteEncodedValue(DistinguishedName.TryEncode(Of(s_names), out var name) ? name : [0x30, 0]);

    private void Extensions(AsnWriter writer, bool isAuthority)
    {
        if (isAuthority)
        {
            Extension(writer, "2.5.29.19", true, value =>
            {
                using (value.PushSequence())
                {
                    value.WriteBoolean(true);
                    if (luck.Chance(0.3)) value.WriteInteger(luck.Below(3));
                }
            });
        }

        if (luck.Chance(0.2)) Extension(writer, "1.3.6.1.4.1.99999.1", luck.Chance(0.3), value => value.WriteNull());
        if (luck.Chance(0.5)) Extension(writer, "2.5.29.17", false, value => Names(value, constraint: false));
        if (luck.Chance(0.4)) Extension(writer, "2.5.29.30", true, Constraints);
        if (luck.Chance(0.6)) Extension(writer, "2.5.29.32", false, value => Sequence(value, s_policies.Where(_ => luck.Chance(0.5)).DefaultIfEmpty(s_policies[1]).ToArray(), (inner, policy) =>
        {
            using (inner.PushSequence()) inner.WriteObjectIdentifier(policy);
        }));
        if (luck.Chance(0.3)) Extension(writer, "2.5.29.33", true, value => Sequence(value, Enumerable.Range(0, 1 + luck.Below(5)).ToArray(), (inner, _) =>
        {
            using (inner.PushSequence())
            {
                inner.WriteObjectIdentifier(Of(s_policies));
                inner.WriteObjectIdentifier(Of(s_policies));
            }
        }));
        if (luck.Chance(0.3)) Extension(writer, "2.5.29.36", true, value =>
        {
            using (value.PushSequence())
            {
                value.WriteInteger(luck.Below(3), new Asn1Tag(TagClass.ContextSpecific, 0));
                if (luck.Chance(0.5)) value.WriteInteger(luck.Below(3), new Asn1Tag(TagClass.ContextSpecific, 1));
            }
        });
        if (luck.Chance(0.2)) Extension(writer, "2.5.29.54", true, value => value.WriteInteger(luck.Below(3)));
        if (luck.Chance(0.4)) Extension(writer, "2.5.29.31", false, Points);
        if (luck.Chance(0.2)) Extension(writer, "2.5.29.46", false, Points);
    }

    private static void Extension(AsnWriter writer, string oid, bool isCritical, Action<AsnWriter> write)
    {
        var value = new AsnWriter(AsnEncodingRules.DER);
        write(value);
        using (writer.PushSequence())
        {
            writer.WriteObjectIdentifier(oid);
            if (isCritical) writer.WriteBoolean(true);
            writer.WriteOctetString(value.Encode());
        }
    }

    private static void Sequence<T>(AsnWriter writer, T[] values, Action<AsnWriter, T> write)
    {
        using (writer.PushSequence())
        {
            foreach (var value in values) write(writer, value);
        }
    }

    private void Names(AsnWriter writer, bool constraint) => Sequence(writer, Enumerable.Range(0, 1 + luck.Below(4)).ToArray(), (inner, _) => Name(inner, constraint));

    private void Name(AsnWriter writer, bool constraint)
    {
        Asn1Tag Tag(int number) => new(TagClass.ContextSpecific, number);
        switch (luck.Below(6))
        {
            case 0:
                writer.WriteCharacterString(UniversalTagNumber.IA5String, Of(s_hosts), Tag(1));
                break;
            case 1:
                writer.WriteCharacterString(UniversalTagNumber.IA5String, Of(s_hosts), Tag(2));
                break;
            case 2:
                using (Box(writer, 4)) Name(writer);
                break;
            case 3:
                writer.WriteCharacterString(UniversalTagNumber.IA5String, constraint ? Of(s_hosts) : Of(s_uris), Tag(6));
                break;
            case 4:
                writer.WriteOctetString(constraint ? [192, 0, 2, 0, 255, 255, 255, 0] : [192, 0, (byte)luck.Below(4), 1], Tag(7));
                break;
            default:
                using (Box(writer, 0)) writer.WriteObjectIdentifier("1.2.3");
                break;
        }
    }

    private void Constraints(AsnWriter writer)
    {
        using (writer.PushSequence())
        {
            using (Box(writer, luck.Below(2)))
            {
                for (var count = 1 + luck.Below(3); count > 0; count--)
                {
                    using (writer.PushSequence()) Name(writer, constraint: true);
                }
            }
        }
    }

    private void Points(AsnWriter writer) => Sequence(writer, Enumerable.Range(0, 1 + luck.Below(3)).ToArray(), (inner, _) =>
    {
        using (inner.PushSequence())
        using (Box(inner, 0))
        using (Box(inner, 0)) inner.WriteCharacterString(UniversalTagNumber.IA5String, Of(s_uris), new Asn1Tag(TagClass.ContextSpecific, 6));
    });

    private void Scope(AsnWriter writer)
    {
        using (writer.PushSequence())
        {
            if (luck.Chance(0.5))
            {
                using (Box(writer, 0))
                using (Box(writer, 0)) writer.WriteCharacterString(UniversalTagNumber.IA5String, Of(s_uris), new Asn1Tag(TagClass.ContextSpecific, 6));
            }

            if (luck.Chance(0.3)) writer.WriteBoolean(true, new Asn1Tag(TagClass.ContextSpecific, 1 + luck.Below(2)));
            if (luck.Chance(0.2)) writer.WriteBoolean(true, new Asn1Tag(TagClass.ContextSpecific, 4));
        }
    }

    private void Single(AsnWriter writer)
    {
        using (writer.PushSequence())
        {
            using (writer.PushSequence())
            {
                using (writer.PushSequence()) writer.WriteObjectIdentifier("1.3.14.3.2.26");
                writer.WriteOctetString(new byte[20]);
                writer.WriteOctetString(new byte[20]);
                writer.WriteInteger(luck.Below(8));
            }

            writer.WriteNull(new Asn1Tag(TagClass.ContextSpecific, luck.Chance(0.5) ? 0 : 2));
            writer.WriteGeneralizedTime(Now, omitFractionalSeconds: true);
        }
    }
}
