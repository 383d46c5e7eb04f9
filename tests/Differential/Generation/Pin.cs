namespace Vmm.Differential.Generation;

/// <summary>What a pin settles in each starting state.</summary>
internal enum PinKind
{
    /// <summary>Base (or index) register such that the operand lies at a chosen place.</summary>
    Address,

    /// <summary>Operand at a place that the encoding fixes.</summary>
    FixedAddress,

    /// <summary>Operand at a fixed distance from the stack top.</summary>
    StackRelative,

    /// <summary>Address plus a bit offset register.</summary>
    BitAddress,
    StringPointer,
    Count,
    Stack,
    Frame,
    RegisterValue,
    MemoryValue,
    /// <summary>Far pointer in memory, or the frame of a far return.</summary>
    FarFrame,
    Selector,
    DivideAccumulator,
    Accumulator,
    AccumulatorPair,
    ShiftCount,
    ShortLengths,
    TableBase,
    FxImage,
    Mxcsr,
    Bcd,
}

/// <summary>One thing that must hold in a starting state for an instruction of the sequence to make sense.</summary>
internal struct Pin
{
    public PinKind Kind;

    /// <summary>Register to set, or -1.</summary>
    public int Register;

    /// <summary>Index register whose value already stands, or -1; for <see cref="PinKind.BitAddress"/> see <see cref="BitRegister"/>.</summary>
    public int Index;
    public int Scale;
    public int BitRegister;

    /// <summary>Size of the access, or of one element, in bytes.</summary>
    public int Bytes;
    public long Displacement;
    public ulong SegmentBase;

    /// <summary>Address or value that the encoding fixes.</summary>
    public ulong Value;

    /// <summary>Addresses are computed in 32 bits.</summary>
    public bool Narrow;
    public bool Aligned;
    public bool Locked;

    /// <summary>Signed (IDIV) or repeated (strings).</summary>
    public bool Variant;
}
