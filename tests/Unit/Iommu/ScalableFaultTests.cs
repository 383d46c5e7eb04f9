using Vmm.Iommu;
using Vmm.Platform.Dma;
using Vmm.Specs.VtD;
using Xunit;

namespace Vmm.Unit.Iommu;

/// <summary>Every reachable fault reason of scalable mode.</summary>
public sealed class ScalableFaultTests : IDisposable
{
    const ulong Nowhere = 0x8000_0000;
    const ulong SS = 1 | 2 << 2 | 2 << 6;
    const ulong FS = 1 | 1 << 6;
    const ulong Nest = 1 | 2 << 2 | 3 << 6;
    const ulong Snoop = 1 << 23;

    readonly VtdBench bench = new(new() { Profile = VtdProfile.Scalable });
    readonly ulong directory;

    public ScalableFaultTests()
    {
        directory = bench.AttachScalable(VtdBench.Device);
        bench.EnableScalable();
    }

    public void Dispose() => bench.Dispose();

    void SetContext(ulong low, ulong high = 0, ulong third = 0, ulong fourth = 0) =>
        bench.Poke(bench.ScalableContextAddress(VtdBench.Device), low, high, third, fourth);

    [Fact]
    public void Reasons_38_39_and_3A_of_the_root_entry()
    {
        bench.AssertFault(FaultReason.SmRootNotPresent, 0, device: new(9, 0, 0));
        bench.Poke(bench.Root + 9 * 16, 1 | 2, 1ul << 60 | 1);
        bench.AssertFault(FaultReason.SmRootReserved, 0, device: new(9, 0, 0));
        bench.AssertFault(FaultReason.SmRootReserved, 0, device: new(9, 16, 0));
        bench.SetRoot(Nowhere | 1 << 10);
        bench.AssertFault(FaultReason.SmRootAccess, 0);
    }

    [Fact]
    public void Reasons_40_41_and_42_of_the_context_entry()
    {
        bench.Poke(bench.Root + 9 * 16, Nowhere | 1);
        bench.AssertFault(FaultReason.SmContextAccess, 0, device: new(9, 0, 0));
        SetContext(0);
        bench.AssertFault(FaultReason.SmContextNotPresent, 0);
        (ulong, ulong, ulong, ulong)[] reserved = [(0x20, 0, 0, 0), (1ul << 52, 0, 0, 0), (0, 1 << 21, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1ul << 63)];
        foreach (var (low, high, third, fourth) in reserved)
        {
            SetContext(directory | 1 | low, high, third, fourth);
            bench.AssertFault(FaultReason.SmContextReserved, 0);
        }
    }

    [Theory]
    [InlineData(0b101)]
    [InlineData(0b10001)]
    public void Reason_43_device_TLBs_or_page_requests_that_are_not_advertised(ulong flags)
    {
        using var plain = new VtdBench(new() { Profile = VtdProfile.Scalable, DeviceTlb = false });
        plain.AttachScalable(VtdBench.Device, flags);
        plain.EnableScalable();
        plain.AssertFault(FaultReason.SmContextInvalid, 0);
    }

    [Fact]
    public void Reasons_44_to_48_of_what_the_context_entry_allows()
    {
        SetContext(directory | 1);
        bench.AssertFault(FaultReason.DeviceTlbDisabled, 0x1000, DmaAccess.Translation);
        bench.EnableQueue(true);
        bench.FlushAll();
        bench.AssertFault(FaultReason.PasidDisabled, 0x1000, pasid: 1);
        SetContext(directory | 0b11001, 0x2000);
        bench.FlushAll();
        bench.AssertFault(FaultReason.PasidBeyondDirectory, 0x1000, pasid: 0x2000);
        bench.AssertFault(FaultReason.RidPasidInvalid, 0x1000);
        SetContext(directory | 0b01001);
        bench.FlushAll();
        Assert.False(bench.Unit.RequestPage(new(VtdBench.Device, new(0x1000), true, false, true, 1)));
        Assert.Equal(FaultReason.PageRequestDisabled, bench.TakeFault((int)(bench.Read32(0x34) >> 8)).FR);
    }

    [Fact]
    public void Reason_32_page_request_in_legacy_mode()
    {
        bench.SetRoot(bench.Root);
        Assert.False(bench.Unit.RequestPage(new(VtdBench.Device, new(0x7000), false, true, true, 1, 0x55, true)));
        var record = bench.TakeFault();
        Assert.Equal((FaultReason.LegacyModePageRequest, FaultedRequest.Page, 0x55u, true), (record.FR, record.Type, record.PV, record.PP));
    }

    [Fact]
    public void Reasons_50_51_and_52_of_the_PASID_directory()
    {
        bench.AssertFault(FaultReason.PasidDirectoryNotPresent, 0, pasid: 1);
        bench.Poke(directory, bench.Page() | 5);
        bench.AssertFault(FaultReason.PasidDirectoryReserved, 0, pasid: 1);
        SetContext(Nowhere | 0b1001);
        bench.EnableQueue(true);
        bench.FlushAll();
        bench.AssertFault(FaultReason.PasidDirectoryAccess, 0, pasid: 1);
    }

    [Fact]
    public void Reasons_58_59_and_5A_of_the_PASID_table()
    {
        bench.Poke(directory, Nowhere | 1);
        bench.AssertFault(FaultReason.PasidEntryAccess, 0, pasid: 1);
        bench.Poke(directory, 0);
        bench.SetPasid(directory, 1, 0);
        bench.AssertFault(FaultReason.PasidEntryNotPresent, 0, pasid: 1);
        (ulong, ulong, ulong)[] reserved = [(0x20, 0, 0), (0x800, 0, 0), (1ul << 50, 0, 0), (0, 1 << 16, 0), (0, 1 << 22, 0), (0, 0, 0x100)];
        foreach (var (q0, q1, q2) in reserved)
        {
            bench.SetPasid(directory, 1, SS | q0, q1, q2);
            bench.AssertFault(FaultReason.PasidEntryReserved, 0, pasid: 1);
        }

        for (ulong word = 3; word < 8; word++)
        {
            bench.SetPasid(directory, 1, SS);
            bench.Poke(bench.PasidEntryAddress(directory, 1) + word * 8, 1ul << 40);
            bench.AssertFault(FaultReason.PasidEntryReserved, 0, pasid: 1);
        }
    }

    [Theory]
    [InlineData(1ul, 0ul)]
    [InlineData(1ul | 5 << 6, 0ul)]
    [InlineData(1ul | 7 << 6, 0ul)]
    [InlineData(1ul | 3 << 2 | 2 << 6, 0ul)]
    [InlineData(1ul | 3 << 2 | 3 << 6, 0ul)]
    [InlineData(1ul | 1 << 6, 1ul << 2)]
    [InlineData(1ul | 1 << 6, 2ul << 2)]
    [InlineData(1ul | 2 << 2 | 3 << 6, 3ul << 2)]
    public void Reason_5B_unsupported_type_width_or_paging_mode(ulong q0, ulong q2)
    {
        bench.SetPasid(directory, 1, q0, Snoop | 7, q2);
        bench.AssertFault(FaultReason.PasidEntryInvalid, 0, pasid: 1);
    }

    [Fact]
    public void Reasons_5C_and_5D_of_execute_and_privileged_requests()
    {
        bench.SetPasid(directory, 1, SS, Snoop | 7);
        var record = bench.AssertFault(FaultReason.ExecuteDisabled, 0, pasid: 1, execute: true);
        Assert.True(record.EXE);
        record = bench.AssertFault(FaultReason.SupervisorDisabled, 0, pasid: 1, privileged: true);
        Assert.True(record.PRIV && !record.EXE);
    }

    ulong FirstStage(ulong q1 = Snoop)
    {
        var table = bench.Page();
        bench.SetPasid(directory, 1, FS, q1 | 7, table);
        return table;
    }

    [Fact]
    public void Reasons_70_to_73_of_first_stage_entries()
    {
        bench.SetPasid(directory, 1, FS, Snoop | 7, Nowhere);
        bench.AssertFault(FaultReason.FsRootAccess, 0x1000, pasid: 1);
        bench.EnableQueue(true);
        bench.FlushAll();
        var table = FirstStage();
        bench.AssertFault(FaultReason.FsNotPresent, 0x1000, pasid: 1);
        bench.Poke(table, Nowhere | 7);
        bench.AssertFault(FaultReason.FsEntryAccess, 0x1000, pasid: 1);
    }

    [Theory]
    [InlineData(1, 1ul << 48)]
    [InlineData(1, 1ul << 63)]
    [InlineData(2, 0x80 | 1ul << 13)]
    [InlineData(3, 0x80 | 1ul << 29)]
    [InlineData(4, 0x80)]
    public void Reason_72_reserved_bits_of_first_stage_entries(int level, ulong bits)
    {
        var table = FirstStage();
        bench.Map(table, 0x1000, 0x4000_0000 | 7 | bits, level, tableBits: 7);
        bench.AssertFault(FaultReason.FsReserved, 0x1000, pasid: 1);
    }

    [Fact]
    public void PAT_of_large_pages_is_not_an_address_bit()
    {
        var table = FirstStage();
        bench.Map(table, 0x20_0000, 0x60_1000 | 0x87, 2, tableBits: 7);
        Assert.Equal(0x60_0000ul, bench.Translate(0x20_0000, pasid: 1));
    }

    (ulong First, ulong Second) Nested(ulong firstAt)
    {
        var second = bench.Page();
        bench.SetPasid(directory, 1, second | Nest, Snoop | 7, firstAt);
        return (firstAt, second);
    }

    [Fact]
    public void Reasons_74_to_77_of_nested_first_stage_tables()
    {
        bench.EnableQueue(true);
        Nested(1ul << 47 << 1 >> 1);
        bench.AssertFault(FaultReason.FsRootReadDenied, 0x1000, pasid: 1);
        var (_, second) = Nested(0x7000_0000);
        bench.FlushAll();
        var first = bench.Page();
        bench.Map(second, 0x7000_0000, first | 2);
        bench.AssertFault(FaultReason.FsRootReadDenied, 0x1000, pasid: 1);
        bench.Map(second, 0x7000_0000, first | 1);
        bench.Poke(first, 0x7000_1000 | 7);
        bench.AssertFault(FaultReason.FsEntryWriteDenied, 0x1000, pasid: 1);
        bench.Map(second, 0x7000_0000, first | 3);
        bench.AssertFault(FaultReason.FsEntryReadDenied, 0x1000, pasid: 1);
        bench.Poke(first, 1ul << 48 | 7);
        bench.AssertFault(FaultReason.FsTableBeyondSecondStage, 0x1000, pasid: 1);
    }

    ulong SecondStage(ulong more = 0, ulong q1 = Snoop)
    {
        var table = bench.Page();
        bench.SetPasid(directory, 1, table | SS | more, q1 | 7);
        return table;
    }

    [Fact]
    public void Reasons_78_79_7A_and_7B_of_second_stage_entries()
    {
        bench.SetPasid(directory, 1, Nowhere | SS, Snoop | 7);
        bench.AssertFault(FaultReason.SsRootAccess, 0x1000, pasid: 1);
        bench.EnableQueue(true);
        bench.FlushAll();
        var table = SecondStage();
        bench.AssertFault(FaultReason.SsNotPresent, 0x1000, pasid: 1);
        bench.Poke(table, Nowhere | 3);
        bench.AssertFault(FaultReason.SsEntryAccess, 0x1000, pasid: 1);
        bench.FlushAll();
        bench.Poke(table, Nowhere | 0x83);
        bench.AssertFault(FaultReason.SsReserved, 0x1000, pasid: 1);
    }

    [Fact]
    public void Reasons_7C_and_90_of_flags_that_walks_without_snooping_cannot_set()
    {
        var second = SecondStage(1 << 9, 0);
        bench.Map(second, 0x1000, 0x5000 | 3);
        bench.AssertFault(FaultReason.SsUpdateNotSnooped, 0x1000, pasid: 1);
        bench.EnableQueue(true);
        bench.FlushAll();
        var first = FirstStage(0);
        bench.Map(first, 0x1000, 0x5000 | 7 | 0x60, tableBits: 0x27);
        Assert.Equal(0x5000ul, bench.Translate(0x1000, DmaAccess.Write, pasid: 1));
        bench.Map(first, 0x2000, 0x5000 | 7 | 0x20, tableBits: 0x27);
        Assert.Equal(0x5000ul, bench.Translate(0x2000, pasid: 1));
        bench.AssertFault(FaultReason.FsUpdateNotSnooped, 0x2000, DmaAccess.Write, pasid: 1);
    }

    [Theory]
    [InlineData(0x0000_8000_0000_0000ul)]
    [InlineData(0xFFFF_7FFF_FFFF_F000ul)]
    [InlineData(0x8000_0000_0000_0000ul)]
    public void Reason_80_addresses_that_are_not_canonical(ulong address)
    {
        FirstStage();
        bench.AssertFault(FaultReason.NotCanonical, address, pasid: 1);
    }

    [Fact]
    public void Reasons_83_and_84_of_addresses_beyond_a_width()
    {
        SecondStage();
        bench.AssertFault(FaultReason.AddressBeyondSecondStage, 1ul << 48, pasid: 1);
        bench.AssertFault(FaultReason.AddressBeyondHardware, 1ul << 48, DmaAccess.Translated, pasid: 1);
        bench.EnableQueue(true);
        bench.FlushAll();
        var (first, second) = Nested(bench.Page());
        bench.Map(second, 0, 0x83, 3);
        bench.Map(first, 0x1000, 1ul << 50 | 7, tableBits: 7);
        bench.AssertFault(FaultReason.AddressBeyondSecondStage, 0x1000, pasid: 1);
    }

    [Fact]
    public void Reasons_85_and_86_of_present_pages_without_permission()
    {
        var table = SecondStage();
        bench.Map(table, 0x1000, 0x5000 | 1);
        bench.Map(table, 0x2000, 0x6000 | 2);
        bench.AssertFault(FaultReason.SmNoWritePermission, 0x1000, DmaAccess.Write, pasid: 1);
        bench.AssertFault(FaultReason.SmNoReadPermission, 0x2000, pasid: 1);
        bench.AssertFault(FaultReason.SmNoReadPermission, 0x2000, DmaAccess.Atomic, pasid: 1);
    }

    [Fact]
    public void Reason_87_output_in_the_interrupt_range()
    {
        var table = SecondStage();
        bench.Map(table, 0x1000, 0xFEEF_F000 | 3);
        bench.AssertFault(FaultReason.SmOutputInInterruptRange, 0x1000, DmaAccess.Write, pasid: 1);
    }

    [Fact]
    public void FPD_of_any_entry_on_the_way_suppresses_the_record()
    {
        bench.EnableQueue(true);
        bench.Poke(directory, 2);
        Assert.Null(bench.Translate(0, pasid: 1));
        bench.Poke(directory, 0);
        bench.SetPasid(directory, 1, SS | 2, Snoop | 7);
        Assert.Null(bench.Translate(0, pasid: 1));
        bench.FlushAll();
        bench.SetPasid(directory, 1, 2);
        Assert.Null(bench.Translate(0, pasid: 1));
        SetContext(directory | 0b1011);
        bench.FlushAll();
        bench.SetPasid(directory, 1, 0);
        Assert.Null(bench.Translate(0, pasid: 1));
        Assert.Equal(0u, bench.Read32(0x34));
        Assert.Equal(4ul, bench.Unit.Counters.SuppressedFaults);
    }

    [Fact]
    public void A_record_of_a_request_without_PASID_has_none()
    {
        SetContext(directory | 0b1001, 5);
        var record = bench.AssertFault(FaultReason.PasidDirectoryNotPresent, 0x1000);
        Assert.False(record.PP);
        Assert.Equal(0u, record.PV);
    }
}
