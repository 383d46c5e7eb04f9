using Vmm.Iommu;
using Vmm.Platform.Dma;
using Vmm.Specs.VtD;
using Xunit;

namespace Vmm.Unit.Iommu;

/// <summary>Every fault reason of legacy mode, and who may suppress it.</summary>
public sealed class LegacyFaultTests : IDisposable
{
    const ulong Nowhere = 0x8000_0000;

    readonly VtdBench bench = new();

    public void Dispose() => bench.Dispose();

    void SetContext(ulong low, ulong high)
    {
        bench.SetLegacy(VtdBench.Device, low, high);
        bench.EnableLegacy();
    }

    [Fact]
    public void Reason_1_root_entry_not_present()
    {
        bench.EnableLegacy();
        bench.AssertFault(FaultReason.RootNotPresent, 0x1000);
    }

    [Fact]
    public void Reason_2_context_entry_not_present()
    {
        SetContext(0, 0);
        bench.AssertFault(FaultReason.ContextNotPresent, 0x1000);
    }

    [Theory]
    [InlineData(1 | 3 << 2, 2)]
    [InlineData(1 | 1 << 2, 2)]
    [InlineData(1, 0)]
    [InlineData(1, 3)]
    [InlineData(1, 7)]
    [InlineData(1 | 2 << 2, 1)]
    public void Reason_3_unsupported_translation_type_or_width(ulong low, ulong high)
    {
        SetContext(low, high);
        bench.AssertFault(FaultReason.ContextInvalid, 0x1000);
    }

    [Fact]
    public void Reason_3_pass_through_that_is_not_advertised()
    {
        using var without = new VtdBench(new() { PassThrough = false });
        without.SetLegacy(VtdBench.Device, 1 | 2 << 2, 2);
        without.EnableLegacy();
        without.AssertFault(FaultReason.ContextInvalid, 0x1000);
    }

    [Fact]
    public void Reason_3_page_table_pointer_outside_memory()
    {
        SetContext(Nowhere | 1, 2);
        bench.AssertFault(FaultReason.ContextInvalid, 0x1000);
    }

    [Fact]
    public void Reason_4_address_beyond_the_width_of_the_context()
    {
        bench.AttachLegacy(VtdBench.Device, 1, 1);
        bench.EnableLegacy();
        bench.AssertFault(FaultReason.AddressBeyondWidth, 1ul << 39);
        bench.AssertFault(FaultReason.AddressBeyondWidth, ulong.MaxValue);
    }

    [Fact]
    public void Reasons_5_and_6_not_present_pages_name_the_access()
    {
        bench.AttachLegacy(VtdBench.Device, 1);
        bench.EnableLegacy();
        Assert.Equal(FaultedRequest.Write, bench.AssertFault(FaultReason.NoWritePermission, 0x1000, DmaAccess.Write).Type);
        Assert.Equal(FaultedRequest.Read, bench.AssertFault(FaultReason.NoReadPermission, 0x1000).Type);
    }

    [Fact]
    public void Reason_7_lower_table_outside_memory()
    {
        var table = bench.AttachLegacy(VtdBench.Device, 1);
        bench.Poke(table, Nowhere | 3);
        bench.EnableLegacy();
        bench.AssertFault(FaultReason.PagingEntryAccess, 0x1000);
    }

    [Fact]
    public void Reason_8_root_table_outside_memory()
    {
        bench.SetRoot(Nowhere);
        bench.Command(1u << 31);
        bench.AssertFault(FaultReason.RootAccess, 0x1000);
    }

    [Fact]
    public void Reason_9_context_table_outside_memory()
    {
        bench.Poke(bench.Root, Nowhere | 1);
        bench.EnableLegacy();
        bench.AssertFault(FaultReason.ContextAccess, 0x1000);
    }

    [Theory]
    [InlineData(0x2, 0)]
    [InlineData(0x800, 0)]
    [InlineData(1ul << 48, 0)]
    [InlineData(0, 1)]
    public void Reason_A_reserved_field_of_the_root_entry(ulong low, ulong high)
    {
        bench.Poke(bench.Root, bench.Page() | 1 | low, high);
        bench.EnableLegacy();
        bench.AssertFault(FaultReason.RootReserved, 0x1000);
    }

    [Theory]
    [InlineData(0x10, 0)]
    [InlineData(0x800, 0)]
    [InlineData(1ul << 63, 0)]
    [InlineData(0, 0x80)]
    [InlineData(0, 1ul << 24)]
    public void Reason_B_reserved_field_of_the_context_entry(ulong low, ulong high)
    {
        SetContext(bench.Page() | 1 | low, 2 | high);
        bench.AssertFault(FaultReason.ContextReserved, 0x1000);
    }

    [Fact]
    public void Ignored_fields_of_the_context_entry_do_not_matter()
    {
        SetContext(bench.Page() | 1, 2 | 0x78);
        bench.AssertFault(FaultReason.NoReadPermission, 0x1000);
    }

    [Theory]
    [InlineData(1, 1ul << 11)]
    [InlineData(1, 1ul << 48)]
    [InlineData(1, 1ul << 62)]
    [InlineData(2, 1ul << 11)]
    [InlineData(2, 0x80 | 1ul << 12)]
    [InlineData(3, 0x80 | 1ul << 21)]
    [InlineData(4, 0x80)]
    public void Reason_C_reserved_field_of_a_paging_entry(int level, ulong bits)
    {
        var table = bench.AttachLegacy(VtdBench.Device, 1);
        bench.Map(table, 0x1000, 0x4000_0000 | 3 | bits, level);
        bench.EnableLegacy();
        bench.AssertFault(FaultReason.PagingEntryReserved, 0x1000);
    }

    [Theory]
    [InlineData(1ul << 52 | 1ul << 63 | 0x778)]
    public void Ignored_fields_of_a_paging_entry_do_not_matter(ulong bits)
    {
        var table = bench.AttachLegacy(VtdBench.Device, 1);
        bench.Map(table, 0x1000, 0x5000 | 3 | bits);
        bench.EnableLegacy();
        Assert.Equal(0x5000ul, bench.Translate(0x1000));
    }

    [Fact]
    public void The_snoop_bit_is_reserved_only_without_snoop_control()
    {
        using var snooping = new VtdBench(new() { SnoopControl = true });
        var table = snooping.AttachLegacy(VtdBench.Device, 1);
        snooping.Map(table, 0x1000, 0x5000 | 3 | 1ul << 11);
        snooping.EnableLegacy();
        Assert.Equal(0x5000ul, snooping.Translate(0x1000));
    }

    [Theory]
    [InlineData(DmaAccess.Translation)]
    [InlineData(DmaAccess.Translated)]
    public void Reason_D_device_tlb_requests_that_the_type_blocks(DmaAccess access)
    {
        SetContext(bench.Page() | 1, 2);
        bench.AssertFault(FaultReason.TranslationTypeBlocks, 0x1000, access);
    }

    [Fact]
    public void Reason_E_output_in_the_interrupt_range()
    {
        var table = bench.AttachLegacy(VtdBench.Device, 1);
        bench.Map(table, 0x1000, 0xFEE0_0000 | 3);
        bench.EnableLegacy();
        bench.AssertFault(FaultReason.OutputInInterruptRange, 0x1000, DmaAccess.Write);
    }

    [Fact]
    public void Reason_29_reading_the_interrupt_range()
    {
        bench.AttachLegacy(VtdBench.Device, 1);
        bench.EnableLegacy();
        bench.AssertFault(FaultReason.InvalidInterruptRequest, 0xFEE0_0000);
    }

    [Fact]
    public void Reasons_30_31_and_33_of_the_root_table_address_register()
    {
        bench.SetRoot(bench.Root | 1 << 10);
        bench.Command(1u << 31);
        bench.AssertFault(FaultReason.RootAddressInvalid, 0x1000);
        bench.SetRoot(bench.Root | 2 << 10);
        bench.AssertFault(FaultReason.RootAddressInvalid, 0x1000);
        bench.SetRoot(bench.Root | 3 << 10);
        bench.AssertFault(FaultReason.RootAddressInvalid, 0x1000);
        bench.SetRoot(bench.Root);
        var record = bench.AssertFault(FaultReason.LegacyModeWithPasid, 0x1000, pasid: 0x12345, privileged: true, execute: true);
        Assert.True(record.PP && record.PRIV && record.EXE);
        Assert.Equal(0x12345u, record.PV);

        using var scalable = new VtdBench(new() { Profile = VtdProfile.Scalable });
        scalable.SetRoot(scalable.Root | 3 << 10);
        scalable.Command(1u << 31);
        scalable.AssertFault(FaultReason.DmaAborted, 0x1000);
    }

    [Fact]
    public void FPD_of_the_context_entry_suppresses_what_is_found_after_it()
    {
        bench.SetLegacy(VtdBench.Device, bench.Page() | 3, 2);
        bench.EnableLegacy();
        Assert.Null(bench.Translate(0x1000));
        Assert.Equal(0u, bench.Read32(0x34));
        bench.SetLegacy(VtdBench.Device, 2, 0);
        bench.EnableQueue();
        bench.FlushAll();
        Assert.Null(bench.Translate(0x1000));
        Assert.Equal(0u, bench.Read32(0x34));
        Assert.Equal(2ul, bench.Unit.Counters.SuppressedFaults);
        Assert.Equal(1ul, bench.Unit.Counters.Faults(VtdBench.Device, FaultReason.ContextNotPresent));
        Assert.True(bench.Unit.Explain(new(VtdBench.Device, new(0x1000), DmaAccess.Read)).IsFaultSuppressed);
    }
}
