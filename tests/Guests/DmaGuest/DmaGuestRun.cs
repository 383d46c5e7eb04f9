using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;
using Vmm.Beds;
using Vmm.Firmware.BuiltIn;
using Vmm.Iommu;
using Vmm.Machine;
using Vmm.Platform.Block;
using Vmm.Platform.Bus;
using Vmm.Platform.Dma;
using Vmm.Platform.Time;
using Vmm.Specs.Virtio;
using Vmm.Specs.VtD;

namespace Vmm.Guests.DmaGuest;

/// <summary>
/// The built-in dma guest at work, watched from outside: its sections are told apart by its writes to the POST code port,
/// its lines by what it prints. What it counted itself is read from those lines and from nowhere else.
/// </summary>
internal sealed partial class DmaGuestRun : IConsoleOutput, IEventTrace, IDisposable
{
    /// <summary>RAM.</summary>
    public const ulong MemoryBytes = 64ul << 20;

    const ulong TimeLimit = 4_000_000_000;
    static readonly Bdf Disk = new(0, 3, 0);

    readonly StringBuilder text = new(), line = new();
    MachineCounts last;
    DmaGuestRow? row;
    int section;

    /// <param name="config">The machine without disk.</param>
    /// <param name="options">What the guest is told.</param>
    public DmaGuestRun(MachineConfig config, BuiltInOptions options)
    {
        Machine = new(config with { MemoryBytes = MemoryBytes, Disks = [new(static () => new MemoryBlockBackend("disk", 1 << 20))] }, this);
        Machine.Boot(new BootSource { Guest = BuiltInGuest.Dma, CommandLine = options.ToString() });
        Machine.Clock.Trace = this;
        Outcome = Machine.Run(untilTime: TimeLimit);
    }

    /// <summary>The machine, at its end.</summary>
    public VirtualMachine Machine { get; }

    /// <summary>How the run ended.</summary>
    public RunOutcome Outcome { get; }

    /// <summary>What the guest printed.</summary>
    public string Output => text.ToString();

    /// <summary>Lines of the guest's tables, in order.</summary>
    public List<DmaGuestRow> Rows { get; } = [];

    /// <inheritdoc/>
    public void Write(string name, string details)
    {
        if (name == "kvm_pio" && details.StartsWith("pio_write at 0x80 ", StringComparison.Ordinal))
        {
            Enter(details[^1] - '0');
        }
        else
        {
            row?.Recorder.Write(name, details);
        }
    }

    /// <summary>What was counted since the last mark belongs to the section that it ended; the mark itself is an exit that the guest does not count.</summary>
    void Enter(int next)
    {
        var now = Look();
        row?.Sections[section].Add(now - last, marks: 1);
        (last, section) = (now, next);
    }

    MachineCounts Look()
    {
        var ledger = Machine.Clock.Ledger;
        return new(
            ledger.Vcpu(0).ExitCount, ledger.Account(Machine.Iommu != null ? "vtd0" : "viommu0").Table.ExitCount, ledger.Account("nvme0").Table.ExitCount,
            Commands(), Machine.Iommu?.Counters.Waits ?? Machine.VirtioIommu?.Transport.Queues[VirtioIommuLayout.RequestQueue].Counters.Notifications ?? 0);
    }

    ulong Commands()
    {
        var sum = 0ul;
        if (Machine.Iommu is { } unit)
        {
            foreach (var type in Enum.GetValues<InvalidationType>().Where(static t => t != InvalidationType.Wait))
            {
                sum += unit.Counters.Invalidations(type);
            }
        }
        else if (Machine.VirtioIommu is { } device)
        {
            foreach (var type in Enum.GetValues<VirtioIommuRequest>())
            {
                sum += device.Requests(type, VirtioIommuStatus.Ok);
            }
        }

        return sum;
    }

    /// <inheritdoc/>
    public void Write(ReadOnlySpan<byte> data)
    {
        foreach (var value in data)
        {
            text.Append((char)value);
            if (value != '\n')
            {
                line.Append((char)value);
                continue;
            }

            Heard(line.ToString());
            line.Clear();
        }
    }

    void Heard(string said)
    {
        if (Header().Match(said) is { Success: true } header)
        {
            row = NewRow(header.Groups[1].Value == "lazy");
        }
        else if (row != null && Counts().Match(said) is { Success: true } counts)
        {
            row.Guest = [.. counts.Groups.Cast<Group>().Skip(1).Select(static g => ulong.Parse(g.Value, CultureInfo.InvariantCulture))];
            row.End = Machine.Clock.Now;
            Rows.Add(row);
            row = NewRow(row.IsLazy);
        }
        else if (said.StartsWith('['))
        {
            // The table is over.
            row = null;
        }
    }

    DmaGuestRow NewRow(bool lazy)
    {
        var bar = Machine.VirtioIommu?.Transport.Function.Bars[0];
        return new(lazy, new(Machine.Clock, bar == null ? (DmaBed.VtdBase, VtdUnit.WindowSize) : (bar.Address, bar.Size), Resolve, a => Load(a), lazy));
    }

    ulong Load(ulong address) => Machine.Memory.TryRead(new(address), out ulong value) ? value : throw new InvalidOperationException($"0x{address:x} is not memory");

    ulong? Resolve(ulong address)
    {
        foreach (var access in new[] { DmaAccess.Read, DmaAccess.Write })
        {
            var request = new DmaRequest(Disk, new(address), access);
            if (Machine.Iommu?.Explain(request) is { Fault: 0 } walk)
            {
                return walk.Window.Address.Value;
            }

            if (Machine.VirtioIommu?.Explain(request) is { Fault: null } found)
            {
                return found.Window.Address.Value;
            }
        }

        return Machine.Iommu == null && Machine.VirtioIommu == null ? address : null;
    }

    [GeneratedRegex(@"^ +(strict|lazy) +bytes +pieces +buffers ")]
    private static partial Regex Header();

    [GeneratedRegex(@"^ +(\d+) +(\d+) +(\d+) \| +(\d+) +(\d+) +(\d+) \| +(\d+) \| +(\d+) +(\d+) +(\d+) \|")]
    private static partial Regex Counts();

    /// <inheritdoc/>
    public void Dispose() => Machine.Dispose();
}
