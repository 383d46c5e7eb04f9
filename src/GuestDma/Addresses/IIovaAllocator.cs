namespace Vmm.GuestDma.Addresses;

/// <summary>Hands out ranges of IO virtual pages.</summary>
public interface IIovaAllocator
{
    /// <summary>Takes <paramref name="pages"/> pages, aligned to their size rounded up to a power of two, that end at or below page <paramref name="limit"/>.</summary>
    bool TryAllocate(int pages, ulong limit, out ulong first);

    /// <summary>Gives a range back; the arguments are those of its allocation.</summary>
    void Free(ulong first, int pages);

    /// <summary>Pages that are handed out.</summary>
    ulong AllocatedPages { get; }
}
