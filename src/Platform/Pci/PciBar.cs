using System.Buffers.Binary;
using Vmm.Platform.Bus;
using Vmm.Specs.Pci;

namespace Vmm.Platform.Pci;

/// <summary>One base address register and the window it opens (PCI 3.0 §6.2.5).</summary>
public sealed class PciBar : IBusTarget
{
    readonly PciFunction function;

    internal PciBar(PciFunction function, int index, ulong size, bool isIo, bool is64, bool isPrefetchable)
    {
        this.function = function;
        Index = index;
        Name = $"{function.Name}.bar{index}";
        Size = size;
        IsIo = isIo;
        Is64 = is64;
        IsPrefetchable = isPrefetchable;
    }

    /// <summary>BAR number, 0 to 5; a 64-bit BAR also takes the next number.</summary>
    public int Index { get; }

    /// <summary>Size in bytes, a power of two.</summary>
    public ulong Size { get; }

    /// <summary>I/O space.</summary>
    public bool IsIo { get; }

    /// <summary>64-bit memory.</summary>
    public bool Is64 { get; }

    /// <summary>Prefetchable memory.</summary>
    public bool IsPrefetchable { get; }

    /// <summary>Name in reports ("nvme0.bar0").</summary>
    public string Name { get; }

    /// <summary>Where the window answers now, or null.</summary>
    public BusRegion? Region { get; internal set; }

    /// <summary>Offsets whose writes only wake the device's thread (an eventfd); empty by default.</summary>
    public Range Doorbells { get; init; }

    /// <summary>Offset of the register in config space.</summary>
    public int Register => PciHeader.Bar0 + Index * 4;

    /// <summary>Address that the register holds, in bytes.</summary>
    public ulong Address => (Is64 ? function.Config.Get64(Register) : function.Config.Get32(Register)) & ~(Size - 1);

    /// <summary>Gives the window an address while it is not decoded, as firmware does.</summary>
    public void Assign(ulong address)
    {
        Span<byte> bytes = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, address);
        function.WriteConfig(Register, bytes[..(Is64 ? 8 : 4)]);
    }

    /// <summary>The read-only low bits.</summary>
    internal uint TypeBits => IsIo ? PciHeader.BarIo : (Is64 ? PciHeader.BarMemory64 : 0) | (IsPrefetchable ? PciHeader.BarPrefetchable : 0);

    /// <summary>
    /// True when the function decodes this window now. Address 0 and the top of the 32-bit space, which the sizing
    /// protocol leaves in the register for a moment, decode nothing; nor does what is past the space.
    /// </summary>
    internal bool IsDecoded
    {
        get
        {
            var address = Address;
            var last = address + (Size - 1);
            return function.Decodes(IsIo) && address != 0 && last != 0xFFFF_FFFF && last <= (IsIo ? 0xFFFFul : (1ul << 52) - 1);
        }
    }

    /// <inheritdoc/>
    public IoResult Read(ulong offset, Span<byte> data) => function.ReadBar(Index, offset, data);

    /// <inheritdoc/>
    public IoResult Write(ulong offset, ReadOnlySpan<byte> data) => function.WriteBar(Index, offset, data);
}
