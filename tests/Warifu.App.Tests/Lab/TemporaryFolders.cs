using System;
using System.IO;

namespace Warifu.App.Tests.Lab;

/// <summary>Folders of this run: all below one, which goes when the run ends.</summary>
internal static class TemporaryFolders
{
    private static readonly string s_all = MakeAll();

    public static string Make() => Directory.CreateDirectory(Path.Combine(s_all, Guid.NewGuid().ToString("N"))).FullName;

    private static string MakeAll()
    {
        var folder = Directory.CreateTempSubdirectory($"warifu-t{Environment.ProcessId}-").FullName;
        AppDomain.CurrentDomain.ProcessExit += (_, _) =>
        {
            try
            {
                Directory.Delete(folder, recursive: true);
            }
            catch (IOException)
            {
                // a program under test still writes into it
            }
        };
        return folder;
    }
}
