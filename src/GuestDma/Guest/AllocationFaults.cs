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
    readonly ulong[] attempts = new ulong[Enum.GetValues<AllocationSite>().Length], failures = new ulong[Enum.GetValues<AllocationSite>().Length];

    /// <summary>Attempts so far.</summary>
    public ulong Attempts { get; private set; }

    /// <summary>Only attempts of this site count and fail; null for all.</summary>
    public AllocationSite? Only { get; set; }

    /// <summary>Number of the attempt that fails, from 1; 0 for none.</summary>
    public ulong FailAt { get; set; }

    /// <summary>Number of the first attempt from which on all fail; 0 for none.</summary>
    public ulong FailFrom { get; set; }

    /// <summary>Every n-th attempt fails; 0 for none.</summary>
    public ulong FailEvery { get; set; }

    /// <summary>Site of the last failure.</summary>
    public AllocationSite? LastFailed { get; private set; }

    /// <summary>Failures of a site so far.</summary>
    public ulong Failures(AllocationSite site) => failures[(int)site];

    /// <summary>Attempts of a site so far.</summary>
    public ulong AttemptsOf(AllocationSite site) => attempts[(int)site];

    /// <summary>True when this attempt is to fail.</summary>
    public bool Fails(AllocationSite site)
    {
        Attempts++;
        var own = ++attempts[(int)site];
        if (Only is { } only && only != site || !IsChosen(Only == null ? Attempts : own))
        {
            return false;
        }

        LastFailed = site;
        failures[(int)site]++;
        return true;
    }

    bool IsChosen(ulong number) =>
        number == FailAt || FailFrom != 0 && number >= FailFrom || FailEvery != 0 && number % FailEvery == 0;
}
