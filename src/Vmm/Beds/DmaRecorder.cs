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
/// <param name="load">Reads 8 bytes of guest memory.</param>
/// <param name="isDeferred">UNMAP requests wait for somebody's notification, so that one is for the MAP requests in it.</param>
internal sealed class DmaRecorder(
    VirtualClock clock, (ulong Start, ulong Length) registers, Func<ulong, ulong?> resolve, Func<ulong, ulong> load, bool isDeferred) : IEventTrace
{
    const int ListEntries = 512;

    readonly Dictionary<int, DmaBuffer> inFlight = [];
    readonly List<DmaBuffer> ended = [];
    readonly List<ulong> asked = [];
    readonly Dictionary<ulong, IommuExit> carriers = [];
    IommuExit pending = new(0);

    /// <summary>Buffers in the order in which the device got and completed them.</summary>
    public List<DmaStep> Steps { get; } = [];

    /// <summary>Exits in order.</summary>
    public List<IommuExit> Exits { get; } = [];

    /// <summary>Buffers whose last MAP request went along with the notification of an UNMAP, so that they needed no exit of their own.</summary>
    public int Carried { get; private set; }

    /// <summary>Exits that asked nothing of the unit.</summary>
    public int Idle => Exits.Count(static e => e.IsIdle);

    /// <summary>Whoever drives the IOMMU says what it does: makes a mapping, or ends some. Null: it is found out.</summary>
    public bool? Mapping { get; set; }

    /// <summary>All counts.</summary>
    public DmaTally Tally => new(
        Steps.Count(static s => s.IsMap), Exits.Count(static e => e.IsForMap), Exits.Count(static e => !e.IsForMap),
        Sum(static e => e.IsForMap ? e.Pages : 0), Sum(static e => e.IsForMap ? 0 : e.Pages), Sum(static e => e.Covered), Sum(static e => e.Domains),
        Sum(static e => e.Pasids), Sum(static e => e.Drained), Sum(static e => e.Waits), Sum(static e => e.Maps), Sum(static e => e.Unmaps));

    int Sum(Func<IommuExit, int> of) => Exits.Sum(of);

    /// <inheritdoc/>
    public void Write(string name, string details)
    {
        switch (name)
        {
            case "vtd_inv_desc":
                Invalidation(new(Number(details, "low "), Number(details, "high ")));
                break;
            case "virtio_iommu_map":
                pending.Maps++;
                pending.IsForMap = true;
                asked.Add(Number(details, "virt_end="));
                break;
            case "virtio_iommu_unmap":
                pending.Unmaps++;
                // A notification is for what was added last: the rest waited for one.
                pending.IsForMap &= isDeferred;
                break;
            case "kvm_mmio" when Number(details, "gpa ") - registers.Start < registers.Length:
                EndExit();
                break;
            case "pci_nvme_io_cmd" when Number(details, "length ") != 0:
                Begin(details);
                break;
            case "pci_nvme_enqueue_req_completion" when inFlight.Remove(Key(details, "dw1 "), out var buffer):
                ended.Add(buffer);
                Steps.Add(new(clock.Now, buffer, Key(details, "dw1 ") >> 16, false));
                break;
        }
    }

    void EndExit()
    {
        var exit = pending with { Time = clock.Now };
        Exits.Add(exit);
        foreach (var last in asked)
        {
            carriers[last] = exit;
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
                pending.Covered += 1 << descriptor.Target.AM;
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
        var pages = new List<ulong>();
        if (Number(details, "psdt ") != 0)
        {
            first = AddDescriptor(pages, first, second);
        }
        else
        {
            AddPages(pages, first, second, length);
        }

        var buffer = new DmaBuffer(Number(details, "opc ") is NvmeIoOpcode.Write or NvmeIoOpcode.DatasetManagement, first, length, [.. pages]);
        var queue = (int)Number(details, "sqid ");
        inFlight.Add(queue << 16 | (int)Number(details, "cid "), buffer);
        carriers.Remove((first + (ulong)length - 1) | 0xFFF, out var carrier);
        Carried += carrier is { IsForMap: false } ? 1 : 0;
        Insert(new(carrier?.Time ?? clock.Now, buffer, queue, true));
    }

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

    /// <summary>Pages by PRP entries: two, or one and a list of further ones (NVMe 1.4 §4.3).</summary>
    void AddPages(List<ulong> pages, ulong first, ulong second, int length)
    {
        var count = (int)((first & 0xFFF) + (ulong)length + 4095 >> 12);
        pages.Add(Resolved(first));
        if (count == 2)
        {
            pages.Add(Resolved(second));
        }

        for (var i = 1; i < count && count > 2; i++, second += 8)
        {
            // The last entry of a list that does not suffice leads to the next list.
            var entry = load(Resolved(second));
            if ((second & 0xFFF) == 8 * (ListEntries - 1) && i < count - 1)
            {
                second = entry;
                entry = load(Resolved(second));
            }

            pages.Add(Resolved(entry));
        }
    }

    /// <summary>Pages by an SGL descriptor: a data block, or a segment of such (NVMe 1.4 §4.4). Returns where the data starts.</summary>
    ulong AddDescriptor(List<ulong> pages, ulong address, ulong rest)
    {
        var length = rest & uint.MaxValue;
        if (rest >> 60 == 0)
        {
            for (var at = address; at < address + length; at = (at | 0xFFF) + 1)
            {
                pages.Add(Resolved(at));
            }

            return address;
        }

        var start = load(Resolved(address));
        for (var at = address; at < address + length; at += 16)
        {
            AddDescriptor(pages, load(Resolved(at)), load(Resolved(at + 8)));
        }

        return start;
    }

    ulong Resolved(ulong address) => resolve(address) ?? throw new InvalidOperationException($"recorder: 0x{address:x} is in a command and not mapped");

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
