using Vmm.GuestDma.Adoption;
using Vmm.GuestDma.Bounce;
using Vmm.GuestDma.Cost;
using Vmm.GuestDma.Guest;
using Vmm.Platform.Memory;

namespace Vmm.GuestDma.Domains;

/// <summary>
/// The DMA API over a translated address space. The policy may change at any time: what an unmap has to do follows from the
/// address, not from the policy of the moment.
/// </summary>
public sealed partial class IommuMapper : IDmaMapper
{
    readonly IGuestView view;
    readonly CostMeter meter;
    readonly GuestPages pages;
    readonly DmaDeviceOptions options;
    readonly BounceBuffers pool, arenas;
    readonly SingleUseBuffers single;
    readonly AdoptedBuffers adopted;
    readonly RecentBuffers recent = new();
    readonly PathCosts costs = new();
    bool isBusy;

    /// <param name="view">The machine.</param>
    /// <param name="meter">Prices.</param>
    /// <param name="pages">Memory.</param>
    /// <param name="translations">Addresses and translations of the device's domain.</param>
    /// <param name="options">The device.</param>
    /// <param name="faults">Which allocations fail on purpose.</param>
    public IommuMapper(IGuestView view, CostMeter meter, GuestPages pages, Translations translations, DmaDeviceOptions options, AllocationFaults faults)
    {
        this.view = view;
        this.meter = meter;
        this.pages = pages;
        this.options = options;
        Translations = translations;
        pool = new(view, meter, pages, translations, options.Pool);
        arenas = new(view, meter, pages, translations, options.Arenas);
        single = new(view, meter, pages, translations);
        adopted = new(meter, pages, translations, faults, options.AdoptedBuffers, options.AdoptedPages);
        one = new ScatterEntry[1];
        pages.Reclaimers.Add(TryReclaim);
    }

    /// <summary>Addresses and translations.</summary>
    public Translations Translations { get; }

    /// <summary>One of <see cref="DmaPolicy.Strict"/> to <see cref="DmaPolicy.Adaptive"/>.</summary>
    public DmaPolicy Policy { get; private set; } = DmaPolicy.Strict;

    /// <summary>Streaming mappings that exist, of every kind.</summary>
    public int Live { get; private set; }

    /// <summary>Blocks of coherent memory that exist.</summary>
    public int CoherentBlocks { get; private set; }

    /// <summary>Memory of bounce buffers in bytes.</summary>
    public ulong BounceBytes => pool.Bytes + arenas.Bytes;

    /// <summary>Most memory that bounce buffers ever had, in bytes.</summary>
    public ulong PeakBounceBytes => pool.Peak + arenas.Peak;

    /// <summary>Buffers that keep their mapping.</summary>
    public int AdoptedCount => adopted.Count;

    /// <summary>Pages of those.</summary>
    public int AdoptedPages => adopted.Pages;

    /// <summary>Mappings that were found adopted.</summary>
    public ulong AdoptionHits => adopted.Hits;

    FlushMode Mode => Policy switch
    {
        DmaPolicy.Lazy => FlushMode.Lazy,
        DmaPolicy.Batched => FlushMode.Batched,
        DmaPolicy.Referenced or DmaPolicy.Adaptive => FlushMode.Referenced,
        _ => FlushMode.Strict,
    };

    /// <summary>Changes the policy; what waits or stays by an earlier one goes, so that a stricter one promises nothing it cannot hold.</summary>
    public void SwitchTo(DmaPolicy policy)
    {
        if (policy is < DmaPolicy.Strict or > DmaPolicy.Adaptive)
        {
            throw new ArgumentOutOfRangeException(nameof(policy), policy, "a policy without translations");
        }

        Policy = policy;
        Translations.Queue.Flush();
        adopted.EvictAll();
        pool.Evict(all: true);
        arenas.Evict(all: true);
    }

    /// <summary>
    /// Memory is missing somewhere: gives up adopted buffers and cached slots. Not while this mapper is at work itself, whose
    /// lists would change under its hands; <see cref="MapScatterList"/> tries again afterwards.
    /// </summary>
    bool TryReclaim()
    {
        if (isBusy || AdoptedCount == 0 && BounceBytes == 0 && Translations.Queue.Count == 0)
        {
            return false;
        }

        isBusy = true;
        var before = pages.FreePages;
        adopted.EvictAll();
        pool.Evict(all: true);
        arenas.Evict(all: true);
        Translations.Queue.Flush();
        isBusy = false;
        return pages.FreePages != before;
    }

    /// <summary>Gives back all memory that no mapping needs: cached slots, adopted buffers, empty tables.</summary>
    public void Shrink()
    {
        adopted.EvictAll();
        pool.Evict(all: true);
        arenas.Evict(all: true);
        Translations.Queue.Flush();
        Translations.Domain.Trim();
    }

    /// <summary>As <see cref="Shrink"/>, and gives back the address ranges; no mapping may exist.</summary>
    public void Close()
    {
        Shrink();
        pool.Close();
        arenas.Close();
        CloseWindow();
        Translations.Domain.Trim();
    }

    /// <summary>One pass of the evictors, as the timer makes it.</summary>
    public void Age()
    {
        pool.Evict(all: false);
        arenas.Evict(all: false);
    }

    /// <inheritdoc/>
    public bool TryAllocateCoherent(int bytes, out CoherentMemory memory)
    {
        memory = default;
        var order = Order(bytes);
        if (bytes <= 0 || order > GuestPages.MaxOrder || !pages.TryAllocate(order, AllocationSite.Coherent, out var block))
        {
            return false;
        }

        view.Memory(block, 4096 << order).Clear();
        isBusy = true;
        var mapped = Translations.TryMap(block, 4096 << order, DmaProtection.ReadWrite, FlushMode.Strict, out var address);
        isBusy = false;
        if (!mapped)
        {
            pages.Free(block, order);
            return false;
        }

        memory = new(block, new(address), 4096 << order);
        CoherentBlocks++;
        return true;
    }

    /// <inheritdoc/>
    public void FreeCoherent(in CoherentMemory memory)
    {
        CoherentBlocks--;
        Translations.Unmap(memory.DmaAddress.Value, (ulong)memory.Bytes, FlushMode.Strict);
        pages.Free(memory.Address, Order(memory.Bytes));
    }

    static int Order(int bytes) => System.Numerics.BitOperations.Log2((uint)(bytes + 4095 >> 12) * 2 - 1);
}
