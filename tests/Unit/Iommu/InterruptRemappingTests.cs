using Vmm.Iommu;
using Vmm.Platform.Dma;
using Vmm.Platform.Interrupts;
using Vmm.Specs.VtD;
using Xunit;

namespace Vmm.Unit.Iommu;

public sealed class InterruptRemappingTests : IDisposable
{
    static readonly Bdf Ioapic = new(0xFF, 0, 0);

    readonly List<VtdBench> benches = [];

    public void Dispose() => benches.ForEach(static bench => bench.Dispose());

    /// <summary>A unit with a table of 256 entries in use.</summary>
    VtdBench Build(VtdOptions? options = null, bool extended = false, bool enable = true)
    {
        var bench = new VtdBench(options);
        benches.Add(bench);
        Table = bench.Page();
        bench.Write64(0xB8, Table | 7 | (extended ? 0x800ul : 0));
        bench.Command(1u << 24);
        bench.EnableQueue(bench.Unit.Capabilities.Ecap.SMTS);
        if (enable)
        {
            bench.Command(1u << 25);
        }

        return bench;
    }

    ulong Table { get; set; }

    /// <summary>MSI address of a handle in remappable format.</summary>
    static ulong Handle(int handle, bool subHandle = false) =>
        0xFEE0_0010 | (ulong)(handle & 0x7FFF) << 5 | (ulong)(handle >> 15 & 1) << 2 | (subHandle ? 8ul : 0);

    static MsiMessage? Remap(VtdBench bench, ulong address, uint data = 0, Bdf? device = null) =>
        bench.Unit.TryRemap(device ?? VtdBench.Device, new(address, data), out var message) ? message : null;

    static FaultRecord AssertBlocked(VtdBench bench, FaultReason reason, int index, ulong address, uint data = 0, Bdf? device = null)
    {
        Assert.Null(Remap(bench, address, data, device));
        var record = bench.TakeFault((int)(bench.Read32(0x34) >> 8 & 0xFF));
        Assert.Equal(reason, record.FR);
        Assert.Equal((ulong)index << 48, record.Low);
        Assert.Equal((device ?? VtdBench.Device).Value, record.SID);
        return record;
    }

    [Fact]
    public void With_remapping_off_messages_pass()
    {
        var bench = Build(enable: false);
        Assert.Equal(new(Handle(3), 0x55), Remap(bench, Handle(3), 0x55));
        Assert.Equal(new(0xFEE0_1000, 0x31), Remap(bench, 0xFEE0_1000, 0x31));
    }

    [Fact]
    public void IRE_is_refused_until_IRTPS_is_set()
    {
        using var bench = new VtdBench();
        bench.Command(1u << 25);
        Assert.Equal(0u, bench.Read32(0x1C));
    }

    [Fact]
    public void An_entry_gives_vector_delivery_trigger_and_destination()
    {
        var bench = Build();
        bench.Poke(Table + 5 * 16, 0x0000_AB00_0031_003D, 0);
        Assert.Equal(new(0xFEEA_B00C, 0xC131), Remap(bench, Handle(5)));
        bench.Poke(Table + 6 * 16, 0x0000_0100_0042_0001, 0);
        Assert.Equal(new(0xFEE0_1000, 0x4042), Remap(bench, Handle(4, true), 2));
    }

    [Fact]
    public void Extended_destinations_have_32_bits()
    {
        var bench = Build(new() { ExtendedInterruptMode = true }, true);
        bench.Poke(Table, 0x1234_5678_0031_0001, 0);
        Assert.Equal(new(0x1234_5600_FEE7_8000, 0x4031), Remap(bench, Handle(0)));
    }

    [Fact]
    public void The_handle_has_a_16th_bit_and_adds_to_the_subhandle()
    {
        var bench = new VtdBench();
        benches.Add(bench);
        bench.Write64(0xB8, 0x80_0000 | 15);
        bench.Command(1u << 24);
        bench.Command(1u << 25);
        bench.Poke(0x80_0000 + 0xFFFF * 16, 0x0000_0100_0042_0001, 0);
        Assert.Equal(new(0xFEE0_1000, 0x4042), Remap(bench, Handle(0xFFFF)));
        Assert.Equal(new(0xFEE0_1000, 0x4042), Remap(bench, Handle(0xFF00, true), 0xFF));
        AssertBlocked(bench, FaultReason.InterruptIndexBeyondTable, 0, Handle(0xFFFF, true), 1);
    }

    [Fact]
    public void Reason_20_reserved_bits_of_the_request() =>
        AssertBlocked(Build(), FaultReason.InterruptReserved, 0, Handle(3, true), 0x1_0000);

    [Fact]
    public void Reason_21_index_beyond_the_table()
    {
        var bench = Build();
        AssertBlocked(bench, FaultReason.InterruptIndexBeyondTable, 256, Handle(256));
        AssertBlocked(bench, FaultReason.InterruptIndexBeyondTable, 256, Handle(255, true), 1);
    }

    [Fact]
    public void Reason_22_entry_not_present() =>
        AssertBlocked(Build(), FaultReason.IrteNotPresent, 7, Handle(7));

    [Fact]
    public void Reason_23_table_outside_memory()
    {
        var bench = Build();
        bench.Write64(0xB8, 0x8000_0000 | 7);
        bench.Command(1u << 24);
        AssertBlocked(bench, FaultReason.IrteAccess, 7, Handle(7));
    }

    [Theory]
    [InlineData(0x1001ul, 0ul)]
    [InlineData(0x4001ul, 0ul)]
    [InlineData(0x0100_0001ul, 0ul)]
    [InlineData(0x1_0000_0001ul, 0ul)]
    [InlineData(0x1_0000_0000_0001ul, 0ul)]
    [InlineData(1ul, 1ul << 20)]
    [InlineData(1ul, 3ul << 18)]
    [InlineData(0x8001ul, 0ul)]
    public void Reason_24_reserved_bits_of_the_entry(ulong low, ulong high)
    {
        var bench = Build();
        bench.Poke(Table + 7 * 16, low, high);
        AssertBlocked(bench, FaultReason.IrteReserved, 7, Handle(7));
    }

    [Fact]
    public void Reason_25_compatibility_format_without_CFIS()
    {
        var bench = Build();
        AssertBlocked(bench, FaultReason.CompatibilityBlocked, 0, 0xFEE0_1000, 0x31);
        bench.Command(1u << 23);
        Assert.Equal(0x0780_0000u, bench.Read32(0x1C) & 0x0780_0000);
        Assert.Equal(new(0xFEE0_1000, 0x31), Remap(bench, 0xFEE0_1000, 0x31));
        bench.Write32(0x18, 0x0600_0000);
        AssertBlocked(bench, FaultReason.CompatibilityBlocked, 0, 0xFEE0_1000, 0x31);
    }

    [Fact]
    public void Reason_25_compatibility_format_in_extended_mode_whatever_CFIS()
    {
        var bench = Build(new() { ExtendedInterruptMode = true }, true);
        bench.Command(1u << 23);
        AssertBlocked(bench, FaultReason.CompatibilityBlocked, 0, 0xFEE0_1000, 0x31);
    }

    [Theory]
    [InlineData(0x4_0019ul, 0, 3, 1, true)]
    [InlineData(0x4_0019ul, 0, 3, 0, false)]
    [InlineData(0x5_0018ul, 0, 3, 4, true)]
    [InlineData(0x5_0018ul, 0, 3, 2, false)]
    [InlineData(0x6_0018ul, 0, 3, 6, true)]
    [InlineData(0x6_0018ul, 0, 3, 1, false)]
    [InlineData(0x7_0018ul, 0, 3, 7, true)]
    [InlineData(0x7_0018ul, 0, 4, 0, false)]
    [InlineData(0x8_0204ul, 2, 9, 1, true)]
    [InlineData(0x8_0204ul, 4, 9, 1, true)]
    [InlineData(0x8_0204ul, 1, 9, 1, false)]
    [InlineData(0x8_0204ul, 5, 9, 1, false)]
    [InlineData(0x0_0000ul, 7, 7, 7, true)]
    public void Reason_26_source_id_verification(ulong high, int bus, int device, int function, bool passes)
    {
        var bench = Build();
        bench.Poke(Table, 0x0042_0001, high);
        if (passes)
        {
            Assert.NotNull(Remap(bench, Handle(0), 0, new(bus, device, function)));
        }
        else
        {
            AssertBlocked(bench, FaultReason.SourceIdMismatch, 0, Handle(0), 0, new(bus, device, function));
        }
    }

    [Fact]
    public void FPD_suppresses_the_entry_s_own_conditions()
    {
        var bench = Build();
        bench.Poke(Table, 2, 0);
        Assert.Null(Remap(bench, Handle(0)));
        bench.Poke(Table + 16, 0x1003, 0);
        Assert.Null(Remap(bench, Handle(1)));
        Assert.Equal(0u, bench.Read32(0x34));
        Assert.Equal(2ul, bench.Unit.Counters.SuppressedFaults);
    }

    [Fact]
    public void Entries_are_cached_until_invalidated_by_index_mask_or_globally()
    {
        var bench = Build();
        string Stale(ulong descriptor)
        {
            bench.Submit(0x04);
            for (var i = 0; i < 8; i++)
            {
                bench.Poke(Table + (ulong)i * 16, 0x0041_0001, 0);
                Assert.Equal(0x4041u, Remap(bench, Handle(i))?.Data);
                bench.Poke(Table + (ulong)i * 16, 0x0042_0001, 0);
            }

            bench.Submit(descriptor);
            return string.Concat(Enumerable.Range(0, 8).Select(i => Remap(bench, Handle(i))?.Data == 0x4041 ? 's' : '-'));
        }

        Assert.Equal("ssssssss", Stale(0x14 | 100ul << 32));
        Assert.Equal("sssss-ss", Stale(0x14 | 5ul << 32));
        Assert.Equal("ssss--ss", Stale(0x14 | 5ul << 32 | 1ul << 27));
        Assert.Equal("ssss----", Stale(0x14 | 5ul << 32 | 2ul << 27));
        Assert.Equal("--------", Stale(0x14 | 15ul << 27));
        Assert.Equal("--------", Stale(0x04));
        Assert.Equal(8, bench.Unit.Occupancy.Interrupts);
    }

    [Fact]
    public void A_removed_entry_still_works_until_it_is_invalidated()
    {
        var bench = Build();
        bench.Poke(Table, 0x0041_0001, 0);
        Assert.NotNull(Remap(bench, Handle(0)));
        bench.Poke(Table, 0, 0);
        Assert.NotNull(Remap(bench, Handle(0)));
        bench.Submit(0x14);
        AssertBlocked(bench, FaultReason.IrteNotPresent, 0, Handle(0));
        bench.Poke(Table, 0x0041_0001, 0);
        Assert.NotNull(Remap(bench, Handle(0)));
    }

    [Fact]
    public void In_caching_mode_absent_entries_are_cached_too()
    {
        var bench = Build(new() { CachingMode = true });
        AssertBlocked(bench, FaultReason.IrteNotPresent, 0, Handle(0));
        bench.Poke(Table, 0x0041_0001, 0);
        AssertBlocked(bench, FaultReason.IrteNotPresent, 0, Handle(0));
        bench.Submit(0x14);
        Assert.NotNull(Remap(bench, Handle(0)));
    }

    [Fact]
    public void The_IOAPIC_is_verified_unless_the_habit_says_otherwise()
    {
        var strict = Build();
        strict.Poke(Table, 0x0042_0001, 0x4_1234);
        AssertBlocked(strict, FaultReason.SourceIdMismatch, 0, Handle(0), 0, Ioapic);
        var lenient = Build(new() { Habits = VtdHabits.IoapicSourceIdUnverified });
        lenient.Poke(Table, 0x0042_0001, 0x4_1234);
        Assert.NotNull(Remap(lenient, Handle(0), 0, Ioapic));
        AssertBlocked(lenient, FaultReason.SourceIdMismatch, 0, Handle(0));
    }

    [Fact]
    public void Compatibility_format_and_reserved_bits_pass_by_habit()
    {
        var bench = Build(new() { Habits = VtdHabits.CompatibilityFormatPasses | VtdHabits.IrteReservedIgnored });
        Assert.Equal(new(0xFEE0_1000, 0x31), Remap(bench, 0xFEE0_1000, 0x31));
        bench.Poke(Table, 0x1_0042_0001, 0);
        Assert.NotNull(Remap(bench, Handle(0)));
    }

    const ulong PostedEntry = 0x8001 | 0x77 << 16;

    [Theory]
    [InlineData(0x00E2_0000ul, 0x0000_0300ul, false, 0x00E2_0001ul, 0xFEE0_3000ul)]
    [InlineData(0x00E2_0001ul, 0x0000_0300ul, false, 0x00E2_0001ul, 0ul)]
    [InlineData(0x00E2_0001ul, 0x0000_0300ul, true, 0x00E2_0001ul, 0ul)]
    [InlineData(0x00E2_0002ul, 0x0000_0300ul, false, 0x00E2_0002ul, 0ul)]
    [InlineData(0x00E2_0002ul, 0x0000_0300ul, true, 0x00E2_0003ul, 0xFEE0_3000ul)]
    public void A_posted_vector_is_set_in_memory_and_notified_as_ON_SN_and_URG_say(
        ulong control, ulong destination, bool urgent, ulong after, ulong address)
    {
        var bench = Build(new() { PostedInterrupts = true });
        var descriptor = bench.Page() + 0x40;
        bench.Poke(descriptor + 32, control | destination << 32);
        bench.Poke(Table, PostedEntry | (urgent ? 0x4000ul : 0) | descriptor << 32, 0);
        var message = Remap(bench, Handle(0));
        Assert.Equal(1ul << (0x77 & 63), bench.Peek(descriptor + 8));
        Assert.Equal(after | destination << 32, bench.Peek(descriptor + 32));
        Assert.Equal(address, message?.Address);
        Assert.Equal(address == 0, message?.IsAbsorbed);
        Assert.Equal(address == 0 ? 0u : 0x40E2u, message?.Data);
    }

    [Fact]
    public void Reasons_27_and_28_of_posted_descriptors()
    {
        var bench = Build(new() { PostedInterrupts = true });
        bench.Poke(Table, PostedEntry | 0x8000_0000ul << 32, 0);
        AssertBlocked(bench, FaultReason.PostedDescriptorAccess, 0, Handle(0));
        var descriptor = bench.Page();
        bench.Poke(descriptor + 32, 4);
        bench.Poke(Table + 16, PostedEntry | descriptor << 32, 0);
        AssertBlocked(bench, FaultReason.PostedDescriptorReserved, 1, Handle(1));
        bench.Poke(descriptor + 32, 0, 0, 0, 1);
        AssertBlocked(bench, FaultReason.PostedDescriptorReserved, 1, Handle(1));
        Assert.Equal(0ul, bench.Peek(descriptor + 8));
    }

    [Fact]
    public void A_posted_entry_may_lie_above_4_GiB_in_its_pointer() =>
        Assert.Equal(0xABCD_EF01_2345_6740ul, new Irte(0x2345_6740_0000_8001, 0xABCD_EF01_0000_0000).PDA);

    [Fact]
    public void Without_interrupt_remapping_nothing_of_it_can_be_turned_on()
    {
        var bench = Build(new() { InterruptRemapping = false });
        Assert.Equal(0u, bench.Read32(0x1C) & 0x0380_0000);
        Assert.Equal(0ul, bench.Read64(0xB8));
        Assert.Equal(new(Handle(0), 1), Remap(bench, Handle(0), 1));
    }
}
