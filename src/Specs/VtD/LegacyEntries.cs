namespace Vmm.Specs.VtD;

/// <summary>Legacy-mode root entry, 128 bits (VT-d §9.1).</summary>
public readonly record struct RootEntry(ulong Low, ulong High)
{
    /// <summary>Bytes of an entry.</summary>
    public const int Size = 16;

    /// <summary>Present.</summary>
    public bool P { get => Bits.Get(Low, 0); init => Low = Bits.Set(Low, 0, value); }

    /// <summary>Context table pointer in bytes.</summary>
    public ulong CTP { get => Low & ~0xFFFul; init => Low = Low & 0xFFF | value & ~0xFFFul; }

    /// <summary>True when a reserved field is set on a host of that many address bits.</summary>
    public bool HasReserved(int hostAddressWidth) => (Low & (0xFFE | ~Bits.Mask(hostAddressWidth)) | High) != 0;
}

/// <summary>Translation type of a legacy context entry.</summary>
public enum TranslationType
{
    /// <summary>Untranslated requests use the second stage; device-TLB requests are blocked.</summary>
    SecondStage = 0,

    /// <summary>Untranslated requests use the second stage; device-TLB requests are allowed.</summary>
    SecondStageWithDeviceTlb = 1,

    /// <summary>Untranslated requests pass through; device-TLB requests are blocked.</summary>
    PassThrough = 2,

    /// <summary>Reserved encoding.</summary>
    Reserved = 3,
}

/// <summary>Legacy-mode context entry, 128 bits (VT-d §9.3).</summary>
public readonly record struct ContextEntry(ulong Low, ulong High)
{
    /// <summary>Bytes of an entry.</summary>
    public const int Size = 16;

    /// <summary>Present.</summary>
    public bool P { get => Bits.Get(Low, 0); init => Low = Bits.Set(Low, 0, value); }

    /// <summary>Fault processing disable.</summary>
    public bool FPD { get => Bits.Get(Low, 1); init => Low = Bits.Set(Low, 1, value); }

    /// <summary>Translation type.</summary>
    public TranslationType TT
    {
        get => (TranslationType)Bits.Field(Low, 2, 2);
        init => Low = Bits.SetField(Low, 2, 2, (ulong)value);
    }

    /// <summary>Second-stage page-table pointer in bytes.</summary>
    public ulong SSPTPTR { get => Low & ~0xFFFul; init => Low = Low & 0xFFF | value & ~0xFFFul; }

    /// <summary>Address width: 1 is 39 bits (3 levels), 2 is 48 (4), 3 is 57 (5).</summary>
    public int AW { get => (int)Bits.Field(High, 0, 3); init => High = Bits.SetField(High, 0, 3, (ulong)value); }

    /// <summary>Domain id.</summary>
    public ushort DID { get => (ushort)(High >> 8); init => High = Bits.SetField(High, 8, 16, value); }

    /// <summary>True when a reserved field is set on a host of that many address bits and a unit of that many domain-id bits.</summary>
    public bool HasReserved(int hostAddressWidth, int domainBits) =>
        (Low & (0xFF0 | ~Bits.Mask(hostAddressWidth))) != 0 ||
        (High & (0xFFFF_FFFF_FF00_0080 | ~Bits.Mask(domainBits) << 8)) != 0;
}
