using System.Numerics;
using Vmm.Platform.Registers;
using Vmm.Specs.Pci;

namespace Vmm.Platform.Pci;

/// <summary>What a device adds to its function while it is built.</summary>
public sealed partial class PciFunction
{
    PciBar[] bars = [];
    int capabilityEnd = PciHeader.FirstCapability;
    int lastExtended = -1;
    int extendedEnd = PciHeader.FirstExtendedCapability;

    /// <summary>MSI, or null.</summary>
    public Msi? Msi { get; private set; }

    /// <summary>MSI-X, or null.</summary>
    public Msix? Msix { get; private set; }

    /// <summary>Adds a memory BAR.</summary>
    /// <param name="index">BAR number, 0 to 5 (0 to 4 when 64-bit).</param>
    /// <param name="size">Bytes: a power of two of 4 KiB at least, so that windows never share a page.</param>
    /// <param name="is64">64-bit address; also takes BAR <paramref name="index"/> + 1.</param>
    /// <param name="isPrefetchable">Reads have no side effects.</param>
    /// <param name="doorbells">Offsets whose writes only wake the device's thread.</param>
    public PciBar AddMemoryBar(int index, ulong size, bool is64 = true, bool isPrefetchable = false, Range doorbells = default)
    {
        if (!BitOperations.IsPow2(size) || size < 4096 || !is64 && size > 1ul << 31)
        {
            throw new ArgumentOutOfRangeException(nameof(size), size, $"{Name}: BAR size");
        }

        return AddBar(new(this, index, size, false, is64, isPrefetchable) { Doorbells = doorbells });
    }

    /// <summary>Adds an I/O BAR of 4 to 256 bytes, a power of two.</summary>
    public PciBar AddIoBar(int index, uint size)
    {
        if (!BitOperations.IsPow2(size) || size is < 4 or > 256)
        {
            throw new ArgumentOutOfRangeException(nameof(size), size, $"{Name}: I/O BAR size");
        }

        return AddBar(new(this, index, size, true, false, false));
    }

    /// <summary>Makes the function use an interrupt pin, 1 (INTA#) to 4 (INTD#).</summary>
    public void SetInterruptPin(int pin) => Config.SetReset(PciHeader.InterruptPin, (uint)pin);

    /// <summary>Reserves a capability and links it in; the caller defines its registers from byte 2 on.</summary>
    /// <returns>Offset of the capability.</returns>
    public int AddCapability(byte id, int length)
    {
        var offset = capabilityEnd;
        capabilityEnd += length + 3 & ~3;
        if (capabilityEnd > PciHeader.FirstExtendedCapability)
        {
            throw new ArgumentOutOfRangeException(nameof(length), length, $"{Name}: no room for capability 0x{id:x}");
        }

        Config.Define(new($"CAP{id:X2}.ID", offset, 1, Reset: id));
        Config.Define(new($"CAP{id:X2}.NEXT", offset + 1, 1, Reset: Config.Get8(PciHeader.CapabilitiesPointer)));
        Config.SetReset(PciHeader.CapabilitiesPointer, (uint)offset);
        Config.SetReset(PciHeader.Status, PciStatus.CapabilitiesList);
        return offset;
    }

    /// <summary>Reserves an extended capability and links it in (PCIe 4.0 §7.6.3); the caller defines its registers from byte 4 on.</summary>
    /// <returns>Offset of the capability.</returns>
    public int AddExtendedCapability(ushort id, int version, int length)
    {
        var offset = extendedEnd;
        extendedEnd += length + 3 & ~3;
        Config.Define(new($"XCAP{id:X4}", offset, 4, Reset: (uint)version << 16 | id));
        if (lastExtended >= 0)
        {
            Config.SetReset(lastExtended, Config.Get32(lastExtended) | (uint)offset << 20);
        }

        lastExtended = offset;
        return offset;
    }

    /// <summary>Adds MSI with 64-bit addresses.</summary>
    /// <param name="vectors">1, 2, 4 ... 32.</param>
    /// <param name="maskable">With per-vector masks.</param>
    public void AddMsi(int vectors, bool maskable)
    {
        if (!BitOperations.IsPow2(vectors) || vectors is < 1 or > 32)
        {
            throw new ArgumentOutOfRangeException(nameof(vectors), vectors, $"{Name}: MSI vectors");
        }

        Msi = new(Config, Dma, AddCapability(PciCapabilityId.Msi, Pci.Msi.LengthOf(maskable)), vectors, maskable);
    }

    /// <summary>Adds MSI-X with its table and pending bits in one BAR.</summary>
    /// <param name="vectors">1 to 2048.</param>
    /// <param name="bar">BAR that holds both.</param>
    /// <param name="tableOffset">Offset of the table, a multiple of 8.</param>
    /// <param name="pbaOffset">Offset of the pending bits, a multiple of 8.</param>
    public void AddMsix(int vectors, int bar, ulong tableOffset, ulong pbaOffset)
    {
        if (vectors is < 1 or > 2048 || (tableOffset | pbaOffset) % 8 != 0 ||
            tableOffset < pbaOffset + (ulong)(vectors + 63) / 64 * 8 && pbaOffset < tableOffset + (ulong)vectors * MsixLayout.EntrySize)
        {
            throw new ArgumentOutOfRangeException(nameof(vectors), vectors, $"{Name}: MSI-X vectors, or the table and the pending bits overlap");
        }

        Msix = new(Config, Dma, AddCapability(PciCapabilityId.Msix, 12), vectors, bar, tableOffset, pbaOffset);
    }

    PciBar AddBar(PciBar bar)
    {
        if (bar.Index < 0 || bar.Index > (bar.Is64 ? 4 : 5))
        {
            throw new ArgumentOutOfRangeException(nameof(bar), bar.Index, $"{Name}: BAR number");
        }

        var mask = ~(UInt128)(bar.Size - 1);
        Config.Define(new RegisterDefinition($"BAR{bar.Index}", bar.Register, bar.Is64 ? 8 : 4, Write: mask, Reset: bar.TypeBits));
        bars = [.. bars.Append(bar).OrderBy(static b => b.Index)];
        return bar;
    }
}
