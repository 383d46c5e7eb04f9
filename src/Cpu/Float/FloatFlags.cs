namespace Vmm.Cpu.Float;

/// <summary>Exception flags, in the bit order shared by FSW, FCW (as masks) and MXCSR (SDM vol. 1 §8.1.3, §10.2.3).</summary>
[Flags]
internal enum FloatFlags : byte
{
    /// <summary>No exception.</summary>
    None = 0,

    /// <summary>Invalid operation.</summary>
    IE = 1,

    /// <summary>Denormal operand.</summary>
    DE = 2,

    /// <summary>Divide by zero.</summary>
    ZE = 4,

    /// <summary>Numeric overflow.</summary>
    OE = 8,

    /// <summary>Numeric underflow.</summary>
    UE = 16,

    /// <summary>Inexact result (precision).</summary>
    PE = 32,

    /// <summary>The exceptions found before a result is computed; unmasked, they suppress the result and the flags after them.</summary>
    PreComputation = IE | DE | ZE,

    /// <summary>All six.</summary>
    All = 63,
}
