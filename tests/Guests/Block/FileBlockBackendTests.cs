using Vmm.Platform.Block;
using Xunit;

namespace Vmm.Guests.Block;

public sealed class FileBlockBackendTests : IDisposable
{
    readonly string path = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName());

    public void Dispose() => File.Delete(path);

    static byte[] Pattern(int length)
    {
        var bytes = new byte[length];
        new Random(1).NextBytes(bytes);
        return bytes;
    }

    [Fact]
    public void What_is_written_is_in_the_file_and_is_read_back()
    {
        File.WriteAllBytes(path, new byte[10_000]);
        using (var disk = new FileBlockBackend(path, isReadOnly: false))
        {
            Assert.Equal(10_000ul, disk.Length);
            Assert.Equal(BlockResult.Ok, disk.Write(1_000, Pattern(5_000)));
            Assert.Equal(BlockResult.Ok, disk.Flush());
            Assert.Equal(BlockResult.Ok, disk.Zero(2_000, 100));
            var found = new byte[5_000];
            Assert.Equal(BlockResult.Ok, disk.Read(1_000, found));
            Assert.Equal(Pattern(5_000)[..1_000], found[..1_000]);
            Assert.Equal(new byte[100], found[1_000..1_100]);
        }

        Assert.Equal(Pattern(5_000)[1_100..], File.ReadAllBytes(path)[2_100..6_000]);
        Assert.Equal(10_000, new FileInfo(path).Length);
    }

    [Fact]
    public void Zeroing_all_of_it_keeps_its_length()
    {
        File.WriteAllBytes(path, Pattern(10_000));
        using (var disk = new FileBlockBackend(path, isReadOnly: false))
        {
            Assert.Equal(BlockResult.Ok, disk.Zero(0, 10_000));
        }

        Assert.Equal(new byte[10_000], File.ReadAllBytes(path));
    }

    [Fact]
    public void A_read_only_image_is_never_written()
    {
        File.WriteAllBytes(path, Pattern(1_000));
        using (var disk = new FileBlockBackend(path, isReadOnly: true))
        {
            Assert.Equal(BlockResult.ReadOnly, disk.Write(0, new byte[10]));
            Assert.Equal(BlockResult.ReadOnly, disk.Zero(0, 1_000));
            Assert.Equal(BlockResult.Ok, disk.Flush());
        }

        Assert.Equal(Pattern(1_000), File.ReadAllBytes(path));
    }

    [Fact]
    public void A_file_cut_short_while_open_is_a_read_error_where_it_is_missing()
    {
        File.WriteAllBytes(path, Pattern(10_000));
        using var disk = new FileBlockBackend(path, isReadOnly: true);
        File.WriteAllBytes(path, Pattern(5_000));
        var found = new byte[4_000];
        Assert.Equal(BlockResult.Ok, disk.Read(0, found));
        Assert.Equal(BlockResult.ReadFailed, disk.Read(3_000, found));
        Assert.Equal(10_000ul, disk.Length);
    }

    [Fact]
    public void An_image_open_for_writing_cannot_be_opened_for_writing_again()
    {
        File.WriteAllBytes(path, Pattern(1_000));
        using var disk = new FileBlockBackend(path, isReadOnly: false);
        Assert.Throws<IOException>(() => new FileBlockBackend(path, isReadOnly: false));
    }

    [Fact]
    public void What_is_no_image_is_refused()
    {
        File.WriteAllBytes(path, []);
        Assert.Throws<ArgumentException>(() => new FileBlockBackend(path, isReadOnly: true));
        Assert.ThrowsAny<IOException>(() => new FileBlockBackend(path + ".absent", isReadOnly: true));
        Assert.Throws<UnauthorizedAccessException>(() => new FileBlockBackend(Path.GetTempPath(), isReadOnly: true));
        if (File.Exists("/dev/zero"))
        {
            Assert.Throws<ArgumentException>(() => new FileBlockBackend("/dev/zero", isReadOnly: true));
        }
    }
}
