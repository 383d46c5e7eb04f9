using Vmm.Platform.Dma;
using Vmm.Specs.Virtio;

namespace Vmm.VirtioIommu;

/// <summary>What one endpoint or one domain caused since the machine was built.</summary>
public struct ViommuCounters
{
    /// <summary>Translations answered by the cache.</summary>
    public ulong Hits;

    /// <summary>Translations that searched the mappings.</summary>
    public ulong Misses;

    /// <summary>Requests that passed with their own address (bypass).</summary>
    public ulong Bypassed;

    /// <summary>Interrupt messages passed.</summary>
    public ulong Interrupts;

    /// <summary>Requests blocked because the endpoint is in no domain.</summary>
    public ulong DomainFaults;

    /// <summary>Requests blocked for want of a mapping or a right.</summary>
    public ulong MappingFaults;

    /// <summary>Requests blocked for any other reason.</summary>
    public ulong UnknownFaults;

    /// <summary>MAP requests done (domains only).</summary>
    public ulong Maps;

    /// <summary>UNMAP requests done (domains only).</summary>
    public ulong Unmaps;

    /// <summary>Mappings that UNMAP requests removed (domains only).</summary>
    public ulong Removed;

    /// <summary>Requests blocked, for whatever reason.</summary>
    public readonly ulong Faults => DomainFaults + MappingFaults + UnknownFaults;

    internal void Count(VirtioIommuFault reason)
    {
        switch (reason)
        {
            case VirtioIommuFault.Domain:
                DomainFaults++;
                break;
            case VirtioIommuFault.Mapping:
                MappingFaults++;
                break;
            default:
                UnknownFaults++;
                break;
        }
    }
}

/// <summary>A device behind the IOMMU. On PCI segment 0 its id is its requester id, as the VIOT ranges say.</summary>
/// <param name="requester">Requester id.</param>
public sealed class ViommuEndpoint(Bdf requester)
{
    internal ViommuCounters Counted;

    /// <summary>Requester id.</summary>
    public Bdf Requester { get; } = requester;

    /// <summary>Endpoint id in requests and fault reports.</summary>
    public uint Id => Requester.Value;

    /// <summary>The domain it is attached to, or null.</summary>
    public ViommuDomain? Domain { get; internal set; }

    /// <summary>What it caused.</summary>
    public ViommuCounters Counters => Counted;
}

/// <summary>One address space. It exists while an endpoint is attached.</summary>
public sealed class ViommuDomain
{
    internal readonly CounterBox Box;
    internal int Root;

    internal ViommuDomain(uint id, bool isBypass, CounterBox box)
    {
        Id = id;
        IsBypass = isBypass;
        Box = box;
    }

    /// <summary>Id that the driver chose.</summary>
    public uint Id { get; }

    /// <summary>Made with VIRTIO_IOMMU_ATTACH_F_BYPASS: its endpoints use guest-physical addresses.</summary>
    public bool IsBypass { get; }

    /// <summary>Endpoints attached.</summary>
    public int Endpoints { get; internal set; }

    /// <summary>Mappings.</summary>
    public int Mappings { get; internal set; }

    /// <summary>What its endpoints and requests caused; kept by id, also from an earlier life of the id.</summary>
    public ViommuCounters Counters => Box.Value;

    /// <summary>Counters that outlive the domain.</summary>
    internal sealed class CounterBox
    {
        public ViommuCounters Value;
    }
}
