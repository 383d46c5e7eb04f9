namespace Vmm.Specs.VtD;

/// <summary>Page request descriptor: the lower 128 of 256 bits; the rest is private data, not used (VT-d §7.4.1.1).</summary>
public readonly record struct PageRequestDescriptor(ulong Low, ulong High)
{
    /// <summary>Bytes of a descriptor.</summary>
    public const int Size = 32;

    /// <summary>Type of page_req_dsc.</summary>
    public const ulong PageRequestType = 1;

    /// <summary>Descriptor type.</summary>
    public byte Type { get => (byte)Low; init => Low = Bits.SetField(Low, 0, 8, value); }

    /// <summary>PASID present.</summary>
    public bool PP { get => Bits.Get(Low, 8); init => Low = Bits.Set(Low, 8, value); }

    /// <summary>Requester id.</summary>
    public ushort RID { get => (ushort)(Low >> 16); init => Low = Bits.SetField(Low, 16, 16, value); }

    /// <summary>PASID.</summary>
    public uint PASID { get => (uint)Bits.Field(Low, 32, 20); init => Low = Bits.SetField(Low, 32, 20, value); }

    /// <summary>Execute requested.</summary>
    public bool EXR { get => Bits.Get(Low, 52); init => Low = Bits.Set(Low, 52, value); }

    /// <summary>Privileged mode requested.</summary>
    public bool PMR { get => Bits.Get(Low, 53); init => Low = Bits.Set(Low, 53, value); }

    /// <summary>Read requested.</summary>
    public bool RDR { get => Bits.Get(High, 0); init => High = Bits.Set(High, 0, value); }

    /// <summary>Write requested.</summary>
    public bool WRR { get => Bits.Get(High, 1); init => High = Bits.Set(High, 1, value); }

    /// <summary>Last page in group.</summary>
    public bool LPIG { get => Bits.Get(High, 2); init => High = Bits.Set(High, 2, value); }

    /// <summary>Page request group index.</summary>
    public ushort PRGI { get => (ushort)Bits.Field(High, 3, 9); init => High = Bits.SetField(High, 3, 9, value); }

    /// <summary>Page address in bytes.</summary>
    public ulong ADDR { get => High & ~0xFFFul; init => High = High & 0xFFF | value & ~0xFFFul; }
}
