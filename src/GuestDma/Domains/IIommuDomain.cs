using Vmm.Platform.Memory;

namespace Vmm.GuestDma.Domains;

/// <summary>What was unmapped and may still be cached by the hardware.</summary>
public struct InvalidationGather
{
    /// <summary>First byte.</summary>
    public ulong Start;

    /// <summary>One past the last byte; 0 when nothing was gathered.</summary>
    public ulong End;

    /// <summary>True when nothing was gathered.</summary>
    public readonly bool IsEmpty => End == 0;

    /// <summary>Adds a range; what lies between is invalidated too.</summary>
    public void Add(ulong start, ulong bytes)
    {
        Start = IsEmpty ? start : Math.Min(Start, start);
        End = Math.Max(End, start + bytes);
    }
}

/// <summary>One IO address space. Addresses and lengths are whole pages.</summary>
public interface IIommuDomain
{
    /// <summary>Last usable address.</summary>
    ulong Limit { get; }

    /// <summary>Translations put in, minus those taken out, in bytes.</summary>
    ulong MappedBytes { get; }

    /// <summary>Maps a range that is not mapped. False: nothing is mapped of it.</summary>
    bool TryMap(ulong address, Gpa target, ulong bytes, DmaProtection protection);

    /// <summary>Makes new mappings of a range visible to the hardware where that takes more than the tables. False: not visible.</summary>
    bool TrySyncMap(ulong address, ulong bytes);

    /// <summary><see cref="TryMap"/> and <see cref="TrySyncMap"/>. False: nothing is mapped of it.</summary>
    bool TryMapVisibly(ulong address, Gpa target, ulong bytes, DmaProtection protection)
    {
        if (!TryMap(address, target, bytes, protection))
        {
            return false;
        }

        if (TrySyncMap(address, bytes))
        {
            return true;
        }

        var gather = new InvalidationGather();
        Unmap(address, bytes, ref gather, null);
        Sync(ref gather);
        return false;
    }

    /// <summary>Takes a range out that <see cref="TryMap"/> put in. The hardware may use it until <see cref="Sync"/> or <see cref="FlushAll"/>.</summary>
    /// <param name="address">First byte.</param>
    /// <param name="bytes">Length.</param>
    /// <param name="gather">Grows by the range.</param>
    /// <param name="runs">Takes the guest-physical runs that were mapped there, or null.</param>
    void Unmap(ulong address, ulong bytes, ref InvalidationGather gather, PageRuns? runs);

    /// <summary>Invalidates what was gathered, and waits; the gather is empty then.</summary>
    void Sync(ref InvalidationGather gather);

    /// <summary>Invalidates several ranges and waits once.</summary>
    void Invalidate(ReadOnlySpan<InvalidationGather> ranges);

    /// <summary>Invalidates everything of the domain, and waits.</summary>
    void FlushAll();

    /// <summary>Gives memory of tables back that map nothing.</summary>
    void Trim();
}
