namespace Vmm.Specs.VtD;

/// <summary>CAP_REG, Capability (VT-d §11.4.2).</summary>
public readonly record struct Cap(ulong Raw)
{
    /// <summary>Number of domains: 2^(4 + 2 * ND) domain ids.</summary>
    public int ND { get => (int)Bits.Field(Raw, 0, 3); init => Raw = Bits.SetField(Raw, 0, 3, (ulong)value); }

    /// <summary>Advanced fault logging.</summary>
    public bool AFL { get => Bits.Get(Raw, 3); init => Raw = Bits.Set(Raw, 3, value); }

    /// <summary>Required write-buffer flushing.</summary>
    public bool RWBF { get => Bits.Get(Raw, 4); init => Raw = Bits.Set(Raw, 4, value); }

    /// <summary>Protected low-memory region.</summary>
    public bool PLMR { get => Bits.Get(Raw, 5); init => Raw = Bits.Set(Raw, 5, value); }

    /// <summary>Protected high-memory region.</summary>
    public bool PHMR { get => Bits.Get(Raw, 6); init => Raw = Bits.Set(Raw, 6, value); }

    /// <summary>Caching mode: not-present and erroneous entries may be cached.</summary>
    public bool CM { get => Bits.Get(Raw, 7); init => Raw = Bits.Set(Raw, 7, value); }

    /// <summary>Supported adjusted guest address widths: bit 1 is 39 bits (3 levels), bit 2 is 48 (4), bit 3 is 57 (5).</summary>
    public int SAGAW { get => (int)Bits.Field(Raw, 8, 5); init => Raw = Bits.SetField(Raw, 8, 5, (ulong)value); }

    /// <summary>Maximum guest address width less one, in bits.</summary>
    public int MGAW { get => (int)Bits.Field(Raw, 16, 6); init => Raw = Bits.SetField(Raw, 16, 6, (ulong)value); }

    /// <summary>Zero-length reads of write-only pages are allowed.</summary>
    public bool ZLR { get => Bits.Get(Raw, 22); init => Raw = Bits.Set(Raw, 22, value); }

    /// <summary>Fault-recording register offset, in units of 16 bytes.</summary>
    public int FRO { get => (int)Bits.Field(Raw, 24, 10); init => Raw = Bits.SetField(Raw, 24, 10, (ulong)value); }

    /// <summary>Second-stage large pages: bit 0 is 2 MiB, bit 1 is 1 GiB.</summary>
    public int SSLPS { get => (int)Bits.Field(Raw, 34, 4); init => Raw = Bits.SetField(Raw, 34, 4, (ulong)value); }

    /// <summary>Page-selective invalidation.</summary>
    public bool PSI { get => Bits.Get(Raw, 39); init => Raw = Bits.Set(Raw, 39, value); }

    /// <summary>Number of fault-recording registers less one.</summary>
    public int NFR { get => (int)Bits.Field(Raw, 40, 8); init => Raw = Bits.SetField(Raw, 40, 8, (ulong)value); }

    /// <summary>Maximum address mask value of page-selective invalidations.</summary>
    public int MAMV { get => (int)Bits.Field(Raw, 48, 6); init => Raw = Bits.SetField(Raw, 48, 6, (ulong)value); }

    /// <summary>Write draining.</summary>
    public bool DWD { get => Bits.Get(Raw, 54); init => Raw = Bits.Set(Raw, 54, value); }

    /// <summary>Read draining.</summary>
    public bool DRD { get => Bits.Get(Raw, 55); init => Raw = Bits.Set(Raw, 55, value); }

    /// <summary>First-stage 1 GiB pages.</summary>
    public bool FS1GP { get => Bits.Get(Raw, 56); init => Raw = Bits.Set(Raw, 56, value); }

    /// <summary>Posted interrupts.</summary>
    public bool PI { get => Bits.Get(Raw, 59); init => Raw = Bits.Set(Raw, 59, value); }

    /// <summary>First-stage 5-level paging.</summary>
    public bool FS5LP { get => Bits.Get(Raw, 60); init => Raw = Bits.Set(Raw, 60, value); }

    /// <summary>Enhanced set-interrupt-remap-table-pointer: SIRTP also invalidates the interrupt entry cache.</summary>
    public bool ESIRTPS { get => Bits.Get(Raw, 62); init => Raw = Bits.Set(Raw, 62, value); }

    /// <summary>Enhanced set-root-table-pointer: SRTP also invalidates all translation caches.</summary>
    public bool ESRTPS { get => Bits.Get(Raw, 63); init => Raw = Bits.Set(Raw, 63, value); }
}
