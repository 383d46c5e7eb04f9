using System.Security.Cryptography;
using Vmm.Firmware.Initrd;
using Vmm.Guests.Kit;
using Vmm.Iommu;
using Vmm.Machine;
using Vmm.Platform.Block;
using Xunit;
using Xunit.Abstractions;

namespace Vmm.Guests;

/// <summary>Debian's kernels drive VT-d and NVMe with their own drivers.</summary>
public sealed class IommuTests(ITestOutputHelper log)
{
    static byte[] Pattern(int length)
    {
        var bytes = new byte[length];
        new Random(42).NextBytes(bytes);
        return bytes;
    }

    /// <summary>Reads the whole disk, overwrites its second half, reads again, and logs what the kernel said.</summary>
    const string Work = """
        sha256sum < /dev/nvme0n1 | sed 's/^/BEFORE /'
        size=$(cat /sys/block/nvme0n1/size)
        half=$((size / 2048 / 2))
        dd if=/dev/nvme0n1 of=/dev/nvme0n1 bs=1M count=$half seek=$half conv=fsync,notrunc 2>/dev/null
        echo 3 > /proc/sys/vm/drop_caches
        sha256sum < /dev/nvme0n1 | sed 's/^/AFTER /'
        echo BLOCK $(cat /sys/block/nvme0n1/queue/logical_block_size)
        grep nvme /proc/interrupts | sed 's/^/IRQ /'
        echo GROUPS $(ls /sys/kernel/iommu_groups | wc -l)
        dmesg | grep -E 'DMAR|iommu|x2apic' | sed 's/^\[[^]]*\] /KERNEL /'
        """;

    /// <summary>Kernel and mode, processors, block size, what is appended, what the remapping unit is, what the DMA meets, what is logged.</summary>
    public static TheoryData<string, int, int, string, VtdProfile?, string, string[]> Modes => new()
    {
        { "cloud, lazy", 1, 512, "quiet", VtdProfile.Legacy, "translated", ["DMAR: dmar0: Using Queued invalidation", "DMAR-IR: Enabled IRQ remapping in xapic mode", "TLB invalidation policy: lazy"] },
        { "cloud, strict", 1, 512, "quiet iommu.strict=1", VtdProfile.Legacy, "translated", ["TLB invalidation policy: strict"] },
        { "cloud, passthrough", 1, 512, "quiet iommu=pt", VtdProfile.Legacy, "passthrough", ["Default domain type: Passthrough"] },
        { "cloud, scalable", 1, 512, "quiet intel_iommu=on,sm_on", VtdProfile.Scalable, "translated", ["DMAR-IR: Enabled IRQ remapping in x2apic mode", "DMAR: Intel(R) Virtualization Technology for Directed I/O"] },
        { "cloud, off", 1, 512, "quiet", null, "none", [] },
        { "generic, strict", 2, 512, "quiet intel_iommu=on iommu.strict=1", VtdProfile.Legacy, "translated", ["DMAR: dmar0: Using Queued invalidation", "TLB invalidation policy: strict"] },
        { "generic, scalable", 1, 4096, "quiet intel_iommu=on,sm_on", VtdProfile.Scalable, "translated", ["DMAR-IR: Enabled IRQ remapping in x2apic mode", "TLB invalidation policy: lazy"] },
        { "generic, off", 1, 4096, "quiet", null, "none", [] },
    };

    [SkippableTheory]
    [MemberData(nameof(Modes))]
    public void The_disk_reads_and_writes_the_same_bytes_in_every_mode(
        string name, int vcpus, int blockSize, string append, VtdProfile? profile, string path, string[] expected)
    {
        const int Size = 4 << 20;
        var before = Pattern(Size);
        var backend = new MemoryBlockBackend("disk", before);
        var generic = name.StartsWith("generic", StringComparison.Ordinal);
        var kernel = generic ? Kernel.Generic : Kernel.Cloud;
        var config = new MachineConfig { Vcpus = vcpus, Vtd = profile is { } p ? new() { Profile = p } : null, Disks = [new(() => backend, blockSize)] };
        using var guest = new Guest(
            kernel, config, Guest.Script((generic ? $". /{BusyboxInitrd.LoadScript}\n" : "") + Work), append,
            modules: generic ? kernel.NvmeModules : null);
        var outcome = guest.Run();
        log.WriteLine(guest.Output);
        Assert.Equal(StopCause.PowerOff, outcome.Cause);
        Assert.Contains($"BLOCK {blockSize}", guest.Output);
        Assert.Contains($"BEFORE {Convert.ToHexStringLower(SHA256.HashData(before))}", guest.Output);
        before.AsSpan(0, Size / 2).CopyTo(before.AsSpan(Size / 2));
        Assert.Contains($"AFTER {Convert.ToHexStringLower(SHA256.HashData(before))}", guest.Output);
        var onDisk = new byte[Size];
        Assert.Equal(BlockResult.Ok, backend.Read(0, onDisk));
        Assert.Equal(before, onDisk);
        foreach (var line in expected)
        {
            Assert.Contains(line, guest.Output);
        }

        ref readonly var dma = ref guest.Machine.Nvme[0].Function.Dma.Counters;
        Assert.Equal(0ul, dma.Blocked);
        Assert.Equal(path == "none", dma.BytesBypassed != 0);
        if (path == "translated")
        {
            Assert.Equal(0ul, dma.BytesBypassed);
            Assert.Contains("IR-PCI-MSI", guest.Output);
        }
    }

    /// <summary>Two runs, and runs that go on from a snapshot taken while the disk is busy, end in the same state.</summary>
    [SkippableFact]
    public void The_generic_kernel_repeats_and_goes_on_from_a_snapshot_at_any_instant()
    {
        var contents = Pattern(4 << 20);
        MemoryBlockBackend backend = null!;
        var config = new MachineConfig { Vcpus = 2, Vtd = new(), Disks = [new(() => backend = new("disk", (byte[])contents.Clone()))] };
        var kernel = Kernel.Generic;
        var random = new Random(1);
        Guest Boot() => new(
            kernel, config, Guest.Script($". /{BusyboxInitrd.LoadScript}\n{Work}"), "quiet intel_iommu=on iommu.strict=1",
            modules: kernel.NvmeModules);
        using var whole = Boot();
        Assert.Equal(StopCause.PowerOff, whole.Run().Cause);
        var expected = whole.Machine.StateHash();
        // The work is what follows the boot: the last part of the run.
        var from = whole.Machine.Instructions * 6 / 10;
        using var again = Boot();
        foreach (var instant in Enumerable.Range(0, 3).Select(_ => from + (ulong)random.NextInt64((long)(whole.Machine.Instructions - from))).Order())
        {
            Assert.Equal(StopCause.InstructionLimit, again.Run(instant).Cause);
            var initial = contents;
            contents = new byte[4 << 20];
            backend.Read(0, contents);
            var running = backend;
            using var image = again.Machine.Freeze();
            using var restored = Guest.Fork(image);
            (backend, contents) = (running, initial);
            Assert.Equal(StopCause.PowerOff, restored.Run().Cause);
            log.WriteLine($"snapshot at {instant:N0} of {whole.Machine.Instructions:N0}: {restored.Machine.StateHash()}");
            Assert.Equal(expected, restored.Machine.StateHash());
            Assert.Equal(whole.Machine.TakeLedger().Total.Rows, restored.Machine.TakeLedger().Total.Rows);
            Assert.EndsWith(restored.Output, whole.Output);
        }

        Assert.Equal(StopCause.PowerOff, again.Run().Cause);
        Assert.Equal(expected, again.Machine.StateHash());
    }

    [SkippableFact]
    public void Sixty_four_MiB_go_both_ways_unchanged()
    {
        const int Size = 64 << 20;
        var before = Pattern(Size);
        var backend = new MemoryBlockBackend("disk", before);
        using var guest = new Guest(
            Kernel.Cloud, new MachineConfig { MemoryBytes = 512 << 20, Vtd = new(), Disks = [new(() => backend)] },
            Guest.Script("""
                mount -t tmpfs -o size=80M tmp /tmp
                dd if=/dev/nvme0n1 of=/tmp/a bs=1M 2>/dev/null
                sha256sum < /tmp/a | sed 's/^/READ /'
                tr '\000-\377' '\001-\377\000' < /tmp/a | dd of=/dev/nvme0n1 bs=1M iflag=fullblock conv=fsync 2>/dev/null
                """),
            "quiet");
        Assert.Equal(StopCause.PowerOff, guest.Run(40_000_000_000).Cause);
        Assert.Contains($"READ {Convert.ToHexStringLower(SHA256.HashData(before))}", guest.Output);
        var after = new byte[Size];
        backend.Read(0, after);
        for (var i = 0; i < Size; i++)
        {
            before[i]++;
        }

        Assert.True(after.AsSpan().SequenceEqual(before));
        Assert.Equal(0ul, guest.Machine.Nvme[0].Function.Dma.Counters.BytesBypassed);
    }
}
