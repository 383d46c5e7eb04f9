using Vmm.Platform.Dma;
using Vmm.Platform.Memory;
using Xunit;

namespace Vmm.Unit.Dma;

/// <summary>Devices and poisoned pages: a read ends in a poisoned completion, a write goes through, both are seen.</summary>
public sealed class PoisonTests
{
    sealed class Listener : IPoisonObserver
    {
        public List<(PoisonAccess, int, ulong)> Seen { get; } = [];

        public void Touched(PoisonAccess access, int source, Gpa address) => Seen.Add((access, source, address.Value));
    }

    [Fact]
    public void A_device_cannot_read_poison_and_can_write_to_it()
    {
        using var memory = new GuestMemory(1 << 20);
        var listener = new Listener();
        memory.PoisonObserver = listener;
        var fabric = new DmaFabric(memory, new("mmio", 1ul << 40), new RecordingSink());
        var port = new DmaPort(fabric, new Bdf(0, 3, 0));
        memory.Poison(new Gpa(0x4000), true);
        Assert.False(port.TryRead(new Iova(0x4008), out ulong _));
        Assert.True(port.TryWrite(new Iova(0x4010), 5ul));
        var cursor = default(DmaCursor);
        Assert.False(port.TryGetWindow(ref cursor, new Iova(0x4000), 64, DmaAccess.Read, out _, out var blocked));
        Assert.True(blocked);
        Assert.True(port.TryRead(new Iova(0x5000), out ulong _));
        Assert.Equal(2ul, port.Counters.BlockedByPoison);
        Assert.Equal(
            [(PoisonAccess.DmaRead, 0x18, 0x4008ul), (PoisonAccess.DmaWrite, 0x18, 0x4010), (PoisonAccess.DmaRead, 0x18, 0x4000)],
            listener.Seen);
        memory.Poison(new Gpa(0x4000), false);
        Assert.True(port.TryRead(new Iova(0x4010), out ulong value));
        Assert.Equal(5ul, value);
    }

    [Fact]
    public void A_transfer_stops_at_the_poisoned_page()
    {
        using var memory = new GuestMemory(1 << 20);
        var port = new DmaPort(new DmaFabric(memory, new("mmio", 1ul << 40), new RecordingSink()), new Bdf(0, 3, 0));
        memory.Poison(new Gpa(0x4000), true);
        Assert.False(port.TryRead(new Iova(0x3F00), new byte[0x200]));
        Assert.Equal(0x100ul, port.Counters.BytesRead);
    }
}
