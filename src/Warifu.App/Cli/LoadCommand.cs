using System;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Warifu.App.Configuration;
using Warifu.App.Vici;
using Warifu.Net;

namespace Warifu.App.Cli;

/// <summary><c>warifu load FILE</c>: reads and checks the file here, hands it over in one transaction, prints what changed.</summary>
internal static class LoadCommand
{
    /// <param name="client">The daemon.</param>
    /// <param name="file">The configuration.</param>
    /// <param name="confirmWithin">Seconds after which the change is taken back unless it is confirmed; 0 = final.</param>
    /// <param name="dryRun">Says what would change.</param>
    /// <param name="stop">Gives up.</param>
    public static async Task<int> RunAsync(ViciClient client, string file, int confirmWithin, bool dryRun, CancellationToken stop)
    {
        var read = ConfigurationReader.Read(file);
        var (tree, built) = (read.Tree, read.Built);
        try
        {
            foreach (var finding in read.Findings.Where(finding => finding.Severity != Severity.Notice)) await Console.Error.WriteLineAsync(finding.ToString());
            if (read.Findings.Exists(finding => finding.Severity == Severity.Error)) return 2;
            if (!await SendAsync(client, read, dryRun, stop)) return 1;
        }
        finally
        {
            built.Erase();
            read.EraseSources();
        }

        if (tree.Section("daemon") is { } daemon) await Console.Error.WriteLineAsync($"{daemon.Position}: notice: the section 'daemon' takes effect when the daemon starts");
        var commit = new ViciMessage();
        if (confirmWithin > 0) commit.Add("confirm-within", confirmWithin);
        var answer = await client.RequestAsync("warifu-commit", commit, cancellationToken: stop);
        foreach (var error in answer.Items("errors")) await Console.Error.WriteLineAsync(error);
        if (answer.Text("success") != "yes")
        {
            await Console.Error.WriteLineAsync($"warifu: {answer.Text("errmsg")}");
            return 2;
        }

        var changes = answer.Items("changes").ToList();
        foreach (var change in changes) Console.WriteLine(change);
        foreach (var left in answer.Items("left-out")) Console.WriteLine($"! left out: {left}");
        var state = dryRun ? "would be loaded" : "is loaded";
        Console.WriteLine(changes.Count == 0 ? $"{file} {state}; nothing {(dryRun ? "would change" : "changed")}" : $"{file} {state}");
        if (confirmWithin > 0 && !dryRun) Console.WriteLine($"it is taken back in {confirmWithin} s unless 'warifu load --confirm' comes before");
        return 0;
    }

    /// <summary>One transaction, up to its end.</summary>
    private static async Task<bool> SendAsync(ViciClient client, ConfigurationReader read, bool dryRun, CancellationToken stop)
    {
        await client.RequestAsync("warifu-begin", new ViciMessage().Flag("dry-run", dryRun), cancellationToken: stop);
        foreach (var certificate in read.Built.Credentials.Certificates)
        {
            var (type, flag) = CertificateListings.TypeOf(certificate.Type);
            var message = new ViciMessage().Add("type", type).Add("data", certificate.Der.ToArray()).Add("x-own", "yes");
            if (flag is not null) message.Add("flag", flag);
            if (await Failed(client, "load-cert", message, stop)) return false;
        }

        foreach (var key in read.Files.Keys)
        {
            if (CredentialBuilder.PasswordOf(key) is not { } password) continue;
            var message = new ViciMessage().Add("type", "any").Add("data", key.Data.ToArray()).Add("x-password", password.ToArray()).Add("x-name", key.Name);
            var failed = await Failed(client, "load-key", message, stop);
            message.Erase();
            if (failed) return false;
        }

        foreach (var (section, command, scope) in new[] { ("authorities", "load-authority", Scope.Authority), ("pools", "load-pool", Scope.Pool), ("connections", "load-conn", Scope.Connection) })
        {
            foreach (var one in read.Tree.Section(section)?.Sections ?? [])
            {
                if (await Failed(client, command, new ViciMessage().Add(one.Name, ViciConfig.FromTree(one, scope)), stop)) return false;
            }
        }

        foreach (var one in read.Tree.Section("manual")?.Sections ?? [])
        {
            var message = new ViciMessage().Add(one.Name, ViciConfig.FromTree(one, Scope.Manual));
            var failed = await Failed(client, "warifu-manual", message, stop);
            message.Erase();
            if (failed) return false;
        }

        foreach (var secret in read.Built.Secrets)
        {
            var message = new ViciMessage().Add("id", secret.Name).Add("type", secret.Kind switch { SecretKind.Ppk => "PPK", SecretKind.Password => "XAUTH", _ => "IKE" }).Add("data", secret.Value.ToArray()).Add("owners", secret.Owners.Select(owner => owner.Text)).Flag("x-key", secret.IsKey).Add("x-source", secret.Position.ToString());
            var failed = await Failed(client, "load-shared", message, stop);
            message.Erase();
            if (failed) return false;
        }

        return true;
    }

    /// <summary>Keeps the last change, or takes it back at once.</summary>
    public static async Task<int> DecideAsync(ViciClient client, bool keep, CancellationToken stop)
    {
        if (await Failed(client, keep ? "warifu-commit" : "warifu-rollback", new ViciMessage(), stop)) return 1;
        Console.WriteLine(keep ? "the last change is confirmed" : "the last change is taken back");
        return 0;
    }

    private static async Task<bool> Failed(ViciClient client, string command, ViciMessage message, CancellationToken stop)
    {
        var answer = await client.RequestAsync(command, message, cancellationToken: stop);
        if (answer.Text("success") == "yes") return false;
        await Console.Error.WriteLineAsync($"warifu: {answer.Text("errmsg")}");
        return true;
    }
}
