namespace Vmm.Platform.Memory;

/// <summary>How a poisoned page was touched.</summary>
public enum PoisonAccess
{
    /// <summary>Data load of a processor.</summary>
    Load,

    /// <summary>Data store, or read-modify-write, of a processor.</summary>
    Store,

    /// <summary>Instruction fetch.</summary>
    Fetch,

    /// <summary>The processor's page walk read a paging structure.</summary>
    PageWalk,

    /// <summary>DMA read of a device.</summary>
    DmaRead,

    /// <summary>DMA write of a device.</summary>
    DmaWrite,
}

/// <summary>Hears of every access to a poisoned page, before any byte moves.</summary>
public interface IPoisonObserver
{
    /// <summary>An access to a poisoned page is about to happen.</summary>
    /// <param name="access">What kind of access.</param>
    /// <param name="source">Number of the vCPU, or the requester id of the device.</param>
    /// <param name="address">Guest-physical address of the first byte.</param>
    void Touched(PoisonAccess access, int source, Gpa address);
}
