using Vmm.Firmware.Initrd;
using Vmm.Guests.Kit;

namespace Vmm.ControlTests.Machines;

/// <summary>A folder that clients may name: Debian's kernel with machine checks, and an initial RAM disk with a shell.</summary>
public sealed class DebianImages : IDisposable
{
    const string Init = """
        #!/bin/sh
        export PATH=/bin:/usr/bin:/sbin:/usr/sbin
        [ -f /LOAD ] && . /LOAD
        mkdir -p /proc /sys /dev /tmp
        mount -t proc proc /proc
        mount -t sysfs sys /sys
        mount -t devtmpfs dev /dev
        for i in 1 2 3 4 5 6 7 8 9; do [ -b /dev/nvme0n1 ] || sleep 0.1; done
        echo READY
        exec sh

        """;

    readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("vmm-images-");
    readonly Lazy<bool> written;

    readonly Lazy<string> withModule;

    public DebianImages()
    {
        written = new(Write);
        withModule = new(() => Pack("initrd-virtio-iommu", "virtio_iommu"));
    }

    public string Folder => folder.FullName;

    public string Kernel => written.Value ? Path.Combine(Folder, "vmlinuz") : "";

    /// <summary>The same with Debian's virtio_iommu driver, which its kernel has as a module.</summary>
    public string VirtioIommuInitrd => withModule.Value;

    public string Initrd => written.Value ? Path.Combine(Folder, "initrd") : "";

    bool Write()
    {
        File.WriteAllBytes(Path.Combine(Folder, "vmlinuz"), Guests.Kit.Kernel.Backport.Image.ToArray());
        Pack("initrd");
        return true;
    }

    string Pack(string name, params string[] modules)
    {
        var initrd = new BusyboxInitrd
        {
            Busybox = DebianArchive.Get("busybox-static"), Init = Init.ReplaceLineEndings("\n").Replace("/LOAD", "/" + BusyboxInitrd.LoadScript, StringComparison.Ordinal),
            Modules = modules.Length == 0 ? [] : KernelModules.Extract(Guests.Kit.Kernel.Backport.Package, modules),
        };
        var path = Path.Combine(Folder, name);
        File.WriteAllBytes(path, initrd.Pack());
        return path;
    }

    public void Dispose() => folder.Delete(recursive: true);
}
