using System.Diagnostics;
using Vmm.Guests.Kit;
using Vmm.Machine;
using Vmm.Platform.Block;
using Xunit;
using Xunit.Abstractions;

namespace Vmm.Guests;

/// <summary>
/// nvme-cli, fio and e2fsprogs, as Debian builds them, work on the disk behind VT-d. The programs and their libraries come
/// from this host, where the packages must be installed.
/// </summary>
public sealed class ToolsTests(ITestOutputHelper log) : IDisposable
{
    readonly string image = Path.GetTempFileName();

    public void Dispose() => File.Delete(image);

    [SkippableFact]
    public void Nvme_cli_fio_with_verification_and_fsck_work_on_the_disk_behind_vtd()
    {
        const int Size = 48 << 20;
        using (var file = File.OpenWrite(image))
        {
            file.SetLength(Size);
        }

        var programs = HostPrograms.Get("/usr/sbin/nvme", "/usr/bin/fio", "/usr/sbin/mkfs.ext4", "/usr/sbin/fsck.ext4");
        using (var guest = new Guest(
            Kernel.Cloud,
            new MachineConfig { MemoryBytes = 512 << 20, Vcpus = 2, Vtd = new(), Disks = [new(() => new FileBlockBackend(image, false))] },
            Guest.Script("""
                export PATH=$PATH:/usr/sbin:/usr/bin
                nvme id-ctrl /dev/nvme0 | grep -E '^(sn|mn|mdts|nn) ' | sed 's/^/ID /'
                nvme id-ns /dev/nvme0n1 | grep -E '^(nsze|nlbaf|flbas)' | sed 's/^/NS /'
                nvme format /dev/nvme0n1 --lbaf=0 --force 2>&1 | sed 's/^/FORMAT /'
                nvme smart-log /dev/nvme0 | grep -E 'critical_warning|media_errors' | sed 's/^/SMART /'
                nvme error-log /dev/nvme0 | grep -c error_count | sed 's/^/ERRORLOG /'
                mkfs.ext4 -q -F /dev/nvme0n1 && echo MKFS ok
                mkdir -p /mnt && mount -t ext4 /dev/nvme0n1 /mnt
                cd /mnt && fio --name=v --filename=/mnt/f --size=16m --rw=randrw --bs=4k --iodepth=32 --ioengine=libaio --direct=1 --verify=crc32c --verify_fatal=1 --do_verify=1 --randseed=7 --allow_file_create=1 --thread --output-format=terse > /fio.txt 2>&1
                echo FIO $?
                tail -3 /fio.txt
                cd / && echo content > /mnt/left && umount /mnt
                fsck.ext4 -f -n /dev/nvme0n1 > /fsck.txt 2>&1
                echo FSCK $?
                """),
            "quiet", programs))
        {
            var outcome = guest.Run(60_000_000_000);
            log.WriteLine(guest.Output);
            Assert.Equal(StopCause.PowerOff, outcome.Cause);
            Assert.Contains("ID mn        : vmm NVMe Controller", guest.Output);
            Assert.Contains($"NS nsze    : 0x{Size / 512:x}", guest.Output);
            Assert.Contains("FORMAT Success", guest.Output);
            Assert.Contains("SMART critical_warning", guest.Output);
            Assert.Contains("ERRORLOG ", guest.Output);
            Assert.Contains("MKFS ok", guest.Output);
            Assert.Contains("FIO 0", guest.Output);
            Assert.Contains("FSCK 0", guest.Output);
            Assert.Equal(0ul, guest.Machine.Nvme[0].Function.Dma.Counters.BytesBypassed);
            Assert.Equal(0ul, guest.Machine.Nvme[0].Function.Dma.Counters.Blocked);
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
