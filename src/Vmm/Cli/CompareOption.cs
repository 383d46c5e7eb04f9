using System.Globalization;
using System.Text;
using Vmm.Beds;
using Vmm.GuestDma;
using Vmm.Machine;

namespace Vmm.Cli;

/// <summary><c>--compare-dma</c>: what the guest's driver does to the IOMMU, beside the DMA layer for the same buffers.</summary>
/// <param name="Policy">The layer's policy.</param>
/// <param name="IsDeferred">The guest defers invalidations.</param>
/// <param name="From">Console text that starts the recording; null: the start.</param>
/// <param name="To">Console text that ends it; null: the end.</param>
/// <param name="Hertz">CONFIG_HZ of the guest.</param>
internal sealed record CompareOption(DmaPolicy Policy, bool IsDeferred, string? From, string? To, int Hertz)
{
    /// <summary>For the help.</summary>
    public const string Help = "the guest's IOMMU driver beside the DMA layer for the same NVMe buffers: strict or lazy, guest=strict|lazy (what the guest does, if not that), from=CONSOLETEXT, to=CONSOLETEXT, hz=250";

    /// <summary>Parses the option's value.</summary>
    /// <exception cref="UsageException">A key or value is unknown.</exception>
    public static CompareOption Parse(string text)
    {
        var pairs = OptionText.Pairs("--compare-dma", text, "policy", "guest", "from", "to", "hz");
        var policy = pairs.GetValueOrDefault("policy") ?? throw new UsageException("--compare-dma: 'policy' is needed");
        return new(
            IsLazy(policy) ? DmaPolicy.Lazy : DmaPolicy.Strict, IsLazy(pairs.GetValueOrDefault("guest", policy)), pairs.GetValueOrDefault("from"),
            pairs.GetValueOrDefault("to"), (int)OptionText.Integer("--compare-dma", pairs.GetValueOrDefault("hz", "250"), 100, 1000));
    }

    static bool IsLazy(string text) => text switch
    {
        "lazy" => true,
        "strict" => false,
        _ => throw new UsageException($"--compare-dma: '{text}' is not strict or lazy"),
    };

    /// <summary>Records a machine between two texts on its console.</summary>
    /// <exception cref="UsageException">The machine has no IOMMU, or not one NVMe disk behind it.</exception>
    public Recording Attach(VirtualMachine machine, ConsolePort console)
    {
        if (DmaWatch.Obstacle(machine.Config) is { } obstacle)
        {
            throw new UsageException($"--compare-dma: {obstacle}");
        }

        var recording = new Recording(this, machine);
        console.Watch(recording.Heard);
        return recording;
    }

    /// <summary>A recording that runs, or has ended.</summary>
    public sealed class Recording
    {
        readonly CompareOption option;
        readonly VirtualMachine machine;
        DmaRecorder? recorder;
        ulong? end;

        internal Recording(CompareOption option, VirtualMachine machine)
        {
            this.option = option;
            this.machine = machine;
            if (option.From == null)
            {
                recorder = DmaWatch.Attach(machine, option.IsDeferred);
            }
        }

        internal void Heard(string line)
        {
            if (recorder == null && line.Contains(option.From!, StringComparison.Ordinal))
            {
                recorder = DmaWatch.Attach(machine, option.IsDeferred);
            }
            else if (recorder != null && end == null && option.To is { } to && line.Contains(to, StringComparison.Ordinal))
            {
                Stop();
            }
        }

        void Stop()
        {
            machine.Clock.Trace = null;
            end = machine.Clock.Now;
        }

        /// <summary>The comparison, as text.</summary>
        public string Report()
        {
            try
            {
                return Compare();
            }
            catch (InvalidOperationException bad)
            {
                return $"dma: the buffers of this guest cannot be replayed: {bad.Message}\n";
            }
        }

        string Compare()
        {
            if (recorder == null)
            {
                return $"dma: nothing was recorded; the console did not show '{option.From}'\n";
            }

            if (end == null)
            {
                Stop();
            }

            var found = DriverComparison.Of(machine.Config, recorder, end!.Value, option.Policy, option.Hertz);
            var text = new StringBuilder();
            text.Append(CultureInfo.InvariantCulture, $"dma: {found.Driver.Buffers} buffers; the layer is {option.Policy.ToString().ToLowerInvariant()}\n");
            foreach (var (name, guest, layer) in Rows(found.Driver, found.Layer))
            {
                text.Append(CultureInfo.InvariantCulture, $"  {name,-28} guest {guest,9}   layer {layer,9}\n");
            }

            foreach (var difference in found.Differences)
            {
                text.Append(CultureInfo.InvariantCulture, $"  {difference.Name}: {difference.Effect.Parts}\n");
            }

            foreach (var problem in found.Problems)
            {
                text.Append(CultureInfo.InvariantCulture, $"  {problem}\n");
            }

            return text.Append(found.Rest == default ? "  unexplained: nothing\n" : $"  unexplained: {found.Rest.Parts}\n").ToString();
        }

        static IEnumerable<(string Name, long Guest, long Layer)> Rows(DmaTally guest, DmaTally layer) => new (string Name, long Guest, long Layer)[]
        {
            ("exits for maps", guest.MapExits, layer.MapExits),
            ("exits for unmaps", guest.UnmapExits, layer.UnmapExits),
            ("page-selective for maps", guest.MapPages, layer.MapPages),
            ("page-selective for unmaps", guest.UnmapPages, layer.UnmapPages),
            ("pages that those cover", guest.Covered, layer.Covered),
            ("domain-selective, global", guest.Domains, layer.Domains),
            ("PASID-based", guest.Pasids, layer.Pasids),
            ("wait descriptors", guest.Waits, layer.Waits),
            ("MAP requests", guest.Maps, layer.Maps),
            ("UNMAP requests", guest.Unmaps, layer.Unmaps),
        }.Where(static r => r.Guest + r.Layer != 0);
    }
}
