using Vmm.Cpu.State;
using Vmm.Cpu.Vcpus;
using Vmm.Specs.X86;

namespace Vmm.Cpu.Vmx;

/// <content>Physical machine checks (SDM 3C §26.2, §28.2.2; SDM 3B §16.3).</content>
public sealed unsafe partial class NonRoot : IPhysicalMachineCheck
{
    int machineChecks;

    /// <inheritdoc/>
    public bool IsMachineCheckEnabled => ((IsInGuestMode ? HardwareCr4 : Physical.Cr4) & Cr.Cr4MCE) != 0;

    /// <inheritdoc/>
    public bool GuestMachineCheckEnabled => (GuestCr4 & Cr.Cr4MCE) != 0;

    /// <inheritdoc/>
    public MachineCheckOutcome MachineCheckArrives()
    {
        var guest = IsInGuestMode;
        if (!IsMachineCheckEnabled)
        {
            var whose = !guest ? "the host's CR4.MCE is clear"
                : Options.PreserveMce ? "CR4.MCE in guest mode, taken from the host's CR4, is clear" : "CR4.MCE in guest mode follows the guest's, which is clear";
            cpu.Die(DeathCause.Caterr, $"CATERR on physical CPU {Physical.Index}: machine check while vCPU {cpu.Index} {(guest ? "ran its guest" : "was in the host")}; {whose}");
            return MachineCheckOutcome.Caterr;
        }

        if (!guest)
        {
            return MachineCheckOutcome.Host;
        }

        if (!Intercepts(Vector.MC, 0))
        {
            return MachineCheckOutcome.Guest;
        }

        // Time is charged to the vCPU between two instructions of its own turn: the exit is the first thing that it does then.
        machineChecks++;
        cpu.Attend();
        return MachineCheckOutcome.Exit;
    }

    /// <summary>Makes the exits of the machine checks that have arrived.</summary>
    internal void ExitOnMachineChecks()
    {
        for (; machineChecks > 0; machineChecks--)
        {
            interruption = new InterruptionInfo(Vector.MC, InterruptionType.HardwareException, false).Raw;
            Exit(null, ExitReason.ExceptionOrNmi, 0, ExitKind.MachineCheck, Vector.MC);
        }
    }

    /// <summary>The host's scheduler moves the vCPU to another processor.</summary>
    public void MoveTo(PhysicalCpu processor)
    {
        Physical.Occupant = null;
        Physical = processor;
        processor.Occupant = this;
        HostCr4Changes();
    }

    /// <summary>The host's CR4 changes under the guest: that takes an exit, and the VM entry after it decides what the guest runs with.</summary>
    internal void HostCr4Changes()
    {
        if (!IsInGuestMode)
        {
            return;
        }

        Kick();
        hostCr4Written = true;
        if (!Options.StaleHostCr4)
        {
            vmcs[VmcsField.HostCr4] = Physical.Cr4;
        }

        SetEffectiveMce();
    }

    bool hostCr4Written;

    /// <summary>A VM exit loads the host's CR4 from the VMCS, and with it what the hypervisor left there; the host may write it anew then.</summary>
    void LoadHostCr4()
    {
        if (!hostCr4Written)
        {
            Physical.LoadCr4(vmcs[VmcsField.HostCr4]);
        }

        hostCr4Written = false;
    }
}
