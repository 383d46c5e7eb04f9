using Vmm.GuestDma.Guest;
using Vmm.Platform.Memory;

namespace Vmm.GuestDma.Domains;

/// <summary>Guest-physical runs of bytes; grows when it must and is used again and again.</summary>
public sealed class PageRuns
{
    (ulong Start, ulong Bytes)[] runs = new (ulong, ulong)[16];

    /// <summary>Runs.</summary>
    public int Count { get; private set; }

    /// <summary>Adds bytes; they extend the last run when they follow it.</summary>
    public void Add(ulong start, ulong bytes)
    {
        Pages += (int)(bytes >> 12);
        if (Count > 0 && runs[Count - 1].Start + runs[Count - 1].Bytes == start)
        {
            runs[Count - 1].Bytes += bytes;
            return;
        }

        if (Count == runs.Length)
        {
            Array.Resize(ref runs, Count * 2);
        }

        runs[Count++] = (start, bytes);
    }

    /// <summary>Pages of all runs.</summary>
    public int Pages { get; private set; }

    /// <summary>Puts the references on all pages; empty then.</summary>
    public void Release(GuestPages pages)
    {
        for (var i = 0; i < Count; i++)
        {
            pages.Release(new(runs[i].Start), runs[i].Bytes);
        }

        Count = Pages = 0;
    }
}
