using Vmm.Cpu.Vcpus;
using Vmm.Platform.Memory;
using Vmm.Platform.Time;
using Vmm.Specs.X86;

namespace Vmm.Machine.MachineChecks;

/// <content>Conditions: what the machine, its clock and its memory tell the injector.</content>
public sealed partial class MachineCheckInjector
{
    const int FetchBank = 0, DataBank = 1, MemoryBank = 7;

    /// <summary>A condition on exits waits.</summary>
    internal bool WatchesExits => onExit != 0;

    /// <summary>Instructions that a vCPU may retire before a condition on them holds; 0 fires what is due.</summary>
    internal long InstructionsLeft(Vcpu cpu)
    {
        var left = long.MaxValue;
        for (var i = 0; atInstruction != 0 && i < armed.Count; i++)
        {
            var injection = armed[i].Injection;
            if (injection.When.Trigger == InjectionTrigger.Instruction && injection.Cpu == cpu.Index)
            {
                var distance = injection.When.Value - Math.Min(injection.When.Value, cpu.Instructions);
                left = Math.Min(left, (long)Math.Min(distance, long.MaxValue));
            }
        }

        return left;
    }

    /// <summary>Fires what waits for the instructions that a vCPU has retired.</summary>
    internal void InstructionsReached(Vcpu cpu) =>
        FireWhere(a => a.Injection.When.Trigger == InjectionTrigger.Instruction && a.Injection.Cpu == cpu.Index && a.Injection.When.Value <= cpu.Instructions);

    /// <summary>A vCPU made an exit.</summary>
    internal void Exited(int cpu, ExitReason reason)
    {
        for (var i = 0; i < armed.Count; i++)
        {
            var injection = armed[i].Injection;
            if (injection.When.Trigger == InjectionTrigger.Exit && injection.Cpu == cpu && injection.When.Exit == reason)
            {
                armed[i] = armed[i] with { Left = armed[i].Left - 1 };
            }
        }

        FireWhere(a => a.Injection.When.Trigger == InjectionTrigger.Exit && a.Left == 0);
    }

    /// <inheritdoc/>
    void ITimerTarget.Expired(ClockTimer timer, ulong due) => FireWhere(a => a.Injection.When.Trigger == InjectionTrigger.Time && a.Injection.When.Value <= due);

    void FireWhere(Predicate<ArmedInjection> holds)
    {
        var due = armed.FindAll(holds);
        if (due.Count == 0)
        {
            return;
        }

        armed.RemoveAll(holds);
        ArmedChanged();
        foreach (var (id, injection, _) in due)
        {
            Fire(id, injection, injection.Cpu, injection.Bank!.Value, injection.Status!.Value, injection.Addr ?? 0);
        }
    }

    /// <inheritdoc/>
    void IPoisonObserver.Touched(PoisonAccess access, int source, Gpa address)
    {
        var device = access is PoisonAccess.DmaRead or PoisonAccess.DmaWrite;
        var found = armed.Find(a => a.Injection.When.Trigger == InjectionTrigger.Page
            && PageOf(a.Injection) == (address.Value & ~0xFFFul)
            && a.Injection.When.By != (device ? PageToucher.Cpu : PageToucher.Device));
        if (found == null)
        {
            return;
        }

        var injection = found.Injection;
        if (injection.Once)
        {
            armed.Remove(found);
            ArmedChanged();
        }

        var (bank, status) = access switch
        {
            PoisonAccess.Fetch => (FetchBank, MachineCheckCode.InstructionFetch),
            PoisonAccess.DmaRead or PoisonAccess.DmaWrite => (MemoryBank, MachineCheckCode.MemoryReadUcna),
            _ => (DataBank, MachineCheckCode.DataLoad),
        };
        Fire(
            found.Id, injection, device ? injection.Cpu : source, injection.Bank ?? Math.Min(bank, options!.Banks - 1), injection.Status ?? status,
            injection.Addr ?? address.Value);
    }
}
