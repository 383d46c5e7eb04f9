using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Firmware.BuiltIn.Runtime;

/// <content>Tables: second-stage entries, root and context entries.</content>
internal sealed partial class RemappingUnit
{
    const byte SnoopedWalksBit = 48;

    /// <summary>Emits code that writes a line of a table back if ECAP.C is clear: the unit then does not look into the processor's caches. The flags are lost.</summary>
    public void WriteBack(AssemblerMemoryOperand entry)
    {
        g.A.test(Extended.As(1), 1);
        g.If(When.Equal, () => g.A.clflush(entry));
    }

    void EmitMap()
    {
        var a = g.A;
        a.mov(rbx, rsi);
        a.mov(r12, rdx);
        a.mov(r13, rdi);
        g.Forever(end =>
        {
            g.Call(slot, r13);
            a.test(rax, rax);
            a.je(end);
            a.mov(__qword_ptr[rax], rbx);
            a.add(r13, (int)Layout.PageSize);
            a.test(rbx, rbx);
            g.If(When.NotEqual, () => a.add(rbx, (int)Layout.PageSize));
            // A line is written back once, with its last entry.
            a.dec(r12);
            g.If(When.NotEqual, () =>
            {
                var next = a.CreateLabel();
                a.mov(ecx, eax);
                a.and(ecx, 0x38);
                a.cmp(ecx, 0x38);
                a.jne(next);
                WriteBack(__byte_ptr[rax]);
                g.Place(next);
            }, () =>
            {
                WriteBack(__byte_ptr[rax]);
                a.jmp(end);
            });
        });
    }

    /// <summary>Address of the entry for 4 KiB of the address in RDI, or 0; tables on the way are made.</summary>
    void EmitSlot()
    {
        var a = g.A;
        a.mov(eax, pool.Address);
        a.mov(r8, topShift);
        // The first page of the pool is the top table.
        a.cmp(poolUsed, 0);
        g.If(When.Equal, () => a.inc(poolUsed));
        g.Forever(end =>
        {
            a.mov(ecx, r8d);
            a.mov(r10, rdi);
            a.shr(r10, cl);
            a.and(r10d, 0x1FF);
            a.lea(r10, __[rax + r10 * 8]);
            a.cmp(r8d, 12);
            a.je(end);
            a.mov(rax, __qword_ptr[r10]);
            a.test(eax, eax);
            g.If(When.Equal, () =>
            {
                a.mov(rax, poolUsed);
                a.cmp(rax, PoolPages);
                g.If(When.NotBelow, () =>
                {
                    a.xor(eax, eax);
                    g.Return();
                });
                a.inc(poolUsed);
                a.shl(eax, 12);
                a.add(eax, pool.Address);
                a.lea(rbx, __[rax + (MayRead | MayWrite)]);
                a.mov(__qword_ptr[r10], rbx);
                WriteBack(__byte_ptr[r10]);
            });
            a.and(rax, -(int)Layout.PageSize);
            a.sub(r8d, 9);
        });
        a.mov(rax, r10);
    }

    /// <summary>
    /// Scalable mode (§9.2, §9.4 to §9.6): the half of the root entry that serves the function, its context entry, and PASID 0,
    /// which requests without PASID have, of a directory of one table. The domain's second stage is PGTT = 010.
    /// </summary>
    void EmitAssignScalable()
    {
        var a = g.A;
        a.mov(eax, edi);
        a.shr(eax, 7);
        a.mov(ecx, contexts.Address | 1);
        a.mov(__qword_ptr[rax * 8 + root.Address], rcx);
        WriteBack(__byte_ptr[rax * 8 + root.Address]);
        a.mov(pasidDirectory, (int)(pasidTable.Address | 1));
        WriteBack(pasidDirectory);
        // PWSNP where the unit can snoop: ECAP.SMPWCS.
        a.mov(rcx, Extended);
        a.shr(rcx, SnoopedWalksBit);
        a.and(ecx, 1);
        a.shl(ecx, 23);
        a.or(ecx, esi);
        a.mov(pasidTable[1], rcx);
        a.mov(rax, widthCode);
        a.shl(eax, 2);
        a.or(eax, (int)(pool.Address | 2 << 6 | 1));
        a.mov(pasidTable, rax);
        WriteBack(pasidTable);
        a.and(edi, 0x7F);
        a.shl(edi, 5);
        a.xor(eax, eax);
        a.test(esi, esi);
        g.If(When.NotEqual, () => a.mov(eax, pasidDirectory.Address | 1));
        a.mov(__qword_ptr[rdi + contexts.Address], rax);
        WriteBack(__byte_ptr[rdi + contexts.Address]);
    }

    /// <summary>Root entry of the bus, then the context entry (§9.1, §9.3): TT = 00, domain, address width. One context table serves bus 0.</summary>
    void EmitAssign()
    {
        var a = g.A;
        a.cmp(Scalable, 0);
        g.If(When.NotEqual, () =>
        {
            EmitAssignScalable();
            g.Return();
        });
        a.mov(eax, edi);
        a.shr(eax, 8);
        a.shl(eax, 4);
        a.mov(ecx, contexts.Address | 1);
        a.mov(__qword_ptr[rax + root.Address], rcx);
        WriteBack(__byte_ptr[rax + root.Address]);
        a.movzx(edi, dil);
        a.shl(edi, 4);
        a.xor(eax, eax);
        a.xor(ecx, ecx);
        a.test(esi, esi);
        g.If(When.NotEqual, () =>
        {
            a.mov(eax, pool.Address | 1);
            a.mov(rcx, rsi);
            a.shl(rcx, 8);
            a.or(rcx, widthCode);
        });
        a.mov(__qword_ptr[rdi + contexts.Address], 0);
        a.mov(__qword_ptr[rdi + contexts.Address + 8], rcx);
        a.mov(__qword_ptr[rdi + contexts.Address], rax);
        WriteBack(__byte_ptr[rdi + contexts.Address]);
    }
}
