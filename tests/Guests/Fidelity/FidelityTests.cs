using System.Globalization;
using Vmm.Beds;
using Vmm.Firmware.Initrd;
using Vmm.GuestDma;
using Vmm.Guests.Kit;
using Vmm.Iommu;
using Vmm.Machine;
using Vmm.Platform.Block;
using Vmm.Platform.Dma;
using Vmm.VirtioIommu;
using Xunit;
using Xunit.Abstractions;

namespace Vmm.Guests.Fidelity;

public sealed class FidelityTests(ITestOutputHelper log)
{
    static readonly string[] Loads =
        ["read 4 64", "read 12 32", "read 28 32", "read 64 32", "read 128 32", "read 1024 8", "read 4096 2", "write 4 64", "write 64 32", "write 1024 8", "read 4 1200"];

    [Theory]
    [InlineData("vtd", "iommu.strict=1")]
    [InlineData("vtd-cm", "iommu.strict=0")]
    [InlineData("viommu", "iommu.strict=1")]
    public void Compare(string unit, string append)
    {
        using var run = new KernelRun(unit, append, Loads);
        log.WriteLine(run.Output);
        foreach (var w in run.Windows)
        {
            var policy = w.Mode == "DMA-FQ" ? DmaPolicy.Lazy : DmaPolicy.Strict;
            var layer = DmaReplay.Run(run.Vtd, run.Viommu, policy, 256 << 20, w.Recorder.Steps, w.End);
            log.WriteLine($"{w.Mode} {w.Load} idle {w.Recorder.Idle} carried {w.Recorder.Carried}\n  K {w.Recorder.Tally}\n  L {layer.Tally}");
            var runs = w.Recorder.Steps.Where(s => s.IsMap).Sum(s => s.Buffer.Runs().Count());
            var maps = w.Recorder.Steps.Where(s => s.IsMap).Sum(s => { var a = s.Buffer.Address; var n = 0; foreach (var (start, bytes) in s.Buffer.Runs()) { n += LinuxPageSizes.Calls(a, start, (ulong)bytes); a += (ulong)bytes; } return n; });
            var unmaps = w.Recorder.Steps.Where(s => !s.IsMap).Sum(s => LinuxPageSizes.Calls(s.Buffer.Address, s.Buffer.Address, (ulong)s.Buffer.Bytes));
            log.WriteLine($"  runs {runs} calls {maps} unmap calls {unmaps}");
            if (policy == DmaPolicy.Lazy)
            {
                var kernelFlushes = w.Recorder.Exits.Where(e => !e.IsForMap).Select(e => e.Time).ToList();
                var layerFlushes = layer.Exits.Where(e => !e.IsForMap).Select(e => e.Time).ToList();
                string T(IEnumerable<ulong> t) => string.Join(" ", t.Select(x => (x / 2112000.0).ToString("F3", CultureInfo.InvariantCulture)));
                log.WriteLine($"  first {T([w.Recorder.Steps[0].Time])} K {T(kernelFlushes)}\n    rule {T(FlushRule.Linux.Exits(w.Recorder.Steps, w.End, kernelFlushes[^1], unit == "viommu"))}");
                log.WriteLine($"  L {T(layerFlushes)}\n    rule {T(FlushRule.Layer.Exits(w.Recorder.Steps, w.End, 0, unit == "viommu"))}");
            }
        }
    }
}

/// <summary>Debian's 6.12 kernel at work on an NVMe disk behind an IOMMU, first with the domain type it boots with, then with deferred invalidation.</summary>
internal sealed class KernelRun : IDisposable
{
    /// <summary>One load: what was recorded from its start to 50 ms after its end.</summary>
    public sealed record Window(string Mode, string Load, DmaRecorder Recorder)
    {
        public ulong End { get; set; }
    }

    static readonly Bdf Disk = new(0, 3, 0);

    readonly Guest guest;

    public KernelRun(string unit, string append, IEnumerable<string> loads)
    {
        var kernel = Kernel.Backport;
        Vtd = unit.StartsWith("vtd", StringComparison.Ordinal) ? new() { CachingMode = unit == "vtd-cm" } : null;
        Viommu = Vtd == null ? new() : null;
        var config = new MachineConfig { Vtd = Vtd, VirtioIommu = Viommu, Disks = [new(() => new MemoryBlockBackend("disk", 40 << 20))] };
        var modules = Viommu == null ? null : KernelModules.Extract(kernel.Package, ["virtio_iommu"]);
        guest = new(kernel, config, Guest.Script((modules == null ? "" : $". /{BusyboxInitrd.LoadScript}\n") + Script(loads)), $"quiet intel_iommu=on {append}", modules: modules);
        guest.Port.Watch(Heard);
        if (guest.Run().Cause != StopCause.PowerOff)
        {
            throw new InvalidOperationException(guest.Output);
        }
    }

    public VtdOptions? Vtd { get; }

    public VirtioIommuOptions? Viommu { get; }

    public List<Window> Windows { get; } = [];

    public string Output => guest.Output;

    static string Script(IEnumerable<string> loads) => $$"""
        for i in 1 2 3 4 5 6 7 8 9; do [ -b /dev/nvme0n1 ] || sleep 0.1; done
        for g in /sys/kernel/iommu_groups/*; do [ -e $g/devices/0000:00:03.0 ] && group=$g; done
        dmesg | grep -E 'DMAR: IOMMU batching|invalidation policy' | sed 's/^\[[^]]*\] /KERNEL /'
        transfer() {
          if [ $1 = read ]; then dd if=/dev/nvme0n1 of=/dev/null bs=${2}k count=$3 iflag=direct 2>/dev/null
          else dd if=/dev/zero of=/dev/nvme0n1 bs=${2}k count=$3 oflag=direct conv=notrunc 2>/dev/null; fi
        }
        load() {
          transfer $1 $2 2
          sleep 0.05
          echo MARK $(cat $group/type) $1 $2 $3 END
          transfer $1 $2 $3
          sleep 0.05
          echo MARK STOP END
        }
        all() {
          {{string.Join("\n  ", loads.Select(static l => "load " + l))}}
        }
        all
        echo DMA-FQ > $group/type
        all
        """;

    void Heard(string line)
    {
        if (!line.StartsWith("MARK ", StringComparison.Ordinal) || !line.EndsWith(" END", StringComparison.Ordinal))
        {
            return;
        }

        var clock = guest.Machine.Clock;
        var words = line.Split(' ');
        if (words[1] == "STOP")
        {
            clock.Trace = null;
            Windows[^1].End = clock.Now;
            return;
        }

        var bar = guest.Machine.VirtioIommu?.Transport.Function.Bars[0];
        var recorder = new DmaRecorder(clock, bar == null ? (DmaBed.VtdBase, VtdUnit.WindowSize) : (bar.Address, bar.Size), Resolve, Load);
        Windows.Add(new(words[1], string.Join(' ', words[2..5]), recorder));
        clock.Trace = recorder;
    }

    ulong Load(ulong address) => guest.Machine.Memory.TryRead(new(address), out ulong value) ? value : throw new InvalidOperationException($"0x{address:x} is not memory");

    ulong? Resolve(ulong address)
    {
        foreach (var access in new[] { DmaAccess.Read, DmaAccess.Write })
        {
            var request = new DmaRequest(Disk, new(address), access);
            if (guest.Machine.Iommu?.Explain(request) is { Fault: 0 } walk)
            {
                return walk.Window.Address.Value;
            }

            if (guest.Machine.VirtioIommu?.Explain(request) is { Fault: null } found)
            {
                return found.Window.Address.Value;
            }
        }

        return null;
    }

    public void Dispose() => guest.Dispose();
}
