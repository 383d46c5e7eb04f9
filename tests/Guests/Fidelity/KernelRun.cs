using Vmm.Beds;
using Vmm.Firmware.Initrd;
using Vmm.Guests.Kit;
using Vmm.Iommu;
using Vmm.Machine;
using Vmm.Platform.Block;
using Vmm.Specs.Virtio;
using Vmm.Specs.VtD;
using Xunit;

namespace Vmm.Guests.Fidelity;

/// <summary>One of Debian's kernels at work on an NVMe disk behind an IOMMU, first with the domain type it boots with, then with deferred invalidation.</summary>
internal sealed class KernelRun : IDisposable
{
    /// <summary>One load: what was recorded from its start to 50 ms after its end.</summary>
    /// <param name="Type">Type of the disk's domain: DMA or DMA-FQ.</param>
    /// <param name="Load">Direction, KiB of a transfer, transfers.</param>
    /// <param name="Recorder">What was recorded.</param>
    /// <param name="Before">What the machine itself had counted.</param>
    public sealed record Window(string Type, string Load, DmaRecorder Recorder, Counters Before)
    {
        /// <summary>When it ended, in cycles.</summary>
        public ulong End { get; set; }

        /// <summary>What the machine itself counted by then.</summary>
        public Counters After { get; set; }
    }

    /// <summary>The ledger's and the units' own counters.</summary>
    public readonly record struct Counters(ulong Exits, ulong Invalidations, ulong Waits, ulong Maps, ulong Unmaps);

    /// <summary>Linux' name of a DMA domain with a flush queue.</summary>
    public const string DeferredType = "DMA-FQ";

    readonly Guest guest;

    /// <param name="kernel">The kernel.</param>
    /// <param name="unit">vtd, vtd-cm (caching mode), vtd-sm (scalable mode) or viommu.</param>
    /// <param name="append">Further words of the command line.</param>
    /// <param name="loads">What the guest does, once with each type of domain.</param>
    /// <param name="vcpus">Processors.</param>
    public KernelRun(Kernel kernel, string unit, string append, IEnumerable<string> loads, int vcpus = 1)
    {
        VtdOptions? vtd = unit.StartsWith("vtd", StringComparison.Ordinal) ? new() { CachingMode = unit == "vtd-cm", Profile = unit == "vtd-sm" ? VtdProfile.Scalable : VtdProfile.Legacy } : null;
        Config = new() { Vcpus = vcpus, Vtd = vtd, VirtioIommu = vtd == null ? new() : null, Disks = [new(() => new MemoryBlockBackend("disk", 40 << 20))] };
        var modules = vtd != null ? null : KernelModules.Extract(kernel.Package, ["virtio_iommu"]);
        guest = new(kernel, Config, Guest.Script((modules == null ? "" : $". /{BusyboxInitrd.LoadScript}\n") + Script(loads)), $"quiet intel_iommu=on{(vtd?.Profile == VtdProfile.Scalable ? ",sm_on" : "")} {append}", modules: modules);
        guest.Port.Watch(Heard);
        Assert.True(guest.Run().Cause == StopCause.PowerOff, guest.Output);
    }

    /// <summary>The machine.</summary>
    public MachineConfig Config { get; }

    /// <summary>All loads in order.</summary>
    public List<Window> Windows { get; } = [];

    /// <summary>What the guest said.</summary>
    public string Output => guest.Output;

    static string Script(IEnumerable<string> loads) => $$"""
        for i in 1 2 3 4 5 6 7 8 9; do [ -b /dev/nvme0n1 ] || sleep 0.1; done
        for g in /sys/kernel/iommu_groups/*; do [ -e $g/devices/0000:00:03.0 ] && group=$g; done
        dmesg | grep -E 'DMAR: IOMMU batching|invalidation policy' | sed 's/^\[[^]]*\] /KERNEL /'
        transfer() {
          case $1 in
            read) dd if=/dev/nvme0n1 of=/dev/null bs=${2}k count=$3 iflag=direct 2>/dev/null;;
            write) dd if=/dev/zero of=/dev/nvme0n1 bs=${2}k count=$3 oflag=direct conv=notrunc 2>/dev/null;;
            cached-read) echo 3 > /proc/sys/vm/drop_caches; dd if=/dev/nvme0n1 of=/dev/null bs=${2}k count=$3 2>/dev/null;;
            cached-write) dd if=/dev/zero of=/dev/nvme0n1 bs=${2}k count=$3 conv=fsync,notrunc 2>/dev/null;;
            discard) for i in 1 2 3 4 5 6 7 8; do blkdiscard -o $((i * 65536)) -l $(($2 * 1024)) /dev/nvme0n1; done;;
            mixed)
              for i in 4 20 64 1024; do transfer read $i $3 & transfer write $i $3 & done
              wait;;
            pinned)
              for i in 0 1; do taskset $((i + 1)) dd if=/dev/nvme0n1 of=/dev/null bs=${2}k count=$3 skip=$((i * 64)) iflag=direct 2>/dev/null & done
              wait;;
          esac
        }
        load() {
          transfer $1 $2 2
          [ $1 = mixed ] && transfer $1 $2 4
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
        echo {{DeferredType}} > $group/type
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
            (Windows[^1].End, Windows[^1].After) = (clock.Now, Count());
            return;
        }

        var recorder = DmaWatch.Attach(guest.Machine, words[1] == DeferredType);
        Windows.Add(new(words[1], string.Join(' ', words[2..5]), recorder, Count()));
    }

    Counters Count()
    {
        var machine = guest.Machine;
        var exits = machine.Clock.Ledger.Account(Config.Vtd == null ? "viommu0" : "vtd0").Table.ExitCount;
        return machine.Iommu is { } unit
            ? new(exits, unit.Counters.Invalidations(InvalidationType.Iotlb) + unit.Counters.Invalidations(InvalidationType.PasidIotlb), unit.Counters.Waits, 0, 0)
            : new(exits, 0, 0, machine.VirtioIommu!.Requests(VirtioIommuRequest.Map, VirtioIommuStatus.Ok), machine.VirtioIommu!.Requests(VirtioIommuRequest.Unmap, VirtioIommuStatus.Ok));
    }

    public void Dispose() => guest.Dispose();
}
