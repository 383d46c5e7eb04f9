using System.Globalization;
using System.Text;
using Vmm.Machine;

namespace Vmm.Cli;

/// <summary>What became of injected machine checks, for the report of a run.</summary>
internal static class MachineCheckReport
{
    const int Lines = 16;

    /// <summary>Nothing when nothing was injected and nothing waits.</summary>
    public static string Text(VirtualMachine machine)
    {
        var injector = machine.MachineChecks;
        if (injector.Injected == 0 && injector.Armed.Count == 0)
        {
            return "";
        }

        var text = new StringBuilder();
        text.AppendLine(
            CultureInfo.InvariantCulture,
            $"  machine check injected {injector.Injected}, #MC delivered {Sum(machine, m => m.Delivered)}, CMCI {Sum(machine, m => m.Interrupts)}, waiting {machine.Vcpus.Count(c => c.Mca is { IsWaiting: true })}, overwrote {injector.Overwrote}, lost {injector.Lost}, armed {injector.Armed.Count}");
        foreach (var fired in injector.Fired.TakeLast(Lines))
        {
            text.AppendLine(
                CultureInfo.InvariantCulture,
                $"    #{fired.Id} at {fired.Time / (double)machine.Clock.Hertz:F6} s: vCPU {fired.Cpu} bank {fired.Record.Bank} status {fired.Record.Status:x16} addr {fired.Record.Addr:x} misc {fired.Record.Misc:x}, {Words(fired.Outcome.ToString())}, {Told(fired)}");
        }

        foreach (var (id, injection, left) in injector.Armed.Take(Lines))
        {
            text.AppendLine(CultureInfo.InvariantCulture, $"    #{id} waits for {Words(injection.When.Trigger.ToString())} 0x{injection.When.Value:x}{(injection.When.Trigger == Machine.MachineChecks.InjectionTrigger.Exit ? $" ({injection.When.Exit}, {left} to come)" : "")}");
        }

        foreach (var cpu in machine.Vcpus)
        {
            for (var i = 0; cpu.Mca is { } mca && i < mca.Options.Banks; i++)
            {
                if (mca.Bank(i) is { Status: not 0 } left)
                {
                    text.AppendLine(CultureInfo.InvariantCulture, $"    vCPU {cpu.Index} bank {i} still holds {left.Status:x16} addr {left.Addr:x}");
                }
            }
        }

        return text.ToString();
    }

    static ulong Sum(VirtualMachine machine, Func<Cpu.MachineCheck.MachineCheckState, ulong> count)
    {
        var sum = 0ul;
        foreach (var cpu in machine.Vcpus)
        {
            sum += cpu.Mca is { } mca ? count(mca) : 0;
        }

        return sum;
    }

    static string Told(in Machine.MachineChecks.FiredInjection fired) => fired.IsQuiet
        ? "no #MC"
        : string.Join(", ", new[] { ("#MC to vCPU", fired.Told), ("kept from", fired.Kept), ("CATERR on", fired.Died) }.Where(p => p.Item2 != 0).Select(p => $"{p.Item1} {List(p.Item2)}"));

    static string List(uint mask) => string.Join(" ", Enumerable.Range(0, 32).Where(i => (mask >> i & 1) != 0));

    static string Words(string name) => name.ToLowerInvariant();
}
