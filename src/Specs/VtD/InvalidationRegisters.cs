namespace Vmm.Specs.VtD;

/// <summary>Granularity of context and IOTLB invalidation requests (CIRG, IIRG and the G field of descriptors).</summary>
public enum InvalidationGranularity
{
    /// <summary>Reserved; as an actual granularity: nothing was invalidated.</summary>
    None = 0,

    /// <summary>Everything.</summary>
    Global = 1,

    /// <summary>One domain.</summary>
    Domain = 2,

    /// <summary>One source (context cache) or pages of one domain (IOTLB).</summary>
    Selective = 3,
}

/// <summary>CCMD_REG, Context Command (VT-d §11.4.6.1).</summary>
public readonly record struct Ccmd(ulong Raw)
{
    /// <summary>Domain id.</summary>
    public ushort DID { get => (ushort)Raw; init => Raw = Bits.SetField(Raw, 0, 16, value); }

    /// <summary>Source id.</summary>
    public ushort SID { get => (ushort)(Raw >> 16); init => Raw = Bits.SetField(Raw, 16, 16, value); }

    /// <summary>Function mask: 1 ignores bit 2 of the function number, 2 bits 2:1, 3 bits 2:0.</summary>
    public int FM { get => (int)Bits.Field(Raw, 32, 2); init => Raw = Bits.SetField(Raw, 32, 2, (ulong)value); }

    /// <summary>Granularity that was carried out.</summary>
    public InvalidationGranularity CAIG
    {
        get => (InvalidationGranularity)Bits.Field(Raw, 59, 2);
        init => Raw = Bits.SetField(Raw, 59, 2, (ulong)value);
    }

    /// <summary>Granularity asked for.</summary>
    public InvalidationGranularity CIRG
    {
        get => (InvalidationGranularity)Bits.Field(Raw, 61, 2);
        init => Raw = Bits.SetField(Raw, 61, 2, (ulong)value);
    }

    /// <summary>Invalidate; clear again when done.</summary>
    public bool ICC { get => Bits.Get(Raw, 63); init => Raw = Bits.Set(Raw, 63, value); }
}

/// <summary>IOTLB_REG, IOTLB Invalidate (VT-d §11.4.6.2).</summary>
public readonly record struct IotlbCommand(ulong Raw)
{
    /// <summary>Domain id.</summary>
    public ushort DID { get => (ushort)(Raw >> 32); init => Raw = Bits.SetField(Raw, 32, 16, value); }

    /// <summary>Drain writes.</summary>
    public bool DW { get => Bits.Get(Raw, 48); init => Raw = Bits.Set(Raw, 48, value); }

    /// <summary>Drain reads.</summary>
    public bool DR { get => Bits.Get(Raw, 49); init => Raw = Bits.Set(Raw, 49, value); }

    /// <summary>Granularity that was carried out.</summary>
    public InvalidationGranularity IAIG
    {
        get => (InvalidationGranularity)Bits.Field(Raw, 57, 2);
        init => Raw = Bits.SetField(Raw, 57, 2, (ulong)value);
    }

    /// <summary>Granularity asked for.</summary>
    public InvalidationGranularity IIRG
    {
        get => (InvalidationGranularity)Bits.Field(Raw, 60, 2);
        init => Raw = Bits.SetField(Raw, 60, 2, (ulong)value);
    }

    /// <summary>Invalidate; clear again when done.</summary>
    public bool IVT { get => Bits.Get(Raw, 63); init => Raw = Bits.Set(Raw, 63, value); }
}

/// <summary>IVA_REG, Invalidate Address (VT-d §11.4.6.3); the high quadword of IOTLB descriptors has the same layout.</summary>
public readonly record struct Iva(ulong Raw)
{
    /// <summary>Page address in bytes.</summary>
    public ulong ADDR { get => Raw & ~0xFFFul; init => Raw = Raw & 0xFFF | value & ~0xFFFul; }

    /// <summary>Address mask: 2^AM pages.</summary>
    public int AM { get => (int)Bits.Field(Raw, 0, 6); init => Raw = Bits.SetField(Raw, 0, 6, (ulong)value); }

    /// <summary>Invalidation hint: only leaf entries were changed.</summary>
    public bool IH { get => Bits.Get(Raw, 6); init => Raw = Bits.Set(Raw, 6, value); }
}

/// <summary>IQA_REG, Invalidation Queue Address (VT-d §11.4.9.3).</summary>
public readonly record struct Iqa(ulong Raw)
{
    /// <summary>Queue address in bytes.</summary>
    public ulong IQA { get => Raw & ~0xFFFul; init => Raw = Raw & 0xFFF | value & ~0xFFFul; }

    /// <summary>Descriptor width: 256 bits rather than 128.</summary>
    public bool DW { get => Bits.Get(Raw, 11); init => Raw = Bits.Set(Raw, 11, value); }

    /// <summary>Queue size: 2^QS pages of 4 KiB.</summary>
    public int QS { get => (int)Bits.Field(Raw, 0, 3); init => Raw = Bits.SetField(Raw, 0, 3, (ulong)value); }

    /// <summary>Bytes in the queue.</summary>
    public uint Bytes => 4096u << QS;

    /// <summary>Bytes in a descriptor.</summary>
    public uint DescriptorBytes => DW ? 32u : 16u;
}

/// <summary>Why the invalidation queue stopped (IQERCD_REG.IQEI).</summary>
public enum QueueErrorInfo
{
    /// <summary>No information.</summary>
    None = 0,

    /// <summary>The tail is beyond the queue.</summary>
    InvalidTail = 1,

    /// <summary>A descriptor could not be fetched.</summary>
    FetchError = 2,

    /// <summary>A descriptor has an unsupported type.</summary>
    InvalidType = 3,

    /// <summary>A descriptor has a reserved field set or an invalid one.</summary>
    ReservedField = 4,

    /// <summary>The descriptor width does not fit the mode or the unit.</summary>
    InvalidWidth = 5,

    /// <summary>The tail is not a multiple of the descriptor width.</summary>
    MisalignedTail = 6,

    /// <summary>The translation table mode is invalid.</summary>
    InvalidTableMode = 7,
}

/// <summary>IQERCD_REG, Invalidation Queue Error Record (VT-d §11.4.9.9).</summary>
public readonly record struct Iqercd(ulong Raw)
{
    /// <summary>Queue error information, valid while FSTS.IQE is set.</summary>
    public QueueErrorInfo IQEI
    {
        get => (QueueErrorInfo)Bits.Field(Raw, 0, 4);
        init => Raw = Bits.SetField(Raw, 0, 4, (ulong)value);
    }

    /// <summary>Source id of the device that did not answer, valid while FSTS.ITE is set.</summary>
    public ushort ITESID { get => (ushort)(Raw >> 32); init => Raw = Bits.SetField(Raw, 32, 16, value); }

    /// <summary>Source id of the device that answered wrongly, valid while FSTS.ICE is set.</summary>
    public ushort ICESID { get => (ushort)(Raw >> 48); init => Raw = Bits.SetField(Raw, 48, 16, value); }
}
