using Vmm.Firmware.BuiltIn.Runtime;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Firmware.BuiltIn.Tests;

/// <summary>VT-d interrupt remapping (VT-d §5): a device's message goes where its table entry says, and only from that device.</summary>
internal static class InterruptRemappingTests
{
    /// <summary>Index of the test device's entry, and of the NVMe controller's.</summary>
    public const int EduIndex = 5, NvmeIndex = 6;

    const byte FirstVector = 0x75, SecondVector = 0x76, CompatibleVector = 0x77;
    const int NotPresent = 0x22, CompatibilityBlocked = 0x25, WrongSource = 0x26;

    /// <summary>Present; edge; fixed; physical destination.</summary>
    const int Present = 1;

    /// <summary>SVT = 01: all bits of the source have to be those of SID.</summary>
    const int VerifySource = 1 << 18;

    /// <summary>2^(7 + 1) entries.</summary>
    const uint TableSize = 7;

    /// <summary>Emits the tests.</summary>
    public static void Emit(Guest g) => g.Checks.Test("vt-d msi", $"remapped MSI of the test device; wrong source and absent entry are blocked", () =>
    {
        RemappingTests.NeedUnit(g);
        g.A.test(g.Iommu.Extended.As(1), RemappingUnit.InterruptRemapping);
        g.If(When.Equal, () => g.Checks.SkipUnlessRequired("the unit does not offer interrupt remapping"));
        Enable(g);
        g.A.cmp(g.Edu.Base, 0);
        g.If(When.Equal, () => g.Checks.Skip("remapping is on, but there is no device 1234:11e8"));
        Remapped(g);
        Blocked(g);
    });

    static void Enable(Guest g)
    {
        var a = g.A;
        a.mov(rcx, g.Iommu.Base);
        a.mov(eax, g.Iommu.Interrupts.Address | TableSize);
        a.mov(__qword_ptr[rcx + RemappingUnit.InterruptTable], rax);
        g.Call(g.Iommu.Set, RemappingUnit.SetInterruptTable);
        g.Checks.Equal(rax, 1, "the interrupt table pointer is set");
        g.Call(g.Iommu.Submit, RemappingUnit.AllInterrupts, 0);
        g.Checks.Equal(rax, 1, "interrupt entry cache invalidation");
        g.Call(g.Iommu.Set, RemappingUnit.InterruptEnable);
        g.Checks.Equal(rax, 1, "interrupt remapping is enabled");
        a.mov(g.Iommu.InterruptsOn, 1);
    }

    /// <summary>Emits code that sets an entry for messages of a function to this processor, and invalidates it.</summary>
    public static void SetEntry(Guest g, int index, byte vector, Variable function, int present = Present, int otherSource = 0)
    {
        var a = g.A;
        g.Call(g.Apic.Own);
        // 8-bit destinations are in bits 15:8 of DST while EIME is clear.
        a.shl(rax, 40);
        a.or(rax, vector << 16 | present);
        a.mov(rcx, function);
        a.xor(ecx, otherSource);
        a.or(rcx, VerifySource);
        a.mov(g.Iommu.Interrupts[index * 2 + 1], rcx);
        a.mov(g.Iommu.Interrupts[index * 2], rax);
        g.Iommu.WriteBack(g.Iommu.Interrupts[index * 2]);
        g.Call(g.Iommu.Submit, 4 | 1 << 4 | (long)index << 32, 0);
    }

    /// <summary>Address of a remappable message (§5.1.2.2): handle, interrupt format 1, no subhandle.</summary>
    public static uint MessageAddress(int index) => MessageInterrupts.Address | (uint)index << 5 | 1 << 4;

    /// <summary>Emits code that makes the test device send its message.</summary>
    static void Send(Guest g)
    {
        g.Edu.Store(Edu.Raise, 0x10);
        g.Edu.Store(Edu.Acknowledge, 0x10);
    }

    static void Remapped(Guest g)
    {
        SetEntry(g, EduIndex, FirstVector, g.Edu.Function);
        g.Call(g.Messages.SetMsi, g.Edu.Function, MessageAddress(EduIndex), 0);
        Send(g);
        g.Apic.Within(100_000, FirstVector, 1, "remapped message");
        SetEntry(g, EduIndex, SecondVector, g.Edu.Function);
        Send(g);
        g.Apic.Within(100_000, SecondVector, 1, "message after its entry changed");
        g.Checks.Equal(g.Faults.Counts[FirstVector], 1, "nothing by the old entry");
    }

    static void Blocked(Guest g)
    {
        SetEntry(g, EduIndex, FirstVector, g.Edu.Function, otherSource: 8);
        Refused("message of another source", WrongSource);
        SetEntry(g, EduIndex, FirstVector, g.Edu.Function, present: 0);
        Refused("message without an entry", NotPresent);
        // QEMU lets messages in the old format pass whatever CFIS says.
        g.Checks.ExceptOnTcg(() =>
        {
            g.Call(g.Messages.OwnAddress);
            g.Call(g.Messages.SetMsi, g.Edu.Function, rax, CompatibleVector);
            Refused("message in compatibility format", CompatibilityBlocked);
            g.Checks.Equal(g.Faults.Counts[CompatibleVector], 0, "message in compatibility format: blocked");
        });

        void Refused(string what, int reason)
        {
            Send(g);
            g.Apic.Listen(1_000);
            g.Checks.Equal(g.Faults.Counts[FirstVector], 1, what + ": blocked");
            // QEMU records no faults of interrupt requests before its version 8.
            g.Checks.ExceptOnTcg(() =>
            {
                g.Call(g.Iommu.TakeFault);
                g.Checks.Equal(rax, 1, what + ": a fault is recorded");
                g.Checks.Equal(g.Iommu.FaultReason, reason, what + ": reason");
                g.Checks.Equal(g.Iommu.FaultSource, g.Edu.Function, what + ": source");
            });
        }
    }
}
