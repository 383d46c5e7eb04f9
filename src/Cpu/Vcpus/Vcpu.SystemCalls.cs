using Vmm.Cpu.State;

namespace Vmm.Cpu.Vcpus;

/// <content>SYSCALL, SYSRET, SYSENTER, SYSEXIT (SDM 2B).</content>
public sealed unsafe partial class Vcpu
{
    /// <summary>SYSCALL (SDM 2B). False: an exception waits.</summary>
    internal bool TrySyscall()
    {
        if ((s->Efer & Cr.EferSCE) == 0 || !Is64)
        {
            // Intel processors refuse SYSCALL outside 64-bit mode.
            return Fail(null, Vector.UD, 0);
        }

        s->Gpr[1] = s->NextRip;
        s->Gpr[11] = Flags.Read(s) & ~Cr.RF;
        Flags.Write(s, Flags.Read(s) & ~s->Fmask & ~Cr.RF);
        var selector = (ushort)(s->Star >> 32 & 0xFFFC);
        s->Cs = FlatCode(selector, 0, true);
        s->Ss = FlatData((ushort)(selector + 8), 0);
        s->NextRip = s->Lstar;
        s->Cpl = 0;
        UpdateMode();
        StepByNewFlags();
        return true;
    }

    /// <summary>SYSRET. False: an exception waits.</summary>
    internal bool TrySysret(bool wide)
    {
        if ((s->Efer & Cr.EferSCE) == 0 || !Is64)
        {
            return Fail(null, Vector.UD, 0);
        }

        if (s->Cpl != 0 || (wide && !IsCanonical(s->Gpr[1])))
        {
            return Fail(null, Vector.GP, 0);
        }

        var selector = (ushort)(s->Star >> 48);
        s->Cs = FlatCode((ushort)((wide ? selector + 16 : selector) | 3), 3, wide);
        s->Ss = FlatData((ushort)(selector + 8 | 3), 3);
        s->NextRip = wide ? s->Gpr[1] : (uint)s->Gpr[1];
        Flags.Write(s, s->Gpr[11] & 0x3C7FD7 & ~(Cr.RF | Cr.VM) | 2);
        s->Cpl = 3;
        UpdateMode();
        StepByNewFlags();
        return true;
    }

    /// <summary>SYSENTER. False: an exception waits.</summary>
    internal bool TrySysenter()
    {
        if ((s->Cr0 & Cr.Cr0PE) == 0 || (s->SysenterCs & 0xFFFC) == 0)
        {
            return Fail(null, Vector.GP, 0);
        }

        var lma = (s->Efer & Cr.EferLMA) != 0;
        s->FlagRest &= ~(Cr.VM | Cr.IF);
        var selector = (ushort)(s->SysenterCs & 0xFFFC);
        s->Cs = FlatCode(selector, 0, lma);
        s->Ss = FlatData((ushort)(selector + 8), 0);
        s->Gpr[4] = lma ? s->SysenterEsp : (uint)s->SysenterEsp;
        s->NextRip = lma ? s->SysenterEip : (uint)s->SysenterEip;
        s->Cpl = 0;
        UpdateMode();
        return true;
    }

    /// <summary>SYSEXIT. False: an exception waits.</summary>
    internal bool TrySysexit(bool wide)
    {
        if (s->Cpl != 0 || (s->Cr0 & Cr.Cr0PE) == 0 || (s->SysenterCs & 0xFFFC) == 0
            || (wide && (!IsCanonical(s->Gpr[1]) || !IsCanonical(s->Gpr[2]))))
        {
            return Fail(null, Vector.GP, 0);
        }

        var selector = (ushort)(s->SysenterCs & 0xFFFC);
        s->Cs = FlatCode((ushort)(selector + (wide ? 32 : 16) | 3), 3, wide);
        s->Ss = FlatData((ushort)(selector + (wide ? 40 : 24) | 3), 3);
        s->Gpr[4] = wide ? s->Gpr[1] : (uint)s->Gpr[1];
        s->NextRip = wide ? s->Gpr[2] : (uint)s->Gpr[2];
        s->Cpl = 3;
        UpdateMode();
        return true;
    }

    static SegmentRegister FlatCode(ushort selector, int dpl, bool wide) => new()
    {
        Selector = selector, Limit = 0xFFFF_FFFF, Access = 0x809Bu | (uint)dpl << 5 | (wide ? 0x2000u : 0x4000u),
    };

    static SegmentRegister FlatData(ushort selector, int dpl) => new()
    {
        Selector = selector, Limit = 0xFFFF_FFFF, Access = 0xC093u | (uint)dpl << 5,
    };
}
