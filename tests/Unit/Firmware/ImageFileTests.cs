using System.Diagnostics;
using Vmm.Firmware;
using Vmm.Firmware.Initrd;
using Xunit;

namespace Vmm.Unit.Firmware;

/// <summary>Files of every odd kind. These tests need a file system, so they make a folder of their own.</summary>
public sealed class ImageFileTests : IDisposable
{
    readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("image");

    public void Dispose() => folder.Delete(recursive: true);

    string At(string name) => Path.Combine(folder.FullName, name);

    static string Refusal(string path) => Assert.Throws<ImageException>(() => ImageFile.Read(path, "kernel", 1000)).Message;

    [Fact]
    public void A_regular_file_is_read_also_through_a_link()
    {
        File.WriteAllBytes(At("file"), [1, 2, 3]);
        File.CreateSymbolicLink(At("link"), "file");
        Assert.Equal([1, 2, 3], ImageFile.Read(At("file"), "kernel"));
        Assert.Equal([1, 2, 3], ImageFile.Read(At("link"), "kernel"));
    }

    [Fact]
    public void What_is_no_regular_file_is_refused_with_one_line()
    {
        File.WriteAllBytes(At("empty"), []);
        File.CreateSymbolicLink(At("self"), "self");
        using (var sparse = File.Create(At("sparse")))
        {
            sparse.SetLength(1L << 40);
        }

        foreach (var path in new[] { At("empty"), At("self"), At("sparse"), At("absent"), folder.FullName, At("file/inner"), "/dev/zero", "/proc/self/maps", "", "a\nb", "a\0b" })
        {
            var message = Refusal(path);
            Assert.StartsWith("kernel: ", message, StringComparison.Ordinal);
            Assert.DoesNotContain('\n', message);
        }

        Assert.Contains("1099511627776 bytes", Refusal(At("sparse")), StringComparison.Ordinal);
        Assert.Contains("directory", Refusal(folder.FullName), StringComparison.Ordinal);
    }

    [SkippableFact]
    public void A_pipe_is_refused_without_waiting_for_a_writer()
    {
        Skip.IfNot(File.Exists("/usr/bin/mkfifo"), "mkfifo is not there");
        using (var make = Process.Start("/usr/bin/mkfifo", At("pipe")))
        {
            make.WaitForExit();
        }

        Assert.Contains("not a regular file", Refusal(At("pipe")), StringComparison.Ordinal);
    }

    [Fact]
    public void A_folder_becomes_entries_with_modes_and_links()
    {
        Directory.CreateDirectory(At("sub"));
        File.WriteAllText(At("sub/script"), "#!/bin/sh\n");
        File.WriteAllText(At("zero"), "");
        File.CreateSymbolicLink(At("link"), "sub/script");
        if (!OperatingSystem.IsWindows())
        {
            File.SetUnixFileMode(At("sub/script"), UnixFileMode.UserRead | UnixFileMode.UserExecute);
        }

        var entries = InitramfsEntries.Folder(folder.FullName, "opt");
        Assert.Equal(["opt/link", "opt/sub", "opt/sub/script", "opt/zero"], entries.Select(entry => entry.Path));
        Assert.Equal("sub/script", entries[0].LinkTarget);
        Assert.Equal(Convert.ToInt32("500", 8), entries[2].Mode);
        Assert.Equal("#!/bin/sh\n"u8, entries[2].Content.Span);
        Assert.Throws<ImageException>(() => InitramfsEntries.Folder(At("absent")));
    }
}
