using Vmm.Firmware;
using Vmm.Firmware.Boot;
using Vmm.Firmware.BuiltIn;

namespace Vmm.Machine;

/// <summary>A file that is loaded beside the kernel.</summary>
/// <param name="Path">The file.</param>
/// <param name="Text">What a multiboot kernel is told of it: a name, then arguments.</param>
public sealed record ModuleFile(string Path, string Text = "")
{
    /// <summary>From a command line: FILE, or FILE and arguments after a space, as QEMU and GRUB take multiboot modules.</summary>
    public static ModuleFile Parse(string text)
    {
        var space = File.Exists(text) ? -1 : text.IndexOf(' ', StringComparison.Ordinal);
        return new(space < 0 ? text : text[..space], text);
    }
}

/// <summary>What a machine boots: image files and how to enter them.</summary>
public sealed record BootSource
{
    /// <summary>Command line of a kernel that is given none.</summary>
    public const string DefaultCommandLine = "console=ttyS0 cryptomgr.notests";

    /// <summary>Kernel or image file; null is a built-in guest.</summary>
    public string? Kernel { get; init; }

    /// <summary>Which built-in guest, without a kernel: one of <see cref="BuiltInGuest.Names"/>.</summary>
    public string Guest { get; init; } = BuiltInGuest.Test;

    /// <summary>Initial RAM disk files, loaded one after the other; modules of a multiboot kernel.</summary>
    public IReadOnlyList<ModuleFile> Initrds { get; init; } = [];

    /// <summary>Command line; null is <see cref="DefaultCommandLine"/> for a kernel, and nothing for a multiboot or flat image or a built-in guest.</summary>
    public string? CommandLine { get; init; }

    /// <summary>Boot protocol.</summary>
    public BootProtocol Protocol { get; init; }

    /// <summary>Load address of a flat image.</summary>
    public FlatStart? Flat { get; init; }

    /// <summary>Command line of an image that is given none: multiboot and flat images are no Linux kernels and count their arguments.</summary>
    public static string DefaultFor(BootProtocol protocol) => protocol is BootProtocol.Multiboot or BootProtocol.Flat ? "" : DefaultCommandLine;

    /// <summary>Reads the files and lays them out for a machine.</summary>
    /// <exception cref="ImageException">A file cannot be read or booted.</exception>
    public BootPlan Plan(VirtualMachine machine)
    {
        ReadOnlyMemory<byte> image = Kernel != null ? ImageFile.Read(Kernel, "kernel") : BuiltInGuest.Build(Guest);
        image = Flat != null || Protocol == BootProtocol.Flat ? image : BootLoader.Unpack(image);
        var protocol = Protocol != BootProtocol.Auto ? Protocol : Flat != null ? BootProtocol.Flat : BootLoader.Detect(image);
        return BootLoader.Plan(new()
        {
            RamBytes = machine.Config.MemoryBytes,
            Image = image,
            ImageName = Kernel ?? "built-in",
            Protocol = protocol,
            CommandLine = CommandLine ?? (Kernel != null ? DefaultFor(protocol) : ""),
            Modules = [.. Initrds.Select(module => new BootModule(module.Text, ImageFile.Read(module.Path, "initrd")))],
            Flat = Flat,
            Acpi = machine.BuildAcpi(),
        });
    }
}
