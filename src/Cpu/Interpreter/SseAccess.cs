using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Vmm.Cpu.Memory;
using Vmm.Cpu.State;
using Vmm.Cpu.Vcpus;

namespace Vmm.Cpu.Interpreter;

/// <summary>What every SSE instruction needs: leave to run, and 16-byte memory operands (SDM 3A §13.1, 2A §2.4).</summary>
internal static unsafe class SseAccess
{
    const ulong PageMask = ~0xFFFul;

    /// <summary>Raises the exception that <see cref="CpuState.SseFault"/> names. Always null.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static Block* Refuse(CpuState* s, Op* op)
    {
        Vcpu.Of(s).Fail(op, (byte)s->SseFault, 0);
        return null;
    }

    /// <summary>For cold instructions: false when SSE is off and an exception waits.</summary>
    public static bool TryEnter(Vcpu cpu, CpuState* s, Op* op) => s->SseFault == 0 || cpu.Fail(op, (byte)s->SseFault, 0);

    /// <summary>The exception that SSE instructions raise under these control registers, or 0: #UD comes before #NM.</summary>
    public static uint FaultOf(ulong cr0, ulong cr4) =>
        (cr0 & Cr.Cr0EM) != 0 || (cr4 & Cr.Cr4OSFXSR) == 0 ? Vector.UD : (cr0 & Cr.Cr0TS) != 0 ? Vector.NM : 0u;

    /// <summary>Loads 16 bytes of any alignment.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryLoad16(CpuState* s, Op* op, ulong va, out Vector128<byte> value)
    {
        var entry = s->Tlb + (va >> 12 & CpuState.TlbEntries - 1);
        if (((va + 15 & PageMask) | s->TlbGen) == entry->ReadTag)
        {
            value = Vector128.Load((byte*)((long)va + entry->Addend));
            return true;
        }

        var good = LoadSlow(s, op, va);
        value = Vector128.Load((byte*)s->Scratch);
        return good;
    }

    /// <summary>Loads 16 aligned bytes; a misaligned address raises #GP(0).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryLoadAligned16(CpuState* s, Op* op, ulong va, out Vector128<byte> value)
    {
        var entry = s->Tlb + (va >> 12 & CpuState.TlbEntries - 1);
        if (((va & PageMask) | s->TlbGen) == entry->ReadTag && (va & 15) == 0)
        {
            value = Vector128.Load((byte*)((long)va + entry->Addend));
            return true;
        }

        var good = LoadAlignedSlow(s, op, va);
        value = Vector128.Load((byte*)s->Scratch);
        return good;
    }

    /// <summary>Stores 16 bytes of any alignment.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryStore16(CpuState* s, Op* op, ulong va, Vector128<byte> value)
    {
        var entry = s->Tlb + (va >> 12 & CpuState.TlbEntries - 1);
        if (((va + 15 & PageMask) | s->TlbGen) == entry->WriteTag)
        {
            value.Store((byte*)((long)va + entry->Addend));
            return true;
        }

        value.Store((byte*)s->Scratch);
        return StoreSlow(s, op, va);
    }

    /// <summary>Stores 16 aligned bytes; a misaligned address raises #GP(0).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryStoreAligned16(CpuState* s, Op* op, ulong va, Vector128<byte> value)
    {
        var entry = s->Tlb + (va >> 12 & CpuState.TlbEntries - 1);
        if (((va & PageMask) | s->TlbGen) == entry->WriteTag && (va & 15) == 0)
        {
            value.Store((byte*)((long)va + entry->Addend));
            return true;
        }

        value.Store((byte*)s->Scratch);
        return StoreAlignedSlow(s, op, va);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    static bool LoadSlow(CpuState* s, Op* op, ulong va) => Vcpu.Of(s).TryLoadBytes(op, va, 16);

    [MethodImpl(MethodImplOptions.NoInlining)]
    static bool StoreSlow(CpuState* s, Op* op, ulong va) => Vcpu.Of(s).TryStoreBytes(op, va, 16);

    [MethodImpl(MethodImplOptions.NoInlining)]
    static bool LoadAlignedSlow(CpuState* s, Op* op, ulong va)
    {
        var cpu = Vcpu.Of(s);
        return IsMisaligned(va) ? cpu.Fail(op, Vector.GP, 0) : cpu.TryLoadBytes(op, va, 16);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    static bool StoreAlignedSlow(CpuState* s, Op* op, ulong va)
    {
        var cpu = Vcpu.Of(s);
        return IsMisaligned(va) ? cpu.Fail(op, Vector.GP, 0) : cpu.TryStoreBytes(op, va, 16);
    }

    /// <summary>A segment violation comes first; misalignment comes before canonical form (measured: #GP, not #SS).</summary>
    static bool IsMisaligned(ulong va) => (va & 15) != 0 && (va & ~0xFFul) != Vcpu.Poison;
}

/// <summary>Where a vector operation's second operand comes from when it is in memory.</summary>
internal unsafe interface ISseSource
{
    /// <summary>Reads the operand, zero-extended to 16 bytes. False: an exception waits.</summary>
    static abstract bool TryLoad<TAddress>(CpuState* s, Op* op, out Vector128<byte> value)
        where TAddress : struct, IAddress;
}

/// <summary>16 bytes, aligned or #GP(0).</summary>
internal readonly unsafe struct SseAligned : ISseSource
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryLoad<TAddress>(CpuState* s, Op* op, out Vector128<byte> value)
        where TAddress : struct, IAddress => SseAccess.TryLoadAligned16(s, op, TAddress.At(s, op, 16, false), out value);
}

/// <summary>16 bytes of any alignment.</summary>
internal readonly unsafe struct SseUnaligned : ISseSource
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryLoad<TAddress>(CpuState* s, Op* op, out Vector128<byte> value)
        where TAddress : struct, IAddress => SseAccess.TryLoad16(s, op, TAddress.At(s, op, 16, false), out value);
}

/// <summary>2, 4 or 8 bytes of any alignment.</summary>
internal readonly unsafe struct SsePart<T> : ISseSource
    where T : unmanaged
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryLoad<TAddress>(CpuState* s, Op* op, out Vector128<byte> value)
        where TAddress : struct, IAddress
    {
        var good = Mem.TryLoad<T>(s, op, TAddress.At(s, op, sizeof(T), false), out var low);
        value = Vector128.CreateScalar(low).AsByte();
        return good;
    }
}
