using System.Collections.Generic;

namespace Warifu.App.Configuration;

/// <summary>A configuration file with all that stands beside it: read, understood and judged.</summary>
internal sealed class ConfigurationReader
{
    private ConfigurationReader(ConfigSection tree, CredentialSet files, BuiltConfiguration built, List<Diagnostic> findings) => (Tree, Files, Built, Findings) = (tree, files, built, findings);

    /// <summary>As a management client would send it: names of files are contents.</summary>
    public ConfigSection Tree { get; }

    /// <summary>Contents of the files that it does not name.</summary>
    public CredentialSet Files { get; }

    public BuiltConfiguration Built { get; }

    /// <summary>Everything that is to be said.</summary>
    public List<Diagnostic> Findings { get; }

    public static ConfigurationReader Read(string file)
    {
        var findings = new List<Diagnostic>();
        var tree = ConfigurationFile.Read(file, findings);
        var files = CredentialFiles.Read(tree, file, findings);
        var built = PolicyBuilder.Build(tree, findings, CredentialBuilder.Build(files, findings)) with { Places = SettingPlaces.OfAll(tree) };
        PskCheck.Judge(built, PskCheck.DefaultFor(file), findings);
        CertificateCheck.Judge(built, findings);
        return new ConfigurationReader(tree, files, built, findings);
    }

    /// <summary>Zeroes what is not needed once it is built: the tree and the files. The built configuration keeps its own secrets.</summary>
    public void EraseSources()
    {
        Tree.Erase();
        Files.Erase();
    }
}
