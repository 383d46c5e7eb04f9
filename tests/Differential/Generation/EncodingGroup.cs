namespace Vmm.Differential.Generation;

/// <summary>Instructions that are tested, counted and reported together.</summary>
internal enum EncodingGroup
{
    Alu,
    ShiftRotate,
    MultiplyDivide,
    Bits,
    Move,
    String,
    Stack,
    Branch,
    Atomic,
    Mmx,
    SseInteger,
    SseFloat,
    X87,
    AddressSize,
    Misc,
    Privileged,
    Approximate,
}

/// <summary>What an instruction needs beyond its visible operands, so that a case stays in the sandbox and is worth running.</summary>
internal enum Role
{
    Plain,

    /// <summary>SHLD and SHRD of 16 bits: counts above 16 have no defined result.</summary>
    DoubleShift16,

    /// <summary>BT family with a bit offset in a register, which reaches beyond the memory operand.</summary>
    BitString,
    Divide,
    CompareExchange,
    CompareExchangeWide,
    String,
    Translate,
    MaskedMove,

    /// <summary>CVTPI2PS: with a memory operand AMD leaves the x87 state alone, Intel enters MMX state.</summary>
    RegisterOnly,
    Enter,
    Leave,
    Return,
    /// <summary>RETF, IRET: the frame on the stack names code segment and, for IRET, flags and stack.</summary>
    FarReturn,

    /// <summary>JMP and CALL through a far pointer in memory.</summary>
    FarBranch,

    /// <summary>LAR, LSL, VERR, VERW.</summary>
    SelectorTest,
    IndirectJump,
    IndirectCall,
    RelativeBranch,

    /// <summary>PCMPESTRx: explicit lengths in RAX and RDX.</summary>
    ExplicitLengths,
    SaveFx,
    LoadFx,
    SaveEnvironment,
    LoadEnvironment,
    LoadMxcsr,
    LoadBcd,

    /// <summary>Computes an address or hints: never touches memory.</summary>
    AddressOnly,

    /// <summary>FPREM, FPREM1: the partial remainder is the implementation's choice.</summary>
    PartialRemainder,

    /// <summary>Result defined within a few units in the last place only.</summary>
    Transcendental,

    /// <summary>FCOMI and its kin: Intel clears C1, AMD leaves it.</summary>
    CompareToFlags,

    /// <summary>RCP, RSQRT: relative error up to 1.5 * 2^-12.</summary>
    Reciprocal,
    Interrupt,
}
