using Vmm.Platform.Block;
using Xunit;

namespace Vmm.Unit.Block;

public class MemoryBlockBackendTests
{
    [Fact]
    public void It_equals_an_array()
    {
        const int length = 300_001;
        var random = new Random(2);
        using var disk = new MemoryBlockBackend("m", length);
        var model = new byte[length];
        for (var step = 0; step < 400; step++)
        {
            var at = random.Next(length);
            var count = random.Next(Math.Min(length - at, 150_000) + 1);
            switch (random.Next(4))
            {
                case 0:
                    var data = new byte[count];
                    random.NextBytes(data);
                    Assert.Equal(BlockResult.Ok, disk.Write((ulong)at, data));
                    data.CopyTo(model, at);
                    break;
                case 1:
                    Assert.Equal(BlockResult.Ok, disk.Zero((ulong)at, (ulong)count));
                    model.AsSpan(at, count).Clear();
                    break;
                case 2:
                    disk.Discard((ulong)at, (ulong)count);
                    model.AsSpan(at, count).Clear();
                    break;
                default:
                    var found = new byte[count];
                    Assert.Equal(BlockResult.Ok, disk.Read((ulong)at, found));
                    Assert.True(found.AsSpan().SequenceEqual(model.AsSpan(at, count)));
                    break;
            }
        }
    }

    [Fact]
    public void A_read_only_disk_keeps_its_bytes()
    {
        using var disk = new MemoryBlockBackend("m", new byte[] { 1, 2, 3 }, isReadOnly: true);
        Assert.Equal(BlockResult.ReadOnly, disk.Write(0, new byte[1]));
        Assert.Equal(BlockResult.ReadOnly, disk.Zero(0, 3));
        var found = new byte[3];
        disk.Read(0, found);
        Assert.Equal([1, 2, 3], found);
    }

    [Fact]
    public void A_disk_has_a_length()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => new MemoryBlockBackend("m", 0));
        Assert.Throws<ArgumentOutOfRangeException>(() => new MemoryBlockBackend("m", ulong.MaxValue));
    }
}
