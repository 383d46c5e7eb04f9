using Vmm.Firmware.Initrd;
using Vmm.Guests.Kit;
using Vmm.Machine;
using Vmm.Platform.Block;
using Vmm.Platform.Dma;

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

    /// <inheritdoc/>
    public void Dispose()
    {
        if (image.IsValueCreated)
        {
            image.Value.Dispose();
        }
    }
}
