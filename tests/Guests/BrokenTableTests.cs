using Vmm.Guests.Kit;
using Vmm.Iommu;
using Vmm.Machine;
using Vmm.Platform.Block;
using Vmm.Platform.Memory;
using Xunit;
using Xunit.Abstractions;

namespace Vmm.Guests;

/// <summary>
/// Debian's kernel has set its remapping tables up; the test maps a page for the edu device in them, breaks one entry, and
/// lets the device access the page. The kernel prints the reason, and no byte of memory changes.
/// </summary>
public sealed class BrokenTableTests(ITestOutputHelper log)
{
    /// <summary>Memory that the kernel leaves alone: page tables of the test and the page that they map.</summary>
    const ulong Reserved = 0x700_0000, Page = Reserved + 0x10000;

    const ulong Outside = 0x40_0000_0000;

    /// <summary>Address as the device issues it.</summary>
    const ulong Iova = 0x12_3456_7000;

    static readonly Dictionary<VtdProfile, MachineImage> Booted = [];

    static MachineImage Boot(VtdProfile profile)
    {
        lock (Booted)
        {
            if (Booted.TryGetValue(profile, out var image))
            {
                return image;
            }

            using var guest = new Guest(
                Kernel.Cloud, new MachineConfig { MemoryBytes = 128 << 20, Vtd = new() { Profile = profile }, Edu = new() { Rogue = true } },
                Guest.Script("""
                    D=/sys/bus/pci/devices/0000:00:02.0
                    echo 1 > $D/enable
                    printf '\006' | dd of=$D/config bs=1 seek=4 conv=notrunc 2>/dev/null
                    echo NOW GO
                    sleep 1000
                    """),
                $"quiet printk.time=0 iommu.strict=1 memmap=1M$0x{Reserved:x} {(profile == VtdProfile.Legacy ? "" : "intel_iommu=on,sm_on")}");
            guest.Port.Watch(line =>
            {
                if (line.Contains("NOW GO", StringComparison.Ordinal))
                {
                    guest.Machine.RequestStop();
                }
            });
            Assert.Equal(StopCause.Requested, guest.Run().Cause);
            return Booted[profile] = guest.Machine.Freeze();
        }
    }

    public static TheoryData<string, bool, byte, string> Legacy => new()
    {
        { "nothing", true, 0, "" },
        { "nothing", false, 0, "" },
        { "leaf read-only", true, 0x05, "PTE Write access is not set" },
        { "leaf write-only", false, 0x06, "PTE Read access is not set" },
        { "level 1 clear", true, 0x05, "PTE Write access is not set" },
        { "level 1 clear", false, 0x06, "PTE Read access is not set" },
        { "level 2 clear", true, 0x05, "PTE Write access is not set" },
        { "level 3 clear", false, 0x06, "PTE Read access is not set" },
        { "level 4 clear", true, 0x05, "PTE Write access is not set" },
        { "level 1 reserved", true, 0x0C, "non-zero reserved fields in PTE" },
        { "level 2 reserved", false, 0x0C, "non-zero reserved fields in PTE" },
        { "level 3 reserved", true, 0x0C, "non-zero reserved fields in PTE" },
        { "level 4 reserved", false, 0x0C, "non-zero reserved fields in PTE" },
        { "level 2 outside", true, 0x07, "Next page table ptr is invalid" },
        { "level 3 outside", false, 0x07, "Next page table ptr is invalid" },
        { "level 4 outside", true, 0x07, "Next page table ptr is invalid" },
        { "context clear", true, 0x02, "Present bit in context entry is clear" },
        { "context type", true, 0x03, "Invalid context entry" },
        { "context outside", false, 0x03, "Invalid context entry" },
        { "context reserved", false, 0x0B, "non-zero reserved fields in CTP" },
        { "root clear", true, 0x01, "Present bit in root entry is clear" },
        { "root reserved", false, 0x0A, "non-zero reserved fields in RTP" },
        { "root outside", true, 0x09, "Context table ptr is invalid" },
        { "beyond width", true, 0x04, "Access beyond MGAW" },
        { "interrupt range", true, 0x29, "Unknown" },
        { "interrupt range", false, 0x29, "Unknown" },
    };

    public static TheoryData<string, bool, byte, string> Scalable => new()
    {
        { "nothing", true, 0, "" },
        { "leaf read-only", true, 0x85, "SM: No write permission for Write/AtomicOp request" },
        { "level 1 clear", true, 0x71, "SM: Present bit in first-level paging entry is clear" },
        { "level 4 clear", false, 0x71, "SM: Present bit in first-level paging entry is clear" },
        { "level 2 reserved", true, 0x72, "SM: Non-zero reserved field set in first-level paging entry" },
        { "level 3 outside", true, 0x70, "SM: Error attempting to access first-level paging entry" },
        { "pasid entry clear", true, 0x59, "SM: Present bit in PASID Table Entry is clear" },
        { "pasid entry reserved", false, 0x5A, "SM: Non-zero reserved field set in PASID Table Entry" },
        { "directory clear", true, 0x51, "SM: Present bit in Directory Entry is clear" },
        { "directory reserved", false, 0x52, "SM: Non-zero reserved field set in PASID Directory Entry" },
        { "directory outside", true, 0x58, "SM: Error attempting to access PASID Table Entry" },
        { "context clear", true, 0x41, "SM: Present bit in Context Entry is clear" },
        { "context outside", true, 0x50, "SM: Error attempting to access the PASID Directory Entry" },
        { "root clear", true, 0x39, "SM: Present bit in Root Entry is clear" },
        { "root reserved", true, 0x3A, "SM: Non-zero reserved field set in Root Entry" },
        { "root outside", false, 0x40, "SM: Error attempting to access Context Entry" },
    };

    [SkippableTheory]
    [MemberData(nameof(Legacy))]
    public void The_kernel_names_what_is_broken_in_its_tables(string what, bool write, byte reason, string words) => Check(VtdProfile.Legacy, what, write, reason, words);

    [SkippableTheory]
    [MemberData(nameof(Scalable))]
    public void The_kernel_names_what_is_broken_in_its_scalable_tables(string what, bool write, byte reason, string words) => Check(VtdProfile.Scalable, what, write, reason, words);

    void Check(VtdProfile profile, string what, bool write, byte reason, string words)
    {
        using var guest = Guest.Fork(Boot(profile));
        var machine = guest.Machine;
        var tables = new KernelTables(machine, machine.Edu!.Function.Address, profile == VtdProfile.Scalable);
        tables.Map(Iova, Page, Reserved);
        var address = what switch
        {
            "beyond width" => 1ul << 48 | Iova,
            "interrupt range" => 0xFEE0_0000,
            _ => Iova,
        };
        tables.Break(what, Outside);
        var before = Ram(machine);
        var port = machine.Edu.Function.Dma;
        var data = new byte[64];
        data.AsSpan().Fill(0xA5);
        var passed = write ? port.TryWrite(new Platform.Memory.Iova(address), data) : port.TryRead(new Platform.Memory.Iova(address), data);
        var after = Ram(machine);
        var message = $"DMAR: [DMA {(write ? "Write" : "Read")} NO_PASID] Request device [00:02.0] fault addr 0x{address & ~0xFFFul:x} [fault reason 0x{reason:x2}] {words}";
        guest.Port.Watch(line =>
        {
            if (line.Contains("[fault reason", StringComparison.Ordinal))
            {
                machine.RequestStop();
            }
        });
        machine.Run(untilTime: machine.Now + machine.Clock.Hertz / 2);
        // The line's end is still to come.
        machine.Run(untilTime: machine.Now + machine.Clock.Hertz / 100);
        log.WriteLine(guest.Output);
        Assert.Equal(reason == 0, passed);
        if (reason == 0)
        {
            Assert.DoesNotContain("fault", guest.Output);
            before.AsSpan((int)Page, 64).Fill(write ? (byte)0xA5 : before[(int)Page]);
        }
        else
        {
            Assert.Contains(message, guest.Output);
        }

        Assert.True(before.AsSpan().SequenceEqual(after), "memory changed");
    }

    /// <summary>Strict mode: when the driver is done with a buffer, its mapping is gone and invalidated.</summary>
    [SkippableFact]
    public void A_buffer_that_the_driver_has_unmapped_is_out_of_reach()
    {
        using var text = new MemoryStream();
        using var guest = new Guest(
            Kernel.Cloud, new MachineConfig { MemoryBytes = 128 << 20, Vtd = new(), Disks = [new(() => new MemoryBlockBackend("disk", 1 << 20))] },
            Guest.Script("dd if=/dev/nvme0n1 of=/dev/null bs=4k count=1 iflag=direct 2>/dev/null\necho NOW GO\nsleep 1000"),
            "quiet printk.time=0 iommu.strict=1");
        guest.Port.Watch(line =>
        {
            if (line.Contains("NOW GO", StringComparison.Ordinal) || line.Contains("[fault reason", StringComparison.Ordinal))
            {
                guest.Machine.RequestStop();
            }
        });
        using (var trace = Cli.TraceFile.Attach(guest.Machine, text, 64 << 20))
        {
            Assert.Equal(StopCause.Requested, guest.Run().Cause);
        }

        // Of all that the controller was let through to, the last that is not mapped any more: the buffer.
        var device = guest.Machine.Nvme[0].Function.Address;
        var iova = System.Text.Encoding.ASCII.GetString(text.ToArray()).Split('\n')
            .Where(l => l.Contains($"vtd_dmar_translate: dev {device}", StringComparison.Ordinal))
            .Select(l => Convert.ToUInt64(l.Split("iova 0x")[1].Split(' ')[0], 16))
            .Last(a => guest.Machine.Iommu!.Explain(new(device, new Platform.Memory.Iova(a), Platform.Dma.DmaAccess.Write)).Fault != Specs.VtD.FaultReason.None);
        var before = Ram(guest.Machine);
        Assert.False(guest.Machine.Nvme[0].Function.Dma.TryWrite(new Platform.Memory.Iova(iova), new byte[64]));
        Assert.True(before.AsSpan().SequenceEqual(Ram(guest.Machine)), "memory changed");
        guest.Machine.Run(untilTime: guest.Machine.Now + guest.Machine.Clock.Hertz / 2);
        guest.Machine.Run(untilTime: guest.Machine.Now + guest.Machine.Clock.Hertz / 100);
        log.WriteLine(guest.Output);
        Assert.Contains($"DMAR: [DMA Write NO_PASID] Request device [00:03.0] fault addr 0x{iova & ~0xFFFul:x} [fault reason 0x05] PTE Write access is not set", guest.Output);
    }

    static byte[] Ram(VirtualMachine machine)
    {
        var bytes = new byte[machine.Memory.PageCount * 4096];
        for (var i = 0; i < machine.Memory.PageCount; i++)
        {
            machine.Memory.Page(i).CopyTo(bytes.AsSpan(i * 4096));
        }

        return bytes;
    }
}
