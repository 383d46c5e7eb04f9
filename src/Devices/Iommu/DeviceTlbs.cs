using Vmm.Platform.Dma;
using Vmm.Specs.VtD;

namespace Vmm.Iommu;

/// <summary>The TLBs of devices behind the unit (VT-d §4.1, §6.5.2.5, §6.5.2.6).</summary>
sealed class DeviceTlbs
{
    readonly Dictionary<ushort, IDeviceTlb> attached = [];

    public void Attach(Bdf requester, IDeviceTlb? tlb)
    {
        if (tlb == null)
        {
            attached.Remove(requester.Value);
        }
        else
        {
            attached[requester.Value] = tlb;
        }
    }

    public IDeviceTlb? Find(Bdf requester) => attached.GetValueOrDefault(requester.Value);

    /// <summary>Sends a device-TLB invalidation. A source that nobody answers for times out, as on the wire.</summary>
    public DeviceTlbCompletion Invalidate(InvalidationDescriptor descriptor, out ushort source)
    {
        var hasPasid = descriptor.Type == InvalidationType.PasidDeviceTlb;
        source = hasPasid ? descriptor.LowSID : descriptor.SID;
        var length = LengthOf(descriptor);
        var address = length == 0 ? 0 : descriptor.High & ~0xFFFul & ~(length - 1);
        var request = new DeviceTlbInvalidation(
            new(address), length, hasPasid ? descriptor.PASID : 0, hasPasid, hasPasid && descriptor.IsGlobal);
        return attached.TryGetValue(source, out var tlb) ? tlb.Invalidate(request) : DeviceTlbCompletion.TimedOut;
    }

    /// <summary>With S set, the lowest clear address bit from 12 on gives the size: 8 KiB when bit 12 is clear (PCIe §10.3.1).</summary>
    static ulong LengthOf(InvalidationDescriptor descriptor)
    {
        if (!descriptor.S)
        {
            return 4096;
        }

        var ones = System.Numerics.BitOperations.TrailingZeroCount(~(descriptor.High >> 12));
        return ones >= 51 ? 0 : 8192ul << ones;
    }

    /// <summary>Hands a page group response to its device.</summary>
    public void Respond(InvalidationDescriptor descriptor) =>
        Find(new(descriptor.LowSID))?.Respond(new(descriptor.PRGI, descriptor.RC, descriptor.PASID, descriptor.PP));
}
