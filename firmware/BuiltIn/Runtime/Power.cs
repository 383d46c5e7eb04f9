using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Firmware.BuiltIn.Runtime;

/// <summary>Soft off by ACPI (ACPI 6.5 §7.4.2, §16.1.7).</summary>
internal sealed class Power(Guest guest)
{
    const int SleepEnable = 1 << 13;
    const byte PackageOpcode = 0x12, BytePrefix = 0x0A;

    readonly Guest g = guest;

    /// <summary>Powers the machine off; returns when that did not work.</summary>
    public Routine Off { get; } = guest.NewRoutine();

    /// <summary>SLP_TYP for soft off by the \_S5 package of the DSDT; RAX is above 7 when there is none.</summary>
    public Routine SoftOffType { get; } = guest.NewRoutine();

    /// <summary>Emits the routines.</summary>
    public void Emit()
    {
        g.Define(SoftOffType, [rbx], EmitSoftOffType);
        g.Define(Off, EmitOff);
    }

    void EmitOff()
    {
        var a = g.A;
        a.call(SoftOffType.Label);
        a.cmp(eax, 7);
        g.If(When.Above, g.Return);
        a.shl(eax, 10);
        a.or(eax, SleepEnable);
        a.mov(rdx, g.Acpi.PmControl);
        a.test(edx, edx);
        g.If(When.NotEqual, () => a.@out(dx, ax));
    }

    void EmitSoftOffType()
    {
        var a = g.A;
        g.Call(g.Acpi.Table, AcpiReader.Signature("DSDT"));
        var none = a.CreateLabel();
        a.test(rax, rax);
        a.je(none);
        a.mov(ecx, __dword_ptr[rax + 4]);
        a.sub(ecx, 36 + 8);
        a.jb(none);
        a.lea(rbx, __[rax + 36]);
        g.Forever(end =>
        {
            a.cmp(__dword_ptr[rbx], AcpiReader.Signature("_S5_"));
            var next = a.CreateLabel();
            a.jne(next);
            a.cmp(__byte_ptr[rbx + 4], PackageOpcode);
            a.jne(next);
            // PkgLength has one byte and as many more as its top bits say; then comes the number of elements.
            a.movzx(edx, __byte_ptr[rbx + 5]);
            a.shr(edx, 6);
            a.movzx(eax, __byte_ptr[rbx + rdx + 7]);
            a.cmp(al, BytePrefix);
            g.If(When.Equal, () => a.movzx(eax, __byte_ptr[rbx + rdx + 8]));
            g.Return();
            g.Place(next);
            a.inc(rbx);
            a.dec(ecx);
            a.js(end);
        });
        g.Place(none);
        a.mov(eax, 0xFF);
    }
}
