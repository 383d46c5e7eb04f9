using System.Diagnostics;
using System.Security.Cryptography;
using Vmm.Firmware.Initrd;
using Vmm.Guests.Kit;
using Vmm.Iommu;
using Vmm.Machine;
using Vmm.Platform.Block;
using Vmm.Virtio;
using Xunit;
using Xunit.Abstractions;

namespace Vmm.Guests;

/// <summary>fio with verification, mkfs and fsck on virtio-blk, with a file of the host behind it.</summary>
public sealed class VirtioToolsTests(ITestOutputHelper log) : IDisposable
{
    const int Size = 32 << 20;

    readonly string image = Path.GetTempFileName();

    public void Dispose() => File.Delete(image);

    public static TheoryData<string, bool, bool, string> Modes => new()
    {
        { "split, no IOMMU", false, false, "quiet" },
        { "split, VT-d lazy", true, false, "quiet intel_iommu=on" },
        { "packed, VT-d strict", true, true, "quiet intel_iommu=on iommu.strict=1" },
    };

    [SkippableTheory]
    [MemberData(nameof(Modes))]
    public void Fio_with_verification_mkfs_and_fsck_work(string name, bool vtd, bool isPacked, string append)
    {
        using (var file = File.OpenWrite(image))
        {
            file.SetLength(Size);
        }

        var programs = HostPrograms.Get("/usr/bin/fio", "/usr/sbin/mkfs.ext4", "/usr/sbin/fsck.ext4", "/usr/sbin/blkdiscard");
        using (var guest = new Guest(
            Kernel.Cloud,
            new MachineConfig
            {
                MemoryBytes = 512 << 20, Vcpus = 2, Vtd = vtd ? new VtdOptions() : null,
                Disks = [new(() => new FileBlockBackend(image, false), Virtio: new VirtioOptions { Packed = isPacked })],
            },
            Guest.Script($"""
                . /{BusyboxInitrd.LoadScript}
                export PATH=/usr/sbin:$PATH
                for i in 1 2 3 4 5 6 7 8 9; do [ -b /dev/vda ] || sleep 0.1; done
                /usr/sbin/blkdiscard -z -l 1048576 /dev/vda && echo ZEROED
                mkfs.ext4 -q -F /dev/vda && echo MKFS ok
                mkdir -p /mnt && mount -t ext4 /dev/vda /mnt
                cd /mnt && fio --name=v --filename=/mnt/f --size=4m --rw=randrw --bs=4k --iodepth=32 --ioengine=libaio --direct=1 --verify=crc32c --verify_fatal=1 --do_verify=1 --randseed=7 --thread --output-format=terse > /fio.txt 2>&1
                echo FIO $?
                dd if=/dev/urandom of=/mnt/random bs=1M count=2 2>/dev/null
                sha256sum < /mnt/random | cut -c1-64 | sed 's/^/SHA /'
                cd / && echo content > /mnt/left && umount /mnt
                fsck.ext4 -f -n /dev/vda > /fsck.txt 2>&1
                echo FSCK $?
                """),
            append, programs, KernelModules.Extract(Kernel.Cloud.Package, VirtioBlkTests.Modules)))
        {
            var outcome = guest.Run(60_000_000_000);
            log.WriteLine(name);
            log.WriteLine(guest.Output);
            Assert.Equal(StopCause.PowerOff, outcome.Cause);
            Assert.Contains("MKFS ok", guest.Output);
            Assert.Contains("FIO 0", guest.Output);
            Assert.Contains("FSCK 0", guest.Output);
            Assert.Contains("ZEROED", guest.Output);
            var device = guest.Machine.VirtioBlk[0];
            Assert.Equal(0ul, device.Counters.Errors);
            Assert.Equal(VirtioFault.None, device.Transport.Fault);
            Assert.Equal(0ul, device.Transport.Function.Dma.Counters.Blocked);
            Assert.Equal(vtd, device.Transport.Function.Dma.Counters.BytesBypassed == 0);

            var copy = Path.GetTempFileName();
            Assert.Equal(0, OnHost("/usr/sbin/debugfs", "-R", $"dump /random {copy}", image).Code);
            Assert.Contains($"SHA {Convert.ToHexStringLower(SHA256.HashData(File.ReadAllBytes(copy)))}", guest.Output);
            File.Delete(copy);
        }

        // The host's own checker and reader see a clean file system with the guest's file.
        Assert.Equal(0, OnHost("/usr/sbin/fsck.ext4", "-f", "-n", image).Code);
        Assert.Equal("content\n", OnHost("/usr/sbin/debugfs", "-R", "cat /left", image).Output);
    }

    static (int Code, string Output) OnHost(string program, params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output);
    }
}
