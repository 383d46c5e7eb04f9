using Iced.Intel;

namespace Vmm.Firmware.BuiltIn;

/// <summary>A value that the guest can load into a 64-bit register; shorter ones are zero-extended.</summary>
internal readonly record struct Operand
{
    /// <summary>Where the value comes from.</summary>
    public enum Source
    {
        /// <summary>An immediate.</summary>
        Immediate,

        /// <summary>A text of the data segment, by address.</summary>
        Text,

        /// <summary>A 64-bit register.</summary>
        Register,

        /// <summary>The low half of a 64-bit register.</summary>
        Register32,

        /// <summary>Memory.</summary>
        Memory,

        /// <summary>The address of code.</summary>
        Code,
    }

    /// <summary>Kind.</summary>
    public Source Kind { get; private init; }

    /// <summary>The immediate.</summary>
    public long Value { get; private init; }

    /// <summary>The text.</summary>
    public string? Text { get; private init; }

    /// <summary>The register.</summary>
    public AssemblerRegister64 Register { get; private init; }

    /// <summary>The register, when only its low half counts.</summary>
    public AssemblerRegister32 Register32 { get; private init; }

    /// <summary>The memory operand.</summary>
    public AssemblerMemoryOperand Memory { get; private init; }

    /// <summary>Bytes of the memory operand.</summary>
    public int Size { get; private init; }

    /// <summary>The place in the code.</summary>
    public Label Code { get; private init; }

    /// <summary>Memory of a size.</summary>
    public static Operand Of(AssemblerMemoryOperand memory, int size) => new() { Kind = Source.Memory, Memory = memory, Size = size };

    /// <summary>The address of code.</summary>
    public static Operand AddressOf(Label code) => new() { Kind = Source.Code, Code = code };

    /// <summary>An immediate.</summary>
    public static implicit operator Operand(long value) => new() { Value = value };

    /// <summary>An immediate.</summary>
    public static implicit operator Operand(int value) => new() { Value = value };

    /// <summary>An immediate.</summary>
    public static implicit operator Operand(uint value) => new() { Value = value };

    /// <summary>An immediate.</summary>
    public static implicit operator Operand(ushort value) => new() { Value = value };

    /// <summary>A character's code.</summary>
    public static implicit operator Operand(char value) => new() { Value = value };

    /// <summary>An immediate.</summary>
    public static implicit operator Operand(byte value) => new() { Value = value };

    /// <summary>An immediate.</summary>
    public static implicit operator Operand(ulong value) => new() { Value = (long)value };

    /// <summary>The address of a NUL-terminated text.</summary>
    public static implicit operator Operand(string text) => new() { Kind = Source.Text, Text = text };

    /// <summary>A register.</summary>
    public static implicit operator Operand(AssemblerRegister64 register) => new() { Kind = Source.Register, Register = register };

    /// <summary>A register, zero-extended.</summary>
    public static implicit operator Operand(AssemblerRegister32 register) => new() { Kind = Source.Register32, Register32 = register };

    /// <summary>A variable, zero-extended.</summary>
    public static implicit operator Operand(Variable variable) => Of(variable, variable.Size);

    /// <summary>64 bits of memory.</summary>
    public static implicit operator Operand(AssemblerMemoryOperand memory) => Of(memory, 8);
}
