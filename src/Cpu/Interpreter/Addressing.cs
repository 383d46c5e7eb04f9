using System.Runtime.CompilerServices;
using Vmm.Cpu.State;
using Vmm.Cpu.Vcpus;

namespace Vmm.Cpu.Interpreter;

/// <summary>How a memory operand's linear address is formed. Implementations are structs so that handlers specialise.</summary>
internal unsafe interface IAddress
{
    /// <summary>Linear address of an access of <paramref name="size"/> bytes at <paramref name="displaced"/> bytes past the operand.</summary>
    static abstract ulong At(CpuState* s, Op* op, int size, bool write, long displaced = 0);

    /// <summary>Offset part only (LEA).</summary>
    static abstract ulong Offset(CpuState* s, Op* op);
}

/// <summary>64-bit mode, base and displacement only.</summary>
internal readonly unsafe struct Address64Simple : IAddress
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong At(CpuState* s, Op* op, int size, bool write, long displaced = 0) =>
        *(ulong*)((byte*)s + op->Base) + (ulong)(op->Disp + displaced);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Offset(CpuState* s, Op* op) => *(ulong*)((byte*)s + op->Base) + (ulong)op->Disp;
}

/// <summary>64-bit mode, everything: base, scaled index, displacement, FS or GS base.</summary>
internal readonly unsafe struct Address64 : IAddress
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong At(CpuState* s, Op* op, int size, bool write, long displaced = 0) =>
        Offset(s, op) + *(ulong*)((byte*)s + op->SegmentBase) + (ulong)displaced;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Offset(CpuState* s, Op* op) =>
        *(ulong*)((byte*)s + op->Base) + (*(ulong*)((byte*)s + op->Index) << op->Scale) + (ulong)op->Disp;
}

/// <summary>32-bit addresses: 64-bit mode with an address-size prefix, or flat protected mode.</summary>
internal readonly unsafe struct Address32 : IAddress
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong At(CpuState* s, Op* op, int size, bool write, long displaced = 0) =>
        (uint)(Offset(s, op) + (ulong)displaced) + *(ulong*)((byte*)s + op->SegmentBase);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Offset(CpuState* s, Op* op) =>
        (uint)(*(ulong*)((byte*)s + op->Base) + (*(ulong*)((byte*)s + op->Index) << op->Scale) + (ulong)op->Disp);
}

/// <summary>Real mode and segmented protected mode: 16- or 32-bit offsets with limit and type checks.</summary>
internal readonly unsafe struct AddressChecked : IAddress
{
    public static ulong At(CpuState* s, Op* op, int size, bool write, long displaced = 0)
    {
        var offset = Offset(s, op) + (ulong)displaced;
        offset = op->AddressSize == 1 ? (ushort)offset : (uint)offset;
        return Vcpu.CheckedLinear(s, op->Segment, offset, size, write);
    }

    public static ulong Offset(CpuState* s, Op* op)
    {
        var offset = *(ulong*)((byte*)s + op->Base) + (*(ulong*)((byte*)s + op->Index) << op->Scale) + (ulong)op->Disp;
        return op->AddressSize == 1 ? (ushort)offset : (uint)offset;
    }
}

/// <summary>How the stack is addressed.</summary>
internal unsafe interface IStack
{
    /// <summary>Linear address of <paramref name="size"/> bytes at stack pointer plus <paramref name="delta"/>.</summary>
    static abstract ulong At(CpuState* s, long delta, int size, bool write);

    /// <summary>Moves the stack pointer.</summary>
    static abstract void Move(CpuState* s, long delta);
}

/// <summary>64-bit stack.</summary>
internal readonly unsafe struct Stack64 : IStack
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong At(CpuState* s, long delta, int size, bool write) => s->Gpr[4] + (ulong)delta;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Move(CpuState* s, long delta) => *(ulong*)((byte*)s + CpuState.RspOffset) += (ulong)delta;
}

/// <summary>16- or 32-bit stack in SS.</summary>
internal readonly unsafe struct StackLegacy : IStack
{
    public static ulong At(CpuState* s, long delta, int size, bool write)
    {
        var offset = s->Gpr[4] + (ulong)delta;
        return Vcpu.CheckedLinear(s, Seg.SS, s->Ss.DB ? (uint)offset : (ushort)offset, size, write);
    }

    public static void Move(CpuState* s, long delta)
    {
        var offset = s->Gpr[4] + (ulong)delta;
        s->Gpr[4] = s->Ss.DB ? (uint)offset : s->Gpr[4] & ~0xFFFFul | (ushort)offset;
    }
}

/// <summary>How far RIP counts.</summary>
internal interface IRip
{
    /// <summary>Wraps an instruction pointer.</summary>
    static abstract ulong Wrap(ulong rip);
}

/// <summary>64-bit instruction pointer.</summary>
internal readonly struct Rip64 : IRip
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Wrap(ulong rip) => rip;
}

/// <summary>32-bit instruction pointer.</summary>
internal readonly struct Rip32 : IRip
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Wrap(ulong rip) => (uint)rip;
}

/// <summary>16-bit instruction pointer.</summary>
internal readonly struct Rip16 : IRip
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Wrap(ulong rip) => (ushort)rip;
}
