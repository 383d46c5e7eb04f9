using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Firmware.BuiltIn.Runtime;

/// <summary>A VT-d remapping unit in legacy or scalable mode, driven through its registers and its invalidation queue (VT-d 4.1 §6, §11).</summary>
internal sealed partial class RemappingUnit
{
    /// <summary>Registers.</summary>
    public const int VersionRegister = 0x00, CapabilityRegister = 0x08, ExtendedRegister = 0x10, GlobalCommand = 0x18, GlobalStatus = 0x1C, RootTable = 0x20, FaultStatus = 0x34, FaultControl = 0x38, FaultData = 0x3C, FaultAddress = 0x40, FaultUpperAddress = 0x44, QueueHead = 0x80, QueueTail = 0x88, QueueAddress = 0x90, InterruptTable = 0xB8;

    /// <summary>Bits of GCMD and GSTS.</summary>
    public const uint TranslationEnable = 1u << 31, SetRootTable = 1 << 30, QueueEnable = 1 << 26, InterruptEnable = 1 << 25, SetInterruptTable = 1 << 24;

    /// <summary>Capability bits.</summary>
    public const int QueuedInvalidation = 1 << 1, InterruptRemapping = 1 << 3;

    /// <summary>Rights in second-stage entries.</summary>
    public const uint MayRead = 1, MayWrite = 2;

    /// <summary>What is added to a physical address to make the I/O virtual address that the tests use. QEMU's test device drives 28 address bits.</summary>
    public const uint Offset = 0x0800_0000;

    /// <summary>Invalidation descriptors, low quadwords (§6.5.2): everything of the context cache, the IOTLB, the interrupt entry cache, the PASID cache.</summary>
    public const uint AllContexts = 1 | 1 << 4, AllTranslations = 2 | 1 << 4 | 3 << 6, AllInterrupts = 4, AllPasids = 7 | 3 << 4;

    /// <summary>Bits of ECAP: scalable mode, and second-stage translation in it (§11.4.3).</summary>
    public const int ScalableModeBit = 43, SecondStageBit = 46;

    /// <summary>Bits that GCMD acts on once; all others have to be written as they are.</summary>
    const uint KeptBits = 0x96FF_FFFF;

    const uint WaitDescriptor = 5 | 1 << 5 | 1 << 6;
    const int Patience = 1_000_000, PoolPages = 48;
    const uint QueueLength = Layout.PageSize;

    /// <summary>RTADDR.TTM = 01; IQA.DW, descriptors of 256 bits (§11.4.5, §11.4.9.3).</summary>
    const int ScalableTables = 1 << 10, WideDescriptors = 1 << 11, WideDescriptorSize = 32;

    readonly Guest g;
    readonly Variable root, contexts, pasidDirectory, pasidTable, pool, poolUsed, descriptorSize, queue, tail, status, ticket, topShift, widthCode;
    readonly Routine slot;

    /// <summary>Reserves the variables.</summary>
    public RemappingUnit(Guest guest)
    {
        g = guest;
        (Base, Capabilities, Extended, On, InterruptsOn) = (g.Data.U64(), g.Data.U64(), g.Data.U64(), g.Data.U64(), g.Data.U64());
        (root, contexts, pool, queue) = (g.Data.Pages(1), g.Data.Pages(1), g.Data.Pages(PoolPages), g.Data.Pages(1));
        Interrupts = g.Data.Pages(1);
        (pasidDirectory, pasidTable, Scalable, descriptorSize) = (g.Data.Pages(1), g.Data.Pages(1), g.Data.U64(), g.Data.Initial(16ul));
        (poolUsed, tail, ticket, topShift, widthCode) = (g.Data.U64(), g.Data.U64(), g.Data.U64(), g.Data.U64(), g.Data.U64());
        status = g.Data.U64();
        (FaultInformation, FaultSource, FaultReason, FaultKind) = (g.Data.U64(), g.Data.U64(), g.Data.U64(), g.Data.U64());
        (Find, Set, Clear, Submit, SetRoot) = (g.NewRoutine(), g.NewRoutine(), g.NewRoutine(), g.NewRoutine(), g.NewRoutine());
        (Map, Assign, TakeFault, StartQueue, slot) = (g.NewRoutine(), g.NewRoutine(), g.NewRoutine(), g.NewRoutine(), g.NewRoutine());
    }

    /// <summary>Address of the unit's registers, or 0 without a unit.</summary>
    public Variable Base { get; }

    /// <summary>CAP.</summary>
    public Variable Capabilities { get; }

    /// <summary>ECAP.</summary>
    public Variable Extended { get; }

    /// <summary>Not 0: tables are those of scalable mode.</summary>
    public Variable Scalable { get; }

    /// <summary>Not 0: translation is enabled.</summary>
    public Variable On { get; }

    /// <summary>Not 0: interrupt remapping is enabled.</summary>
    public Variable InterruptsOn { get; }

    /// <summary>The interrupt remapping table: 256 entries of two quadwords.</summary>
    public Variable Interrupts { get; }

    /// <summary>The last fault taken: fault information, source, reason.</summary>
    public Variable FaultInformation { get; }

    /// <summary>Source of the last fault.</summary>
    public Variable FaultSource { get; }

    /// <summary>Reason of the last fault.</summary>
    public Variable FaultReason { get; }

    /// <summary>1: the last fault's request was a read.</summary>
    public Variable FaultKind { get; }

    /// <summary>Levels of second-stage tables times 9 plus 3.</summary>
    public Variable TopShift => topShift;

    /// <summary>Finds the unit for PCI devices in the DMAR table and reads its capabilities.</summary>
    public Routine Find { get; }

    /// <summary>Sets a bit by GCMD: bit. RAX is 1 when GSTS shows it.</summary>
    public Routine Set { get; }

    /// <summary>Clears a bit by GCMD: bit. RAX is 1 when GSTS shows it.</summary>
    public Routine Clear { get; }

    /// <summary>Sets queue and tail and enables queued invalidation. RAX is 1 when it is.</summary>
    public Routine StartQueue { get; }

    /// <summary>Tells the unit where the root table is and of which mode. RAX is 1 when GSTS shows it.</summary>
    public Routine SetRoot { get; }

    /// <summary>Puts a descriptor and a wait descriptor into the queue: low, high. RAX is 1 when the wait is over.</summary>
    public Routine Submit { get; }

    /// <summary>
    /// Sets second-stage entries for 4 KiB each: I/O virtual address, entry of the first page or 0 to clear, pages. RAX is 0
    /// when no table is left. Nothing is invalidated.
    /// </summary>
    public Routine Map { get; }

    /// <summary>Sets the context entry of a function: function, domain, or 0 for an entry that is not present. Nothing is invalidated.</summary>
    public Routine Assign { get; }

    /// <summary>Waits shortly for a fault, takes it off its record and clears the status. RAX is 0 without one.</summary>
    public Routine TakeFault { get; }

    /// <summary>Emits code that loads a 32-bit register of the unit into EAX.</summary>
    public void Read(int register)
    {
        g.A.mov(rax, Base);
        g.A.mov(eax, __dword_ptr[rax + register]);
    }

    /// <summary>Emits code that has the unit use scalable mode, before <see cref="StartQueue"/>.</summary>
    public void UseScalableMode()
    {
        g.A.mov(Scalable, 1);
        g.A.mov(descriptorSize, WideDescriptorSize);
    }

    /// <summary>Emits code that invalidates all translations and contexts; RAX is 1 when all is done.</summary>
    public void Flush()
    {
        g.A.cmp(Scalable, 0);
        g.If(When.NotEqual, () => g.Call(Submit, AllPasids, 0));
        g.Call(Submit, AllContexts, 0);
        g.A.push(rax);
        g.Call(Submit, AllTranslations, 0);
        g.A.pop(rcx);
        g.A.and(eax, ecx);
    }

    /// <summary>Emits the routines.</summary>
    public void Emit()
    {
        g.Define(Find, [rbx, r12], EmitFind);
        g.Define(Set, [rbx], () => EmitCommand(true));
        g.Define(Clear, [rbx], () => EmitCommand(false));
        g.Define(StartQueue, EmitStartQueue);
        g.Define(SetRoot, EmitSetRoot);
        g.Define(Submit, EmitSubmit);
        g.Define(slot, [rbx], EmitSlot);
        g.Define(Map, [rbx, r12, r13], EmitMap);
        g.Define(Assign, EmitAssign);
        g.Define(TakeFault, [rbx], EmitTakeFault);
    }

    /// <summary>DMAR (§8.1): the hardware unit of segment 0 with INCLUDE_PCI_ALL; without one, the first whose scope lists devices.</summary>
    void EmitFind()
    {
        var a = g.A;
        a.mov(rbx, g.Acpi.Dmar);
        a.test(rbx, rbx);
        g.If(When.Equal, g.Return);
        a.mov(r12d, __dword_ptr[rbx + 4]);
        a.add(r12, rbx);
        a.add(rbx, 48);
        g.Forever(end =>
        {
            var next = a.CreateLabel();
            a.lea(rax, __[rbx + 16]);
            a.cmp(rax, r12);
            a.ja(end);
            a.cmp(__word_ptr[rbx], 0);
            a.jne(next);
            a.cmp(__word_ptr[rbx + 6], 0);
            a.jne(next);
            a.test(__byte_ptr[rbx + 4], 1);
            g.If(When.Equal, () =>
            {
                a.cmp(Base, 0);
                a.jne(next);
            });
            a.mov(rax, __qword_ptr[rbx + 8]);
            a.mov(Base, rax);
            g.Place(next);
            a.movzx(eax, __word_ptr[rbx + 2]);
            a.cmp(eax, 4);
            a.jb(end);
            a.add(rbx, rax);
        });
        a.mov(rax, Base);
        a.test(rax, rax);
        g.If(When.Equal, g.Return);
        g.Call(g.Pages.MapDevice, rax);
        a.mov(rax, Base);
        a.mov(rcx, __qword_ptr[rax + CapabilityRegister]);
        a.mov(Capabilities, rcx);
        a.mov(rdx, __qword_ptr[rax + ExtendedRegister]);
        a.mov(Extended, rdx);
        ChooseWidth();
    }

    /// <summary>SAGAW, CAP bits 12:8: 48 bits by four levels if offered, else 39 bits by three.</summary>
    void ChooseWidth()
    {
        var a = g.A;
        a.mov(topShift, 39);
        a.mov(widthCode, 2);
        a.bt(ecx, 10);
        g.If(When.NotBelow, () =>
        {
            a.mov(topShift, 30);
            a.mov(widthCode, 1);
        });
    }

    void EmitCommand(bool set)
    {
        var a = g.A;
        a.mov(rcx, Base);
        a.mov(eax, __dword_ptr[rcx + GlobalStatus]);
        a.and(eax, KeptBits);
        a.mov(ebx, edi);
        a.or(eax, ebx);
        if (!set)
        {
            a.xor(eax, ebx);
        }

        a.mov(__dword_ptr[rcx + GlobalCommand], eax);
        g.Tally.Count(Tallied.Access, 2);
        g.WaitUntil(Patience, set ? When.NotEqual : When.Equal, () =>
        {
            g.Tally.Count(Tallied.Access);
            a.mov(rcx, Base);
            a.test(__dword_ptr[rcx + GlobalStatus], ebx);
        });
        a.mov(eax, 0);
        g.If(When.NotEqual, () => a.inc(eax));
    }

    void EmitStartQueue()
    {
        var a = g.A;
        a.mov(rcx, Base);
        a.mov(tail, 0);
        a.mov(__qword_ptr[rcx + QueueTail], 0);
        a.imul(rax, Scalable, WideDescriptors);
        a.or(rax, (int)queue.Address);
        a.mov(__qword_ptr[rcx + QueueAddress], rax);
        g.Tally.Count(Tallied.Access, 2);
        g.Call(Set, QueueEnable);
    }

    void EmitSetRoot()
    {
        var a = g.A;
        a.mov(rcx, Base);
        a.imul(rax, Scalable, ScalableTables);
        a.or(rax, (int)root.Address);
        a.mov(__qword_ptr[rcx + RootTable], rax);
        g.Tally.Count(Tallied.Access);
        g.Call(Set, SetRootTable);
    }

    void EmitSubmit()
    {
        var a = g.A;
        g.Tally.Count(Tallied.Command);
        g.Tally.Count(Tallied.Wait);
        a.mov(rax, tail);
        a.mov(__qword_ptr[rax + queue.Address], rdi);
        a.mov(__qword_ptr[rax + queue.Address + 8], rsi);
        Advance();
        a.inc(ticket);
        a.mov(rcx, ticket);
        a.shl(rcx, 32);
        a.or(rcx, (int)WaitDescriptor);
        a.mov(__qword_ptr[rax + queue.Address], rcx);
        a.mov(ecx, status.Address);
        a.mov(__qword_ptr[rax + queue.Address + 8], rcx);
        Advance();
        a.mov(tail, rax);
        a.mov(rcx, Base);
        a.mov(__qword_ptr[rcx + QueueTail], rax);
        g.Tally.Count(Tallied.Access);
        g.WaitUntil(Patience, When.Equal, () =>
        {
            a.mov(eax, status.As(4));
            a.cmp(eax, ticket.As(4));
        });
        a.mov(eax, 0);
        g.If(When.NotEqual, () => a.inc(eax));
    }

    void Advance()
    {
        g.A.add(rax, descriptorSize);
        g.A.and(eax, (int)QueueLength - 1);
    }

    void EmitTakeFault()
    {
        var a = g.A;
        g.WaitUntil(20_000, When.NotEqual, () =>
        {
            g.Tally.Count(Tallied.Access);
            a.mov(rcx, Base);
            a.test(__dword_ptr[rcx + FaultStatus], 2);
        });
        g.If(When.Equal, () =>
        {
            a.xor(eax, eax);
            g.Return();
        });
        g.Tally.Count(Tallied.Access, 6);
        // Record FRI of those at CAP.FRO.
        a.mov(rcx, Base);
        a.movzx(eax, __byte_ptr[rcx + FaultStatus + 1]);
        a.mov(rbx, Capabilities);
        a.shr(rbx, 24);
        a.and(ebx, 0x3FF);
        a.add(ebx, eax);
        a.shl(ebx, 4);
        a.add(rbx, rcx);
        a.mov(rax, __qword_ptr[rbx]);
        a.mov(FaultInformation, rax);
        a.mov(eax, __dword_ptr[rbx + 8]);
        a.movzx(eax, ax);
        a.mov(FaultSource, rax);
        a.mov(edx, __dword_ptr[rbx + 12]);
        a.movzx(eax, dl);
        a.mov(FaultReason, rax);
        a.shr(edx, 30);
        a.and(edx, 1);
        a.mov(FaultKind, rdx);
        a.mov(__dword_ptr[rbx + 12], 0x8000_0000);
        a.mov(rcx, Base);
        a.mov(__dword_ptr[rcx + FaultStatus], 0x71);
        a.mov(eax, 1);
    }
}
