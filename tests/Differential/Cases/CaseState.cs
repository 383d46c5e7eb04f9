using System.Runtime.InteropServices;

namespace Vmm.Differential.Cases;

/// <summary>
/// Everything a case starts from or ends with: general registers, flags, FXSAVE image and sandbox memory.
/// The native helper reads and writes it by offset, so the layout is fixed.
/// </summary>
[StructLayout(LayoutKind.Explicit, Size = Bytes)]
internal unsafe struct CaseState
{
    public const int Bytes = 1664, FlagsAt = 128, RipAt = 136, TrapAt = 144, ErrorAt = 152, Cr2At = 160, SignalAt = 168,
        SignalAddressAt = 176, EdgesAt = 184, FxAt = 192, FxBytes = 512, MemoryAt = 704, EdgeAt = MemoryAt + Sandbox.WindowBytes;

    /// <summary>Value of <see cref="Trap"/> when the case ran to its end.</summary>
    public const ulong NoTrap = 0xFFFF;

    /// <summary>RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8 ... R15.</summary>
    [FieldOffset(0)]
    public fixed ulong Gpr[16];

    [FieldOffset(FlagsAt)]
    public ulong Flags;

    /// <summary>Before: where the case starts. After: where it stopped.</summary>
    [FieldOffset(RipAt)]
    public ulong Rip;

    /// <summary>Vector of the exception that ended the case, or <see cref="NoTrap"/>.</summary>
    [FieldOffset(TrapAt)]
    public ulong Trap;

    [FieldOffset(ErrorAt)]
    public ulong Error;

    [FieldOffset(Cr2At)]
    public ulong Cr2;

    /// <summary>Signal number the host's kernel made of the exception (native runner only).</summary>
    [FieldOffset(SignalAt)]
    public ulong Signal;

    [FieldOffset(SignalAddressAt)]
    public ulong SignalAddress;

    /// <summary>Not zero: the edge pieces are loaded and saved too.</summary>
    [FieldOffset(EdgesAt)]
    public ulong Edges;

    /// <summary>FXSAVE64 image.</summary>
    [FieldOffset(FxAt)]
    public fixed byte Fx[FxBytes];

    /// <summary>The window that straddles two writable pages.</summary>
    [FieldOffset(MemoryAt)]
    public fixed byte Memory[Sandbox.WindowBytes];

    /// <summary>Three pieces next to pages that cannot be written or read.</summary>
    [FieldOffset(EdgeAt)]
    public fixed byte Edge[3 * Sandbox.EdgeBytes];
}
