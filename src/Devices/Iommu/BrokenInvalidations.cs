using Vmm.Platform.Dma;
using Vmm.Platform.Faults;
using Vmm.Platform.Memory;
using Vmm.Specs.VtD;

namespace Vmm.Iommu;

/// <summary>Asks the fault rules about descriptors of the invalidation queue, and keeps what a rule says must survive one.</summary>
sealed class BrokenInvalidations(VtdCore core, ContextResolver contexts)
{
    const string Unseen = "hardware reports only failures that it sees (VT-d §6.5.2.10)";
    const string NoDeadline = "a wait descriptor has no deadline (VT-d §6.5.2.8)";

    readonly List<(int Shift, StampedEntry Entry)> survivors = [];

    /// <summary>The rule that fires for a descriptor, or null. Waits are no invalidations: a rule must name their type.</summary>
    public InvalidationFault? Ask(FaultPlan plan, InvalidationDescriptor descriptor)
    {
        var request = RequestOf(FaultPoint.Invalidation, descriptor);
        foreach (var rule in plan.At(FaultPoint.Invalidation))
        {
            if (descriptor.Type == InvalidationType.Wait && rule.Rule.Match.Opcode == null || !plan.Fires(rule, request))
            {
                continue;
            }

            var fault = (InvalidationFault)rule.Rule.Action;
            var (effect, suppressedBy) = fault.Kind switch
            {
                InvalidationFaultKind.Skip => ("completed without effect", Unseen),
                InvalidationFaultKind.Delay => ($"the queue waits {fault.DelayNanoseconds} ns", NoDeadline),
                InvalidationFaultKind.NeverComplete => ("the queue never goes on", NoDeadline),
                InvalidationFaultKind.QueueError => ("invalidation queue error", null),
                InvalidationFaultKind.TimeoutError => ("invalidation time-out error at the next wait", null),
                _ => ("invalidation completion error", (string?)null),
            };
            plan.Report(rule, request, effect, suppressedBy);
            return fault;
        }

        return null;
    }

    /// <summary>Takes note of the cached translations that rules keep through a descriptor. <see cref="Restore"/> puts them back.</summary>
    public void Keep(FaultPlan plan, InvalidationDescriptor descriptor)
    {
        survivors.Clear();
        var request = RequestOf(FaultPoint.Cache, descriptor);
        foreach (var rule in plan.At(FaultPoint.Cache))
        {
            var match = rule.Rule.Match;
            var asked = request with { Device = match.Device, Pasid = match.Pasid };
            var first = survivors.Count;
            Collect(match, asked);
            if (survivors.Count == first)
            {
                continue;
            }

            if (plan.Fires(rule, asked))
            {
                plan.Report(rule, asked, $"{survivors.Count - first} cached translations kept", Unseen);
            }
            else
            {
                survivors.RemoveRange(first, survivors.Count - first);
            }
        }
    }

    /// <summary>Puts back what was kept.</summary>
    public void Restore()
    {
        foreach (var (shift, entry) in survivors)
        {
            core.Iotlb.Insert(shift, entry);
        }

        survivors.Clear();
    }

    void Collect(FaultMatch match, in FaultRequest request)
    {
        var probe = new DmaRequest(match.Device!.Value, new Iova(match.Address?.Start ?? 0), DmaAccess.Read, match.Pasid ?? 0, match.Pasid != null);
        ref readonly var context = ref contexts.Resolve(probe, out var denied, out _);
        if (denied != FaultReason.None)
        {
            return;
        }

        var target = new AddressRange(request.Address, Math.Max(1, request.Length));
        core.Iotlb.Collect(context.Tag, target, match.Address, survivors);
    }

    static FaultRequest RequestOf(FaultPoint point, InvalidationDescriptor descriptor)
    {
        var (address, length) = descriptor.Type switch
        {
            InvalidationType.Iotlb when descriptor.G == (int)InvalidationGranularity.Selective => RangeOf(descriptor.Target),
            InvalidationType.PasidIotlb when descriptor.G == 3 => RangeOf(descriptor.Target),
            InvalidationType.DeviceTlb => (descriptor.High & ~0xFFFul, 4096ul),
            InvalidationType.Wait => (descriptor.StatusAddress, 4ul),
            _ => (0ul, ulong.MaxValue),
        };
        return new(point, descriptor.Type is InvalidationType.ContextCache or InvalidationType.DeviceTlb ? new Bdf(descriptor.SID) : null, address, length)
        {
            Opcode = (uint)descriptor.Type,
            Pasid = descriptor.Type is InvalidationType.PasidIotlb or InvalidationType.PasidCache ? descriptor.PASID : null,
        };
    }

    static (ulong Address, ulong Length) RangeOf(Iva target)
    {
        var size = 1ul << Math.Min(target.AM + 12, 63);
        return (target.ADDR & ~(size - 1), size);
    }
}
