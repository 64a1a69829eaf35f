using System;
using System.Collections.Concurrent;
using System.IO;
using System.Linq;
using System.Text;
using System.Threading.Tasks;
using Warifu.Engine;
using Warifu.Net.Asks;
using Warifu.Pki;
using Warifu.Tests.Pki;
using Xunit;

namespace Warifu.Net.Tests.Asks;

/// <summary>Revocation lists are read and verified by the host, and kept on the disk until their next update.</summary>
[Trait("Item", "2.3")]
public sealed class DocumentsTests : IAsyncDisposable
{
    private static readonly Entity s_root = Issuing.Root("CN=Lists");

    private readonly string _folder = Path.Combine(Directory.CreateTempSubdirectory("warifu-crls-").FullName, "crls");
    private readonly DocumentServer _server = new();
    private readonly DocumentFetcher _fetcher = new(0, allowPrivate: false) { Patience = TimeSpan.FromSeconds(5) };
    private readonly ConcurrentQueue<string> _told = new();

    private int Asked => _server.Requests.Count;

    public async ValueTask DisposeAsync()
    {
        _fetcher.Dispose();
        await _server.DisposeAsync();
        Directory.Delete(Path.GetDirectoryName(_folder)!, recursive: true);
    }

    [Fact]
    public async Task A_list_is_read_and_verified_before_an_engine_sees_it()
    {
        Serve(List());
        var answer = Assert.IsType<Answer.RevocationList>(await AskAsync(Documents()));
        Assert.True(answer.List.IsVerified);
        Assert.Equal(s_root.Certificate.Subject, answer.List.Issuer);
        Serve(Encoding.ASCII.GetBytes("<html>"));
        Assert.Contains("there is no CRL", Assert.IsType<Answer.Failed>(await AskAsync(Documents(), "/other")).Why, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_list_outlives_the_process_until_its_next_update()
    {
        Serve(List(revoked: s_root.Issue("CN=gone").Certificate));
        Assert.IsType<Answer.RevocationList>(await AskAsync(Documents()));
        _server.Answer = _ => Encoding.ASCII.GetBytes("HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n");
        var again = Assert.IsType<Answer.RevocationList>(await AskAsync(Documents()));
        Assert.Equal(1, again.List.Count);
        Assert.Equal(1, Asked);
        var file = Assert.Single(Directory.GetFiles(_folder));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(file));
        // another place is another list
        Assert.IsType<Answer.Failed>(await AskAsync(Documents(), "/other"));
        Assert.Empty(_told);
    }

    [Fact]
    public async Task A_list_whose_next_update_has_come_is_fetched_again()
    {
        var folder = Folder();
        folder.Write(_server.Uri("/root.crl"), Parse(List(until: DateTimeOffset.UtcNow.AddHours(1))), DateTimeOffset.UtcNow);
        Assert.NotNull(folder.Read(_server.Uri("/root.crl"), DateTimeOffset.UtcNow));
        Assert.Null(folder.Read(_server.Uri("/root.crl"), DateTimeOffset.UtcNow.AddHours(2)));
        Assert.Empty(Directory.GetFiles(_folder));
        // one that was over when it came is not kept at all
        folder.Write(_server.Uri("/root.crl"), Parse(List(until: DateTimeOffset.UtcNow.AddMinutes(-1))), DateTimeOffset.UtcNow);
        Assert.Empty(Directory.GetFiles(_folder));
        // nor believed when a clock that was wrong wrote it
        folder.Write(_server.Uri("/root.crl"), Parse(List(from: DateTimeOffset.UtcNow.AddHours(1), until: DateTimeOffset.UtcNow.AddHours(3))), DateTimeOffset.UtcNow);
        Assert.Null(folder.Read(_server.Uri("/root.crl"), DateTimeOffset.UtcNow));
        Serve(List());
        Assert.IsType<Answer.RevocationList>(await AskAsync(Documents()));
        Assert.Equal(1, Asked);
    }

    [Fact]
    public async Task A_damaged_file_is_told_of_removed_and_fetched_again()
    {
        Serve(List());
        await AskAsync(Documents());
        var file = Assert.Single(Directory.GetFiles(_folder));
        var octets = await File.ReadAllBytesAsync(file, TestContext.Current.CancellationToken);
        await File.WriteAllBytesAsync(file, octets[..^7], TestContext.Current.CancellationToken);
        Assert.IsType<Answer.RevocationList>(await AskAsync(Documents()));
        Assert.Equal(2, Asked);
        Assert.Contains("is damaged, and will be fetched again", Assert.Single(_told), StringComparison.Ordinal);
        Assert.Equal(octets, await File.ReadAllBytesAsync(file, TestContext.Current.CancellationToken));
    }

    [Fact]
    public async Task A_file_that_somebody_put_there_is_not_believed()
    {
        // the same name and another key
        var stranger = Issuing.Root("CN=Lists");
        Folder().Write(_server.Uri("/root.crl"), Parse(List(of: stranger)), DateTimeOffset.UtcNow);
        Serve(List(revoked: s_root.Issue("CN=gone").Certificate));
        Assert.Equal(1, Assert.IsType<Answer.RevocationList>(await AskAsync(Documents())).List.Count);
        Assert.Equal(1, Asked);
    }

    [Fact]
    public async Task A_list_that_nobody_known_signed_is_neither_given_nor_kept()
    {
        Serve(List(of: Issuing.Root("CN=Lists")));
        Assert.Contains("is not signed by 'CN=Lists'", Assert.IsType<Answer.Failed>(await AskAsync(Documents())).Why, StringComparison.Ordinal);
        Assert.False(Directory.Exists(_folder));
    }

    [Fact]
    public async Task Those_who_ask_at_the_same_time_share_one_list()
    {
        Serve(List());
        var documents = Documents();
        var answers = await Task.WhenAll(Enumerable.Range(0, 20).Select(_ => AskAsync(documents)));
        Assert.Equal(1, Asked);
        Assert.All(answers, answer => Assert.IsType<Answer.RevocationList>(answer));
    }

    [Fact]
    public void When_there_are_too_many_octets_those_that_end_first_go()
    {
        var (soon, late) = (Parse(List(until: DateTimeOffset.UtcNow.AddHours(1))), Parse(List(until: DateTimeOffset.UtcNow.AddHours(9))));
        var folder = Folder(maxOctets: (2 * late.Der.Length) + 20);
        folder.Write("http://a/", late, DateTimeOffset.UtcNow);
        folder.Write("http://b/", soon, DateTimeOffset.UtcNow);
        folder.Write("http://c/", late, DateTimeOffset.UtcNow);
        Assert.NotNull(folder.Read("http://a/", DateTimeOffset.UtcNow));
        Assert.Null(folder.Read("http://b/", DateTimeOffset.UtcNow));
        Assert.NotNull(folder.Read("http://c/", DateTimeOffset.UtcNow));
        // in place of its elder, nobody need go
        folder.Write("http://c/", soon, DateTimeOffset.UtcNow);
        Assert.NotNull(folder.Read("http://a/", DateTimeOffset.UtcNow));
        Folder(maxOctets: 10).Write("http://d/", late, DateTimeOffset.UtcNow);
        Assert.Null(folder.Read("http://d/", DateTimeOffset.UtcNow));
    }

    [Fact]
    public void Not_more_files_than_that()
    {
        var folder = Folder();
        Directory.CreateDirectory(_folder);
        for (var i = 0; i < CrlFolder.MaxFiles; i++) File.WriteAllBytes(Path.Combine(_folder, $"{i}.crl"), []);
        folder.Write("http://a/", Parse(List()), DateTimeOffset.UtcNow);
        Assert.Equal(CrlFolder.MaxFiles, Directory.GetFiles(_folder).Length);
        Assert.NotNull(folder.Read("http://a/", DateTimeOffset.UtcNow));
        folder.Clear();
        Assert.Empty(Directory.GetFiles(_folder));
    }

    [Fact]
    public void Links_pipes_and_what_has_no_end_are_not_read_and_not_written_through()
    {
        var folder = Folder();
        var list = Parse(List());
        folder.Write("http://a/", list, DateTimeOffset.UtcNow);
        var path = Assert.Single(Directory.GetFiles(_folder));
        var elsewhere = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName());
        try
        {
            // a good list, but by a link; the link goes, what it leads to stays
            File.Move(path, elsewhere);
            File.CreateSymbolicLink(path, elsewhere);
            Assert.Null(folder.Read("http://a/", DateTimeOffset.UtcNow));
            Assert.False(File.Exists(path));
            Assert.True(File.Exists(elsewhere));
            foreach (var target in new[] { "/dev/zero", "/dev/stdin" })
            {
                File.CreateSymbolicLink(path, target);
                Assert.Null(folder.Read("http://a/", DateTimeOffset.UtcNow));
            }

            using (var made = System.Diagnostics.Process.Start("mkfifo", [path])) made.WaitForExit();
            Assert.Null(folder.Read("http://a/", DateTimeOffset.UtcNow));
            // whoever knows the name in advance does not make us write elsewhere
            File.WriteAllText(elsewhere, "mine");
            File.Delete(path);
            File.CreateSymbolicLink(path, elsewhere);
            File.CreateSymbolicLink(path + ".new", elsewhere);
            folder.Write("http://a/", list, DateTimeOffset.UtcNow);
            Assert.Equal("mine", File.ReadAllText(elsewhere));
            Assert.NotNull(folder.Read("http://a/", DateTimeOffset.UtcNow));
            Assert.Null(new FileInfo(path).LinkTarget);
            Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(path));
            Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute, File.GetUnixFileMode(_folder));
        }
        finally
        {
            File.Delete(elsewhere);
        }
    }

    [Fact]
    public void Names_come_from_a_hash_and_what_a_crash_left_half_written_goes()
    {
        var folder = Folder();
        foreach (var uri in new[] { "http://a/../../../etc/passwd", "http://a/%2e%2e%2fx", "http://a/" + new string('x', 5000), "http://a/\0" }) folder.Write(uri, Parse(List()), DateTimeOffset.UtcNow);
        Assert.Equal(4, Directory.GetFiles(_folder).Length);
        Assert.All(Directory.GetFiles(_folder), file => Assert.Matches("/[0-9a-f]{64}\\.crl$", file));
        File.WriteAllBytes(Path.Combine(_folder, "0.crl.new"), new byte[100]);
        folder.Write("http://b/", Parse(List()), DateTimeOffset.UtcNow);
        Assert.DoesNotContain(Directory.GetFiles(_folder), file => file.EndsWith(".new", StringComparison.Ordinal));
        File.WriteAllBytes(Path.Combine(_folder, "0.crl.new"), []);
        folder.Clear();
        Assert.Empty(Directory.GetFiles(_folder));
    }

    [Fact]
    public async Task A_folder_that_cannot_be_written_is_told_of_once_and_lists_go_on()
    {
        // a file is where the folder should be
        await File.WriteAllTextAsync(_folder, "", TestContext.Current.CancellationToken);
        Serve(List());
        var documents = Documents();
        Assert.IsType<Answer.RevocationList>(await AskAsync(documents));
        Assert.IsType<Answer.RevocationList>(await AskAsync(documents, "/other"));
        Assert.Contains("set daemon.state_dir to a folder that can be", Assert.Single(_told), StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_is_flushed_is_fetched_again()
    {
        Serve(List());
        await AskAsync(Documents());
        var documents = Documents();
        documents.Clear();
        await AskAsync(documents);
        Assert.Equal(2, Asked);
    }

    private static byte[] List(Entity? of = null, DateTimeOffset? from = null, DateTimeOffset? until = null, Certificate? revoked = null) =>
        (of ?? s_root).CrlDer(spec => (spec.This, spec.Next) = (from ?? DateTimeOffset.UtcNow.AddHours(-1), until ?? DateTimeOffset.UtcNow.AddDays(1)), revoked is null ? [] : [revoked]);

    private static Crl Parse(byte[] der) => Crl.TryParse(der, out var crl) ? crl! : throw new ArgumentException("no CRL", nameof(der));

    private void Serve(byte[] body) => _server.Answer = _ => DocumentServer.Ok(body);

    /// <summary>A node that was just started.</summary>
    private Documents Documents() => new(new DocumentFetcher(0, allowPrivate: false) { Patience = TimeSpan.FromSeconds(5) }, Folder());

    private CrlFolder Folder(long maxOctets = CrlFolder.MaxOctets) => new(_folder, _told.Enqueue, maxOctets);

    private Task<Answer> AskAsync(Documents documents, string path = "/root.crl") =>
        documents.AnswerAsync(new AskId(1), new Ask.Fetch(_server.Uri(path), DocumentKind.Crl, []) { Signers = [s_root.Certificate.Spki] });
}
