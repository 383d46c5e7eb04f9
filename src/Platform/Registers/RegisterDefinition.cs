namespace Vmm.Platform.Registers;

/// <summary>One register of a <see cref="RegisterFile"/>. Bits that no mask names are read-only to the guest.</summary>
/// <param name="Name">Name as the specification spells it.</param>
/// <param name="Offset">First byte, from the start of the file.</param>
/// <param name="Size">1, 2, 4, 8 or 16 bytes.</param>
/// <param name="Write">Bits that a guest write replaces.</param>
/// <param name="ClearOnOne">Bits that a guest write of 1 clears (RW1C).</param>
/// <param name="WriteOnly">Bits that the guest always reads as 0; they are stored all the same.</param>
/// <param name="Reset">Value after reset.</param>
public readonly record struct RegisterDefinition(
    string Name,
    int Offset,
    int Size,
    UInt128 Write = default,
    UInt128 ClearOnOne = default,
    UInt128 WriteOnly = default,
    UInt128 Reset = default);

/// <summary>One register as an inspector shows it.</summary>
/// <param name="Name">Name as the specification spells it.</param>
/// <param name="Offset">First byte.</param>
/// <param name="Size">Bytes.</param>
/// <param name="Value">Stored value, write-only bits included.</param>
public readonly record struct RegisterValue(string Name, int Offset, int Size, UInt128 Value)
{
    /// <inheritdoc/>
    public override string ToString() => $"{Name} +0x{Offset:x} = 0x{Value.ToString("x" + Size * 2)}";
}
