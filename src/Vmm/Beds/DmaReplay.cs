using Vmm.GuestDma;
using Vmm.Iommu;
using Vmm.Platform.Dma;
using Vmm.Platform.Memory;
using Vmm.VirtioIommu;

namespace Vmm.Beds;

/// <summary>
/// Maps and unmaps a recorded sequence of buffers with the DMA layer: the same pages, directions and lengths in the same
/// order at the same times. The device touches every page while it is mapped.
/// </summary>
internal sealed class DmaReplay : IDisposable
{
    const ulong LayerBytes = 256 << 20, LowKernel = GuestMemory.LowRamLimit - LayerBytes;

    readonly DmaBed bed;
    readonly DmaRecorder recorder;
    readonly Dictionary<DmaBuffer, ScatterEntry[]> mapped = [];

    DmaReplay(VtdOptions? vtd, VirtioIommuOptions? viommu, DmaPolicy policy, ulong guestBytes)
    {
        bed = new(new()
        {
            // The recorded pages are RAM here too, and nobody else's.
            MemoryBytes = guestBytes + LayerBytes, KernelStart = Math.Min(guestBytes, LowKernel), Vtd = vtd, Viommu = viommu, Policy = policy, HasDisk = false,
        });
        var bar = bed.Viommu?.Transport.Function.Bars[0];
        recorder = new(bed.Clock, bar == null ? (DmaBed.VtdBase, VtdUnit.WindowSize) : (bar.Address, bar.Size), static _ => null, static _ => null, policy != DmaPolicy.Strict);
        recorder.Mapping = false;
        bed.Clock.Trace = recorder;
    }

    /// <summary>Replays, and counts until a time.</summary>
    /// <param name="vtd">The remapping unit, or null.</param>
    /// <param name="viommu">The virtio-iommu, or null.</param>
    /// <param name="policy">The layer's policy.</param>
    /// <param name="guestBytes">RAM of the recorded guest.</param>
    /// <param name="steps">The sequence.</param>
    /// <param name="end">When counting ends, in cycles.</param>
    public static DmaRecorder Run(VtdOptions? vtd, VirtioIommuOptions? viommu, DmaPolicy policy, ulong guestBytes, IEnumerable<DmaStep> steps, ulong end)
    {
        using var replay = new DmaReplay(vtd, viommu, policy, guestBytes);
        foreach (var step in steps)
        {
            replay.AdvanceTo(step.Time);
            if (step.IsMap)
            {
                replay.Map(step);
            }
            else
            {
                replay.Unmap(step);
            }
        }

        replay.AdvanceTo(end);
        return replay.recorder;
    }

    /// <summary>Where a recorded run lies here: where it lay, unless the layer's own memory has to be there, below 4 GiB.</summary>
    ulong Place(ulong start) =>
        start is >= LowKernel and < GuestMemory.LowRamLimit
            ? GuestMemory.HighRamStart + bed.Memory.HighRamBytes - LayerBytes + (start - LowKernel)
            : start;

    void AdvanceTo(ulong time)
    {
        while (bed.Clock.NextDue <= time)
        {
            bed.Clock.SwitchTo(Math.Max(bed.Clock.Now, bed.Clock.NextDue));
            bed.Machine.Poll();
        }

        bed.Clock.SwitchTo(Math.Max(bed.Clock.Now, time));
    }

    void Map(in DmaStep step)
    {
        recorder.Steps.Add(step with { Time = bed.Clock.Now });
        var list = step.Buffer.Runs().Select(r => new ScatterEntry { Address = new(Place(r.Start)), Length = r.Bytes }).ToArray();
        recorder.Mapping = true;
        var segments = bed.Machine.Device.Mapper.MapScatterList(list, Direction(step.Buffer));
        recorder.Mapping = false;
        if (segments == 0)
        {
            throw new InvalidOperationException("replay: a buffer cannot be mapped");
        }

        mapped.Add(step.Buffer, list);
        Touch(step.Buffer, list.AsSpan(0, segments));
    }

    void Touch(DmaBuffer buffer, ReadOnlySpan<ScatterEntry> segments)
    {
        Span<byte> one = stackalloc byte[1];
        foreach (ref readonly var segment in segments)
        {
            for (var at = segment.DmaAddress.Value; at < segment.DmaAddress.Value + (ulong)segment.DmaLength; at = (at | 0xFFF) + 1)
            {
                if (!(buffer.ToDevice ? bed.Port.TryRead(new(at), one) : bed.Port.TryWrite(new(at), one)))
                {
                    throw new InvalidOperationException($"replay: the device does not reach 0x{at:x}");
                }
            }
        }
    }

    void Unmap(in DmaStep step)
    {
        recorder.Steps.Add(step with { Time = bed.Clock.Now });
        mapped.Remove(step.Buffer, out var list);
        bed.Machine.Device.Mapper.UnmapScatterList(list, Direction(step.Buffer));
    }

    static DmaDirection Direction(DmaBuffer buffer) => buffer.ToDevice ? DmaDirection.ToDevice : DmaDirection.FromDevice;

    /// <inheritdoc/>
    public void Dispose() => bed.Dispose();
}
