using Vmm.Cpu.State;
using Vmm.Specs.X86;
using F = Vmm.Specs.X86.VmcsField;

namespace Vmm.Cpu.Vmx;

/// <content>Checks on VMX controls (SDM 3C §27.2.1): VM-instruction error 7.</content>
public static partial class EntryChecks
{
    /// <summary>Checks on the VM-execution, VM-exit and VM-entry control fields.</summary>
    public static EntryFailure? Controls(Vmcs v)
    {
        var check = new Checker(7);
        CheckReserved(ref check, v);
        CheckExecution(ref check, v);
        CheckApic(ref check, v);
        CheckExitControls(ref check, v);
        CheckEntryControls(ref check, v);
        return check.Failure;
    }

    static void CheckReserved(ref Checker check, Vmcs v)
    {
        const string Rule = "has a bit that the capability MSR does not permit";
        check.Require(VmxCapability.Pin.Permits(v[F.PinControls]), F.PinControls, Rule);
        check.Require(VmxCapability.Primary.Permits(v[F.PrimaryControls]), F.PrimaryControls, Rule);
        check.Require(
            (v.Primary & PrimaryControls.ActivateSecondary) == 0 || VmxCapability.Secondary.Permits(v[F.SecondaryControls]), F.SecondaryControls, Rule);
    }

    static void CheckExecution(ref Checker check, Vmcs v)
    {
        check.Require(v[F.Cr3TargetCount] <= VmxCapability.Cr3Targets, F.Cr3TargetCount, "is more than 4");
        if ((v.Primary & PrimaryControls.UseIoBitmaps) != 0)
        {
            check.Require(IsPage(v[F.IoBitmapA]), F.IoBitmapA, "is not the address of a page");
            check.Require(IsPage(v[F.IoBitmapB]), F.IoBitmapB, "is not the address of a page");
        }

        check.Require((v.Primary & PrimaryControls.UseMsrBitmaps) == 0 || IsPage(v[F.MsrBitmap]), F.MsrBitmap, "is not the address of a page");
        var virtualNmis = (v.Pin & PinControls.VirtualNmis) != 0;
        check.Require((v.Pin & PinControls.Nmi) != 0 || !virtualNmis, F.PinControls, "has virtual NMIs without NMI exiting");
        check.Require(virtualNmis || (v.Primary & PrimaryControls.NmiWindow) == 0, F.PrimaryControls, "has NMI-window exiting without virtual NMIs");
        check.Require((v.Secondary & SecondaryControls.EnableVpid) == 0 || v[F.Vpid] != 0, F.Vpid, "is 0 with VPID enabled");
        var ept = (v.Secondary & SecondaryControls.EnableEpt) != 0;
        var pointer = v[F.EptPointer];
        check.Require(
            !ept || ((pointer & 7) is 0 or 6 && (pointer >> 3 & 7) == 3 && (pointer & 0xF80) == 0 && IsInWidth(pointer)),
            F.EptPointer, "has a memory type, walk length or reserved bit that is not supported");
        check.Require(ept || (v.Secondary & SecondaryControls.UnrestrictedGuest) == 0, F.SecondaryControls, "has unrestricted guest without EPT");
    }

    static void CheckApic(ref Checker check, Vmcs v)
    {
        var shadow = (v.Primary & PrimaryControls.UseTprShadow) != 0;
        const SecondaryControls NeedShadow =
            SecondaryControls.VirtualizeX2Apic | SecondaryControls.ApicRegisterVirtualization | SecondaryControls.VirtualInterruptDelivery;
        check.Require(!shadow || IsPage(v[F.VirtualApicAddress]), F.VirtualApicAddress, "is not the address of a page");
        check.Require(
            !shadow || (v.Secondary & SecondaryControls.VirtualInterruptDelivery) != 0 || (v[F.TprThreshold] & ~0xFul) == 0,
            F.TprThreshold, "has bits above 3 without virtual-interrupt delivery");
        check.Require(shadow || (v.Secondary & NeedShadow) == 0, F.SecondaryControls, "virtualizes APIC registers without the TPR shadow");
        check.Require(
            (v.Secondary & SecondaryControls.VirtualizeApicAccesses) == 0 || IsPage(v[F.ApicAccessAddress]), F.ApicAccessAddress, "is not the address of a page");
    }

    static void CheckExitControls(ref Checker check, Vmcs v)
    {
        check.Require(VmxCapability.Exit.Permits(v[F.ExitControls]), F.ExitControls, "has a bit that the capability MSR does not permit");
        check.Require(
            (v.Pin & PinControls.PreemptionTimer) != 0 || (v.Exit & ExitControls.SavePreemptionTimer) == 0,
            F.ExitControls, "saves the preemption timer without activating it");
        CheckMsrArea(ref check, v, F.ExitMsrStoreCount, F.ExitMsrStoreAddress);
        CheckMsrArea(ref check, v, F.ExitMsrLoadCount, F.ExitMsrLoadAddress);
    }

    static void CheckMsrArea(ref Checker check, Vmcs v, F count, F address)
    {
        if (v[count] != 0)
        {
            check.Require(
                (v[address] & 15) == 0 && IsInWidth(v[address]) && IsInWidth(v[address] + v[count] * 16 - 1), address, "is not an aligned address of an MSR area");
        }
    }

    static void CheckEntryControls(ref Checker check, Vmcs v)
    {
        check.Require(VmxCapability.Entry.Permits(v[F.EntryControls]), F.EntryControls, "has a bit that the capability MSR does not permit");
        var info = new InterruptionInfo((uint)v[F.EntryInterruptionInfo]);
        if (info.Valid)
        {
            CheckInjection(ref check, v, info);
        }

        CheckMsrArea(ref check, v, F.EntryMsrLoadCount, F.EntryMsrLoadAddress);
    }

    static void CheckInjection(ref Checker check, Vmcs v, InterruptionInfo info)
    {
        var vectorFits = info.Type switch
        {
            InterruptionType.Nmi => info.Vector == 2,
            InterruptionType.HardwareException => info.Vector <= 31,
            InterruptionType.Other => info.Vector == 0,
            _ => true,
        };
        check.Require((uint)info.Type != 1, F.EntryInterruptionInfo, "has reserved type 1");
        check.Require(vectorFits, F.EntryInterruptionInfo, "has a vector that does not go with its type");
        var real = (v.Secondary & SecondaryControls.UnrestrictedGuest) != 0 && (v[F.GuestCr0] & Cr.Cr0PE) == 0;
        var error = !real && info.Type == InterruptionType.HardwareException && info.Vector is (8 or (>= 10 and <= 14) or 17);
        check.Require(info.HasError == error, F.EntryInterruptionInfo, error ? "lacks the error code of its vector" : "delivers an error code where there is none");
        check.Require(info.ReservedForEntry == 0, F.EntryInterruptionInfo, "has a reserved bit set");
        check.Require(!info.HasError || v[F.EntryErrorCode] >> 16 == 0, F.EntryErrorCode, "has bits above 15");
        if (info.Type is InterruptionType.SoftwareInterrupt or InterruptionType.SoftwareException or InterruptionType.PrivilegedSoftwareException)
        {
            check.Require(v[F.EntryInstructionLength] is >= 1 and <= 15, F.EntryInstructionLength, "is not 1 to 15 for a software event");
        }
    }
}
