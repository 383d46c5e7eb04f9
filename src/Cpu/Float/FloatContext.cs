namespace Vmm.Cpu.Float;

/// <summary>Modes of one floating-point instruction and the exceptions it has met so far.</summary>
/// <remarks>One context serves one instruction: <see cref="Flags"/> starts empty, so what is unmasked in it is new.</remarks>
internal struct FloatContext
{
    /// <summary>Rounding control.</summary>
    public FloatRounding Rounding;

    /// <summary>Significand bits of an x87 register result: 24, 53 or 64.</summary>
    public byte Precision;

    /// <summary>Denormals are zeros: denormal sources read as zeros of their sign (MXCSR.DAZ).</summary>
    public bool DAZ;

    /// <summary>Flush to zero: tiny results become zeros of their sign while underflow is masked (MXCSR.FTZ).</summary>
    public bool FTZ;

    /// <summary>Masked exceptions: a set bit asks for the default response.</summary>
    public FloatFlags Masks;

    /// <summary>Exceptions raised by this instruction.</summary>
    public FloatFlags Flags;

    /// <summary>Exceptions that earlier instructions left in the status register; only the fast path looks at them.</summary>
    public FloatFlags Sticky;

    /// <summary>C1: the last rounding increased the magnitude.</summary>
    public bool RoundedUp;

    /// <summary>Modes of an SSE instruction (MXCSR, SDM vol. 1 §10.2.3).</summary>
    public static FloatContext FromMxcsr(uint mxcsr) => new()
    {
        Rounding = (FloatRounding)((mxcsr >> 13) & 3),
        Precision = 64,
        DAZ = (mxcsr & (1 << 6)) != 0,
        FTZ = (mxcsr & (1 << 15)) != 0,
        Masks = (FloatFlags)((mxcsr >> 7) & 63),
        Sticky = (FloatFlags)(mxcsr & 63),
    };

    /// <summary>To nearest, and PE both sticky and masked: host arithmetic shows no difference while operands and results are normal.</summary>
    public static bool IsPlainMxcsr(uint mxcsr) => (mxcsr & 0x7020) == 0x1020;

    /// <summary>Modes of an x87 instruction (FCW, SDM vol. 1 §8.1.5); the reserved precision encoding 01 reads as 64 bits.</summary>
    public static FloatContext FromControlWord(ushort fcw) => new()
    {
        Rounding = (FloatRounding)((fcw >> 10) & 3),
        Precision = ((fcw >> 8) & 3) switch { 0 => 24, 2 => 53, _ => 64 },
        Masks = (FloatFlags)(fcw & 63),
    };

    /// <summary>An exception found before computing is unmasked: there is no result.</summary>
    public readonly bool Stopped => (Flags & ~Masks & FloatFlags.PreComputation) != 0;

    /// <summary>Unmasked exceptions of this instruction.</summary>
    public readonly FloatFlags Unmasked => Flags & ~Masks;

    /// <summary>Whether host arithmetic, which rounds to nearest and reports nothing, gives the result and flags of an inexact operation.</summary>
    public readonly bool InexactIsSilent =>
        Rounding == FloatRounding.Nearest && (Sticky & Masks & FloatFlags.PE) != 0;

    /// <summary>Records <paramref name="flags"/>.</summary>
    public void Raise(FloatFlags flags) => Flags |= flags;

    /// <summary>Records a denormal operand if there is one; true when the instruction must stop.</summary>
    public bool RaiseDenormal(bool denormal)
    {
        if (denormal)
        {
            Flags |= FloatFlags.DE;
        }

        return Stopped;
    }

    /// <summary>The flags MXCSR gains: none found after computing when one found before is unmasked in any element (SDM vol. 1 §11.5.2).</summary>
    public readonly FloatFlags MxcsrFlags => Stopped ? Flags & FloatFlags.PreComputation : Flags;
}
