using Vmm.Platform.Dma;
using Vmm.Platform.Faults;
using Vmm.Platform.Memory;
using Vmm.Platform.Snapshots;
using Vmm.Platform.Time;
using Vmm.Specs.VtD;

namespace Vmm.Iommu;

/// <summary>
/// Queued invalidation (VT-d §6.5.2, §6.5.2.10 for errors). A register write carries out everything between head and tail:
/// the head only advances and ends at the tail, so at most one queue length, 2^15 descriptors (128 pages of 16-byte
/// descriptors), runs for each write. Each descriptor costs no more than one pass over the fixed caches.
/// </summary>
sealed class InvalidationQueue(VtdCore core, Invalidator caches, FaultRecorder faults, DeviceTlbs devices, BrokenInvalidations rules) : ITimerTarget
{
    readonly EventChannel completion = new(core, VtdRegister.IECTL);

    /// <summary>A device did not answer; the next wait descriptor is aborted (VT-d §6.5.2.10, ITE).</summary>
    public ushort? TimedOutSource { get; set; }

    public EventChannel Event => completion;

    /// <summary>A fault rule holds the queue.</summary>
    enum Stall : byte
    {
        None,
        UntilTimer,
        ForEver,
    }

    ClockTimer? timer;
    Stall stall;

    // The rules have been asked about the descriptor at the head, and let it pass after a delay.
    bool asked;

    /// <summary>Takes the machine's fault rules and clock.</summary>
    public void Attach(FaultPlan? plan) => timer = plan?.Clock.CreateTimer(core.Options.Name + ".queue", this);

    /// <inheritdoc/>
    public void Expired(ClockTimer timer, ulong due)
    {
        stall = Stall.None;
        Process();
    }

    /// <summary>Nothing is queued, held or timed out.</summary>
    public void Reset()
    {
        TimedOutSource = null;
        stall = Stall.None;
        asked = false;
        timer?.Disarm();
    }

    /// <summary>Saves what the registers do not hold.</summary>
    public void Save(SnapshotWriter writer)
    {
        writer.Flag(TimedOutSource.HasValue);
        writer.U16(TimedOutSource ?? 0);
        writer.U8((byte)stall);
        writer.Flag(asked);
        writer.Flag(timer?.IsArmed == true);
        writer.U64(timer?.IsArmed == true ? timer.Due : 0);
    }

    /// <summary>Reads back what <see cref="Save"/> wrote.</summary>
    public void Load(SnapshotReader reader)
    {
        Reset();
        var timedOut = reader.Flag();
        var source = reader.U16();
        TimedOutSource = timedOut ? source : null;
        stall = (Stall)reader.U8();
        asked = reader.Flag();
        var armed = reader.Flag();
        var due = reader.U64();
        if (stall > Stall.ForEver || armed != (stall == Stall.UntilTimer) || armed && timer == null)
        {
            throw reader.Bad($"invalidation queue held in state {(byte)stall}");
        }

        if (armed)
        {
            timer!.Arm(due);
        }
    }

    Iqa Queue => new(core.Registers.Get64(VtdRegister.IQA));

    uint Head
    {
        get => core.Registers.Get32(VtdRegister.IQH);
        set => core.Registers.Set64(VtdRegister.IQH, value);
    }

    uint Tail => core.Registers.Get32(VtdRegister.IQT);

    bool IsStopped => !core.Gsts.QIES || stall != Stall.None || (core.Registers.Get32(VtdRegister.FSTS) & (Fsts.IQE | Fsts.ITE)) != 0;

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
        core.Trace?.Write("vtd_inv_desc", $"invalidate desc type {descriptor.Type} high 0x{high:x} low 0x{low:x}");
        if (!IsSupported(descriptor.Type))
        {
            return QueueErrorInfo.InvalidType;
        }

        if (upper != 0 || descriptor.HasReserved(core.Capabilities.Ecap))
        {
            return QueueErrorInfo.ReservedField;
        }

        var error = core.Faults is { } plan ? ExecuteByRules(plan, descriptor) : Execute(descriptor) ? QueueErrorInfo.None : QueueErrorInfo.ReservedField;
        if (error != QueueErrorInfo.None || stall != Stall.None)
        {
            return error;
        }

        var next = Head + queue.DescriptorBytes;
        Head = next == queue.Bytes ? 0 : next;
        return QueueErrorInfo.None;
    }

    /// <summary>Carries a descriptor out as far as the fault rules let it.</summary>
    QueueErrorInfo ExecuteByRules(FaultPlan plan, InvalidationDescriptor descriptor)
    {
        var fault = !asked && plan.IsArmed(FaultPoint.Invalidation) ? rules.Ask(plan, descriptor) : null;
        asked = false;
        switch (fault?.Kind)
        {
            case InvalidationFaultKind.Skip:
                core.Counters.CountInvalidation(descriptor.Type);
                return QueueErrorInfo.None;
            case InvalidationFaultKind.Delay:
                asked = true;
                stall = Stall.UntilTimer;
                timer!.Arm(plan.Clock.Now + Math.Max(1, plan.Clock.ToCycles(fault.DelayNanoseconds, 1_000_000_000)));
                return QueueErrorInfo.None;
            case InvalidationFaultKind.NeverComplete:
                stall = Stall.ForEver;
                return QueueErrorInfo.None;
            case InvalidationFaultKind.QueueError:
                return QueueErrorInfo.InvalidType;
            case InvalidationFaultKind.TimeoutError:
                TimedOutSource ??= descriptor.Type == InvalidationType.DeviceTlb ? descriptor.SID : (ushort)0;
                break;
            case InvalidationFaultKind.CompletionError:
                faults.Raise(Fsts.ICE);
                break;
        }

        if (plan.IsArmed(FaultPoint.Cache) && descriptor.Type is InvalidationType.Iotlb or InvalidationType.PasidIotlb)
        {
            rules.Keep(plan, descriptor);
        }

        if (!Execute(descriptor))
        {
            return QueueErrorInfo.ReservedField;
        }

        rules.Restore();
        if (descriptor.Type is InvalidationType.Iotlb or InvalidationType.PasidIotlb)
        {
            plan.InvalidationDone();
        }

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
        Reset();
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
