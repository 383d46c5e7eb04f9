using Vmm.Firmware.BuiltIn.Runtime;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Firmware.BuiltIn.Tests;

/// <summary>SSE and SSE2 by examples whose results are known, rounding and flags in MXCSR, and the exceptions around them.</summary>
internal static class VectorTests
{
    const int DeviceNotAvailable = 7, Protection = 13, SimdException = 19;
    const int TaskSwitched = 1 << 3;
    const uint DefaultControl = 0x1F80, RoundUp = 0x4000, MaskDivideByZero = 1 << 9;
    const uint InvalidFlag = 1, DivideByZeroFlag = 4, PrecisionFlag = 0x20;
    const ulong OneThird = 0x3FD5_5555_5555_5555, RootOfTwo = 0x3FF6_A09E_667F_3BCD, Infinity = 0x7FF0_0000_0000_0000;
    const ulong IndefiniteInteger = 0x8000_0000_0000_0000;

    /// <summary>Emits the tests.</summary>
    public static void Emit(Guest g)
    {
        var (control, area) = (g.Data.U32(), g.Data.Zeroed(1024, 8, 16));
        g.Checks.Test("sse", $"arithmetic, conversions, comparisons, shuffles, rounding and flags, FXSAVE, #NM, #XM, alignment", () =>
        {
            SetControl(g, control, DefaultControl);
            Arithmetic(g, control);
            Conversions(g);
            Integers(g);
            Exceptions(g, control, area);
            State(g, area, control);
            SetControl(g, control, DefaultControl);
        });
    }

    static void SetControl(Guest g, Variable control, uint value)
    {
        g.A.mov(control, value);
        g.A.ldmxcsr(control);
    }

    static void CheckFlags(Guest g, Variable control, uint flags, string what)
    {
        g.A.stmxcsr(control);
        g.A.mov(eax, control);
        g.A.and(eax, 0x3F);
        g.Checks.Equal(rax, flags, what);
    }

    static void Arithmetic(Guest g, Variable control)
    {
        var a = g.A;
        var (left, right) = (g.Data.Initial(1.5, 2.25), g.Data.Initial(0.5, -0.25));
        var (one, three, two, zero) = (g.Data.Initial(1.0), g.Data.Initial(3.0), g.Data.Initial(2.0), g.Data.Initial(0.0));
        a.movapd(xmm0, __[(ulong)left.Address]);
        a.addpd(xmm0, __[(ulong)right.Address]);
        a.movq(rbx, xmm0);
        a.unpckhpd(xmm0, xmm0);
        a.movq(r12, xmm0);
        g.Checks.Equal(rbx, 0x4000_0000_0000_0000, "ADDPD, low");
        g.Checks.Equal(r12, 0x4000_0000_0000_0000, "ADDPD, high");
        a.sqrtsd(xmm1, two);
        a.movq(rbx, xmm1);
        g.Checks.Equal(rbx, RootOfTwo, "SQRTSD of 2");
        SetControl(g, control, DefaultControl);
        a.movsd(xmm0, one);
        a.divsd(xmm0, three);
        a.movq(rbx, xmm0);
        g.Checks.Equal(rbx, OneThird, "DIVSD 1 / 3");
        CheckFlags(g, control, PrecisionFlag, "MXCSR.PE after it");
        SetControl(g, control, DefaultControl | RoundUp);
        a.movsd(xmm0, one);
        a.divsd(xmm0, three);
        a.movq(rbx, xmm0);
        g.Checks.Equal(rbx, OneThird + 1, "the same rounded up");
        SetControl(g, control, DefaultControl);
        a.movsd(xmm0, one);
        a.divsd(xmm0, zero);
        a.movq(rbx, xmm0);
        g.Checks.Equal(rbx, Infinity, "DIVSD 1 / 0");
        CheckFlags(g, control, DivideByZeroFlag, "MXCSR.ZE after it");
        a.movsd(xmm0, two);
        a.comisd(xmm0, three);
        g.Checks.True(When.Below, "COMISD 2, 3");
        a.movsd(xmm0, zero);
        a.divsd(xmm0, zero);
        a.ucomisd(xmm0, xmm0);
        a.setp(bl);
        a.movzx(ebx, bl);
        g.Checks.Equal(rbx, 1, "a NaN is unordered");
        CheckFlags(g, control, InvalidFlag | DivideByZeroFlag, "MXCSR.IE of 0 / 0");
    }

    static void Conversions(Guest g)
    {
        var a = g.A;
        var (half, negative, huge) = (g.Data.Initial(2.5), g.Data.Initial(-2.7), g.Data.Initial(1e30));
        a.cvtsd2si(rbx, half);
        g.Checks.Equal(rbx, 2, "CVTSD2SI 2.5 rounds to even");
        a.cvttsd2si(rbx, negative);
        g.Checks.Equal(rbx, -2L, "CVTTSD2SI -2.7 truncates");
        a.cvttsd2si(rbx, huge);
        g.Checks.Equal(rbx, IndefiniteInteger, "CVTTSD2SI out of range");
        a.mov(rax, 1L << 53 | 1);
        a.cvtsi2sd(xmm0, rax);
        a.cvtsd2si(rbx, xmm0);
        g.Checks.Equal(rbx, 1L << 53, "CVTSI2SD rounds 2^53 + 1");
        a.movsd(xmm0, half);
        a.cvtsd2ss(xmm0, xmm0);
        a.movd(ebx, xmm0);
        g.Checks.Equal(rbx, 0x4020_0000, "CVTSD2SS 2.5");
    }

    static void Integers(Guest g)
    {
        var a = g.A;
        a.mov(rax, 0x0000_0002_FFFF_FFFFL);
        a.movq(xmm0, rax);
        a.movq(xmm1, rax);
        a.paddd(xmm1, xmm0);
        a.movq(rbx, xmm1);
        g.Checks.Equal(rbx, 0x0000_0004_FFFF_FFFE, "PADDD");
        a.pmuludq(xmm0, xmm0);
        a.movq(rbx, xmm0);
        g.Checks.Equal(rbx, 0xFFFF_FFFE_0000_0001, "PMULUDQ");
        a.pshufd(xmm0, xmm0, 0b00_01_10_11);
        a.psrldq(xmm0, 8);
        a.movq(rbx, xmm0);
        g.Checks.Equal(rbx, 0x0000_0001_FFFF_FFFE, "PSHUFD and PSRLDQ");
        a.pcmpeqb(xmm0, xmm0);
        a.pmovmskb(ebx, xmm0);
        g.Checks.Equal(rbx, 0xFFFF, "PCMPEQB and PMOVMSKB");
    }

    static void Exceptions(Guest g, Variable control, Variable area)
    {
        var a = g.A;
        g.Faults.Expect(() => a.movaps(xmm0, __[(ulong)area.Address + 8]));
        g.Faults.Check("MOVAPS of an odd address", Protection, 0);
        g.Faults.Expect(() => a.movups(xmm0, __[(ulong)area.Address + 8]));
        g.Checks.Equal(g.Faults.Vector, Faults.None, "MOVUPS of it");
        a.mov(rax, cr0);
        a.or(eax, TaskSwitched);
        a.mov(cr0, rax);
        g.Faults.Expect(() => a.addps(xmm0, xmm0));
        a.clts();
        g.Faults.Check("ADDPS with CR0.TS", DeviceNotAvailable);
        var zero = g.Data.Initial(0.0);
        SetControl(g, control, DefaultControl & ~MaskDivideByZero);
        g.Faults.Expect(() =>
        {
            a.mov(eax, 1);
            a.cvtsi2sd(xmm0, eax);
            a.divsd(xmm0, zero);
        });
        a.movq(rbx, xmm0);
        SetControl(g, control, DefaultControl);
        // TCG never raises #XM.
        g.Checks.ExceptOnTcg(() =>
        {
            g.Faults.Check("DIVSD 1 / 0 unmasked", SimdException);
            g.Checks.Equal(rbx, 0x3FF0_0000_0000_0000, "its destination is unchanged");
        });
    }

    static void State(Guest g, Variable area, Variable control)
    {
        var a = g.A;
        var image = area.Address;
        a.mov(rax, 0x0123_4567_89AB_CDEFL);
        a.movq(xmm7, rax);
        SetControl(g, control, DefaultControl | RoundUp);
        a.fxsave(__[(ulong)image]);
        a.xorps(xmm7, xmm7);
        SetControl(g, control, DefaultControl);
        g.Checks.Equal(area.As(4, 24), DefaultControl | RoundUp, "MXCSR in the image of FXSAVE");
        a.fxrstor(__[(ulong)image]);
        a.movq(rbx, xmm7);
        g.Checks.Equal(rbx, 0x0123_4567_89AB_CDEF, "XMM7 after FXRSTOR");
        a.stmxcsr(control);
        g.Checks.Equal(control, DefaultControl | RoundUp, "MXCSR after FXRSTOR");
    }
}
