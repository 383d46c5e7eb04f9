using System.Runtime.CompilerServices;
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
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static bool TryWalk(CpuState* s, GuestMemory memory, ulong linear, Access access, bool user, bool smapOff, out Translation result, out uint error)
    {
        result = default;
        error = 0;
        if ((s->Cr0 & Cr.Cr0PG) == 0)
        {
            result = new() { Physical = linear & 0xFFFF_FFFF, Writable = true, Executable = true, Readable = true };
            return true;
        }

        if ((s->Efer & Cr.EferLMA) != 0 && TryWalkOrdinary(s, memory, linear, access, user, smapOff, ref result))
        {
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

    /// <summary>
    /// 4-level paging when nothing is out of the ordinary: every entry is present and accessed and sets no reserved bit, the leaf
    /// is dirty when written, and the access is allowed. Otherwise the full walk finds out what is due; nothing has changed.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static bool TryWalkOrdinary(CpuState* s, GuestMemory memory, ulong linear, Access access, bool user, bool smapOff, ref Translation result)
    {
        var examined = P | A | ReservedHigh | ((s->Efer & Cr.EferNXE) != 0 ? 0 : NX);
        var table = s->Cr3 & Frame;
        ulong entry, all = ulong.MaxValue, any = 0;
        int level;
        for (level = 4; ; level--)
        {
            var host = memory.Pointer(table);
            if (host == null)
            {
                return false;
            }

            // Safe: the offset stays inside the page that Pointer vouched for.
            entry = *(ulong*)(host + (linear >> 9 * level & 0xFF8));
            if ((entry & examined) != (P | A))
            {
                return false;
            }

            all &= entry;
            any |= entry;
            if (level == 1)
            {
                break;
            }

            if ((entry & PS) != 0)
            {
                if (level != 2 || (entry & 0x1F_E000) != 0)
                {
                    return false;
                }

                break;
            }

            table = entry & Frame;
        }

        Rights(s, all, (any & NX) != 0, user, smapOff, ref result);
        result.Writable &= (entry & D) != 0;
        if (!(access switch { Access.Read => result.Readable, Access.Write => result.Writable, _ => result.Executable }))
        {
            return false;
        }

        var mask = level == 2 ? 0x1F_FFFFul : 0xFFF;
        result.Physical = entry & Frame & ~mask | linear & mask;
        result.Large = level == 2;
        return true;
    }

    /// <summary>What an access may do with a page (SDM 3A §4.6).</summary>
    static void Rights(CpuState* s, ulong rights, bool noExecute, bool user, bool smapOff, ref Translation result)
    {
        var userPage = (rights & US) != 0;
        var writablePage = (rights & RW) != 0;
        if (user)
        {
            result.Readable = userPage;
            result.Writable = userPage && writablePage;
            result.Executable = userPage && !noExecute;
            return;
        }

        var smap = userPage && (s->Cr4 & Cr.Cr4SMAP) != 0 && !smapOff;
        result.Readable = !smap;
        result.Writable = !smap && (writablePage || (s->Cr0 & Cr.Cr0WP) == 0);
        result.Executable = !noExecute && !(userPage && (s->Cr4 & Cr.Cr4SMEP) != 0);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static bool Finish(
        CpuState* s, GuestMemory memory, ulong linear, Access access, bool user, bool smapOff, ulong entry, ulong slot, int level,
        bool large, bool wide, ulong rights, bool noExecute, uint kind, out Translation result, out uint error)
    {
        result = default;
        Rights(s, rights, noExecute, user, smapOff, ref result);
        if (!(access switch { Access.Read => result.Readable, Access.Write => result.Writable, _ => result.Executable }))
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
        result.Large = large;
        result.Writable &= (entry & D) != 0;
        if (!large)
        {
            result.Physical = entry & (wide ? Frame : 0xFFFF_F000) | linear & 0xFFF;
        }
        else if (wide)
        {
            var mask = (1ul << 12 + 9 * (level - 1)) - 1;
            result.Physical = entry & Frame & ~mask | linear & mask;
        }
        else
        {
            // PSE-36: bits 20:13 of the entry are physical bits 39:32.
            result.Physical = (entry & 0xFFC0_0000) | (entry >> 13 & 0xFF) << 32 | linear & 0x3F_FFFF;
        }

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
