namespace Vmm.Specs.VtD;

/// <summary>Half of a scalable-mode root entry: the low one serves devices 0 to 15, the high one 16 to 31 (VT-d §9.2).</summary>
public readonly record struct ScalableRootHalf(ulong Raw)
{
    /// <summary>Bytes of a half.</summary>
    public const int Size = 8;

    /// <summary>Present (LP or UP).</summary>
    public bool P { get => Bits.Get(Raw, 0); init => Raw = Bits.Set(Raw, 0, value); }

    /// <summary>Context table pointer in bytes (LCTP or UCTP).</summary>
    public ulong CTP { get => Raw & ~0xFFFul; init => Raw = Raw & 0xFFF | value & ~0xFFFul; }

    /// <summary>True when a reserved field is set on a host of that many address bits.</summary>
    public bool HasReserved(int hostAddressWidth) => (Raw & (0xFFE | ~Bits.Mask(hostAddressWidth))) != 0;
}

/// <summary>Scalable-mode context entry, 256 bits of which the upper 128 are reserved (VT-d §9.4).</summary>
public readonly record struct ScalableContextEntry(ulong Low, ulong High)
{
    /// <summary>Bytes of an entry.</summary>
    public const int Size = 32;

    /// <summary>Present.</summary>
    public bool P { get => Bits.Get(Low, 0); init => Low = Bits.Set(Low, 0, value); }

    /// <summary>Fault processing disable.</summary>
    public bool FPD { get => Bits.Get(Low, 1); init => Low = Bits.Set(Low, 1, value); }

    /// <summary>Device-TLB enable.</summary>
    public bool DTE { get => Bits.Get(Low, 2); init => Low = Bits.Set(Low, 2, value); }

    /// <summary>PASID enable.</summary>
    public bool PASIDE { get => Bits.Get(Low, 3); init => Low = Bits.Set(Low, 3, value); }

    /// <summary>Page request enable.</summary>
    public bool PRE { get => Bits.Get(Low, 4); init => Low = Bits.Set(Low, 4, value); }

    /// <summary>PASID directory size: 2^(PDTS + 7) entries.</summary>
    public int PDTS { get => (int)Bits.Field(Low, 9, 3); init => Low = Bits.SetField(Low, 9, 3, (ulong)value); }

    /// <summary>PASIDs that the directory covers.</summary>
    public uint PasidLimit => 1u << PDTS + 7 + 6;

    /// <summary>PASID directory pointer in bytes.</summary>
    public ulong PASIDDIRPTR { get => Low & ~0xFFFul; init => Low = Low & 0xFFF | value & ~0xFFFul; }

    /// <summary>PASID of requests without PASID.</summary>
    public uint RID_PASID { get => (uint)Bits.Field(High, 0, 20); init => High = Bits.SetField(High, 0, 20, value); }

    /// <summary>Requests without PASID are privileged.</summary>
    public bool RID_PRIV { get => Bits.Get(High, 20); init => High = Bits.Set(High, 20, value); }

    /// <summary>True when a reserved field of the lower 128 bits is set.</summary>
    public bool HasReserved(int hostAddressWidth, Ecap ecap) =>
        (Low & (0x1E0 | ~Bits.Mask(hostAddressWidth))) != 0 || (High & ~0x1F_FFFFul) != 0 ||
        RID_PASID != 0 && !ecap.RPS || RID_PRIV && !ecap.RPRIVS;
}

/// <summary>Scalable-mode PASID directory entry (VT-d §9.5).</summary>
public readonly record struct PasidDirectoryEntry(ulong Raw)
{
    /// <summary>Bytes of an entry.</summary>
    public const int Size = 8;

    /// <summary>Present.</summary>
    public bool P { get => Bits.Get(Raw, 0); init => Raw = Bits.Set(Raw, 0, value); }

    /// <summary>Fault processing disable.</summary>
    public bool FPD { get => Bits.Get(Raw, 1); init => Raw = Bits.Set(Raw, 1, value); }

    /// <summary>PASID table pointer in bytes.</summary>
    public ulong SMPTBLPTR { get => Raw & ~0xFFFul; init => Raw = Raw & 0xFFF | value & ~0xFFFul; }

    /// <summary>True when a reserved field is set on a host of that many address bits.</summary>
    public bool HasReserved(int hostAddressWidth) => (Raw & (0xFFC | ~Bits.Mask(hostAddressWidth))) != 0;
}

/// <summary>PASID-granular translation type.</summary>
public enum PasidTranslationType
{
    /// <summary>First stage only.</summary>
    FirstStage = 1,

    /// <summary>Second stage only.</summary>
    SecondStage = 2,

    /// <summary>First stage nested on the second.</summary>
    Nested = 3,

    /// <summary>Pass-through.</summary>
    PassThrough = 4,
}

/// <summary>Scalable-mode PASID table entry: the lower 192 of 512 bits, the rest is reserved (VT-d §9.6).</summary>
public readonly record struct PasidTableEntry(ulong Q0, ulong Q1, ulong Q2)
{
    /// <summary>Bytes of an entry.</summary>
    public const int Size = 64;

    /// <summary>Present.</summary>
    public bool P { get => Bits.Get(Q0, 0); init => Q0 = Bits.Set(Q0, 0, value); }

    /// <summary>Fault processing disable.</summary>
    public bool FPD { get => Bits.Get(Q0, 1); init => Q0 = Bits.Set(Q0, 1, value); }

    /// <summary>Second-stage address width: 1 is 39 bits (3 levels), 2 is 48 (4), 3 is 57 (5).</summary>
    public int AW { get => (int)Bits.Field(Q0, 2, 3); init => Q0 = Bits.SetField(Q0, 2, 3, (ulong)value); }

    /// <summary>PASID-granular translation type.</summary>
    public PasidTranslationType PGTT
    {
        get => (PasidTranslationType)Bits.Field(Q0, 6, 3);
        init => Q0 = Bits.SetField(Q0, 6, 3, (ulong)value);
    }

    /// <summary>Second-stage accessed and dirty enable.</summary>
    public bool SSADE { get => Bits.Get(Q0, 9); init => Q0 = Bits.Set(Q0, 9, value); }

    /// <summary>Second-stage page-table pointer in bytes.</summary>
    public ulong SSPTPTR { get => Q0 & ~0xFFFul; init => Q0 = Q0 & 0xFFF | value & ~0xFFFul; }

    /// <summary>Domain id.</summary>
    public ushort DID { get => (ushort)Q1; init => Q1 = Bits.SetField(Q1, 0, 16, value); }

    /// <summary>Page-walk snoop.</summary>
    public bool PWSNP { get => Bits.Get(Q1, 23); init => Q1 = Bits.Set(Q1, 23, value); }

    /// <summary>Page snoop.</summary>
    public bool PGSNP { get => Bits.Get(Q1, 24); init => Q1 = Bits.Set(Q1, 24, value); }

    /// <summary>Supervisor request enable.</summary>
    public bool SRE { get => Bits.Get(Q2, 0); init => Q2 = Bits.Set(Q2, 0, value); }

    /// <summary>Execute request enable.</summary>
    public bool ERE { get => Bits.Get(Q2, 1); init => Q2 = Bits.Set(Q2, 1, value); }

    /// <summary>First-stage paging mode: 0 is 4 levels, 1 is 5.</summary>
    public int FSPM { get => (int)Bits.Field(Q2, 2, 2); init => Q2 = Bits.SetField(Q2, 2, 2, (ulong)value); }

    /// <summary>Write protect enable: read-only pages also bind privileged requests.</summary>
    public bool WPE { get => Bits.Get(Q2, 4); init => Q2 = Bits.Set(Q2, 4, value); }

    /// <summary>No-execute enable.</summary>
    public bool NXE { get => Bits.Get(Q2, 5); init => Q2 = Bits.Set(Q2, 5, value); }

    /// <summary>Supervisor-mode execute prevention.</summary>
    public bool SMEP { get => Bits.Get(Q2, 6); init => Q2 = Bits.Set(Q2, 6, value); }

    /// <summary>Extended accessed flag enable.</summary>
    public bool EAFE { get => Bits.Get(Q2, 7); init => Q2 = Bits.Set(Q2, 7, value); }

    /// <summary>First-stage page-table pointer in bytes.</summary>
    public ulong FSPTPTR { get => Q2 & ~0xFFFul; init => Q2 = Q2 & 0xFFF | value & ~0xFFFul; }

    /// <summary>
    /// True when a reserved field is set, or one that the unit does not support. Memory-type fields (CD, EMTE, EMT, PWT,
    /// PCD, PAT) are ignored, as they are by units without memory-type support.
    /// </summary>
    public bool HasReserved(int hostAddressWidth, int domainBits, Ecap ecap)
    {
        var reserved0 = 0xC20 | ~Bits.Mask(hostAddressWidth) | (ecap.SSADS ? 0 : 1ul << 9);
        var reserved1 = 0x7F_0000 | ~Bits.Mask(domainBits) & 0xFFFF | (ecap.SMPWCS ? 0 : 1ul << 23) | (ecap.SC ? 0 : 1ul << 24);
        var reserved2 = 0xF00 | (ecap.SRS ? 0 : 0x51ul) | (ecap.ERS ? 0 : 2ul) | (ecap.EAFS ? 0 : 1ul << 7);
        return (Q0 & reserved0) != 0 || (Q1 & reserved1) != 0 || (Q2 & reserved2) != 0;
    }
}
