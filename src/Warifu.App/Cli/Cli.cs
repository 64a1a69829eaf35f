using System;
using System.CommandLine;
using System.CommandLine.Help;
using System.IO;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Warifu.App.Cli.Demo;
using Warifu.App.Configuration;
using Warifu.App.Daemon;

namespace Warifu.App.Cli;

/// <summary>The commands of the program. Exit codes: 0 done, 1 the operation failed, 2 usage or configuration error.</summary>
internal static class CommandTree
{
    private static readonly Option<string> s_socket = new("--socket") { Description = "the daemon's socket", DefaultValueFactory = _ => Environment.GetEnvironmentVariable("WARIFU_SOCKET") ?? WarifuDaemon.DefaultSocket, Recursive = true };

    private static readonly Option<bool> s_json = new("--json") { Description = "print JSON" };

    public static async Task<int> RunAsync(string[] args)
    {
        // not a RootCommand: that would be named after the file of the program
        var root = new Command("warifu", "Warifu: IKE and IPsec") { new HelpOption(), new VersionOption(), s_socket, Run(), Check(), Load(), Up(), Down(), Rekey(), Reauth(), Status(), List(), Log(), Explain(), Ca.PkiCommand.Create(), Demo(), Publish() };
        var parsed = root.Parse(args);
        if (parsed.Errors.Count > 0)
        {
            foreach (var error in parsed.Errors) await Console.Error.WriteLineAsync($"warifu: {error.Message}");
            await Console.Error.WriteLineAsync("warifu: 'warifu --help' shows the commands");
            return 2;
        }

        try
        {
            // a console that is interrupted ends the command; the daemon has its own way to end
            return await parsed.InvokeAsync(new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = TimeSpan.FromSeconds(20) });
        }
        catch (Exception exception) when (exception is IOException or OperationCanceledException or System.ComponentModel.Win32Exception)
        {
            if (exception is not OperationCanceledException) await Console.Error.WriteLineAsync($"warifu: {exception.Message}");
            return 1;
        }
    }

    private static Command Run()
    {
        var config = new Option<string>("--config") { Description = "the configuration", DefaultValueFactory = _ => ConfigurationFile.DefaultPath };
        var dataPlane = new Option<string?>("--dataplane") { Description = "auto, tun or none" };
        dataPlane.AcceptOnlyFromAmong("auto", "tun", "none");
        var keyLog = new Option<string?>("--keylog") { Description = "folder for the keys of all SAs, in the tables that Wireshark reads: whoever has them reads the traffic" };
        var command = new Command("run", "runs the daemon in the foreground") { config, dataPlane, keyLog };
        command.SetAction((parsed, _) =>
        {
            var explicitly = parsed.GetResult(s_socket) is { Implicit: false } || Environment.GetEnvironmentVariable("WARIFU_SOCKET") is not null;
            return WarifuDaemon.RunAsync(parsed.GetValue(config)!, explicitly ? [parsed.GetValue(s_socket)!] : [], parsed.GetValue(dataPlane), parsed.GetValue(keyLog));
        });
        return command;
    }

    private static Command Check()
    {
        var files = new Argument<string[]>("FILE") { Description = "configuration files", Arity = ArgumentArity.ZeroOrMore };
        var strict = new Option<bool>("--strict") { Description = "limits are errors too" };
        var host = new Option<bool>("--host") { Description = "checks this machine" };
        var command = new Command("check", "validates configuration, or the machine") { files, strict, host };
        command.SetAction(parsed =>
        {
            if (parsed.GetValue(host)) return HostCheck.Run(Console.Out);
            var names = parsed.GetValue(files) ?? [];
            if (names.Length > 0) return FileCheck.Run(names, parsed.GetValue(strict), Console.Out);
            Console.Error.WriteLine("warifu: name a file, or use --host");
            return 2;
        });
        return command;
    }

    private static Command Load()
    {
        var file = new Argument<string?>("FILE") { Description = "the configuration", Arity = ArgumentArity.ZeroOrOne };
        var within = new Option<int>("--confirm-within") { Description = "seconds after which the change is taken back unless it is confirmed" };
        var dryRun = new Option<bool>("--dry-run") { Description = "says what would change" };
        var confirm = new Option<bool>("--confirm") { Description = "keeps the last change" };
        var rollback = new Option<bool>("--rollback") { Description = "takes back the last change that is not confirmed" };
        within.Validators.Add(result =>
        {
            if (result.Tokens is [{ Value: var text }] && !(int.TryParse(text, out var seconds) && seconds is >= 1 and <= 86400)) result.AddError("--confirm-within is a number of seconds, 1 to 86400");
        });
        var command = new Command("load", "loads or reloads configuration into the running daemon, as a whole") { file, within, dryRun, confirm, rollback };
        command.Validators.Add(result =>
        {
            var given = new[] { result.GetValue(file) is not null, result.GetValue(confirm), result.GetValue(rollback) }.Count(one => one);
            if (given != 1) result.AddError("load takes a file, or --confirm, or --rollback");
        });
        command.SetAction((parsed, stop) => Client(
            parsed,
            client => parsed.GetValue(file) is { } name ? LoadCommand.RunAsync(client, name, parsed.GetValue(within), parsed.GetValue(dryRun), stop) : LoadCommand.DecideAsync(client, parsed.GetValue(confirm), stop),
            stop));
        return command;
    }

    private static Command Up()
    {
        var name = new Argument<string>("NAME") { Description = "connection, child, or CONNECTION/CHILD" };
        var timeout = new Option<double>("--timeout") { Description = "seconds to wait; 0 = as long as it takes", DefaultValueFactory = _ => 0 };
        var command = new Command("up", "brings up a connection or child; says why if it fails") { name, timeout };
        command.SetAction((parsed, stop) => Client(parsed, client => ControlCommands.UpAsync(client, parsed.GetValue(name)!, parsed.GetValue(timeout), stop), stop));
        return command;
    }

    private static Command Down()
    {
        var name = new Argument<string>("NAME") { Description = "connection, child, or CONNECTION/CHILD" };
        var force = new Option<bool>("--force") { Description = "does not wait for the peer" };
        var command = new Command("down", "takes down a connection or child") { name, force };
        command.SetAction((parsed, stop) => Client(parsed, client => ControlCommands.DownAsync(client, parsed.GetValue(name)!, parsed.GetValue(force), stop), stop));
        return command;
    }

    private static Command Rekey()
    {
        var name = new Argument<string>("NAME") { Description = "connection, child, or CONNECTION/CHILD" };
        var ike = new Option<bool>("--ike") { Description = "the IKE SA (the default for a connection)" };
        var child = new Option<bool>("--child") { Description = "all children of the connection (the default for a child is itself)" };
        var command = new Command("rekey", "rekeys a connection or child") { name, ike, child };
        command.Validators.Add(result =>
        {
            if (result.GetValue(ike) && result.GetValue(child)) result.AddError("rekey takes --ike or --child, not both");
        });
        command.SetAction((parsed, stop) => Client(parsed, client => ControlCommands.RekeyAsync(client, parsed.GetValue(name)!, parsed.GetValue(ike), parsed.GetValue(child), stop), stop));
        return command;
    }

    private static Command Reauth()
    {
        var name = new Argument<string>("NAME") { Description = "connection" };
        var command = new Command("reauth", "authenticates both sides of a connection anew: a new IKE SA with new children, then the old one is deleted") { name };
        command.SetAction((parsed, stop) => Client(parsed, client => ControlCommands.ReauthAsync(client, parsed.GetValue(name)!, stop), stop));
        return command;
    }

    private static Command Status()
    {
        var name = new Argument<string?>("NAME") { Description = "one connection", Arity = ArgumentArity.ZeroOrOne };
        var command = new Command("status", "what is up, what is down and why, and what comes next") { name, s_json };
        command.SetAction((parsed, stop) => Client(parsed, client => Listings.StatusAsync(client, parsed.GetValue(name), parsed.GetValue(s_json), stop), stop));
        return command;
    }

    private static Command List()
    {
        var command = new Command("list", "lists what is there");
        var algorithms = new Command("algorithms", "what this build can compute; needs no daemon") { s_json };
        algorithms.SetAction(parsed => Listings.Algorithms(parsed.GetValue(s_json)));
        command.Add(algorithms);
        foreach (var (name, description) in new[] { ("sas", "IKE SAs and their children"), ("conns", "loaded connections"), ("policies", "traps and shunts"), ("certs", "certificates, CRLs and public keys"), ("authorities", "certification authorities"), ("pools", "addresses for clients and who has them"), ("counters", "messages, drops and their reasons") })
        {
            var one = new Command(name, description) { s_json };
            one.SetAction((parsed, stop) => Client(parsed, client => Listings.RunAsync(client, name, parsed.GetValue(s_json), stop), stop));
            command.Add(one);
        }

        return command;
    }

    private static Command Log()
    {
        var follow = new Option<bool>("--follow", "-f") { Description = "goes on with what happens" };
        var connection = new Option<string?>("--conn") { Description = "one connection" };
        var command = new Command("log", "the event stream") { follow, connection, s_json };
        command.SetAction((parsed, stop) => Client(parsed, client => Listings.LogAsync(client, parsed.GetValue(follow), parsed.GetValue(connection), parsed.GetValue(s_json), stop), stop));
        return command;
    }

    private static Command Explain()
    {
        var name = new Argument<string?>("NAME") { Description = "connection or child", Arity = ArgumentArity.ZeroOrOne };
        var last = new Option<bool>("--last") { Description = "the latest negotiation of all" };
        var command = new Command("explain", "the last negotiation, step by step: offered, accepted, first difference, what to change") { name, last, s_json };
        command.Validators.Add(result =>
        {
            if (result.GetValue(name) is not null == result.GetValue(last)) result.AddError("explain takes a name, or --last");
        });
        command.SetAction((parsed, stop) => Client(parsed, client => Listings.ExplainAsync(client, parsed.GetValue(last) ? null : parsed.GetValue(name), parsed.GetValue(s_json), stop), stop));
        return command;
    }

    private static Command Demo()
    {
        var inMemory = new Option<bool>("--in-memory") { Description = "two nodes in one process, without namespaces" };
        var command = new Command("demo", "two gateways on this machine: a real negotiation, real traffic") { inMemory };
        command.SetAction((parsed, stop) => DemoCommand.RunAsync(parsed.GetValue(inMemory), stop));
        // the demo starts itself again inside its namespaces
        foreach (var (name, run) in new (string, Func<string[], CancellationToken, Task<int>>)[] { (DemoStage.Name, DemoStage.RunAsync), (DemoGateway.Name, DemoGateway.RunAsync) })
        {
            var rest = new Argument<string[]>("ARGS") { Arity = ArgumentArity.ZeroOrMore };
            var part = new Command(name) { rest };
            part.Hidden = true;
            part.SetAction((parsed, stop) => run(parsed.GetValue(rest) ?? [], stop));
            command.Add(part);
        }

        return command;
    }

    private static Command Publish()
    {
        var folder = new Argument<string?>("FOLDER") { Description = "where to (artifacts/aot)", Arity = ArgumentArity.ZeroOrOne };
        var command = new Command("publish", "builds the Native AOT binary from the source tree") { folder };
        command.SetAction((parsed, stop) => PublishCommand.RunAsync(parsed.GetValue(folder), stop));
        return command;
    }

    private static async Task<int> Client(ParseResult parsed, Func<Vici.ViciClient, Task<int>> act, CancellationToken stop)
    {
        await using var client = await Vici.ViciClient.ConnectAsync(parsed.GetValue(s_socket)!, stop);
        return await act(client);
    }
}
