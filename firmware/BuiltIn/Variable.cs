using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Firmware.BuiltIn;

/// <summary>A place in the guest's data with a known address.</summary>
/// <param name="Address">Physical, and by identity mapping linear, address.</param>
/// <param name="Size">Size of one element in bytes: 1, 2, 4 or 8.</param>
internal readonly record struct Variable(uint Address, int Size)
{
    /// <summary>Element <paramref name="index"/>.</summary>
    public Variable this[int index] => this with { Address = Address + (uint)(index * Size) };

    /// <summary>The element that a register indexes.</summary>
    public AssemblerMemoryOperand At(AssemblerRegister64 index) => Of(Size)[index * Size + (long)Address];

    /// <summary>The same place with elements of another size.</summary>
    public Variable As(int size, uint offset = 0) => new(Address + offset, size);

    /// <summary>A memory operand with the element's size.</summary>
    public static implicit operator AssemblerMemoryOperand(Variable variable) => Of(variable.Size)[(ulong)variable.Address];

    static AssemblerMemoryOperandFactory Of(int size) => size switch
    {
        1 => __byte_ptr,
        2 => __word_ptr,
        4 => __dword_ptr,
        8 => __qword_ptr,
        _ => throw new ArgumentOutOfRangeException(nameof(size)),
    };
}
