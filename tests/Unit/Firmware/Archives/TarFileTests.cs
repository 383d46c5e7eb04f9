using System.Text;
using Vmm.Firmware;
using Vmm.Firmware.Archives;
using Xunit;

namespace Vmm.Unit.Firmware.Archives;

public sealed class TarFileTests
{
    /// <summary>One header block as POSIX.1 lays it out, with its checksum.</summary>
    static byte[] Header(string name, char type = '0', string size = "00000000000", string link = "")
    {
        var block = new byte[512];
        Put(block, 0, name);
        Put(block, 100, "0000644");
        Put(block, 124, size);
        Put(block, 157, link);
        block[156] = (byte)type;
        Put(block, 257, "ustar\0" + "00");
        return Sealed(block);
    }

    static byte[] Sealed(byte[] block)
    {
        block.AsSpan(148, 8).Fill((byte)' ');
        Put(block, 148, Convert.ToString(block.Sum(value => value), 8).PadLeft(6, '0') + "\0 ");
        return block;
    }

    static void Put(byte[] block, int at, string text) => Encoding.ASCII.GetBytes(text).CopyTo(block, at);

    static byte[] Padded(string text)
    {
        var block = new byte[512];
        Put(block, 0, text);
        return block;
    }

    static List<ArchiveEntry> Read(int limit, params byte[][] blocks)
    {
        using var stream = new MemoryStream([.. blocks.SelectMany(block => block)]);
        return [.. TarFile.Read(stream, _ => true, limit)];
    }

    [Fact]
    public void A_pax_header_gives_the_next_entry_its_path_and_size()
    {
        var record = "14 path=a/b/c\n12 size=005\n"; // lengths count themselves
        var entries = Read(100, Header("pax", 'x', "00000000032"), Padded(record), Header("short"), Padded("hello"), Header("after"));
        Assert.Equal(["a/b/c", "after"], entries.Select(entry => entry.Path));
        Assert.Equal("hello"u8, entries[0].Content.Span);
        Assert.Equal(0, entries[1].Size);
    }

    [Fact]
    public void A_gnu_long_name_applies_to_the_next_entry_only()
    {
        var entries = Read(100, Header("././@LongLink", 'L', "00000000005"), Padded("long\0"), Header("short"), Header("other", '2', link: "target"));
        Assert.Equal(["long", "other"], entries.Select(entry => entry.Path));
        Assert.Equal("target", entries[1].LinkTarget);
    }

    [Fact]
    public void Bad_headers_are_refused_with_their_place()
    {
        var broken = Header("name");
        broken[0] ^= 1;
        Assert.Equal(512 + 148, Assert.Throws<ImageException>(() => Read(100, Header("first"), broken)).Offset);
        Assert.Contains("..", Assert.Throws<ImageException>(() => Read(100, Header("a/../../etc/passwd"))).Message, StringComparison.Ordinal);
        Assert.Contains("type", Assert.Throws<ImageException>(() => Read(100, Header("name", 'Z'))).Message, StringComparison.Ordinal);
        Assert.Contains("octal", Assert.Throws<ImageException>(() => Read(100, Header("name", size: "0000000009x"))).Message, StringComparison.Ordinal);
        Assert.Contains("ends", Assert.Throws<ImageException>(() => Read(100, Header("name", size: "00000000005"))).Message, StringComparison.Ordinal);
        Assert.Contains("accepted", Assert.Throws<ImageException>(() => Read(100, Header("name", size: "77777777777"))).Message, StringComparison.Ordinal);
        Assert.Contains("pax", Assert.Throws<ImageException>(() => Read(100, Header("pax", 'x', "00000000004"), Padded("99 a"))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_size_in_base_256_is_understood()
    {
        var block = Header("name");
        block.AsSpan(124, 12).Clear();
        block[124] = 0x80;
        block[135] = 5;
        Assert.Equal("hello"u8, Read(100, Sealed(block), Padded("hello"))[0].Content.Span);
        block.AsSpan(125, 11).Fill(0xFF);
        Assert.Throws<ImageException>(() => Read(100, Sealed(block)));
    }

    [Fact]
    public void Two_zero_blocks_end_the_archive() =>
        Assert.Single(Read(100, Header("name"), new byte[512], new byte[512], Header("never")));
}
