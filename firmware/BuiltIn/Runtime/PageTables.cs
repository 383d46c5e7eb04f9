using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Firmware.BuiltIn.Runtime;

/// <summary>The guest's page tables (SDM 3A §4.5): four levels, the first 4 GiB mapped one to one at start.</summary>
internal sealed class PageTables
{
    /// <summary>Bits of an entry.</summary>
    public const ulong Present = 1, Writable = 2, User = 4, Uncached = 0x10, Accessed = 0x20, Dirty = 0x40, Large = 0x80, NoExecute = 1ul << 63;

    const uint PoolPages = 48, FirstTables = 6;

    readonly Guest g;
    readonly Variable pool, poolUsed;

    /// <summary>Reserves the tables.</summary>
    public PageTables(Guest guest)
    {
        g = guest;
        Root = g.Data.Pages(FirstTables);
        pool = g.Data.Pages(PoolPages);
        poolUsed = g.Data.U64();
        (Map, MapDevice) = (g.NewRoutine(), g.NewRoutine());
    }

    /// <summary>The PML4 table; the tables made at start follow.</summary>
    public Variable Root { get; }

    /// <summary>
    /// Sets the entry that maps a linear address: linear address, entry, log2 of the page size (12, 21 or 30). Tables on the
    /// way are made as needed and permit everything. RAX is the address of the entry, or 0 when a large page is in the way
    /// or no table is left. Nothing is invalidated.
    /// </summary>
    public Routine Map { get; }

    /// <summary>Maps 2 MiB of device registers one to one: physical address.</summary>
    public Routine MapDevice { get; }

    /// <summary>Emits code that maps one page.</summary>
    public void MapPage(ulong linear, Operand entry, int shift = 12)
    {
        g.Call(Map, linear, entry, shift);
        g.A.mov(rcx, linear);
        g.A.invlpg(__[rcx]);
    }

    /// <summary>Emits the routines.</summary>
    public void Emit()
    {
        g.Define(Map, [rbx], EmitMap);
        g.Define(MapDevice, EmitMapDevice);
    }

    void EmitMap()
    {
        var a = g.A;
        var failed = a.CreateLabel();
        a.mov(r9d, edx);
        a.mov(eax, Root.Address);
        a.mov(r8d, 39);
        g.Forever(end =>
        {
            // R8 is the shift of the level, RAX the table, R10 becomes the address of the entry.
            a.mov(ecx, r8d);
            a.mov(r10, rdi);
            a.shr(r10, cl);
            a.and(r10d, 0x1FF);
            a.lea(r10, __[rax + r10 * 8]);
            a.cmp(r8d, r9d);
            a.je(end);
            a.mov(rax, __qword_ptr[r10]);
            a.test(al, (byte)Present);
            g.If(
                When.Equal,
                () =>
                {
                    a.mov(rax, poolUsed);
                    a.cmp(rax, (int)PoolPages);
                    a.jae(failed);
                    a.inc(poolUsed);
                    a.shl(rax, 12);
                    a.add(rax, (int)pool.Address);
                    a.mov(rbx, rax);
                    a.or(rbx, (int)(Present | Writable | User));
                    a.mov(__qword_ptr[r10], rbx);
                },
                () =>
                {
                    a.test(al, (byte)Large);
                    a.jne(failed);
                    a.mov(rbx, 0x000F_FFFF_FFFF_F000L);
                    a.and(rax, rbx);
                });
            a.sub(r8d, 9);
        });
        a.mov(__qword_ptr[r10], rsi);
        a.mov(rax, r10);
        g.Return();
        g.Place(failed);
        a.xor(eax, eax);
    }

    void EmitMapDevice()
    {
        var a = g.A;
        a.mov(rax, rdi);
        a.shr(rax, 32);
        g.If(When.NotEqual, () =>
        {
            a.and(rdi, -0x20_0000);
            a.mov(rsi, rdi);
            a.or(rsi, (int)(Present | Writable | Large | Uncached));
            g.Call(Map, rdi, rsi, 21);
        });
    }
}
