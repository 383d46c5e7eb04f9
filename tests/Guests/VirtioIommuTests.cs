using System.Globalization;
using System.Security.Cryptography;
using Vmm.Firmware.Initrd;
using Vmm.Guests.Kit;
using Vmm.Machine;
using Vmm.Platform.Block;
using Vmm.Platform.Memory;
using Vmm.Specs.Virtio;
using Vmm.VirtioIommu;
using Xunit;
using Xunit.Abstractions;

namespace Vmm.Guests;

/// <summary>Debian's virtio_iommu driver (6.12 from the backports; NVMe waits for it) on the device.</summary>
public sealed class VirtioIommuTests(ITestOutputHelper log) : IDisposable
{
    const int Size = 4 << 20;

    readonly string image = Path.GetTempFileName();

    public void Dispose() => File.Delete(image);

    static Guest Boot(MachineConfig config, string append, string body, IReadOnlyList<Firmware.Archives.ArchiveEntry>? extra = null, params string[] modules)
    {
        var kernel = Kernel.Backport;
        return new(
            kernel, config, Guest.Script($". /{BusyboxInitrd.LoadScript}\n{body}"), append, extra,
            KernelModules.Extract(kernel.Package, ["virtio_iommu", "virtio_blk", .. modules]));
    }

    /// <summary>Reads each disk, overwrites its second half, reads again, and logs what the kernel said.</summary>
    const string Work = """
        for disk in nvme0n1 vda; do
          for i in 1 2 3 4 5 6 7 8 9; do [ -b /dev/$disk ] || sleep 0.1; done
          sha256sum < /dev/$disk | sed "s/^/BEFORE $disk /"
          dd if=/dev/$disk of=/dev/$disk bs=1M count=2 seek=2 conv=fsync,notrunc 2>/dev/null
          echo 3 > /proc/sys/vm/drop_caches
          sha256sum < /dev/$disk | sed "s/^/AFTER $disk /"
        done
        for g in /sys/kernel/iommu_groups/*; do echo GROUP $(cat $g/type) $(ls $g/devices); done
        dmesg | grep -E 'iommu|VIOT' | sed 's/^\[[^]]*\] /KERNEL /'
        """;

    public static TheoryData<string, string, VirtioIommuOptions, string> Modes => new()
    {
        { "lazy", "quiet iommu.strict=0", new(), "DMA-FQ" },
        { "strict, no bypass, 39 bits", "quiet iommu.strict=1", new() { Bypass = false, InputEnd = (1ul << 39) - 1 }, "DMA" },
        { "pass-through in a bypass domain", "quiet iommu.passthrough=1", new() { Bypass = false }, "identity" },
        { "pass-through without the feature", "quiet iommu.passthrough=1", new() { OffersBypassConfig = false }, "identity" },
    };

    [SkippableTheory]
    [MemberData(nameof(Modes))]
    public void Both_disks_read_and_write_the_same_bytes_in_every_mode(string name, string append, VirtioIommuOptions options, string type)
    {
        var before = new byte[Size];
        new Random(42).NextBytes(before);
        var disks = new[] { new MemoryBlockBackend("nvme", (byte[])before.Clone()), new MemoryBlockBackend("virtio", (byte[])before.Clone()) };
        using var guest = Boot(
            new() { VirtioIommu = options, Disks = [new(() => disks[0]), new(() => disks[1], Virtio: new())] }, append, Work);
        var outcome = guest.Run();
        log.WriteLine(name);
        log.WriteLine(guest.Output);
        Assert.Equal(StopCause.PowerOff, outcome.Cause);
        Assert.Contains($"KERNEL virtio_iommu virtio0: input address: {(options.InputEnd == ulong.MaxValue ? 64 : 39)} bits", guest.Output);
        Assert.Contains("KERNEL virtio_iommu virtio0: page mask: 0xfffffffffffff000", guest.Output);
        Assert.Contains("KERNEL nvme 0000:00:03.0: Adding to iommu group ", guest.Output);
        Assert.Contains("KERNEL virtio-pci 0000:00:04.0: Adding to iommu group ", guest.Output);
        Assert.Contains($"GROUP {type} 0000:00:03.0", guest.Output);
        Assert.Contains($"GROUP {type} 0000:00:04.0", guest.Output);
        var after = (byte[])before.Clone();
        before.AsSpan(0, Size / 2).CopyTo(after.AsSpan(Size / 2));
        for (var i = 0; i < 2; i++)
        {
            var disk = i == 0 ? "nvme0n1" : "vda";
            Assert.Contains($"BEFORE {disk} {Sum(before)}", guest.Output);
            Assert.Contains($"AFTER {disk} {Sum(after)}", guest.Output);
            var found = new byte[Size];
            disks[i].Read(0, found);
            Assert.Equal(after, found);
        }

        var device = guest.Machine.VirtioIommu!;
        AssertClean(device);
        Assert.Equal(2, device.Endpoints.Count());
        foreach (var endpoint in device.Endpoints)
        {
            var c = endpoint.Counters;
            var bypass = type == "identity" && options.OffersBypassConfig;
            Assert.True(bypass ? c.Bypassed > 0 && c.Hits + c.Misses == 0 : c.Bypassed == 0 && c.Hits + c.Misses > 0, $"{endpoint.Requester}: {c.Hits} {c.Misses} {c.Bypassed}");
        }
    }

    [SkippableTheory]
    [InlineData("iommu.strict=1")]
    [InlineData("iommu.strict=0")]
    public void Nvme_cli_fio_with_verification_and_fsck_work_on_both_disks(string policy)
    {
        const int Length = 48 << 20;
        using (var file = File.OpenWrite(image))
        {
            file.SetLength(Length);
        }

        var second = new MemoryBlockBackend("virtio", Length);
        var programs = HostPrograms.Get("/usr/sbin/nvme", "/usr/bin/fio", "/usr/sbin/mkfs.ext4", "/usr/sbin/fsck.ext4");
        using var guest = Boot(
            new()
            {
                MemoryBytes = 512 << 20, Vcpus = 2, VirtioIommu = new() { Bypass = false },
                Disks = [new(() => new FileBlockBackend(image, false)), new(() => second, Virtio: new() { Packed = true })],
            },
            "quiet " + policy,
            """
            export PATH=$PATH:/usr/sbin:/usr/bin
            for i in 1 2 3 4 5 6 7 8 9; do [ -b /dev/nvme0n1 ] || sleep 0.1; done
            nvme id-ctrl /dev/nvme0 | grep -E '^(sn|mn|mdts|nn) ' | sed 's/^/ID /'
            nvme smart-log /dev/nvme0 | grep -E 'critical_warning|media_errors' | sed 's/^/SMART /'
            nvme format /dev/nvme0n1 --lbaf=0 --force 2>&1 | sed 's/^/FORMAT /'
            for disk in nvme0n1 vda; do
              mkfs.ext4 -q -F /dev/$disk && echo MKFS $disk ok
              mkdir -p /mnt && mount -t ext4 /dev/$disk /mnt
              cd /mnt && fio --name=v --filename=/mnt/f --size=8m --rw=randrw --bs=4k --iodepth=32 --ioengine=libaio --direct=1 --verify=crc32c --verify_fatal=1 --do_verify=1 --randseed=7 --allow_file_create=1 --thread --output-format=terse > /fio.txt 2>&1
              echo FIO $disk $?
              tail -3 /fio.txt
              cd / && umount /mnt
              fsck.ext4 -f -n /dev/$disk > /fsck.txt 2>&1
              echo FSCK $disk $?
            done
            """,
            programs);
        var outcome = guest.Run(60_000_000_000);
        log.WriteLine(guest.Output);
        Assert.Equal(StopCause.PowerOff, outcome.Cause);
        Assert.Contains("ID mn        : vmm NVMe Controller", guest.Output);
        Assert.Contains("SMART critical_warning", guest.Output);
        Assert.Contains("FORMAT Success", guest.Output);
        foreach (var disk in (string[])["nvme0n1", "vda"])
        {
            Assert.Contains($"MKFS {disk} ok", guest.Output);
            Assert.Contains($"FIO {disk} 0", guest.Output);
            Assert.Contains($"FSCK {disk} 0", guest.Output);
        }

        AssertClean(guest.Machine.VirtioIommu!);
    }

    /// <summary>The edu device through /dev/mem, in a domain of its own because a driver is bound to it, or in none.</summary>
    const string Rogue = """
        D=/sys/bus/pci/devices/0000:00:02.0
        if [ $IN_DOMAIN = 1 ]; then
          echo uio_pci_generic > $D/driver_override
          echo 0000:00:02.0 > /sys/bus/pci/drivers_probe
          echo GROUP $(cat $D/iommu_group/type)
        fi
        echo 1 > $D/enable
        printf '\006' | dd of=$D/config bs=1 seek=4 conv=notrunc 2>/dev/null
        BAR=$(head -1 $D/resource | cut -d' ' -f1)
        w() { devmem $(printf '0x%x' $((BAR + $1))) 64 $2; }
        dma_write() { w 0x80 0x40000; w 0x88 $1; w 0x90 64; w 0x98 3; sleep 0.1; }
        dma_read() { w 0x80 $1; w 0x88 0x40000; w 0x90 64; w 0x98 1; sleep 0.1; }
        echo READY
        """;

    [SkippableTheory]
    [InlineData(1, "dma_write 0x1000000", "virtio_iommu virtio0: page fault from EP 16 at 0x1000000 [W]")]
    [InlineData(1, "dma_read 0x1000040", "virtio_iommu virtio0: page fault from EP 16 at 0x1000040 [R]")]
    [InlineData(0, "dma_write 0x1000000", "virtio_iommu virtio0: domain fault from EP 16 at 0x1000000 [W]")]
    public void A_rogue_DMA_is_named_by_the_kernel_and_memory_is_unchanged(int inDomain, string access, string message)
    {
        using var guest = Boot(
            new() { VirtioIommu = new() { Bypass = false }, Edu = new() { Rogue = true } }, "quiet",
            $"IN_DOMAIN={inDomain}\n{Rogue}\n{access}\ndmesg | grep 'fault from' | sed 's/^\\[[^]]*\\] //'", null, "uio", "uio_pci_generic");
        byte[]? before = null;
        guest.Port.Watch(line => before ??= line.Contains("READY", StringComparison.Ordinal) ? Text(guest.Machine) : null);
        Assert.Equal(StopCause.PowerOff, guest.Run().Cause);
        log.WriteLine(guest.Output);
        Assert.Contains(message + "\n", guest.Output);
        Assert.Equal(inDomain == 1, guest.Output.Contains("GROUP DMA-FQ", StringComparison.Ordinal));
        Assert.NotNull(before);
        Assert.Equal(before, Text(guest.Machine));
        ref readonly var dma = ref guest.Machine.Edu!.Function.Dma.Counters;
        Assert.Equal(0ul, dma.BytesRead + dma.BytesWritten);
        Assert.Equal(1ul, dma.BlockedByTranslator);
        Assert.Equal(1ul, guest.Machine.VirtioIommu!.ReportedEvents);
    }

    static byte[] Text(VirtualMachine machine)
    {
        var bytes = new byte[64];
        Assert.True(machine.Memory.TryRead(new Gpa(0x1000000), bytes));
        return bytes;
    }

    /// <summary>
    /// In strict mode a buffer of one NVMe command costs one exit to map, however many pages and so MAP requests it has,
    /// and one to unmap; the driver cuts buffers at 128 KiB and has the pieces in flight together. The first transfers of a size are not counted: the driver may
    /// map memory for its own lists then.
    /// </summary>
    [SkippableFact]
    public void The_ledger_counts_one_exit_to_map_and_one_to_unmap_a_buffer()
    {
        const int Count = 32;
        int[] sizes = [4, 8, 16, 32, 64, 128, 256, 512, 1024];
        using var guest = Boot(
            new() { VirtioIommu = new(), Disks = [new(() => new MemoryBlockBackend("disk", 40 << 20))] }, "quiet iommu.strict=1",
            $"""
            for i in 1 2 3 4 5 6 7 8 9; do [ -b /dev/nvme0n1 ] || sleep 0.1; done
            for size in {string.Join(' ', sizes)}; do
              dd if=/dev/nvme0n1 of=/dev/null bs=$((size))k count=2 iflag=direct 2>/dev/null
              echo MARK $(cut -c1-9 /sys/block/nvme0n1/stat) END
              dd if=/dev/nvme0n1 of=/dev/null bs=$((size))k count={Count} iflag=direct 2>/dev/null
              echo MARK $(cut -c1-9 /sys/block/nvme0n1/stat) END
            done
            """);
        var marks = new List<Mark>();
        guest.Port.Watch(line =>
        {
            if (line.StartsWith("MARK ", StringComparison.Ordinal) && line.EndsWith(" END", StringComparison.Ordinal))
            {
                marks.Add(Mark.Take(guest.Machine, ulong.Parse(line.Split(' ')[1], CultureInfo.InvariantCulture)));
            }
        });
        Assert.Equal(StopCause.PowerOff, guest.Run().Cause);
        Assert.Equal(2 * sizes.Length, marks.Count);
        log.WriteLine("buffer  commands  MAP  UNMAP  exits  cycles a buffer");
        for (var i = 0; i < sizes.Length; i++)
        {
            var (a, b) = (marks[2 * i], marks[2 * i + 1]);
            var (commands, exits) = (b.Commands - a.Commands, b.Exits - a.Exits);
            log.WriteLine($"{sizes[i],4} KiB  {commands,8}  {b.Maps - a.Maps,3}  {b.Unmaps - a.Unmaps,5}  {exits,5}  {(b.Cycles - a.Cycles) / Count}");
            Assert.Equal((ulong)(Count * Math.Max(1, sizes[i] / 128)), commands);
            // With several commands in flight one may complete, and notify, between another's requests and its notification.
            Assert.InRange(exits, sizes[i] <= 128 ? 2 * commands : commands + 1, 2 * commands);
            Assert.Equal(exits, b.Notifications - a.Notifications);
            Assert.Equal(commands, b.Unmaps - a.Unmaps);
            Assert.InRange(b.Maps - a.Maps, commands, (ulong)(Count * sizes[i] / 4));
            Assert.Equal(b.Maps - a.Maps + b.Unmaps - a.Unmaps, b.Charged - a.Charged);
        }
    }

    [SkippableFact]
    public void A_fork_in_the_middle_of_the_work_goes_on_as_the_original()
    {
        var contents = new byte[Size];
        new Random(5).NextBytes(contents);
        using var guest = Boot(
            new() { VirtioIommu = new() { Bypass = false }, Disks = [new(() => new MemoryBlockBackend("disk", (byte[])contents.Clone()))] }, "quiet",
            "for i in 1 2 3 4 5 6 7 8 9; do [ -b /dev/nvme0n1 ] || sleep 0.1; done\necho WORK\nsha256sum < /dev/nvme0n1");
        guest.Port.Watch(line =>
        {
            if (line == "WORK")
            {
                guest.Machine.RequestStop();
            }
        });
        Assert.Equal(StopCause.Requested, guest.Run().Cause);
        Assert.NotEqual(0, guest.Machine.VirtioIommu!.MappingCount);
        using var frozen = guest.Machine.Freeze();
        using var fork = Guest.Fork(frozen);
        Assert.Equal(StopCause.PowerOff, fork.Run().Cause);
        Assert.Equal(StopCause.PowerOff, guest.Run().Cause);
        Assert.Contains(Sum(contents), fork.Output);
        Assert.Contains(Sum(contents), guest.Output);
        Assert.Equal(guest.Machine.StateHash(), fork.Machine.StateHash());
        AssertClean(fork.Machine.VirtioIommu!);
    }

    /// <summary>Counters at one moment.</summary>
    readonly record struct Mark(ulong Commands, ulong Maps, ulong Unmaps, ulong Notifications, ulong Exits, ulong Charged, ulong Cycles)
    {
        public static Mark Take(VirtualMachine machine, ulong commands)
        {
            var device = machine.VirtioIommu!;
            var table = machine.Clock.Ledger.Account("viommu0").Table;
            return new(
                commands, device.Requests(VirtioIommuRequest.Map, VirtioIommuStatus.Ok), device.Requests(VirtioIommuRequest.Unmap, VirtioIommuStatus.Ok),
                device.Transport.Queues[0].Counters.Notifications, table.ExitCount, table[Platform.Time.CostKind.VirtioRequest].Count, table.Cycles);
        }
    }

    static void AssertClean(ViommuDevice device)
    {
        Assert.Equal(0ul, device.ReportedEvents + device.DroppedEvents + device.UnparsedRequests + device.StrangerAccesses);
        foreach (var type in Enum.GetValues<VirtioIommuRequest>())
        {
            foreach (var status in Enum.GetValues<VirtioIommuStatus>().Where(s => s != VirtioIommuStatus.Ok))
            {
                Assert.Equal(0ul, device.Requests(type, status));
            }
        }
    }

    static string Sum(byte[] bytes) => Convert.ToHexStringLower(SHA256.HashData(bytes));
}
