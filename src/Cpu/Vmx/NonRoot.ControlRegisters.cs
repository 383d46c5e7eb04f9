using Vmm.Cpu.Interpreter;
using Vmm.Cpu.State;
using Vmm.Cpu.Vcpus;
using Vmm.Platform.Time;
using Vmm.Specs.X86;
using F = Vmm.Specs.X86.VmcsField;

namespace Vmm.Cpu.Vmx;

/// <content>
/// CR0 and CR4 under guest/host masks and read shadows (SDM 3C §25.6.6, §26.3). The engine's CR0 and CR4 are what the guest
/// believes; the bits in which the processor's differ (NE, VMXE, MCE) are kept beside them.
/// </content>
public sealed unsafe partial class NonRoot
{
    const ulong Cr4Apart = VmxCapability.Cr4Vmxe | Cr.Cr4MCE;

    ulong cr0Extra;
    ulong cr4Extra;
    ulong knownCr0;
    ulong knownCr4;

    /// <summary>CR0 in force in guest mode.</summary>
    public ulong HardwareCr0 => s->Cr0 | cr0Extra;

    /// <summary>CR4 in force in guest mode: the guest's bits, VMXE, and MCE as the last VM entry made it.</summary>
    public ulong HardwareCr4 => s->Cr4 & ~Cr4Apart | cr4Extra;

    /// <summary>CR0 as the guest reads it.</summary>
    internal ulong GuestCr0 => Seen(HardwareCr0, vmcs[F.Cr0GuestHostMask], vmcs[F.Cr0ReadShadow]);

    /// <summary>CR4 as the guest reads it.</summary>
    internal ulong GuestCr4 => Seen(HardwareCr4, vmcs[F.Cr4GuestHostMask], vmcs[F.Cr4ReadShadow]);

    static ulong Seen(ulong real, ulong mask, ulong shadow) => real & ~mask | shadow & mask;

    /// <summary>The state was set from outside: the hypervisor writes what follows from it into the VMCS.</summary>
    internal void AdoptControlRegisters()
    {
        cr0Extra = Cr.Cr0NE;
        vmcs[F.Cr0ReadShadow] = s->Cr0;
        vmcs[F.Cr4ReadShadow] = s->Cr4;
        NoteControlRegisters();
        SetEffectiveMce();
    }

    /// <summary>The guest's CR0 and CR4 are known to be what they are now.</summary>
    internal void NoteControlRegisters()
    {
        knownCr0 = s->Cr0;
        knownCr4 = s->Cr4;
    }

    /// <summary>Takes hardware values over, as a VM entry does.</summary>
    internal void LoadControlRegisters(ulong cr0, ulong cr4)
    {
        s->Cr0 = Seen(cr0, vmcs[F.Cr0GuestHostMask] & Cr.Cr0NE, vmcs[F.Cr0ReadShadow]);
        s->Cr4 = Seen(cr4, vmcs[F.Cr4GuestHostMask] & Cr4Apart, vmcs[F.Cr4ReadShadow]) & ~VmxCapability.Cr4Vmxe;
        cr0Extra = cr0 & Cr.Cr0NE;
        cr4Extra = cr4 & Cr4Apart;
        NoteControlRegisters();
    }

    /// <summary>
    /// A VM entry's GUEST_CR4.MCE and HOST_CR4. The host's CR4 is read live, at its price, or taken from the copy that HOST_CR4
    /// has held since the vCPU was created.
    /// </summary>
    void PrepareCr4()
    {
        if (!Options.StaleHostCr4)
        {
            vmcs[F.HostCr4] = Physical.Cr4;
        }

        SetEffectiveMce();
    }

    /// <summary>The read of the host's CR4 on the way back into the guest. Setting a vCPU up costs nothing, so that a first entry does not either.</summary>
    void ChargeCr4Read()
    {
        if (!Options.StaleHostCr4)
        {
            Physical.Cr4Reads++;
            clock.Ledger.Charge(CostKind.Cr4Read);
        }
    }

    void SetEffectiveMce()
    {
        var source = Options.PreserveMce ? vmcs[F.HostCr4] : s->Cr4;
        var mce = (vmcs[F.Cr4GuestHostMask] & Cr.Cr4MCE) != 0 ? source & Cr.Cr4MCE : cr4Extra & Cr.Cr4MCE;
        cr4Extra = VmxCapability.Cr4Vmxe | mce;
    }

    /// <summary>MOV to CR0. False: an exception waits.</summary>
    internal bool TryMovToCr0(Op* op, ulong value, int gpr)
    {
        if (((value ^ vmcs[F.Cr0ReadShadow]) & vmcs[F.Cr0GuestHostMask]) != 0)
        {
            Exit(op, ExitReason.CrAccess, CrAccessQualification.Mov(0, false, gpr).Raw, ExitKind.Write);
            return TrySetCr0(value);
        }

        return TryChangeCr0(op, value);
    }

    /// <summary>The hypervisor carries a write of CR0 out.</summary>
    bool TrySetCr0(ulong value)
    {
        if (!cpu.TryWriteCr0(value))
        {
            return false;
        }

        vmcs[F.Cr0ReadShadow] = s->Cr0;
        return true;
    }

    /// <summary>The processor carries a write of CR0 out: the host's bits stay.</summary>
    bool TryChangeCr0(Op* op, ulong value)
    {
        var mask = vmcs[F.Cr0GuestHostMask];
        var real = Seen(value, mask, HardwareCr0);
        var unrestricted = (Secondary & SecondaryControls.UnrestrictedGuest) != 0;
        var needed = unrestricted ? Cr.Cr0NE : VmxCapability.Cr0Fixed0;
        if ((real & needed) != needed)
        {
            return cpu.Fail(op, Vector.GP, 0);
        }

        return cpu.TryWriteCr0(Seen(value, mask, s->Cr0));
    }

    /// <summary>MOV to CR4. False: an exception waits.</summary>
    internal bool TryMovToCr4(Op* op, ulong value, int gpr)
    {
        var mask = vmcs[F.Cr4GuestHostMask];
        if (((value ^ vmcs[F.Cr4ReadShadow]) & mask) != 0)
        {
            Exit(op, ExitReason.CrAccess, CrAccessQualification.Mov(4, false, gpr).Raw, ExitKind.Write);
            if (!cpu.TryWriteCr4(value))
            {
                return false;
            }

            vmcs[F.Cr4ReadShadow] = s->Cr4;
            SetEffectiveMce();
            return true;
        }

        if ((Seen(value, mask, HardwareCr4) & VmxCapability.Cr4Vmxe) == 0)
        {
            return cpu.Fail(op, Vector.GP, 0);
        }

        if (!cpu.TryWriteCr4(Seen(value, mask, s->Cr4) & ~VmxCapability.Cr4Vmxe))
        {
            return false;
        }

        cr4Extra = cr4Extra & ~(Cr.Cr4MCE & ~mask) | value & Cr.Cr4MCE & ~mask;
        return true;
    }

    /// <summary>CLTS.</summary>
    internal void ClearTaskSwitched(Op* op)
    {
        var owned = (vmcs[F.Cr0GuestHostMask] & Cr.Cr0TS) != 0;
        if (owned && (vmcs[F.Cr0ReadShadow] & Cr.Cr0TS) == 0)
        {
            return;
        }

        if (owned)
        {
            Exit(op, ExitReason.CrAccess, CrAccessQualification.OfClts.Raw, ExitKind.Clts);
            vmcs[F.Cr0ReadShadow] &= ~Cr.Cr0TS;
        }

        s->Cr0 &= ~Cr.Cr0TS;
        NoteControlRegisters();
        cpu.UpdateMode();
    }

    /// <summary>LMSW: bits 3:0, of which PE can be set but not cleared. False: an exception waits.</summary>
    internal bool TryLmsw(Op* op, ushort source, bool memory, ulong linear)
    {
        var (mask, shadow) = (vmcs[F.Cr0GuestHostMask], vmcs[F.Cr0ReadShadow]);
        var differs = (source ^ shadow) & mask & 0xE;
        var value = GuestCr0 & ~0xEul | source & 0xFul;
        if (differs == 0 && (mask & source & ~shadow & 1) == 0)
        {
            return TryChangeCr0(op, value);
        }

        vmcs[F.GuestLinearAddress] = linear;
        Exit(op, ExitReason.CrAccess, CrAccessQualification.OfLmsw(source, memory).Raw, ExitKind.Lmsw);
        return TrySetCr0(value);
    }

    /// <summary>MOV to CR3 exits unless the value is one of the CR3-target values (SDM 3C §25.6.7).</summary>
    internal void MovToCr3(Op* op, ulong value, int gpr)
    {
        if ((Primary & PrimaryControls.Cr3Load) != 0 && !IsCr3Target(value))
        {
            Exit(op, ExitReason.CrAccess, CrAccessQualification.Mov(3, false, gpr).Raw, ExitKind.Write);
        }
    }

    bool IsCr3Target(ulong value)
    {
        var count = (int)Math.Min(vmcs[F.Cr3TargetCount], VmxCapability.Cr3Targets);
        for (var i = 0; i < count; i++)
        {
            if (vmcs[F.Cr3Target0 + (ushort)(i * 2)] == value)
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>MOV to or from CR8 with CR8 exiting.</summary>
    internal void AccessCr8(Op* op, bool from, int gpr)
    {
        if ((Primary & (from ? PrimaryControls.Cr8Store : PrimaryControls.Cr8Load)) != 0)
        {
            Exit(op, ExitReason.CrAccess, CrAccessQualification.Mov(8, from, gpr).Raw, from ? ExitKind.Read : ExitKind.Write);
        }
    }

    /// <summary>After a write of CR8 into the TPR shadow: the exit when it falls below the threshold (SDM 3C §30.1.2). It is trap-like.</summary>
    internal void CheckTprThreshold(ulong cr8)
    {
        if ((Primary & PrimaryControls.UseTprShadow) != 0 && cr8 < (vmcs[F.TprThreshold] & 15))
        {
            Exit(null, ExitReason.TprBelowThreshold);
        }
    }
}
