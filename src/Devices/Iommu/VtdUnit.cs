using Vmm.Platform.Bus;
using Vmm.Platform.Dma;
using Vmm.Platform.Interrupts;
using Vmm.Platform.Memory;
using Vmm.Platform.Registers;
using Vmm.Platform.Snapshots;
using Vmm.Platform.Time;
using Vmm.Specs.VtD;

namespace Vmm.Iommu;

/// <summary>
/// One VT-d remapping unit: registers, DMA and interrupt remapping, queued invalidation and faults. A machine may have
/// several; each serves the devices whose ports name it.
/// </summary>
public sealed partial class VtdUnit : IBusTarget, IDmaTranslator, IAddressTranslationService, ISnapshotPart
{
    /// <summary>Bytes of the register window.</summary>
    public const ulong WindowSize = VtdRegisterTable.Length;

    /// <summary>GCMD bits that hold a state; the rest are one-shot commands.</summary>
    const uint StateBits = 0x8680_0000;

    readonly VtdCore core;
    readonly FaultRecorder faults;
    readonly Invalidator caches;
    readonly InvalidationQueue queue;
    readonly DeviceTlbs devices = new();
    readonly PageRequestQueue pageRequests;
    readonly PageWalker walker;
    readonly ContextResolver contexts;
    readonly DmaRemapper remapper;
    readonly InterruptRemapper interrupts;
    readonly MissingInvalidations missing = new();
    readonly uint detects;

    /// <summary>Builds a unit in its reset state.</summary>
    /// <param name="options">Capabilities and habits.</param>
    /// <param name="memory">Memory that holds the tables and the queues.</param>
    /// <param name="sink">Takes the unit's own interrupt messages, unremapped.</param>
    /// <param name="clock">Its ledger is charged for table reads and invalidations; null where they cost nothing.</param>
    /// <exception cref="ArgumentException">An option is invalid; the message names it.</exception>
    public VtdUnit(VtdOptions options, GuestMemory memory, IInterruptSink sink, VirtualClock? clock = null)
    {
        core = new(options, memory, sink, clock);
        var detector = core.Capabilities.DetectsMissingInvalidations ? missing : null;
        detects = detector == null ? 0u : 1u;
        faults = new(core);
        caches = new(core);
        pageRequests = new(core);
        walker = new(memory, core.Capabilities, core.Counters, core.Iotlb.Structures);
        contexts = new(core, new(memory, core.Capabilities, core.Counters), detector);
        queue = new(core, caches, faults, devices, new(core, contexts));
        remapper = new(core, contexts, walker, faults, detector);
        interrupts = new(core, faults, detector);
    }

    /// <inheritdoc/>
    public string Name => core.Options.Name;

    /// <summary>What the unit advertises.</summary>
    public VtdCapabilities Capabilities => core.Capabilities;

    /// <summary>Counters by device, domain, structure and condition.</summary>
    public VtdCounters Counters => core.Counters;

    /// <summary>Stale cache hits; filled only when the unit was built to look for them.</summary>
    public MissingInvalidations MissingInvalidations => missing;

    /// <summary>Every register with its stored value.</summary>
    public IEnumerable<RegisterValue> Registers => core.Registers.Inspect();

    /// <inheritdoc/>
    public uint Generation => core.Clock.Changes;

    /// <inheritdoc/>
    public bool TryTranslate(in DmaRequest request, out DmaWindow window)
    {
        // A detector wants to see every use of a translation, so nobody may keep one.
        core.Clock.Changes += detects;
        if (!core.IsTranslating)
        {
            return remapper.TryIdentity(request.Address, ulong.MaxValue, out window);
        }

        var allowed = remapper.TryTranslate(request, out window);
        if (allowed && core.Trace is { } trace)
        {
            trace.Write("vtd_dmar_translate", $"dev {request.Requester} iova 0x{request.Address.Value:x} -> gpa 0x{window.Address.Value:x} length 0x{window.Length:x}");
        }

        return allowed;
    }

    /// <inheritdoc/>
    public bool TryRemap(Bdf requester, MsiMessage message, out MsiMessage remapped)
    {
        var allowed = interrupts.TryRemap(requester, message, out remapped);
        if (allowed && IsRemapping && core.Trace is { } trace)
        {
            trace.Write("vtd_ir_remap_msi", $"(addr 0x{message.Address:x}, data 0x{message.Data:x}) -> (addr 0x{remapped.Address:x}, data 0x{remapped.Data:x}) sid 0x{requester.Value:x}");
        }

        return allowed;
    }

    /// <inheritdoc/>
    public void AttachDeviceTlb(Bdf requester, IDeviceTlb? tlb) => devices.Attach(requester, tlb);

    /// <inheritdoc/>
    public IoResult Read(ulong offset, Span<byte> data) => core.Registers.Read(offset, data) ? IoResult.Ok : IoResult.Unclaimed;

    /// <inheritdoc/>
    public IoResult Write(ulong offset, ReadOnlySpan<byte> data)
    {
        var touched = core.Registers.Write(offset, data);
        if (!touched.IsInside)
        {
            return IoResult.Unclaimed;
        }

        foreach (var register in touched)
        {
            Written(register, touched);
        }

        return IoResult.Ok;
    }

    /// <summary>Side effects of a write. Commands with a start bit run when the byte that holds the bit was written.</summary>
    void Written(int register, in TouchedRegisters touched)
    {
        switch (register)
        {
            case VtdRegister.GCMD:
                Command(new(core.Registers.Get32(VtdRegister.GCMD)));
                break;
            case VtdRegister.CCMD when touched.Overlaps(VtdRegister.CCMD + 7, 1):
                InvalidateContexts(new(core.Registers.Get64(VtdRegister.CCMD)));
                break;
            case VtdRegister.IOTLB when touched.Overlaps(VtdRegister.IOTLB + 7, 1):
                InvalidateIotlb(new(core.Registers.Get64(VtdRegister.IOTLB)));
                break;
            case VtdRegister.FSTS:
                faults.StatusWritten();
                queue.StatusWritten();
                break;
            case VtdRegister.FECTL:
                faults.Event.ControlWritten();
                break;
            case VtdRegister.PMEN:
                EnableProtectedMemory(new(core.Registers.Get32(VtdRegister.PMEN)));
                break;
            case VtdRegister.PLMBASE or VtdRegister.PLMLIMIT or VtdRegister.PHMBASE or VtdRegister.PHMLIMIT:
                core.Clock.Changes++;
                break;
            case VtdRegister.IQT:
                queue.Process();
                break;
            case VtdRegister.ICS:
                queue.CompletionWritten();
                break;
            case VtdRegister.IECTL:
                queue.Event.ControlWritten();
                break;
            case VtdRegister.PRS:
                pageRequests.StatusWritten();
                break;
            case VtdRegister.PECTL:
                pageRequests.Event.ControlWritten();
                break;
            case >= VtdRegister.FRCD:
                faults.StatusWritten();
                break;
        }
    }

    /// <summary>Global commands complete at once. Table pointers come first, so that one write may set and enable.</summary>
    void Command(Gcmd command)
    {
        if (command.SRTP)
        {
            SetRootTable();
        }

        if (command.SIRTP && core.Capabilities.Ecap.IR)
        {
            SetInterruptTable();
        }

        var status = core.Gsts;
        var anyPointer = core.HasHabit(VtdHabits.EnableWithoutPointer);
        core.Gsts = status with
        {
            TES = command.TE && (status.TES || status.RTPS || anyPointer),
            IRES = command.IRE && core.Capabilities.Ecap.IR && (status.IRES || status.IRTPS || anyPointer),
            CFIS = command.CFI && core.Capabilities.Ecap.IR,
        };
        core.Clock.Changes++;
        if (command.QIE != status.QIES)
        {
            queue.SetEnabled(command.QIE);
        }

        // Bytes that a later narrow write leaves out stand for the present state.
        core.Registers.Set32(VtdRegister.GCMD, core.Gsts.Raw & StateBits);
    }

    void EnableProtectedMemory(Pmen command)
    {
        core.Registers.Set32(VtdRegister.PMEN, (command with { PRS = command.EPM }).Raw);
        core.Clock.Changes++;
    }

    void SetRootTable()
    {
        core.RootTable = new(core.Registers.Get64(VtdRegister.RTADDR));
        core.Gsts = core.Gsts with { RTPS = true };
        if (core.Capabilities.Cap.ESRTPS)
        {
            caches.InvalidateTranslations();
        }
    }

    void SetInterruptTable()
    {
        core.InterruptTable = new(core.Registers.Get64(VtdRegister.IRTA));
        core.Gsts = core.Gsts with { IRTPS = true };
        if (core.Capabilities.Cap.ESIRTPS)
        {
            core.InterruptEntries.InvalidateAll();
        }
    }

    /// <summary>Register-based invalidation; refused (granularity 0) while the queue is on, but never left pending.</summary>
    void InvalidateContexts(Ccmd command)
    {
        if (command.ICC)
        {
            var done = core.Gsts.QIES ? InvalidationGranularity.None : caches.InvalidateContexts(command.CIRG, command.DID, command.SID, command.FM);
            core.Registers.Set64(VtdRegister.CCMD, (command with { ICC = false, CAIG = done }).Raw);
        }
    }

    void InvalidateIotlb(IotlbCommand command)
    {
        if (command.IVT)
        {
            var target = new Iva(core.Registers.Get64(VtdRegister.IVA));
            var done = core.Gsts.QIES ? InvalidationGranularity.None : caches.InvalidateIotlb(command.IIRG, command.DID, target);
            core.Registers.Set64(VtdRegister.IOTLB, (command with { IVT = false, IAIG = done }).Raw);
        }
    }

    /// <inheritdoc/>
    public bool RequestPage(in PageRequest request)
    {
        var reason = CheckPageRequest(request, out var suppressed);
        if (reason == FaultReason.None)
        {
            if (!pageRequests.TryQueue(request))
            {
                // Software never sees a lost request: success makes the device try again (VT-d §7.4.1).
                Answer(request, 0);
            }

            return true;
        }

        var access = new DmaRequest(
            request.Requester, request.Address, request.Write ? DmaAccess.Write : DmaAccess.Read,
            request.Pasid, request.HasPasid, request.Privileged, request.Execute);
        faults.Record(reason, access, suppressed, true);
        Answer(request, 15);
        return false;
    }

    FaultReason CheckPageRequest(in PageRequest request, out bool suppressed)
    {
        suppressed = false;
        if (!core.Gsts.TES || core.RootTable.TTM == TranslationTableMode.Legacy)
        {
            return FaultReason.LegacyModePageRequest;
        }

        var reason = remapper.CheckMode(core.RootTable.TTM);
        if (reason != FaultReason.None)
        {
            return reason;
        }

        var context = contexts.FindContext(request.Requester, out reason);
        suppressed = context.FPD;
        return reason != FaultReason.None ? reason : !context.PRE ? FaultReason.PageRequestDisabled :
            request.HasPasid && !context.PASIDE ? FaultReason.PasidDisabled : FaultReason.None;
    }

    void Answer(in PageRequest request, byte code)
    {
        if (request.IsLast)
        {
            devices.Find(request.Requester)?.Respond(new(request.Group, code, request.Pasid, request.HasPasid));
        }
    }

    /// <summary>Platform reset: registers, latched tables and caches. Attached device-TLBs and counters stay.</summary>
    public void Reset()
    {
        core.Registers.Reset();
        core.Gsts = default;
        core.RootTable = default;
        core.InterruptTable = default;
        core.ClearCaches();
        faults.Reset();
        queue.Reset();
    }
}
