using System.Runtime.CompilerServices;
using Vmm.Platform.Bus;
using Vmm.Platform.Dma;
using Vmm.Platform.Memory;

namespace Vmm.Bench.Dma;

/// <summary>RAM, a remapping unit, and two devices behind it: one with many mapped pages, one with all pages on shared tables.</summary>
internal sealed class DmaBed : IDisposable
{
    /// <summary>Largest working set.</summary>
    public const int MostPages = 100_000;

    /// <summary>The device with mapped pages.</summary>
    public static readonly Bdf Device = new(0, 3, 0);

    /// <summary>The device whose whole address space is mapped.</summary>
    public static readonly Bdf Sparse = new(0, 5, 0);

    readonly GuestMemory memory = new(16 << 20);
    readonly DmaFabric fabric;

    /// <summary>Builds it and turns translation on.</summary>
    public DmaBed()
    {
        var sink = new CountingSink();
        fabric = new(memory, new SystemBus().Mmio, sink);
        Remapping = new(memory, sink, 0x40_0000);
        var table = Remapping.Attach(Device, 1);
        for (var i = 0ul; i < MostPages; i++)
        {
            Remapping.Map(table, PageStream.Mapped + i * 4096, PageStream.Targets + i % PageStream.TargetPages * 4096);
        }

        Remapping.MapEverything(Remapping.Attach(Sparse, 2), PageStream.Targets);
        Remapping.Enable();
    }

    /// <summary>The unit.</summary>
    public Remapping Remapping { get; }

    /// <summary>DMA of whole pages over a working set.</summary>
    public PageStream Stream(int pages, bool remapped) =>
        new(new(fabric, Device) { Translator = remapped ? Remapping.Unit : null }, pages);

    /// <summary>Copies 4 KiB between two arrays: what the host's memory can do.</summary>
    public static Func<int, int> Copy()
    {
        byte[] from = new byte[4096], to = new byte[4096];
        return count => Copy(from, to, count);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static int Copy(byte[] from, byte[] to, int count)
    {
        for (var i = 0; i < count; i++)
        {
            from.AsSpan().CopyTo(to);
        }

        return count;
    }

    /// <inheritdoc/>
    public void Dispose() => memory.Dispose();
}
