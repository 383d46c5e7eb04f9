using Vmm.Firmware.BuiltIn.Runtime;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Firmware.BuiltIn.Tests;

/// <summary>VT-d: the unit is found through DMAR and set up, DMA goes through its tables, and faults are recorded.</summary>
internal static class RemappingTests
{
    const byte FaultVector = 0x74;
    const int Domain = 1, Bytes = 256;
    const uint Pattern = 0x5EED_0001;

    /// <summary>Fault reasons (VT-d §7.1.3).</summary>
    const int ContextNotPresent = 2, NoWrite = 5, NoRead = 6;

    const uint Source = Layout.Arena + 0x1000, Target = Layout.Arena + 0x2000;
    const uint Both = RemappingUnit.MayRead | RemappingUnit.MayWrite;

    /// <summary>Emits the test that sets the unit up.</summary>
    public static void EmitSetUp(Guest g)
    {
        var (major, minor, levels) = (g.Data.U64(), g.Data.U64(), g.Data.U64());
        g.Checks.Test("vt-d", $"unit at {g.Iommu.Base:x}, version {major}.{minor}, CAP {g.Iommu.Capabilities:x}, ECAP {g.Iommu.Extended:x}; queued invalidation, {levels}-level translation is on", () =>
        {
            var a = g.A;
            g.Call(g.Iommu.Find);
            a.cmp(g.Iommu.Base, 0);
            g.If(When.Equal, () => g.Checks.SkipUnlessRequired("there is no DMAR table with a unit for PCI devices"));
            g.Iommu.Read(RemappingUnit.VersionRegister);
            a.mov(ecx, eax);
            a.shr(ecx, 4);
            a.mov(major, rcx);
            a.and(eax, 0xF);
            a.mov(minor, rax);
            g.Checks.Between(major, 1, 15, "version");
            a.mov(rax, g.Iommu.TopShift);
            a.sub(eax, 3);
            a.xor(edx, edx);
            a.mov(ecx, 9);
            a.div(ecx);
            a.mov(levels, rax);
            Capabilities(g);
            Enable(g);
        });
    }

    static void Capabilities(Guest g)
    {
        var a = g.A;
        a.mov(rbx, g.Iommu.Capabilities);
        a.shr(ebx, 8);
        a.and(ebx, 0x1F);
        g.Checks.Between(rbx, 1, 0x1E, "adjusted guest address widths");
        a.mov(rbx, g.Iommu.Extended);
        a.and(ebx, RemappingUnit.QueuedInvalidation);
        g.Checks.Equal(rbx, RemappingUnit.QueuedInvalidation, "queued invalidation is offered");
    }

    static void Enable(Guest g)
    {
        var a = g.A;
        g.Call(g.Iommu.StartQueue);
        g.Checks.Equal(rax, 1, "queued invalidation is enabled");
        g.Call(g.Iommu.SetRoot);
        g.Checks.Equal(rax, 1, "the root table pointer is set");
        g.Iommu.Flush();
        g.Checks.Equal(rax, 1, "wait descriptors are answered");
        a.mov(rcx, g.Iommu.Base);
        a.mov(rbx, __qword_ptr[rcx + RemappingUnit.QueueHead]);
        g.Checks.Equal(rbx, __qword_ptr[rcx + RemappingUnit.QueueTail], "the queue is empty then");
        g.Call(g.Iommu.Set, RemappingUnit.TranslationEnable);
        g.Checks.Equal(rax, 1, "translation is enabled");
        g.Iommu.Read(RemappingUnit.FaultStatus);
        g.Checks.Equal(rax, 0, "fault status");
        a.mov(g.Iommu.On, 1);
        g.Call(g.Messages.OwnAddress);
        a.mov(rcx, g.Iommu.Base);
        a.mov(__dword_ptr[rcx + RemappingUnit.FaultData], FaultVector);
        a.mov(__dword_ptr[rcx + RemappingUnit.FaultAddress], eax);
        a.mov(__dword_ptr[rcx + RemappingUnit.FaultUpperAddress], 0);
        a.mov(__dword_ptr[rcx + RemappingUnit.FaultControl], 0);
    }

    /// <summary>Emits code that leaves the test unless the unit is on.</summary>
    public static void NeedUnit(Guest g)
    {
        g.A.cmp(g.Iommu.On, 0);
        g.If(When.Equal, () => g.Checks.Skip("the IOMMU is not there or not on"));
    }

    /// <summary>Emits code that maps a physical page at the same address plus <see cref="RemappingUnit.Offset"/>.</summary>
    public static void Map(Guest g, uint page, uint rights) => g.Call(g.Iommu.Map, page + RemappingUnit.Offset, page | rights, 1);

    /// <summary>Emits code that takes a fault and checks its record.</summary>
    public static void CheckFault(Guest g, string what, Variable function, Operand address, int reason, bool read)
    {
        g.Call(g.Iommu.TakeFault);
        g.Checks.Equal(rax, 1, what + ": a fault is recorded");
        g.Checks.Equal(g.Iommu.FaultSource, function, what + ": source");
        g.Checks.Equal(g.Iommu.FaultInformation, address, what + ": address");
        g.Checks.Equal(g.Iommu.FaultReason, reason, what + ": reason");
        g.Checks.Equal(g.Iommu.FaultKind, read ? 1 : 0, what + ": type of request");
        g.A.mov(rbx, g.Iommu.FaultSource);
        g.Console.PutFunction(rbx, "         fault recorded: device ");
        g.Print($", {(Operand)(read ? "read" : "write"):s} of {g.Iommu.FaultInformation:x}, reason {g.Iommu.FaultReason:x}\n");
        // FRI, in bits 15:8, says nothing when no fault is pending.
        g.Iommu.Read(RemappingUnit.FaultStatus);
        g.A.movzx(eax, al);
        g.Checks.Equal(rax, 0, what + ": fault status when the record is cleared");
    }

    /// <summary>Emits the test that moves data through the tables with the test device.</summary>
    public static void EmitTransfers(Guest g) => g.Checks.Test("vt-d dma", $"test device through a mapping, I/O address is physical address plus {(Operand)RemappingUnit.Offset:x}; blocked outside it, faults recorded and signalled", () =>
    {
        NeedUnit(g);
        g.A.cmp(g.Edu.Base, 0);
        g.If(When.Equal, () => g.Checks.Skip("there is no device 1234:11e8"));
        g.Call(g.Iommu.Assign, g.Edu.Function, Domain);
        Map(g, Source, Both);
        Map(g, Target, Both);
        g.Iommu.Flush();
        Through(g);
        Outside(g);
        Rights(g);
        NoContext(g);
    });

    static void Through(Guest g)
    {
        EduTests.Prepare(g, Pattern);
        g.Call(g.Edu.Transfer, Source + RemappingUnit.Offset, Bytes, 0);
        g.Call(g.Edu.Transfer, Target + RemappingUnit.Offset, Bytes, Edu.FromDevice);
        EduTests.CheckArrived(g, "DMA through a mapping");
    }

    static void Outside(Guest g)
    {
        g.A.mov(r12d, g.Faults.Counts[FaultVector]);
        g.A.inc(r12d);
        EduTests.Prepare(g, Pattern + 1);
        g.Call(g.Edu.Transfer, Target, Bytes, Edu.FromDevice);
        EduTests.CheckUntouched(g, "DMA to a physical address that is not mapped writes nothing");
        CheckFault(g, "write outside the mapping", g.Edu.Function, Target, NoWrite, read: false);
        g.Apic.Within(100_000, FaultVector, r12, "interrupt of the fault");
    }

    static void Rights(Guest g)
    {
        Map(g, Target, RemappingUnit.MayRead);
        InvalidatePage(g, Target + RemappingUnit.Offset, "page-selective invalidation");
        g.Call(g.Edu.Transfer, Target + RemappingUnit.Offset, Bytes, Edu.FromDevice);
        EduTests.CheckUntouched(g, "DMA to a read-only page writes nothing");
        CheckFault(g, "write of a read-only page", g.Edu.Function, Target + RemappingUnit.Offset, NoWrite, read: false);
        Map(g, Source, 0);
        InvalidatePage(g, Source + RemappingUnit.Offset, "page-selective invalidation after unmapping");
        g.Call(g.Edu.Transfer, Source + RemappingUnit.Offset, Bytes, 0);
        CheckFault(g, "read of an unmapped page", g.Edu.Function, Source + RemappingUnit.Offset, NoRead, read: true);
    }

    /// <summary>IOTLB invalidation of one page of the domain.</summary>
    static void InvalidatePage(Guest g, uint address, string what)
    {
        g.Call(g.Iommu.Submit, 2 | 3 << 4 | 3 << 6 | Domain << 16, address);
        g.Checks.Equal(rax, 1, what);
    }

    static void NoContext(Guest g)
    {
        var a = g.A;
        Map(g, Target, Both);
        g.Call(g.Iommu.Assign, g.Edu.Function, 0);
        // Context cache invalidation of the device, then the domain's translations.
        a.mov(rdi, g.Edu.Function);
        a.shl(rdi, 32);
        a.or(rdi, 1 | 3 << 4 | Domain << 16);
        g.Call(g.Iommu.Submit, rdi, 0);
        g.Checks.Equal(rax, 1, "device-selective context invalidation");
        g.Call(g.Iommu.Submit, 2 | 2 << 4 | 3 << 6 | Domain << 16, 0);
        g.Checks.Equal(rax, 1, "domain-selective invalidation");
        g.Call(g.Edu.Transfer, Target + RemappingUnit.Offset, Bytes, Edu.FromDevice);
        EduTests.CheckUntouched(g, "DMA of a device without context writes nothing");
        CheckFault(g, "device without context", g.Edu.Function, Target + RemappingUnit.Offset, ContextNotPresent, read: false);
        g.Call(g.Iommu.Assign, g.Edu.Function, Domain);
        Map(g, Source, Both);
        g.Iommu.Flush();
        Through(g);
    }
}
