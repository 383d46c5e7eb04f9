using Iced.Intel;
using Vmm.Cpu.Interpreter;

namespace Vmm.Cpu.Vmx;

/// <summary>The VM-exit instruction-information field and the qualification that goes with it (SDM 3C §28.2.5, tables 28-8 to 28-15).</summary>
static unsafe class InstructionInformation
{
    const uint IsRegister = 1u << 10, NoIndex = 1u << 22, NoBase = 1u << 27;

    /// <summary>INS and OUTS: address size and, for OUTS, the segment.</summary>
    public static uint OfString(Op* op) => Size(op->AddressSize) << 7 | (uint)op->Segment << 15;

    /// <summary>The memory operand alone.</summary>
    public static uint OfMemory(Op* op, in Instruction instruction)
    {
        var info = Size(op->AddressSize) << 7 | (uint)op->Segment << 15;
        info |= instruction.MemoryIndex == Register.None ? NoIndex : (uint)op->Scale | (uint)Number(instruction.MemoryIndex) << 18;
        return info | (instruction.MemoryBase is Register.None or Register.RIP or Register.EIP ? NoBase : (uint)Number(instruction.MemoryBase) << 23);
    }

    /// <summary>LGDT, LIDT, SGDT, SIDT.</summary>
    public static uint OfTable(Op* op, in Instruction instruction)
    {
        var identity = instruction.Mnemonic switch { Mnemonic.Sgdt => 0u, Mnemonic.Sidt => 1u, Mnemonic.Lgdt => 2u, _ => 3u };
        var wide = instruction.Code is Code.Sgdt_m1632_16 or Code.Sidt_m1632_16 or Code.Lgdt_m1632_16 or Code.Lidt_m1632_16 ? 0 : 1u << 11;
        return OfMemory(op, instruction) | wide | identity << 28;
    }

    /// <summary>LLDT, LTR, SLDT, STR.</summary>
    public static uint OfSelector(Op* op, in Instruction instruction)
    {
        var identity = instruction.Mnemonic switch { Mnemonic.Sldt => 0u, Mnemonic.Str => 1u, Mnemonic.Lldt => 2u, _ => 3u };
        return identity << 28 | (instruction.Op0Kind == OpKind.Register ? IsRegister | (uint)Number(instruction.Op0Register) << 3 : OfMemory(op, instruction));
    }

    /// <summary>RDRAND and RDSEED: the register and its size.</summary>
    public static uint OfRandom(in Instruction instruction) =>
        (uint)Number(instruction.Op0Register) << 3 | (instruction.Op0Register.GetSize() switch { 2 => 0u, 4 => 1u, _ => 2u }) << 11;

    /// <summary>INVEPT, INVVPID, INVPCID: memory and the register in bits 31:28.</summary>
    public static uint OfInvalidation(Op* op, in Instruction instruction) => OfMemory(op, instruction) | (uint)Number(instruction.Op0Register) << 28;

    /// <summary>VMREAD and VMWRITE.</summary>
    public static uint OfField(Op* op, in Instruction instruction)
    {
        var (place, field) = instruction.Mnemonic == Mnemonic.Vmread ? (0, 1) : (1, 0);
        var info = (uint)Number(instruction.GetOpRegister(field)) << 28;
        return info | (instruction.GetOpKind(place) == OpKind.Register
            ? IsRegister | (uint)Number(instruction.GetOpRegister(place)) << 3
            : OfMemory(op, instruction));
    }

    /// <summary>Exit qualification of these instructions: the displacement; for RIP-relative operands the address itself.</summary>
    public static ulong Displacement(in Instruction instruction)
    {
        for (var i = 0; i < instruction.OpCount; i++)
        {
            if (instruction.GetOpKind(i) == OpKind.Memory)
            {
                return instruction.MemoryDisplacement64;
            }
        }

        return 0;
    }

    /// <summary>Number of a general register.</summary>
    public static int Number(Register register) => register.GetFullRegister() - Register.RAX;

    static uint Size(byte addressSize) => addressSize switch { 1 => 0u, 2 => 1u, _ => 2u };
}
