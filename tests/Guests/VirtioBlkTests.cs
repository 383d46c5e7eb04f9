using System.Security.Cryptography;
using Vmm.Firmware.Initrd;
using Vmm.Guests.Kit;
using Vmm.Iommu;
using Vmm.Machine;
using Vmm.Platform.Block;
using Vmm.Specs.Virtio;
using Vmm.Virtio;
using Xunit;
using Xunit.Abstractions;

namespace Vmm.Guests;

/// <summary>Debian's virtio drivers on the block device.</summary>
public sealed class VirtioBlkTests(ITestOutputHelper log)
{
    internal static readonly string[] Modules = ["virtio_ring", "virtio", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci", "virtio_blk"];

    const int Size = 8 << 20;

    /// <summary>Reads the whole disk, overwrites its second half, zeroes and discards parts, reads again, and logs what the kernel said.</summary>
    const string Work = $"""
        . /{BusyboxInitrd.LoadScript}
        for i in 1 2 3 4 5 6 7 8 9; do [ -b /dev/vda ] || sleep 0.1; done
        sha256sum < /dev/vda | sed 's/^/BEFORE /'
        dd if=/dev/vda of=/dev/vda bs=1M count=4 seek=4 conv=fsync,notrunc 2>/dev/null
        dd if=/dev/zero of=/dev/vda bs=4k count=3 seek=5 oflag=direct conv=notrunc 2>/dev/null
        blkdiscard -o 65536 -l 131072 /dev/vda && echo DISCARDED
        echo 3 > /proc/sys/vm/drop_caches
        sha256sum < /dev/vda | sed 's/^/AFTER /'
        echo SIZE $(cat /sys/block/vda/size) SERIAL $(cat /sys/block/vda/serial) CACHE "$(cat /sys/block/vda/queue/write_cache)"
        echo FEATURES $(cat /sys/bus/virtio/devices/virtio0/features)
        grep virtio /proc/interrupts | sed 's/^/IRQ /'
        dmesg | grep -E 'virtio|vda|DMAR|iommu' | sed 's/^\[[^]]*\] /KERNEL /'
        """;

    public static TheoryData<string, int, bool, VirtioOptions, string> Modes => new()
    {
        { "split, no IOMMU", 1, false, new(), "quiet" },
        { "split, no event index, no indirect", 2, false, new() { EventIndex = false, Indirect = false }, "quiet" },
        { "packed, no event index, no indirect", 1, false, new() { Packed = true, EventIndex = false, Indirect = false }, "quiet" },
        { "packed, VT-d strict", 2, true, new() { Packed = true, NotificationData = true, OrderPlatform = true }, "quiet intel_iommu=on iommu.strict=1" },
        { "split, VT-d, bypassing as QEMU does", 1, true, new() { AccessPlatform = false }, "quiet intel_iommu=on" },
    };

    [SkippableTheory]
    [MemberData(nameof(Modes))]
    public void The_disk_reads_and_writes_the_same_bytes_in_every_mode(string name, int vcpus, bool vtd, VirtioOptions options, string append)
    {
        var contents = new byte[Size];
        new Random(7).NextBytes(contents);
        var disk = new MemoryBlockBackend("disk", contents);
        var kernel = Kernel.Cloud;
        using var guest = new Guest(
            kernel,
            new MachineConfig { Vcpus = vcpus, Vtd = vtd ? new() : null, Disks = [new(() => disk, Virtio: options)] },
            Guest.Script(Work), append, modules: KernelModules.Extract(kernel.Package, Modules));
        var outcome = guest.Run();
        log.WriteLine(name);
        log.WriteLine(guest.Output);
        Assert.Equal(StopCause.PowerOff, outcome.Cause);
        Assert.Contains($"BEFORE {Sum(contents)}", guest.Output);
        contents.AsSpan(0, Size / 2).CopyTo(contents.AsSpan(Size / 2));
        contents.AsSpan(20 << 10, 12 << 10).Clear();
        contents.AsSpan(64 << 10, 128 << 10).Clear();
        Assert.Contains("DISCARDED", guest.Output);
        Assert.Contains($"AFTER {Sum(contents)}", guest.Output);
        Assert.Contains($"SIZE {Size / 512} SERIAL vmm0 CACHE write back", guest.Output);
        var found = new byte[Size];
        Assert.Equal(BlockResult.Ok, disk.Read(0, found));
        Assert.True(found.AsSpan().SequenceEqual(contents));

        var device = guest.Machine.VirtioBlk[0];
        Assert.Equal(VirtioFault.None, device.Transport.Fault);
        Assert.Equal(0ul, device.Counters.Errors);
        Assert.Equal(options.Packed, HasFeature(guest.Output, VirtioFeature.RingPacked));
        Assert.Equal(options.EventIndex, HasFeature(guest.Output, VirtioFeature.RingEventIdx));
        Assert.Equal(options.Indirect, HasFeature(guest.Output, VirtioFeature.RingIndirectDesc));
        Assert.Equal(vtd && options.AccessPlatform != false, HasFeature(guest.Output, VirtioFeature.AccessPlatform));
        ref readonly var dma = ref device.Transport.Function.Dma.Counters;
        Assert.Equal(0ul, dma.Blocked);
        Assert.Equal(vtd, dma.BytesBypassed == 0);
    }

    /// <summary>The kernel shows what it negotiated as a row of digits, bit 0 first.</summary>
    static bool HasFeature(string output, ulong mask)
    {
        var at = output.IndexOf("FEATURES ", StringComparison.Ordinal) + "FEATURES ".Length;
        return output[at + System.Numerics.BitOperations.TrailingZeroCount(mask)] == '1';
    }

    static string Sum(byte[] bytes) => Convert.ToHexStringLower(SHA256.HashData(bytes));
}
