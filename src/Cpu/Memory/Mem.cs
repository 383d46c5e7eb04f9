using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Vmm.Cpu.Interpreter;
using Vmm.Cpu.State;
using Vmm.Cpu.Vcpus;

namespace Vmm.Cpu.Memory;

/// <summary>
/// Linear memory as instructions see it. The fast path is one TLB compare; everything else is in <see cref="Vcpu"/>.
/// A false result means an exception waits in the state and the handler must return null at once.
/// </summary>
internal static unsafe class Mem
{
    const ulong PageMask = ~0xFFFul;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static TlbEntry* Entry(CpuState* s, ulong va) =>
        (TlbEntry*)((byte*)s->Tlb + (va >> 12 - TlbEntry.SizeShift & (CpuState.TlbEntries - 1 << TlbEntry.SizeShift)));

    /// <summary>Host address of an operand to be read, when the TLB knows it. Otherwise the handler goes on in its slow form.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryRead<T>(CpuState* s, ulong va, out byte* at)
        where T : unmanaged
    {
        var entry = Entry(s, va);
        at = (byte*)((long)va + entry->Addend);
        return ((va + (ulong)(sizeof(T) - 1) & PageMask) | s->TlbGen) == entry->ReadTag;
    }

    /// <summary>Host address of an operand to be written, when the TLB knows it. Otherwise the handler goes on in its slow form.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryWrite<T>(CpuState* s, ulong va, out byte* at)
        where T : unmanaged
    {
        var entry = Entry(s, va);
        at = (byte*)((long)va + entry->Addend);
        return ((va + (ulong)(sizeof(T) - 1) & PageMask) | s->TlbGen) == entry->WriteTag;
    }

    /// <summary>Loads a value, zero-extended.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryLoad<T>(CpuState* s, Op* op, ulong va, out ulong value)
        where T : unmanaged
    {
        var entry = Entry(s, va);
        if (((va + (ulong)(sizeof(T) - 1) & PageMask) | s->TlbGen) == entry->ReadTag)
        {
            var host = (byte*)((long)va + entry->Addend);
            value = sizeof(T) == 8 ? *(ulong*)host : sizeof(T) == 4 ? *(uint*)host : sizeof(T) == 2 ? *(ushort*)host : *host;
            return true;
        }

        value = LoadSlow(s, op, va, sizeof(T));
        return s->Stop == StopReason.None;
    }

    /// <summary>Stores the low bytes of a value.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryStore<T>(CpuState* s, Op* op, ulong va, ulong value)
        where T : unmanaged
    {
        var entry = Entry(s, va);
        if (((va + (ulong)(sizeof(T) - 1) & PageMask) | s->TlbGen) == entry->WriteTag)
        {
            var host = (byte*)((long)va + entry->Addend);
            if (sizeof(T) == 8)
            {
                *(ulong*)host = value;
            }
            else if (sizeof(T) == 4)
            {
                *(uint*)host = (uint)value;
            }
            else if (sizeof(T) == 2)
            {
                *(ushort*)host = (ushort)value;
            }
            else
            {
                *host = (byte)value;
            }

            return true;
        }

        return StoreSlow(s, op, va, value, sizeof(T));
    }

    /// <summary>Loads 16 bytes of any alignment.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryLoad16(CpuState* s, Op* op, ulong va, out Vector128<byte> value)
    {
        var entry = Entry(s, va);
        if (((va + 15 & PageMask) | s->TlbGen) == entry->ReadTag)
        {
            value = Vector128.Load((byte*)((long)va + entry->Addend));
            return true;
        }

        var good = Vcpu.Of(s).TryLoadBytes(op, va, 16);
        value = Vector128.Load((byte*)s->Scratch);
        return good;
    }

    /// <summary>Stores 16 bytes of any alignment.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryStore16(CpuState* s, Op* op, ulong va, Vector128<byte> value)
    {
        var entry = Entry(s, va);
        if (((va + 15 & PageMask) | s->TlbGen) == entry->WriteTag)
        {
            value.Store((byte*)((long)va + entry->Addend));
            return true;
        }

        value.Store((byte*)s->Scratch);
        return Vcpu.Of(s).TryStoreBytes(op, va, 16);
    }

    /// <summary>Host address of an operand that is only read: guest memory itself or <see cref="Scratch"/>. Null when it faults.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static byte* Peek(CpuState* s, Op* op, ulong va, int size)
    {
        var entry = Entry(s, va);
        return ((va + (ulong)(size - 1) & PageMask) | s->TlbGen) == entry->ReadTag
            ? (byte*)((long)va + entry->Addend)
            : PeekSlow(s, op, va, size);
    }

    /// <summary>
    /// Host address of an operand that is read and then written; null when it faults. When the result is
    /// <see cref="Scratch"/> the handler calls <see cref="CommitModify"/> after changing it.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static byte* BeginModify(CpuState* s, Op* op, ulong va, int size)
    {
        var entry = Entry(s, va);
        return ((va + (ulong)(size - 1) & PageMask) | s->TlbGen) == entry->WriteTag
            ? (byte*)((long)va + entry->Addend)
            : BeginModifySlow(s, op, va, size);
    }

    /// <summary>Where operands live that have no direct host address.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static byte* Scratch(CpuState* s) => (byte*)s->Scratch;

    /// <summary>Writes a scratch operand back.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static void CommitModify(CpuState* s, Op* op) => Vcpu.Of(s).CommitModify(op);

    [MethodImpl(MethodImplOptions.NoInlining)]
    static byte* PeekSlow(CpuState* s, Op* op, ulong va, int size) => Vcpu.Of(s).TryLoadBytes(op, va, size) ? Scratch(s) : null;

    [MethodImpl(MethodImplOptions.NoInlining)]
    static byte* BeginModifySlow(CpuState* s, Op* op, ulong va, int size) => Vcpu.Of(s).BeginModify(op, va, size);

    [MethodImpl(MethodImplOptions.NoInlining)]
    static ulong LoadSlow(CpuState* s, Op* op, ulong va, int size) =>
        Vcpu.Of(s).TryLoadBytes(op, va, size) ? *(ulong*)s->Scratch : 0;

    [MethodImpl(MethodImplOptions.NoInlining)]
    static bool StoreSlow(CpuState* s, Op* op, ulong va, ulong value, int size)
    {
        *(ulong*)s->Scratch = value;
        return Vcpu.Of(s).TryStoreBytes(op, va, size);
    }
}
