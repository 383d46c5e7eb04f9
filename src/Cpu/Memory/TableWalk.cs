using Vmm.Cpu.State;
using Vmm.Platform.Memory;

namespace Vmm.Cpu.Memory;

/// <summary>Which paging-structure entries a walk reads, without changing any (SDM 3A §4.3 to §4.5).</summary>
internal static unsafe class TableWalk
{
    const ulong Frame = ((1ul << PageWalker.PhysicalBits) - 1) & ~0xFFFul;

    /// <summary>Writes the physical addresses of the entries in the order of reading; at most four. Returns how many.</summary>
    public static int Entries(CpuState* s, GuestMemory memory, ulong linear, ulong* entries)
    {
        if ((s->Cr0 & Cr.Cr0PG) == 0)
        {
            return 0;
        }

        var wide = (s->Cr4 & Cr.Cr4PAE) != 0;
        var level = (s->Efer & Cr.EferLMA) != 0 ? 4 : 2;
        var table = level == 4 || !wide ? s->Cr3 & Frame : s->Pdpte[linear >> 30 & 3] & Frame;
        if (level == 2 && wide && (s->Pdpte[linear >> 30 & 3] & 1) == 0)
        {
            return 0;
        }

        var count = 0;
        for (; level > 0; level--)
        {
            var at = entries[count++] = wide
                ? table + (linear >> 12 + 9 * (level - 1) & 0x1FF) * 8
                : (table & 0xFFFF_F000) + ((linear & 0xFFFF_FFFF) >> 12 + 10 * (level - 1) & 0x3FF) * 4;
            if (!TryRead(memory, at, wide, out var entry) || (entry & 1) == 0 || (level > 1 && (entry & 0x80) != 0))
            {
                break;
            }

            table = entry & Frame;
        }

        return count;
    }

    static bool TryRead(GuestMemory memory, ulong at, bool wide, out ulong entry)
    {
        if (wide)
        {
            return memory.TryRead(new Gpa(at), out entry);
        }

        var good = memory.TryRead(new Gpa(at), out uint narrow);
        entry = narrow;
        return good;
    }
}
