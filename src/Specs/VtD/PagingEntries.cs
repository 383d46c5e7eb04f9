namespace Vmm.Specs.VtD;

/// <summary>Second-stage paging entry, legacy and scalable mode (VT-d §9.8). Level 1 is the 4 KiB page table.</summary>
public readonly record struct SecondStageEntry(ulong Raw)
{
    /// <summary>Bit of <see cref="A"/>.</summary>
    public const ulong AccessedBit = 1 << 8;

    /// <summary>Bit of <see cref="D"/>.</summary>
    public const ulong DirtyBit = 1 << 9;

    /// <summary>Read.</summary>
    public bool R { get => Bits.Get(Raw, 0); init => Raw = Bits.Set(Raw, 0, value); }

    /// <summary>Write.</summary>
    public bool W { get => Bits.Get(Raw, 1); init => Raw = Bits.Set(Raw, 1, value); }

    /// <summary>Page size: a leaf at level 2 or 3.</summary>
    public bool PS { get => Bits.Get(Raw, 7); init => Raw = Bits.Set(Raw, 7, value); }

    /// <summary>Accessed (when enabled).</summary>
    public bool A { get => Bits.Get(Raw, 8); init => Raw = Bits.Set(Raw, 8, value); }

    /// <summary>Dirty (leaves, when enabled).</summary>
    public bool D { get => Bits.Get(Raw, 9); init => Raw = Bits.Set(Raw, 9, value); }

    /// <summary>Snoop (leaves, with ECAP.SC).</summary>
    public bool SNP { get => Bits.Get(Raw, 11); init => Raw = Bits.Set(Raw, 11, value); }

    /// <summary>Address of the table or page, in bytes, below 2^52.</summary>
    public ulong ADDR { get => Raw & 0xF_FFFF_FFFF_F000; init => Raw = Raw & ~0xF_FFFF_FFFF_F000ul | value & 0xF_FFFF_FFFF_F000; }

    /// <summary>True when the entry ends the walk at <paramref name="level"/>.</summary>
    public bool IsLeaf(int level) => level == 1 || PS;

    /// <summary>
    /// Reserved bits at a level: address bits beyond the host's, bit 62, bit 11 except in leaves with snoop control,
    /// PS where no large page exists, and the low address bits of large pages.
    /// </summary>
    /// <param name="level">1 (page table) to 5.</param>
    /// <param name="hostAddressWidth">Host address bits.</param>
    /// <param name="largePages">CAP.SSLPS.</param>
    /// <param name="snoopControl">ECAP.SC.</param>
    public bool HasReserved(int level, int hostAddressWidth, int largePages, bool snoopControl)
    {
        var reserved = 1ul << 62 | 0xF_FFFF_FFFF_F000 & ~Bits.Mask(hostAddressWidth);
        if (!IsLeaf(level) || !snoopControl)
        {
            reserved |= 1ul << 11;
        }

        if (level > 1)
        {
            var large = level <= 3 && (largePages >> level - 2 & 1) != 0;
            reserved |= !large ? 1ul << 7 : PS ? Bits.Mask(12 + 9 * (level - 1)) & ~0xFFFul : 0;
        }

        return (Raw & reserved) != 0;
    }
}

/// <summary>First-stage paging entry, the format of 4- and 5-level paging (VT-d §9.7). Level 1 is the 4 KiB page table.</summary>
public readonly record struct FirstStageEntry(ulong Raw)
{
    /// <summary>Bit of <see cref="A"/>.</summary>
    public const ulong AccessedBit = 1 << 5;

    /// <summary>Bit of <see cref="D"/>.</summary>
    public const ulong DirtyBit = 1 << 6;

    /// <summary>Bit of the extended accessed flag.</summary>
    public const ulong ExtendedAccessedBit = 1 << 10;

    /// <summary>Present.</summary>
    public bool P { get => Bits.Get(Raw, 0); init => Raw = Bits.Set(Raw, 0, value); }

    /// <summary>Read/write.</summary>
    public bool RW { get => Bits.Get(Raw, 1); init => Raw = Bits.Set(Raw, 1, value); }

    /// <summary>User/supervisor: 1 is a user page.</summary>
    public bool US { get => Bits.Get(Raw, 2); init => Raw = Bits.Set(Raw, 2, value); }

    /// <summary>Accessed.</summary>
    public bool A { get => Bits.Get(Raw, 5); init => Raw = Bits.Set(Raw, 5, value); }

    /// <summary>Dirty (leaves).</summary>
    public bool D { get => Bits.Get(Raw, 6); init => Raw = Bits.Set(Raw, 6, value); }

    /// <summary>Page size: a leaf at level 2 or 3.</summary>
    public bool PS { get => Bits.Get(Raw, 7); init => Raw = Bits.Set(Raw, 7, value); }

    /// <summary>Execute disable.</summary>
    public bool XD { get => Bits.Get(Raw, 63); init => Raw = Bits.Set(Raw, 63, value); }

    /// <summary>Address of the table or page, in bytes, below 2^52.</summary>
    public ulong ADDR { get => Raw & 0xF_FFFF_FFFF_F000; init => Raw = Raw & ~0xF_FFFF_FFFF_F000ul | value & 0xF_FFFF_FFFF_F000; }

    /// <summary>True when the entry ends the walk at <paramref name="level"/>.</summary>
    public bool IsLeaf(int level) => level == 1 || level <= 3 && PS;

    /// <summary>
    /// Reserved bits at a level: address bits beyond the host's, XD without NXE, PS where no large page exists, and the
    /// low address bits of large pages (bit 12 of those is PAT).
    /// </summary>
    /// <param name="level">1 (page table) to 5.</param>
    /// <param name="addressWidth">Address bits that entries may use.</param>
    /// <param name="gigabytePages">CAP.FS1GP.</param>
    /// <param name="noExecute">PASID table entry NXE.</param>
    public bool HasReserved(int level, int addressWidth, bool gigabytePages, bool noExecute)
    {
        var reserved = 0xF_FFFF_FFFF_F000 & ~Bits.Mask(addressWidth) | (noExecute ? 0 : 1ul << 63);
        if (level > 1)
        {
            var large = level == 2 || level == 3 && gigabytePages;
            reserved |= !large ? 1ul << 7 : PS ? Bits.Mask(12 + 9 * (level - 1)) & ~0x1FFFul : 0;
        }

        return (Raw & reserved) != 0;
    }
}
