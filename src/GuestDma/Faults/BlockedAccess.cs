using Vmm.Platform.Dma;

namespace Vmm.GuestDma.Faults;

/// <summary>Why an access of a device was blocked.</summary>
public enum BlockCause
{
    /// <summary>The address is not mapped, or not with that right.</summary>
    Mapping,

    /// <summary>The address is beyond what the unit translates.</summary>
    Range,

    /// <summary>The device is in no domain.</summary>
    Device,

    /// <summary>A table is damaged, or something that this driver does not use.</summary>
    Other,
}

/// <summary>An access of a device that the unit blocked and told the driver of.</summary>
/// <param name="Device">Who made it.</param>
/// <param name="Address">Where; the first byte of the page where the unit tells no more.</param>
/// <param name="IsWrite">It was a write.</param>
/// <param name="Kind">Why.</param>
/// <param name="Code">The unit's own code for why.</param>
public readonly record struct BlockedAccess(Bdf Device, ulong Address, bool IsWrite, BlockCause Kind, byte Code);

/// <summary>Faults that a driver read from its unit, and who wants to know of them.</summary>
public sealed class FaultReports
{
    /// <summary>Faults that are kept.</summary>
    public const int Kept = 64;

    readonly BlockedAccess[] last = new BlockedAccess[Kept];
    readonly Dictionary<Bdf, Action<BlockedAccess>> owners = [];

    /// <summary>Faults that were reported.</summary>
    public ulong Total { get; private set; }

    /// <summary>Times that the unit had no room for more: an unknown number of faults is missing.</summary>
    public ulong Overflows { get; private set; }

    /// <summary>Faults of devices that nobody owns.</summary>
    public ulong Unclaimed { get; private set; }

    /// <summary>The last faults, oldest first.</summary>
    public IEnumerable<BlockedAccess> Last
    {
        get
        {
            for (var i = Total > Kept ? Total - Kept : 0; i < Total; i++)
            {
                yield return last[i % Kept];
            }
        }
    }

    /// <summary>Names who is told of a device's faults.</summary>
    public void Own(Bdf device, Action<BlockedAccess> owner) => owners[device] = owner;

    /// <summary>Passes a fault on.</summary>
    public void Add(in BlockedAccess fault)
    {
        last[Total++ % Kept] = fault;
        if (owners.TryGetValue(fault.Device, out var owner))
        {
            owner(fault);
        }
        else
        {
            Unclaimed++;
        }
    }

    /// <summary>Notes that faults are missing.</summary>
    public void AddOverflow() => Overflows++;
}
