using Vmm.Cpu.Vcpus;
using Vmm.Platform.Bus;
using Vmm.Platform.Time;
using Vmm.Specs.X86;

namespace Vmm.Machine;

/// <content>What passes time for a processor, and how it gets into the ledger.</content>
public sealed partial class VirtualMachine
{
    /// <summary>Local time of each vCPU up to which its ledger is complete.</summary>
    readonly ulong[] booked;

    /// <summary>vCPUs that sleep in HLT and have not been charged for waking up.</summary>
    readonly bool[] asleep;

    readonly LedgerAccount lapicAccount, unclaimedAccount;

    /// <summary>
    /// The ledger now. Every vCPU's table sums up to <see cref="Now"/>: one that sleeps or waits is idle up to then.
    /// </summary>
    public LedgerImage TakeLedger()
    {
        var image = Clock.Ledger.Take();
        var now = Now;
        foreach (var cpu in vcpus)
        {
            image.Vcpus[cpu.Index].AddIdle(now - booked[cpu.Index]);
        }

        return image;
    }

    /// <summary>A vCPU's time moved while it did not run: it slept.</summary>
    void BookIdle(Vcpu cpu)
    {
        var slept = cpu.LocalTime - booked[cpu.Index];
        Clock.Ledger.Book(cpu.Index, CostKind.Idle, slept == 0 ? 0u : 1u, slept);
        booked[cpu.Index] = cpu.LocalTime;
    }

    /// <summary>True when the turn was only the way from the wake-up event to the next instruction.</summary>
    bool TakesWakeUp(Vcpu cpu)
    {
        if (!asleep[cpu.Index])
        {
            return false;
        }

        asleep[cpu.Index] = false;
        if (cpu.Activity != Activity.Halted)
        {
            return false;
        }

        Clock.SwitchTo(cpu.LocalTime);
        Clock.Ledger.SwitchTo(cpu.Index);
        Clock.Ledger.Charge(CostKind.Wake);
        Clock.Ledger.SwitchTo(-1);
        Settle(cpu);
        return true;
    }

    void BookTurn(Vcpu cpu, ulong retired)
    {
        var price = Config.Cost.Instruction;
        Clock.Ledger.Book(cpu.Index, CostKind.Instruction, retired, retired * price);
        Clock.Ledger.Book(cpu.Index, CostKind.Stall, cpu.StallUnits, cpu.StallUnits * price);
        asleep[cpu.Index] = cpu.Activity == Activity.Halted && !cpu.IsRunnable;
        Settle(cpu);
    }

    void Settle(Vcpu cpu)
    {
        booked[cpu.Index] = cpu.LocalTime = Clock.Now;
        machineTime = Math.Max(machineTime, cpu.LocalTime);
    }

    void Charge(in VmExit exit)
    {
        var region = RegionOf(exit);
        var account = AccountOf(exit, region);
        var handler = region != null && exit.Kind == ExitKind.Write && IsDoorbell(region, exit.Address - region.Start) ? ExitHandler.Eventfd
            : account?.Handler ?? (exit.Reason == ExitReason.TripleFault ? ExitHandler.User : ExitHandler.Kernel);
        Clock.Ledger.Exit(exit.Reason, exit.Kind, handler, account);
    }

    static bool IsDoorbell(BusRegion region, ulong offset) =>
        offset >= (uint)region.Doorbells.Start.Value && offset < (uint)region.Doorbells.End.Value;

    BusRegion? RegionOf(in VmExit exit) => exit.Reason switch
    {
        ExitReason.IoInstruction => Bus.Pio.Find(exit.Address),
        ExitReason.EptMisconfiguration or ExitReason.EptViolation or ExitReason.ApicAccess when !IsApic(exit) => Bus.Mmio.Find(exit.Address),
        _ => null,
    };

    /// <summary>The device that answers an exit, or null when none is concerned.</summary>
    LedgerAccount? AccountOf(in VmExit exit, BusRegion? region) => exit.Reason switch
    {
        ExitReason.IoInstruction => AccountOf(region),
        ExitReason.EptMisconfiguration or ExitReason.EptViolation or ExitReason.ApicAccess => IsApic(exit) ? lapicAccount : AccountOf(region),
        ExitReason.Rdmsr or ExitReason.Wrmsr when exit.Address is 0x1B or 0x6E0 or (>= 0x800 and <= 0x8FF) => lapicAccount,
        _ => null,
    };

    LedgerAccount AccountOf(BusRegion? region) => region == null ? unclaimedAccount : region.Account ??= Clock.Ledger.Account(region.Name.Split('.')[0]);
}
