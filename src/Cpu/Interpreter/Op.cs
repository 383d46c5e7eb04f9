using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Iced.Intel;

namespace Vmm.Cpu.Interpreter;

/// <summary>
/// One decoded instruction: a handler and its operands as byte offsets into <see cref="State.CpuState"/>.
/// Handlers call the next operation's handler in tail position, so a block runs without returning to the loop.
/// </summary>
[StructLayout(LayoutKind.Sequential, Size = 64)]
public unsafe struct Op
{
    /// <summary><c>delegate*&lt;CpuState*, Op*, Block*&gt;</c>.</summary>
    public nint Handler;

    /// <summary>Byte offset of the first (destination) register.</summary>
    public ushort A;

    /// <summary>Byte offset of the second (source) register.</summary>
    public ushort B;

    /// <summary>Byte offset of the address base register.</summary>
    public ushort Base;

    /// <summary>Byte offset of the address index register.</summary>
    public ushort Index;

    /// <summary>Byte offset of the segment base to add.</summary>
    public ushort SegmentBase;

    /// <summary>Instruction's offset from the block's start.</summary>
    public ushort Offset;

    /// <summary>Next instruction's offset from the block's start.</summary>
    public ushort NextOffset;

    /// <summary>Instructions of the block after this one.</summary>
    public ushort Remaining;

    /// <summary>log2 of the index scale.</summary>
    public byte Scale;

    /// <summary>Segment number of the memory operand.</summary>
    public byte Segment;

    /// <summary>Address size in bits / 16: 1, 2 or 4.</summary>
    public byte AddressSize;

    /// <summary>Operand size in bytes where a handler serves several.</summary>
    public byte Size;

    /// <summary>Free for the handler (condition, port width, ...).</summary>
    public int Aux;

    /// <summary>Immediate, or branch target relative to the block's start.</summary>
    public long Imm;

    /// <summary>Displacement; for RIP-relative operands the distance from the block's start.</summary>
    public long Disp;

    /// <summary>The block that follows on the taken path, once known.</summary>
    public Block* Link;

    /// <summary>For cold instructions the decoded form; for branches the CodeTag under which Link holds.</summary>
    public ulong Extra;

    /// <summary>The decoded instruction of a cold operation.</summary>
    public readonly Instruction* Instruction => (Instruction*)Extra;
}

/// <summary>
/// A run of decoded instructions that starts at one physical address and ends at a branch, a page's end or a size limit.
/// Its operations follow it in memory.
/// </summary>
[StructLayout(LayoutKind.Sequential, Size = 64)]
public unsafe struct Block
{
    /// <summary><see cref="Count"/> of a block whose code has changed: no budget is enough to enter it.</summary>
    public const int Dropped = int.MaxValue;

    /// <summary>Physical address of the first byte.</summary>
    public ulong Physical;

    /// <summary>Physical page of the tail when an instruction crosses a page, else <see cref="ulong.MaxValue"/>.</summary>
    public ulong SecondPage;

    /// <summary>Decoder mode key.</summary>
    public uint Mode;

    /// <summary>Instructions, or <see cref="Dropped"/>.</summary>
    public int Count;

    /// <summary>Code bytes.</summary>
    public int Length;

    /// <summary>Non-zero while the code is unchanged.</summary>
    public int Valid;

    /// <summary>Next block in the hash chain.</summary>
    public Block* HashNext;

    /// <summary>Next block of the first page.</summary>
    public Block* PageNext;

    /// <summary>Next block of the second page.</summary>
    public Block* SecondPageNext;

    /// <summary>First operation; one pseudo operation follows the last instruction.</summary>
    public readonly Op* Ops => (Op*)((Block*)Unsafe.AsPointer(ref Unsafe.AsRef(in this)) + 1);
}
