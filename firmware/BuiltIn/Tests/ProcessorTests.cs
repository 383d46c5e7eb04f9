using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Firmware.BuiltIn.Tests;

/// <summary>CPUID is sane and says what the guest relies on; the time stamp counter counts.</summary>
internal static class ProcessorTests
{
    /// <summary>CPUID.1:EDX: FPU, PSE, TSC, MSR, PAE, CX8, APIC, PGE, CMOV, PAT, FXSR, SSE, SSE2.</summary>
    const uint NeededBits = 1 << 0 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 8 | 1 << 9 | 1 << 13 | 1 << 15 | 1 << 16 | 1 << 24 | 1 << 25 | 1 << 26;

    /// <summary>CPUID.80000001H:EDX: SYSCALL, NX, long mode.</summary>
    const uint NeededExtendedBits = 1 << 11 | 1 << 20 | 1 << 29;

    const int IdFlag = 1 << 21;
    const uint TscAux = 0xC000_0103;

    /// <summary>Emits the tests.</summary>
    public static void Emit(Guest g)
    {
        var name = g.Data.Zeroed(64, 4);
        g.Checks.Test("cpu", $"{(Operand)name.Address:s}", () =>
        {
            Leaves(g, name);
            Toggles(g);
            TimeStamps(g);
        });
    }

    static void Leaves(Guest g, Variable name)
    {
        var a = g.A;
        Query(g, 0);
        a.mov(r12, rax);
        foreach (var (register, index) in new[] { (ebx, 0), (edx, 1), (ecx, 2) })
        {
            a.mov(name[index], register);
        }

        g.Checks.Between(r12, 1, 0xFF, "highest basic leaf");
        Query(g, 1);
        a.and(edx, NeededBits);
        g.Checks.Equal(rdx, NeededBits, "features of leaf 1");
        Query(g, 0x8000_0000);
        a.mov(r12, rax);
        g.Checks.Between(r12, 0x8000_0008, 0x8000_00FF, "highest extended leaf");
        Query(g, 0x8000_0001);
        a.and(edx, NeededExtendedBits);
        g.Checks.Equal(rdx, NeededExtendedBits, "features of leaf 80000001h");
        Query(g, 0x8000_0008);
        a.movzx(r12d, al);
        a.movzx(ebx, ah);
        g.Checks.Between(r12, 36, 52, "physical address bits");
        g.Checks.Between(rbx, 48, 57, "linear address bits");
        BrandString(g, name);
    }

    /// <summary>The name to print: the brand string if there is one, else the vendor.</summary>
    static void BrandString(Guest g, Variable name)
    {
        var a = g.A;
        for (var leaf = 0; leaf < 3; leaf++)
        {
            Query(g, 0x8000_0002 + (uint)leaf);
            var none = a.CreateLabel();
            a.test(eax, eax);
            a.je(none);
            a.mov(name[leaf * 4], eax);
            a.mov(name[leaf * 4 + 1], ebx);
            a.mov(name[leaf * 4 + 2], ecx);
            a.mov(name[leaf * 4 + 3], edx);
            g.Place(none);
        }
    }

    static void Query(Guest g, uint leaf)
    {
        g.A.mov(eax, leaf);
        g.A.xor(ecx, ecx);
        g.A.cpuid();
    }

    static void Toggles(Guest g)
    {
        var a = g.A;
        a.pushfq();
        a.pop(rbx);
        a.mov(r12, rbx);
        a.xor(r12, IdFlag);
        a.push(r12);
        a.popfq();
        a.pushfq();
        a.pop(r13);
        a.push(rbx);
        a.popfq();
        a.xor(r13, rbx);
        g.Checks.Equal(r13, IdFlag, "RFLAGS.ID toggles");
    }

    static void TimeStamps(Guest g)
    {
        var a = g.A;
        g.ReadTsc();
        a.mov(rbx, rax);
        a.mov(ecx, 100);
        g.Forever(end =>
        {
            a.dec(ecx);
            a.je(end);
        });
        g.ReadTsc();
        a.cmp(rax, rbx);
        g.Checks.True(When.Above, "TSC counts");
        g.Checks.Between(g.Clock.Kilohertz, 100_000, 20_000_000, "TSC rate by the interval timer, kHz");
        a.mov(eax, 0x8000_0001);
        a.cpuid();
        a.bt(edx, 27);
        g.If(When.Below, () =>
        {
            a.mov(ecx, TscAux);
            a.mov(eax, 0x5A);
            a.xor(edx, edx);
            a.wrmsr();
            a.rdtscp();
            g.Checks.Equal(rcx, 0x5A, "RDTSCP gives TSC_AUX");
        });
    }
}
