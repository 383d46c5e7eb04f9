using Vmm.Platform.Faults;
using Vmm.Platform.Interrupts;
using Vmm.Platform.Memory;

namespace Vmm.Platform.Dma;

/// <summary>PCI bus (15:8), device (7:3), function (2:0): the requester id of a transaction (PCIe §2.2.6.2).</summary>
public readonly record struct Bdf(ushort Value)
{
    /// <summary>Composes an id from its parts.</summary>
    public Bdf(int bus, int device, int function)
        : this((ushort)(bus << 8 | (device & 31) << 3 | function & 7))
    {
    }

    /// <summary>Bus number.</summary>
    public byte Bus => (byte)(Value >> 8);

    /// <summary>Device number, 0 to 31.</summary>
    public int Device => Value >> 3 & 31;

    /// <summary>Function number, 0 to 7.</summary>
    public int Function => Value & 7;

    /// <summary>Device and function as one byte.</summary>
    public byte DevFn => (byte)Value;

    /// <inheritdoc/>
    public override string ToString() => $"{Bus:x2}:{Device:x2}.{Function}";
}

/// <summary>What a DMA transaction wants to do.</summary>
[Flags]
public enum DmaAccess : byte
{
    /// <summary>Memory read request.</summary>
    Read = 1,

    /// <summary>Memory write request.</summary>
    Write = 2,

    /// <summary>AtomicOp: needs read and write permission.</summary>
    Atomic = 4,

    /// <summary>ATS translation request: asks for permissions, touches no memory.</summary>
    Translation = 8,

    /// <summary>The address was translated before (PCIe AT=10b): the IOMMU checks only that the device may do this.</summary>
    Translated = 16,
}

/// <summary>One DMA transaction as the IOMMU sees it. It never crosses a 4 KiB page.</summary>
/// <param name="Requester">Source id.</param>
/// <param name="Address">First byte.</param>
/// <param name="Access">Kind of access.</param>
/// <param name="Pasid">Process address space id, 20 bits; meaningful with <paramref name="HasPasid"/>.</param>
/// <param name="HasPasid">The transaction carries a PASID prefix.</param>
/// <param name="Privileged">Privileged-mode request (PASID prefix only).</param>
/// <param name="Execute">Execute request (PASID prefix only).</param>
public readonly record struct DmaRequest(
    Bdf Requester,
    Iova Address,
    DmaAccess Access,
    uint Pasid = 0,
    bool HasPasid = false,
    bool Privileged = false,
    bool Execute = false);

/// <summary>
/// Where a transaction goes after translation.
/// </summary>
/// <param name="Address">Guest-physical address of the request's first byte.</param>
/// <param name="Length">Bytes from there that are mapped contiguously with the same permissions: at least to the page's end.</param>
/// <param name="Readable">Reads are allowed in the window.</param>
/// <param name="Writable">Writes are allowed in the window.</param>
public readonly record struct DmaWindow(Gpa Address, ulong Length, bool Readable, bool Writable);

/// <summary>
/// An IOMMU as the devices behind it see it. Both members record their own faults and report them to the guest as the
/// specification says; the caller only learns that the transaction was blocked. No allocation, no exception.
/// </summary>
public interface IDmaTranslator
{
    /// <summary>Name for reports ("vtd0").</summary>
    string Name { get; }

    /// <summary>Translates one transaction. False: blocked, and the fault is recorded.</summary>
    bool TryTranslate(in DmaRequest request, out DmaWindow window);

    /// <summary>
    /// Remaps an interrupt message. False: blocked, and the fault is recorded. True with
    /// <see cref="MsiMessage.IsAbsorbed"/>: taken, and nothing is to be delivered.
    /// </summary>
    bool TryRemap(Bdf requester, MsiMessage message, out MsiMessage remapped);

    /// <summary>
    /// Blocks a request as if translating it had failed, and reports it as the specification says for that fault. Level 1 to 5:
    /// the tables are walked first, past the caches; 0: nothing is looked at but what decides whether software is told.
    /// </summary>
    InjectedFault InjectFault(in DmaRequest request, uint reason, uint level);

    /// <summary>Blocks an interrupt message as if remapping it had failed.</summary>
    InjectedFault InjectRemapFault(Bdf requester, MsiMessage message, uint reason);

    /// <summary>
    /// Raised by one whenever a cached result may have become wrong (invalidation, enable, disable).
    /// A <see cref="DmaPort"/> that keeps its last translation compares this number first.
    /// </summary>
    uint Generation { get; }
}
