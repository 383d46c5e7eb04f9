using Vmm.Firmware.BuiltIn.Runtime;
using Vmm.Specs.Pci;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Firmware.BuiltIn.Tests;

/// <summary>A PCI device that computes, interrupts by message and moves data, without an IOMMU in the way.</summary>
internal static class EduTests
{
    const byte Vector = 0x70;
    const uint Pattern = 0x0BAD_CAFE;
    const int Bytes = 256, Busy = 1;

    /// <summary>Buffers in the arena.</summary>
    const uint Source = Layout.Arena + 0x1000, Target = Layout.Arena + 0x2000;

    /// <summary>Emits the tests.</summary>
    public static void Emit(Guest g) => g.Checks.Test("edu", $"registers, factorial, MSI, DMA both ways, silent without bus mastering", () =>
    {
        g.Call(g.Edu.Find);
        g.A.cmp(g.Edu.Base, 0);
        g.If(When.Equal, () => g.Checks.SkipUnlessRequired("there is no device 1234:11e8"));
        Registers(g);
        Interrupt(g);
        Transfer(g);
        WithoutMastering(g);
    });

    static void Registers(Guest g)
    {
        var a = g.A;
        g.Edu.Load(ebx, Edu.Identity);
        a.movzx(ebx, bl);
        g.Checks.Equal(rbx, 0xED, "identification");
        g.Edu.Store(Edu.Liveness, 0x1234_5678);
        g.Edu.Load(ebx, Edu.Liveness);
        g.Checks.Equal(rbx, 0xEDCB_A987, "liveness register inverts");
        g.Edu.Store(Edu.Factorial, 10);
        g.Checks.Within(1_000_000, When.Equal, "factorial is computed", () =>
        {
            g.Edu.Load(edx, Edu.Status);
            a.test(dl, Busy);
        });
        g.Edu.Load(ebx, Edu.Factorial);
        g.Checks.Equal(rbx, 3_628_800, "10!");
    }

    static void Interrupt(Guest g)
    {
        g.Call(g.Messages.OwnAddress);
        g.Call(g.Messages.SetMsi, g.Edu.Function, rax, Vector);
        g.Checks.Equal(rax, 1, "MSI capability");
        g.Edu.Store(Edu.Raise, 0x40);
        g.Apic.Within(100_000, Vector, 1, "MSI");
        g.Edu.Load(ebx, Edu.Interrupts);
        g.Checks.Equal(rbx, 0x40, "interrupt status");
        g.Edu.Store(Edu.Acknowledge, 0x40);
        g.Edu.Load(ebx, Edu.Interrupts);
        g.Checks.Equal(rbx, 0, "interrupt status after the acknowledgement");
    }

    /// <summary>Emits code that fills the source with a pattern, and the target and its surroundings with zeros.</summary>
    public static void Prepare(Guest g, Operand seed)
    {
        var a = g.A;
        a.mov(edi, Target - 64);
        a.xor(eax, eax);
        a.mov(ecx, (Bytes + 128) / 4);
        a.rep.stosd();
        g.Load(rdx, seed);
        a.mov(edi, Source);
        a.mov(ecx, Bytes / 4);
        var next = a.CreateLabel();
        g.Place(next);
        a.mov(eax, edx);
        a.stosd();
        a.imul(edx, edx, 0x0001_9660 + 0xD);
        a.add(edx, 0x3C6E_F35F);
        a.dec(ecx);
        a.jne(next);
    }

    /// <summary>Emits code that checks that the target holds the pattern and nothing around it was written.</summary>
    public static void CheckArrived(Guest g, string what)
    {
        var a = g.A;
        a.mov(esi, Source);
        a.mov(edi, Target);
        a.mov(ecx, Bytes);
        a.repe.cmpsb();
        g.Checks.True(When.Equal, what + ": data");
        CheckZero(g, Target - 64, 64, what + ": before it");
        CheckZero(g, Target + Bytes, 64, what + ": after it");
    }

    /// <summary>Emits code that checks that nothing was written.</summary>
    public static void CheckUntouched(Guest g, string what) => CheckZero(g, Target - 64, Bytes + 128, what);

    static void CheckZero(Guest g, uint address, int count, string what)
    {
        g.A.mov(edi, address);
        g.A.mov(ecx, count);
        g.A.xor(eax, eax);
        g.A.repe.scasb();
        g.Checks.True(When.Equal, what);
    }

    static void Transfer(Guest g)
    {
        var a = g.A;
        Prepare(g, Pattern);
        g.Call(g.Edu.Transfer, Source, Bytes, 0);
        g.Checks.Equal(rax, 1, "transfer to the device ends");
        a.mov(ebx, g.Faults.Counts[Vector]);
        a.inc(ebx);
        g.Call(g.Edu.Transfer, Target, Bytes, Edu.FromDevice | Edu.WithInterrupt);
        g.Checks.Equal(rax, 1, "transfer from the device ends");
        CheckArrived(g, "DMA there and back");
        g.Apic.Within(100_000, Vector, rbx, "MSI at the end of a transfer");
        g.Edu.Store(Edu.Acknowledge, 0x100);
    }

    static void WithoutMastering(Guest g)
    {
        Prepare(g, Pattern + 1);
        g.Call(g.Pci.Write, g.Edu.Function, PciHeader.Command, 0x402);
        g.Call(g.Edu.Transfer, Target, Bytes, Edu.FromDevice);
        g.Call(g.Pci.Enable, g.Edu.Function);
        CheckUntouched(g, "DMA without bus mastering writes nothing");
    }
}
