using System;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Warifu.App.Vici;

namespace Warifu.App.Cli;

/// <summary>up, down, rekey, reauth: they wait, and say why when they fail.</summary>
internal static class ControlCommands
{
    public static async Task<int> UpAsync(ViciClient client, string name, double timeout, CancellationToken stop)
    {
        var message = await TargetAsync(client, name, stop);
        message.Add("timeout", (long)(timeout * 1000));
        await client.RegisterAsync("control-log", stop);
        var answer = await client.RequestAsync("initiate", message, Print, stop);
        return await EndAsync(answer, $"{name} is up");
    }

    public static async Task<int> DownAsync(ViciClient client, string name, bool force, CancellationToken stop)
    {
        var message = (await TargetAsync(client, name, stop)).Flag("force", force);
        await client.RegisterAsync("control-log", stop);
        var answer = await client.RequestAsync("terminate", message, Print, stop);
        return await EndAsync(answer, $"{name} is down");
    }

    public static async Task<int> RekeyAsync(ViciClient client, string name, bool ike, bool children, CancellationToken stop)
    {
        var message = await TargetAsync(client, name, stop);
        if (ike) message = new ViciMessage().Add("ike", message.Text("ike")!);
        if (children && message.Text("child") is null)
        {
            foreach (var child in await ChildrenAsync(client, name, stop))
            {
                var one = await client.RequestAsync("rekey", new ViciMessage().Add("ike", name).Add("child", child).Add("x-wait", "yes"), cancellationToken: stop);
                if (await EndAsync(one, $"{name}/{child} is rekeyed") is var code and not 0) return code;
            }

            return 0;
        }

        var answer = await client.RequestAsync("rekey", message.Add("x-wait", "yes"), cancellationToken: stop);
        return await EndAsync(answer, $"{name} is rekeyed");
    }

    public static async Task<int> ReauthAsync(ViciClient client, string name, CancellationToken stop)
    {
        var message = await TargetAsync(client, name, stop);
        var answer = await client.RequestAsync("rekey", new ViciMessage().Add("ike", message.Text("ike")!).Add("reauth", "yes").Add("x-wait", "yes"), cancellationToken: stop);
        return await EndAsync(answer, $"{message.Text("ike")} is authenticated anew");
    }

    private static void Print(string name, ViciMessage message)
    {
        if (name == "control-log") Console.Error.WriteLine(message.Text("msg"));
    }

    private static async Task<int> EndAsync(ViciMessage answer, string done)
    {
        if (answer.Text("success") == "yes")
        {
            Console.WriteLine(done);
            return 0;
        }

        await Console.Error.WriteLineAsync($"warifu: {answer.Text("errmsg")}");
        return 1;
    }

    /// <summary>A name is a connection where there is one, else a child; CONNECTION/CHILD is both.</summary>
    private static async Task<ViciMessage> TargetAsync(ViciClient client, string name, CancellationToken stop)
    {
        var slash = name.IndexOf('/', StringComparison.Ordinal);
        if (slash > 0) return new ViciMessage().Add("ike", name[..slash]).Add("child", name[(slash + 1)..]);
        var (connections, _) = await client.StreamAsync("list-conns", "list-conn", cancellationToken: stop);
        if (connections.Exists(connection => connection.Section(name) is not null)) return new ViciMessage().Add("ike", name);
        var owner = connections.SelectMany(connection => connection.Elements).FirstOrDefault(element => element.Section?.Section("children")?.Section(name) is not null);
        return owner is null ? new ViciMessage().Add("ike", name) : new ViciMessage().Add("ike", owner.Name).Add("child", name);
    }

    private static async Task<string[]> ChildrenAsync(ViciClient client, string connection, CancellationToken stop)
    {
        var (connections, _) = await client.StreamAsync("list-conns", "list-conn", new ViciMessage().Add("ike", connection), stop);
        return [.. connections.SelectMany(one => one.Section(connection)?.Section("children")?.Elements ?? []).Select(child => child.Name)];
    }
}
