namespace Vmm.Cpu.Float;

/// <summary>Rounding control, as encoded in FCW.RC and MXCSR.RC (SDM vol. 1 §4.8.4).</summary>
internal enum FloatRounding : byte
{
    /// <summary>To nearest, ties to even.</summary>
    Nearest = 0,

    /// <summary>Towards minus infinity.</summary>
    Down = 1,

    /// <summary>Towards plus infinity.</summary>
    Up = 2,

    /// <summary>Towards zero.</summary>
    Truncate = 3,
}
