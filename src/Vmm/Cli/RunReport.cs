using System.Globalization;
using System.Text;
using System.Text.Json;
using Vmm.Cpu.State;
using Vmm.Cpu.Vcpus;
using Vmm.Machine;
using Vmm.Platform.Time;
using Vmm.Specs.X86;

namespace Vmm.Cli;

/// <summary>What a run did, as text for people and as JSON for programs.</summary>
internal sealed class RunReport(VirtualMachine machine, RunOutcome outcome, int exitCode, TimeSpan host)
{
    static readonly JsonSerializerOptions Indented = new() { WriteIndented = true, PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower };

    readonly string hash = machine.StateHash();

    readonly LedgerImage ledger = machine.TakeLedger();

    double VirtualSeconds => machine.Now / (double)machine.Clock.Hertz;

    double Mips => machine.Instructions / Math.Max(host.TotalSeconds, 1e-9) / 1e6;

    IEnumerable<(string Name, ulong Reads, ulong Writes)> Devices => machine.Bus.Pio.Regions.Concat(machine.Bus.Mmio.Regions)
        .GroupBy(r => r.Name)
        .Select(g => (g.Key, (ulong)g.Sum(r => (long)r.Reads), (ulong)g.Sum(r => (long)r.Writes)))
        .Where(d => d.Item2 + d.Item3 != 0)
        .OrderByDescending(d => d.Item2 + d.Item3);

    /// <summary>The text form.</summary>
    public string Text(bool registers)
    {
        var text = new StringBuilder();
        text.AppendLine(CultureInfo.InvariantCulture, $"vmm: {outcome.Detail}; exit code {exitCode}");
        text.AppendLine(CultureInfo.InvariantCulture, $"  instructions  {machine.Instructions:N0} on {machine.Vcpus.Count} vCPU");
        text.AppendLine(CultureInfo.InvariantCulture, $"  virtual time  {VirtualSeconds:F6} s ({machine.Now:N0} cycles)");
        text.AppendLine(CultureInfo.InvariantCulture, $"  host time     {host.TotalSeconds:F2} s, {Mips:F0} MIPS");
        text.AppendLine($"  accesses      {string.Join(", ", Devices.Take(12).Select(d => string.Create(CultureInfo.InvariantCulture, $"{d.Name} {d.Reads:N0}r/{d.Writes:N0}w")))}");
        text.Append(LedgerReport.Text(machine, ledger));
        text.AppendLine(VmxReport(machine));
        text.Append(IommuReport.Text(machine));
        text.Append(MachineCheckReport.Text(machine));
        text.AppendLine($"  state hash    {hash}");
        if (registers)
        {
            foreach (var cpu in machine.Vcpus)
            {
                text.Append(Registers(cpu));
            }
        }

        return text.ToString();
    }

    /// <summary>How the hypervisor ran the guest, and how often it read its own CR4 for that.</summary>
    static string VmxReport(VirtualMachine machine)
    {
        var options = machine.Config.Vmx;
        var reads = machine.Vcpus.Aggregate(0ul, (sum, cpu) => sum + cpu.Vmx.Physical.Cr4Reads);
        var price = machine.Clock.Ledger.Cost[Platform.Time.CostKind.Cr4Read];
        return string.Create(
            CultureInfo.InvariantCulture,
            $"  vmx           profile {options.Profile.Name}, CR4.MCE {(options.PreserveMce ? "of the host" : "of the guest")}, host CR4 {(options.StaleHostCr4 ? "from a stale copy" : $"read {reads:N0} times, {reads * price:N0} cycles")}");
    }

    /// <summary>Registers of one vCPU.</summary>
    public static unsafe string Registers(Vcpu cpu)
    {
        var s = cpu.State;
        var text = new StringBuilder();
        text.AppendLine(CultureInfo.InvariantCulture, $"  vCPU {cpu.Index} {cpu.Activity}, {cpu.Instructions:N0} instructions{(cpu.ShutdownCause is { } cause ? $": {cause}" : "")}");
        string[] names = ["rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"];
        for (var i = 0; i < 16; i++)
        {
            text.Append(CultureInfo.InvariantCulture, $"{(i % 4 == 0 ? "    " : " ")}{names[i],-3}={s->Gpr[i]:x16}{(i % 4 == 3 ? "\n" : "")}");
        }

        text.AppendLine(CultureInfo.InvariantCulture, $"    rip={s->Rip:x16} rfl={Flags.Read(s):x16} cr0={s->Cr0:x8} cr2={s->Cr2:x16}");
        text.AppendLine(CultureInfo.InvariantCulture, $"    cr3={s->Cr3:x16} cr4={s->Cr4:x8} efer={s->Efer:x} cs={s->Cs.Selector:x4} ss={s->Ss.Selector:x4} cpl={s->Cpl}");
        return text.ToString();
    }

    /// <summary>The JSON form.</summary>
    public string Json() => JsonSerializer.Serialize(
        new
        {
            cause = outcome.Cause.ToString(),
            outcome.Detail,
            exitCode,
            instructions = machine.Instructions,
            virtualCycles = machine.Now,
            virtualSeconds = VirtualSeconds,
            hostSeconds = host.TotalSeconds,
            mips = Mips,
            stateHash = hash,
            ledger = LedgerReport.Json(machine, ledger),
            devices = Devices.ToDictionary(d => d.Name, d => new { d.Reads, d.Writes }),
            machineChecks = new { machine.MachineChecks.Injected, machine.MachineChecks.Overwrote, machine.MachineChecks.Lost, armed = machine.MachineChecks.Armed.Count },
            decodedBlocks = machine.Code.Decoded,
            vcpus = machine.Vcpus.Select(c => new { c.Index, activity = c.Activity.ToString(), c.Instructions, localCycles = c.LocalTime }),
        },
        Indented);
}
