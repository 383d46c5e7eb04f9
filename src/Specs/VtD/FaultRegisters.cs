namespace Vmm.Specs.VtD;

/// <summary>FSTS_REG, Fault Status (VT-d §11.4.7.1).</summary>
public readonly record struct Fsts(uint Raw)
{
    /// <summary>Primary fault overflow.</summary>
    public const uint PFO = 1;

    /// <summary>Primary pending fault: some fault-recording register has F set.</summary>
    public const uint PPF = 2;

    /// <summary>Invalidation queue error.</summary>
    public const uint IQE = 1 << 4;

    /// <summary>Invalidation completion error.</summary>
    public const uint ICE = 1 << 5;

    /// <summary>Invalidation time-out error.</summary>
    public const uint ITE = 1 << 6;

    /// <summary>Every condition that raises the fault event.</summary>
    public const uint Conditions = PFO | PPF | IQE | ICE | ITE;

    /// <summary>Bits that software clears by writing 1.</summary>
    public const uint ClearOnOne = PFO | IQE | ICE | ITE;

    /// <summary>Index of the register that took the first fault when PPF was set.</summary>
    public int FRI { get => (int)Bits.Field(Raw, 8, 8); init => Raw = (uint)Bits.SetField(Raw, 8, 8, (ulong)value); }
}

/// <summary>FECTL_REG, IECTL_REG and PECTL_REG, event control (VT-d §11.4.7.2, §11.4.9.5, §11.4.10.5).</summary>
public readonly record struct EventControl(uint Raw)
{
    /// <summary>Interrupt mask.</summary>
    public bool IM { get => Bits.Get(Raw, 31); init => Raw = Bits.Set(Raw, 31, value); }

    /// <summary>Interrupt pending.</summary>
    public bool IP { get => Bits.Get(Raw, 30); init => Raw = Bits.Set(Raw, 30, value); }
}

/// <summary>Request type of a fault record: bit 1 is T1, bit 0 is T2.</summary>
public enum FaultedRequest
{
    /// <summary>Memory write.</summary>
    Write = 0,

    /// <summary>Page request.</summary>
    Page = 1,

    /// <summary>Memory read.</summary>
    Read = 2,

    /// <summary>AtomicOp.</summary>
    Atomic = 3,
}

/// <summary>FRCD_REG, Fault Recording: the high quadword; the low one is the fault information (VT-d §11.4.7.6).</summary>
public readonly record struct FaultRecord(ulong High, ulong Low)
{
    /// <summary>Source id.</summary>
    public ushort SID { get => (ushort)High; init => High = Bits.SetField(High, 0, 16, value); }

    /// <summary>Privileged mode was asked for (requests with PASID).</summary>
    public bool PRIV { get => Bits.Get(High, 29); init => High = Bits.Set(High, 29, value); }

    /// <summary>Execute permission was asked for (requests with PASID).</summary>
    public bool EXE { get => Bits.Get(High, 30); init => High = Bits.Set(High, 30, value); }

    /// <summary>The request carried a PASID.</summary>
    public bool PP { get => Bits.Get(High, 31); init => High = Bits.Set(High, 31, value); }

    /// <summary>Fault reason.</summary>
    public FaultReason FR { get => (FaultReason)(High >> 32); init => High = Bits.SetField(High, 32, 8, (ulong)value); }

    /// <summary>PASID value, 20 bits.</summary>
    public uint PV { get => (uint)Bits.Field(High, 40, 20); init => High = Bits.SetField(High, 40, 20, value); }

    /// <summary>Address type: 0 untranslated, 1 translation request, 2 translated.</summary>
    public int AT { get => (int)Bits.Field(High, 60, 2); init => High = Bits.SetField(High, 60, 2, (ulong)value); }

    /// <summary>Request type: T1 is bit 62, T2 is bit 28.</summary>
    public FaultedRequest Type
    {
        get => (FaultedRequest)(Bits.Field(High, 62, 1) << 1 | Bits.Field(High, 28, 1));
        init => High = Bits.SetField(Bits.SetField(High, 62, 1, (ulong)value >> 1), 28, 1, (ulong)value & 1);
    }

    /// <summary>Fault: the record is valid.</summary>
    public bool F { get => Bits.Get(High, 63); init => High = Bits.Set(High, 63, value); }

    /// <summary>Page address of the request in bytes.</summary>
    public ulong Page { get => Low & ~0xFFFul; init => Low = value & ~0xFFFul; }

    /// <summary>Interrupt index, for interrupt-remapping faults.</summary>
    public ushort InterruptIndex { get => (ushort)(Low >> 48); init => Low = (ulong)value << 48; }
}
