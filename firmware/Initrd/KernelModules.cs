using Vmm.Firmware.Archives;
using Vmm.Firmware.Compression;

namespace Vmm.Firmware.Initrd;

/// <summary>A kernel module.</summary>
/// <param name="Name">Its file name without .ko.</param>
/// <param name="Content">The ELF file.</param>
public sealed record KernelModule(string Name, ReadOnlyMemory<byte> Content);

/// <summary>Takes modules out of a kernel package.</summary>
public static class KernelModules
{
    const int LargestModule = 64 << 20;

    /// <summary>The named modules, uncompressed, in the order of the names, which is the order to load them in.</summary>
    /// <param name="kernel">A linux-image package.</param>
    /// <param name="names">Names; dashes and underscores are the same.</param>
    /// <exception cref="ImageException">One is not in the package.</exception>
    public static IReadOnlyList<KernelModule> Extract(DebianPackage kernel, params IReadOnlyList<string> names)
    {
        var wanted = names.Select(Canonical).ToHashSet();
        var found = kernel.Extract(path => ModuleName(path) is { } name && wanted.Contains(Canonical(name)))
            .GroupBy(entry => Canonical(ModuleName(entry.Path)!))
            .ToDictionary(group => group.Key, group => group.First());
        return [.. names.Select(name => found.TryGetValue(Canonical(name), out var entry)
            ? new KernelModule(ModuleName(entry.Path)!, Unpacked(entry))
            : throw new ImageException($"kernel module {name}", -1, "the package does not contain it"))];
    }

    static ReadOnlyMemory<byte> Unpacked(ArchiveEntry entry) => entry.Path.EndsWith(".ko", StringComparison.Ordinal)
        ? entry.Content
        : Decompressor.Unpack(entry.Content, LargestModule);

    /// <summary>The module's name when the path is one: file.ko, file.ko.xz, file.ko.zst or file.ko.gz.</summary>
    static string? ModuleName(string path)
    {
        var file = path[(path.LastIndexOf('/') + 1)..];
        var dot = file.IndexOf('.', StringComparison.Ordinal);
        return dot > 0 && file[dot..] is ".ko" or ".ko.xz" or ".ko.zst" or ".ko.gz" ? file[..dot] : null;
    }

    static string Canonical(string name) => name.Replace('-', '_');
}
