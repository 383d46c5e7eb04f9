using System.Runtime.InteropServices;
using Vmm.Cpu.State;
using Vmm.Specs.X86;

namespace Vmm.Cpu.Vcpus;

/// <content>Reset, control and debug registers, model-specific registers, CPUID.</content>
public sealed unsafe partial class Vcpu
{
    /// <summary>Power-on state (SDM 3A table 9-1).</summary>
    public void Reset()
    {
        InitReset();
        s->Cr0 = 0x6000_0010;
        s->TscOffset = 0;
        s->TscAdjust = 0;
        s->MiscEnable = 1;
        s->Pat = 0x0007_0406_0007_0406;
        s->MtrrDefType = 0xC06;
        s->FeatureControl = FeatureControl.Lock | (model.MachineCheck is { Local: true } ? FeatureControl.LMCE_ON : 0);
        Mca?.PowerOn();
        s->Fcw = 0x37F;
        s->Fsw = 0;
        s->Ftw = 0;
        s->Mxcsr = 0x1F80;
        new Span<byte>(s->Xmm, 256).Clear();
        new Span<byte>(s->Fpr, 128).Clear();
        nmiPending = initPending = startUpPending = false;
        s->Pending &= PendingIntr;
        Activity = Index == 0 ? Activity.Active : Activity.WaitForStartUp;
        ShutdownCause = null;
        Vmx.Reset();
    }

    /// <summary>Call after changing <see cref="State"/> from outside: caches of it are rebuilt.</summary>
    public void StateChanged()
    {
        s->Cpl = s->Ss.DPL;
        FlushTlb();
        UpdateMode();
        ForgetCode();
        UpdateDebug();
    }

    /// <summary>INIT: caches, FPU and most MSRs keep their contents (SDM 3A §9.1.1).</summary>
    void InitReset()
    {
        new Span<ulong>(s->Gpr, 16).Clear();
        s->Gpr[2] = 0x806EC;
        s->Cr0 = s->Cr0 & (Cr.Cr0CD | Cr.Cr0NW) | 0x10;
        s->Cr2 = s->Cr3 = s->Cr4 = s->Cr8 = 0;
        s->Efer = 0;
        for (var i = 0; i < Seg.Count; i++)
        {
            *SegmentAt(i) = new() { Limit = 0xFFFF, Access = i == Seg.CS ? 0x9Bu : i == Seg.LDTR ? 0x82u : i == Seg.TR ? 0x8Bu : 0x93u };
        }

        s->Cs.Selector = 0xF000;
        s->Cs.Base = 0xFFFF_0000;
        s->Rip = 0xFFF0;
        s->GdtBase = s->IdtBase = 0;
        s->GdtLimit = s->IdtLimit = 0xFFFF;
        Flags.Write(s, 2);
        s->Cpl = 0;
        new Span<ulong>(s->Dr, 8).Clear();
        s->Dr[6] = 0xFFFF_0FF0;
        s->Dr[7] = 0x400;
        s->DebugActive = 0;
        s->Shadow = 0;
        heldBreakpoints = 0;
        s->NmiBlocked = 0;
        s->Stop = StopReason.None;
        FlushTlb();
        UpdateMode();
        Vmx.AdoptControlRegisters();
    }

    /// <summary>MOV to CR0, LMSW, CLTS. False: #GP waits.</summary>
    internal bool TryWriteCr0(ulong value)
    {
        const ulong Defined = Cr.Cr0PE | Cr.Cr0MP | Cr.Cr0EM | Cr.Cr0TS | Cr.Cr0ET | Cr.Cr0NE | Cr.Cr0WP | Cr.Cr0AM | Cr.Cr0NW | Cr.Cr0CD | Cr.Cr0PG;
        if (value >> 32 != 0
            || ((value & Cr.Cr0PG) != 0 && (value & Cr.Cr0PE) == 0)
            || ((value & Cr.Cr0NW) != 0 && (value & Cr.Cr0CD) == 0))
        {
            return Fail(null, Vector.GP, 0);
        }

        value = value & Defined | Cr.Cr0ET;
        var old = s->Cr0;
        var paging = (value & Cr.Cr0PG) != 0;
        if (paging && (old & Cr.Cr0PG) == 0)
        {
            if ((s->Efer & Cr.EferLME) != 0)
            {
                if ((s->Cr4 & Cr.Cr4PAE) == 0 || s->Cs.L || (s->Tr.Type & 8) == 0)
                {
                    return Fail(null, Vector.GP, 0);
                }

                s->Efer |= Cr.EferLMA;
            }
        }
        else if (!paging && (old & Cr.Cr0PG) != 0 && (s->Efer & Cr.EferLMA) != 0)
        {
            if (s->Cs.L)
            {
                return Fail(null, Vector.GP, 0);
            }

            s->Efer &= ~Cr.EferLMA;
        }

        // SDM 3A §4.4.1: a change of PG, CD or NW loads the page-directory-pointer entries anew.
        if (paging && (s->Cr4 & Cr.Cr4PAE) != 0 && (s->Efer & Cr.EferLMA) == 0 && ((old ^ value) & (Cr.Cr0PG | Cr.Cr0CD | Cr.Cr0NW)) != 0
            && !TryLoadPdptes(s->Cr3))
        {
            return false;
        }

        s->Cr0 = value;
        if (((old ^ value) & (Cr.Cr0PG | Cr.Cr0WP | Cr.Cr0PE)) != 0)
        {
            FlushTlb();
        }

        UpdateMode();
        Vmx.NoteControlRegisters();
        return true;
    }

    /// <summary>MOV to CR3. False: #GP waits.</summary>
    internal bool TryWriteCr3(ulong value)
    {
        if ((s->Efer & Cr.EferLMA) != 0)
        {
            if (value >> Memory.PageWalker.PhysicalBits != 0)
            {
                return Fail(null, Vector.GP, 0);
            }
        }
        else if ((s->Cr0 & Cr.Cr0PG) != 0 && (s->Cr4 & Cr.Cr4PAE) != 0 && !TryLoadPdptes(value))
        {
            return false;
        }

        s->Cr3 = value;
        FlushTlb();
        return true;
    }

    /// <summary>MOV to CR4. False: #GP waits.</summary>
    internal bool TryWriteCr4(ulong value)
    {
        var defined = Cr.Cr4TSD | Cr.Cr4DE | Cr.Cr4PSE | Cr.Cr4PAE | Cr.Cr4PGE | Cr.Cr4PCE | Cr.Cr4OSFXSR | Cr.Cr4OSXMMEXCPT
            | Cr.Cr4SMEP | Cr.Cr4SMAP | Cr.Cr4UMIP;
        // MCE may be set on every processor that the VMM models, with or without banks behind it.
        defined |= Cr.Cr4MCE;
        var lma = (s->Efer & Cr.EferLMA) != 0;
        if ((value & ~defined) != 0 || (lma && (value & Cr.Cr4PAE) == 0))
        {
            return Fail(null, Vector.GP, 0);
        }

        var old = s->Cr4;
        var changed = old ^ value;
        if ((changed & (Cr.Cr4PAE | Cr.Cr4PGE | Cr.Cr4PSE | Cr.Cr4SMEP)) != 0 && (value & Cr.Cr4PAE) != 0 && (s->Cr0 & Cr.Cr0PG) != 0 && !lma)
        {
            if (!TryLoadPdptes(s->Cr3))
            {
                return false;
            }
        }

        s->Cr4 = value;
        if ((changed & (Cr.Cr4PAE | Cr.Cr4PGE | Cr.Cr4PSE | Cr.Cr4SMEP | Cr.Cr4SMAP)) != 0)
        {
            FlushTlb();
        }

        UpdateMode();
        Vmx.NoteControlRegisters();
        return true;
    }

    bool TryLoadPdptes(ulong cr3)
    {
        var loaded = stackalloc ulong[4];
        for (var i = 0; i < 4; i++)
        {
            if (!memory.TryRead(new Platform.Memory.Gpa((cr3 & 0xFFFF_FFE0) + (ulong)i * 8), out loaded[i]))
            {
                loaded[i] = ulong.MaxValue;
            }

            if ((loaded[i] & 1) != 0 && (loaded[i] & (0x1E6 | ~((1ul << Memory.PageWalker.PhysicalBits) - 1))) != 0)
            {
                return Fail(null, Vector.GP, 0);
            }
        }

        for (var i = 0; i < 4; i++)
        {
            s->Pdpte[i] = loaded[i];
        }

        return true;
    }

    /// <summary>Recomputes whether DR7 enables anything; enabled data breakpoints empty the TLB fast path.</summary>
    internal void UpdateDebug()
    {
        var active = (s->Dr[7] & 0xFF) != 0 ? 1u : 0;
        if (active != s->DebugActive)
        {
            s->DebugActive = active;
            FlushTlb();
        }
    }

    /// <summary>The TSC as the guest reads it.</summary>
    internal ulong ReadTsc()
    {
        SyncClock(null);
        return Vmx.GuestTsc(clock.Now);
    }

    /// <summary>RDMSR. False: #GP(0) is due.</summary>
    internal bool TryReadMsr(uint msr, out ulong value)
    {
        value = 0;
        if (MachineCheckMsr.Contains(msr))
        {
            return Mca != null && Mca.TryRead(msr, out value);
        }

        switch (msr)
        {
            case 0x10:
                value = ReadTsc();
                return true;
            case 0x1B or 0x6E0 or (>= 0x800 and <= 0x8FF):
                var exit = new VmExit { Reason = ExitReason.Rdmsr, By = Vmx.MsrService(msr, false), Vcpu = Index, Address = msr, Size = 8 };
                CallOut(current, ref exit);
                value = exit.Data;
                return !exit.Refused;
            case 0x3A: value = s->FeatureControl; return true;
            case 0x3B: value = s->TscAdjust; return true;
            case 0x8B: value = 0x100ul << 32; return true;
            case 0x17: return true;
            case 0xFE: value = 0x508 | 8; return true;
            case 0x10A: value = CpuModel.ArchCapabilities; return true;
            case 0x174: value = s->SysenterCs; return true;
            case 0x175: value = s->SysenterEsp; return true;
            case 0x176: value = s->SysenterEip; return true;
            case 0x1A0: value = s->MiscEnable; return true;
            case >= 0x200 and <= 0x20F: value = s->MtrrVariable[msr - 0x200]; return true;
            case 0x250: value = s->MtrrFixed[0]; return true;
            case 0x258 or 0x259: value = s->MtrrFixed[msr - 0x257]; return true;
            case >= 0x268 and <= 0x26F: value = s->MtrrFixed[msr - 0x268 + 3]; return true;
            case 0x277: value = s->Pat; return true;
            case 0x2FF: value = s->MtrrDefType; return true;
            case 0xC000_0080: value = s->Efer; return true;
            case 0xC000_0081: value = s->Star; return true;
            case 0xC000_0082: value = s->Lstar; return true;
            case 0xC000_0083: value = s->Cstar; return true;
            case 0xC000_0084: value = s->Fmask; return true;
            case 0xC000_0100: value = s->Fs.Base; return true;
            case 0xC000_0101: value = s->Gs.Base; return true;
            case 0xC000_0102: value = s->KernelGsBase; return true;
            case 0xC000_0103: value = s->TscAux; return true;
            default: return false;
        }
    }

    /// <summary>WRMSR. False: #GP(0) is due.</summary>
    internal bool TryWriteMsr(uint msr, ulong value)
    {
        if (MachineCheckMsr.Contains(msr))
        {
            return Mca != null && Mca.TryWrite(msr, value, s->FeatureControl);
        }

        switch (msr)
        {
            case 0x10:
                var delta = value - ReadTsc();
                s->TscAdjust += delta;
                SetTscOffset(s->TscOffset + delta);
                return true;
            case 0x1B or 0x6E0 or (>= 0x800 and <= 0x8FF):
                var exit = new VmExit { Reason = ExitReason.Wrmsr, By = Vmx.MsrService(msr, true), Vcpu = Index, Address = msr, Size = 8, Data = value };
                CallOut(current, ref exit);
                return !exit.Refused;
            case 0x3A:
                // Locked by the firmware: any write faults (SDM 3C §24.7).
                return false;
            case 0x3B:
                SetTscOffset(s->TscOffset + value - s->TscAdjust);
                s->TscAdjust = value;
                return true;
            case 0x8B: return true;
            case 0x79: return true;
            case 0x174: s->SysenterCs = value; return true;
            case 0x175: return SetCanonical(ref s->SysenterEsp, value);
            case 0x176: return SetCanonical(ref s->SysenterEip, value);
            case 0x1A0: s->MiscEnable = value & MiscEnable.Writable; return true;
            case >= 0x200 and <= 0x20F: return SetIf(ref s->MtrrVariable[msr - 0x200], value, Mtrr.IsVariable(msr, value));
            case 0x250: return SetIf(ref s->MtrrFixed[0], value, Mtrr.IsFixed(value));
            case 0x258 or 0x259: return SetIf(ref s->MtrrFixed[msr - 0x257], value, Mtrr.IsFixed(value));
            case >= 0x268 and <= 0x26F: return SetIf(ref s->MtrrFixed[msr - 0x268 + 3], value, Mtrr.IsFixed(value));
            case 0x277: return SetIf(ref s->Pat, value, IsPat(value));
            case 0x2FF: return SetIf(ref s->MtrrDefType, value, Mtrr.IsDefault(value));
            case 0xC000_0080: return TryWriteEfer(value);
            case 0xC000_0081: s->Star = value; return true;
            case 0xC000_0082: return SetCanonical(ref s->Lstar, value);
            case 0xC000_0083: return SetCanonical(ref s->Cstar, value);
            case 0xC000_0084: s->Fmask = value & 0xFFFF_FFFF; return true;
            case 0xC000_0100: return SetCanonical(ref s->Fs.Base, value);
            case 0xC000_0101: return SetCanonical(ref s->Gs.Base, value);
            case 0xC000_0102: return SetCanonical(ref s->KernelGsBase, value);
            case 0xC000_0103:
                if (value >> 32 != 0)
                {
                    return false;
                }

                s->TscAux = value;
                return true;
            default: return false;
        }
    }

    internal void SetTscOffset(ulong offset)
    {
        s->TscOffset = offset;
        if (Apic != null)
        {
            Apic.TscOffset = offset;
        }
    }

    static bool SetCanonical(ref ulong register, ulong value) => SetIf(ref register, value, IsCanonical(value));

    static bool SetIf(ref ulong register, ulong value, bool allowed)
    {
        register = allowed ? value : register;
        return allowed;
    }

    static bool IsPat(ulong value)
    {
        for (var i = 0; i < 8; i++)
        {
            if ((byte)(value >> i * 8) is not (0 or 1 or 4 or 5 or 6 or 7))
            {
                return false;
            }
        }

        return true;
    }

    bool TryWriteEfer(ulong value)
    {
        const ulong Writable = Cr.EferSCE | Cr.EferLME | Cr.EferNXE;
        if ((value & ~(Writable | Cr.EferLMA)) != 0
            || (value & ~s->Efer & Cr.EferNXE & MiscEnable.WithheldNXE(s->MiscEnable)) != 0
            || ((s->Cr0 & Cr.Cr0PG) != 0 && ((value ^ s->Efer) & Cr.EferLME) != 0))
        {
            return false;
        }

        var changed = (value ^ s->Efer) & Cr.EferNXE;
        s->Efer = s->Efer & Cr.EferLMA | value & Writable;
        if (changed != 0)
        {
            FlushTlb();
        }

        UpdateMode();
        return true;
    }

    /// <summary>CPUID into RAX, RBX, RCX, RDX.</summary>
    internal void Cpuid()
    {
        var leaf = (uint)s->Gpr[0];
        var subleaf = (uint)s->Gpr[1];
        var result = model.Query(leaf, subleaf, Index);
        if (leaf == 1 && Apic is { IsEnabled: false })
        {
            result = result with { Edx = result.Edx & ~(1u << 9) };
        }

        result = MiscEnable.Adjust(leaf, result, s->MiscEnable);

        s->Gpr[0] = result.Eax;
        s->Gpr[3] = result.Ebx;
        s->Gpr[1] = result.Ecx;
        s->Gpr[2] = result.Edx;
        var exit = new VmExit { Reason = ExitReason.Cpuid, By = ExitService.Vcpu, Vcpu = Index, Address = leaf, Size = 4, Data = subleaf };
        CallOut(current, ref exit);
    }
}
