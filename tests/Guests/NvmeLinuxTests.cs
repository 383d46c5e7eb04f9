using System.Security.Cryptography;
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
    static readonly string[] Modules =
        ["crct10dif_common", "crct10dif_generic", "crc-t10dif", "crc64", "crc64_rocksoft_generic", "crc64-rocksoft", "t10-pi", "nvme-core", "nvme"];

    static Guest Boot(string body, IBlockBackend disk, int vcpus, VtdOptions? vtd, int blockSize, string append) => new(
        Kernel.Generic,
        Guest.Script($"sh /{BusyboxInitrd.LoadScript}\nfor i in 1 2 3 4 5 6 7 8 9; do [ -b /dev/nvme0n1 ] || sleep 0.1; done\n{body}"),
        vcpus, append: append, modules: KernelModules.Extract(Kernel.Generic.Package, Modules),
        configure: c => c with { Vtd = vtd, Disks = [new(() => disk, blockSize)] });

    [SkippableTheory]
    [InlineData(1, false, 512)]
    [InlineData(2, true, 512)]
    [InlineData(1, true, 4096)]
    public void Linux_reads_and_writes_what_is_on_the_disk(int vcpus, bool iommu, int blockSize)
    {
        var contents = new byte[16 << 20];
        new Random(1).NextBytes(contents);
        var disk = new MemoryBlockBackend("disk", contents);
        using var guest = Boot(
            """
            cat /sys/block/nvme0n1/size /sys/block/nvme0n1/queue/logical_block_size
            md5sum /dev/nvme0n1
            dd if=/dev/nvme0n1 of=/dev/nvme0n1 bs=128k count=32 seek=64 conv=fsync,notrunc 2>&1
            dd if=/dev/zero of=/dev/nvme0n1 bs=4k count=3 seek=5 oflag=direct conv=notrunc 2>&1
            md5sum /dev/nvme0n1
            grep nvme /proc/interrupts
            dmesg | grep -i -E 'nvme|dmar'
            """,
            disk, vcpus, iommu ? new VtdOptions() : null, blockSize, iommu ? "quiet intel_iommu=on" : "quiet");
        var outcome = guest.Run();
        log.WriteLine(guest.Output);
        Assert.Equal(StopCause.PowerOff, outcome.Cause);
        Assert.Contains("32768\n" + blockSize, guest.Output);
        Assert.Contains(Sum(contents), guest.Output);
        contents.AsSpan(0, 4 << 20).CopyTo(contents.AsSpan(8 << 20));
        contents.AsSpan(20 << 10, 12 << 10).Clear();
        Assert.Contains(Sum(contents), guest.Output);
        var found = new byte[contents.Length];
        disk.Read(0, found);
        Assert.True(found.AsSpan().SequenceEqual(contents));
        var counters = guest.Machine.Nvme[0].Function.Dma.Counters;
        Assert.Equal(0ul, counters.Blocked);
        Assert.Equal(iommu ? 0ul : counters.BytesRead + counters.BytesWritten, counters.BytesBypassed);
    }

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

#pragma warning disable CA5351 // The guest's busybox offers it; nothing secret depends on it.
    static string Sum(byte[] bytes) => Convert.ToHexStringLower(MD5.HashData(bytes));
#pragma warning restore CA5351
}
