namespace Vmm.Beds;

/// <summary>
/// How Linux cuts a range for an IOMMU driver (iommu_pgsize in drivers/iommu/iommu.c): the largest page that length and
/// alignment of both addresses allow, repeated up to where a larger one begins. Every power of two from 4 KiB on is a page,
/// as the virtio-iommu offers it, and each call of the driver is one request.
/// </summary>
internal static class LinuxPageSizes
{
    /// <summary>Where the mappings begin and end that a run of contiguous pages takes.</summary>
    public static IEnumerable<(ulong Start, ulong End)> Map(ulong iova, ulong target, ulong bytes)
    {
        while (bytes != 0)
        {
            var part = Part(iova, target, bytes);
            yield return (iova, iova + part);
            iova += part;
            target += part;
            bytes -= part;
        }
    }

    /// <summary>
    /// Calls that it takes to end all of a buffer's mappings. What a call names is cut by its own alignment, but the
    /// virtio-iommu's driver removes a mapping whole, so a call may end more than it names (viommu_del_mappings).
    /// </summary>
    public static int UnmapCalls(ulong iova, ulong bytes, IReadOnlyList<(ulong Start, ulong End)> mappings)
    {
        var calls = 0;
        for (ulong at = iova, end = iova + bytes; at < end; calls++)
        {
            var part = at + Part(at, at, end - at);
            at = Math.Max(part, mappings.Last(m => m.Start < part).End);
        }

        return calls;
    }

    static ulong Part(ulong iova, ulong target, ulong bytes)
    {
        var both = iova | target;
        var page = 1ul << Math.Min(System.Numerics.BitOperations.Log2(bytes), System.Numerics.BitOperations.TrailingZeroCount(both));
        var larger = page * 2;
        if (((iova ^ target) & (larger - 1)) != 0)
        {
            return bytes & ~(page - 1);
        }

        var toLarger = larger - (both & (larger - 1));
        return (toLarger + larger <= bytes ? toLarger : bytes) & ~(page - 1);
    }
}
