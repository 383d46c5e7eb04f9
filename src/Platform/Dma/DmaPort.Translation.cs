using System.Runtime.CompilerServices;
using Vmm.Platform.Memory;

namespace Vmm.Platform.Dma;

/// <content>What an address means: by the IOMMU, or by what of its answers was kept and still holds.</content>
public sealed partial class DmaPort
{
    IDmaTranslator? translator;
    DmaPageCache? pages;
    uint epoch = 1;

    /// <summary>The IOMMU in front of this device; null means that addresses are guest-physical.</summary>
    public IDmaTranslator? Translator
    {
        get => translator;
        set
        {
            translator = value;
            pages ??= value == null ? null : new();
            epoch++;
        }
    }

    /// <summary>
    /// Low half: the translator's generation; high half: changes of the translator itself. Never 0, so an empty cursor
    /// holds nothing.
    /// </summary>
    ulong Stamp => (ulong)epoch << 32 | (translator?.Generation ?? 0);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    bool TryResolve(ref DmaCursor cursor, Iova address, DmaAccess access, out Gpa target)
    {
        target = default;
        if (!BusMaster)
        {
            return RefuseBusMaster();
        }

        if (IsTranslationWatched(cursor, address, access) && IsBlockedByRule(cursor, address, access))
        {
            return false;
        }

        // The stamp is taken first: what invalidates during a walk also invalidates its result.
        var stamp = Stamp;
        if (cursor.Holds(address.Value, stamp, access))
        {
            counters.KeptTranslations++;
            target = new(cursor.Target + (address.Value - cursor.Start));
            return true;
        }

        return TryTranslate(ref cursor, address, access, stamp, out target);
    }

    bool TryTranslate(ref DmaCursor cursor, Iova address, DmaAccess access, ulong stamp, out Gpa target)
    {
        target = new(address.Value);
        if (translator == null)
        {
            return !IsInterruptAddress(address.Value) || Refuse();
        }

        var plain = !cursor.HasPasid;
        if (plain && pages!.TryFind(address.Value, stamp, access, out target))
        {
            counters.KeptTranslations++;
            return true;
        }

        counters.Translations++;
        if (!translator.TryTranslate(new(Requester, address, access, cursor.Pasid, cursor.HasPasid), out var window))
        {
            return RefuseTranslation();
        }

        target = window.Address;
        if (window.Length < 4096 - (ulong)address.PageOffset || IsInterruptAddress(target.Value))
        {
            return Refuse();
        }

        cursor.Keep(address, window, stamp);
        if (plain)
        {
            pages!.Keep(address.Value, window, stamp);
        }

        return true;
    }
}
