using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Firmware.BuiltIn.Tests;

/// <summary>The x87 unit by examples whose results are known: 80-bit results, rounding, comparison, stack faults, #MF.</summary>
internal static class FloatTests
{
    const int MathFault = 16;
    const ushort DefaultControl = 0x37F, RoundUp = 0x800, MaskDivideByZero = 4;
    const uint InvalidAndStackFault = 0x41;
    const ulong RootOfTwo = 0x3FF6_A09E_667F_3BCD;

    /// <summary>Emits the tests.</summary>
    public static void Emit(Guest g)
    {
        var (control, result) = (g.Data.Zeroed(2, 2), g.Data.Zeroed(16, 8, 16));
        g.Checks.Test("x87", $"80-bit arithmetic, rounding, FYL2X, comparison, stack fault, #MF", () =>
        {
            Control(g, control);
            Arithmetic(g, result);
            Rounding(g, control, result);
            Compare(g);
            Faults(g, control);
            g.A.fninit();
        });
    }

    static void SetControl(Guest g, Variable control, ushort value)
    {
        g.A.mov(control, value);
        g.A.fldcw(control);
    }

    static void Control(Guest g, Variable control)
    {
        var a = g.A;
        a.fninit();
        a.fnstcw(control);
        a.fnstsw(ax);
        a.movzx(ebx, ax);
        g.Checks.Equal(control, DefaultControl, "control word after FNINIT");
        g.Checks.Equal(rbx, 0, "status word after FNINIT");
    }

    static void Arithmetic(Guest g, Variable result)
    {
        var a = g.A;
        var (two, three, eight) = (Integer(g, 2), Integer(g, 3), Integer(g, 8));
        a.fild(two);
        a.fsqrt();
        a.fstp(result);
        g.Checks.Equal(result, RootOfTwo, "FSQRT of 2, as a double");
        a.fldpi();
        a.fstp(__tbyte_ptr[(ulong)result.Address]);
        g.Checks.Equal(result, 0xC90F_DAA2_2168_C235, "FLDPI, significand");
        g.Checks.Equal(result.As(2, 8), 0x4000, "FLDPI, exponent");
        a.fld1();
        a.fild(three);
        a.fdivp(st1, st0);
        a.fstp(__tbyte_ptr[(ulong)result.Address]);
        g.Checks.Equal(result, 0xAAAA_AAAA_AAAA_AAAB, "1 / 3, significand");
        g.Checks.Equal(result.As(2, 8), 0x3FFD, "1 / 3, exponent");
        a.fld1();
        a.fild(eight);
        a.fyl2x();
        a.fistp(result);
        g.Checks.Equal(result, 3, "FYL2X of 8");
    }

    static Variable Integer(Guest g, ulong value) => g.Data.Initial(value);

    static void Rounding(Guest g, Variable control, Variable result)
    {
        var a = g.A;
        var value = g.Data.Initial(2.5);
        a.fld(value);
        a.fistp(result);
        g.Checks.Equal(result, 2, "FISTP 2.5 to nearest even");
        SetControl(g, control, DefaultControl | RoundUp);
        a.fld(value);
        a.fistp(result);
        g.Checks.Equal(result, 3, "FISTP 2.5 upwards");
        SetControl(g, control, DefaultControl);
    }

    static void Compare(Guest g)
    {
        var a = g.A;
        a.fldpi();
        a.fld1();
        a.fcomip(st0, st1);
        a.setb(bl);
        a.movzx(ebx, bl);
        a.fstp(st0);
        g.Checks.Equal(rbx, 1, "FCOMIP 1 with pi");
        a.fnclex();
        a.fstp(st0);
        a.fnstsw(ax);
        a.movzx(ebx, ax);
        a.and(ebx, 0x7F);
        a.fnclex();
        g.Checks.ExceptOnTcg(() => g.Checks.Equal(rbx, InvalidAndStackFault, "status word after popping an empty stack"));
        a.fninit();
    }

    static void Faults(Guest g, Variable control)
    {
        var a = g.A;
        SetControl(g, control, DefaultControl & ~MaskDivideByZero);
        g.Faults.Expect(() =>
        {
            a.fld1();
            a.fldz();
            a.fdivp(st1, st0);
            a.wait();
        });
        a.fninit();
        g.Faults.Check("1 / 0 unmasked, at the next waiting instruction", MathFault);
    }
}
