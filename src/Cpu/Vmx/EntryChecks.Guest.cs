using Vmm.Cpu.State;
using Vmm.Specs.X86;
using F = Vmm.Specs.X86.VmcsField;

namespace Vmm.Cpu.Vmx;

/// <content>Checks on the guest-state area (SDM 3C §27.3.1): a failed entry with reason 33.</content>
public static partial class EntryChecks
{
    const ulong NoLink = ulong.MaxValue;

    /// <summary>Checks on the guest-state area.</summary>
    public static EntryFailure? Guest(Vmcs v)
    {
        var check = new Checker(0);
        var guest = new GuestView(v);
        CheckRegisters(ref check, v, guest);
        CheckSegments(ref check, v, guest);
        foreach (var (@base, limit) in (ReadOnlySpan<(F, F)>)[(F.GuestGdtrBase, F.GuestGdtrLimit), (F.GuestIdtrBase, F.GuestIdtrLimit)])
        {
            check.Require(IsCanonical(v[@base]), @base, "is not canonical");
            check.Require(v[limit] >> 16 == 0, limit, "has bits above 15");
        }

        CheckPointerAndFlags(ref check, v, guest);
        CheckActivity(ref check, v, guest);
        CheckInterruptibility(ref check, v, guest);
        CheckPendingDebug(ref check, v, guest);
        check.Require(v[F.VmcsLinkPointer] == NoLink, F.VmcsLinkPointer, "is not all ones, and there is no VMCS to link", 4);
        CheckPdptes(ref check, v, guest);
        return check.Failure;
    }

    /// <summary>What several checks ask about.</summary>
    readonly struct GuestView(Vmcs v)
    {
        public bool IsUnrestricted { get; } = (v.Secondary & SecondaryControls.UnrestrictedGuest) != 0;

        public bool IsLong { get; } = (v.Entry & EntryControls.Ia32eGuest) != 0;

        public bool IsProtected { get; } = (v[F.GuestCr0] & Cr.Cr0PE) != 0;

        public bool IsPaging { get; } = (v[F.GuestCr0] & Cr.Cr0PG) != 0;

        public bool IsVirtual8086 { get; } = (v[F.GuestRflags] & Cr.VM) != 0;

        public InterruptionInfo Injection { get; } = new((uint)v[F.EntryInterruptionInfo]);

        public Interruptibility Blocking { get; } = (Interruptibility)v[F.GuestInterruptibility];
    }

    static void CheckRegisters(ref Checker check, Vmcs v, in GuestView guest)
    {
        var fixed0 = guest.IsUnrestricted ? VmxCapability.Cr0Fixed0 & ~(Cr.Cr0PE | Cr.Cr0PG) : VmxCapability.Cr0Fixed0;
        check.Require(HasFixed(v[F.GuestCr0], fixed0, VmxCapability.Cr0Fixed1), F.GuestCr0, "breaks the fixed bits of CR0");
        check.Require(!guest.IsPaging || guest.IsProtected, F.GuestCr0, "has paging without protection");
        check.Require(HasFixed(v[F.GuestCr4], VmxCapability.Cr4Fixed0, VmxCapability.Cr4Fixed1), F.GuestCr4, "breaks the fixed bits of CR4");
        if ((v.Entry & EntryControls.LoadDebug) != 0)
        {
            check.Require((v[F.GuestDebugctl] & ~0xDFC3ul) == 0, F.GuestDebugctl, "has a reserved bit set");
            check.Require(v[F.GuestDr7] >> 32 == 0, F.GuestDr7, "has bits above 31");
        }

        check.Require(!guest.IsLong || guest.IsPaging, F.GuestCr0, "has no paging for an IA-32e guest");
        check.Require(!guest.IsLong || (v[F.GuestCr4] & Cr.Cr4PAE) != 0, F.GuestCr4, "lacks PAE for an IA-32e guest");
        check.Require(guest.IsLong || (v[F.GuestCr4] & 1 << 17) == 0, F.GuestCr4, "has PCIDE outside IA-32e mode");
        check.Require(IsInWidth(v[F.GuestCr3]), F.GuestCr3, "is beyond the physical-address width");
        check.Require(IsCanonical(v[F.GuestSysenterEsp]), F.GuestSysenterEsp, "is not canonical");
        check.Require(IsCanonical(v[F.GuestSysenterEip]), F.GuestSysenterEip, "is not canonical");
        check.Require((v.Entry & EntryControls.LoadPat) == 0 || IsPat(v[F.GuestPat]), F.GuestPat, "has a memory type that does not exist");
        if ((v.Entry & EntryControls.LoadEfer) != 0)
        {
            var efer = v[F.GuestEfer];
            check.Require((efer & ~EferDefined) == 0, F.GuestEfer, "has a reserved bit set");
            check.Require((efer & Cr.EferLMA) != 0 == guest.IsLong, F.GuestEfer, "has an LMA that does not agree with the entry controls");
            check.Require(
                !guest.IsPaging || (efer & Cr.EferLMA) != 0 == ((efer & Cr.EferLME) != 0), F.GuestEfer, "has LMA and LME that differ with paging on");
        }
    }

    static void CheckPointerAndFlags(ref Checker check, Vmcs v, in GuestView guest)
    {
        var wide = guest.IsLong && (v[F.GuestCsAccess] & 0x2000) != 0;
        check.Require(wide ? IsCanonical(v[F.GuestRip]) : v[F.GuestRip] >> 32 == 0, F.GuestRip, "is not an address of the guest's mode");
        var flags = v[F.GuestRflags];
        check.Require((flags & ~0x3F_7FD7ul) == 0 && (flags & 2) != 0, F.GuestRflags, "has a reserved bit that is not as it must be");
        check.Require(!guest.IsVirtual8086 || (!guest.IsLong && guest.IsProtected), F.GuestRflags, "has VM where there is no virtual-8086 mode");
        check.Require(
            !(guest.Injection.Valid && guest.Injection.Type == InterruptionType.External) || (flags & Cr.IF) != 0,
            F.GuestRflags, "has IF clear while an external interrupt is injected");
    }

    static void CheckActivity(ref Checker check, Vmcs v, in GuestView guest)
    {
        var activity = (GuestActivityState)v[F.GuestActivity];
        check.Require(activity <= GuestActivityState.WaitForSipi, F.GuestActivity, "does not exist");
        check.Require(activity != GuestActivityState.Hlt || (v[F.GuestSsAccess] >> 5 & 3) == 0, F.GuestActivity, "is HLT outside privilege level 0");
        check.Require(
            activity == GuestActivityState.Active || (guest.Blocking & (Interruptibility.Sti | Interruptibility.MovSs)) == 0,
            F.GuestActivity, "is not active while STI or MOV SS blocks");
        var info = guest.Injection;
        if (!info.Valid)
        {
            return;
        }

        var debugOrCheck = info.Type == InterruptionType.HardwareException && info.Vector is 1 or 18;
        var machineCheck = info.Type == InterruptionType.HardwareException && info.Vector == 18;
        var may = activity switch
        {
            GuestActivityState.Hlt => info.Type is InterruptionType.External or InterruptionType.Nmi
                || (info.Type == InterruptionType.HardwareException && debugOrCheck) || info.Type == InterruptionType.Other,
            GuestActivityState.Shutdown => info.Type == InterruptionType.Nmi || machineCheck,
            GuestActivityState.WaitForSipi => false,
            _ => true,
        };
        check.Require(may, F.GuestActivity, "does not take the event that is injected");
    }

    static void CheckInterruptibility(ref Checker check, Vmcs v, in GuestView guest)
    {
        var blocking = guest.Blocking;
        const Interruptibility Shadow = Interruptibility.Sti | Interruptibility.MovSs;
        check.Require((uint)blocking <= 0xF, F.GuestInterruptibility, "has a reserved bit set");
        check.Require((blocking & Shadow) != Shadow, F.GuestInterruptibility, "has both STI and MOV SS");
        check.Require((blocking & Interruptibility.Sti) == 0 || (v[F.GuestRflags] & Cr.IF) != 0, F.GuestInterruptibility, "has STI blocking with IF clear");
        check.Require((blocking & Interruptibility.Smi) == 0, F.GuestInterruptibility, "has SMI blocking outside SMM");
        if (!guest.Injection.Valid)
        {
            return;
        }

        if (guest.Injection.Type == InterruptionType.External)
        {
            check.Require((blocking & Shadow) == 0, F.GuestInterruptibility, "blocks the external interrupt that is injected");
        }
        else if (guest.Injection.Type == InterruptionType.Nmi)
        {
            check.Require((blocking & Interruptibility.MovSs) == 0, F.GuestInterruptibility, "blocks the NMI that is injected (MOV SS)");
            check.Require((blocking & Interruptibility.Sti) == 0, F.GuestInterruptibility, "blocks the NMI that is injected (STI)", 3);
            check.Require(
                (v.Pin & PinControls.VirtualNmis) == 0 || (blocking & Interruptibility.Nmi) == 0,
                F.GuestInterruptibility, "blocks the virtual NMI that is injected");
        }
    }

    static void CheckPendingDebug(ref Checker check, Vmcs v, in GuestView guest)
    {
        const ulong Defined = 0xF | 1ul << 12 | 1ul << 14 | 1ul << 16, Step = 1ul << 14;
        var pending = v[F.GuestPendingDebug];
        check.Require((pending & ~Defined) == 0, F.GuestPendingDebug, "has a reserved bit set");
        if ((guest.Blocking & (Interruptibility.Sti | Interruptibility.MovSs)) != 0 || v[F.GuestActivity] == (ulong)GuestActivityState.Hlt)
        {
            var stepping = (v[F.GuestRflags] & Cr.TF) != 0 && (v[F.GuestDebugctl] & 2) == 0;
            check.Require((pending & Step) != 0 == stepping, F.GuestPendingDebug, "has a BS that does not agree with TF");
        }
    }

    static void CheckPdptes(ref Checker check, Vmcs v, in GuestView guest)
    {
        if (guest.IsLong || !guest.IsPaging || (v[F.GuestCr4] & Cr.Cr4PAE) == 0)
        {
            return;
        }

        for (var field = F.GuestPdpte0; field <= F.GuestPdpte3; field += 2)
        {
            var entry = v[field];
            check.Require((entry & 1) == 0 || ((entry & 0x1E6) == 0 && IsInWidth(entry)), field, "has a reserved bit set", 2);
        }
    }
}
