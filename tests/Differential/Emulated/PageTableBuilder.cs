using Vmm.Platform.Memory;

namespace Vmm.Differential.Emulated;

/// <summary>Four-level page tables (SDM 3A §4.5), page by page, with accessed and dirty flags set.</summary>
internal sealed class PageTableBuilder
{
    const ulong Present = 1, Writable = 2, User = 4, AccessedDirty = 0x60, AddressMask = 0x000F_FFFF_FFFF_F000;

    readonly GuestMemory memory;
    ulong free;

    public PageTableBuilder(GuestMemory memory, ulong root)
    {
        this.memory = memory;
        Root = root;
        free = root + GuestMemory.PageSize;
    }

    /// <summary>Physical address for CR3.</summary>
    public ulong Root { get; }

    public void Map(ulong linear, ulong physical, bool writable, bool user)
    {
        var table = Root;
        for (var shift = 39; shift > 12; shift -= 9)
        {
            table = Next(table + (linear >> shift & 511) * 8);
        }

        memory.TryWrite(new Gpa(table + (linear >> 12 & 511) * 8), physical | Present | (writable ? Writable : 0) | (user ? User : 0) | AccessedDirty);
    }

    ulong Next(ulong entry)
    {
        memory.TryRead(new Gpa(entry), out ulong value);
        if ((value & Present) == 0)
        {
            value = free | Present | Writable | User | AccessedDirty;
            free += GuestMemory.PageSize;
            memory.TryWrite(new Gpa(entry), value);
        }

        return value & AddressMask;
    }
}
