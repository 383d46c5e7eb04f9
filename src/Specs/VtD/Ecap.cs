namespace Vmm.Specs.VtD;

/// <summary>ECAP_REG, Extended Capability (VT-d §11.4.3).</summary>
public readonly record struct Ecap(ulong Raw)
{
    /// <summary>Page-walk coherency: the unit snoops processor caches when it reads legacy-mode structures.</summary>
    public bool C { get => Bits.Get(Raw, 0); init => Raw = Bits.Set(Raw, 0, value); }

    /// <summary>Queued invalidation.</summary>
    public bool QI { get => Bits.Get(Raw, 1); init => Raw = Bits.Set(Raw, 1, value); }

    /// <summary>Device-TLBs.</summary>
    public bool DT { get => Bits.Get(Raw, 2); init => Raw = Bits.Set(Raw, 2, value); }

    /// <summary>Interrupt remapping.</summary>
    public bool IR { get => Bits.Get(Raw, 3); init => Raw = Bits.Set(Raw, 3, value); }

    /// <summary>Extended interrupt mode: 32-bit APIC ids.</summary>
    public bool EIM { get => Bits.Get(Raw, 4); init => Raw = Bits.Set(Raw, 4, value); }

    /// <summary>Pass-through translation type.</summary>
    public bool PT { get => Bits.Get(Raw, 6); init => Raw = Bits.Set(Raw, 6, value); }

    /// <summary>Snoop control: bit 11 of second-stage leaf entries.</summary>
    public bool SC { get => Bits.Get(Raw, 7); init => Raw = Bits.Set(Raw, 7, value); }

    /// <summary>IOTLB register offset, in units of 16 bytes.</summary>
    public int IRO { get => (int)Bits.Field(Raw, 8, 10); init => Raw = Bits.SetField(Raw, 8, 10, (ulong)value); }

    /// <summary>Maximum handle mask value of interrupt entry cache invalidations.</summary>
    public int MHMV { get => (int)Bits.Field(Raw, 20, 4); init => Raw = Bits.SetField(Raw, 20, 4, (ulong)value); }

    /// <summary>Nested translation.</summary>
    public bool NEST { get => Bits.Get(Raw, 26); init => Raw = Bits.Set(Raw, 26, value); }

    /// <summary>Page requests.</summary>
    public bool PRS { get => Bits.Get(Raw, 29); init => Raw = Bits.Set(Raw, 29, value); }

    /// <summary>Execute requests.</summary>
    public bool ERS { get => Bits.Get(Raw, 30); init => Raw = Bits.Set(Raw, 30, value); }

    /// <summary>Supervisor requests.</summary>
    public bool SRS { get => Bits.Get(Raw, 31); init => Raw = Bits.Set(Raw, 31, value); }

    /// <summary>No-write flag of translation requests.</summary>
    public bool NWFS { get => Bits.Get(Raw, 33); init => Raw = Bits.Set(Raw, 33, value); }

    /// <summary>Extended accessed flag.</summary>
    public bool EAFS { get => Bits.Get(Raw, 34); init => Raw = Bits.Set(Raw, 34, value); }

    /// <summary>PASID size less one, in bits.</summary>
    public int PSS { get => (int)Bits.Field(Raw, 35, 5); init => Raw = Bits.SetField(Raw, 35, 5, (ulong)value); }

    /// <summary>Requests with PASID.</summary>
    public bool PASID { get => Bits.Get(Raw, 40); init => Raw = Bits.Set(Raw, 40, value); }

    /// <summary>Device-TLB invalidation throttle.</summary>
    public bool DIT { get => Bits.Get(Raw, 41); init => Raw = Bits.Set(Raw, 41, value); }

    /// <summary>Page-request drain.</summary>
    public bool PDS { get => Bits.Get(Raw, 42); init => Raw = Bits.Set(Raw, 42, value); }

    /// <summary>Scalable-mode translation.</summary>
    public bool SMTS { get => Bits.Get(Raw, 43); init => Raw = Bits.Set(Raw, 43, value); }

    /// <summary>Virtual commands.</summary>
    public bool VCS { get => Bits.Get(Raw, 44); init => Raw = Bits.Set(Raw, 44, value); }

    /// <summary>Second-stage accessed and dirty flags.</summary>
    public bool SSADS { get => Bits.Get(Raw, 45); init => Raw = Bits.Set(Raw, 45, value); }

    /// <summary>Second-stage translation in scalable mode.</summary>
    public bool SSTS { get => Bits.Get(Raw, 46); init => Raw = Bits.Set(Raw, 46, value); }

    /// <summary>First-stage translation.</summary>
    public bool FSTS { get => Bits.Get(Raw, 47); init => Raw = Bits.Set(Raw, 47, value); }

    /// <summary>Scalable-mode page-walk coherency: PASID-table entries may ask for snooped walks.</summary>
    public bool SMPWCS { get => Bits.Get(Raw, 48); init => Raw = Bits.Set(Raw, 48, value); }

    /// <summary>RID_PASID field of scalable-mode context entries.</summary>
    public bool RPS { get => Bits.Get(Raw, 49); init => Raw = Bits.Set(Raw, 49, value); }

    /// <summary>Abort-DMA mode.</summary>
    public bool ADMS { get => Bits.Get(Raw, 52); init => Raw = Bits.Set(Raw, 52, value); }

    /// <summary>RID_PRIV field of scalable-mode context entries.</summary>
    public bool RPRIVS { get => Bits.Get(Raw, 53); init => Raw = Bits.Set(Raw, 53, value); }
}
