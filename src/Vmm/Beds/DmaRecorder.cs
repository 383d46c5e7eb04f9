using System.Globalization;
using Vmm.Platform.Time;
using Vmm.Specs.Nvme;
using Vmm.Specs.VtD;

namespace Vmm.Beds;

/// <summary>
/// What a driver does to its IOMMU and which buffers its disk is given, read from the trace of a machine. The same
/// instrument counts a guest's kernel and the DMA layer.
/// </summary>
/// <param name="clock">The machine's clock.</param>
/// <param name="registers">Registers of the IOMMU: first byte and length. An access is an exit.</param>
/// <param name="resolve">Guest-physical address of an IO virtual one by the present tables, or null.</param>
/// <param name="load">Reads 8 bytes of guest memory; null outside of it.</param>
/// <param name="isDeferred">UNMAP requests wait for somebody's notification, so that one is for the MAP requests in it.</param>
internal sealed class DmaRecorder(
    VirtualClock clock, (ulong Start, ulong Length) registers, Func<ulong, ulong?> resolve, Func<ulong, ulong?> load, bool isDeferred) : IEventTrace
{
    // A guest decides how much there is to record.
    const int ListEntries = 512, MostSteps = 1 << 20, MostExits = 1 << 21, MostPages = 1 << 24, MostEnded = 1024, MostDescriptors = 4096, MostCarriers = 1 << 16;

    readonly Dictionary<int, DmaBuffer> inFlight = [];
    readonly List<DmaBuffer> ended = [];
    readonly List<int> shared = [];
    readonly List<(bool IsMap, ulong Last)> asked = [];
    readonly Dictionary<ulong, (ulong Time, int Exit, bool IsOwn)> carriers = [];
    IommuExit pending = new(0);
    int pages;

    /// <summary>Buffers in the order in which the device got and completed them.</summary>
    public List<DmaStep> Steps { get; } = [];

    /// <summary>Exits in order.</summary>
    public List<IommuExit> Exits { get; } = [];

    /// <summary>Buffers whose last MAP request went along with the notification of another request, so that they needed none of their own.</summary>
    public int CarriedMaps { get; private set; }

    /// <summary>The same of UNMAP requests, where they do not wait anyway.</summary>
    public int CarriedUnmaps { get; private set; }

    /// <summary>UNMAP requests wait for somebody's notification, and invalidations for a flush.</summary>
    public bool IsDeferred => isDeferred;

    /// <summary>Commands whose buffers are not mapped memory; they are not recorded.</summary>
    public int Unknown { get; private set; }

    /// <summary>There is no room to record more.</summary>
    public bool IsFull => Steps.Count >= MostSteps || Exits.Count >= MostExits || pages >= MostPages;

    /// <summary>Exits that asked nothing of the unit.</summary>
    public int Idle => Exits.Count(static e => e.IsIdle);

    /// <summary>Whoever drives the IOMMU says what it does: makes a mapping, or ends some. Null: it is found out.</summary>
    public bool? Mapping { get; set; }

    /// <summary>All counts.</summary>
    public DmaTally Tally => new(
        Steps.Count(static s => s.IsMap), Exits.Count(static e => e.IsForMap), Exits.Count(static e => !e.IsForMap),
        Sum(static e => e.IsForMap ? e.Pages : 0), Sum(static e => e.IsForMap ? 0 : e.Pages), Exits.Sum(static e => e.Covered), Sum(static e => e.Domains),
        Sum(static e => e.Pasids), Sum(static e => e.Drained), Sum(static e => e.Waits), Sum(static e => e.Maps), Sum(static e => e.Unmaps));

    int Sum(Func<IommuExit, int> of) => Exits.Sum(of);

    /// <inheritdoc/>
    public void Write(string name, string details)
    {
        if (IsFull)
        {
            return;
        }

        switch (name)
        {
            case "vtd_inv_desc":
                Invalidation(new(Number(details, "low "), Number(details, "high ")));
                break;
            case "virtio_iommu_map":
                pending.Maps++;
                pending.IsForMap = true;
                asked.Add((true, Number(details, "virt_end=")));
                break;
            case "virtio_iommu_unmap":
                pending.Unmaps++;
                // A notification is for what was added last: the rest waited for one.
                pending.IsForMap &= isDeferred;
                asked.Add((false, Number(details, "virt_end=")));
                break;
            case "kvm_mmio" when Number(details, "gpa ") - registers.Start < registers.Length:
                EndExit();
                break;
            case "pci_nvme_io_cmd" when Number(details, "length ") != 0:
                Begin(details);
                break;
            case "pci_nvme_enqueue_req_completion" when inFlight.Remove(Key(details, "dw1 "), out var buffer):
                NoteEnded(buffer);
                Steps.Add(new(clock.Now, buffer, Key(details, "dw1 ") >> 16, false));
                break;
        }
    }

    void NoteEnded(DmaBuffer buffer)
    {
        if (!isDeferred && Mapping == null)
        {
            if (ended.Count == MostEnded)
            {
                ended.RemoveAt(0);
            }

            ended.Add(buffer);
        }
    }

    void EndExit()
    {
        if (carriers.Count > MostCarriers)
        {
            carriers.Clear();
        }

        var exit = pending with { Time = clock.Now };
        Exits.Add(exit);
        var ownMap = pending.IsForMap ? asked.FindLastIndex(static a => a.IsMap) : -1;
        for (var i = 0; i < asked.Count; i++)
        {
            var (isMap, last) = asked[i];
            if (isMap)
            {
                carriers[last] = (exit.Time, Exits.Count - 1, i == ownMap);
            }
            else if (ended.FindIndex(b => LastByte(b.Address, b.Bytes) == last) is >= 0 and var at)
            {
                ended.RemoveAt(at);
                CarriedUnmaps += i < asked.Count - 1 ? 1 : 0;
            }
        }

        asked.Clear();
        pending = new(0);
    }

    void Invalidation(InvalidationDescriptor descriptor)
    {
        pending.Drained += descriptor is { Type: InvalidationType.Iotlb, DR: true, DW: true } ? 1 : 0;
        switch (descriptor.Type)
        {
            case InvalidationType.Iotlb when descriptor.G == (int)InvalidationGranularity.Selective:
                pending.Pages++;
                pending.Covered += 1L << Math.Min(descriptor.Target.AM, 30);
                pending.IsForMap |= IsForMap(descriptor.Target.ADDR, descriptor.Target.AM);
                break;
            case InvalidationType.Iotlb:
                pending.Domains++;
                break;
            case InvalidationType.PasidIotlb:
                pending.Pasids++;
                break;
            case InvalidationType.Wait:
                pending.Waits++;
                break;
            default:
                pending.Others++;
                break;
        }
    }

    /// <summary>
    /// An invalidation ends a mapping when it covers a buffer that the device is done with and that no table maps any more;
    /// that buffer is then done. Its mask may cover neighbours as well, mapped or not.
    /// </summary>
    bool IsForMap(ulong address, int mask)
    {
        if (Mapping is { } known)
        {
            return known;
        }

        if (isDeferred)
        {
            return true;
        }

        var at = ended.FindIndex(b => (b.Address ^ address) >> 12 + mask == 0 && resolve(b.Address) == null);
        if (at >= 0)
        {
            ended.RemoveAt(at);
        }

        return at < 0;
    }

    void Begin(string details)
    {
        ulong first = Number(details, "prp1 "), second = Number(details, "prp2 ");
        var length = (int)Number(details, "length ");
        var found = new List<ulong>();
        var known = Number(details, "psdt ") != 0 ? TryAddDescriptors(found, ref first, second) : TryAddPages(found, first, second, length);
        if (!known || found.Count != (int)((first & 0xFFF) + (ulong)length + 4095 >> 12) || found.Skip(1).Any(static p => (p & 0xFFF) != 0))
        {
            Unknown++;
            return;
        }

        pages += found.Count;
        var buffer = new DmaBuffer(Number(details, "opc ") is NvmeIoOpcode.Write or NvmeIoOpcode.DatasetManagement, first, length, [.. found]);
        var queue = (int)Number(details, "sqid ");
        inFlight[queue << 16 | (int)Number(details, "cid ")] = buffer;
        var wasAsked = carriers.Remove(LastByte(first, length), out var carrier);
        if (wasAsked && carrier.IsOwn)
        {
            Exits[carrier.Exit].CompletesMap = true;
        }
        else if (wasAsked)
        {
            CarriedMaps++;
            shared.Add(carrier.Exit);
        }

        Insert(new(wasAsked ? carrier.Time : clock.Now, buffer, queue, true));
    }

    /// <summary>
    /// Ends the recording. Where UNMAP requests wait for somebody's notification, one by itself looks like a flush; but soon
    /// after another processor's notification took MAP requests along, it is the one that was meant for those.
    /// </summary>
    public void Finish()
    {
        var soon = clock.ToCycles(50, 1_000_000);
        foreach (var at in isDeferred ? shared : [])
        {
            // Processors have times of their own: what comes after may have an earlier one.
            var time = Exits[at].Time;
            var own = Exits.FindIndex(at + 1, e => e is { Maps: 0, IsForMap: false } || e.Time > time + soon);
            if (own >= 0 && Exits[own] is { IsForMap: false, Maps: 0 } found && found.Time + soon > time && found.Time < time + soon)
            {
                found.IsForMap = true;
                CarriedMaps--;
            }
        }

        // One that took along only a part of a mapping under way was also meant for one that had gone along with another.
        CarriedMaps -= shared.Count == 0 ? 0 : Exits.Count(static e => e is { IsForMap: true, Maps: > 0, CompletesMap: false });
        shared.Clear();
    }

    static ulong LastByte(ulong address, int bytes) => (address + (ulong)bytes - 1) | 0xFFF;

    /// <summary>A mapping was made when its requests were carried out; buffers may have ended between that and the doorbell.</summary>
    void Insert(in DmaStep step)
    {
        var at = Steps.Count;
        while (at > 0 && Steps[at - 1].Time > step.Time)
        {
            at--;
        }

        Steps.Insert(at, step);
    }

    static int Key(string details, string queue) => (int)(Number(details, queue) & 0xFFFF_0000) | (int)Number(details, "cid ");

    /// <summary>Pages by PRP entries: two, or one and a list of further ones (NVMe 1.4 §4.3). False: something is not mapped.</summary>
    bool TryAddPages(List<ulong> found, ulong first, ulong second, int length)
    {
        var count = (int)((first & 0xFFF) + (ulong)length + 4095 >> 12);
        if (!TryAdd(found, first) || count == 2 && !TryAdd(found, second))
        {
            return false;
        }

        for (var i = 1; i < count && count > 2; i++, second += 8)
        {
            // The last entry of a list that does not suffice leads to the next list.
            if (!TryLoad(second, out var entry))
            {
                return false;
            }

            if ((second & 0xFFF) == 8 * (ListEntries - 1) && i < count - 1)
            {
                second = entry;
                if (!TryLoad(second, out entry))
                {
                    return false;
                }
            }

            if (!TryAdd(found, entry))
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>Pages by SGL descriptors: a data block, or segments of such, each ending with the next (NVMe 1.4 §4.4). Tells where the data starts.</summary>
    bool TryAddDescriptors(List<ulong> found, ref ulong first, ulong rest)
    {
        const int DataBlock = 0;
        ulong address = first, next = 0, end = 0;
        for (var left = MostDescriptors; left > 0; left--)
        {
            var length = rest & uint.MaxValue;
            if (rest >> 60 != DataBlock)
            {
                (next, end) = (address, address + length);
            }
            else
            {
                first = found.Count == 0 ? address : first;
                for (var at = address; at < address + length; at = (at | 0xFFF) + 1)
                {
                    if (!TryAdd(found, at))
                    {
                        return false;
                    }
                }
            }

            if (next >= end)
            {
                return found.Count > 0;
            }

            if (!TryLoad(next, out address) || !TryLoad(next + 8, out rest))
            {
                return false;
            }

            next += 16;
        }

        return false;
    }

    bool TryLoad(ulong address, out ulong value)
    {
        var found = resolve(address) is { } place ? load(place) : null;
        value = found.GetValueOrDefault();
        return found != null;
    }

    bool TryAdd(List<ulong> found, ulong address)
    {
        if (found.Count >= 1 << 16 || resolve(address) is not { } place || load(place & ~7ul) == null)
        {
            return false;
        }

        found.Add(place);
        return true;
    }

    /// <summary>The number after a word, decimal or with 0x.</summary>
    static ulong Number(string details, string word)
    {
        var at = details.StartsWith(word, StringComparison.Ordinal) ? word.Length : details.IndexOf(" " + word, StringComparison.Ordinal) + 1 + word.Length;
        var text = details.AsSpan(at);
        var end = text.IndexOf(' ');
        text = end < 0 ? text : text[..end];
        return text.StartsWith("0x", StringComparison.Ordinal) ? ulong.Parse(text[2..], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture) : ulong.Parse(text, CultureInfo.InvariantCulture);
    }
}
