namespace Vmm.Specs.VtD;

/// <summary>GCMD_REG, Global Command (VT-d §11.4.4.1); GSTS_REG has the statuses at the same bits.</summary>
public readonly record struct Gcmd(uint Raw)
{
    /// <summary>Translation enable.</summary>
    public bool TE { get => Bits.Get(Raw, 31); init => Raw = Bits.Set(Raw, 31, value); }

    /// <summary>Set root table pointer.</summary>
    public bool SRTP { get => Bits.Get(Raw, 30); init => Raw = Bits.Set(Raw, 30, value); }

    /// <summary>Set fault log.</summary>
    public bool SFL { get => Bits.Get(Raw, 29); init => Raw = Bits.Set(Raw, 29, value); }

    /// <summary>Enable advanced fault logging.</summary>
    public bool EAFL { get => Bits.Get(Raw, 28); init => Raw = Bits.Set(Raw, 28, value); }

    /// <summary>Write buffer flush.</summary>
    public bool WBF { get => Bits.Get(Raw, 27); init => Raw = Bits.Set(Raw, 27, value); }

    /// <summary>Queued invalidation enable.</summary>
    public bool QIE { get => Bits.Get(Raw, 26); init => Raw = Bits.Set(Raw, 26, value); }

    /// <summary>Interrupt remapping enable.</summary>
    public bool IRE { get => Bits.Get(Raw, 25); init => Raw = Bits.Set(Raw, 25, value); }

    /// <summary>Set interrupt remap table pointer.</summary>
    public bool SIRTP { get => Bits.Get(Raw, 24); init => Raw = Bits.Set(Raw, 24, value); }

    /// <summary>Compatibility format interrupts are allowed.</summary>
    public bool CFI { get => Bits.Get(Raw, 23); init => Raw = Bits.Set(Raw, 23, value); }
}

/// <summary>GSTS_REG, Global Status (VT-d §11.4.4.2).</summary>
public readonly record struct Gsts(uint Raw)
{
    /// <summary>Translation enable status.</summary>
    public bool TES { get => Bits.Get(Raw, 31); init => Raw = Bits.Set(Raw, 31, value); }

    /// <summary>Root table pointer status.</summary>
    public bool RTPS { get => Bits.Get(Raw, 30); init => Raw = Bits.Set(Raw, 30, value); }

    /// <summary>Fault log status.</summary>
    public bool FLS { get => Bits.Get(Raw, 29); init => Raw = Bits.Set(Raw, 29, value); }

    /// <summary>Advanced fault logging status.</summary>
    public bool AFLS { get => Bits.Get(Raw, 28); init => Raw = Bits.Set(Raw, 28, value); }

    /// <summary>Write buffer flush status.</summary>
    public bool WBFS { get => Bits.Get(Raw, 27); init => Raw = Bits.Set(Raw, 27, value); }

    /// <summary>Queued invalidation enable status.</summary>
    public bool QIES { get => Bits.Get(Raw, 26); init => Raw = Bits.Set(Raw, 26, value); }

    /// <summary>Interrupt remapping enable status.</summary>
    public bool IRES { get => Bits.Get(Raw, 25); init => Raw = Bits.Set(Raw, 25, value); }

    /// <summary>Interrupt remapping table pointer status.</summary>
    public bool IRTPS { get => Bits.Get(Raw, 24); init => Raw = Bits.Set(Raw, 24, value); }

    /// <summary>Compatibility format interrupt status.</summary>
    public bool CFIS { get => Bits.Get(Raw, 23); init => Raw = Bits.Set(Raw, 23, value); }
}

/// <summary>Translation table mode of <see cref="Rtaddr"/>.</summary>
public enum TranslationTableMode
{
    /// <summary>Legacy root and context tables.</summary>
    Legacy = 0,

    /// <summary>Scalable root, context and PASID tables.</summary>
    Scalable = 1,

    /// <summary>Reserved encoding.</summary>
    Reserved = 2,

    /// <summary>All DMA is aborted.</summary>
    AbortDma = 3,
}

/// <summary>RTADDR_REG, Root Table Address (VT-d §11.4.5).</summary>
public readonly record struct Rtaddr(ulong Raw)
{
    /// <summary>Translation table mode.</summary>
    public TranslationTableMode TTM
    {
        get => (TranslationTableMode)Bits.Field(Raw, 10, 2);
        init => Raw = Bits.SetField(Raw, 10, 2, (ulong)value);
    }

    /// <summary>Root table address in bytes.</summary>
    public ulong RTA { get => Raw & ~0xFFFul; init => Raw = Raw & 0xFFF | value & ~0xFFFul; }
}

/// <summary>PMEN_REG, Protected Memory Enable (VT-d §11.4.8.1).</summary>
public readonly record struct Pmen(uint Raw)
{
    /// <summary>Enable protected memory.</summary>
    public bool EPM { get => Bits.Get(Raw, 31); init => Raw = Bits.Set(Raw, 31, value); }

    /// <summary>Protected region status.</summary>
    public bool PRS { get => Bits.Get(Raw, 0); init => Raw = Bits.Set(Raw, 0, value); }
}

/// <summary>IRTA_REG, Interrupt Remapping Table Address (VT-d §11.4.9.10).</summary>
public readonly record struct Irta(ulong Raw)
{
    /// <summary>Table address in bytes.</summary>
    public ulong IRTA { get => Raw & ~0xFFFul; init => Raw = Raw & 0xFFF | value & ~0xFFFul; }

    /// <summary>Extended interrupt mode enable.</summary>
    public bool EIME { get => Bits.Get(Raw, 11); init => Raw = Bits.Set(Raw, 11, value); }

    /// <summary>Size: the table has 2^(S + 1) entries.</summary>
    public int S { get => (int)Bits.Field(Raw, 0, 4); init => Raw = Bits.SetField(Raw, 0, 4, (ulong)value); }

    /// <summary>Entries in the table.</summary>
    public int Entries => 2 << S;
}
