using Vmm.GuestDma;

namespace Vmm.Beds;

/// <summary>Lists of points.</summary>
internal static class DmaPlans
{
    const string Standard = "comet-lake";

    static readonly DmaPolicy[] Translating =
        [DmaPolicy.Bypass, DmaPolicy.Identity, DmaPolicy.Strict, DmaPolicy.Lazy, DmaPolicy.Batched, DmaPolicy.Referenced, DmaPolicy.Pool, DmaPolicy.Adaptive];

    static readonly DmaPolicy[] Untranslated = [DmaPolicy.Off, DmaPolicy.Swiotlb, DmaPolicy.DynamicSwiotlb];

    static readonly DmaPolicy[] Main = [DmaPolicy.Strict, DmaPolicy.Lazy, DmaPolicy.Pool, DmaPolicy.Adaptive];

    /// <summary>Every load, policy and IOMMU, and all profiles where they differ.</summary>
    public static IReadOnlyList<DmaPoint> Table { get; } = [.. All()];

    /// <summary>Sizes in the published experiment.</summary>
    public static IReadOnlyList<int> PaperSizes { get; } = [4 << 10, 16 << 10, 64 << 10, 128 << 10];

    /// <summary>The table, or every combination at one size and depth.</summary>
    /// <exception cref="ArgumentException">Only one of the two is given, or one is out of range.</exception>
    public static IEnumerable<DmaPoint> At(int? bytes, int? depth) => (bytes, depth) switch
    {
        (null, null) => Table,
        ( >= 4096 and <= 4 << 20, >= 1 and <= 10_000) when bytes % 4096 == 0 =>
            from load in Enum.GetValues<DmaLoad>()
            from iommu in DmaPoint.Iommus
            from profile in DmaProfiles.Names
            from policy in iommu == "none" ? Untranslated : Translating
            select new DmaPoint(load, bytes.Value, depth.Value, policy, iommu, profile),
        _ => throw new ArgumentException($"--bytes and --depth: {bytes} and {depth} are not a multiple of 4096 up to 4194304 and 1 to 10000"),
    };

    /// <summary>From small to large and from few to many, past what pools hold.</summary>
    public static IEnumerable<DmaPoint> Beyond(DmaLoad load, IEnumerable<int> sizes, IEnumerable<int> depths) =>
        from bytes in sizes
        from depth in depths
        from policy in new[] { DmaPolicy.Strict, DmaPolicy.Pool, DmaPolicy.Adaptive }
        select new DmaPoint(load, bytes, depth, policy, "viommu-2021", DmaProfiles.Chromebook) { Count = (depth <= 2000 ? Math.Max(4096, 6 * depth) : 4 * depth, Math.Max(512, depth)) };

    static IEnumerable<DmaPoint> All()
    {
        foreach (var (load, bytes, depth) in Loads())
        {
            foreach (var policy in Untranslated.Where(p => load != DmaLoad.Mask || p != DmaPolicy.Off))
            {
                yield return new(load, bytes, depth, policy, "none", Standard);
            }

            foreach (var iommu in DmaPoint.Iommus.Skip(1).SkipLast(1))
            {
                foreach (var policy in Translating.Where(p => load != DmaLoad.Mask || p >= DmaPolicy.Strict))
                {
                    yield return new(load, bytes, depth, policy, iommu, Standard);
                }
            }
        }

        foreach (var profile in DmaProfiles.Names.Where(static n => n != Standard))
        {
            foreach (var iommu in DmaPoint.Iommus.Skip(1))
            {
                foreach (var policy in Main)
                {
                    yield return new(DmaLoad.Read, 4 << 10, 64, policy, iommu, profile);
                    yield return new(DmaLoad.Read, 64 << 10, 64, policy, iommu, profile);
                }
            }
        }
    }

    static IEnumerable<(DmaLoad Load, int Bytes, int Depth)> Loads()
    {
        foreach (var kib in new[] { 4, 16, 64, 128, 1024 })
        {
            yield return (DmaLoad.Read, kib << 10, 64);
        }

        yield return (DmaLoad.Read, 4 << 10, 1);
        yield return (DmaLoad.Read, 4 << 10, 256);
        yield return (DmaLoad.Write, 4 << 10, 64);
        yield return (DmaLoad.Write, 64 << 10, 64);
        yield return (DmaLoad.Packets, 3000, 256);
        yield return (DmaLoad.Transmit, 64 << 10, 64);
        yield return (DmaLoad.Request, 256, 1);
        yield return (DmaLoad.Fresh, 16 << 10, 64);
        yield return (DmaLoad.Mask, 16 << 10, 64);
        yield return (DmaLoad.Walker, 64 << 10, 16);
    }
}
