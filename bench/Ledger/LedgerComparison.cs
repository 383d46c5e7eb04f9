using System.Globalization;
using System.Text;
using Iced.Intel;
using Vmm.Bench.Dma;
using Vmm.Bench.Reporting;
using Vmm.Firmware;
using Vmm.Firmware.Boot;
using Vmm.Machine;
using Vmm.Platform.Bus;
using Vmm.Platform.Memory;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Bench.Ledger;

/// <summary>What counting costs: the same guest with the ledger on and off, in turns.</summary>
internal static class LedgerComparison
{
    const int Origin = 0x10_0000;

    sealed record Guest(string Name, ulong MemoryBytes, Func<VirtualMachine, BootPlan> Plan);

    sealed record Sample(double OnSeconds, double OffSeconds)
    {
        public double Ratio => OnSeconds / OffSeconds;
    }

    /// <summary>Runs it, prints the report and writes the file. 1 when the time that passed for the guest differed.</summary>
    public static int Run(Options options)
    {
        var rounds = options.Number("--rounds", 9, 1, 999);
        var text = new StringBuilder("# Ledger on against off\n\n" + Calibration.Line() + "\n\n");
        text.AppendLine(CultureInfo.InvariantCulture, $"CPU time of the machine's thread, medians of {rounds} rounds; on and off take turns, the first changes every round; on/off is the median of the rounds' ratios.\n");
        text.AppendLine("| guest | on s | off s | on/off | least | most |\n| --- | ---: | ---: | ---: | ---: | ---: |");
        foreach (var guest in Guests(options))
        {
            Measure(guest, true);
            Measure(guest, false);
            var samples = Enumerable.Range(0, rounds).Select(r => Both(guest, r % 2 == 0)).ToArray();
            var ratios = samples.Select(s => s.Ratio).Order().ToArray();
            text.AppendLine(CultureInfo.InvariantCulture, $"| {guest.Name} | {Median(samples.Select(s => s.OnSeconds)):F3} | {Median(samples.Select(s => s.OffSeconds)):F3} | {Median(ratios):F3} | {ratios[0]:F3} | {ratios[^1]:F3} |");
        }

        Console.Write(text);
        if (options.Text("--output") is { } file)
        {
            File.WriteAllText(file, text.ToString());
        }

        return 0;
    }

    static IEnumerable<Guest> Guests(Options options)
    {
        yield return new("nothing but exits: 2,000,000 IN from a device of the process", 16 << 20, static m => Flat(m, Exits()));
        if (options.Text("--kernel") is { } kernel)
        {
            yield return new($"boot of {Path.GetFileName(kernel)}", 256 << 20, m => BootLoader.Plan(new()
            {
                RamBytes = m.Config.MemoryBytes,
                Image = ImageFile.Read(kernel, "kernel"),
                CommandLine = options.Text("--append") ?? "console=ttyS0 panic=-1",
                Modules = options.Text("--initrd") is { } initrd ? [new BootModule("", ImageFile.Read(initrd, "initrd"))] : [],
                Acpi = m.BuildAcpi(),
            }));
        }
    }

    static Sample Both(Guest guest, bool onFirst)
    {
        var first = Measure(guest, onFirst);
        var second = Measure(guest, !onFirst);
        return first.Now != second.Now ? throw new InvalidOperationException("the ledger changed the run")
            : onFirst ? new(first.Seconds, second.Seconds) : new(second.Seconds, first.Seconds);
    }

    static (double Seconds, ulong Now) Measure(Guest guest, bool ledger)
    {
        using var machine = new VirtualMachine(new() { MemoryBytes = guest.MemoryBytes, Ledger = ledger }, new Silent());
        machine.Boot(guest.Plan(machine));
        var start = ThreadTime.Nanoseconds();
        machine.Run();
        return ((ThreadTime.Nanoseconds() - start) / 1e9, machine.Now);
    }

    static BootPlan Flat(VirtualMachine machine, byte[] image) => BootLoader.Plan(new()
    {
        RamBytes = machine.Config.MemoryBytes, Image = image, Flat = new(new Gpa(Origin), CpuMode.Long64), Acpi = machine.BuildAcpi(),
    });

    static byte[] Exits()
    {
        var c = new Assembler(64);
        var loop = c.CreateLabel();
        c.mov(esi, 2_000_000);
        c.Label(ref loop);
        c.@in(al, 0xE8);
        c.dec(esi);
        c.jnz(loop);
        c.cli();
        c.hlt();
        var stream = new MemoryStream();
        c.Assemble(new StreamCodeWriter(stream), Origin);
        return stream.ToArray();
    }

    static double Median(IEnumerable<double> values)
    {
        var sorted = values.Order().ToArray();
        return sorted[sorted.Length / 2];
    }

    sealed class Silent : IConsoleOutput
    {
        public void Write(ReadOnlySpan<byte> data)
        {
        }
    }
}
