namespace Vmm.Specs.X86;

/// <summary>Event types of interruption information (SDM 3C table 25-17).</summary>
public enum InterruptionType : uint
{
    /// <summary>External interrupt.</summary>
    External = 0,

    /// <summary>NMI.</summary>
    Nmi = 2,

    /// <summary>Hardware exception.</summary>
    HardwareException = 3,

    /// <summary>INT n.</summary>
    SoftwareInterrupt = 4,

    /// <summary>INT1.</summary>
    PrivilegedSoftwareException = 5,

    /// <summary>INT3 or INTO.</summary>
    SoftwareException = 6,

    /// <summary>VM entry: pending MTF exit.</summary>
    Other = 7,
}

/// <summary>VM-exit, VM-entry and IDT-vectoring interruption information (SDM 3C §25.8.3, §25.9.2, §25.9.3).</summary>
public readonly record struct InterruptionInfo(uint Raw)
{
    /// <summary>A valid event.</summary>
    public InterruptionInfo(byte vector, InterruptionType type, bool hasError)
        : this(vector | (uint)type << 8 | (hasError ? 1u << 11 : 0) | 1u << 31)
    {
    }

    /// <summary>Vector, bits 7:0.</summary>
    public byte Vector => (byte)Raw;

    /// <summary>Type, bits 10:8.</summary>
    public InterruptionType Type => (InterruptionType)(Raw >> 8 & 7);

    /// <summary>An error code belongs to the event, bit 11.</summary>
    public bool HasError => (Raw & 1u << 11) != 0;

    /// <summary>Exits only: IRET had unblocked NMIs, bit 12.</summary>
    public bool NmiUnblocking => (Raw & 1u << 12) != 0;

    /// <summary>Bits that are reserved at VM entry, 30:12.</summary>
    public uint ReservedForEntry => Raw & 0x7FFF_F000;

    /// <summary>Valid, bit 31.</summary>
    public bool Valid => (Raw & 1u << 31) != 0;

    /// <inheritdoc/>
    public override string ToString() => Valid ? $"{Type} vector {Vector}{(HasError ? " with error code" : "")}{(NmiUnblocking ? ", NMI unblocking" : "")}" : "not valid";
}
