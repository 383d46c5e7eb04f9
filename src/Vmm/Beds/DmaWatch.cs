using Vmm.Iommu;
using Vmm.Machine;
using Vmm.Platform.Dma;

namespace Vmm.Beds;

/// <summary>Records what a guest's driver does for the buffers of the machine's only NVMe disk. Changes nothing in the run.</summary>
internal static class DmaWatch
{
    /// <summary>Why a machine cannot be watched, or null.</summary>
    public static string? Obstacle(MachineConfig config) =>
        config.Vtd == null && config.VirtioIommu == null ? "there is no IOMMU"
        : config.Disks.Count(static d => d.Virtio == null && d.BehindIommu) != 1 || config.Disks.Any(static d => d.Virtio != null) ? "there is not exactly one disk, NVMe and behind the IOMMU"
        : null;

    /// <summary>Starts to record.</summary>
    /// <param name="machine">The machine.</param>
    /// <param name="isDeferred">The driver defers invalidations.</param>
    public static DmaRecorder Attach(VirtualMachine machine, bool isDeferred)
    {
        var bar = machine.VirtioIommu?.Transport.Function.Bars[0];
        var recorder = new DmaRecorder(
            machine.Clock, bar == null ? (DmaBed.VtdBase, VtdUnit.WindowSize) : (bar.Address, bar.Size), a => Resolve(machine, a),
            a => machine.Memory.TryRead(new(a), out ulong value) ? value : null, isDeferred);
        machine.Clock.Trace = recorder;
        return recorder;
    }

    /// <summary>Guest-physical address by the present tables, whatever the direction.</summary>
    static ulong? Resolve(VirtualMachine machine, ulong address)
    {
        foreach (var access in new[] { DmaAccess.Read, DmaAccess.Write })
        {
            var request = new DmaRequest(machine.Nvme[0].Function.Address, new(address), access);
            if (machine.Iommu?.Explain(request) is { Fault: 0 } walk)
            {
                return walk.Window.Address.Value;
            }

            if (machine.VirtioIommu?.Explain(request) is { Fault: null } found)
            {
                return found.Window.Address.Value;
            }
        }

        return null;
    }
}
