namespace Vmm.Specs.VtD;

/// <summary>Types of invalidation queue descriptors (VT-d §6.5.2).</summary>
public enum InvalidationType
{
    /// <summary>Context cache.</summary>
    ContextCache = 1,

    /// <summary>IOTLB.</summary>
    Iotlb = 2,

    /// <summary>Device-TLB.</summary>
    DeviceTlb = 3,

    /// <summary>Interrupt entry cache.</summary>
    InterruptEntryCache = 4,

    /// <summary>Wait.</summary>
    Wait = 5,

    /// <summary>PASID-based IOTLB.</summary>
    PasidIotlb = 6,

    /// <summary>PASID cache.</summary>
    PasidCache = 7,

    /// <summary>PASID-based device-TLB.</summary>
    PasidDeviceTlb = 8,

    /// <summary>Page group response.</summary>
    PageGroupResponse = 9,
}

/// <summary>An invalidation queue descriptor: its lower 128 bits; in the 256-bit format the rest is reserved (VT-d §6.5.2).</summary>
public readonly record struct InvalidationDescriptor(ulong Low, ulong High)
{
    /// <summary>Type: bits 3:0, extended by bits 11:9.</summary>
    public InvalidationType Type
    {
        get => (InvalidationType)(Low & 0xF | Low >> 5 & 0x70);
        init => Low = Bits.SetField(Bits.SetField(Low, 0, 4, (ulong)value), 9, 3, (ulong)value >> 4);
    }

    /// <summary>Granularity of types 1, 2, 6 and 7.</summary>
    public int G { get => (int)Bits.Field(Low, 4, 2); init => Low = Bits.SetField(Low, 4, 2, (ulong)value); }

    /// <summary>IOTLB: writes of devices are drained before it is complete (VT-d §6.5.2.3).</summary>
    public bool DW { get => Bits.Get(Low, 6); init => Low = Bits.Set(Low, 6, value); }

    /// <summary>IOTLB: reads of devices are drained before it is complete.</summary>
    public bool DR { get => Bits.Get(Low, 7); init => Low = Bits.Set(Low, 7, value); }

    /// <summary>Domain id of types 1, 2, 6 and 7.</summary>
    public ushort DID { get => (ushort)(Low >> 16); init => Low = Bits.SetField(Low, 16, 16, value); }

    /// <summary>PASID of types 6 to 9.</summary>
    public uint PASID { get => (uint)Bits.Field(Low, 32, 20); init => Low = Bits.SetField(Low, 32, 20, value); }

    /// <summary>Source id of types 1 and 3.</summary>
    public ushort SID { get => (ushort)(Low >> 32); init => Low = Bits.SetField(Low, 32, 16, value); }

    /// <summary>Source id of types 8 and 9, which have it in bits 31:16.</summary>
    public ushort LowSID { get => (ushort)(Low >> 16); init => Low = Bits.SetField(Low, 16, 16, value); }

    /// <summary>Function mask of type 1.</summary>
    public int FM { get => (int)Bits.Field(Low, 48, 2); init => Low = Bits.SetField(Low, 48, 2, (ulong)value); }

    /// <summary>Address, mask and hint of types 2 and 6.</summary>
    public Iva Target { get => new(High); init => High = value.Raw; }

    /// <summary>Index-selective rather than global, of type 4.</summary>
    public bool IsIndexSelective { get => Bits.Get(Low, 4); init => Low = Bits.Set(Low, 4, value); }

    /// <summary>Index mask of type 4: 2^IM entries.</summary>
    public int IM { get => (int)Bits.Field(Low, 27, 5); init => Low = Bits.SetField(Low, 27, 5, (ulong)value); }

    /// <summary>Interrupt index of type 4.</summary>
    public ushort IIDX { get => (ushort)(Low >> 32); init => Low = Bits.SetField(Low, 32, 16, value); }

    /// <summary>Interrupt flag of type 5.</summary>
    public bool IF { get => Bits.Get(Low, 4); init => Low = Bits.Set(Low, 4, value); }

    /// <summary>Status write of type 5.</summary>
    public bool SW { get => Bits.Get(Low, 5); init => Low = Bits.Set(Low, 5, value); }

    /// <summary>Fence of type 5.</summary>
    public bool FN { get => Bits.Get(Low, 6); init => Low = Bits.Set(Low, 6, value); }

    /// <summary>Page-request drain of type 5.</summary>
    public bool PD { get => Bits.Get(Low, 7); init => Low = Bits.Set(Low, 7, value); }

    /// <summary>Status data of type 5.</summary>
    public uint StatusData { get => (uint)(Low >> 32); init => Low = Bits.SetField(Low, 32, 32, value); }

    /// <summary>Status address of type 5, in bytes.</summary>
    public ulong StatusAddress { get => High & ~3ul; init => High = value & ~3ul; }

    /// <summary>Size bit of type 3 (bit 0 of the high quadword); type 8 has it in bit 11.</summary>
    public bool S => Bits.Get(High, Type == InvalidationType.PasidDeviceTlb ? 11 : 0);

    /// <summary>Global bit of type 8: whatever the PASID.</summary>
    public bool IsGlobal { get => Bits.Get(High, 0); init => High = Bits.Set(High, 0, value); }

    /// <summary>PASID present, of type 9.</summary>
    public bool PP { get => Bits.Get(Low, 4); init => Low = Bits.Set(Low, 4, value); }

    /// <summary>Response code of type 9.</summary>
    public byte RC { get => (byte)Bits.Field(Low, 12, 4); init => Low = Bits.SetField(Low, 12, 4, value); }

    /// <summary>Page request group index of type 9.</summary>
    public ushort PRGI { get => (ushort)Bits.Field(High, 3, 9); init => High = Bits.SetField(High, 3, 9, value); }

    /// <summary>True when a reserved field is set. Drain bits need no reservation; PD is reserved without ECAP.PDS.</summary>
    public bool HasReserved(Ecap ecap) => Type switch
    {
        InvalidationType.ContextCache => Any(0xFFFC_0000_0000_F1C0, ulong.MaxValue),
        InvalidationType.Iotlb => Any(0xFFFF_FFFF_0000_F100, 0xF80),
        InvalidationType.DeviceTlb => Any(0x000F_0000_FFE0_01F0, 0xFFE),
        InvalidationType.InterruptEntryCache => Any(0xFFFF_0000_07FF_F1E0, ulong.MaxValue),
        InvalidationType.Wait => Any(0xFFFF_F100 | (ecap.PDS ? 0 : 0x80ul), 3),
        InvalidationType.PasidIotlb => Any(0xFFF0_0000_0000_F1C0, 0xF80),
        InvalidationType.PasidCache => Any(0xFFF0_0000_0000_F1C0, ulong.MaxValue),
        InvalidationType.PasidDeviceTlb => Any(0, 0x7FE),
        InvalidationType.PageGroupResponse => Any(0xFFF0_0000_0000_01E0, 0xFFFF_FFFF_FFFF_F003),
        _ => false,
    };

    bool Any(ulong low, ulong high) => (Low & low & ~0xE00ul) != 0 || (High & high) != 0;
}
