using System;
using System.Collections.Generic;
using System.Linq;
using System.Text;
using Warifu.Crypto;
using Warifu.Fuzz;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.V1;
using Warifu.Wire;
using Warifu.Wire.V1;
using Xunit;

namespace Warifu.Tests.V1;

/// <summary>Recorded XAuth and Mode Config of another implementation (item 3.6): each message decrypts, its HASH is right, we read what it says, and what we would send in its place is the same to the octet.</summary>
[Trait("Item", "3.6")]
public sealed class RecordedTransactionTests
{
    private const byte Encrypted = 1;

    [Theory]
    [InlineData("v1-xauth-psk", 4)]
    [InlineData("v1-xauth-rsa", 4)]
    [InlineData("v1-xauth-aggr", 4)]
    [InlineData("v1-hybrid", 4)]
    [InlineData("v1-modecfg", 2)]
    [InlineData("v1-modecfg-push", 2)]
    public void Transactions_are_those_of_the_recording(string name, int count)
    {
        var trace = RecordedTrace.Load(name);
        byte[] First(string label) => trace.Initiator.First(line => line.Label == label).Octets;
        using var cipher = new ChainedCipher(EncrId.AesCbc, new Secret(First("ka")));
        using var keys = new IsakmpKeys { Prf = PrfId.HmacSha256, Skeyid = new Secret(First("skeyid")), SkeyidD = new Secret(First("skeyid_d")), SkeyidA = new Secret(First("skeyid_a")), Encr = new Secret(First("ka")) };
        var phaseOne = First("iv")[..cipher.BlockLength];
        var (ivs, seen, pieces) = (new Dictionary<uint, byte[]>(), new List<string>(), new List<byte>());
        foreach (var (fromInitiator, raw) in trace.Messages)
        {
            var octets = raw;
            Assert.True(IkeHeader.TryRead(octets, out var header));
            if ((PayloadV1)header.NextPayload == PayloadV1.Fragment)
            {
                Assert.Equal(ParseError.None, ChainView.TryParse(PayloadV1.Fragment, octets.AsSpan(IkeHeader.Length), false, out var outer));
                Assert.Equal(ParseError.None, FragmentBody.TryParse(outer.Body(0), out var piece));
                pieces.AddRange(piece.Data);
                if (!piece.IsLast) continue;
                octets = [.. pieces];
                pieces.Clear();
                Assert.True(IkeHeader.TryRead(octets, out header));
            }

            if ((header.Flags & Encrypted) == 0) continue;
            var body = octets[IkeHeader.Length..];
            if (header.MessageId == 0)
            {
                phaseOne = body[^cipher.BlockLength..];
                continue;
            }

            var iv = ivs.GetValueOrDefault(header.MessageId) ?? KeyScheduleV1.ExchangeIv(keys.Prf, phaseOne, header.MessageId);
            ivs[header.MessageId] = cipher.Decrypt(iv, body);
            if (header.Exchange != ExchangeType.ModeConfig) continue;
            Assert.Equal(ParseError.None, ChainView.TryParse((PayloadV1)header.NextPayload, body, decrypted: true, out var view));
            Assert.Null(MessageRules.Check(MessageKind.Transaction, view));
            var hash = new byte[32];
            KeyScheduleV1.Hash(keys, header.MessageId, default, view.After(0), hash);
            Assert.Equal(hash, view.Body(0).ToArray());
            view.TryGet(PayloadV1.Attributes, out var attributes);
            Assert.Equal(ParseError.None, AttributesBody.TryParse(attributes, out var read));
            seen.Add((fromInitiator ? "i " : "r ") + string.Join(' ', MessageNames.Details(view)));

            // ours in its place
            var writer = new WireWriter();
            Write(writer, read);
            var builder = new ChainBuilder().HashPlace(hash.Length).Attributes(read.Kind, read.Identifier, writer.Written);
            KeyScheduleV1.Hash(keys, header.MessageId, default, builder.AfterFirst, hash);
            builder.SetHash(hash);
            Assert.Equal(Convert.ToHexStringLower(body.AsSpan(0, view.Length)), Convert.ToHexStringLower(builder.Chain));
            // it pads with zeros as we do, but a full block with another one
            var padded = new byte[body.Length];
            builder.Chain.CopyTo(padded);
            cipher.Encrypt(iv, padded);
            Assert.Equal(octets[IkeHeader.Length..], padded);
        }

        Assert.Equal(count, seen.Count);
        Assert.Equal(
            name switch
            {
                "v1-modecfg" => ["i CFG_REQUEST INTERNAL_IP4_ADDRESS INTERNAL_IP4_DNS", "r CFG_REPLY INTERNAL_IP4_ADDRESS 10.3.0.1"],
                "v1-modecfg-push" => ["r CFG_SET INTERNAL_IP4_ADDRESS 10.3.0.1", "i CFG_ACK INTERNAL_IP4_ADDRESS"],
                _ => new[] { "r CFG_REQUEST XAUTH_USER_NAME XAUTH_USER_PASSWORD", "i CFG_REPLY XAUTH_USER_NAME carol XAUTH_USER_PASSWORD (hidden)", "r CFG_SET XAUTH_STATUS OK", "i CFG_ACK XAUTH_STATUS" },
            },
            seen);
    }

    private static void Write(WireWriter writer, scoped in AttributesBody read)
    {
        switch (read.Kind)
        {
            case ConfigurationKind.Request when XauthClient.IsXauth(read):
                XauthServer.WriteRequest(writer);
                break;
            case ConfigurationKind.Reply when XauthClient.IsXauth(read):
                XauthClient.WriteReply(writer, null, "carol"u8, "Ar3etTnp"u8);
                break;
            case ConfigurationKind.Set when XauthClient.IsXauth(read):
                XauthServer.WriteStatus(writer, ok: true);
                break;
            case ConfigurationKind.Request:
                // theirs asks for less than ours would
                ConfigurationList.Octets(writer, (ushort)ConfigurationType.InternalIp4Address, default);
                ConfigurationList.Octets(writer, (ushort)ConfigurationType.InternalIp4Dns, default);
                break;
            case ConfigurationKind.Reply:
                ConfigurationServer.Write(writer, [IpAddress.Parse("10.3.0.1")], [], null, [ConfigurationType.InternalIp4Address, ConfigurationType.InternalIp4Dns]);
                break;
            case ConfigurationKind.Set:
                ConfigurationServer.Write(writer, [IpAddress.Parse("10.3.0.1")], [], null, null);
                break;
            default:
                ConfigurationClient.WriteAck(writer, [XauthClient.IsXauth(read) ? (ushort)XauthAttribute.Status : (ushort)ConfigurationType.InternalIp4Address]);
                break;
        }
    }

    [Fact]
    public void Users_names_are_octets_and_never_anything_else()
    {
        Assert.Equal(Identity.Fqdn("carol"), UserNames.IdentityOf("carol"u8));
        Assert.Equal(Identity.Rfc822("carol@example.org"), UserNames.IdentityOf("carol@example.org"u8));
        Assert.Equal(IdType.Fqdn, UserNames.IdentityOf("10.0.0.1"u8)!.Type);
        Assert.Equal(IdType.Fqdn, UserNames.IdentityOf("C=CH, CN=carol"u8)!.Type);
        foreach (var bad in new[] { "", "a\0", "a\n", "\u007f", new string('a', 256) }) Assert.Null(UserNames.IdentityOf(Encoding.Latin1.GetBytes(bad)));
        foreach (var name in new[] { "carol", "carol@example.org", "10.0.0.1", "C=CH, CN=carol" }) Assert.True(UserNames.PatternOf(IdentityPattern.Parse(name)).Matches(UserNames.IdentityOf(Encoding.UTF8.GetBytes(name))!), name);
        Assert.True(UserNames.PatternOf(IdentityPattern.Parse("*@example.org")).Matches(UserNames.IdentityOf("carol@example.org"u8)!));
        Assert.False(UserNames.PatternOf(IdentityPattern.Parse("carol")).Matches(UserNames.IdentityOf("dave"u8)!));
    }
}
