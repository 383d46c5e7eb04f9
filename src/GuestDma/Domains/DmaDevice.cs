using Vmm.GuestDma.Addresses;
using Vmm.GuestDma.Cost;
using Vmm.GuestDma.Faults;
using Vmm.GuestDma.Guest;
using Vmm.GuestDma.Swiotlb;
using Vmm.Platform.Dma;

namespace Vmm.GuestDma.Domains;

/// <summary>
/// One device and how its DMA is treated. Policies over the same translated address space follow each other while mappings
/// exist; a change to or from guest-physical addresses needs a device without mappings.
/// </summary>
public sealed class DmaDevice
{
    const ulong InterruptPages = 0xFEE00;

    const int Arenas = 4;

    readonly IIommuDriver? driver;
    readonly Bdf device;
    readonly DmaDeviceOptions options;
    readonly DirectMapper direct;
    readonly IommuMapper? translated;
    readonly Func<bool, SwiotlbMapper?> createSwiotlb;
    readonly IIommuDomain? identity;
    bool identityIsMapped;

    /// <param name="view">The machine.</param>
    /// <param name="meter">Prices.</param>
    /// <param name="pages">Memory.</param>
    /// <param name="faults">Which allocations fail on purpose.</param>
    /// <param name="driver">The unit's driver; null when there is no unit.</param>
    /// <param name="device">Requester id.</param>
    /// <param name="options">What is known of the device.</param>
    /// <param name="cpus">Processors.</param>
    /// <param name="reachable">Memory within the device's reach; null when all is.</param>
    /// <exception cref="InvalidOperationException">No memory for a domain.</exception>
    public DmaDevice(
        IGuestView view, CostMeter meter, GuestPages pages, AllocationFaults faults, IIommuDriver? driver, Bdf device, DmaDeviceOptions options, int cpus = 1,
        GuestPages? reachable = null)
    {
        this.driver = driver;
        this.device = device;
        this.options = options;
        direct = new(view, pages, options.Mask);
        createSwiotlb = dynamic => SwiotlbMapper.TryCreate(view, meter, reachable ?? pages, options.Swiotlb, options.Mask, dynamic, cpus, out var made) ? made : null;
        Mapper = direct;
        if (driver == null)
        {
            return;
        }

        if (!driver.TryCreateDomain(out var domain) || !driver.TryCreateDomain(out identity!) || !driver.TryAttach(device, domain))
        {
            throw new InvalidOperationException("dma: no memory for a domain");
        }

        driver.Faults.Own(device, Report);
        Tree = new IovaTree(1, meter, faults);
        Reserve(Tree.Reserve);
        Iovas = new(Tree, cpus, () => view.Cpu, meter);
        translated = new(view, meter, pages, new(view, meter, pages, domain, AddressSource(view, meter, faults, domain), options.Mask), options, faults);
        Mapper = translated;
        Policy = DmaPolicy.Strict;
    }

    IIovaAllocator AddressSource(IGuestView view, CostMeter meter, AllocationFaults faults, IIommuDomain domain)
    {
        switch (options.Addresses)
        {
            case IovaSource.Tree:
                return Tree!;
            case IovaSource.Arenas:
                var arenas = new IovaArenas(Arenas, Math.Min(options.Mask, domain.Limit) >> 12, () => view.Cpu, meter, faults);
                Reserve(arenas.Reserve);
                return arenas;
            default:
                return Iovas!;
        }
    }

    void Reserve(Action<ulong, ulong> reserve)
    {
        reserve(InterruptPages, InterruptPages + 0xFF);
        if (options.BypassWindow != 0)
        {
            reserve(options.BypassWindow >> 12, options.BypassWindow + options.RamEnd - 1 >> 12);
        }
    }

    /// <summary>The DMA API.</summary>
    public IDmaMapper Mapper { get; private set; }

    /// <summary>Accesses of the device that the unit blocked and reported.</summary>
    public ulong Faults { get; private set; }

    /// <summary>Told of each; the device's driver may reset it.</summary>
    public Action<BlockedAccess>? Faulted { get; set; }

    /// <summary>The present policy.</summary>
    public DmaPolicy Policy { get; private set; }

    /// <summary>The mapper of translating policies, or null without a unit.</summary>
    public IommuMapper? Translated => translated;

    /// <summary>The mapper of the software IO TLB while that is the policy, or null.</summary>
    public SwiotlbMapper? Swiotlb { get; private set; }

    /// <summary>Addresses that are handed out, or null without a unit.</summary>
    public IovaMagazines? Iovas { get; }

    /// <summary>The tree below them.</summary>
    public IovaTree? Tree { get; }

    /// <summary>
    /// Changes the policy. False, and nothing changed: it needs a unit that is not there, the unit lacks the feature, memory is
    /// missing, or mappings exist that the new policy could not end.
    /// </summary>
    public bool TrySwitch(DmaPolicy policy)
    {
        var translates = policy >= DmaPolicy.Strict;
        if (translated == null)
        {
            return policy < DmaPolicy.Bypass && TrySwitchUntranslated(policy);
        }

        if (policy < DmaPolicy.Bypass)
        {
            return false;
        }

        var inUse = translated.Live + translated.CoherentBlocks + direct.Live + direct.CoherentBlocks > 0;
        if (translates == Policy >= DmaPolicy.Strict ? !translates && policy != Policy && inUse : inUse)
        {
            return false;
        }

        if (translates)
        {
            if (Policy < DmaPolicy.Strict && !driver!.TryAttach(device, translated.Translations.Domain))
            {
                return false;
            }

            translated.SwitchTo(policy);
            Mapper = translated;
        }
        else if (policy == DmaPolicy.Bypass ? !driver!.TryBypass(device) : !TryIdentity())
        {
            return false;
        }
        else
        {
            Mapper = direct;
        }

        Policy = policy;
        return true;
    }

    void Report(BlockedAccess fault)
    {
        Faults++;
        Faulted?.Invoke(fault);
    }

    bool TrySwitchUntranslated(DmaPolicy policy)
    {
        if (policy == Policy)
        {
            return true;
        }

        if (direct.Live + direct.CoherentBlocks + (Swiotlb?.Live + Swiotlb?.CoherentBlocks ?? 0) > 0)
        {
            return false;
        }

        var made = policy == DmaPolicy.Off ? null : createSwiotlb(policy == DmaPolicy.DynamicSwiotlb);
        if (policy != DmaPolicy.Off && made == null)
        {
            return false;
        }

        Swiotlb?.Close();
        Swiotlb = made;
        Mapper = made ?? (IDmaMapper)direct;
        Policy = policy;
        return true;
    }

    bool TryIdentity()
    {
        identityIsMapped = identityIsMapped || options.RamEnd != 0 && identity!.TryMapVisibly(0, new(0), options.RamEnd, DmaProtection.ReadWrite);
        return identityIsMapped && driver!.TryAttach(device, identity!);
    }
}
