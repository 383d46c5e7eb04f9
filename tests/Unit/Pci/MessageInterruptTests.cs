using Vmm.Platform.Interrupts;
using Vmm.Platform.Memory;
using Vmm.Platform.Pci;
using Vmm.Platform.Snapshots;
using Xunit;

namespace Vmm.Unit.Pci;

public sealed class MessageInterruptTests : IDisposable
{
    const ulong Base = 0xC000_0000, Table = Base + 0x2000, Pba = Base + 0x3000;

    readonly PciTestBench bench = new();
    readonly PciFunction function;
    readonly int msi;
    readonly int msix;

    public MessageInterruptTests()
    {
        function = bench.Plug(vectors: 70);
        bench.Set(function, 0x10, Base, 4);
        bench.Set(function, 4, 6, 2);
        msi = bench.Capability(function, 0x05);
        msix = bench.Capability(function, 0x11);
    }

    public void Dispose() => bench.Dispose();

    void Program(int vector, uint data, uint control = 0)
    {
        var at = Table + (ulong)vector * 16;
        bench.Store(at, 0xFEE0_1000, 4);
        bench.Store(at + 4, 0, 4);
        bench.Store(at + 8, data, 4);
        bench.Store(at + 12, control, 4);
    }

    void Enable(uint control = 0x8000) => bench.Set(function, msix + 2, control, 2);

    [Fact]
    public void The_capability_describes_table_and_pending_bits()
    {
        Assert.Equal(69ul, bench.Get(function, msix + 2, 2));
        Assert.Equal(0x2000ul, bench.Get(function, msix + 4, 4));
        Assert.Equal(0x3000ul, bench.Get(function, msix + 8, 4));
        bench.Set(function, msix + 2, 0xFFFF, 2);
        Assert.Equal(0xC045ul, bench.Get(function, msix + 2, 2));
    }

    [Fact]
    public void Vectors_are_masked_after_reset_and_sent_once_programmed()
    {
        Assert.Equal(1ul, bench.Load(Table + 12, 4));
        Program(2, 0x31);
        Assert.False(function.Raise(2));
        Enable();
        Assert.True(function.Raise(2));
        Assert.Equal([new MsiMessage(0xFEE0_1000, 0x31)], bench.Sink.Messages);
    }

    [Fact]
    public void A_masked_vector_becomes_pending_and_goes_out_once_on_unmask()
    {
        Program(65, 0x41, control: 1);
        Enable();
        function.Raise(65);
        function.Raise(65);
        Assert.Empty(bench.Sink.Messages);
        Assert.Equal(2ul, bench.Load(Pba + 8, 8));
        Assert.Equal(0ul, bench.Load(Pba, 8));
        bench.Store(Table + 65 * 16 + 12, 0, 4);
        Assert.Single(bench.Sink.Messages);
        Assert.Equal(0ul, bench.Load(Pba + 8, 8));
    }

    [Fact]
    public void The_function_mask_holds_all_vectors_back()
    {
        Program(0, 0x40);
        Program(1, 0x41);
        Program(2, 0x42, control: 1);
        Enable(0xC000);
        function.Raise(0);
        function.Raise(1);
        function.Raise(2);
        Assert.Equal(7ul, bench.Load(Pba, 1));
        Enable();
        Assert.Equal([0x40u, 0x41u], bench.Sink.Messages.Select(static m => m.Data));
        Assert.Equal(4ul, bench.Load(Pba, 1));
    }

    [Fact]
    public void Pending_bits_are_read_only_and_can_be_taken_back_by_the_device()
    {
        Program(0, 0x40, control: 1);
        Enable();
        function.Raise(0);
        bench.Store(Pba, 0, 8);
        Assert.Equal(1ul, bench.Load(Pba, 8));
        function.Msix!.ClearPending(0);
        Assert.Equal(0ul, bench.Load(Pba, 8));
    }

    [Theory]
    [InlineData(-1)]
    [InlineData(70)]
    [InlineData(int.MaxValue)]
    public void A_vector_beyond_the_table_is_not_sent(int vector)
    {
        Enable();
        Assert.False(function.Raise(vector));
    }

    [Fact]
    public void Accesses_that_leave_table_or_pending_bits_answer_ones()
    {
        Assert.Equal(0xFFFF_FFFFul, bench.Load(Table + 70 * 16 - 2, 4));
        Assert.Equal(0xFFFF_FFFFul, bench.Load(Pba + 14, 4));
        bench.Store(Table + 70 * 16 - 2, 0, 4);
        Assert.Empty(bench.Device.Writes);
        bench.Store(Table + 70 * 16, 1, 4);
        Assert.Single(bench.Device.Writes);
    }

    [Fact]
    public void An_entry_that_points_at_ram_writes_ram()
    {
        Program(0, 0xABCD);
        bench.Store(Table, 0x5001, 4);
        Enable();
        function.Raise(0);
        Assert.True(bench.Memory.TryRead(new Gpa(0x5000), out uint word));
        Assert.Equal(0xABCDu, word);
    }

    [Fact]
    public void Without_bus_mastering_no_message_leaves()
    {
        Program(0, 0x40);
        Enable();
        bench.Set(function, 4, 2, 2);
        function.Raise(0);
        Assert.Empty(bench.Sink.Messages);
    }

    [Fact]
    public void Pending_vectors_survive_a_snapshot()
    {
        Program(3, 0x43, control: 1);
        Enable();
        function.Raise(3);
        var writer = new SnapshotWriter();
        function.Save(writer);
        function.Reset();
        function.Load(new SnapshotReader("x", 1, writer.Written.ToArray()));
        bench.Store(Table + 3 * 16 + 12, 0, 4);
        Assert.Equal(0x43u, Assert.Single(bench.Sink.Messages).Data);
    }

    [Fact]
    public void Msi_sends_as_many_messages_as_were_granted()
    {
        bench.Set(function, msi + 4, 0xFEE0_2000, 4);
        bench.Set(function, msi + 0xC, 0x67, 2);
        bench.Set(function, msi + 2, 0x0001, 2);
        Assert.Equal(0x0185ul, bench.Get(function, msi + 2, 2));
        function.Raise(3);
        bench.Set(function, msi + 2, 0x0021, 2);
        function.Raise(2);
        bench.Set(function, msi + 2, 0x0071, 2);
        function.Raise(2);
        Assert.Equal([0x67u, 0x66u, 0x66u], bench.Sink.Messages.Select(static m => m.Data));
        Assert.All(bench.Sink.Messages, static m => Assert.Equal(0xFEE0_2000ul, m.Address));
    }

    [Fact]
    public void A_masked_msi_vector_goes_out_on_unmask()
    {
        bench.Set(function, msi + 4, 0xFEE0_2000, 4);
        bench.Set(function, msi + 0xC, 0x60, 2);
        bench.Set(function, msi + 0x10, 0xFFFF_FFFF, 4);
        Assert.Equal(0xFul, bench.Get(function, msi + 0x10, 4));
        bench.Set(function, msi + 2, 0x0021, 2);
        function.Raise(1);
        Assert.Empty(bench.Sink.Messages);
        Assert.Equal(2ul, bench.Get(function, msi + 0x14, 4));
        bench.Set(function, msi + 0x10, 0, 4);
        Assert.Equal(0x61u, Assert.Single(bench.Sink.Messages).Data);
        Assert.Equal(0ul, bench.Get(function, msi + 0x14, 4));
    }

    [Fact]
    public void A_capability_after_an_unmaskable_msi_is_its_own()
    {
        var other = bench.Bare(10, "other");
        other.AddMemoryBar(0, 0x4000);
        other.AddMsi(1, maskable: false);
        var at = other.AddCapability(0x09, 8);
        other.Config.Define(new("VENDOR", at + 4, 4, Write: 0xFF));
        bench.Host.Add(other);
        bench.Set(other, at + 4, 1, 4);
        Assert.Equal([at + 4], bench.Device.ConfigWrites);
    }
}
