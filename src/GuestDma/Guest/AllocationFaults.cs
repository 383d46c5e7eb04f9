namespace Vmm.GuestDma.Guest;

/// <summary>Places where the layer asks for something that may not be there.</summary>
public enum AllocationSite
{
    /// <summary>A page of a translation table.</summary>
    Table,

    /// <summary>A range of IO virtual addresses.</summary>
    Iova,

    /// <summary>Memory of a bounce buffer.</summary>
    Bounce,

    /// <summary>Coherent memory.</summary>
    Coherent,

    /// <summary>A place in the list of adopted buffers.</summary>
    Adoption,

    /// <summary>A request to a paravirtual IOMMU.</summary>
    Request,

    /// <summary>Memory of a driver's caller.</summary>
    Buffer,
}

/// <summary>Decides which allocation fails, to show that every failure is clean.</summary>
public sealed class AllocationFaults
{
    /// <summary>Attempts so far.</summary>
    public ulong Attempts { get; private set; }

    /// <summary>Number of the attempt that fails, from 1; 0 for none.</summary>
    public ulong FailAt { get; set; }

    /// <summary>Every n-th attempt fails; 0 for none.</summary>
    public ulong FailEvery { get; set; }

    /// <summary>Site of the last failure.</summary>
    public AllocationSite? LastFailed { get; private set; }

    /// <summary>Failures so far.</summary>
    public ulong Failures { get; private set; }

    /// <summary>True when this attempt is to fail.</summary>
    public bool Fails(AllocationSite site)
    {
        Attempts++;
        if (Attempts != FailAt && (FailEvery == 0 || Attempts % FailEvery != 0))
        {
            return false;
        }

        LastFailed = site;
        Failures++;
        return true;
    }
}
