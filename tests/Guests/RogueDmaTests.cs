using Vmm.Guests.Kit;
using Vmm.Machine;
using Vmm.Platform.Memory;
using Xunit;

namespace Vmm.Guests;

/// <summary>
/// A device that DMAs where it must not, told so by a program in the guest: memory stays as it is and the kernel names
/// the device, the address and the reason.
/// </summary>
public sealed class RogueDmaTests
{
    /// <summary>Bus master and memory decoding on; then registers of the edu device through /dev/mem.</summary>
    const string Prologue = """
        D=/sys/bus/pci/devices/0000:00:02.0
        echo 1 > $D/enable
        printf '\006' | dd of=$D/config bs=1 seek=4 conv=notrunc 2>/dev/null
        BAR=$(head -1 $D/resource | cut -d' ' -f1)
        w() { devmem $(printf '0x%x' $((BAR + $1))) 64 $2; }
        dma_write() { w 0x80 0x40000; w 0x88 $1; w 0x90 64; w 0x98 3; sleep 0.1; }
        dma_read() { w 0x80 $1; w 0x88 0x40000; w 0x90 64; w 0x98 1; sleep 0.1; }
        """;

    [SkippableTheory]
    [InlineData("dma_write 0x1000000", "DMAR: [DMA Write NO_PASID] Request device [00:02.0] fault addr 0x1000000 [fault reason 0x05] PTE Write access is not set")]
    [InlineData("dma_read 0x1000000", "DMAR: [DMA Read NO_PASID] Request device [00:02.0] fault addr 0x1000000 [fault reason 0x06] PTE Read access is not set")]
    [InlineData("dma_write 0x1000001000000", "DMAR: [DMA Write NO_PASID] Request device [00:02.0] fault addr 0x1000001000000 [fault reason 0x04] Access beyond MGAW")]
    public void The_kernel_reports_it_and_memory_is_unchanged(string access, string message)
    {
        using var guest = new Guest(
            Kernel.Cloud, new MachineConfig { Vtd = new(), Edu = new() { Rogue = true } },
            Guest.Script($"{Prologue}\necho READY\n{access}\ndmesg | grep -A1 'DRHD: handling fault' | sed 's/^\\[[^]]*\\] //'"),
            "quiet");
        byte[]? before = null;
        // The kernel's text starts there; it is patched no more once user space runs.
        guest.Port.Watch(line => before ??= line.Contains("READY", StringComparison.Ordinal) ? Text(guest.Machine) : null);
        Assert.Equal(StopCause.PowerOff, guest.Run().Cause);
        Assert.Contains("DMAR: DRHD: handling fault status reg 2", guest.Output);
        Assert.Contains(message, guest.Output);
        Assert.NotNull(before);
        Assert.Equal(before, Text(guest.Machine));
        ref readonly var dma = ref guest.Machine.Edu!.Function.Dma.Counters;
        Assert.Equal(0ul, dma.BytesRead + dma.BytesWritten);
        Assert.Equal(1ul, dma.BlockedByTranslator);
    }

    [SkippableFact]
    public void Without_an_iommu_the_same_write_lands()
    {
        using var guest = new Guest(
            Kernel.Cloud, new MachineConfig { Edu = new() { Rogue = true } },
            Guest.Script($"{Prologue}\ndma_write 0xf000000\n"), "quiet memmap=1M$0xf000000");
        guest.Machine.Memory.TryWrite(new Gpa(0xF000000), 0x1122334455667788ul);
        Assert.Equal(StopCause.PowerOff, guest.Run().Cause);
        guest.Machine.Memory.TryRead(new Gpa(0xF000000), out ulong after);
        Assert.Equal(0ul, after);
    }

    static byte[] Text(VirtualMachine machine)
    {
        var bytes = new byte[64];
        Assert.True(machine.Memory.TryRead(new Gpa(0x1000000), bytes));
        return bytes;
    }
}
