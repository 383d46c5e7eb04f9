using Vmm.Iommu;
using Vmm.Platform.Dma;
using Vmm.Specs.VtD;
using Xunit;

namespace Vmm.Unit.Iommu;

public sealed class FaultRecordingTests : IDisposable
{
    const uint PFO = 1, PPF = 2;

    readonly VtdBench bench;

    public FaultRecordingTests() => bench = Build(4, true);

    public void Dispose() => bench.Dispose();

    static VtdBench Build(int records, bool compression)
    {
        var bench = new VtdBench(new() { FaultRecords = records, FaultCompression = compression });
        bench.EnableLegacy();
        bench.Write32(0x3C, 0x4031);
        bench.Write32(0x40, 0xFEE0_1000);
        bench.Write32(0x38, 0);
        return bench;
    }

    static Bdf Device(int number) => new(0, number, 0);

    void Fault(int number, ulong address = 0x1000) => Assert.Null(bench.Translate(address, DmaAccess.Write, Device(number)));

    FaultRecord Record(int index) => new(bench.Read64(0x228 + 16 * (ulong)index), bench.Read64(0x220 + 16 * (ulong)index));

    void Clear(int index) => bench.Write32(0x22C + 16 * (ulong)index, 1u << 31);

    [Fact]
    public void A_record_has_the_bytes_of_the_specification()
    {
        Assert.Null(bench.Translate(0xABCD_E123, DmaAccess.Read, new(0, 3, 1)));
        Assert.Equal(0xABCD_E000ul, bench.Read64(0x220));
        Assert.Equal(0xC000_0001_0000_0019ul, bench.Read64(0x228));
        Assert.Null(bench.Translate(0x5000, DmaAccess.Write, new(2, 0, 0)));
        Assert.Equal(0x8000_0001_0000_0200ul, bench.Read64(0x238));
        Assert.Null(bench.Translate(0x5000, DmaAccess.Atomic, new(2, 1, 0)));
        Assert.Equal(0xC000_0001_1000_0208ul, bench.Read64(0x248));
        Assert.Null(bench.Translate(0x5000, DmaAccess.Translated | DmaAccess.Write, new(2, 2, 0)));
        Assert.Equal(0xA000_0001_0000_0210ul, bench.Read64(0x258));
    }

    [Fact]
    public void The_first_fault_sets_PPF_FRI_and_the_event_and_later_ones_only_fill_registers()
    {
        Fault(1);
        Fault(2);
        Assert.Equal(PPF, bench.Read32(0x34));
        Assert.Equal(new(0xFEE0_1000, 0x4031), Assert.Single(bench.Sink.Messages));
        Assert.Equal(Device(2).Value, Record(1).SID);
        Clear(0);
        Assert.Equal(PPF, bench.Read32(0x34));
        Clear(1);
        Assert.Equal(0u, bench.Read32(0x34));
        Fault(3);
        Assert.Equal(PPF | 2 << 8, bench.Read32(0x34));
        Assert.Equal(2, bench.Sink.Messages.Count);
    }

    [Fact]
    public void Registers_are_used_in_a_ring_and_a_full_ring_overflows()
    {
        for (var i = 1; i <= 4; i++)
        {
            Fault(i);
        }

        Assert.Equal(PPF, bench.Read32(0x34));
        Fault(5);
        Assert.Equal(PPF | PFO, bench.Read32(0x34));
        Clear(0);
        Fault(6);
        Assert.Equal(PPF | PFO, bench.Read32(0x34));
        Assert.False(Record(0).F);
        bench.Write32(0x34, PFO);
        Fault(7);
        Assert.Equal(Device(7).Value, Record(0).SID);
        Assert.Equal(2ul, bench.Unit.Counters.OverflowedFaults);
        Assert.Equal(5ul, bench.Unit.Counters.RecordedFaults);
        Assert.Single(bench.Sink.Messages);
    }

    [Fact]
    public void Faults_of_a_source_with_a_pending_record_are_compressed()
    {
        Fault(1);
        Fault(2);
        Fault(1, 0x2000);
        Assert.Equal(1ul, bench.Unit.Counters.CompressedFaults);
        Assert.False(Record(2).F);
        Clear(0);
        Fault(1, 0x3000);
        Assert.Equal(0x3000ul, Record(2).Page);
    }

    [Fact]
    public void Without_compression_every_fault_is_recorded()
    {
        using var plain = Build(4, false);
        for (ulong i = 0; i < 5; i++)
        {
            plain.Translate(i << 12);
        }

        Assert.Equal(4ul, plain.Unit.Counters.RecordedFaults);
        Assert.Equal(PPF | PFO, plain.Read32(0x34));
    }

    [Fact]
    public void One_register_overflows_at_the_second_source()
    {
        using var single = Build(1, true);
        single.Translate(0x1000, device: Device(1));
        single.Translate(0x1000, device: Device(2));
        Assert.Equal(PPF | PFO, single.Read32(0x34));
        Assert.Equal(0ul, single.Read64(0x230));
    }

    [Fact]
    public void The_most_registers_fit_the_window()
    {
        using var many = Build(128, false);
        Assert.Equal(127ul, many.Read64(0x08) >> 40 & 0xFF);
        for (ulong i = 0; i < 129; i++)
        {
            many.Translate(i << 12);
        }

        Assert.Equal(127ul << 12, many.Read64(0x220 + 127 * 16));
        Assert.Equal(PPF | PFO, many.Read32(0x34));
    }

    [Fact]
    public void A_masked_event_is_held_and_sent_on_unmasking()
    {
        bench.Write32(0x38, 1u << 31);
        Fault(1);
        Assert.Equal(0xC000_0000u, bench.Read32(0x38));
        Assert.Empty(bench.Sink.Messages);
        bench.Write32(0x38, 0);
        Assert.Single(bench.Sink.Messages);
        Assert.Equal(0u, bench.Read32(0x38));
    }

    [Fact]
    public void A_held_event_is_dropped_when_everything_is_serviced()
    {
        bench.Write32(0x38, 1u << 31);
        Fault(1);
        bench.Write32(0x34, PPF);
        Assert.Equal(0xC000_0000u, bench.Read32(0x38));
        Clear(0);
        Assert.Equal(0x8000_0000u, bench.Read32(0x38));
        bench.Write32(0x38, 0);
        Assert.Empty(bench.Sink.Messages);
    }

    [Fact]
    public void The_pending_bit_cannot_be_written()
    {
        bench.Write32(0x38, 0x4000_0000);
        Assert.Equal(0u, bench.Read32(0x38));
        Assert.Empty(bench.Sink.Messages);
    }

    [Fact]
    public void The_upper_message_address_exists_with_extended_interrupt_mode()
    {
        bench.Write32(0x44, 0x1234_5600);
        Assert.Equal(0u, bench.Read32(0x44));
        using var extended = new VtdBench(new() { ExtendedInterruptMode = true });
        extended.Write32(0x44, 0x1234_5600);
        extended.Write32(0x40, 0xFEE7_8000);
        extended.Write32(0x38, 0);
        extended.EnableLegacy();
        extended.Translate(0x1000);
        Assert.Equal(0x1234_5600_FEE7_8000ul, Assert.Single(extended.Sink.Messages).Address);
    }

    [Fact]
    public void The_event_goes_around_interrupt_remapping()
    {
        bench.Write64(0xB8, bench.Page());
        bench.Command(1u << 24);
        bench.Command(1u << 25);
        Fault(1);
        Assert.Equal(new(0xFEE0_1000, 0x4031), Assert.Single(bench.Sink.Messages));
    }

    [Fact]
    public void F_is_cleared_by_any_write_that_covers_its_byte()
    {
        Fault(1);
        bench.Unit.Write(0x22E, [0xFF]);
        Assert.True(Record(0).F);
        bench.Unit.Write(0x22F, [0x80]);
        Assert.False(Record(0).F);
        Fault(1);
        bench.Write64(0x238, 1ul << 63);
        Assert.Equal(0u, bench.Read32(0x34) & PPF);
    }
}
