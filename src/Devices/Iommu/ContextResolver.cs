using Vmm.Platform.Dma;
using Vmm.Specs.VtD;

namespace Vmm.Iommu;

/// <summary>How a request is to be translated, from the context and PASID caches or the tables (VT-d §3.4, §6.2.2, §6.2.3).</summary>
sealed class ContextResolver(VtdCore core, TranslationTables tables, MissingInvalidations? detector)
{
    static readonly TranslationContext Translated = new() { Kind = StageKind.PassThrough, IsScalable = true };

    ContextCacheEntry uncachedContext;
    PasidCacheEntry uncachedPasid;

    /// <summary>The request last resolved is privileged: by itself with PASID, by RID_PRIV without.</summary>
    public bool IsPrivileged { get; private set; }

    /// <summary>
    /// The decoded entry for a request, or the condition that denies it. <paramref name="suppressed"/> is FPD as far as
    /// it could be read. The result is valid until the next call.
    /// </summary>
    public ref readonly TranslationContext Resolve(in DmaRequest request, out FaultReason reason, out bool suppressed)
    {
        if (core.RootTable.TTM == TranslationTableMode.Legacy)
        {
            return ref ResolveLegacy(request, out reason, out suppressed);
        }

        ref var context = ref FindScalable(request.Requester);
        suppressed = new ScalableContextEntry(context.Low, context.High).FPD;
        reason = context.Reason != FaultReason.None ? context.Reason : CheckPasid(new(context.Low, context.High), request);
        if (reason != FaultReason.None)
        {
            return ref uncachedPasid.Decoded;
        }

        if (IsTranslated(request))
        {
            IsPrivileged = false;
            return ref Translated;
        }

        var entry = new ScalableContextEntry(context.Low, context.High);
        ref var pasid = ref FindPasid(request.Requester, entry, request.HasPasid ? request.Pasid : entry.RID_PASID);
        suppressed |= pasid.Suppressed;
        IsPrivileged = request.HasPasid ? request.Privileged : entry.RID_PRIV;
        reason = pasid.Reason != FaultReason.None ? pasid.Reason : CheckPrivilege(pasid.Decoded, request, IsPrivileged);
        return ref pasid.Decoded;
    }

    ref readonly TranslationContext ResolveLegacy(in DmaRequest request, out FaultReason reason, out bool suppressed)
    {
        IsPrivileged = false;
        if (request.HasPasid)
        {
            suppressed = false;
            reason = FaultReason.LegacyModeWithPasid;
            return ref uncachedContext.Decoded;
        }

        ref var context = ref FindLegacy(request.Requester);
        suppressed = new ContextEntry(context.Low, context.High).FPD;
        reason = context.Reason;
        if (reason == FaultReason.None && IsDeviceTlb(request) && !context.Decoded.Has(ContextSwitches.DeviceTlb))
        {
            reason = FaultReason.TranslationTypeBlocks;
        }

        return ref context.Decoded;
    }

    static bool IsDeviceTlb(in DmaRequest request) => (request.Access & (DmaAccess.Translation | DmaAccess.Translated)) != 0;

    /// <summary>Translated requests are checked against the context entry alone (VT-d §4.2.3).</summary>
    static bool IsTranslated(in DmaRequest request) => (request.Access & DmaAccess.Translated) != 0;

    FaultReason CheckPasid(ScalableContextEntry entry, in DmaRequest request)
    {
        if (IsDeviceTlb(request) && !entry.DTE)
        {
            return FaultReason.DeviceTlbDisabled;
        }

        var limit = Math.Min(entry.PasidLimit, 1u << core.Capabilities.Ecap.PSS + 1);
        if (!request.HasPasid)
        {
            return entry.RID_PASID >= limit ? FaultReason.RidPasidInvalid : FaultReason.None;
        }

        return !entry.PASIDE ? FaultReason.PasidDisabled : request.Pasid >= limit ? FaultReason.PasidBeyondDirectory : FaultReason.None;
    }

    static FaultReason CheckPrivilege(in TranslationContext context, in DmaRequest request, bool privileged)
    {
        if (request.HasPasid && request.Execute && !context.Has(ContextSwitches.ExecuteRequests))
        {
            return FaultReason.ExecuteDisabled;
        }

        return privileged && !context.Has(ContextSwitches.SupervisorRequests) ? FaultReason.SupervisorDisabled : FaultReason.None;
    }

    /// <summary>The scalable-mode context entry of a source, for page requests.</summary>
    public ScalableContextEntry FindContext(Bdf source, out FaultReason reason)
    {
        ref var context = ref FindScalable(source);
        reason = context.Reason;
        return new(context.Low, context.High);
    }

    /// <summary>The request last explained is privileged.</summary>
    public bool ExplainedPrivilege { get; private set; }

    /// <summary>
    /// The same from the tables alone, adding each entry to the report. Steps that the context or PASID cache would answer
    /// are marked.
    /// </summary>
    public FaultReason Explain(in DmaRequest request, WalkReport report, out TranslationContext context, out bool suppressed)
    {
        context = default;
        suppressed = false;
        ExplainedPrivilege = request.HasPasid && request.Privileged;
        var cached = core.Contexts.Find(request.Requester.Value) >= 0;
        if (core.RootTable.TTM == TranslationTableMode.Legacy)
        {
            if (request.HasPasid)
            {
                return FaultReason.LegacyModeWithPasid;
            }

            ReadLegacy(request.Requester, report, out var legacy);
            Mark(report, cached);
            suppressed = new ContextEntry(legacy.Low, legacy.High).FPD;
            context = legacy.Decoded;
            return legacy.Reason != FaultReason.None ? legacy.Reason :
                IsDeviceTlb(request) && !context.Has(ContextSwitches.DeviceTlb) ? FaultReason.TranslationTypeBlocks : FaultReason.None;
        }

        ReadScalable(request.Requester, report, out var scalable);
        Mark(report, cached);
        var entry = new ScalableContextEntry(scalable.Low, scalable.High);
        suppressed = entry.FPD;
        var reason = scalable.Reason != FaultReason.None ? scalable.Reason : CheckPasid(entry, request);
        if (reason != FaultReason.None)
        {
            return reason;
        }

        if (IsTranslated(request))
        {
            context = Translated;
            return FaultReason.None;
        }

        var id = request.HasPasid ? request.Pasid : entry.RID_PASID;
        ReadPasid(request.Requester, entry, id, report, out var pasid);
        Mark(report, core.Pasids.Find(PasidCacheEntry.KeyOf(request.Requester.Value, id)) >= 0);
        suppressed |= pasid.Suppressed;
        context = pasid.Decoded;
        ExplainedPrivilege = request.HasPasid ? request.Privileged : entry.RID_PRIV;
        return pasid.Reason != FaultReason.None ? pasid.Reason : CheckPrivilege(context, request, ExplainedPrivilege);
    }

    /// <summary>The decoded entry that the caches hold for a request, if they alone would answer.</summary>
    public bool TryFindCached(in DmaRequest request, out TranslationContext context, out bool privileged)
    {
        context = default;
        privileged = request.HasPasid && request.Privileged;
        var index = core.Contexts.Find(request.Requester.Value);
        if (index < 0 || core.Contexts[index].Reason != FaultReason.None || IsDeviceTlb(request))
        {
            return false;
        }

        if (core.RootTable.TTM == TranslationTableMode.Legacy)
        {
            context = core.Contexts[index].Decoded;
            return !request.HasPasid;
        }

        var entry = new ScalableContextEntry(core.Contexts[index].Low, core.Contexts[index].High);
        var pasid = core.Pasids.Find(PasidCacheEntry.KeyOf(request.Requester.Value, request.HasPasid ? request.Pasid : entry.RID_PASID));
        if (pasid < 0 || core.Pasids[pasid].Reason != FaultReason.None || CheckPasid(entry, request) != FaultReason.None)
        {
            return false;
        }

        context = core.Pasids[pasid].Decoded;
        privileged = request.HasPasid ? request.Privileged : entry.RID_PRIV;
        return CheckPrivilege(context, request, privileged) == FaultReason.None;
    }

    static void Mark(WalkReport report, bool cached)
    {
        if (cached)
        {
            report.MarkLastCached();
        }
    }

    ref ContextCacheEntry FindLegacy(Bdf source)
    {
        var index = core.Contexts.Find(source.Value);
        if (index >= 0)
        {
            if (detector != null)
            {
                CheckStale(core.Contexts[index], false);
            }

            return ref core.Contexts[index];
        }

        ReadLegacy(source, null, out uncachedContext);
        return ref Keep();
    }

    ref ContextCacheEntry FindScalable(Bdf source)
    {
        var index = core.Contexts.Find(source.Value);
        if (index >= 0)
        {
            if (detector != null)
            {
                CheckStale(core.Contexts[index], true);
            }

            return ref core.Contexts[index];
        }

        ReadScalable(source, null, out uncachedContext);
        return ref Keep();
    }

    /// <summary>Caches what was read: good entries always, conditions in caching mode only (VT-d §6.1).</summary>
    ref ContextCacheEntry Keep()
    {
        if (uncachedContext.Reason != FaultReason.None && !core.Capabilities.Cap.CM)
        {
            return ref uncachedContext;
        }

        return ref core.Contexts.Insert(uncachedContext.Key, uncachedContext);
    }

    public void ReadLegacy(Bdf source, WalkReport? report, out ContextCacheEntry result)
    {
        result = new() { Source = source.Value };
        result.Reason = tables.ReadContext(core.RootTable.RTA, source, report, out ContextEntry entry);
        (result.Low, result.High) = (entry.Low, entry.High);
        if (result.Reason == FaultReason.None)
        {
            result.Reason = tables.Decode(entry, out result.Decoded);
            result.Domain = result.Reason == FaultReason.None ? entry.DID : (ushort)0;
        }
    }

    public void ReadScalable(Bdf source, WalkReport? report, out ContextCacheEntry result)
    {
        result = new() { Source = source.Value };
        result.Reason = tables.ReadContext(core.RootTable.RTA, source, report, out ScalableContextEntry entry);
        (result.Low, result.High) = (entry.Low, entry.High);
    }

    public void ReadPasid(Bdf source, ScalableContextEntry context, uint pasid, WalkReport? report, out PasidCacheEntry result)
    {
        result = new() { Source = source.Value, Pasid = pasid };
        result.Reason = tables.ReadPasid(context, pasid, report, out var entry, out result.Suppressed);
        (result.Q0, result.Q1, result.Q2) = (entry.Q0, entry.Q1, entry.Q2);
        if (result.Reason == FaultReason.None)
        {
            result.Reason = tables.Decode(entry, pasid, result.Suppressed, out result.Decoded);
            result.Domain = result.Reason == FaultReason.None ? entry.DID : (ushort)0;
        }
    }

    ref PasidCacheEntry FindPasid(Bdf source, ScalableContextEntry context, uint pasid)
    {
        var index = core.Pasids.Find(PasidCacheEntry.KeyOf(source.Value, pasid));
        if (index >= 0)
        {
            if (detector != null)
            {
                CheckStale(core.Pasids[index], context);
            }

            return ref core.Pasids[index];
        }

        ReadPasid(source, context, pasid, null, out uncachedPasid);
        if (uncachedPasid.Reason != FaultReason.None && !core.Capabilities.Cap.CM)
        {
            return ref uncachedPasid;
        }

        return ref core.Pasids.Insert(uncachedPasid.Key, uncachedPasid);
    }

    /// <summary>Decodes a restored entry again; one that does not decode keeps the condition instead.</summary>
    public void Decode(ref ContextCacheEntry entry)
    {
        if (entry.Reason == FaultReason.None && core.RootTable.TTM == TranslationTableMode.Legacy)
        {
            entry.Reason = tables.Decode(new ContextEntry(entry.Low, entry.High), out entry.Decoded);
        }
    }

    /// <inheritdoc cref="Decode(ref ContextCacheEntry)"/>
    public void Decode(ref PasidCacheEntry entry)
    {
        if (entry.Reason == FaultReason.None)
        {
            entry.Reason = tables.Decode(new(entry.Q0, entry.Q1, entry.Q2), entry.Pasid, entry.Suppressed, out entry.Decoded);
        }
    }

    void CheckStale(in ContextCacheEntry cached, bool scalable)
    {
        tables.IsQuiet = true;
        ContextCacheEntry current;
        if (scalable)
        {
            ReadScalable(new(cached.Source), null, out current);
        }
        else
        {
            ReadLegacy(new(cached.Source), null, out current);
        }

        tables.IsQuiet = false;
        if (current.Reason != cached.Reason || current.Reason == FaultReason.None && (current.Low != cached.Low || current.High != cached.High))
        {
            detector!.Add(new(VtdCache.Context, new(cached.Source), 0, cached.Domain, 0, cached.Low, current.Low));
        }
    }

    void CheckStale(in PasidCacheEntry cached, ScalableContextEntry context)
    {
        tables.IsQuiet = true;
        ReadPasid(new(cached.Source), context, cached.Pasid, null, out var current);
        tables.IsQuiet = false;
        if (current.Reason != cached.Reason ||
            current.Reason == FaultReason.None && (current.Q0 != cached.Q0 || current.Q1 != cached.Q1 || current.Q2 != cached.Q2))
        {
            detector!.Add(new(VtdCache.Pasid, new(cached.Source), cached.Pasid, cached.Domain, 0, cached.Q0, current.Q0));
        }
    }
}
