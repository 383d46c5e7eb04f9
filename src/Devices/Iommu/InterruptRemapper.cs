using Vmm.Platform.Dma;
using Vmm.Platform.Interrupts;
using Vmm.Specs;
using Vmm.Specs.VtD;

namespace Vmm.Iommu;

/// <summary>Remaps and posts interrupt requests (VT-d §5).</summary>
sealed class InterruptRemapper(VtdCore core, FaultRecorder faults, MissingInvalidations? detector)
{
    InterruptCacheEntry uncached;

    public bool TryRemap(Bdf requester, MsiMessage message, out MsiMessage remapped)
    {
        remapped = message;
        if (!core.Gsts.IRES)
        {
            return true;
        }

        core.Counters.ForDevice(requester).Interrupts++;
        var request = new RemappableMessage(message.Address, message.Data);
        if (!request.IsRemappable)
        {
            return PassesCompatibility() || Block(FaultReason.CompatibilityBlocked, requester, 0, false);
        }

        var reason = Find(requester, request, out var entry);
        if (reason == FaultReason.None)
        {
            reason = entry.IM ? Post(entry, out remapped) : Remap(entry, out remapped);
        }

        return reason == FaultReason.None || Block(reason, requester, reason == FaultReason.InterruptReserved ? 0 : request.Index, entry.FPD);
    }

    /// <summary>Compatibility format is blocked in extended interrupt mode and while CFIS is clear (VT-d §5.1.4).</summary>
    bool PassesCompatibility() =>
        core.Gsts.CFIS && !core.InterruptTable.EIME || core.HasHabit(VtdHabits.CompatibilityFormatPasses);

    FaultReason Find(Bdf requester, RemappableMessage request, out Irte entry)
    {
        entry = default;
        if (request.HasReserved)
        {
            return FaultReason.InterruptReserved;
        }

        if (request.Index >= core.InterruptTable.Entries)
        {
            return FaultReason.InterruptIndexBeyondTable;
        }

        ref readonly var cached = ref Lookup(requester, request.Index);
        entry = new(cached.Low, cached.High);
        return cached.Reason != FaultReason.None ? cached.Reason : Verify(requester, entry) ? FaultReason.None : FaultReason.SourceIdMismatch;
    }

    bool Verify(Bdf requester, Irte entry)
    {
        if (requester == core.Options.IoapicRequester && core.HasHabit(VtdHabits.IoapicSourceIdUnverified))
        {
            return true;
        }

        return entry.SVT switch
        {
            SourceValidation.RequesterId => ((requester.Value ^ entry.SID) & ~Invalidator.MaskOf(entry.SQ)) == 0,
            SourceValidation.BusRange => requester.Bus >= entry.SID >> 8 && requester.Bus <= (entry.SID & 0xFF),
            _ => true,
        };
    }

    ref readonly InterruptCacheEntry Lookup(Bdf requester, int index)
    {
        var found = core.InterruptEntries.Find((ulong)index);
        if (found >= 0)
        {
            core.Counters.InterruptHits++;
            CheckStale(requester, core.InterruptEntries[found]);
            return ref core.InterruptEntries[found];
        }

        core.Counters.InterruptMisses++;
        core.Counters.CountRead(VtdTable.InterruptRemapping);
        Read(index, out uncached);
        if (uncached.Reason != FaultReason.None && !core.Capabilities.Cap.CM)
        {
            return ref uncached;
        }

        return ref core.InterruptEntries.Insert((ulong)index, uncached);
    }

    /// <summary>Reads and checks an entry of the table.</summary>
    public void Read(int index, out InterruptCacheEntry result)
    {
        var table = core.InterruptTable;
        var address = new Platform.Memory.Gpa(table.IRTA + (ulong)index * Irte.Size);
        ulong high = 0;
        var read = core.Memory.TryRead(address, out ulong low) && core.Memory.TryRead(address + 8, out high);
        var entry = new Irte(low, high);
        var reserved = entry.HasReserved(table.EIME, core.Capabilities.Cap.PI) && !core.HasHabit(VtdHabits.IrteReservedIgnored);
        result = new()
        {
            Index = index,
            Low = low,
            High = high,
            Reason = !read ? FaultReason.IrteAccess : !entry.P ? FaultReason.IrteNotPresent :
                reserved ? FaultReason.IrteReserved : FaultReason.None,
        };
    }

    /// <summary>Composes the message for the local APICs; bits 31:8 of an extended destination travel in address bits 63:40.</summary>
    FaultReason Remap(Irte entry, out MsiMessage message)
    {
        var data = entry.V | (uint)entry.DLM << 8 | 1u << 14 | (entry.TM ? 1u << 15 : 0);
        message = new(AddressOf(entry.DST, entry.RH, entry.DM), data);
        return FaultReason.None;
    }

    ulong AddressOf(uint destination, bool redirect, bool logical)
    {
        if (!core.InterruptTable.EIME)
        {
            destination = destination >> 8 & 0xFF;
        }

        return 0xFEE0_0000ul | (ulong)(destination & 0xFF) << 12 | (ulong)(destination & 0xFFFF_FF00) << 32 |
            (redirect ? 8ul : 0) | (logical ? 4ul : 0);
    }

    /// <summary>
    /// Posts a vector (VT-d §5.2.5): sets its bit, then notifies unless a notification is outstanding or suppressed.
    /// Without notification the message is absorbed: <see cref="MsiMessage.IsAbsorbed"/>.
    /// </summary>
    FaultReason Post(Irte entry, out MsiMessage message)
    {
        message = default;
        core.Counters.CountRead(VtdTable.PostedDescriptor);
        var descriptor = new Platform.Memory.Gpa(entry.PDA);
        var requests = descriptor + (ulong)(entry.V / 64 * 8);
        var extended = core.InterruptTable.EIME;
        if (!core.Memory.IsRam(descriptor, PostedControl.DescriptorSize) ||
            !core.Memory.TryRead(descriptor + PostedControl.Offset, out ulong raw) || !core.Memory.TryRead(requests, out ulong bits))
        {
            return FaultReason.PostedDescriptorAccess;
        }

        var control = new PostedControl(raw);
        if (control.HasReserved(extended) || HasReservedTail(descriptor))
        {
            return FaultReason.PostedDescriptorReserved;
        }

        core.Memory.TryCompareExchange(requests, bits, bits | 1ul << (entry.V & 63), out _);
        if (!control.ON && (entry.URG || !control.SN))
        {
            core.Memory.TryCompareExchange(descriptor + PostedControl.Offset, raw, (control with { ON = true }).Raw, out _);
            message = new(AddressOf(control.NDST, false, false), control.NV | 1u << 14);
        }

        return FaultReason.None;
    }

    bool HasReservedTail(Platform.Memory.Gpa descriptor)
    {
        ulong any = 0;
        for (var offset = PostedControl.Offset + 8ul; offset < PostedControl.DescriptorSize; offset += 8)
        {
            core.Memory.TryRead(descriptor + offset, out ulong word);
            any |= word;
        }

        return any != 0;
    }

    bool Block(FaultReason reason, Bdf requester, int index, bool suppressed)
    {
        faults.Record(reason, requester, index, suppressed);
        return false;
    }

    void CheckStale(Bdf requester, in InterruptCacheEntry cached)
    {
        if (detector == null)
        {
            return;
        }

        Read(cached.Index, out var current);
        if (current.Low != cached.Low || current.High != cached.High)
        {
            detector.Add(new(VtdCache.InterruptEntry, requester, 0, 0, (ulong)cached.Index, cached.Low, current.Low));
        }
    }
}
