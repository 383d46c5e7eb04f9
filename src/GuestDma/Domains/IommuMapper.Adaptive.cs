using Vmm.Platform.Memory;

namespace Vmm.GuestDma.Domains;

/// <content>The adaptive policy, and the bypass window.</content>
public sealed partial class IommuMapper
{
    /// <summary>A buffer is adopted when it comes for the third time.</summary>
    const int AdoptAfter = 2;

    /// <summary>Savings that may be kept for later, in cycles.</summary>
    const long MostSaved = 1L << 32;

    bool windowIsMapped;
    /// <summary>Cycles that adoption may spend before any was saved: 8 ms.</summary>
    const long StartBalance = 16_896_000;

    long balance = StartBalance;
    ulong lastMap;

    /// <summary>
    /// A buffer that is adopted is found; one that comes back is adopted; of the others each takes the way that has
    /// been cheaper for its size and number of pieces.
    /// </summary>
    int MapAdaptive(Span<ScatterEntry> list, int length, DmaDirection direction, DmaAttributes attributes, bool mayAdopt, bool mustBounce, bool mayBounce)
    {
        var start = view.Clock.Now;
        var protection = direction.Protection(attributes);
        var count = (int)(Translations.Pages(list) >> 12);
        if (mayAdopt)
        {
            var signature = Adoption.RecentBuffers.Signature(list);
            if (TryAdopted(list, signature, count, protection, out var address))
            {
                return list.Length == 1 ? Segments(list, address, length) : Join(list, address);
            }
        }

        var bounce = mustBounce || mayBounce && length <= arenas.Largest && costs.PrefersBounce(count, list.Length);
        var growths = arenas.Growths;
        if (bounce && TryBounce(arenas, list, length, direction, attributes))
        {
            if (arenas.Growths == growths)
            {
                costs.NoteMap(count, list.Length, bounce: true, view.Clock.Now - start);
            }

            return Bounced(list, length);
        }

        if (mustBounce)
        {
            return MapSingle(list, direction, attributes);
        }

        var segments = MapDirect(list, protection);
        costs.NoteMap(count, list.Length, bounce: false, view.Clock.Now - start);
        return segments;
    }

    /// <summary>
    /// Adoption pays for itself: it may spend what adopted buffers have saved, and to begin with 8 ms and a sixteenth of all time.
    /// So a load that never uses a buffer again loses no more than that.
    /// </summary>
    bool TryAdopted(ReadOnlySpan<ScatterEntry> list, ulong signature, int count, DmaProtection protection, out ulong address)
    {
        var now = view.Clock.Now;
        balance = Math.Min(balance + (long)(now - lastMap) / 16, MostSaved);
        lastMap = now;
        if (adopted.TryUse(list, signature, count, protection, out address))
        {
            balance += (long)costs.Cheaper(count, list.Length);
            return true;
        }

        if (adopted.AreFreed)
        {
            // Owners free what was adopted: not again before the time has earned it back.
            balance = Math.Min(balance, -StartBalance);
        }

        if (recent.Note(signature) < AdoptAfter || balance <= 0 || !adopted.TryAdopt(list, signature, count, protection, out address))
        {
            return false;
        }

        // Taking it out again will cost about as much.
        balance -= 2 * (long)(view.Clock.Now - now);
        return true;
    }

    void NoteUnmap(ulong address, ulong bytes, int pieces, bool bounced, ulong start)
    {
        if (Policy == DmaPolicy.Adaptive && !adopted.Owns(address) && !IsInWindow(address))
        {
            costs.NoteUnmap((int)(bytes >> 12), pieces, bounced, view.Clock.Now - start);
        }
    }

    /// <summary>True when every entry is made of whole pages, so that nothing else becomes reachable with it.</summary>
    static bool IsWhole(ReadOnlySpan<ScatterEntry> list)
    {
        foreach (ref readonly var entry in list)
        {
            if ((entry.Address.Value & 0xFFF) != 0 || (entry.Length & 0xFFF) != 0)
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>
    /// A mapping that bypasses translation: all RAM lies 1:1 in a window of the address space, which is mapped when the
    /// first such mapping is made. From then on the device reaches all RAM; that is what the attribute means.
    /// </summary>
    bool TryMapWindow(Span<ScatterEntry> list, DmaAttributes attributes)
    {
        if ((attributes & DmaAttributes.BypassIommu) == 0 || options.BypassWindow == 0 || options.BypassWindow + options.RamEnd - 1 > Math.Min(options.Mask, Translations.Domain.Limit))
        {
            return false;
        }

        windowIsMapped = windowIsMapped || Translations.Domain.TryMapVisibly(options.BypassWindow, new(0), options.RamEnd, DmaProtection.ReadWrite);
        for (var i = 0; windowIsMapped && i < list.Length; i++)
        {
            list[i].DmaAddress = new(options.BypassWindow + list[i].Address.Value);
            list[i].DmaLength = list[i].Length;
        }

        return windowIsMapped;
    }

    void CloseWindow()
    {
        if (windowIsMapped)
        {
            var gather = new InvalidationGather();
            Translations.Domain.Unmap(options.BypassWindow, options.RamEnd, ref gather, null);
            Translations.Domain.Sync(ref gather);
            windowIsMapped = false;
        }
    }

    bool IsInWindow(ulong address) => windowIsMapped && address - options.BypassWindow < options.RamEnd;
}
