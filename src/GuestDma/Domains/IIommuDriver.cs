using Vmm.GuestDma.Faults;
using Vmm.Platform.Dma;

namespace Vmm.GuestDma.Domains;

/// <summary>The driver of an IOMMU: puts devices into domains.</summary>
public interface IIommuDriver
{
    /// <summary>Makes an empty domain. False: no memory.</summary>
    bool TryCreateDomain(out IIommuDomain domain);

    /// <summary>Puts a device into a domain of this driver.</summary>
    bool TryAttach(Bdf device, IIommuDomain domain);

    /// <summary>Lets a device pass untranslated. False: the unit cannot, or memory is missing.</summary>
    bool TryBypass(Bdf device);

    /// <summary>Faults that were read from the unit.</summary>
    FaultReports Faults { get; }

    /// <summary>The unit has faults to report.</summary>
    bool HasFaults { get; }

    /// <summary>Reads and clears what the unit has to report and passes it to the owners; returns how many faults those were.</summary>
    int HandleFaults();

    /// <summary>Invalidations asked for so far.</summary>
    ulong Invalidations { get; }
}
