using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.Linq;
using Warifu.Fuzz;
using Warifu.Primitives;
using Warifu.V2;
using Warifu.Wire;
using Xunit;

namespace Warifu.Tests.V2;

/// <summary>NAT detection against recorded exchanges (items 2.12, 2.22): our hashes are those of the recording, and we see a NAT where the recorded peers saw one.</summary>
[Trait("Item", "2.22")]
public sealed class NatDetectionTraceTests
{
    public static TheoryData<string> Names => [.. RecordedTrace.Negotiations];

    [Theory]
    [MemberData(nameof(Names))]
    public void Hashes_are_those_of_the_recording(string name)
    {
        var trace = RecordedTrace.Load(name);
        var (hashes, sent) = (Hashes(trace.Initiator).Concat(Hashes(trace.Responder)).ToHashSet(), 0);
        Assert.True(hashes.Count >= 4);
        foreach (var (_, octets) in trace.Messages)
        {
            Assert.True(IkeHeader.TryRead(octets, out var header));
            if (header.Exchange != ExchangeType.IkeSaInit) continue;
            Assert.Equal(ParseError.None, MessageView.TryParse(header.NextPayload, octets.AsSpan(IkeHeader.Length), out var view));
            for (var i = 0; i < view.Count; i++)
            {
                if (view[i].Type != PayloadType.Notify || NotifyView.TryParse(view.Body(i), out var notify) != ParseError.None || notify.Type is not (NotifyType.NatDetectionSourceIp or NotifyType.NatDetectionDestinationIp)) continue;
                // what went over the wire is what one of the two computed
                Assert.Contains(Convert.ToHexString(notify.Data), hashes);
                sent++;
            }
        }

        Assert.True(sent >= 4);
    }

    /// <summary>The recorded peers pretend a NAT in every exchange, so that ESP goes in UDP; only in v2-nat the responder's view of the initiator's address is wrong too.</summary>
    [Theory]
    [MemberData(nameof(Names))]
    public void A_NAT_is_seen_where_the_recorded_peer_saw_one(string name)
    {
        var trace = RecordedTrace.Load(name);
        var answer = trace.Messages.Select(message => message.Octets).First(octets => IkeHeader.TryRead(octets, out var found) && found is { Exchange: ExchangeType.IkeSaInit, IsResponse: true, ResponderSpi.IsZero: false });
        Assert.True(IkeHeader.TryRead(answer, out var header));
        Assert.Equal(ParseError.None, MessageView.TryParse(header.NextPayload, answer.AsSpan(IkeHeader.Length), out var view));
        // the initiator computed the hashes of both ends when the answer came: first its own, then the responder's
        var ends = Chunks(trace.Initiator).Where(chunk => BinaryPrimitives.ReadUInt64BigEndian(chunk.AsSpan(8)) == header.ResponderSpi.Value).Take(2).Select(End).ToArray();
        var (seen, local, remote) = NatDetection.Read(view, header.InitiatorSpi, header.ResponderSpi, ends[0], ends[1]);
        Assert.True(seen);
        Assert.Equal(name is "v2-nat" or "v2-nat-rebind", local);
        Assert.True(remote);
    }

    private static IEnumerable<byte[]> Chunks(IEnumerable<(string Label, byte[] Octets)> lines) => lines.Where(line => line.Label == "natd-chunk").Select(line => line.Octets);

    private static IEnumerable<string> Hashes(IReadOnlyList<(string Label, byte[] Octets)> lines)
    {
        for (var i = 0; i + 1 < lines.Count; i++)
        {
            if (lines[i].Label != "natd-chunk") continue;
            var chunk = lines[i].Octets;
            var hash = NatDetection.Hash(new IkeSpi(BinaryPrimitives.ReadUInt64BigEndian(chunk)), new IkeSpi(BinaryPrimitives.ReadUInt64BigEndian(chunk.AsSpan(8))), End(chunk));
            Assert.Equal("natd-hash", lines[i + 1].Label);
            Assert.Equal(lines[i + 1].Octets, hash);
            yield return Convert.ToHexString(hash);
        }
    }

    private static Endpoint End(byte[] chunk) => new(IpAddress.FromOctets(chunk.AsSpan(16, chunk.Length - 18)), BinaryPrimitives.ReadUInt16BigEndian(chunk.AsSpan(chunk.Length - 2)));
}
