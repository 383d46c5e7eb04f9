using Vmm.Platform.Dma;
using Vmm.Platform.Faults;
using Vmm.Platform.Interrupts;
using Vmm.Specs.VtD;

namespace Vmm.Iommu;

/// <content>Faults that rules raise. They go the way of the real ones: the same record, the same event, the same suppression.</content>
public sealed partial class VtdUnit
{
    /// <summary>Fault rules of the machine, asked by the invalidation queue; null: none.</summary>
    public FaultPlan? Faults
    {
        get => core.Faults;
        set
        {
            core.Faults = value;
            queue.Attach(value);
        }
    }

    /// <inheritdoc/>
    public InjectedFault InjectFault(in DmaRequest request, uint reason, uint level)
    {
        if (!core.IsTranslating)
        {
            return new(false, "translation is off, GSTS.TES (VT-d §11.4.4)");
        }

        ref readonly var context = ref contexts.Resolve(request, out var denied, out var suppressed);
        if (denied != FaultReason.None)
        {
            // The tables deny the request by themselves, before any level is reached.
            return OutcomeOf(faults.Record(denied, request, suppressed));
        }

        if (level != 0 && context.Kind != StageKind.PassThrough)
        {
            remapper.CountMiss(request, context);
            walker.Walk(context, request.Address.Value, DmaRemapper.NeedOf(request, contexts.IsPrivileged), true, null, out _);
        }

        return OutcomeOf(faults.Record((FaultReason)reason, request, context.Has(ContextSwitches.FaultProcessingDisable)));
    }

    /// <inheritdoc/>
    public InjectedFault InjectRemapFault(Bdf requester, MsiMessage message, uint reason)
    {
        if (!core.Gsts.IRES)
        {
            return new(false, "interrupt remapping is off, GSTS.IRES (VT-d §11.4.4)");
        }

        var request = new RemappableMessage(message.Address, message.Data);
        return OutcomeOf(faults.Record((FaultReason)reason, requester, request.IsRemappable ? request.Index : 0, false));
    }

    static InjectedFault OutcomeOf(FaultOutcome outcome) => new(true, outcome switch
    {
        FaultOutcome.Recorded => null,
        FaultOutcome.Suppressed => "fault processing is disabled for the source, FPD (VT-d §7.1.3)",
        FaultOutcome.Compressed => "a record of the same source pends (VT-d §7.2.1)",
        _ => "no fault record is free, FSTS.PFO (VT-d §7.2.1)",
    });
}
