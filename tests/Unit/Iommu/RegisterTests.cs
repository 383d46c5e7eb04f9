using Vmm.Iommu;
using Vmm.Platform.Bus;
using Xunit;

namespace Vmm.Unit.Iommu;

public sealed class RegisterTests
{
    [Fact]
    public void The_legacy_profile_advertises_what_QEMU_does_by_default()
    {
        using var bench = new VtdBench();
        Assert.Equal(0x10u, bench.Read32(0));
        Assert.Equal(0x80D2_008C_222F_0606ul, bench.Read64(0x08));
        Assert.Equal(0xF0_0F4Aul, bench.Read64(0x10));
    }

    [Fact]
    public void Refinements_change_their_bits_only()
    {
        using var bench = new VtdBench(new()
        {
            CachingMode = true,
            AddressWidth = 39,
            FaultRecords = 8,
            CoherentWalks = true,
            ExtendedInterruptMode = true,
            SnoopControl = true,
            DeviceTlb = true,
            PassThrough = false,
        });
        Assert.Equal(0x80D2_078C_2226_0286ul, bench.Read64(0x08));
        Assert.Equal(0xF0_0F9Ful, bench.Read64(0x10));
    }

    [Fact]
    public void The_scalable_profile_advertises_its_features()
    {
        using var bench = new VtdBench(new() { Profile = VtdProfile.Scalable });
        Assert.Equal(0xC9D2_078C_226F_0606ul, bench.Read64(0x08));
        Assert.Equal(0x0033_ED9C_E4F0_0FDFul, bench.Read64(0x10));
        using var strict = new VtdBench(new() { Profile = VtdProfile.Strict });
        Assert.Equal(0xD9D2_0F8C_2278_0EE6ul, strict.Read64(0x08));
    }

    [Theory]
    [InlineData(nameof(VtdOptions.FaultRecords))]
    [InlineData(nameof(VtdOptions.HostAddressWidth))]
    [InlineData(nameof(VtdOptions.AddressWidth))]
    [InlineData(nameof(VtdOptions.IotlbEntries))]
    [InlineData(nameof(VtdOptions.CacheEntries))]
    public void A_bad_option_is_named(string field)
    {
        var options = field switch
        {
            nameof(VtdOptions.FaultRecords) => new VtdOptions { FaultRecords = 129 },
            nameof(VtdOptions.HostAddressWidth) => new() { HostAddressWidth = 53 },
            nameof(VtdOptions.AddressWidth) => new() { AddressWidth = 40 },
            nameof(VtdOptions.IotlbEntries) => new() { IotlbEntries = 1000 },
            _ => new() { CacheEntries = 8 },
        };
        Assert.Equal(field, Assert.Throws<ArgumentException>(() => new VtdCapabilities(options)).ParamName);
    }

    [Theory]
    [InlineData(0x00, 4, 0u)]
    [InlineData(0x08, 8, 0u)]
    [InlineData(0x1C, 4, 0u)]
    [InlineData(0x34, 4, 0u)]
    [InlineData(0x38, 4, 0x8000_0000u)]
    [InlineData(0x64, 4, 0u)]
    [InlineData(0x80, 8, 0u)]
    [InlineData(0xA0, 4, 0x8000_0000u)]
    [InlineData(0xB0, 8, 0u)]
    [InlineData(0xC0, 8, 0u)]
    [InlineData(0xDC, 4, 0u)]
    [InlineData(0xE0, 4, 0u)]
    [InlineData(0x220, 8, 0u)]
    [InlineData(0x228, 8, 0u)]
    [InlineData(0x400, 8, 0u)]
    [InlineData(0xFF8, 8, 0u)]
    public void Read_only_registers_and_holes_ignore_writes(ulong offset, int size, uint reset)
    {
        using var bench = new VtdBench();
        var before = size == 8 ? bench.Read64(offset) : bench.Read32(offset);
        if (offset is not (0x00 or 0x08))
        {
            Assert.Equal((ulong)reset, before);
        }

        bench.Unit.Write(offset, Enumerable.Repeat((byte)0xFF, size).ToArray());
        Assert.Equal(before, size == 8 ? bench.Read64(offset) : bench.Read32(offset));
    }

    [Fact]
    public void Doubleword_registers_take_quadword_writes()
    {
        using var bench = new VtdBench();
        bench.Write64(0x38, 0x4031_0000_0000);
        Assert.Equal(0u, bench.Read32(0x38));
        Assert.Equal(0x4031u, bench.Read32(0x3C));
        bench.Write64(0x40, 0xFFFF_FFFF_FEE0_1003);
        Assert.Equal(0xFEE0_1000ul, bench.Read64(0x40));
        bench.Write64(0x9C, ulong.MaxValue);
        bench.Write64(0xA0, ulong.MaxValue);
        Assert.Equal(0xFFFF_8000_0000ul, bench.Read64(0xA0));
    }

    [Fact]
    public void Narrow_writes_of_the_command_keep_the_rest_as_it_is()
    {
        using var bench = new VtdBench();
        bench.Write64(0x20, bench.Root);
        bench.Unit.Write(0x1B, [0x40]);
        Assert.Equal(0x4000_0000u, bench.Read32(0x1C));
        bench.Unit.Write(0x1B, [0x80]);
        bench.Unit.Write(0x1A, [0x80]);
        Assert.Equal(0xC080_0000u, bench.Read32(0x1C));
        bench.Unit.Write(0x18, [0xFF, 0x7F]);
        Assert.Equal(0xC080_0000u, bench.Read32(0x1C));
        Assert.Equal(0u, bench.Read32(0x18));
    }

    [Fact]
    public void A_narrow_write_does_not_repeat_a_command_of_another_byte()
    {
        using var bench = new VtdBench();
        var table = bench.AttachLegacy(VtdBench.Device, 7);
        bench.Map(table, 0x1000, 0x5000 | 3);
        bench.Write64(0x20, bench.Root);
        bench.Unit.Write(0x1B, [0xC0]);
        bench.Translate(0x1000);
        bench.Map(table, 0x1000, 0x6000 | 3);
        bench.Unit.Write(0x1A, [0x80]);
        Assert.Equal(0xC080_0000u, bench.Read32(0x1C));
        Assert.Equal(0x5000ul, bench.Translate(0x1000));
    }

    [Fact]
    public void Enabling_without_a_pointer_is_a_habit()
    {
        using var bench = new VtdBench(new() { Habits = VtdHabits.EnableWithoutPointer });
        bench.Write32(0x18, 0x8200_0000);
        Assert.Equal(0x8200_0000u, bench.Read32(0x1C));
    }

    [Fact]
    public void Halves_of_a_command_run_it_when_the_start_bit_arrives()
    {
        using var bench = new VtdBench();
        bench.Write32(0x28, 0x0000_0007);
        Assert.Equal(0ul, bench.Unit.Counters.Invalidations(Vmm.Specs.VtD.InvalidationType.ContextCache));
        bench.Write32(0x2C, 0xC000_0000);
        Assert.Equal(1ul, bench.Unit.Counters.Invalidations(Vmm.Specs.VtD.InvalidationType.ContextCache));
        Assert.Equal(0x5000_0000u, bench.Read32(0x2C));
    }

    [Fact]
    public void Every_width_at_every_offset_is_answered_without_surprise()
    {
        foreach (var profile in Enum.GetValues<VtdProfile>())
        {
            using var bench = new VtdBench(new() { Profile = profile });
            var random = new Random(1);
            var data = new byte[8];
            foreach (var size in new[] { 1, 2, 4, 8, 3, 7 })
            {
                for (ulong offset = 0; offset < 4096; offset++)
                {
                    random.NextBytes(data);
                    var inside = offset + (ulong)size <= 4096;
                    Assert.Equal(inside ? IoResult.Ok : IoResult.Unclaimed, bench.Unit.Write(offset, data.AsSpan(0, size)));
                    Assert.Equal(inside ? IoResult.Ok : IoResult.Unclaimed, bench.Unit.Read(offset, data.AsSpan(0, size)));
                }
            }

            Assert.Equal(IoResult.Unclaimed, bench.Unit.Read(ulong.MaxValue, data));
        }
    }

    [Fact]
    public void Reset_restores_registers_caches_and_latched_tables()
    {
        using var bench = new VtdBench();
        var fresh = bench.Snapshot();
        bench.Map(bench.AttachLegacy(VtdBench.Device, 7), 0x1000, 0x5000 | 3);
        bench.EnableLegacy();
        bench.EnableQueue();
        bench.Translate(0x1000);
        bench.Translate(0x2000);
        Assert.NotEqual(fresh, bench.Snapshot());
        bench.Unit.Reset();
        Assert.Equal(fresh, bench.Snapshot());
        Assert.Equal(0x1000ul, bench.Translate(0x1000));
    }

    [Fact]
    public void Protected_memory_blocks_what_is_not_remapped()
    {
        using var bench = new VtdBench(new() { Profile = VtdProfile.Strict });
        bench.Write32(0x68, 0x0020_1234);
        bench.Write32(0x6C, 0x0040_0000);
        bench.Write64(0x70, 0x20_0000);
        Assert.Equal(0x0020_0000u, bench.Read32(0x68));
        Assert.Equal(0x30_0000ul, bench.Translate(0x30_0000));
        bench.Write32(0x64, 1u << 31);
        Assert.Equal(0x8000_0001u, bench.Read32(0x64));
        Assert.Null(bench.Translate(0x30_0000));
        Assert.Null(bench.Translate(0x5F_F000));
        Assert.Equal(0x1F_F000ul, bench.Translate(0x1F_F000));
        Assert.Equal(0x60_0000ul, bench.Translate(0x60_0000));
        Assert.Equal(2ul, bench.Unit.Counters.ProtectedMemoryBlocks);
        Assert.Equal(0u, bench.Read32(0x34));

        bench.Map(bench.AttachLegacy(VtdBench.Device, 7), 0x1000, 0x30_0000 | 3);
        bench.SetLegacy(new(0, 4, 0), 1 | 2 << 2, 3 | 8 << 8);
        bench.EnableLegacy();
        Assert.Equal(0x30_0000ul, bench.Translate(0x1000));
        Assert.Null(bench.Translate(0x30_0000, device: new(0, 4, 0)));
        bench.Write32(0x64, 0);
        Assert.Equal(0u, bench.Read32(0x64));
        Assert.Equal(0x30_0000ul, bench.Translate(0x30_0000, device: new(0, 4, 0)));
    }
}
