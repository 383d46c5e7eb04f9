using Vmm.Platform.Dma;
using Vmm.Specs.VtD;

namespace Vmm.Iommu;

/// <summary>What became of a fault.</summary>
enum FaultOutcome
{
    /// <summary>A record holds it.</summary>
    Recorded,

    /// <summary>Fault processing is disabled for its source (FPD).</summary>
    Suppressed,

    /// <summary>A record of the same source pends.</summary>
    Compressed,

    /// <summary>There was no free record (PFO).</summary>
    Overflowed,
}

/// <summary>Primary fault logging, fault status and the fault event (VT-d §7.2, §7.3).</summary>
sealed class FaultRecorder(VtdCore core)
{
    readonly EventChannel faultEvent = new(core, VtdRegister.FECTL);

    /// <summary>Register that takes the next record.</summary>
    public int Next { get; set; }

    public EventChannel Event => faultEvent;

    int Count => core.Capabilities.Cap.NFR + 1;

    uint Status
    {
        get => core.Registers.Get32(VtdRegister.FSTS);
        set => core.Registers.Set32(VtdRegister.FSTS, value);
    }

    /// <summary>Counts and records a blocked DMA or page request.</summary>
    public FaultOutcome Record(FaultReason reason, in DmaRequest request, bool suppressed, bool isPageRequest = false)
    {
        var outcome = Decide(reason, request, suppressed, isPageRequest);
        core.Blocked?.Invoke(new(
            request.Requester, (uint)reason, request.Address.Value, isPageRequest ? 0 : request.Access, request.HasPasid ? request.Pasid : null, outcome == FaultOutcome.Recorded));
        return outcome;
    }

    FaultOutcome Decide(FaultReason reason, in DmaRequest request, bool suppressed, bool isPageRequest)
    {
        core.Counters.CountFault(request.Requester, reason);
        core.Trace?.Write("vtd_dmar_fault", $"sid 0x{request.Requester.Value:x} fault {(int)reason} addr 0x{request.Address.Value:x} write {((request.Access & DmaAccess.Write) != 0 ? 1 : 0)}");
        if (suppressed && FaultReasons.IsQualified(reason))
        {
            core.Counters.SuppressedFaults++;
            return FaultOutcome.Suppressed;
        }

        var record = new FaultRecord
        {
            SID = request.Requester.Value,
            FR = reason,
            Type = isPageRequest ? FaultedRequest.Page : TypeOf(request.Access),
            AT = (request.Access & DmaAccess.Translation) != 0 ? 1 : (request.Access & DmaAccess.Translated) != 0 ? 2 : 0,
            Page = request.Address.Value,
        };
        if (request.HasPasid)
        {
            record = record with { PP = true, PV = request.Pasid, PRIV = request.Privileged, EXE = request.Execute };
        }

        return Log(record with { F = true });
    }

    /// <summary>Counts and records a blocked interrupt request.</summary>
    public FaultOutcome Record(FaultReason reason, Bdf requester, int index, bool suppressed)
    {
        var outcome = Decide(reason, requester, index, suppressed);
        core.Blocked?.Invoke(new(requester, (uint)reason, (ulong)index, 0, null, outcome == FaultOutcome.Recorded));
        return outcome;
    }

    FaultOutcome Decide(FaultReason reason, Bdf requester, int index, bool suppressed)
    {
        core.Counters.CountFault(requester, reason);
        core.Trace?.Write("vtd_ir_fault", $"sid 0x{requester.Value:x} fault {(int)reason} index 0x{index:x}");
        if (suppressed && FaultReasons.IsQualified(reason))
        {
            core.Counters.SuppressedFaults++;
            return FaultOutcome.Suppressed;
        }

        return Log(new FaultRecord { SID = requester.Value, FR = reason, InterruptIndex = (ushort)index, F = true });
    }

    static FaultedRequest TypeOf(DmaAccess access) =>
        (access & DmaAccess.Atomic) != 0 ? FaultedRequest.Atomic :
        (access & DmaAccess.Write) != 0 ? FaultedRequest.Write : FaultedRequest.Read;

    FaultOutcome Log(FaultRecord record)
    {
        if ((Status & Fsts.PFO) != 0)
        {
            core.Counters.OverflowedFaults++;
            return FaultOutcome.Overflowed;
        }

        if (core.Capabilities.CompressesFaults && IsPending(record.SID))
        {
            core.Counters.CompressedFaults++;
            return FaultOutcome.Compressed;
        }

        var offset = VtdRegister.FRCD + 16 * Next;
        if (IsSet(Next))
        {
            core.Counters.OverflowedFaults++;
            Raise(Fsts.PFO);
            return FaultOutcome.Overflowed;
        }

        core.Registers.Set64(offset, record.Low);
        core.Registers.Set64(offset + 8, record.High);
        core.Counters.RecordedFaults++;
        if ((Status & Fsts.PPF) == 0)
        {
            Status = (new Fsts(Status) with { FRI = Next }).Raw;
        }

        Next = (Next + 1) % Count;
        Raise(Fsts.PPF);
        return FaultOutcome.Recorded;
    }

    bool IsSet(int index) => core.Registers.Get8(VtdRegister.FRCD + 16 * index + 15) >> 7 != 0;

    bool IsPending(ushort source)
    {
        for (var i = 0; i < Count; i++)
        {
            if (IsSet(i) && core.Registers.Get16(VtdRegister.FRCD + 16 * i + 8) == source)
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>Sets status conditions. Only the first one of those that pend together raises the event (VT-d §11.4.7.2, IP).</summary>
    public void Raise(uint conditions)
    {
        var isNew = (Status & Fsts.Conditions) == 0;
        Status |= conditions;
        if (isNew)
        {
            faultEvent.Raise();
        }
    }

    /// <summary>FSTS or a fault-recording register was written: recomputes PPF and drops a held event when nothing pends.</summary>
    public void StatusWritten()
    {
        var pending = false;
        for (var i = 0; i < Count && !pending; i++)
        {
            pending = IsSet(i);
        }

        Status = pending ? Status | Fsts.PPF : Status & ~Fsts.PPF;
        if ((Status & Fsts.Conditions) == 0)
        {
            faultEvent.Withdraw();
        }
    }

    /// <summary>Forgets where the next record goes.</summary>
    public void Reset() => Next = 0;
}
