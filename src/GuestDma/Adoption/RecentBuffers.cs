namespace Vmm.GuestDma.Adoption;

/// <summary>How often buffers were mapped lately: a fixed table in which newer ones displace older ones.</summary>
sealed class RecentBuffers
{
    const int Size = 1 << 16;

    readonly (ulong Page, int Pages, int Times)[] table = new (ulong, int, int)[Size];

    /// <summary>Notes a buffer; returns how often it was seen before.</summary>
    public int Note(ulong page, int pages)
    {
        ref var entry = ref table[(page * 0x9E37_79B9_7F4A_7C15 >> 48) & Size - 1];
        if (entry.Page != page || entry.Pages != pages)
        {
            entry = (page, pages, 0);
        }

        return entry.Times++;
    }
}
