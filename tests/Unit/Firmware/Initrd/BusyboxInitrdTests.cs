using System.Globalization;
using System.Text;
using Vmm.Firmware;
using Vmm.Firmware.Archives;
using Vmm.Firmware.Initrd;
using Vmm.Unit.Firmware.Archives;
using Xunit;

namespace Vmm.Unit.Firmware.Initrd;

public sealed class BusyboxInitrdTests
{
    /// <summary>A package with uncompressed members, made by hand.</summary>
    static DebianPackage Package(params (string Path, byte[] Content)[] files)
    {
        var tar = new List<byte>();
        foreach (var (path, content) in files)
        {
            var block = new byte[512];
            Encoding.ASCII.GetBytes(path).CopyTo(block, 0);
            Encoding.ASCII.GetBytes("0000755\0").CopyTo(block, 100);
            Encoding.ASCII.GetBytes(Convert.ToString(content.Length, 8).PadLeft(11, '0')).CopyTo(block, 124);
            block[156] = (byte)'0';
            block.AsSpan(148, 8).Fill((byte)' ');
            Encoding.ASCII.GetBytes(Convert.ToString(block.Sum(value => value), 8).PadLeft(6, '0') + "\0").CopyTo(block, 148);
            tar.AddRange([.. block, .. content, .. new byte[-content.Length & 511]]);
        }

        var header = "data.tar".PadRight(48) + tar.Count.ToString(CultureInfo.InvariantCulture).PadRight(10) + "`\n";
        return new((byte[])[.. "!<arch>\n"u8, .. Encoding.ASCII.GetBytes(header), .. tar]);
    }

    static readonly byte[] Program = [.. "\u007fELF code \0[\0[[\0ash\0busybox\0cat\0poweroff\0\0more"u8];

    static BusyboxInitrd Initrd { get; } = new() { Busybox = Package(("./bin/busybox", Program)), Init = "#!/bin/sh\npoweroff -f\n" };

    [Fact]
    public void The_program_its_applets_and_init_are_there()
    {
        var entries = CpioArchiveTests.Read(Initrd.Pack()).ToDictionary(entry => entry.Path);
        Assert.Equal(Program, entries["bin/busybox"].Data);
        Assert.Equal(0x81ED, entries["bin/busybox"].Mode);
        Assert.Equal(
            ["bin/[", "bin/[[", "bin/ash", "bin/busybox", "bin/cat", "bin/poweroff"],
            entries.Keys.Where(path => path.StartsWith("bin/", StringComparison.Ordinal)).Order(StringComparer.Ordinal));
        Assert.Equal("busybox"u8, entries["bin/cat"].Data);
        Assert.Equal("#!/bin/sh\npoweroff -f\n"u8, entries["init"].Data);
        Assert.Equal(0x81ED, entries["init"].Mode);
        Assert.Equal((5, 1), (entries["dev/console"].Major, entries["dev/console"].Minor));
        Assert.Contains("proc", entries.Keys);
        Assert.DoesNotContain("lib", entries.Keys);
    }

    [Fact]
    public void Modules_are_listed_in_load_order()
    {
        var kernel = Package(
            ("./lib/modules/6.1/kernel/nvme-core.ko", [1]),
            ("./lib/modules/6.1/kernel/zlib.ko.gz", Convert.FromBase64String("H4sIAAAAAAACA8tIzcnJBwCGphA2BQAAAA==")),
            ("./lib/modules/6.1/kernel/other.ko", [3]));
        var modules = KernelModules.Extract(kernel, "zlib", "nvme_core");
        var entries = CpioArchiveTests.Read((Initrd with { Modules = modules }).Pack()).ToDictionary(entry => entry.Path);
        Assert.Equal("zlib\nnvme-core\n"u8, entries["lib/modules/order"].Data);
        Assert.Equal("hello"u8, entries["lib/modules/zlib.ko"].Data);
        Assert.DoesNotContain("lib/modules/other.ko", entries.Keys);
        Assert.Equal([1], entries["lib/modules/nvme-core.ko"].Data);
        Assert.Contains("insmod", Encoding.ASCII.GetString(entries[BusyboxInitrd.LoadScript].Data), StringComparison.Ordinal);
        Assert.Contains("absent", Assert.Throws<ImageException>(() => KernelModules.Extract(kernel, "absent")).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Extra_entries_replace_and_add()
    {
        var initrd = Initrd with { Extra = [InitramfsEntries.Script("init", "other"), InitramfsEntries.Text("etc/motd", "hi")] };
        var entries = CpioArchiveTests.Read(initrd.Pack()).ToDictionary(entry => entry.Path);
        Assert.Equal("other"u8, entries["init"].Data);
        Assert.Equal("hi"u8, entries["etc/motd"].Data);
    }

    [Fact]
    public void A_package_without_busybox_is_refused()
    {
        Assert.Contains("bin/busybox", Assert.Throws<ImageException>(() => (Initrd with { Busybox = Package(("./bin/cat", [1])) }).Pack()).Message, StringComparison.Ordinal);
        Assert.Contains("applets", Assert.Throws<ImageException>(() => (Initrd with { Busybox = Package(("./bin/busybox", [1])) }).Pack()).Message, StringComparison.Ordinal);
    }
}
