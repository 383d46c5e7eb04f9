using System.Security.Cryptography;
using Vmm.Cli;
using Vmm.Firmware.Boot;
using Vmm.Firmware.Initrd;
using Vmm.Guests.Kit;
using Vmm.Iommu;
using Vmm.Machine;
using Vmm.Platform.Block;
using Xunit;
using Xunit.Abstractions;

namespace Vmm.Guests;

/// <summary>Another maker's VT-d driver: Debian's Xen, with Debian's kernel as its first domain on the NVMe disk.</summary>
public sealed class XenTests(ITestOutputHelper log)
{
    [SkippableFact]
    public void A_domain_of_Xen_reads_a_disk_through_the_remapping_unit()
    {
        const ulong Memory = 1ul << 30;
        var content = new byte[4 << 20];
        new Random(17).NextBytes(content);
        var disk = new MemoryBlockBackend("disk", (ulong)content.Length);
        disk.Write(0, content);
        var kernel = Kernel.Generic;
        var initrd = new BusyboxInitrd
        {
            Busybox = DebianArchive.Get("busybox-static"),
            Init = Guest.Script($"sh /{BusyboxInitrd.LoadScript}\nfor i in 1 2 3 4 5 6 7 8 9; do [ -b /dev/nvme0n1 ] || sleep 0.1; done\nsha256sum /dev/nvme0n1\nsleep 0.2"),
            Modules = kernel.NvmeModules,
        }.Pack();
        using var output = new MemoryStream();
        var port = new ConsolePort();
        port.AddSink(output);
        using var machine = new VirtualMachine(
            new() { MemoryBytes = Memory, Vcpus = 2, Vtd = new() { ExtendedInterruptMode = true }, Disks = [new(() => disk, 512)] }, port);
        machine.Boot(BootLoader.Plan(new()
        {
            RamBytes = Memory,
            Image = BootLoader.Unpack(DebianArchive.Get(DebianArchive.Resolve("xen-system-amd64", "xen-hypervisor-4")).Extract(static path => path.StartsWith("boot/xen-", StringComparison.Ordinal)
                && path.EndsWith(".gz", StringComparison.Ordinal)).Single().Content),
            ImageName = "xen",
            CommandLine = "console=com1 com1=115200,8n1 iommu=verbose dom0_mem=512M",
            Modules = [new("vmlinuz console=hvc0 quiet", kernel.Image), new("initrd", initrd)],
            Acpi = machine.BuildAcpi(),
        }));
        var outcome = machine.Run(untilInstructions: 30_000_000_000);
        var text = System.Text.Encoding.Latin1.GetString(output.ToArray());
        log.WriteLine(text);
        Assert.Equal(StopCause.PowerOff, outcome.Cause);
        Assert.Contains("(XEN) Brought up 2 CPUs", text);
        Assert.Contains("(XEN) Intel VT-d Queued Invalidation enabled.", text);
        Assert.Contains("(XEN) Intel VT-d Interrupt Remapping enabled.", text);
        Assert.Contains($"{Convert.ToHexStringLower(SHA256.HashData(content))}  /dev/nvme0n1", text);
        Assert.Contains(Guest.Marker, text);
        Assert.DoesNotContain("[VT-D]DMAR", text);
        Assert.DoesNotContain("INTR-REMAP", text);
        var counters = machine.Nvme[0].Function.Dma.Counters;
        Assert.Equal(0ul, counters.Blocked);
        Assert.Equal(0ul, counters.BytesBypassed);
        Assert.True(counters.BytesTranslated >= (ulong)content.Length);
    }
}
