using System.Globalization;
using Vmm.GuestDma;
using Vmm.GuestDma.Guest;
using Vmm.Iommu;
using Vmm.Platform.Memory;

namespace Vmm.Beds;

/// <summary>
/// Request and response on 1 to 16 processors that share one device: each works, maps a page and unmaps the page of a few
/// operations ago. The processors run at the same virtual time; where they need the same lock they wait for each other, and its
/// cache line moves.
/// </summary>
internal static class CoreScaling
{
    /// <summary>Work of an operation besides mapping, in cycles.</summary>
    const ulong Application = 3000;

    /// <summary>Mappings that a processor holds for some operations, and for good.</summary>
    const int Held = 8, Kept = 128;

    /// <summary>Pages of every second buffer when sizes are mixed.</summary>
    const int LargeOrder = 4;

    /// <summary>Processors.</summary>
    public static IReadOnlyList<int> Cores { get; } = [1, 2, 4, 8, 16];

    /// <summary>What is compared: a policy, and where addresses come from.</summary>
    public static IReadOnlyList<(DmaPolicy Policy, IovaSource Source)> Ways { get; } =
    [
        (DmaPolicy.Identity, IovaSource.Magazines), (DmaPolicy.Strict, IovaSource.Tree), (DmaPolicy.Strict, IovaSource.Magazines),
        (DmaPolicy.Lazy, IovaSource.Tree), (DmaPolicy.Lazy, IovaSource.Arenas), (DmaPolicy.Lazy, IovaSource.Magazines),
        (DmaPolicy.Pool, IovaSource.Magazines), (DmaPolicy.Adaptive, IovaSource.Magazines),
    ];

    sealed class Core(Gpa[] buffers, bool isMixed)
    {
        public readonly Gpa[] Buffers = buffers;
        public readonly bool IsMixed = isMixed;
        public readonly Iova[] Addresses = new Iova[Held];
        public ulong Now;
        public int Operations;
        public bool HasWorked;
    }

    /// <summary>Operations in a second of all processors together.</summary>
    public static double Run(DmaPolicy policy, IovaSource source, int cores, bool isMixed = false, int operations = 2000)
    {
        using var bed = new DmaBed(new()
        {
            Policy = policy, HasDisk = false, MemoryBytes = 256 << 20, Cpus = cores, RegistersExit = false,
            Vtd = new VtdOptions { AddressWidth = 48 }, Device = new() { Addresses = source },
        });
        var all = Enumerable.Range(0, cores).Select(_ => new Core(Buffers(bed), isMixed)).ToArray();
        for (var i = 0; isMixed && i < Kept * cores; i++)
        {
            bed.Machine.Device.Mapper.MapPage(all[0].Buffers[0], 4096, DmaDirection.FromDevice, DmaAttributes.PersistentStreaming);
        }

        Run(bed, all, operations);
        var start = bed.Clock.Now;
        bed.Machine.Meter.Contends = true;
        foreach (var core in all)
        {
            (core.Now, core.Operations) = (start, 0);
        }

        Run(bed, all, operations);
        return (double)cores * operations * bed.Clock.Hertz / (all.Max(static c => c.Now) - start);
    }

    static Gpa[] Buffers(DmaBed bed)
    {
        var buffers = new Gpa[Held];
        foreach (ref var buffer in buffers.AsSpan())
        {
            if (!bed.Machine.Pages.TryAllocate(LargeOrder, AllocationSite.Buffer, out buffer))
            {
                throw new InvalidOperationException("cores: not enough memory");
            }
        }

        return buffers;
    }

    /// <summary>The processor that is furthest behind goes on, with one step: its work, or a map and an unmap.</summary>
    static void Run(DmaBed bed, Core[] cores, int operations)
    {
        var meter = bed.Machine.Meter;
        while (true)
        {
            var at = -1;
            for (var i = 0; i < cores.Length; i++)
            {
                at = cores[i].Operations < operations && (at < 0 || cores[i].Now < cores[at].Now) ? i : at;
            }

            if (at < 0)
            {
                return;
            }

            var core = cores[at];
            meter.Cpu = bed.View.Cpu = at;
            bed.Clock.SwitchTo(core.Now);
            if (!core.HasWorked)
            {
                meter.Ledger.Charge(Vmm.GuestDma.Cost.CycleCause.Application, Application);
            }
            else
            {
                Map(bed, core);
                bed.Machine.Poll();
            }

            core.HasWorked = !core.HasWorked;
            core.Now = bed.Clock.Now;
        }
    }

    static void Map(DmaBed bed, Core core)
    {
        var mapper = bed.Machine.Device.Mapper;
        var slot = core.Operations++ % Held;
        var bytes = core.IsMixed && slot % 2 != 0 ? 4096 << LargeOrder : 4096;
        if (core.Addresses[slot] != default)
        {
            mapper.UnmapPage(core.Addresses[slot], bytes, DmaDirection.FromDevice);
        }

        core.Addresses[slot] = mapper.MapPage(core.Buffers[slot], bytes, DmaDirection.FromDevice);
        if (core.Addresses[slot] == IDmaMapper.MappingError)
        {
            throw new InvalidOperationException("cores: a page cannot be mapped");
        }
    }

    /// <summary>Writes the table.</summary>
    public static void Report(TextWriter text, Func<bool> stop)
    {
        text.WriteLine($"""
            ## One device on 1 to 16 processors: thousand operations a second

            Each operation is {Application} cycles of work, a map and an unmap, of 4 KiB or (mixed) of 4 and 64 KiB by turns beside {Kept} mappings of each processor that stay, on the machine itself (`vtd-metal`, `comet-lake` prices). A lock that another
            processor held last costs 150 cycles more; a lock that is not free is waited for; the unit carries out one submission of
            invalidations after the other. In brackets: speed-up over one processor.

            | buffers | policy | addresses from | {string.Join(" | ", Cores)} |
            | --- | --- | --- | {string.Join(" | ", Cores.Select(static _ => "---:"))} |
            """);
        foreach (var (isMixed, (policy, source)) in new[] { false, true }.SelectMany(static m => Ways.Select(w => (m, w))).TakeWhile(_ => !stop()))
        {
            var found = Cores.Select(c => Run(policy, source, c, isMixed)).ToList();
            var from = policy == DmaPolicy.Identity ? "-" : source switch { IovaSource.Tree => "one tree", IovaSource.Arenas => "4 arenas", _ => "magazines" };
            text.WriteLine($"| {(isMixed ? "mixed" : "4 KiB")} | {policy.ToString().ToLowerInvariant()} | {from} | {string.Join(" | ", found.Select(f => string.Create(CultureInfo.InvariantCulture, $"{f / 1e3:F0} ({f / found[0]:F1})")))} |");
        }
    }
}
