using System.Runtime.CompilerServices;
using Vmm.Platform.Dma;
using Vmm.Specs;
using Vmm.Specs.VtD;

namespace Vmm.Iommu;

/// <summary>Translates DMA requests (VT-d §3).</summary>
sealed class DmaRemapper(VtdCore core, ContextResolver contexts, PageWalker walker, FaultRecorder faults, MissingInvalidations? detector)
{
    readonly bool cachesAbsent = core.Capabilities.Cap.CM;
    readonly ulong hostLimit = Bits.Mask(core.Capabilities.HostAddressWidth);

    public bool TryTranslate(in DmaRequest request, out DmaWindow window)
    {
        var mode = core.RootTable.TTM;
        if (mode != TranslationTableMode.Legacy)
        {
            var reason = CheckMode(mode);
            if (reason != FaultReason.None)
            {
                return Block(reason, request, false, out window);
            }
        }

        if (!request.HasPasid && (request.Access & DmaAccess.Translated) == 0 && DmaPort.IsInterruptAddress(request.Address.Value))
        {
            return Block(FaultReason.InvalidInterruptRequest, request, false, out window);
        }

        ref readonly var context = ref contexts.Resolve(request, out var denied, out var suppressed);
        if (denied != FaultReason.None)
        {
            return Block(denied, request, suppressed, out window);
        }

        return context.Kind == StageKind.PassThrough || (request.Access & DmaAccess.Translated) != 0
            ? PassThrough(request, context, out window)
            : Translate(request, context, out window);
    }

    /// <summary>Modes that translate nothing (RTA.1, RTA.4).</summary>
    public FaultReason CheckMode(TranslationTableMode mode) => mode switch
    {
        TranslationTableMode.Legacy => FaultReason.None,
        TranslationTableMode.Scalable when core.Capabilities.Ecap.SMTS => FaultReason.None,
        TranslationTableMode.AbortDma when core.Capabilities.Ecap.ADMS => FaultReason.DmaAborted,
        _ => FaultReason.RootAddressInvalid,
    };

    bool Translate(in DmaRequest request, in TranslationContext context, out DmaWindow window)
    {
        var input = request.Address.Value;
        var found = core.Iotlb.TryFind(input, context.Tag, out var shift, out var index);
        ref readonly var entry = ref core.Iotlb.Entry(shift, Math.Max(index, 0));
        if (found && detector == null && TryGrant(request, shift, entry, out window))
        {
            CountHit(request, context);
            return true;
        }

        var need = NeedOf(request, contexts.IsPrivileged);
        if (found)
        {
            if (TryAnswer(request, context, need, shift, entry, out window, out var reason))
            {
                CountHit(request, context);
                if (detector != null)
                {
                    CheckStale(request, context, need, shift, entry);
                }

                return reason == FaultReason.None || Fail(reason, request, context, need, ref window);
            }
        }

        return Walk(request, context, need, out window);
    }

    /// <summary>The short way: a user request that the entry grants at a glance.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    bool TryGrant(in DmaRequest request, int shift, in StampedEntry entry, out DmaWindow window)
    {
        // Read is bit 0, write bit 1, and an AtomicOp (bit 2) needs both.
        var access = (int)request.Access;
        var wanted = access & 3 | (access >> 2 & 1) * 3;
        if (contexts.IsPrivileged || request.Execute || (wanted & ~entry.Granted) != 0)
        {
            window = default;
            return false;
        }

        window = Iotlb.WindowOf(request.Address.Value, shift, entry.Target, (entry.Granted & 1) != 0, (entry.Granted & 2) != 0);
        return true;
    }

    /// <summary>
    /// Answers from a cached entry. False: it cannot, and the tables must be walked. A first stage is walked again before
    /// it denies access or sets a dirty flag, because software may grant rights there without invalidating (VT-d §6.2.5);
    /// a second stage is not.
    /// </summary>
    static bool TryAnswer(
        in DmaRequest request, in TranslationContext context, in AccessNeed need, int shift, in StampedEntry entry,
        out DmaWindow window, out FaultReason reason)
    {
        window = default;
        if ((entry.Rights & PageRights.Absent) != 0)
        {
            reason = entry.Reason;
            return true;
        }

        reason = need.Check(entry.Rights, context);
        if (need.Write && (entry.Rights & PageRights.Dirty) == 0 && reason == FaultReason.None ||
            reason != FaultReason.None && context.Kind != StageKind.SecondStage)
        {
            return false;
        }

        window = WindowOf(request.Address.Value, shift, entry.Target, entry.Rights, need, context);
        return true;
    }

    public static DmaWindow WindowOf(ulong input, int shift, ulong target, PageRights rights, in AccessNeed need, in TranslationContext context)
    {
        var readable = need.AsRead.Check(rights, context) == FaultReason.None;
        var writable = (rights & PageRights.Dirty) != 0 && need.AsWrite.Check(rights, context) == FaultReason.None;
        return Iotlb.WindowOf(input, shift, target, readable, writable);
    }

    bool Walk(in DmaRequest request, in TranslationContext context, in AccessNeed need, out DmaWindow window)
    {
        CountMiss(request, context);
        var input = request.Address.Value;
        var reason = walker.Walk(context, input, need, true, null, out var leaf);
        if (detector != null && walker.UsedStructureCache)
        {
            CheckStructures(request, context, need, reason, leaf);
        }

        window = default;
        if (reason == FaultReason.None)
        {
            reason = need.Check(leaf.Rights, context);
            if (reason == FaultReason.None || cachesAbsent && context.Kind == StageKind.SecondStage)
            {
                core.Iotlb.Insert(input, context.Tag, leaf);
            }

            window = WindowOf(input, leaf.Shift, leaf.Address & ~Bits.Mask(leaf.Shift), leaf.Rights, need, context);
            window = Clip(window);
        }
        else if (cachesAbsent && context.Kind == StageKind.SecondStage && reason is not (FaultReason.AddressBeyondSecondStage or FaultReason.SmOutputInInterruptRange))
        {
            core.Iotlb.InsertAbsent(input, context.Tag, reason);
        }

        return reason == FaultReason.None || Fail(reason, request, context, need, ref window);
    }

    /// <summary>A window ends where the interrupt range begins, whatever the page size.</summary>
    static DmaWindow Clip(in DmaWindow window)
    {
        const ulong Start = 0xFEE0_0000;
        return window.Address.Value < Start && window.Length > Start - window.Address.Value
            ? window with { Length = Start - window.Address.Value } : window;
    }

    /// <summary>Translation requests learn of missing rights from the answer; everything else is blocked with a fault.</summary>
    bool Fail(FaultReason reason, in DmaRequest request, in TranslationContext context, in AccessNeed need, ref DmaWindow window)
    {
        if ((request.Access & DmaAccess.Translation) != 0 && FaultReasons.IsRecoverable(reason))
        {
            window = window.Length == 0 ? new(new(0), 4096 - (ulong)request.Address.PageOffset, false, false) : window;
            return true;
        }

        return Block(Name(reason, context, need), request, context.Has(ContextSwitches.FaultProcessingDisable), out window);
    }

    /// <summary>The condition as the mode numbers it.</summary>
    public static FaultReason Name(FaultReason reason, in TranslationContext context, in AccessNeed need) =>
        context.IsScalable ? reason : need.ToLegacy(reason);

    /// <summary>What the request needs. A translation request needs nothing, but asks for the dirty flag with Write.</summary>
    public static AccessNeed NeedOf(in DmaRequest request, bool privileged)
    {
        var atomic = (request.Access & DmaAccess.Atomic) != 0;
        return new(
            atomic || (request.Access & DmaAccess.Read) != 0,
            atomic || (request.Access & DmaAccess.Write) != 0,
            request.HasPasid && request.Execute,
            privileged);
    }

    bool PassThrough(in DmaRequest request, in TranslationContext context, out DmaWindow window)
    {
        var reason = CheckPassThrough(request.Address.Value, context);
        if (reason != FaultReason.None)
        {
            window = default;
            return Fail(reason, request, context, default, ref window);
        }

        core.Counters.ForDevice(request.Requester).PassedThrough++;
        core.Counters.ForDomain(context.Domain).PassedThrough++;
        return TryIdentity(request.Address, LimitOf(context), out window);
    }

    /// <summary>Last address that may pass: the host's, and in legacy mode the context's.</summary>
    ulong LimitOf(in TranslationContext context) =>
        !context.IsScalable && context.Kind == StageKind.PassThrough ? hostLimit & Bits.Mask(context.SecondStageWidth) : hostLimit;

    /// <summary>Condition that denies passing an address through, or None.</summary>
    public FaultReason CheckPassThrough(ulong address, in TranslationContext context) =>
        address > LimitOf(context) ? FaultReason.AddressBeyondHardware :
        DmaPort.IsInterruptAddress(address) ? FaultReason.SmOutputInInterruptRange : FaultReason.None;

    /// <summary>Adds what the IOTLB would answer.</summary>
    public void ExplainCache(in DmaRequest request, in TranslationContext context, in AccessNeed need, WalkReport report)
    {
        if (!core.Iotlb.TryFind(request.Address.Value, context.Tag, out var shift, out var index))
        {
            return;
        }

        report.IsCached = TryAnswer(request, context, need, shift, core.Iotlb.Entry(shift, index), out var window, out var reason);
        report.CachedWindow = window;
        report.CachedFault = report.IsCached ? Name(reason, context, need) : FaultReason.None;
    }

    /// <summary>The address itself, unless a protected memory region blocks it (VT-d §11.4.8). Such blocks are not recorded.</summary>
    public bool TryIdentity(Platform.Memory.Iova address, ulong limit, out DmaWindow window)
    {
        window = Clip(new(new(address.Value), limit - address.Value + (limit == ulong.MaxValue ? 0ul : 1), true, true));
        if (!ProtectedMemory.IsEnabled(core) || !ProtectedMemory.Covers(core, address.Value))
        {
            if (ProtectedMemory.IsEnabled(core))
            {
                window = window with { Length = 4096 - (ulong)address.PageOffset };
            }

            return true;
        }

        core.Counters.ProtectedMemoryBlocks++;
        window = default;
        return false;
    }

    bool Block(FaultReason reason, in DmaRequest request, bool suppressed, out DmaWindow window)
    {
        window = default;
        faults.Record(reason, request, suppressed);
        return false;
    }

    void CountHit(in DmaRequest request, in TranslationContext context)
    {
        core.Counters.ForDevice(request.Requester).Hits++;
        core.Counters.ForDomain(context.Domain).Hits++;
    }

    /// <summary>Counts a request whose answer was not cached, and the walk that it costs.</summary>
    public void CountMiss(in DmaRequest request, in TranslationContext context)
    {
        ref var device = ref core.Counters.ForDevice(request.Requester);
        device.Misses++;
        device.Walks++;
        ref var domain = ref core.Counters.ForDomain(context.Domain);
        domain.Misses++;
        domain.Walks++;
    }

    void CheckStale(in DmaRequest request, in TranslationContext context, in AccessNeed need, int shift, in StampedEntry entry)
    {
        var reason = walker.Walk(context, request.Address.Value, need, false, null, out var leaf);
        var absent = (entry.Rights & PageRights.Absent) != 0;
        var cached = absent ? 0 : entry.Target | request.Address.Value & Bits.Mask(shift) & ~0xFFFul;
        var current = reason == FaultReason.None ? leaf.Address & ~0xFFFul : 0;
        var rights = ~PageRights.Dirty;
        if (absent ? reason != entry.Reason : reason != FaultReason.None || cached != current || ((entry.Rights ^ leaf.Rights) & rights) != 0)
        {
            detector!.Add(new(VtdCache.Iotlb, request.Requester, context.Pasid, context.Domain, request.Address.Value, cached, current));
        }
    }

    void CheckStructures(in DmaRequest request, in TranslationContext context, in AccessNeed need, FaultReason reason, in WalkLeaf found)
    {
        var now = walker.Walk(context, request.Address.Value, need, false, null, out var leaf);
        if (now != reason || now == FaultReason.None && leaf.Address != found.Address)
        {
            detector!.Add(new(VtdCache.PagingStructures, request.Requester, context.Pasid, context.Domain, request.Address.Value, found.Address, leaf.Address));
        }
    }
}
