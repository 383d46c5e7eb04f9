using System.Text;
using Vmm.Firmware;
using Vmm.Firmware.Archives;
using Xunit;

namespace Vmm.Unit.Firmware.Archives;

public sealed class DebianPackageTests
{
    public static TheoryData<string> Packages => [SamplePackages.Xz, SamplePackages.Zstd, SamplePackages.Gzip];

    static DebianPackage Open(string base64) => new(Convert.FromBase64String(base64));

    [Theory]
    [MemberData(nameof(Packages))]
    public void Files_come_out_with_path_mode_and_content(string base64)
    {
        var entries = Open(base64).Entries(_ => true).ToDictionary(entry => entry.Path);
        Assert.Equal("kernel bytes\n"u8, entries["boot/vmlinuz"].Content.Span);
        Assert.Equal(Convert.ToInt32("755", 8), entries["bin/tool"].Mode);
        Assert.Equal(ArchiveEntryKind.SymbolicLink, entries["bin/alias"].Kind);
        Assert.Equal("tool", entries["bin/alias"].LinkTarget);
        Assert.Equal(ArchiveEntryKind.Directory, entries["usr/share"].Kind);
        Assert.Equal(new string('x', 1500) + "\n", Encoding.ASCII.GetString(entries[SamplePackages.LongPath].Content.Span));
    }

    [Theory]
    [MemberData(nameof(Packages))]
    public void One_file_is_extracted_by_any_spelling_of_its_path(string base64)
    {
        var package = Open(base64);
        Assert.Equal(13, package.Extract("boot/vmlinuz").Length);
        Assert.Equal(13, package.Extract("/boot/vmlinuz").Length);
        Assert.Equal(13, package.Extract("./boot/vmlinuz").Length);
        Assert.Equal(["bin/tool"], package.Extract(path => path.StartsWith("bin/", StringComparison.Ordinal)).Select(entry => entry.Path));
        Assert.Equal("boot/vmlinuz", package.ExtractFirst(path => path.StartsWith("boot/", StringComparison.Ordinal))!.Path);
        Assert.Null(package.ExtractFirst(path => path == "bin/alias"));
        Assert.Contains("boot/absent", Assert.Throws<ImageException>(() => package.Extract("boot/absent")).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Control_fields_are_read()
    {
        var package = Open(SamplePackages.Zstd);
        Assert.Equal("sample", package.ControlField("Package"));
        Assert.Equal("1:2.3-4", package.ControlField("version"));
        Assert.Null(package.ControlField("Depends"));
    }

    [Fact]
    public void What_is_not_a_package_is_refused()
    {
        var bytes = Convert.FromBase64String(SamplePackages.Xz);
        Assert.Throws<ImageException>(() => new DebianPackage(default));
        Assert.Throws<ImageException>(() => new DebianPackage(bytes.AsMemory(1)));
        Assert.Throws<ImageException>(() => new DebianPackage(bytes.AsMemory(0, bytes.Length - 1)));
        Assert.Throws<ImageException>(() => new DebianPackage(bytes.AsMemory(0, 8 + 60 + 4)));
        bytes[8 + 60] = (byte)'3';
        Assert.Contains("debian-binary", Assert.Throws<ImageException>(() => new DebianPackage(bytes)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_damaged_package_gives_files_or_one_typed_error()
    {
        var random = new Random(5);
        var refused = 0;
        foreach (var base64 in new[] { SamplePackages.Xz, SamplePackages.Zstd, SamplePackages.Gzip })
        {
            var original = Convert.FromBase64String(base64);
            for (var round = 0; round < 300; round++)
            {
                try
                {
                    _ = new DebianPackage(Mutation.Of(original, random, 300)).Entries(_ => true).Count();
                }
                catch (ImageException)
                {
                    refused++;
                }
            }
        }

        Assert.InRange(refused, 300, 900);
    }
}
