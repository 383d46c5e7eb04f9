using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Vmm.Cpu.Memory;
using Vmm.Cpu.State;

namespace Vmm.Cpu.Interpreter;

/// <summary>A vector operation on a destination and a source. Immediates and XMM0 come from the operation and the state.</summary>
internal unsafe interface ISse
{
    /// <summary>The new destination.</summary>
    static abstract Vector128<byte> Apply(CpuState* s, Op* op, Vector128<byte> a, Vector128<byte> b);
}

/// <content>SSE: two-operand operations and moves. A and B are byte offsets, of a whole XMM register or of an element.</content>
internal static unsafe partial class Handlers
{
    /// <summary>Operation on two registers.</summary>
    [MethodImpl(Hot)]
    public static Block* SseRegReg<TOp>(CpuState* s, Op* op)
        where TOp : struct, ISse
    {
        if (s->SseFault != 0)
        {
            return SseAccess.Refuse(s, op);
        }

        var at = (byte*)s + op->A;
        TOp.Apply(s, op, Vector128.Load(at), Vector128.Load((byte*)s + op->B)).Store(at);
        return Next(s, op);
    }

    /// <summary>Operation on a register and memory.</summary>
    [MethodImpl(Hot)]
    public static Block* SseRegMem<TOp, TSource, TAddress>(CpuState* s, Op* op)
        where TOp : struct, ISse
        where TSource : struct, ISseSource
        where TAddress : struct, IAddress
    {
        if (s->SseFault != 0)
        {
            return SseAccess.Refuse(s, op);
        }

        if (!TSource.TryLoad<TAddress>(s, op, out var b))
        {
            return null;
        }

        var at = (byte*)s + op->A;
        TOp.Apply(s, op, Vector128.Load(at), b).Store(at);
        return Next(s, op);
    }

    /// <summary>Whole register to register.</summary>
    [MethodImpl(Hot)]
    public static Block* SseCopy(CpuState* s, Op* op)
    {
        if (s->SseFault != 0)
        {
            return SseAccess.Refuse(s, op);
        }

        Vector128.Load((byte*)s + op->B).Store((byte*)s + op->A);
        return Next(s, op);
    }

    /// <summary>Memory to register; shorter operands clear the rest (MOVSS, MOVSD, MOVD, MOVQ).</summary>
    [MethodImpl(Hot)]
    public static Block* SseLoad<TSource, TAddress>(CpuState* s, Op* op)
        where TSource : struct, ISseSource
        where TAddress : struct, IAddress
    {
        if (s->SseFault != 0)
        {
            return SseAccess.Refuse(s, op);
        }

        if (!TSource.TryLoad<TAddress>(s, op, out var value))
        {
            return null;
        }

        value.Store((byte*)s + op->A);
        return Next(s, op);
    }

    /// <summary>Whole register to memory of any alignment.</summary>
    [MethodImpl(Hot)]
    public static Block* SseStore<TAddress>(CpuState* s, Op* op)
        where TAddress : struct, IAddress
    {
        if (s->SseFault != 0)
        {
            return SseAccess.Refuse(s, op);
        }

        if (!SseAccess.TryStore16(s, op, TAddress.At(s, op, 16, true), Vector128.Load((byte*)s + op->B)))
        {
            return null;
        }

        return Next(s, op);
    }

    /// <summary>Whole register to aligned memory.</summary>
    [MethodImpl(Hot)]
    public static Block* SseStoreAligned<TAddress>(CpuState* s, Op* op)
        where TAddress : struct, IAddress
    {
        if (s->SseFault != 0)
        {
            return SseAccess.Refuse(s, op);
        }

        if (!SseAccess.TryStoreAligned16(s, op, TAddress.At(s, op, 16, true), Vector128.Load((byte*)s + op->B)))
        {
            return null;
        }

        return Next(s, op);
    }

    /// <summary>Element to element, the rest of the destination stays (MOVSS, MOVSD, MOVHLPS, MOVLHPS, PINSRx).</summary>
    [MethodImpl(Hot)]
    public static Block* SseCopyPart<T>(CpuState* s, Op* op)
        where T : unmanaged
    {
        if (s->SseFault != 0)
        {
            return SseAccess.Refuse(s, op);
        }

        *(T*)((byte*)s + op->A) = *(T*)((byte*)s + op->B);
        return Next(s, op);
    }

    /// <summary>Element to register, the rest of the destination becomes zero (MOVD, MOVQ).</summary>
    [MethodImpl(Hot)]
    public static Block* SseCopyZero<T>(CpuState* s, Op* op)
        where T : unmanaged
    {
        if (s->SseFault != 0)
        {
            return SseAccess.Refuse(s, op);
        }

        Vector128.CreateScalar(Get<T>(s, op->B)).AsByte().Store((byte*)s + op->A);
        return Next(s, op);
    }

    /// <summary>Memory to element, the rest of the destination stays (MOVLPS, MOVHPS, PINSRx).</summary>
    [MethodImpl(Hot)]
    public static Block* SseLoadPart<T, TAddress>(CpuState* s, Op* op)
        where T : unmanaged
        where TAddress : struct, IAddress
    {
        if (s->SseFault != 0)
        {
            return SseAccess.Refuse(s, op);
        }

        if (!Mem.TryLoad<T>(s, op, TAddress.At(s, op, sizeof(T), false), out var value))
        {
            return null;
        }

        Poke<T>((byte*)s + op->A, value);
        return Next(s, op);
    }

    /// <summary>Element to memory.</summary>
    [MethodImpl(Hot)]
    public static Block* SseStorePart<T, TAddress>(CpuState* s, Op* op)
        where T : unmanaged
        where TAddress : struct, IAddress
    {
        if (s->SseFault != 0)
        {
            return SseAccess.Refuse(s, op);
        }

        if (!Mem.TryStore<T>(s, op, TAddress.At(s, op, sizeof(T), true), Get<T>(s, op->B)))
        {
            return null;
        }

        return Next(s, op);
    }

    /// <summary>Element to general register, zero-extended to 64 bits (MOVD, MOVQ, PEXTRx, EXTRACTPS).</summary>
    [MethodImpl(Hot)]
    public static Block* SseToGeneral<T>(CpuState* s, Op* op)
        where T : unmanaged
    {
        if (s->SseFault != 0)
        {
            return SseAccess.Refuse(s, op);
        }

        *(ulong*)((byte*)s + op->A) = Get<T>(s, op->B);
        return Next(s, op);
    }

    /// <summary>Sign bits of the elements to a general register (PMOVMSKB, MOVMSKPS, MOVMSKPD).</summary>
    [MethodImpl(Hot)]
    public static Block* SseSignMask<T>(CpuState* s, Op* op)
        where T : unmanaged
    {
        if (s->SseFault != 0)
        {
            return SseAccess.Refuse(s, op);
        }

        *(ulong*)((byte*)s + op->A) = Vector128.Load((byte*)s + op->B).As<byte, T>().ExtractMostSignificantBits();
        return Next(s, op);
    }

    /// <summary>CRC32 with a register source (SDM 2A). It touches no SSE state, so CR0 and CR4 do not matter.</summary>
    [MethodImpl(Hot)]
    public static Block* Crc32Reg<T>(CpuState* s, Op* op)
        where T : unmanaged
    {
        Set<uint>(s, op->A, Crc32C<T>(*(uint*)((byte*)s + op->A), Get<T>(s, op->B)));
        return Next(s, op);
    }

    /// <summary>CRC32 with a memory source.</summary>
    [MethodImpl(Hot)]
    public static Block* Crc32Mem<T, TAddress>(CpuState* s, Op* op)
        where T : unmanaged
        where TAddress : struct, IAddress
    {
        if (!Mem.TryLoad<T>(s, op, TAddress.At(s, op, sizeof(T), false), out var value))
        {
            return null;
        }

        Set<uint>(s, op->A, Crc32C<T>(*(uint*)((byte*)s + op->A), value));
        return Next(s, op);
    }

    [MethodImpl(Inline)]
    static uint Crc32C<T>(uint crc, ulong data)
        where T : unmanaged =>
        sizeof(T) == 8 ? BitOperations.Crc32C(crc, data)
        : sizeof(T) == 4 ? BitOperations.Crc32C(crc, (uint)data)
        : sizeof(T) == 2 ? BitOperations.Crc32C(crc, (ushort)data)
        : BitOperations.Crc32C(crc, (byte)data);
}
