using Vmm.Firmware.Initrd;
using Vmm.Guests.Kit;
using Vmm.Iommu;
using Vmm.Machine;
using Vmm.Platform.Block;
using Xunit;
using Xunit.Abstractions;

namespace Vmm.Guests;

/// <summary>Debian's NVMe driver on the controller.</summary>
public sealed class NvmeLinuxTests(ITestOutputHelper log)
{
    static Guest Boot(string body, IBlockBackend disk, int vcpus, VtdOptions? vtd, int blockSize, string append) => new(
        Kernel.Generic,
        Guest.Script($"sh /{BusyboxInitrd.LoadScript}\nfor i in 1 2 3 4 5 6 7 8 9; do [ -b /dev/nvme0n1 ] || sleep 0.1; done\n{body}"),
        vcpus, append: append, modules: Kernel.Generic.NvmeModules,
        configure: c => c with { Vtd = vtd, Disks = [new(() => disk, blockSize)] });

    [SkippableFact]
    public void Linux_survives_a_reset_a_discard_and_bad_media()
    {
        var disk = new MemoryBlockBackend("disk", 16 << 20);
        disk.Write(0, Enumerable.Repeat((byte)0x55, 16 << 20).ToArray());
        using var guest = Boot(
            """
            (dd if=/dev/nvme0n1 of=/dev/null bs=4k count=2000 iflag=direct 2>&1 | sed 's/^/LOAD /') &
            for i in 1 2 3; do sleep 0.01; echo 1 > /sys/class/nvme/nvme0/reset_controller; done
            wait
            dd if=/dev/nvme0n1 of=/dev/null bs=512 skip=30000 count=1 iflag=direct 2>&1 | sed 's/^/BAD /'
            dd if=/dev/zero of=/dev/nvme0n1 bs=512 seek=30000 count=1 oflag=direct conv=notrunc 2>&1
            dd if=/dev/nvme0n1 of=/dev/null bs=512 skip=30000 count=1 iflag=direct 2>&1 | sed 's/^/GOOD /'
            blkdiscard -o 8388608 -l 4194304 /dev/nvme0n1 && echo discarded
            dmesg | grep -i -E 'nvme'
            """,
            disk, 2, new VtdOptions(), 512, "quiet intel_iommu=on");
        Assert.True(guest.Machine.Nvme[0].Spoil(1, 30000, 1));
        var outcome = guest.Run();
        log.WriteLine(guest.Output);
        Assert.Equal(StopCause.PowerOff, outcome.Cause);
        Assert.Contains("LOAD 2000+0 records in", guest.Output);
        Assert.Contains("BAD dd: /dev/nvme0n1: No data available", guest.Output);
        Assert.Contains("critical medium error, dev nvme0n1, sector 30000", guest.Output);
        Assert.Contains("GOOD 1+0 records in", guest.Output);
        Assert.Contains("discarded", guest.Output);
        var found = new byte[4 << 20];
        disk.Read(8 << 20, found);
        Assert.True(found.All(static b => b == 0));
        Assert.Equal(0ul, guest.Machine.Nvme[0].Function.Dma.Counters.Blocked);
    }
}
