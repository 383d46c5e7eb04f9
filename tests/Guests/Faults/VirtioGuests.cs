using System.Buffers.Binary;
using Vmm.Firmware.Initrd;
using Vmm.Guests.Kit;
using Vmm.Machine;
using Vmm.Platform.Block;
using Vmm.Platform.Dma;
using Vmm.Platform.Memory;
using Vmm.Specs.Virtio;
using Xunit;

namespace Vmm.Guests.Faults;

/// <summary>Debian's 6.12 kernel at a shell, with an NVMe and a virtio disk behind virtio-iommu, booted once and forked for every test.</summary>
public sealed class VirtioGuests : IDisposable
{
    /// <summary>The disks.</summary>
    public static readonly Bdf Nvme = new(0, 3, 0), Virtio = new(0, 4, 0);

    readonly Lazy<MachineImage> image = new(Boot);

    static MachineImage Boot()
    {
        using var nvme = new MemoryBlockBackend("nvme", 4 << 20);
        using var virtio = new MemoryBlockBackend("virtio", 4 << 20);
        var config = new MachineConfig { MemoryBytes = 192 << 20, VirtioIommu = new() { Bypass = false }, Disks = [new(() => nvme.Fork()), new(() => virtio.Fork(), Virtio: new())] };
        var kernel = Kernel.Backport;
        var init = Guest.Script($"""
            . /{BusyboxInitrd.LoadScript}
            for i in 1 2 3 4 5 6 7 8 9; do [ -b /dev/vda -a -b /dev/nvme0n1 ] || sleep 0.1; done
            stty -echo < /dev/ttyS0
            echo {GuestShell.Ready}
            while read line; do eval "$line"; done < /dev/ttyS0
            """);
        using var shell = new GuestShell(new(
            kernel, config, init, "iommu.strict=1 nvme_core.io_timeout=2 nvme_core.max_retries=1",
            modules: KernelModules.Extract(kernel.Package, ["virtio_iommu", "virtio_blk"])));
        shell.Expect(GuestShell.Ready, 60);
        return shell.Machine.Freeze();
    }

    internal GuestShell Fork() => new(Guest.Fork(image.Value));

    /// <summary>Pages that the disks may write now, and those in which the IOMMU itself reports faults.</summary>
    internal static HashSet<ulong> Writable(VirtualMachine machine)
    {
        var device = machine.VirtioIommu!;
        var pages = new HashSet<ulong>();
        foreach (var mapping in device.Domains.SelectMany(device.Mappings).Where(static m => (m.Flags & VirtioIommuMapFlags.Write) != 0))
        {
            for (var at = 0ul; at <= mapping.End - mapping.Start; at += GuestMemory.PageSize)
            {
                pages.Add(mapping.Physical + at);
            }
        }

        AddEventQueue(machine, pages);
        return pages;
    }

    /// <summary>The used ring of the event queue, and every buffer that the driver has in it.</summary>
    static void AddEventQueue(VirtualMachine machine, HashSet<ulong> pages)
    {
        var bar = machine.VirtioIommu!.Transport.Function.Bars[0].Address;
        machine.Bus.Mmio.Write(bar + VirtioCommon.QueueSelect, [VirtioIommuLayout.EventQueue, 0]);
        ulong Register(ulong offset, int width)
        {
            Span<byte> bytes = stackalloc byte[8];
            bytes.Clear();
            machine.Bus.Mmio.Read(bar + offset, bytes[..width]);
            return BinaryPrimitives.ReadUInt64LittleEndian(bytes);
        }

        ulong Address(ulong offset) => Register(offset, 4) | Register(offset + 4, 4) << 32;
        var (size, descriptors, used) = (Register(VirtioCommon.QueueSize, 2), Address(VirtioCommon.QueueDesc), Address(VirtioCommon.QueueDevice));
        for (var i = 0ul; i < size; i++)
        {
            Assert.True(machine.Memory.TryRead(new Gpa(descriptors + i * 16), out ulong buffer));
            pages.Add(buffer & ~0xFFFul);
            pages.Add(used + 4 + i * 8 & ~0xFFFul);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (image.IsValueCreated)
        {
            image.Value.Dispose();
        }
    }
}
