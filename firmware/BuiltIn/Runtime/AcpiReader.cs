using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Firmware.BuiltIn.Runtime;

/// <summary>ACPI tables (ACPI 6.5 §5.2): finds them by the RSDP, and what the other parts want from them.</summary>
internal sealed class AcpiReader
{
    /// <summary>Most tables that are looked at, and most processors.</summary>
    public const int MostTables = 32, MostProcessors = Descriptors.MostProcessors;

    const int HeaderSize = 36, LongestTable = 1 << 20;
    const uint BiosStart = 0xE_0000, BiosEnd = 0x10_0000, ExtendedBiosSegment = 0x40E;
    const long RsdpSignature = 0x2052_5450_2044_5352;

    readonly Guest g;
    readonly Routine scan, add;

    /// <summary>Reserves the variables.</summary>
    public AcpiReader(Guest guest)
    {
        g = guest;
        (Rsdp, Count, Tables) = (g.Data.U64(), g.Data.U64(), g.Data.Zeroed(MostTables * 8, 8));
        (Processors, ProcessorIds, IoApics) = (g.Data.U64(), g.Data.Zeroed(MostProcessors * 4, 4), g.Data.U64());
        (TimerInput, PmTimer, PmTimerBits, PmControl) = (g.Data.Initial(2ul), g.Data.U64(), g.Data.U64(), g.Data.U64());
        (Ecam, EcamFirstBus, EcamLastBus, Dmar, Hpet) = (g.Data.U64(), g.Data.U64(), g.Data.U64(), g.Data.U64(), g.Data.U64());
        (Find, Table, Sum) = (g.NewRoutine(), g.NewRoutine(), g.NewRoutine());
        (scan, add) = (g.NewRoutine(), g.NewRoutine());
    }

    /// <summary>Address of the RSDP, or 0.</summary>
    public Variable Rsdp { get; }

    /// <summary>Tables found.</summary>
    public Variable Count { get; }

    /// <summary>Their addresses.</summary>
    public Variable Tables { get; }

    /// <summary>Enabled processors in the MADT.</summary>
    public Variable Processors { get; }

    /// <summary>Their APIC IDs.</summary>
    public Variable ProcessorIds { get; }

    /// <summary>I/O APICs in the MADT.</summary>
    public Variable IoApics { get; }

    /// <summary>I/O APIC input of the interval timer.</summary>
    public Variable TimerInput { get; }

    /// <summary>Port of the PM timer, or 0.</summary>
    public Variable PmTimer { get; }

    /// <summary>Mask of the PM timer's bits.</summary>
    public Variable PmTimerBits { get; }

    /// <summary>Port of PM1a control, or 0.</summary>
    public Variable PmControl { get; }

    /// <summary>ECAM base for bus 0 of segment 0, or 0.</summary>
    public Variable Ecam { get; }

    /// <summary>First bus that ECAM reaches.</summary>
    public Variable EcamFirstBus { get; }

    /// <summary>Last bus that ECAM reaches.</summary>
    public Variable EcamLastBus { get; }

    /// <summary>The DMAR table, or 0.</summary>
    public Variable Dmar { get; }

    /// <summary>The HPET's registers, or 0.</summary>
    public Variable Hpet { get; }

    /// <summary>Finds the RSDP and the tables, and reads those that the guest knows.</summary>
    public Routine Find { get; }

    /// <summary>The address of a table, or 0: signature.</summary>
    public Routine Table { get; }

    /// <summary>Sum of bytes modulo 256: address, count.</summary>
    public Routine Sum { get; }

    /// <summary>A table's signature as a number.</summary>
    public static uint Signature(string four) => (uint)(four[0] | four[1] << 8 | four[2] << 16 | four[3] << 24);

    /// <summary>Emits the routines.</summary>
    public void Emit()
    {
        g.Define(Sum, EmitSum);
        g.Define(scan, EmitScan);
        g.Define(add, EmitAdd);
        g.Define(Table, EmitTable);
        g.Define(Find, [rbx, rbp, r12, r13, r14], EmitFind);
    }

    void EmitSum()
    {
        var a = g.A;
        a.xor(eax, eax);
        g.Forever(end =>
        {
            a.dec(rsi);
            a.js(end);
            a.add(al, __byte_ptr[rdi + rsi]);
        });
        a.movzx(eax, al);
    }

    /// <summary>Looks for the RSDP on 16-byte boundaries of [RDI, RSI).</summary>
    void EmitScan()
    {
        var a = g.A;
        a.mov(rcx, RsdpSignature);
        g.Forever(end =>
        {
            a.cmp(rdi, rsi);
            a.jae(end);
            a.cmp(rcx, __qword_ptr[rdi]);
            g.If(When.Equal, () =>
            {
                a.push(rsi);
                a.push(rcx);
                g.Call(Sum, rdi, 20);
                a.pop(rcx);
                a.pop(rsi);
                a.test(eax, eax);
                g.If(When.Equal, () =>
                {
                    a.mov(rax, rdi);
                    g.Return();
                });
            });
            a.add(rdi, 16);
        });
        a.xor(eax, eax);
    }

    /// <summary>Notes the table at RDI unless there are too many, it lies above 4 GiB or is too long.</summary>
    void EmitAdd()
    {
        var a = g.A;
        a.mov(rax, Count);
        a.cmp(rax, MostTables);
        g.If(When.NotBelow, g.Return);
        a.mov(rcx, rdi);
        a.shr(rcx, 32);
        g.If(When.NotEqual, g.Return);
        a.test(rdi, rdi);
        g.If(When.Equal, g.Return);
        a.cmp(__dword_ptr[rdi + 4], LongestTable);
        g.If(When.Above, g.Return);
        a.mov(Tables.At(rax), rdi);
        a.inc(Count);
    }

    void EmitTable()
    {
        var a = g.A;
        a.xor(ecx, ecx);
        g.Forever(end =>
        {
            a.cmp(rcx, Count);
            a.jae(end);
            a.mov(rax, Tables.At(rcx));
            a.cmp(edi, __dword_ptr[rax]);
            g.If(When.Equal, g.Return);
            a.inc(rcx);
        });
        a.xor(eax, eax);
    }

    void EmitFind()
    {
        var a = g.A;
        a.mov(rax, g.Options.Rsdp);
        a.test(rax, rax);
        g.If(When.Equal, () =>
        {
            g.Call(scan, BiosStart, BiosEnd);
            a.test(rax, rax);
            g.If(When.Equal, () =>
            {
                a.movzx(edi, __word_ptr[(ulong)ExtendedBiosSegment]);
                a.shl(edi, 4);
                a.lea(rsi, __[rdi + 1024]);
                a.call(scan.Label);
            });
        });
        a.mov(Rsdp, rax);
        a.test(rax, rax);
        g.If(When.Equal, g.Return);
        EmitTables();
        EmitFixedTable();
        EmitInterruptTable();
        EmitOthers();
    }

    /// <summary>Walks the XSDT, or the RSDT of an old RSDP, and adds the DSDT of the FADT.</summary>
    void EmitTables()
    {
        var a = g.A;
        a.mov(rbx, rax);
        a.mov(r12d, 4);
        a.mov(r13d, __dword_ptr[rbx + 16]);
        a.cmp(__byte_ptr[rbx + 15], 2);
        g.If(When.NotBelow, () =>
        {
            a.cmp(__qword_ptr[rbx + 24], 0);
            g.If(When.NotEqual, () =>
            {
                a.mov(r12d, 8);
                a.mov(r13, __qword_ptr[rbx + 24]);
            });
        });
        g.Call(add, r13);
        a.cmp(Count, 0);
        g.If(When.Equal, g.Return);
        // RBX: next pointer, R14: end of the table, R12: size of a pointer.
        a.mov(r14d, __dword_ptr[r13 + 4]);
        a.add(r14, r13);
        a.lea(rbx, __[r13 + HeaderSize]);
        g.Forever(end =>
        {
            a.lea(rax, __[rbx + r12]);
            a.cmp(rax, r14);
            a.ja(end);
            a.mov(edi, __dword_ptr[rbx]);
            a.cmp(r12d, 8);
            g.If(When.Equal, () => a.mov(rdi, __qword_ptr[rbx]));
            a.call(add.Label);
            a.add(rbx, r12);
        });
    }

    void EmitFixedTable()
    {
        var a = g.A;
        g.Call(Table, Signature("FACP"));
        a.test(rax, rax);
        g.If(When.NotEqual, () =>
        {
            a.mov(rbx, rax);
            a.mov(eax, __dword_ptr[rbx + 64]);
            a.mov(PmControl, rax);
            a.mov(eax, __dword_ptr[rbx + 76]);
            a.mov(PmTimer, rax);
            a.mov(eax, 0x00FF_FFFF);
            a.bt(__dword_ptr[rbx + 112], 8);
            g.If(When.Below, () => a.mov(eax, 0xFFFF_FFFF));
            a.mov(PmTimerBits, rax);
            a.mov(edi, __dword_ptr[rbx + 40]);
            a.cmp(__dword_ptr[rbx + 4], 148);
            g.If(When.NotBelow, () =>
            {
                a.mov(rax, __qword_ptr[rbx + 140]);
                a.test(rax, rax);
                g.If(When.NotEqual, () => a.mov(rdi, rax));
            });
            a.call(add.Label);
        });
    }

    /// <summary>MADT: processors, I/O APIC, and where interrupt 0 goes.</summary>
    void EmitInterruptTable()
    {
        var a = g.A;
        g.Call(Table, Signature("APIC"));
        a.test(rax, rax);
        g.If(When.NotEqual, () =>
        {
            a.lea(rbx, __[rax + 44]);
            a.mov(r12d, __dword_ptr[rax + 4]);
            a.add(r12, rax);
            g.Forever(end =>
            {
                a.lea(rax, __[rbx + 2]);
                a.cmp(rax, r12);
                a.ja(end);
                a.movzx(ecx, __byte_ptr[rbx + 1]);
                a.cmp(ecx, 2);
                a.jb(end);
                a.movzx(eax, __byte_ptr[rbx]);
                a.movzx(edx, __byte_ptr[rbx + 3]);
                a.mov(esi, __dword_ptr[rbx + 4]);
                Structure(0, () => AddProcessor());
                Structure(9, () =>
                {
                    a.mov(edx, __dword_ptr[rbx + 4]);
                    a.mov(esi, __dword_ptr[rbx + 8]);
                    AddProcessor();
                });
                Structure(1, AddIoApic);
                Structure(2, NoteOverride);
                a.movzx(ecx, __byte_ptr[rbx + 1]);
                a.add(rbx, rcx);
            });
        });
    }

    void Structure(byte type, Action read)
    {
        g.A.cmp(eax, type);
        g.If(When.Equal, () =>
        {
            read();
            g.A.mov(eax, uint.MaxValue);
        });
    }

    /// <summary>APIC ID in EDX, flags in ESI.</summary>
    void AddProcessor()
    {
        var a = g.A;
        a.test(esi, 1);
        g.If(When.NotEqual, () =>
        {
            a.mov(rcx, Processors);
            a.cmp(rcx, MostProcessors);
            g.If(When.Below, () => a.mov(ProcessorIds.At(rcx), edx));
            a.inc(Processors);
        });
    }

    /// <summary>The I/O APIC with the first inputs is the one that counts.</summary>
    void AddIoApic()
    {
        var a = g.A;
        a.inc(IoApics);
        a.cmp(__dword_ptr[rbx + 8], 0);
        g.If(When.Equal, () => a.mov(g.Apic.IoBase, rsi));
    }

    void NoteOverride()
    {
        var a = g.A;
        a.test(edx, edx);
        g.If(When.Equal, () => a.mov(TimerInput, rsi));
    }

    void EmitOthers()
    {
        var a = g.A;
        g.Call(Table, Signature("MCFG"));
        a.test(rax, rax);
        g.If(When.NotEqual, () =>
        {
            a.mov(rcx, __qword_ptr[rax + 44]);
            a.mov(Ecam, rcx);
            a.movzx(ecx, __byte_ptr[rax + 54]);
            a.mov(EcamFirstBus, rcx);
            a.movzx(ecx, __byte_ptr[rax + 55]);
            a.mov(EcamLastBus, rcx);
        });
        g.Call(Table, Signature("DMAR"));
        a.mov(Dmar, rax);
        g.Call(Table, Signature("HPET"));
        a.test(rax, rax);
        g.If(When.NotEqual, () =>
        {
            a.mov(rax, __qword_ptr[rax + 44]);
            a.mov(Hpet, rax);
        });
    }
}
