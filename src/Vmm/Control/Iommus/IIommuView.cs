using Vmm.Api.V1;
using Vmm.Machine;
using Vmm.Platform.Dma;

namespace Vmm.Control.Iommus;

/// <summary>One step through the mappings of a device.</summary>
/// <param name="Mapping">What is mapped at the address or, with <see cref="Mapping"/> null, nothing.</param>
/// <param name="Next">Address to go on at; 0: nothing follows.</param>
internal readonly record struct DumpStep(IommuMapping? Mapping, ulong Next);

/// <summary>A remapping unit in the words of the API, whatever its kind. To be asked on the machine's thread.</summary>
internal interface IIommuView
{
    /// <summary>The unit has page tables for each PASID.</summary>
    bool HasPasids { get; }

    /// <summary>Domains that were used, from a number on and in the order of their numbers.</summary>
    IEnumerable<IommuDomain> Domains(uint from);

    /// <summary>Explains one translation.</summary>
    TranslateResponse Translate(in DmaRequest request);

    /// <summary>What is mapped at or after the request's address.</summary>
    DumpStep Step(in DmaRequest request);

    /// <summary>How full the caches are.</summary>
    GetCachesResponse Caches();

    /// <summary>Faults.</summary>
    ListIommuFaultsResponse Faults();

    /// <summary>Counters.</summary>
    GetIommuCountersResponse Counters();

    /// <summary>What was counted for one function.</summary>
    TranslationCounts Device(Bdf requester);

    /// <summary>Told of each blocked request, when it is, on the machine's thread.</summary>
    Action<BlockedRequest>? Blocked { set; }

    /// <summary>Name of a fault reason.</summary>
    string NameOf(uint reason);

    /// <summary>Empties the caches.</summary>
    void Flush();

    /// <summary>The unit of a machine, or null.</summary>
    static IIommuView? Of(VirtualMachine machine) =>
        machine.Iommu is { } vtd ? new VtdView(machine, vtd) : machine.VirtioIommu is { } virtio ? new ViommuView(machine, virtio) : null;
}
