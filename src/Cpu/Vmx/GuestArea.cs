using Vmm.Cpu.State;
using Vmm.Cpu.Vcpus;
using Vmm.Specs.X86;
using F = Vmm.Specs.X86.VmcsField;

namespace Vmm.Cpu.Vmx;

/// <summary>The guest-state area against the vCPU that it describes: saved as a VM exit does, loaded as a VM entry does (SDM 3C §28.3, §27.3.2).</summary>
static unsafe class GuestArea
{
    /// <summary>Fills in the guest-state area, and the IA-32e control that follows it.</summary>
    public static void Save(Vcpu cpu, Vmcs v)
    {
        var s = cpu.State;
        v[F.GuestCr0] = cpu.Vmx.HardwareCr0;
        v[F.GuestCr3] = s->Cr3;
        v[F.GuestCr4] = cpu.Vmx.HardwareCr4;
        v[F.GuestDr7] = s->Dr[7];
        v[F.GuestRsp] = s->Gpr[4];
        v[F.GuestRip] = s->Rip;
        v[F.GuestRflags] = Flags.Read(s);
        for (var i = 0; i < Seg.Count; i++)
        {
            var segment = cpu.SegmentAt(i);
            var at = (ushort)(i * 2);
            v[F.GuestEsSelector + at] = segment->Selector;
            v[F.GuestEsBase + at] = segment->Base;
            v[F.GuestEsLimit + at] = segment->Limit;
            v[F.GuestEsAccess + at] = segment->Access;
        }

        v[F.GuestGdtrBase] = s->GdtBase;
        v[F.GuestGdtrLimit] = s->GdtLimit;
        v[F.GuestIdtrBase] = s->IdtBase;
        v[F.GuestIdtrLimit] = s->IdtLimit;
        v[F.GuestSysenterCs] = s->SysenterCs;
        v[F.GuestSysenterEsp] = s->SysenterEsp;
        v[F.GuestSysenterEip] = s->SysenterEip;
        v[F.GuestPat] = s->Pat;
        v[F.GuestEfer] = s->Efer;
        v[F.GuestDebugctl] = 0;
        v[F.GuestPendingDebug] = 0;
        v[F.VmcsLinkPointer] = ulong.MaxValue;
        for (var i = 0; i < 4; i++)
        {
            v[F.GuestPdpte0 + (ushort)(i * 2)] = s->Pdpte[i];
        }

        v[F.GuestInterruptibility] = (ulong)cpu.Vmx.Blocking;
        v[F.GuestActivity] = (ulong)cpu.Vmx.GuestActivity;
        v.Entry = (s->Efer & Cr.EferLMA) != 0 ? v.Entry | EntryControls.Ia32eGuest : v.Entry & ~EntryControls.Ia32eGuest;
        v[F.TscOffset] = s->TscOffset;
    }

    /// <summary>Puts the guest-state area, which has passed the checks, into the vCPU.</summary>
    public static void Load(Vcpu cpu, Vmcs v)
    {
        var s = cpu.State;
        cpu.Vmx.LoadControlRegisters(v[F.GuestCr0], v[F.GuestCr4]);
        s->Cr3 = v[F.GuestCr3];
        s->Dr[7] = v[F.GuestDr7];
        s->Gpr[4] = v[F.GuestRsp];
        s->Rip = v[F.GuestRip];
        Flags.Write(s, v[F.GuestRflags]);
        for (var i = 0; i < Seg.Count; i++)
        {
            var at = (ushort)(i * 2);
            *cpu.SegmentAt(i) = new()
            {
                Selector = (ushort)v[F.GuestEsSelector + at], Base = v[F.GuestEsBase + at], Limit = (uint)v[F.GuestEsLimit + at],
                Access = (uint)v[F.GuestEsAccess + at],
            };
        }

        s->GdtBase = v[F.GuestGdtrBase];
        s->GdtLimit = (uint)v[F.GuestGdtrLimit];
        s->IdtBase = v[F.GuestIdtrBase];
        s->IdtLimit = (uint)v[F.GuestIdtrLimit];
        s->SysenterCs = v[F.GuestSysenterCs];
        s->SysenterEsp = v[F.GuestSysenterEsp];
        s->SysenterEip = v[F.GuestSysenterEip];
        s->Pat = v[F.GuestPat];
        s->Efer = v[F.GuestEfer];
        for (var i = 0; i < 4; i++)
        {
            s->Pdpte[i] = v[F.GuestPdpte0 + (ushort)(i * 2)];
        }

        cpu.SetTscOffset(v[F.TscOffset]);
        var blocking = (Interruptibility)v[F.GuestInterruptibility];
        s->Shadow = (blocking & Interruptibility.MovSs) != 0 ? 2 : (blocking & Interruptibility.Sti) != 0 ? 1 : 0;
        s->NmiBlocked = (byte)((blocking & Interruptibility.Nmi) != 0 ? 1 : 0);
        cpu.StateChanged();
    }
}
