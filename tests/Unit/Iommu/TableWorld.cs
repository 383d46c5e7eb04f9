using Vmm.Iommu;
using Vmm.Platform.Dma;
using Vmm.Platform.Memory;
using Vmm.Specs.VtD;
using Xunit;

namespace Vmm.Unit.Iommu;

/// <summary>Tables of several devices, PASIDs and domains under random change, and the walker that defines what they mean.</summary>
sealed class TableWorld : IDisposable
{
    const ulong Guest = 0x70_0000_0000;
    const ulong Present = 1;

    readonly Bdf[] devices = [new(0, 1, 0), new(0, 1, 1), new(0, 31, 7), new(4, 2, 0)];
    readonly VtdBench bench;
    readonly Random random;
    readonly bool scalable;
    readonly bool cachesAbsent;
    readonly List<PendingEdit> pending = [];
    readonly Dictionary<ushort, TableTree> second = [];
    readonly Dictionary<(ushort, uint, bool), TableTree> first = [];
    readonly Dictionary<Bdf, ulong> directories = [];

    public TableWorld(VtdOptions options, int seed)
    {
        bench = new(options);
        random = new(seed);
        scalable = options.Profile != VtdProfile.Legacy;
        cachesAbsent = options.CachingMode == true;
        for (ushort domain = 1; domain <= 3; domain++)
        {
            second[domain] = new(bench, domain, 0, false, 0);
            for (uint pasid = 0; scalable && pasid < 3; pasid++)
            {
                first[(domain, pasid, false)] = new(bench, domain, pasid, true, 0);
                first[(domain, pasid, true)] = new(bench, domain, pasid, true, Guest);
            }

            // Nested tables live at Guest + their address, in a part of the second stage that stays as it is.
            second[domain].MapIdentity(bench, Guest);
        }

        foreach (var device in devices)
        {
            directories[device] = scalable ? bench.Page() : 0;
            if (scalable)
            {
                bench.PasidEntryAddress(directories[device], 0);
            }

            EditContext(device);
        }

        if (scalable)
        {
            bench.EnableScalable();
        }
        else
        {
            bench.EnableLegacy();
        }

        bench.EnableQueue(scalable);
        pending.Clear();
    }

    /// <summary>First-stage leaf that the reference read last, or 0.</summary>
    ulong leaf;

    public int Agreed { get; private set; }

    public int Stale { get; private set; }

    public void Dispose() => bench.Dispose();

    public void Step()
    {
        switch (random.Next(16))
        {
            case 0 or 1:
                Edit();
                break;
            case 2:
                Invalidate();
                break;
            case 3 when pending.Count > 0:
                Settle(pending[random.Next(pending.Count)]);
                break;
            default:
                Request();
                break;
        }
    }

    T Any<T>(IReadOnlyCollection<T> items) => items.ElementAt(random.Next(items.Count));

    void Edit()
    {
        switch (random.Next(8))
        {
            case 0:
                EditContext(Any(devices));
                break;
            case 1 when scalable:
                EditPasid(Any(devices), (uint)random.Next(3));
                break;
            case < 5 when scalable:
                Note(Any(first.Values).Edit(bench, random, cachesAbsent));
                break;
            default:
                Note(Any(second.Values).Edit(bench, random, cachesAbsent));
                break;
        }
    }

    void Note(PendingEdit? edit)
    {
        if (edit != null)
        {
            pending.Add(edit);
        }
    }

    void EditContext(Bdf device)
    {
        var address = scalable ? bench.ScalableContextAddress(device) : bench.LegacyContextAddress(device);
        var (low, high) = (bench.Peek(address), bench.Peek(address + 8));
        var domain = (ushort)random.Next(1, 4);
        if (random.Next(6) == 0)
        {
            bench.Poke(address, (ulong)random.Next(2) << 1, 0);
        }
        else if (scalable)
        {
            bench.Poke(address, directories[device] | Present | (uint)random.Next(2) << 3, (uint)random.Next(3));
        }
        else
        {
            var type = random.Next(8) switch { 0 => 2ul, 1 => 3ul, _ => 0ul };
            bench.Poke(address, second[domain].Root | Present | type << 2, 2 | (ulong)domain << 8);
        }

        if ((low & 1) != 0 || cachesAbsent)
        {
            // Entries that are absent or wrong are cached under domain 0.
            var valid = (low & 1) != 0 && (scalable || (low >> 2 & 3) != 3);
            pending.Add(new(VtdTable.Context, device, 0, valid ? (ushort)(high >> 8) : (ushort)0, 0, 0, 0));
        }
    }

    void EditPasid(Bdf device, uint pasid)
    {
        var address = bench.PasidEntryAddress(directories[device], pasid);
        var (low, high) = (bench.Peek(address), bench.Peek(address + 8));
        var domain = (ushort)random.Next(1, 4);
        var type = random.Next(6) switch { 0 => 5ul, 1 or 2 => 1ul, 3 => 2ul, 4 => 3ul, _ => 4ul };
        var root = first[(domain, pasid, type == 3)];
        var rights = (uint)random.Next(2) | (ulong)random.Next(2) << 4 | (ulong)random.Next(2) << 6 | 1ul << 5;
        var present = random.Next(8) == 0 ? 0ul : Present;
        bench.Poke(address, second[domain].Root | present | 2ul << 2 | type << 6, 1ul << 23 | domain, root.Root + root.GuestOffset | rights);
        if ((low & 1) != 0 || cachesAbsent)
        {
            var valid = (low & 1) != 0 && (low >> 6 & 7) != 5;
            pending.Add(new(VtdTable.PasidTable, device, pasid, valid ? (ushort)high : (ushort)0, 0, 0, 0));
        }
    }

    /// <summary>Invalidates exactly what one edit asks for.</summary>
    void Settle(PendingEdit edit)
    {
        var domain = (ulong)edit.Domain << 16;
        var pages = System.Numerics.BitOperations.Log2(edit.Length >> 12 | 1);
        var target = edit.Start | (uint)pages | (edit.Level == 1 && random.Next(2) == 0 ? 0x40ul : 0);
        switch (edit.Table)
        {
            case VtdTable.Context when random.Next(2) == 0 && !scalable:
                Submit(0x21 | domain);
                break;
            case VtdTable.Context:
                Submit(0x31 | (ulong)edit.Source.Value << 32);
                break;
            case VtdTable.PasidTable:
                Submit(random.Next(2) == 0 ? 0x07 | domain : 0x17 | domain | (ulong)edit.Pasid << 32);
                break;
            case VtdTable.SecondStage when pages <= 18:
                Submit(0x32 | domain, target);
                break;
            case VtdTable.FirstStage when pages <= 18:
                Submit(0x36 | domain | (ulong)edit.Pasid << 32, target);
                break;
            default:
                Submit(0x22 | domain);
                break;
        }
    }

    void Invalidate()
    {
        var domain = (ulong)random.Next(1, 4) << 16;
        var pasid = (ulong)random.Next(3) << 32;
        var target = TableTree.Pick(random) | (uint)random.Next(19) | (ulong)random.Next(2) << 6;
        switch (random.Next(scalable ? 12 : 6))
        {
            case 0: Submit(0x11); break;
            case 1: Submit(0x12); break;
            case 2: Submit(0x22 | domain); break;
            case 3: Submit(0x32 | domain, target); break;
            case 4: Submit(0x31 | (ulong)Any(devices).Value << 32 | (ulong)random.Next(4) << 48); break;
            case 5: Submit(0x21 | (ulong)random.Next(4) << 16); break;
            case 6: Submit(0x37); break;
            case 7: Submit(0x07 | (ulong)random.Next(4) << 16); break;
            case 8: Submit(0x17 | (ulong)random.Next(4) << 16 | pasid); break;
            case 9: Submit(0x26 | domain | pasid); break;
            default: Submit(0x36 | domain | pasid, target); break;
        }
    }

    void Submit(ulong low, ulong high = 0)
    {
        bench.Submit(low, high);
        var descriptor = new InvalidationDescriptor(low, high);
        pending.RemoveAll(edit => Covers(descriptor, edit));
    }

    bool Covers(InvalidationDescriptor descriptor, PendingEdit edit)
    {
        var sameDomain = descriptor.DID == edit.Domain;
        var mask = descriptor.FM switch { 0 => 0, 1 => 4, 2 => 6, _ => 7 };
        return (descriptor.Type, descriptor.G, edit.Table) switch
        {
            (InvalidationType.ContextCache, 1, VtdTable.Context) => true,
            (InvalidationType.ContextCache, 2, VtdTable.Context) => scalable || sameDomain,
            (InvalidationType.ContextCache, 3, VtdTable.Context) => ((descriptor.SID ^ edit.Source.Value) & ~mask) == 0,
            (InvalidationType.PasidCache, 3, VtdTable.PasidTable) => true,
            (InvalidationType.PasidCache, 0, VtdTable.PasidTable) => sameDomain,
            (InvalidationType.PasidCache, 1, VtdTable.PasidTable) => sameDomain && descriptor.PASID == edit.Pasid,
            (InvalidationType.Iotlb, 1, VtdTable.FirstStage or VtdTable.SecondStage) => true,
            (InvalidationType.Iotlb, 2, VtdTable.FirstStage or VtdTable.SecondStage) => sameDomain,
            (InvalidationType.Iotlb, 3, VtdTable.SecondStage) => sameDomain && CoversRange(descriptor.Target, edit),
            (InvalidationType.PasidIotlb, 2, VtdTable.FirstStage) => sameDomain && descriptor.PASID == edit.Pasid,
            (InvalidationType.PasidIotlb, 3, VtdTable.FirstStage) =>
                sameDomain && descriptor.PASID == edit.Pasid && CoversRange(descriptor.Target, edit),
            _ => false,
        };
    }

    static bool CoversRange(Iva target, PendingEdit edit)
    {
        var size = 4096ul << target.AM;
        var start = target.ADDR & ~(size - 1);
        return edit.Start >= start && edit.Start + edit.Length <= start + size && (edit.Level == 1 || !target.IH);
    }

    void Request()
    {
        var withPasid = scalable && random.Next(3) != 0;
        var access = random.Next(5) switch { 0 or 1 => DmaAccess.Write, 2 => DmaAccess.Atomic, _ => DmaAccess.Read };
        var request = new DmaRequest(
            Any(devices), new(TableTree.Pick(random) + (ulong)random.Next(0x1000)), access,
            withPasid ? (uint)random.Next(3) : 0, withPasid, withPasid && random.Next(3) == 0);
        var reason = Reference(request, out var address);
        var explained = random.Next(8) == 0 ? bench.Unit.Explain(request) : null;
        if (explained != null)
        {
            Assert.Equal(reason, explained.Fault);
            Assert.True(reason != FaultReason.None || explained.Window.Address.Value == address);
        }

        var before = bench.Unit.Counters.Faults(reason);
        var passed = bench.Unit.TryTranslate(request, out var window);
        var same = reason == FaultReason.None
            ? passed && window.Address.Value == address && (access == DmaAccess.Read ? window.Readable : window.Writable)
            : !passed && bench.Unit.Counters.Faults(reason) == before + 1;
        var bears = pending.Any(edit => BearsOn(edit, request));
        if (same)
        {
            Agreed++;
            Assert.True(bears || !passed || access == DmaAccess.Read || leaf == 0 || (bench.Peek(leaf) & 0x60) == 0x60, $"{request}: no dirty flag");
            return;
        }

        Stale++;
        Assert.True(bears, $"{request}: the tables say {reason} 0x{address:x}, the unit {Answer(request)} {window}");
    }

    /// <summary>The condition that a request meets, for messages.</summary>
    FaultReason Answer(DmaRequest request)
    {
        var before = Enum.GetValues<FaultReason>().ToDictionary(reason => reason, bench.Unit.Counters.Faults);
        bench.Unit.TryTranslate(request, out _);
        return before.FirstOrDefault(entry => bench.Unit.Counters.Faults(entry.Key) != entry.Value).Key;
    }

    bool BearsOn(PendingEdit edit, DmaRequest request) => edit.Table switch
    {
        VtdTable.Context => edit.Source == request.Requester,
        VtdTable.PasidTable => edit.Source == request.Requester,
        VtdTable.FirstStage => request.Address.Value - edit.Start < edit.Length,
        _ => scalable || request.Address.Value - edit.Start < edit.Length,
    };

    /// <summary>What the tables mean now: the whole specification of this test, without any cache.</summary>
    FaultReason Reference(DmaRequest request, out ulong address)
    {
        address = request.Address.Value;
        leaf = 0;
        var write = request.Access != DmaAccess.Read;
        var read = request.Access != DmaAccess.Write;
        if (!scalable)
        {
            var at = bench.LegacyContextAddress(request.Requester);
            var low = bench.Peek(at);
            if ((low & 1) == 0 || (low >> 2 & 3) == 3)
            {
                return (low & 1) == 0 ? FaultReason.ContextNotPresent : FaultReason.ContextInvalid;
            }

            if ((low >> 2 & 3) == 2)
            {
                return FaultReason.None;
            }

            var reason = Second(low & ~0xFFFul, 4, address, out address, out var readable, out var writable);
            return reason == FaultReason.SsReserved ? FaultReason.PagingEntryReserved :
                reason == FaultReason.None && DmaPort.IsInterruptAddress(address) ? FaultReason.OutputInInterruptRange :
                write && !writable ? FaultReason.NoWritePermission : read && !readable ? FaultReason.NoReadPermission : FaultReason.None;
        }

        var context = bench.ScalableContextAddress(request.Requester);
        if ((bench.Peek(context) & 1) == 0)
        {
            return FaultReason.SmContextNotPresent;
        }

        if (request.HasPasid && (bench.Peek(context) & 8) == 0)
        {
            return FaultReason.PasidDisabled;
        }

        var entry = bench.PasidEntryAddress(directories[request.Requester], request.HasPasid ? request.Pasid : (uint)bench.Peek(context + 8));
        var (q0, q2) = (bench.Peek(entry), bench.Peek(entry + 16));
        var type = q0 >> 6 & 7;
        if ((q0 & 1) == 0 || type is 0 or 5)
        {
            return (q0 & 1) == 0 ? FaultReason.PasidEntryNotPresent : FaultReason.PasidEntryInvalid;
        }

        if (request.Privileged && (q2 & 1) == 0)
        {
            return FaultReason.SupervisorDisabled;
        }

        return type == 4 ? FaultReason.None : Stages(type, q0 & ~0xFFFul, q2, request, read, write, ref address);
    }

    FaultReason Stages(ulong type, ulong secondRoot, ulong q2, DmaRequest request, bool read, bool write, ref ulong address)
    {
        bool firstWrite = true, user = true, readable = true, writable = true;
        var reason = FaultReason.None;
        if (type != 2)
        {
            reason = First(type == 3 ? secondRoot : 0, q2 & ~0xFFFul, 4, address, request, q2, out address, ref firstWrite, ref user);
        }

        if (reason == FaultReason.None && type != 1)
        {
            reason = address >> 48 != 0 ? FaultReason.AddressBeyondSecondStage : Second(secondRoot, 4, address, out address, out readable, out writable);
        }

        return reason != FaultReason.None ? reason :
            DmaPort.IsInterruptAddress(address) ? FaultReason.SmOutputInInterruptRange :
            write && !writable ? FaultReason.SmNoWritePermission :
            read && !readable ? FaultReason.SmNoReadPermission :
            !request.Privileged && !user ? FaultReason.UserDenied :
            write && !firstWrite && (!request.Privileged || (q2 & 16) != 0) ? FaultReason.SmNoWritePermission : FaultReason.None;
    }

    FaultReason Second(ulong table, int level, ulong input, out ulong output, out bool readable, out bool writable)
    {
        (output, readable, writable) = (0, false, false);
        var shift = 12 + 9 * (level - 1);
        var entry = bench.Peek(table + (input >> shift & 0x1FF) * 8);
        if ((entry & 3) == 0)
        {
            return FaultReason.SsNotPresent;
        }

        if (entry >> 48 != 0)
        {
            return FaultReason.SsReserved;
        }

        var reason = FaultReason.None;
        (output, readable, writable) = (entry & ~0xFFFul & (~0ul << shift) | input & ((1ul << shift) - 1), true, true);
        if (level > 1 && (entry & 0x80) == 0)
        {
            reason = Second(entry & ~0xFFFul, level - 1, input, out output, out readable, out writable);
        }

        readable &= (entry & 1) != 0;
        writable &= (entry & 2) != 0;
        return reason;
    }

    FaultReason First(ulong nested, ulong table, int level, ulong input, DmaRequest request, ulong q2, out ulong output, ref bool writable, ref bool user)
    {
        var shift = 12 + 9 * (level - 1);
        var tableWritable = true;
        output = 0;
        if (nested != 0)
        {
            if (table >> 48 != 0)
            {
                return FaultReason.FsTableBeyondSecondStage;
            }

            var reason = Second(nested, 4, table, out table, out var readable, out tableWritable);
            var denied = level == 4 ? FaultReason.FsRootReadDenied : FaultReason.FsEntryReadDenied;
            if (reason != FaultReason.None || !readable)
            {
                return reason is FaultReason.None or FaultReason.SsNotPresent ? denied : reason;
            }
        }

        var entry = bench.Peek(table + (input >> shift & 0x1FF) * 8);
        if ((entry & 1) == 0)
        {
            return FaultReason.FsNotPresent;
        }

        if (nested == 0 && (entry >> 48 & 0xF) != 0)
        {
            return FaultReason.FsReserved;
        }

        writable &= (entry & 2) != 0;
        user &= (entry & 4) != 0;
        var isLeaf = level == 1 || (entry & 0x80) != 0;
        var allowed = request.Privileged ? writable || (q2 & 16) == 0 : writable && user;
        var flags = 0x20ul | (isLeaf && allowed && request.Access != DmaAccess.Read ? 0x40ul : 0);
        if ((entry & flags) != flags && !tableWritable)
        {
            return FaultReason.FsEntryWriteDenied;
        }

        if (isLeaf)
        {
            leaf = table + (input >> shift & 0x1FF) * 8;
            output = entry & 0xF_FFFF_FFFF_F000 & (~0ul << shift) | input & ((1ul << shift) - 1);
            return FaultReason.None;
        }

        return First(nested, entry & 0xF_FFFF_FFFF_F000, level - 1, input, request, q2, out output, ref writable, ref user);
    }
}
