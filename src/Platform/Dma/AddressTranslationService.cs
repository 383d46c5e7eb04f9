using Vmm.Platform.Memory;

namespace Vmm.Platform.Dma;

/// <summary>How a device answered an invalidation of its TLB (PCIe §10.3).</summary>
public enum DeviceTlbCompletion
{
    /// <summary>The entries are gone.</summary>
    Completed,

    /// <summary>No answer came in time, or nobody is there.</summary>
    TimedOut,

    /// <summary>An answer came that does not fit the request.</summary>
    Malformed,
}

/// <summary>An invalidation request to a device's TLB.</summary>
/// <param name="Address">First byte, a multiple of <paramref name="Length"/>.</param>
/// <param name="Length">Bytes, a power of two from 4096 on; 0 for the whole address space.</param>
/// <param name="Pasid">Process address space id; meaningful with <paramref name="HasPasid"/>.</param>
/// <param name="HasPasid">Only translations of that PASID; otherwise those made without one.</param>
/// <param name="IsGlobal">Translations of every PASID.</param>
public readonly record struct DeviceTlbInvalidation(Iova Address, ulong Length, uint Pasid, bool HasPasid, bool IsGlobal);

/// <summary>Answer of software to the page requests of one group (PCIe §10.4.2).</summary>
/// <param name="Group">Page request group index, 9 bits.</param>
/// <param name="Code">0 success, 1 invalid request, 15 failure.</param>
/// <param name="Pasid">Process address space id; meaningful with <paramref name="HasPasid"/>.</param>
/// <param name="HasPasid">The response carries a PASID.</param>
public readonly record struct PageGroupResponse(ushort Group, byte Code, uint Pasid, bool HasPasid);

/// <summary>A page request (PCIe §10.4.1).</summary>
/// <param name="Requester">Source id.</param>
/// <param name="Address">Page that is wanted.</param>
/// <param name="Read">To be read.</param>
/// <param name="Write">To be written.</param>
/// <param name="IsLast">Last request of its group: a response is expected.</param>
/// <param name="Group">Page request group index, 9 bits.</param>
/// <param name="Pasid">Process address space id; meaningful with <paramref name="HasPasid"/>.</param>
/// <param name="HasPasid">The request carries a PASID.</param>
/// <param name="Privileged">Privileged mode (with PASID).</param>
/// <param name="Execute">To be executed (with PASID).</param>
public readonly record struct PageRequest(
    Bdf Requester,
    Iova Address,
    bool Read,
    bool Write,
    bool IsLast,
    ushort Group,
    uint Pasid = 0,
    bool HasPasid = false,
    bool Privileged = false,
    bool Execute = false);

/// <summary>The address translation cache of a device, as the IOMMU reaches it.</summary>
public interface IDeviceTlb
{
    /// <summary>Drops translations.</summary>
    DeviceTlbCompletion Invalidate(in DeviceTlbInvalidation invalidation);

    /// <summary>Takes software's answer to a page request group.</summary>
    void Respond(in PageGroupResponse response);
}

/// <summary>What an IOMMU offers to devices with a TLB of their own, besides translation requests.</summary>
public interface IAddressTranslationService
{
    /// <summary>Names the TLB that invalidations and responses for a source go to; null takes it away.</summary>
    void AttachDeviceTlb(Bdf requester, IDeviceTlb? tlb);

    /// <summary>
    /// Asks software for a page. The answer always comes as <see cref="IDeviceTlb.Respond"/>, at once where hardware
    /// answers itself. False: refused, and the fault is recorded.
    /// </summary>
    bool RequestPage(in PageRequest request);
}
