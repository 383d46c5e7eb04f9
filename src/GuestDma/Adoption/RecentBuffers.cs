namespace Vmm.GuestDma.Adoption;

/// <summary>How often buffers were mapped lately: a fixed table in which newer ones displace older ones.</summary>
sealed class RecentBuffers
{
    const int Size = 1 << 16;

    (ulong Signature, int Times)[]? table;

    /// <summary>Notes a buffer by the signature of its pages; returns how often it was seen before.</summary>
    public int Note(ulong signature)
    {
        table ??= new (ulong, int)[Size];
        ref var entry = ref table[(signature * 0x9E37_79B9_7F4A_7C15 >> 48) & Size - 1];
        if (entry.Signature != signature)
        {
            entry = (signature, 0);
        }

        return entry.Times++;
    }

    /// <summary>A hash of the addresses and lengths of a list.</summary>
    public static ulong Signature(ReadOnlySpan<ScatterEntry> list)
    {
        var hash = (ulong)list.Length;
        foreach (ref readonly var entry in list)
        {
            hash = (hash ^ entry.Address.Value ^ (uint)entry.Length) * 0xFF51_AFD7_ED55_8CCD;
            hash ^= hash >> 32;
        }

        return hash;
    }
}
