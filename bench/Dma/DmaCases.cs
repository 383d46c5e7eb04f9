namespace Vmm.Bench.Dma;

/// <summary>Something with and without the IOMMU.</summary>
/// <param name="Name">Name in reports.</param>
/// <param name="Without">Addresses are guest-physical.</param>
/// <param name="With">Every address is translated.</param>
internal sealed record Pair(string Name, Case Without, Case With)
{
    /// <summary>How much dearer the IOMMU makes it.</summary>
    public double Ratio => With.Over(Without);
}

/// <summary>Everything that is measured.</summary>
internal sealed class DmaCases : IDisposable
{
    const int Transfers = 40_000, Translations = 100_000, Walks = 20_000, Commands = 4_000, Copies = 40_000;

    readonly List<Case> all = [];
    readonly List<NvmeDriver> drivers = [];
    readonly int divisor;

    /// <param name="bed">What they run on.</param>
    /// <param name="divisor">Makes samples shorter.</param>
    public DmaCases(DmaBed bed, int divisor)
    {
        this.divisor = divisor;
        var unit = bed.Remapping.Unit;
        Copy = Add("copy of 4 KiB", Copies, DmaBed.Copy());
        Reads = [Streams(bed, "read, one page (the port's last translation)", 1, true), Streams(bed, "read, 64 pages (translations the port keeps)", 64, true)];
        Writes = [Streams(bed, "write, one page (the port's last translation)", 1, false), Streams(bed, "write, 64 pages (translations the port keeps)", 64, false)];
        Sets = [.. SetSizes.Select(n => Streams(bed, $"{n:N0}", n, true))];
        Hits =
        [
            Add("hit, one page", Translations, TranslationStream.Dense(unit, DmaBed.Device, 1).Run, 1),
            Add("hit, 64 pages", Translations, TranslationStream.Dense(unit, DmaBed.Device, 64).Run, 64),
            Add("hit, 1,024 pages", Translations, TranslationStream.Dense(unit, DmaBed.Device, 1024).Run, 1024),
        ];
        Misses =
        [
            Walk(bed, "miss, upper levels cached: 16,384 pages in order", TranslationStream.Dense(unit, DmaBed.Device, 16384)),
            Walk(bed, "miss, nothing cached: 8,192 pages far apart", TranslationStream.Sparse(unit, DmaBed.Sparse)),
        ];
        Nvme = [Drivers(1), Drivers(32)];
    }

    /// <summary>Sizes of the working sets in pages.</summary>
    public static IReadOnlyList<int> SetSizes { get; } = [64, 256, 1024, 1025, 4096, 16384, DmaBed.MostPages];

    /// <summary>All, in the order in which they take turns: those that are compared stand next to each other.</summary>
    public IReadOnlyList<Case> All => all;

    /// <summary>What the host's memory can do.</summary>
    public Case Copy { get; }

    /// <summary>Translations from the IOTLB.</summary>
    public IReadOnlyList<Case> Hits { get; }

    /// <summary>Translations by a walk, with the second-stage entries that each reads.</summary>
    public IReadOnlyList<(Case Case, Func<double> EntriesRead)> Misses { get; }

    /// <summary>DMA reads of 4 KiB.</summary>
    public IReadOnlyList<Pair> Reads { get; }

    /// <summary>DMA writes of 4 KiB.</summary>
    public IReadOnlyList<Pair> Writes { get; }

    /// <summary>DMA reads of 4 KiB over growing sets.</summary>
    public IReadOnlyList<Pair> Sets { get; }

    /// <summary>NVMe reads of 4 KiB.</summary>
    public IReadOnlyList<Pair> Nvme { get; }

    Case Add(string name, int operations, Func<int, int> work, int settling = 0)
    {
        var one = new Case(name, operations / divisor, work, settling);
        all.Add(one);
        return one;
    }

    Pair Streams(DmaBed bed, string name, int pages, bool read)
    {
        var settling = Math.Min(pages, Walks);
        var (without, with) = (bed.Stream(pages, false), bed.Stream(pages, true));
        return new(name, Add(name, Transfers, read ? without.Read : without.Write, settling), Add(name + ", IOMMU", Transfers, read ? with.Read : with.Write, settling));
    }

    (Case Case, Func<double> EntriesRead) Walk(DmaBed bed, string name, TranslationStream stream)
    {
        ulong entries = 0, requests = 0;
        int Run(int count)
        {
            var before = bed.Remapping.EntriesRead();
            var good = stream.Run(count);
            entries += bed.Remapping.EntriesRead() - before;
            requests += (ulong)count;
            return good;
        }

        var one = Add(name, Walks, Run, Walks);
        return (one, () => (double)entries / requests);
    }

    Pair Drivers(int depth)
    {
        NvmeDriver without = new(depth, false), with = new(depth, true);
        drivers.AddRange([without, with]);
        var name = $"queue depth {depth}";
        return new(name, Add(name, Commands, without.Run), Add(name + ", IOMMU", Commands, with.Run));
    }

    /// <inheritdoc/>
    public void Dispose() => drivers.ForEach(static d => d.Dispose());
}
