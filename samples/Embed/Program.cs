using System.Buffers.Binary;
using Warifu.Engine;
using Warifu.Net;

const string Secret = "Zr8.kVq2-Wx7hTn4";

using var gatewaySecrets = new SecretStore();
gatewaySecrets.SetPsk("laptops", Secret);
await using var gateway = await Gateway.StartAsync(gatewaySecrets);

// a negotiation that fails is an exception that says why and what to change
using var wrong = new SecretStore();
wrong.SetPsk("office", "not what the gateway has");
try
{
    await using var refused = await Tunnel.OpenAsync("127.0.0.1", gateway.Port, wrong, new MemoryPacketPort());
    return 1;
}
catch (IkeException failure)
{
    Console.WriteLine($"refused, as it should be: {failure.Message}");
    foreach (var step in failure.Report?.Steps ?? []) Console.WriteLine($"  {step.Direction,-4} {step.Title}");
}

using var secrets = new SecretStore();
secrets.SetPsk("office", Secret);
var packets = new MemoryPacketPort();
await using var node = await Tunnel.OpenAsync("127.0.0.1", gateway.Port, secrets, packets);
Console.WriteLine("the tunnel is up");

using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(10));
var received = 0;
for (var number = 1; number <= 3; number++)
{
    packets.Send(Packet(number));
    var echo = await packets.Received.ReadAsync(patience.Token);
    if (echo[20] == number) received++;
    Console.WriteLine($"packet {number} came back through the tunnel: {echo.Length} octets from 10.2.0.1");
}

// what happens is an asynchronous stream
var down = Task.Run(async () =>
{
    await foreach (var happening in node.Events(patience.Token))
    {
        Console.WriteLine($"event: {happening.GetType().Name} of {happening.Connection}");
        if (happening is IkeSaDown) return;
    }
});
await Task.Delay(100);
await node.DownAsync("office");
await down;
Console.WriteLine($"3 sent, {received} received");
return received == 3 ? 0 : 1;

// an IPv4 packet of an experimental protocol (RFC 3692) from the laptop to the office
static byte[] Packet(int number)
{
    byte[] packet = [0x45, 0, 0, 24, 0, 0, 0, 0, 64, 253, 0, 0, 10, 9, 0, 1, 10, 2, 0, 1, (byte)number, 0, 0, 0];
    var sum = 0;
    for (var at = 0; at < 20; at += 2) sum += BinaryPrimitives.ReadUInt16BigEndian(packet.AsSpan(at));
    BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(10), (ushort)~((sum & 0xFFFF) + (sum >> 16)));
    return packet;
}
