using Vmm.Firmware;
using Vmm.Firmware.Compression;
using Xunit;

namespace Vmm.Unit.Firmware.Compression;

public sealed class DecompressorTests
{
    const int Limit = 4 << 20;

    public static TheoryData<string> Names => [.. Sample.All.Select(sample => sample.Name)];

    static Sample Find(string name) => Sample.All.Single(sample => sample.Name == name);

    [Theory]
    [MemberData(nameof(Names))]
    public void Data_of_the_real_tools_unpacks_to_what_went_in(string name)
    {
        var sample = Find(name);
        Assert.True(sample.Expected.AsSpan().SequenceEqual(Decompressor.Unpack(sample.Bytes, Limit)));
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Reading_in_odd_steps_gives_the_same_bytes(string name)
    {
        var sample = Find(name);
        using var stream = Decompressor.Open(sample.Bytes);
        var buffer = new byte[sample.Expected.Length + 10];
        var length = 0;
        while (stream.Read(buffer.AsSpan(length, Math.Min(977, buffer.Length - length))) is var count and > 0)
        {
            length += count;
        }

        Assert.True(sample.Expected.AsSpan().SequenceEqual(buffer.AsSpan(0, length)));
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void A_limit_one_byte_too_small_is_an_error(string name)
    {
        var sample = Find(name);
        Assert.Equal(sample.Expected.Length, Decompressor.Unpack(sample.Bytes, sample.Expected.Length).Length);
        var error = Assert.Throws<ImageException>(() => Decompressor.Unpack(sample.Bytes, sample.Expected.Length - 1));
        Assert.Contains("more than", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void A_cut_off_file_is_an_error_unless_the_cut_falls_between_frames(string name)
    {
        var sample = Find(name);
        var bytes = sample.Bytes;
        for (var length = 0; length < bytes.Length; length += 1 + bytes.Length / 90)
        {
            try
            {
                var output = Decompressor.Unpack(bytes.AsMemory(0, length), Limit);
                Assert.True(sample.Expected.AsSpan().StartsWith(output));
                Assert.Contains("two ", name, StringComparison.Ordinal);
            }
            catch (ImageException error)
            {
                Assert.DoesNotContain('\n', error.Message);
                Assert.InRange(error.Offset, -1, bytes.Length);
            }
        }
    }

    [Fact]
    public void Every_format_is_recognised()
    {
        var formats = Sample.All.Select(sample => Decompressor.Detect(sample.Bytes)).Distinct().Order();
        Assert.Equal(Enum.GetValues<CompressionFormat>().Where(format => format != CompressionFormat.None), formats);
        Assert.Equal(CompressionFormat.None, Decompressor.Detect("MZ and no more"u8));
        Assert.Equal(CompressionFormat.None, Decompressor.Detect([]));
        Assert.Throws<ImageException>(() => Decompressor.Open(new byte[100]));
    }

    [Theory]
    [InlineData("Xz, CRC64", "xz check")]
    [InlineData("Xz, x86 filter, CRC32", "xz check")]
    [InlineData("Zstd 19", "zstd checksum")]
    [InlineData("Gzip", "gzip size")]
    public void A_wrong_checksum_is_found(string name, string field)
    {
        var bytes = Find(name).Bytes;
        // The xz check stands before index and footer of 12 bytes each; the zstd one comes last.
        var at = field.StartsWith("xz", StringComparison.Ordinal) ? bytes.Length - 12 - 12 - 1 : bytes.Length - 1;
        bytes[at] ^= 0x10;
        var error = Assert.Throws<ImageException>(() => Decompressor.Unpack(bytes, Limit));
        Assert.Equal(field, error.Field);
    }

    [Fact]
    public void A_bomb_stops_at_the_limit()
    {
        // 32 blocks of 128 KiB of one byte each in 4 bytes: 4 MiB from about 130 bytes; and so on for a hostile size.
        var bomb = new List<byte> { 0x28, 0xB5, 0x2F, 0xFD, 0x00, 0x58 };
        for (var i = 0; i < 10_000; i++)
        {
            bomb.AddRange([0x02, 0x00, 0x10, 0xAA]);
        }

        bomb.AddRange([0x03, 0x00, 0x10, 0xAA]);
        Assert.Throws<ImageException>(() => Decompressor.Unpack(bomb.ToArray(), Limit));
    }

    [Fact]
    public void A_promised_size_alone_allocates_nothing()
    {
        // A single-segment frame that states 2^60 bytes.
        byte[] zstd = [0x28, 0xB5, 0x2F, 0xFD, 0xE0, 0, 0, 0, 0, 0, 0, 0, 0x10, 1, 0, 0];
        Assert.Contains("window size", Assert.Throws<ImageException>(() => Decompressor.Unpack(zstd, 1 << 30)).Message, StringComparison.Ordinal);

        // LZMA with a dictionary of 256 MiB and nothing in it.
        byte[] lzma = [0x5D, 0, 0, 0, 0x10, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0, 0, 0];
        var before = GC.GetAllocatedBytesForCurrentThread();
        Assert.Throws<ImageException>(() => Decompressor.Unpack(lzma, 1 << 30, expected: long.MaxValue));
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 8 << 20);
    }

    [Fact]
    public void A_repeated_offset_of_zero_is_refused()
    {
        // RFC 8878 §3.1.1.5: offset 3 without literals means "last offset less one", here 1 - 1.
        byte[] frame =
        [
            0x28, 0xB5, 0x2F, 0xFD, 0x00, 0x58, // header, window 2 MiB
            0x4D, 0x00, 0x00, // last block, compressed, 9 bytes
            0x00, // no literals
            0x01, 0x54, // one sequence, all three codes in RLE mode
            0x00, 0x01, 0x00, // length code 0, offset code 1, match code 0
            0x03, 0x00, 0x00, 0x00,
        ];
        frame[6] = (7 << 3) | 1 | 4;
        Assert.Contains("zstd offset", Assert.Throws<ImageException>(() => Decompressor.Unpack(frame.AsMemory(0, 16), Limit)).Message, StringComparison.Ordinal);
    }
}
