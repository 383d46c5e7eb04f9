using System.Net.Sockets;
using Vmm.Grpc.Hosting;
using Xunit;

namespace Vmm.ControlTests.Hosting;

/// <summary>Files where a socket should be.</summary>
[System.Runtime.Versioning.SupportedOSPlatform("linux")]
public sealed class UnixSocketTests : IDisposable
{
    readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("vmm-");

    string At => Path.Combine(folder.FullName, "control");

    public void Dispose() => folder.Delete(recursive: true);

    Task<ControlHost> StartAsync(string? path = null) => ControlHost.StartAsync(new ControlHostOptions { SocketPath = path ?? At });

    [Fact]
    public async Task Only_the_owner_may_connect_and_nothing_is_left_behind()
    {
        await using (await StartAsync())
        {
            Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(At));
        }

        Assert.Empty(folder.EnumerateFileSystemInfos());
    }

    [Fact]
    public async Task A_path_that_a_server_listens_on_is_in_use()
    {
        await using var first = await StartAsync();
        await Assert.ThrowsAsync<IOException>(() => StartAsync());
        Assert.True(File.Exists(At));
    }

    [Fact]
    public async Task A_socket_that_a_killed_server_left_is_replaced()
    {
        KillLeavingFiles(BoundFile());
        await using var server = await StartAsync();
        Assert.True(File.Exists(At));
    }

    [Fact]
    public async Task A_socket_that_somebody_else_made_stays()
    {
        using var other = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        other.Bind(new UnixDomainSocketEndPoint(At));
        await Assert.ThrowsAsync<IOException>(() => StartAsync());
        Assert.True(File.Exists(At));
    }

    [Fact]
    public async Task A_socket_made_after_ours_under_the_same_name_stays()
    {
        KillLeavingFiles(BoundFile());
        File.Delete(At);
        await Task.Delay(20);
        using var other = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        other.Bind(new UnixDomainSocketEndPoint(At));
        await Assert.ThrowsAsync<IOException>(() => StartAsync());
        Assert.True(File.Exists(At));
    }

    [Theory]
    [InlineData("file")]
    [InlineData("folder")]
    [InlineData("link")]
    [InlineData("dangling link")]
    public async Task A_file_that_is_no_socket_stays(string kind)
    {
        var other = Path.Combine(folder.FullName, "other");
        switch (kind)
        {
            case "file":
                await File.WriteAllTextAsync(At, "content");
                break;
            case "folder":
                Directory.CreateDirectory(At);
                break;
            case "link":
                await File.WriteAllTextAsync(other, "content");
                File.CreateSymbolicLink(At, other);
                break;
            default:
                File.CreateSymbolicLink(At, other);
                break;
        }

        await Assert.ThrowsAsync<IOException>(() => StartAsync());
        Assert.True(new FileInfo(At).LinkTarget != null || File.Exists(At) || Directory.Exists(At));
        Assert.Equal(kind == "link", File.Exists(other));
    }

    [Fact]
    public async Task A_path_of_108_bytes_is_an_error_that_says_so()
    {
        var longest = At + new string('x', UnixSocketFile.MaxPathBytes - At.Length);
        await (await StartAsync(longest)).DisposeAsync();
        var error = await Assert.ThrowsAsync<ArgumentException>(() => StartAsync(longest + "x"));
        Assert.Contains("107 bytes", error.Message, StringComparison.Ordinal);
        await Assert.ThrowsAsync<ArgumentException>(() => StartAsync(At + new string('\u00e9', 50)));
    }

    [Fact]
    public async Task A_folder_that_is_not_there_is_an_error() => await Assert.ThrowsAnyAsync<IOException>(() => StartAsync(Path.Combine(folder.FullName, "none", "s")));

    UnixSocketFile BoundFile()
    {
        var file = UnixSocketFile.Claim(At);
        file.Bind();
        return file;
    }

    static void KillLeavingFiles(UnixSocketFile file) => file.Abandon();
}
