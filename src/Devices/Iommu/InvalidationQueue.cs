using Vmm.Platform.Dma;
using Vmm.Platform.Memory;
using Vmm.Specs.VtD;

namespace Vmm.Iommu;

/// <summary>
/// Queued invalidation (VT-d §6.5.2, §6.5.2.10 for errors). A register write carries out everything between head and tail:
/// the head only advances and ends at the tail, so at most one queue length, 2^15 descriptors (128 pages of 16-byte
/// descriptors), runs for each write. Each descriptor costs no more than one pass over the fixed caches.
/// </summary>
sealed class InvalidationQueue(VtdCore core, Invalidator caches, FaultRecorder faults, DeviceTlbs devices)
{
    readonly EventChannel completion = new(core, VtdRegister.IECTL);

    /// <summary>A device did not answer; the next wait descriptor is aborted (VT-d §6.5.2.10, ITE).</summary>
    public ushort? TimedOutSource { get; set; }

    public EventChannel Event => completion;

    Iqa Queue => new(core.Registers.Get64(VtdRegister.IQA));

    uint Head
    {
        get => core.Registers.Get32(VtdRegister.IQH);
        set => core.Registers.Set64(VtdRegister.IQH, value);
    }

    uint Tail => core.Registers.Get32(VtdRegister.IQT);

    bool IsStopped => !core.Gsts.QIES || (core.Registers.Get32(VtdRegister.FSTS) & (Fsts.IQE | Fsts.ITE)) != 0;

    /// <summary>Carries out what is queued, until the tail or an error.</summary>
    public void Process()
    {
        if (IsStopped || Head == Tail)
        {
            return;
        }

        var queue = Queue;
        var error = Check(queue);
        if (error != QueueErrorInfo.None)
        {
            Fail(error);
            return;
        }

        while (Head != Tail && !IsStopped)
        {
            error = Step(queue);
            if (error != QueueErrorInfo.None)
            {
                Fail(error);
                return;
            }
        }

        // Nothing waits on the device that did not answer, so its time-out is reported by itself.
        if (TimedOutSource is { } source)
        {
            ReportTimeOut(source);
        }
    }

    QueueErrorInfo Check(Iqa queue)
    {
        if (Tail >= queue.Bytes || Head >= queue.Bytes || (Head & 15) != 0)
        {
            return QueueErrorInfo.InvalidTail;
        }

        if (queue.DW && ((Tail | Head) & 16) != 0)
        {
            return QueueErrorInfo.MisalignedTail;
        }

        return core.RootTable.TTM switch
        {
            TranslationTableMode.Scalable when !queue.DW => QueueErrorInfo.InvalidWidth,
            TranslationTableMode.Reserved => QueueErrorInfo.InvalidTableMode,
            _ => QueueErrorInfo.None,
        };
    }

    /// <summary>Fetches and carries out the descriptor at the head; the head stays on one that is refused.</summary>
    QueueErrorInfo Step(Iqa queue)
    {
        var address = new Gpa(queue.IQA + Head);
        core.Counters.CountRead(VtdTable.InvalidationQueue);
        ulong upper = 0;
        if (!core.Memory.TryRead(address, out ulong low) || !core.Memory.TryRead(address + 8, out ulong high) || queue.DW && !TryReadUpper(address, out upper))
        {
            return QueueErrorInfo.FetchError;
        }

        var descriptor = new InvalidationDescriptor(low, high);
        if (!IsSupported(descriptor.Type))
        {
            return QueueErrorInfo.InvalidType;
        }

        if (upper != 0 || descriptor.HasReserved(core.Capabilities.Ecap) || !Execute(descriptor))
        {
            return QueueErrorInfo.ReservedField;
        }

        var next = Head + queue.DescriptorBytes;
        Head = next == queue.Bytes ? 0 : next;
        return QueueErrorInfo.None;
    }

    bool TryReadUpper(Gpa address, out ulong bits)
    {
        ulong high = 0;
        var read = core.Memory.TryRead(address + 16, out ulong low) && core.Memory.TryRead(address + 24, out high);
        bits = low | high;
        return read;
    }

    bool IsSupported(InvalidationType type) => type switch
    {
        InvalidationType.ContextCache or InvalidationType.Iotlb or InvalidationType.Wait => true,
        InvalidationType.DeviceTlb => core.Capabilities.Ecap.DT,
        InvalidationType.InterruptEntryCache => core.Capabilities.Ecap.IR,
        InvalidationType.PasidIotlb or InvalidationType.PasidCache => core.Capabilities.Ecap.SMTS,
        InvalidationType.PasidDeviceTlb => core.Capabilities.Ecap.SMTS && core.Capabilities.Ecap.DT,
        InvalidationType.PageGroupResponse => core.Capabilities.Ecap.PRS,
        _ => false,
    };

    /// <summary>False when a field has a reserved value.</summary>
    bool Execute(InvalidationDescriptor descriptor)
    {
        switch (descriptor.Type)
        {
            case InvalidationType.ContextCache:
                return caches.InvalidateContexts((InvalidationGranularity)descriptor.G, descriptor.DID, descriptor.SID, descriptor.FM) != InvalidationGranularity.None;
            case InvalidationType.Iotlb:
                return caches.InvalidateIotlb((InvalidationGranularity)descriptor.G, descriptor.DID, descriptor.Target) != InvalidationGranularity.None;
            case InvalidationType.InterruptEntryCache:
                return caches.InvalidateInterrupts(descriptor.IsIndexSelective, descriptor.IIDX, descriptor.IM);
            case InvalidationType.PasidIotlb:
                return caches.InvalidatePasidIotlb(descriptor.G, descriptor.DID, descriptor.PASID, descriptor.Target);
            case InvalidationType.PasidCache:
                return caches.InvalidatePasids(descriptor.G, descriptor.DID, descriptor.PASID);
            case InvalidationType.PageGroupResponse:
                core.Counters.CountInvalidation(InvalidationType.PageGroupResponse);
                devices.Respond(descriptor);
                return true;
            case InvalidationType.Wait:
                Wait(descriptor);
                return true;
            default:
                InvalidateDevice(descriptor);
                return true;
        }
    }

    void InvalidateDevice(InvalidationDescriptor descriptor)
    {
        core.Counters.CountInvalidation(descriptor.Type);
        switch (devices.Invalidate(descriptor, out var source))
        {
            case DeviceTlbCompletion.TimedOut:
                TimedOutSource ??= source;
                break;
            case DeviceTlbCompletion.Malformed:
                core.Registers.Set64(VtdRegister.IQERCD, (new Iqercd(core.Registers.Get64(VtdRegister.IQERCD)) with { ICESID = source }).Raw);
                faults.Raise(Fsts.ICE);
                break;
        }
    }

    /// <summary>
    /// Everything before a wait is complete by then, so fences and drains need nothing more. A time-out before it aborts
    /// the wait: no status, no interrupt.
    /// </summary>
    void Wait(InvalidationDescriptor descriptor)
    {
        core.Counters.CountInvalidation(InvalidationType.Wait);
        if (TimedOutSource is { } source)
        {
            ReportTimeOut(source);
            return;
        }

        core.Counters.CountWait();
        if (descriptor.SW)
        {
            // A status address outside memory is dropped, as a write to nowhere is on the bus.
            core.Memory.TryWrite(new(descriptor.StatusAddress), descriptor.StatusData);
        }

        if (descriptor.IF && core.Registers.Get32(VtdRegister.ICS) == 0)
        {
            core.Registers.Set32(VtdRegister.ICS, 1);
            completion.Raise();
        }
    }

    void ReportTimeOut(ushort source)
    {
        TimedOutSource = null;
        core.Registers.Set64(VtdRegister.IQERCD, (new Iqercd(core.Registers.Get64(VtdRegister.IQERCD)) with { ITESID = source }).Raw);
        faults.Raise(Fsts.ITE);
    }

    void Fail(QueueErrorInfo error)
    {
        core.Registers.Set64(VtdRegister.IQERCD, (new Iqercd(core.Registers.Get64(VtdRegister.IQERCD)) with { IQEI = error }).Raw);
        faults.Raise(Fsts.IQE);
    }

    /// <summary>FSTS was written: forgets the details of cleared errors and goes on.</summary>
    public void StatusWritten()
    {
        var status = core.Registers.Get32(VtdRegister.FSTS);
        var record = new Iqercd(core.Registers.Get64(VtdRegister.IQERCD));
        record = record with
        {
            IQEI = (status & Fsts.IQE) != 0 ? record.IQEI : QueueErrorInfo.None,
            ITESID = (status & Fsts.ITE) != 0 ? record.ITESID : (ushort)0,
            ICESID = (status & Fsts.ICE) != 0 ? record.ICESID : (ushort)0,
        };
        core.Registers.Set64(VtdRegister.IQERCD, record.Raw);
        Process();
    }

    /// <summary>ICS was written: a held completion event is dropped once its condition was serviced.</summary>
    public void CompletionWritten()
    {
        if (core.Registers.Get32(VtdRegister.ICS) == 0)
        {
            completion.Withdraw();
        }
    }

    /// <summary>QIE changed: disabling puts the head back to the start (VT-d §6.5.2).</summary>
    public void SetEnabled(bool enabled)
    {
        core.Gsts = core.Gsts with { QIES = enabled };
        TimedOutSource = null;
        if (enabled)
        {
            Process();
        }
        else
        {
            Head = 0;
        }
    }
}
