using Vmm.Cpu.State;
using Vmm.Cpu.Vcpus;
using Vmm.Specs.X86;
using F = Vmm.Specs.X86.VmcsField;

namespace Vmm.Cpu.Vmx;

/// <summary>Where a machine check hits a VM entry (SDM 3C §27.9).</summary>
public enum EntryMachineCheck
{
    /// <summary>Nowhere.</summary>
    None,

    /// <summary>Before guest state is loaded: it is the host's.</summary>
    Before,

    /// <summary>In the middle: the entry fails with reason 41.</summary>
    During,

    /// <summary>When all is loaded: as if the guest had been running.</summary>
    After,
}

/// <summary>A pair of the VM-entry MSR-load area.</summary>
public readonly record struct MsrEntry(uint Msr, ulong Value);

/// <content>VM entries that are more than going on after an exit: the first one, and those after changes of the VMCS.</content>
public sealed unsafe partial class NonRoot
{
    EntryMachineCheck armed;

    /// <summary>The VM-entry MSR-load area, which the model keeps apart from its address and count fields.</summary>
    public IReadOnlyList<MsrEntry> EntryMsrs { get; private set; } = [];

    /// <summary>Sets the VM-entry MSR-load area.</summary>
    public void LoadMsrsAtEntry(params MsrEntry[] entries)
    {
        EntryMsrs = entries;
        Write(F.EntryMsrLoadAddress, 0x10_4800_0000);
        Write(F.EntryMsrLoadCount, (ulong)entries.Length);
    }

    /// <summary>A machine check will hit the next VM entry.</summary>
    public void MachineCheckAtNextEntry(EntryMachineCheck where)
    {
        armed = where;
        entryDue = true;
    }

    /// <summary>Begins a run of the vCPU. False: the entry was refused and the machine is dead.</summary>
    internal bool TryBegin()
    {
        if (s->Cr0 != knownCr0 || s->Cr4 != knownCr4)
        {
            AdoptControlRegisters();
        }

        return !entryDue || TryEnter();
    }

    /// <summary>A whole VM entry: machine checks, checks of the VMCS, MSRs, guest state, injection.</summary>
    bool TryEnter()
    {
        entryDue = false;
        inHost = true;
        if (!created)
        {
            created = true;
            Physical.MachineCheckEnable = Options.HostMce;
        }

        if (armed == EntryMachineCheck.Before)
        {
            armed = EntryMachineCheck.None;
            if (MachineCheckArrives() == MachineCheckOutcome.Caterr)
            {
                return false;
            }
        }

        PrepareCr4();
        Refresh();
        Failure = EntryChecks.Run(vmcs) ?? LoadMsrs();
        if (Failure != null)
        {
            return Refuse(Failure);
        }

        if (armed == EntryMachineCheck.During)
        {
            armed = EntryMachineCheck.None;
            FailOnMachineCheck();
        }

        Complete();
        return true;
    }

    bool created;

    void Complete()
    {
        if (guestWritten)
        {
            guestWritten = false;
            GuestArea.Load(cpu, vmcs);
        }

        inHost = false;
        StartPreemptionTimer();
        if (armed == EntryMachineCheck.After)
        {
            armed = EntryMachineCheck.None;
            _ = MachineCheckArrives();
        }

        var info = new InterruptionInfo((uint)vmcs[F.EntryInterruptionInfo]);
        (injecting, injectingError) = (0, 0);
        vmcs[F.EntryInterruptionInfo] &= 0x7FFF_FFFF;
        if (info.Valid)
        {
            cpu.Inject(info, (uint)vmcs[F.EntryErrorCode], (byte)vmcs[F.EntryInstructionLength]);
        }
    }

    /// <summary>MSR loading (SDM 3C §27.4): the number of the first entry that is refused is the qualification.</summary>
    EntryFailure? LoadMsrs()
    {
        if (vmcs[F.EntryMsrLoadCount] != (ulong)EntryMsrs.Count)
        {
            return new(0, ExitReason.EntryMsrLoad, 1, F.EntryMsrLoadCount, "is not the length of the area");
        }

        for (var i = 0; i < EntryMsrs.Count; i++)
        {
            var (msr, value) = EntryMsrs[i];
            // FS.base and GS.base come with the guest state; x2APIC registers and the control MSRs cannot be loaded so.
            if (msr is 0xC000_0100 or 0xC000_0101 or 0x10 or 0x1B or (>= 0x800 and <= 0x8FF) or 0x9B or (>= 0x480 and <= 0x491) || !cpu.TryWriteMsr(msr, value))
            {
                return new(0, ExitReason.EntryMsrLoad, (ulong)i + 1, F.EntryMsrLoadAddress, $"entry {i + 1} cannot load MSR 0x{msr:x}");
            }
        }

        return null;
    }

    bool Refuse(EntryFailure failure)
    {
        if (failure.InstructionError != 0)
        {
            vmcs[F.InstructionError] = failure.InstructionError;
        }
        else
        {
            vmcs[F.ExitReason] = failure.ExitReasonField;
            vmcs[F.ExitQualification] = failure.Qualification;
        }

        cpu.Die(DeathCause.EntryFailure, $"VM entry failed, {failure}");
        return false;
    }

    /// <summary>Reason 41: the host's handler ran, the hypervisor tries again.</summary>
    void FailOnMachineCheck()
    {
        Exit(null, ExitReason.EntryMachineCheck);
        vmcs[F.ExitReason] = (uint)ExitReason.EntryMachineCheck | ExitReasons.EntryFailure;
        inHost = true;
    }
}
