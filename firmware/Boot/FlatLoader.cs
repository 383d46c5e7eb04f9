using Vmm.Platform.Memory;

namespace Vmm.Firmware.Boot;

/// <summary>Starts bytes as they are: a boot sector, or a test image of 16, 32 or 64-bit code at any address.</summary>
internal static class FlatLoader
{
    const int SectorSize = 512;
    const ulong RealModeLimit = 0x100000;

    /// <summary>True for the signature that ends a boot sector.</summary>
    public static bool IsBootSector(ReadOnlySpan<byte> image) => image.Length >= SectorSize && image[SectorSize - 2] == 0x55 && image[SectorSize - 1] == 0xAA;

    /// <summary>Loads the image.</summary>
    public static CpuEntryState Load(BootRequest request, Placement memory)
    {
        var flat = request.Flat ?? (IsBootSector(request.Image.Span) ? FlatStart.BootSector
            : throw new ImageException("flat image", -1, "its load address and mode are needed"));
        var length = (ulong)request.Image.Length;
        if (flat.EntryOffset >= length)
        {
            throw new ImageException("flat entry offset", -1, $"0x{flat.EntryOffset:x} is past the image's 0x{length:x} bytes");
        }

        memory.Claim("flat image", flat.Address.Value, length, -1);
        memory.Write("flat image", flat.Address, request.Image);
        var entry = flat.Address.Value + flat.EntryOffset;
        if (flat.Mode == CpuMode.Real16 && entry >= RealModeLimit)
        {
            throw new ImageException("flat load address", -1, $"0x{entry:x} is out of reach in real mode");
        }

        return flat.Mode switch
        {
            CpuMode.Real16 => EntryStates.Real16(entry),
            CpuMode.Protected32 => EntryStates.Protected32(memory, entry),
            _ => EntryStates.Long64(memory, entry),
        };
    }
}
