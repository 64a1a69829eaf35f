using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.Linq;
using System.Threading.Tasks;
using Warifu.App.Configuration;
using Warifu.App.Vici;
using Warifu.Engine;
using Warifu.Net;
using Warifu.Policy;

namespace Warifu.App.Daemon;

/// <summary>Commands that change the configuration: at once, or gathered between <c>warifu-begin</c> and <c>warifu-commit</c> and applied together.</summary>
internal static class LoadCommands
{
    public static void Register(WarifuDaemon daemon)
    {
        var server = daemon.Server;
        server.Register("load-conn", (request, _) => LoadConnAsync(daemon, request));
        server.Register("unload-conn", (request, _) => UnloadConnAsync(daemon, request));
        server.Register("get-conns", (_, _) => Task.FromResult(new ViciMessage().Add("conns", daemon.Config.Connections.Select(connection => connection.Name))));
        server.Register("load-shared", (request, _) => Task.FromResult(LoadShared(daemon, request)));
        server.Register("unload-shared", (request, _) => Task.FromResult(UnloadShared(daemon, request)));
        server.Register("get-shared", (_, _) => Task.FromResult(new ViciMessage().Add("keys", daemon.Config.Secrets.Names)));
        server.Register("reload-settings", (_, _) => Task.FromResult(Commands.Success()));
        server.Register("warifu-manual", (request, _) => Task.FromResult(LoadManual(request)));
        CredentialCommands.Register(daemon);
        server.Register("warifu-begin", (request, _) =>
        {
            request.Session.Staged?.Erase();
            request.Session.Staged = new StagedConfiguration(request.Message.Bool("dry-run"));
            return Task.FromResult(Commands.Success());
        });
        server.Register("warifu-rollback", (request, _) => RollBackAsync(daemon, request));
        server.Register("warifu-commit", (request, _) => CommitAsync(daemon, request));
    }

    /// <summary>Throws away what was gathered; with nothing gathered, takes back the change that waits to be confirmed.</summary>
    private static async Task<ViciMessage> RollBackAsync(WarifuDaemon daemon, ViciRequest request)
    {
        if (request.Session.Staged is { } staged)
        {
            request.Session.Staged = null;
            staged.Erase();
            return Commands.Success();
        }

        var changes = ImmutableArray<string>.Empty;
        return await daemon.Config.RollBackAsync(daemon.Node, taken => changes = taken) ? Commands.Success().Add("changes", changes) : Commands.Failure("there is nothing to roll back; begin with warifu-begin");
    }

    private static async Task<ViciMessage> LoadConnAsync(WarifuDaemon daemon, ViciRequest request)
    {
        foreach (var element in request.Message.Elements)
        {
            if (element.Section is not { } section) return Commands.Failure($"invalid section: {element.Name}");
            if (element.Name.Length == 0 || element.Name.Any(char.IsControl)) return Commands.Failure("a connection needs a name without control characters");
            var tree = ViciConfig.ToTree(element.Name, section);
            if (request.Session.Staged is { } staged)
            {
                if (!staged.TryGrow(request.Length)) return Commands.Failure("the transaction holds more than 64 MiB");
                Section(staged.Root, "connections").Sections.Add(tree);
                continue;
            }

            var findings = new List<Diagnostic>();
            var (connection, chains) = PolicyBuilder.BuildConnection(tree, findings);
            var own = PolicyBuilder.PskPolicyOf(tree.Find("psk_policy")?.Text ?? "");
            // secrets usually come before the connections that they are for
            if (own is { } policy) daemon.Config.Judge(connection, policy, daemon.Settings.Words, findings);
            if (findings.Find(finding => finding.Severity >= Severity.Limit) is { Text: { } text } worst) return Commands.Failure($"{text}{(worst.Remedy.Length > 0 ? "; " + worst.Remedy : "")}, config discarded");
            if (daemon.Config.Policy.Manual.Select(manual => ManualBuilder.Clash(manual, connection)).FirstOrDefault(one => one is not null) is var (clash, way)) return Commands.Failure($"{clash}; {way}, config discarded");
            foreach (var warning in findings.Where(finding => finding.Severity == Severity.Warning)) daemon.Events.Tell(connection.Name, NoticeLevel.Warning, warning.Text);
            await daemon.Config.PutAsync(connection, chains, own, SettingPlaces.OfConnection(tree), daemon.Node);
        }

        return Commands.Success();
    }

    /// <summary>Manual SAs belong to a whole configuration, so that their SPIs and names can be compared.</summary>
    private static ViciMessage LoadManual(ViciRequest request)
    {
        if (request.Session.Staged is not { } staged) return Commands.Failure("manual SAs are loaded in a transaction: begin with warifu-begin");
        if (!staged.TryGrow(request.Length)) return Commands.Failure("the transaction holds more than 64 MiB");
        foreach (var element in request.Message.Elements)
        {
            if (element.Section is not { } section) return Commands.Failure($"invalid section: {element.Name}");
            if (element.Name.Length == 0 || element.Name.Any(char.IsControl)) return Commands.Failure("a manual SA needs a name without control characters");
            Section(staged.Root, "manual").Sections.Add(ViciConfig.ToTree(element.Name, section));
        }

        return Commands.Success();
    }

    private static async Task<ViciMessage> UnloadConnAsync(WarifuDaemon daemon, ViciRequest request)
    {
        if (request.Message.Text("name") is not { } name) return Commands.Failure("unload: missing connection name");
        if (!await daemon.Config.RemoveAsync(name, daemon.Node)) return Commands.Failure($"unload: connection '{name}' not found");
        daemon.Events.Prune(daemon.Knows);
        return Commands.Success();
    }

    private static ViciMessage LoadShared(WarifuDaemon daemon, ViciRequest request)
    {
        var message = request.Message;
        if (message.Text("type") is not { } type) return Commands.Failure("shared key type missing");
        if (!new[] { "ike", "eap", "xauth", "ntlm", "ppk" }.Contains(type.ToLowerInvariant())) return Commands.Failure($"invalid shared key type: {type}");
        if (message.Find("data")?.Value is not { } data) return Commands.Failure("shared key data missing");
        if (type.Equals("ntlm", StringComparison.OrdinalIgnoreCase)) return Commands.Failure($"shared keys of the type {type} are not used yet");
        var kind = type.ToLowerInvariant() switch { "ppk" => SecretKind.Ppk, "eap" or "xauth" => SecretKind.Password, _ => SecretKind.Psk };
        var owners = ImmutableArray.CreateBuilder<IdentityPattern>();
        foreach (var item in message.Items("owners"))
        {
            if (!IdentityPattern.TryParse(item, out var owner, out _)) return Commands.Failure("parsing shared key owners failed");
            owners.Add(owner);
        }

        // keys without a name cannot be replaced or removed one by one
        var name = message.Text("id") ?? $"unnamed-{Convert.ToHexStringLower(System.Security.Cryptography.RandomNumberGenerator.GetBytes(8))}";
        var secret = new ConfiguredSecret(name, data.ToArray(), message.Bool("x-key"), owners.ToImmutable(), ViciConfig.ToTree(name, message).Position) { Kind = kind };
        if (request.Session.Staged is { } staged)
        {
            if (!staged.TryGrow(request.Length)) return Commands.Failure("the transaction holds more than 64 MiB");
            staged.Secrets.Add(secret);
            return Commands.Success();
        }

        var findings = new List<Diagnostic>();
        if (kind == SecretKind.Password) PskCheck.JudgePassword(secret, findings);
        else if (kind == SecretKind.Ppk) PskCheck.JudgePpk(secret, findings);
        else PskCheck.Judge(secret, daemon.Config.PolicyOf(secret, daemon.Settings.PskPolicy ?? PskPolicy.Warn), daemon.Settings.Words, findings);
        if (findings.Find(finding => finding.Severity == Severity.Error) is { Text: { } text }) return Commands.Failure(text);
        foreach (var finding in findings) daemon.Events.Tell("", NoticeLevel.Warning, finding.Text);
        daemon.Config.Add(secret);
        return Commands.Success();
    }

    private static ViciMessage UnloadShared(WarifuDaemon daemon, ViciRequest request)
    {
        if (request.Message.Text("id") is not { } id) return Commands.Failure("unique identifier missing");
        daemon.Config.Secrets.Remove(id);
        return Commands.Success();
    }

    /// <summary>Applies what was gathered, as a whole or not at all; with nothing gathered, confirms the change that waits for it.</summary>
    private static async Task<ViciMessage> CommitAsync(WarifuDaemon daemon, ViciRequest request)
    {
        if (request.Session.Staged is not { } staged) return await daemon.Config.ConfirmAsync() ? Commands.Success().Add("changes", Array.Empty<string>()) : Commands.Failure("there is nothing to commit; begin with warifu-begin");
        request.Session.Staged = null;
        try
        {
            var seconds = request.Message.Number("confirm-within", 0);
            if (request.Message.Find("confirm-within") is not null && seconds is < 1 or > 86400) return Commands.Failure("confirm-within is a number of seconds, 1 to 86400");
            var findings = new List<Diagnostic>();
            var built = PolicyBuilder.Build(staged.Root, findings, staged.TakeCredentials(keep: !staged.DryRun)) with { Secrets = [.. staged.Secrets], Places = SettingPlaces.OfAll(staged.Root) };
            PskCheck.Judge(built with { Daemon = daemon.Settings }, PskPolicy.Warn, findings);
            CertificateCheck.Judge(built, findings);
            var errors = findings.Where(finding => finding.Severity == Severity.Error).Select(finding => finding.ToString()).ToList();
            if (errors.Count > 0) built.Erase();
            if (errors.Count > 0) return Commands.Failure($"{errors.Count} error{(errors.Count == 1 ? "" : "s")}; nothing was changed").Add("errors", errors);
            var leftOut = built.LeftOut.Select(left => $"{left.Name}: {left.Why}").ToList();
            if (staged.DryRun)
            {
                var would = daemon.Config.Compare(built);
                foreach (var keys in built.ManualKeys.Values) keys.Dispose();
                return Commands.Success().Add("changes", would).Add("left-out", leftOut);
            }

            var changes = await daemon.ReplaceAsync(built, seconds > 0 ? TimeSpan.FromSeconds(seconds) : null);
            return Commands.Success().Add("changes", changes).Add("left-out", leftOut);
        }
        finally
        {
            staged.Erase();
        }
    }

    internal static ConfigSection Section(ConfigSection root, string name)
    {
        if (root.Section(name) is { } known) return known;
        var section = new ConfigSection(name, root.Position);
        root.Sections.Add(section);
        return section;
    }
}
