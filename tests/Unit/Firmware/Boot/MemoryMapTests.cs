using Vmm.Firmware;
using Vmm.Firmware.Boot;
using Vmm.Platform.Memory;
using Xunit;

namespace Vmm.Unit.Firmware.Boot;

public sealed class MemoryMapTests
{
    static MemoryRange Range(ulong start, ulong length, MemoryKind kind) => new(new Gpa(start), length, kind);

    [Fact]
    public void Ram_above_3_GiB_goes_above_4_GiB()
    {
        var map = MemoryMap.Build(8UL << 30, []);
        Assert.Equal(Range(0x100000, 0xC0000000 - 0x100000, MemoryKind.Ram), map[3]);
        Assert.Equal(Range(0x100000000, 5UL << 30, MemoryKind.Ram), map[4]);
        Assert.Equal(5, map.Count);
    }

    [Fact]
    public void One_mebibyte_has_conventional_memory_only() =>
        Assert.Equal([Range(0, 0x9FC00, MemoryKind.Ram), Range(0x9FC00, 0x400, MemoryKind.Reserved), Range(0xE0000, 0x20000, MemoryKind.Reserved)], MemoryMap.Build(1 << 20, []));

    [Fact]
    public void Later_ranges_win_and_equal_neighbours_join()
    {
        var map = MemoryMap.Build(
            16 << 20,
            [
                Range(0x200000, 0x300000, MemoryKind.Reserved), Range(0x300000, 0x100000, MemoryKind.AcpiNvs), Range(0x500000, 0x1000, MemoryKind.Reserved),
            ]);
        Assert.Equal(
            [
                Range(0x100000, 0x100000, MemoryKind.Ram), Range(0x200000, 0x100000, MemoryKind.Reserved), Range(0x300000, 0x100000, MemoryKind.AcpiNvs),
                Range(0x400000, 0x101000, MemoryKind.Reserved), Range(0x501000, 0x1000000 - 0x501000, MemoryKind.Ram),
            ],
            map.Skip(3));
    }

    [Fact]
    public void A_range_that_wraps_around_is_refused() =>
        Assert.Throws<ImageException>(() => MemoryMap.Build(16 << 20, [Range(ulong.MaxValue, 2, MemoryKind.Reserved)]));
}
