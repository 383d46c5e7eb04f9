namespace Vmm.Cpu.Float;

/// <summary>Outcome of a comparison of two floating-point values.</summary>
internal enum FloatOrder : byte
{
    /// <summary>The first is less.</summary>
    Less,

    /// <summary>Equal; zeros of either sign are equal.</summary>
    Equal,

    /// <summary>The first is greater.</summary>
    Greater,

    /// <summary>At least one is a NaN or an unsupported encoding.</summary>
    Unordered,
}
