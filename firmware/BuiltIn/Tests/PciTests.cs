using Vmm.Firmware.BuiltIn.Runtime;
using Vmm.Specs.Pci;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Firmware.BuiltIn.Tests;

/// <summary>PCI functions are found, and both ways to configuration space show the same.</summary>
internal static class PciTests
{
    /// <summary>Emits the tests.</summary>
    public static void Emit(Guest g)
    {
        var compared = g.Data.U64();
        g.Checks.Test("pci", $"{g.Pci.Count} functions; {compared} words of configuration space are the same by ports and by ECAM", () =>
        {
            g.Call(g.Pci.Scan);
            List(g);
            g.Checks.Between(g.Pci.Count, 1, PciConfig.MostFunctions, "functions");
            g.Call(g.Pci.Read, 0, PciHeader.VendorId);
            g.A.inc(ax);
            g.Checks.True(When.NotEqual, "there is a function 00:00.0");
            g.Call(g.Pci.Read, 0xF8 + 0x700, PciHeader.VendorId);
            g.Checks.Equal(rax, uint.MaxValue, "a function that is not there reads as ones");
            Compare(g, compared);
        });
    }

    static void List(Guest g)
    {
        var a = g.A;
        g.For(r12, g.Pci.Count, () =>
        {
            a.mov(ebx, g.Pci.Functions.At(r12));
            g.Call(g.Pci.Read, rbx, PciHeader.VendorId);
            a.movzx(r13d, ax);
            a.shr(eax, 16);
            a.mov(r14d, eax);
            g.Call(g.Pci.Read, rbx, PciHeader.RevisionClass);
            a.shr(eax, 8);
            a.mov(r15d, eax);
            g.Console.PutFunction(rbx, "         ");
            g.Print($" {r13:x4}:{r14:x4} class {r15:x6}\n");
        });
    }

    static void Compare(Guest g, Variable compared)
    {
        var a = g.A;
        a.cmp(g.Acpi.Ecam, 0);
        g.If(When.NotEqual, () => g.For(r12, g.Pci.Count, () =>
        {
            a.mov(ebx, g.Pci.Functions.At(r12));
            var (skip, next) = (a.CreateLabel(), a.CreateLabel());
            a.mov(eax, ebx);
            a.shr(eax, 8);
            a.cmp(rax, g.Acpi.EcamFirstBus);
            a.jb(skip);
            a.cmp(rax, g.Acpi.EcamLastBus);
            a.ja(skip);
            a.xor(r13d, r13d);
            g.Place(next);
            g.Call(g.Pci.Read, rbx, r13);
            a.mov(r14d, eax);
            g.Call(g.Pci.ReadEcam, rbx, r13);
            g.Checks.Equal(rax, r14, "word of configuration space by ECAM and by ports");
            a.inc(compared);
            a.add(r13d, 4);
            a.cmp(r13d, 0x40);
            a.jb(next);
            g.Place(skip);
        }));
    }
}
