using Vmm.Iommu;
using Vmm.Platform.Dma;
using Vmm.Specs.VtD;
using Xunit;

namespace Vmm.Unit.Iommu;

/// <summary>Places where QEMU's model departs from the specification, one test each for the right behaviour.</summary>
public sealed class QemuDeviationTests : IDisposable
{
    readonly VtdBench bench = new();

    public void Dispose() => bench.Dispose();

    VtdBench Scalable() => new(new() { Profile = VtdProfile.Scalable, FaultCompression = false });

    [Fact]
    public void An_IOTLB_hit_without_permission_records_its_fault()
    {
        var table = bench.AttachLegacy(VtdBench.Device, 7);
        bench.Map(table, 0x1000, 0x5000 | 1);
        bench.EnableLegacy();
        Assert.NotNull(bench.Translate(0x1000));
        bench.AssertFault(FaultReason.NoWritePermission, 0x1000, DmaAccess.Write);
        Assert.Equal(1ul, bench.Unit.Counters.Domain(7).Hits);
    }

    [Theory]
    [InlineData(0x18)]
    [InlineData(0x1C)]
    [InlineData(0x34)]
    [InlineData(0x38)]
    [InlineData(0x3C)]
    [InlineData(0x9C)]
    [InlineData(0xA0)]
    [InlineData(0xDC)]
    [InlineData(0xE0)]
    public void A_quadword_write_to_a_doubleword_register_is_just_two_doublewords(ulong offset)
    {
        using var other = new VtdBench();
        bench.Write64(offset, 0x8000_0000_FFFF_FFFF);
        other.Write32(offset, 0xFFFF_FFFF);
        other.Write32(offset + 4, 0x8000_0000);
        Assert.Equal(other.Snapshot(), bench.Snapshot());
    }

    [Fact]
    public void Clearing_IQE_resumes_the_queue()
    {
        bench.EnableQueue();
        var status = bench.Page();
        bench.Place(0xF);
        bench.Submit(0x25 | 7ul << 32, status);
        bench.Poke(bench.Queue, 0x45);
        bench.Write32(0x34, 0x10);
        Assert.Equal(7ul, bench.Peek(status));
    }

    [Fact]
    public void IECTL_pending_is_sent_on_unmasking_and_IM_alone_sends_nothing()
    {
        bench.Write32(0xA8, 0xFEE0_0000);
        bench.Write32(0xA0, 0);
        Assert.Empty(bench.Sink.Messages);
        bench.Write32(0xA0, 1u << 31);
        bench.EnableQueue();
        bench.Submit(0x15);
        Assert.Equal(0xC000_0000u, bench.Read32(0xA0));
        bench.Write32(0xA0, 0);
        Assert.Single(bench.Sink.Messages);
        Assert.Equal(0u, bench.Read32(0xA0));
    }

    [Fact]
    public void A_status_address_beyond_the_host_width_writes_nowhere()
    {
        bench.EnableQueue();
        var status = bench.Page();
        bench.Submit(0x25 | 7ul << 32, status | 1ul << 48);
        Assert.Equal(0ul, bench.Peek(status));
        Assert.Equal(16ul, bench.Read64(0x80));
    }

    [Fact]
    public void The_head_moves_past_a_descriptor_only_when_it_was_carried_out()
    {
        bench.EnableQueue();
        bench.Place(0x12);
        bench.Submit(0x02);
        Assert.Equal(16ul, bench.Read64(0x80));
    }

    [Fact]
    public void Atomics_are_recorded_as_atomics()
    {
        bench.AttachLegacy(VtdBench.Device, 7);
        bench.EnableLegacy();
        Assert.Equal(FaultedRequest.Atomic, bench.AssertFault(FaultReason.NoWritePermission, 0x1000, DmaAccess.Atomic).Type);
    }

    [Fact]
    public void A_device_TLB_that_does_not_answer_is_reported_to_the_guest()
    {
        using var unit = Scalable();
        unit.EnableQueue(true);
        unit.Submit(0x03 | (ulong)VtdBench.Device.Value << 32);
        Assert.Equal(1u << 6, unit.Read32(0x34));
    }

    [Fact]
    public void Device_TLBs_page_requests_and_PASIDs_go_together()
    {
        using var unit = Scalable();
        var ecap = unit.Unit.Capabilities.Ecap;
        Assert.True(ecap.DT && ecap.PRS && ecap.PASID && ecap.PDS);
        var directory = unit.AttachScalable(VtdBench.Device);
        unit.SetPasid(directory, 5, 1 | 1 << 6, 1 << 23, unit.Page());
        unit.EnableScalable();
        Assert.True(unit.Dma(0x1000, DmaAccess.Translation | DmaAccess.Read, out var window, pasid: 5));
        Assert.False(window.Readable);
        unit.Write64(0xD0, unit.Page());
        Assert.True(unit.Unit.RequestPage(new(VtdBench.Device, new(0x1000), true, false, true, 3, 5, true)));
        Assert.True(unit.Unit.RequestPage(new(VtdBench.Device, new(0x1000), true, false, true, 3)));
        Assert.Equal(64ul, unit.Read64(0xC8));
    }

    [Fact]
    public void Records_have_all_20_bits_of_the_PASID_and_none_without_PASID()
    {
        using var unit = Scalable();
        unit.AttachScalable(VtdBench.Device, 0xE09);
        unit.EnableScalable();
        var record = unit.AssertFault(FaultReason.PasidDirectoryNotPresent, 0x1000, DmaAccess.Write, pasid: 0x1_BCDE, execute: true);
        Assert.Equal((true, 0x1_BCDEu, true, false), (record.PP, record.PV, record.EXE, record.PRIV));
        record = unit.AssertFault(FaultReason.PasidDirectoryNotPresent, 0x1000);
        Assert.Equal((false, 0u), (record.PP, record.PV));
    }

    [Fact]
    public void Scalable_mode_uses_its_own_reasons()
    {
        using var unit = Scalable();
        unit.EnableScalable();
        unit.AssertFault(FaultReason.SmRootNotPresent, 0x1000);
        unit.ScalableContextAddress(VtdBench.Device);
        unit.AssertFault(FaultReason.SmContextNotPresent, 0x1000);
        var directory = unit.AttachScalable(VtdBench.Device);
        unit.SetPasid(directory, 0, unit.Page() | 1 | 2 << 2 | 2 << 6);
        unit.AssertFault(FaultReason.SsNotPresent, 0x1000);
    }

    [Fact]
    public void Upper_message_addresses_are_writable_with_extended_interrupt_mode()
    {
        using var unit = Scalable();
        foreach (var offset in new ulong[] { 0x44, 0xAC, 0xEC })
        {
            unit.Write32(offset, 0x0001_0000);
            Assert.Equal(0x0001_0000u, unit.Read32(offset));
        }
    }

    [Fact]
    public void A_domain_selective_context_invalidation_keeps_other_domains()
    {
        var other = new Bdf(0, 4, 0);
        bench.AttachLegacy(VtdBench.Device, 7);
        bench.AttachLegacy(other, 8);
        bench.EnableLegacy();
        bench.EnableQueue();
        bench.Translate(0);
        bench.Translate(0, device: other);
        bench.Submit(0x21 | 7 << 16);
        Assert.Equal(1, bench.Unit.Occupancy.Contexts);
    }

    [Fact]
    public void A_tail_left_over_when_the_queue_is_enabled_is_work_to_do()
    {
        var status = bench.Page();
        bench.Poke(bench.Queue, 0x25 | 7ul << 32, status);
        bench.Write64(0x90, bench.Queue);
        bench.Write64(0x88, 16);
        bench.Command(1u << 26);
        Assert.Equal(7ul, bench.Peek(status));
    }

    [Fact]
    public void Second_stage_dirty_tracking_works_for_emulated_devices()
    {
        using var unit = Scalable();
        var directory = unit.AttachScalable(VtdBench.Device);
        var table = unit.Page();
        unit.SetPasid(directory, 0, table | 1 | 2 << 2 | 2 << 6 | 1 << 9, 1 << 23);
        unit.Map(table, 0x1000, 0x5000 | 3);
        unit.EnableScalable();
        unit.Translate(0x1000, DmaAccess.Write);
        Assert.Equal(0x5303ul, unit.Peek(unit.EntryAddress(table, 4, 0x1000)));
    }

    [Fact]
    public void Clearing_faults_of_every_kind_lets_the_next_event_through()
    {
        bench.EnableLegacy();
        bench.EnableQueue();
        bench.Write32(0x38, 0);
        bench.Translate(0x1000);
        bench.Submit(0xF);
        Assert.Single(bench.Sink.Messages);
        bench.TakeFault();
        bench.Poke(bench.Queue, 0x45);
        bench.Write32(0x34, 0x10);
        bench.Translate(0x1000);
        Assert.Equal(2, bench.Sink.Messages.Count);
    }
}
