using Vmm.Cpu.State;
using Vmm.Platform.Memory;

namespace Vmm.Cpu.Memory;

/// <summary>Kind of a linear memory access.</summary>
internal enum Access
{
    /// <summary>Data read.</summary>
    Read,

    /// <summary>Data write.</summary>
    Write,

    /// <summary>Instruction fetch.</summary>
    Fetch,
}

/// <summary>Result of a page walk.</summary>
internal struct Translation
{
    /// <summary>Physical address of the byte.</summary>
    public ulong Physical;

    /// <summary>The page may be written with the view's rights, and its dirty bit is set.</summary>
    public bool Writable;

    /// <summary>The page may be executed.</summary>
    public bool Executable;

    /// <summary>The page may be read as data.</summary>
    public bool Readable;

    /// <summary>The translation comes from a large page.</summary>
    public bool Large;
}

/// <summary>Paging (SDM 3A ch. 4): no paging, 32-bit, PAE and 4-level, with accessed and dirty bits.</summary>
internal static unsafe class PageWalker
{
    /// <summary>Physical address width in bits (CPUID 0x80000008).</summary>
    public const int PhysicalBits = 40;

    const ulong P = 1, RW = 2, US = 4, A = 32, D = 64, PS = 128, NX = 1ul << 63;
    const ulong Frame = ((1ul << PhysicalBits) - 1) & ~0xFFFul;
    const ulong ReservedHigh = 0x000F_FFFF_FFFF_F000 & ~Frame;

    /// <summary>Error code bits of #PF.</summary>
    public const uint ErrorPresent = 1, ErrorWrite = 2, ErrorUser = 4, ErrorReserved = 8, ErrorFetch = 16;

    /// <summary>
    /// Translates a linear address for one access. On failure <paramref name="error"/> is the #PF error code.
    /// <paramref name="user"/> is a user-mode access; <paramref name="smapOff"/> suspends SMAP (EFLAGS.AC).
    /// </summary>
    public static bool TryWalk(CpuState* s, GuestMemory memory, ulong linear, Access access, bool user, bool smapOff, out Translation result, out uint error)
    {
        result = default;
        error = 0;
        if ((s->Cr0 & Cr.Cr0PG) == 0)
        {
            result = new() { Physical = linear & 0xFFFF_FFFF, Writable = true, Executable = true, Readable = true };
            return true;
        }

        var kind = (user ? ErrorUser : 0) | (access == Access.Write ? ErrorWrite : 0);
        var nx = (s->Efer & Cr.EferNXE) != 0;
        if (access == Access.Fetch && (nx || (s->Cr4 & Cr.Cr4SMEP) != 0))
        {
            kind |= ErrorFetch;
        }

        var rights = RW | US;
        var noExecute = false;
        ulong table;
        int level;
        var wide = (s->Cr4 & Cr.Cr4PAE) != 0;
        if ((s->Efer & Cr.EferLMA) != 0)
        {
            table = s->Cr3 & Frame;
            level = 4;
        }
        else if (wide)
        {
            var pdpte = s->Pdpte[linear >> 30 & 3];
            if ((pdpte & P) == 0)
            {
                error = kind;
                return false;
            }

            table = pdpte & Frame;
            level = 2;
        }
        else
        {
            table = s->Cr3 & 0xFFFF_F000;
            level = 2;
        }

        // Fixed bound: at most four levels.
        for (; ; level--)
        {
            ulong slot, entry;
            if (wide)
            {
                slot = table + (linear >> 12 + 9 * (level - 1) & 0x1FF) * 8;
                if (!memory.TryRead(new Gpa(slot), out entry))
                {
                    entry = ulong.MaxValue;
                }
            }
            else
            {
                slot = table + ((linear & 0xFFFF_FFFF) >> 12 + 10 * (level - 1) & 0x3FF) * 4;
                entry = memory.TryRead(new Gpa(slot), out uint narrow) ? narrow : uint.MaxValue;
            }

            if ((entry & P) == 0)
            {
                error = kind;
                return false;
            }

            var large = level > 1 && (entry & PS) != 0 && (wide || (s->Cr4 & Cr.Cr4PSE) != 0);
            if (IsReserved(entry, level, large, wide, nx, (s->Efer & Cr.EferLMA) != 0))
            {
                error = kind | ErrorPresent | ErrorReserved;
                return false;
            }

            rights &= entry;
            noExecute |= nx && (entry & NX) != 0;
            if (level > 1 && !large)
            {
                if ((entry & A) == 0)
                {
                    Store(memory, slot, entry |= A, wide);
                }

                table = entry & (wide ? Frame : 0xFFFF_F000);
                continue;
            }

            return Finish(s, memory, linear, access, user, smapOff, entry, slot, level, large, wide, rights, noExecute, kind, out result, out error);
        }
    }

    static bool Finish(
        CpuState* s, GuestMemory memory, ulong linear, Access access, bool user, bool smapOff, ulong entry, ulong slot, int level,
        bool large, bool wide, ulong rights, bool noExecute, uint kind, out Translation result, out uint error)
    {
        var userPage = (rights & US) != 0;
        var writablePage = (rights & RW) != 0;
        var wp = (s->Cr0 & Cr.Cr0WP) != 0;
        bool readable, writable, executable;
        if (user)
        {
            readable = userPage;
            writable = userPage && writablePage;
            executable = userPage && !noExecute;
        }
        else
        {
            var smap = userPage && (s->Cr4 & Cr.Cr4SMAP) != 0 && !smapOff;
            readable = !smap;
            writable = !smap && (writablePage || !wp);
            executable = !noExecute && !(userPage && (s->Cr4 & Cr.Cr4SMEP) != 0);
        }

        result = default;
        if (!(access switch { Access.Read => readable, Access.Write => writable, _ => executable }))
        {
            error = kind | ErrorPresent;
            return false;
        }

        var set = A | (access == Access.Write ? D : 0);
        if ((entry & set) != set)
        {
            Store(memory, slot, entry |= set, wide);
        }

        error = 0;
        ulong physical;
        if (!large)
        {
            physical = entry & (wide ? Frame : 0xFFFF_F000) | linear & 0xFFF;
        }
        else if (wide)
        {
            var mask = (1ul << 12 + 9 * (level - 1)) - 1;
            physical = entry & Frame & ~mask | linear & mask;
        }
        else
        {
            // PSE-36: bits 20:13 of the entry are physical bits 39:32.
            physical = (entry & 0xFFC0_0000) | (entry >> 13 & 0xFF) << 32 | linear & 0x3F_FFFF;
        }

        result = new()
        {
            Physical = physical,
            Readable = readable,
            Large = large,
            Writable = writable && (entry & D) != 0,
            Executable = executable,
        };
        return true;
    }

    static bool IsReserved(ulong entry, int level, bool large, bool wide, bool nx, bool longMode)
    {
        if (!wide)
        {
            return large && (entry & 1 << 21) != 0;
        }

        if ((entry & ReservedHigh) != 0 || (!nx && (entry & NX) != 0))
        {
            return true;
        }

        if (!longMode && (entry & 0x7FF0_0000_0000_0000) != 0)
        {
            return true;
        }

        return level switch
        {
            4 => (entry & PS) != 0,
            3 => large && (entry & 0x3FFF_E000) != 0,
            2 => large && (entry & 0x1F_E000) != 0,
            _ => false,
        };
    }

    static void Store(GuestMemory memory, ulong slot, ulong entry, bool wide)
    {
        if (wide)
        {
            memory.TryWrite(new Gpa(slot), entry);
        }
        else
        {
            memory.TryWrite(new Gpa(slot), (uint)entry);
        }
    }
}
