namespace Vmm.Guests.Fidelity;

/// <summary>
/// How Linux cuts a range for an IOMMU driver (iommu_pgsize in drivers/iommu/iommu.c): the largest page that length and
/// alignment of both addresses allow, repeated up to where a larger one begins. Every power of two from 4 KiB on is a page,
/// as the virtio-iommu offers it, and each call of the driver is one request.
/// </summary>
internal static class LinuxPageSizes
{
    /// <summary>Calls that a range takes.</summary>
    public static int Calls(ulong iova, ulong target, ulong bytes)
    {
        var calls = 0;
        for (; bytes != 0; calls++)
        {
            var part = Part(iova, target, bytes);
            iova += part;
            target += part;
            bytes -= part;
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
