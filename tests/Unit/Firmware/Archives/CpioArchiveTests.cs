using System.Text;
using Vmm.Firmware;
using Vmm.Firmware.Archives;
using Vmm.Firmware.Initrd;
using Xunit;

namespace Vmm.Unit.Firmware.Archives;

public sealed class CpioArchiveTests
{
    /// <summary>Reads "newc" as its description says, independently of the writer.</summary>
    internal static List<(string Path, int Mode, int Links, int Major, int Minor, byte[] Data)> Read(byte[] archive)
    {
        var entries = new List<(string, int, int, int, int, byte[])>();
        for (var at = 0; ;)
        {
            Assert.Equal("070701", Encoding.ASCII.GetString(archive, at, 6));
            int Field(int index) => Convert.ToInt32(Encoding.ASCII.GetString(archive, at + 6 + index * 8, 8), 16);
            var (mode, links, time, size, nameSize) = (Field(1), Field(4), Field(5), Field(6), Field(11));
            Assert.Equal(0, time);
            var name = Encoding.UTF8.GetString(archive, at + 110, nameSize - 1);
            Assert.Equal(0, archive[at + 110 + nameSize - 1]);
            var data = at + 110 + nameSize + 3 & ~3;
            if (name == "TRAILER!!!")
            {
                Assert.Equal(archive.Length, data);
                return entries;
            }

            entries.Add((name, mode, links, Field(9), Field(10), archive[data..(data + size)]));
            at = data + size + 3 & ~3;
        }
    }

    [Fact]
    public void Entries_come_out_sorted_with_their_parents()
    {
        var archive = CpioArchive.Pack(
        [
            InitramfsEntries.Script("init", "#!/bin/sh\n"),
            InitramfsEntries.File("a/b/c", new byte[] { 1, 2, 3, 4, 5 }),
            InitramfsEntries.CharacterDevice("dev/null", 1, 3),
            InitramfsEntries.BlockDevice("dev/nvme0n1", 259, 0),
            InitramfsEntries.Link("a/link", "b/c"),
        ]);
        var entries = Read(archive);
        Assert.Equal(["a", "a/b", "a/b/c", "a/link", "dev", "dev/null", "dev/nvme0n1", "init"], entries.Select(entry => entry.Path));
        Assert.Equal(
            ["40755", "40755", "100644", "120777", "40755", "20600", "60600", "100755"],
            entries.Select(entry => Convert.ToString(entry.Mode, 8)));
        Assert.Equal([1, 2, 3, 4, 5], entries[2].Data);
        Assert.Equal("b/c"u8, entries[3].Data);
        Assert.Equal((1, 3), (entries[5].Major, entries[5].Minor));
        Assert.Equal(259, entries[6].Major);
    }

    [Fact]
    public void The_order_of_the_entries_does_not_matter()
    {
        ArchiveEntry[] entries = [InitramfsEntries.Text("x/y", "1"), InitramfsEntries.Text("a", "2"), InitramfsEntries.Directory("x")];
        Assert.Equal(CpioArchive.Pack(entries), CpioArchive.Pack(entries.Reverse()));
    }

    [Fact]
    public void An_empty_archive_is_only_the_trailer() => Assert.Empty(Read(CpioArchive.Pack([])));

    [Theory]
    [InlineData("")]
    [InlineData("/abs")]
    [InlineData("a/../b")]
    [InlineData("a//b")]
    [InlineData("./a")]
    [InlineData("dir/")]
    [InlineData("a\0b")]
    [InlineData("TRAILER!!!")]
    public void Bad_paths_are_refused(string path) => Assert.Throws<ImageException>(() => CpioArchive.Pack([InitramfsEntries.Text(path, "")]));

    [Fact]
    public void Contradictions_are_refused()
    {
        Assert.Contains("twice", Assert.Throws<ImageException>(() => CpioArchive.Pack([InitramfsEntries.Text("a", ""), InitramfsEntries.Text("a", "")])).Message, StringComparison.Ordinal);
        Assert.Contains("no directory", Assert.Throws<ImageException>(() => CpioArchive.Pack([InitramfsEntries.Text("a", ""), InitramfsEntries.Text("a/b", "")])).Message, StringComparison.Ordinal);
        Assert.Throws<ImageException>(() => CpioArchive.Pack([new() { Path = "a", Kind = ArchiveEntryKind.HardLink }]));
    }
}
