using Vmm.Platform.Dma;

namespace Vmm.Iommu;

/// <summary>Named sets of capabilities.</summary>
public enum VtdProfile
{
    /// <summary>Legacy mode with the capability words that QEMU has by default.</summary>
    Legacy,

    /// <summary>Legacy and scalable mode, PASIDs, nesting, device-TLBs, page requests and posted interrupts.</summary>
    Scalable,

    /// <summary>Everything of <see cref="Scalable"/>, 57-bit addresses, protected memory, caching mode and the missing-invalidation detector.</summary>
    Strict,
}

/// <summary>Departures from the specification that QEMU makes and that some guests rely on. The default is none.</summary>
[Flags]
public enum VtdHabits
{
    /// <summary>The specification.</summary>
    None = 0,

    /// <summary>Messages of the IOAPIC (<see cref="VtdOptions.IoapicRequester"/>) skip source-id verification.</summary>
    IoapicSourceIdUnverified = 1,

    /// <summary>Compatibility format interrupts pass, whatever CFIS and EIME say.</summary>
    CompatibilityFormatPasses = 2,

    /// <summary>Reserved fields of present interrupt remapping entries are ignored.</summary>
    IrteReservedIgnored = 4,

    /// <summary>GCMD.TE and GCMD.IRE are accepted before the table pointers were set.</summary>
    EnableWithoutPointer = 8,
}

/// <summary>How one remapping unit is built. A null capability takes the profile's value.</summary>
public sealed record VtdOptions
{
    /// <summary>Name for reports and the snapshot section.</summary>
    public string Name { get; init; } = "vtd0";

    /// <summary>Profile that the other values refine.</summary>
    public VtdProfile Profile { get; init; }

    /// <summary>Departures from the specification.</summary>
    public VtdHabits Habits { get; init; }

    /// <summary>Requester id of the IOAPIC's messages, as the DMAR table's scope names it.</summary>
    public Bdf IoapicRequester { get; init; } = new(0xFF, 0, 0);

    /// <summary>Host address width in bits (DMAR table, HAW): 36 to 52.</summary>
    public int HostAddressWidth { get; init; } = 48;

    /// <summary>Widest second-stage input address in bits: 39, 48 or 57.</summary>
    public int? AddressWidth { get; init; }

    /// <summary>CAP.CM.</summary>
    public bool? CachingMode { get; init; }

    /// <summary>ECAP.C and, in scalable mode, ECAP.SMPWCS.</summary>
    public bool? CoherentWalks { get; init; }

    /// <summary>ECAP.IR.</summary>
    public bool? InterruptRemapping { get; init; }

    /// <summary>ECAP.EIM.</summary>
    public bool? ExtendedInterruptMode { get; init; }

    /// <summary>ECAP.DT, and with it ECAP.PRS in scalable mode.</summary>
    public bool? DeviceTlb { get; init; }

    /// <summary>ECAP.SC.</summary>
    public bool? SnoopControl { get; init; }

    /// <summary>ECAP.PT.</summary>
    public bool? PassThrough { get; init; }

    /// <summary>CAP.PI.</summary>
    public bool? PostedInterrupts { get; init; }

    /// <summary>Fault-recording registers: 1 to 128.</summary>
    public int? FaultRecords { get; init; }

    /// <summary>Further faults of a source whose record is still pending are dropped (VT-d §7.2.1).</summary>
    public bool? FaultCompression { get; init; }

    /// <summary>Every cache hit is compared with the tables.</summary>
    public bool? DetectMissingInvalidations { get; init; }

    /// <summary>IOTLB entries for 4 KiB pages: a power of two from 64 to 65536; large pages have an eighth of that.</summary>
    public int IotlbEntries { get; init; } = 4096;

    /// <summary>Entries of the context cache, the PASID cache, the interrupt entry cache and the paging-structure caches: a power of two from 16 to 4096.</summary>
    public int CacheEntries { get; init; } = 1024;

    /// <summary>Checks every value.</summary>
    /// <exception cref="ArgumentException">A value is invalid; the message names it.</exception>
    public void Validate()
    {
        Check(Name.Length > 0, nameof(Name), Name, "a name");
        Check(Enum.IsDefined(Profile), nameof(Profile), Profile, "a known profile");
        Check(HostAddressWidth is >= 36 and <= 52, nameof(HostAddressWidth), HostAddressWidth, "36 to 52");
        Check(AddressWidth is null or 39 or 48 or 57, nameof(AddressWidth), AddressWidth, "39, 48 or 57");
        Check(FaultRecords is null or (>= 1 and <= 128), nameof(FaultRecords), FaultRecords, "1 to 128");
        Check(IsPower(IotlbEntries, 64, 65536), nameof(IotlbEntries), IotlbEntries, "a power of two from 64 to 65536");
        Check(IsPower(CacheEntries, 16, 4096), nameof(CacheEntries), CacheEntries, "a power of two from 16 to 4096");
    }

    static bool IsPower(int value, int least, int most) => value >= least && value <= most && (value & (value - 1)) == 0;

    static void Check(bool valid, string field, object? value, string expected)
    {
        if (!valid)
        {
            throw new ArgumentException($"iommu {field}: {value} is not {expected}", field);
        }
    }
}
