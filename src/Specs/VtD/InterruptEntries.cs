namespace Vmm.Specs.VtD;

/// <summary>Source-id verification of an interrupt remapping entry.</summary>
public enum SourceValidation
{
    /// <summary>None.</summary>
    None = 0,

    /// <summary>The requester must equal SID in the bits that SQ selects.</summary>
    RequesterId = 1,

    /// <summary>The requester's bus must be within SID 15:8 to SID 7:0.</summary>
    BusRange = 2,

    /// <summary>Reserved encoding.</summary>
    Reserved = 3,
}

/// <summary>Interrupt remapping table entry, 128 bits, remapped or posted (VT-d §9.9, §9.10).</summary>
public readonly record struct Irte(ulong Low, ulong High)
{
    /// <summary>Bytes of an entry.</summary>
    public const int Size = 16;

    /// <summary>Present.</summary>
    public bool P { get => Bits.Get(Low, 0); init => Low = Bits.Set(Low, 0, value); }

    /// <summary>Fault processing disable.</summary>
    public bool FPD { get => Bits.Get(Low, 1); init => Low = Bits.Set(Low, 1, value); }

    /// <summary>Destination mode: logical.</summary>
    public bool DM { get => Bits.Get(Low, 2); init => Low = Bits.Set(Low, 2, value); }

    /// <summary>Redirection hint.</summary>
    public bool RH { get => Bits.Get(Low, 3); init => Low = Bits.Set(Low, 3, value); }

    /// <summary>Trigger mode: level.</summary>
    public bool TM { get => Bits.Get(Low, 4); init => Low = Bits.Set(Low, 4, value); }

    /// <summary>Delivery mode.</summary>
    public int DLM { get => (int)Bits.Field(Low, 5, 3); init => Low = Bits.SetField(Low, 5, 3, (ulong)value); }

    /// <summary>Urgent (posted): notify even while notifications are suppressed.</summary>
    public bool URG { get => Bits.Get(Low, 14); init => Low = Bits.Set(Low, 14, value); }

    /// <summary>Mode: posted.</summary>
    public bool IM { get => Bits.Get(Low, 15); init => Low = Bits.Set(Low, 15, value); }

    /// <summary>Vector (virtual vector when posted).</summary>
    public byte V { get => (byte)(Low >> 16); init => Low = Bits.SetField(Low, 16, 8, value); }

    /// <summary>Destination: 32-bit APIC id in extended mode, else the 8-bit id in bits 15:8.</summary>
    public uint DST { get => (uint)(Low >> 32); init => Low = Bits.SetField(Low, 32, 32, value); }

    /// <summary>Posted interrupt descriptor address, 64-byte aligned: bits 31:6 from PDAL, 63:32 from PDAH.</summary>
    public ulong PDA
    {
        get => Low >> 32 & 0xFFFF_FFC0 | High & 0xFFFF_FFFF_0000_0000;
        init
        {
            Low = Bits.SetField(Low, 38, 26, value >> 6);
            High = Bits.SetField(High, 32, 32, value >> 32);
        }
    }

    /// <summary>Source id.</summary>
    public ushort SID { get => (ushort)High; init => High = Bits.SetField(High, 0, 16, value); }

    /// <summary>Source-id qualifier: 0 compares all bits, 1 ignores bit 2, 2 ignores 2:1, 3 ignores 2:0.</summary>
    public int SQ { get => (int)Bits.Field(High, 16, 2); init => High = Bits.SetField(High, 16, 2, (ulong)value); }

    /// <summary>Source validation type.</summary>
    public SourceValidation SVT
    {
        get => (SourceValidation)Bits.Field(High, 18, 2);
        init => High = Bits.SetField(High, 18, 2, (ulong)value);
    }

    /// <summary>True when a reserved field is set, in extended interrupt mode or not, with posting supported or not.</summary>
    public bool HasReserved(bool extended, bool posting)
    {
        if (SVT == SourceValidation.Reserved)
        {
            return true;
        }

        if (!IM)
        {
            return (Low & (0xFF00_7000 | (extended ? 0 : 0xFFFF_00FF_0000_0000))) != 0 || High >> 20 != 0;
        }

        return !posting || (Low & 0x3F_FF00_30FC) != 0 || Bits.Field(High, 20, 12) != 0;
    }
}

/// <summary>Remappable format of an interrupt request (VT-d §5.1.2.2).</summary>
public readonly record struct RemappableMessage(ulong Address, uint Data)
{
    /// <summary>Interrupt format: remappable rather than compatibility.</summary>
    public bool IsRemappable => Bits.Get(Address, 4);

    /// <summary>Sub-handle valid.</summary>
    public bool SHV => Bits.Get(Address, 3);

    /// <summary>16-bit handle.</summary>
    public int Handle => (int)(Bits.Field(Address, 5, 15) | Bits.Field(Address, 2, 1) << 15);

    /// <summary>Index into the table, up to 17 bits.</summary>
    public int Index => Handle + (SHV ? (int)(Data & 0xFFFF) : 0);

    /// <summary>True when a reserved field is set.</summary>
    public bool HasReserved => Data >> 16 != 0;
}

/// <summary>Second 256 bits of a posted interrupt descriptor; the first are the requests (VT-d §9.11).</summary>
public readonly record struct PostedControl(ulong Raw)
{
    /// <summary>Bytes of a descriptor.</summary>
    public const int DescriptorSize = 64;

    /// <summary>Offset of this word in the descriptor.</summary>
    public const int Offset = 32;

    /// <summary>Outstanding notification.</summary>
    public bool ON { get => Bits.Get(Raw, 0); init => Raw = Bits.Set(Raw, 0, value); }

    /// <summary>Suppress notification.</summary>
    public bool SN { get => Bits.Get(Raw, 1); init => Raw = Bits.Set(Raw, 1, value); }

    /// <summary>Notification vector.</summary>
    public byte NV { get => (byte)(Raw >> 16); init => Raw = Bits.SetField(Raw, 16, 8, value); }

    /// <summary>Notification destination: 32-bit APIC id in extended mode, else the 8-bit id in bits 15:8.</summary>
    public uint NDST { get => (uint)(Raw >> 32); init => Raw = Bits.SetField(Raw, 32, 32, value); }

    /// <summary>True when a reserved field of this word is set.</summary>
    public bool HasReserved(bool extended) => (Raw & (0xFF00_FFFC | (extended ? 0 : 0xFFFF_00FF_0000_0000))) != 0;
}
