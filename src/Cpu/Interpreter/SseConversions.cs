using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Vmm.Cpu.Float;
using Vmm.Cpu.State;

namespace Vmm.Cpu.Interpreter;

/// <summary>CVTSS2SD.</summary>
internal readonly unsafe struct SingleToDouble : ISseFloat
{
    public static int Bytes => 4;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Run(CpuState* s, Op* op, byte* source)
    {
        if (Binary32.Plain(*(uint*)source))
        {
            *(double*)((byte*)s + op->A) = *(float*)source;
            return true;
        }

        return Slow(s, op, source);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    static bool Slow(CpuState* s, Op* op, byte* source)
    {
        var c = FloatContext.FromMxcsr(s->Mxcsr);
        var result = BinaryConversion.ToBinary64(*(uint*)source, ref c);
        return SseResult.Accept(s, op, c, result);
    }
}

/// <summary>CVTSD2SS.</summary>
internal readonly unsafe struct DoubleToSingle : ISseFloat
{
    public static int Bytes => 8;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Run(CpuState* s, Op* op, byte* source)
    {
        var single = (float)*(double*)source;
        if (FloatContext.IsPlainMxcsr(s->Mxcsr) && Binary64.Plain(*(ulong*)source) && Binary32.IsSafe(single))
        {
            *(float*)((byte*)s + op->A) = single;
            return true;
        }

        return Slow(s, op, source);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    static bool Slow(CpuState* s, Op* op, byte* source)
    {
        var c = FloatContext.FromMxcsr(s->Mxcsr);
        var result = BinaryConversion.ToBinary32(*(ulong*)source, ref c);
        return SseResult.Accept(s, op, c, result);
    }
}

/// <summary>CVTSI2SS from <typeparamref name="T"/> (int or long).</summary>
internal readonly unsafe struct IntegerToSingle<T> : ISseFloat
    where T : unmanaged
{
    public static int Bytes => sizeof(T);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Run(CpuState* s, Op* op, byte* source)
    {
        // Integers of at most 24 bits are exact.
        const long Limit = 1L << 24;
        var value = sizeof(T) == 8 ? *(long*)source : *(int*)source;
        if (value is >= -Limit and <= Limit)
        {
            *(float*)((byte*)s + op->A) = value;
            return true;
        }

        return Slow(s, op, source);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    static bool Slow(CpuState* s, Op* op, byte* source)
    {
        var c = FloatContext.FromMxcsr(s->Mxcsr);
        var result = Binary32.FromInteger(sizeof(T) == 8 ? *(long*)source : *(int*)source, ref c);
        return SseResult.Accept(s, op, c, result);
    }
}

/// <summary>CVTSI2SD from <typeparamref name="T"/> (int or long).</summary>
internal readonly unsafe struct IntegerToDouble<T> : ISseFloat
    where T : unmanaged
{
    public static int Bytes => sizeof(T);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Run(CpuState* s, Op* op, byte* source)
    {
        // Integers of at most 53 bits are exact.
        const long Limit = 1L << 53;
        var value = sizeof(T) == 8 ? *(long*)source : *(int*)source;
        if (value is >= -Limit and <= Limit)
        {
            *(double*)((byte*)s + op->A) = value;
            return true;
        }

        return Slow(s, op, source);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    static bool Slow(CpuState* s, Op* op, byte* source)
    {
        var c = FloatContext.FromMxcsr(s->Mxcsr);
        var result = Binary64.FromInteger(sizeof(T) == 8 ? *(long*)source : *(int*)source, ref c);
        return SseResult.Accept(s, op, c, result);
    }
}

/// <summary>CVTSS2SI and CVTTSS2SI to <typeparamref name="T"/> (uint or ulong). Imm non-zero truncates.</summary>
internal readonly unsafe struct SingleToInteger<T> : ISseFloat
    where T : unmanaged
{
    public static int Bytes => 4;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Run(CpuState* s, Op* op, byte* source)
    {
        var value = *(float*)source;
        if (value > -2147483648.0f && value < 2147483648.0f)
        {
            // An integer needs no rounding; truncating another one is silent once PE is sticky.
            var truncated = (int)value;
            if (truncated == value || (op->Imm != 0 && (s->Mxcsr & SseResult.SilentInexact) == SseResult.SilentInexact))
            {
                Handlers.Set<T>(s, op->A, (ulong)truncated);
                return true;
            }
        }

        return Slow(s, op, source);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    static bool Slow(CpuState* s, Op* op, byte* source)
    {
        var c = FloatContext.FromMxcsr(s->Mxcsr);
        var rounding = op->Imm != 0 ? FloatRounding.Truncate : c.Rounding;
        var result = Binary32.ToInteger(*(uint*)source, sizeof(T) * 8, rounding, ref c);
        return SseResult.AcceptInteger<T>(s, op, c, result);
    }
}

/// <summary>CVTSD2SI and CVTTSD2SI to <typeparamref name="T"/> (uint or ulong). Imm non-zero truncates.</summary>
internal readonly unsafe struct DoubleToInteger<T> : ISseFloat
    where T : unmanaged
{
    public static int Bytes => 8;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Run(CpuState* s, Op* op, byte* source)
    {
        var value = *(double*)source;
        if (value > -2147483648.0 && value < 2147483648.0)
        {
            // An integer needs no rounding; truncating another one is silent once PE is sticky.
            var truncated = (int)value;
            if (truncated == value || (op->Imm != 0 && (s->Mxcsr & SseResult.SilentInexact) == SseResult.SilentInexact))
            {
                Handlers.Set<T>(s, op->A, (ulong)truncated);
                return true;
            }
        }

        return Slow(s, op, source);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    static bool Slow(CpuState* s, Op* op, byte* source)
    {
        var c = FloatContext.FromMxcsr(s->Mxcsr);
        var rounding = op->Imm != 0 ? FloatRounding.Truncate : c.Rounding;
        var result = Binary64.ToInteger(*(ulong*)source, sizeof(T) * 8, rounding, ref c);
        return SseResult.AcceptInteger<T>(s, op, c, result);
    }
}

/// <summary>Writing scalar results.</summary>
internal static unsafe class SseResult
{
    /// <summary>MXCSR.PM and PE.</summary>
    public const uint SilentInexact = 0x1020;

    /// <summary>To the low double precision element. False: an unmasked exception waits.</summary>
    public static bool Accept(CpuState* s, Op* op, in FloatContext c, ulong value)
    {
        if (!SseFloat.Accept(s, op, c))
        {
            return false;
        }

        *(ulong*)((byte*)s + op->A) = value;
        return true;
    }

    /// <summary>To the low single precision element. False: an unmasked exception waits.</summary>
    public static bool Accept(CpuState* s, Op* op, in FloatContext c, uint value)
    {
        if (!SseFloat.Accept(s, op, c))
        {
            return false;
        }

        *(uint*)((byte*)s + op->A) = value;
        return true;
    }

    /// <summary>To a general register. False: an unmasked exception waits.</summary>
    public static bool AcceptInteger<T>(CpuState* s, Op* op, in FloatContext c, long value)
        where T : unmanaged
    {
        if (!SseFloat.Accept(s, op, c))
        {
            return false;
        }

        Handlers.Set<T>(s, op->A, (ulong)value);
        return true;
    }
}

/// <summary>CVTPS2PD: the low two elements.</summary>
internal readonly unsafe struct PackedSingleToDouble : ISseFloat
{
    public static int Bytes => 8;

    public static bool Run(CpuState* s, Op* op, byte* source)
    {
        var low = ((uint*)source)[0];
        var high = ((uint*)source)[1];
        var c = FloatContext.FromMxcsr(s->Mxcsr);
        var result = Vector128.Create(BinaryConversion.ToBinary64(low, ref c), BinaryConversion.ToBinary64(high, ref c));
        return SseRegister.Store(s, op, c, result.AsByte());
    }
}

/// <summary>CVTPD2PS: into the low two elements, the others cleared.</summary>
internal readonly unsafe struct PackedDoubleToSingle : ISseFloat
{
    public static int Bytes => 16;

    public static bool Run(CpuState* s, Op* op, byte* source)
    {
        var b = SseRegister.Load64(source);
        var c = FloatContext.FromMxcsr(s->Mxcsr);
        var result = Vector128.Create(BinaryConversion.ToBinary32(b[0], ref c), BinaryConversion.ToBinary32(b[1], ref c), 0, 0);
        return SseRegister.Store(s, op, c, result.AsByte());
    }
}

/// <summary>CVTDQ2PS.</summary>
internal readonly unsafe struct PackedIntegerToSingle : ISseFloat
{
    public static int Bytes => 16;

    public static bool Run(CpuState* s, Op* op, byte* source)
    {
        var b = SseRegister.Load32(source).AsInt32();
        var c = FloatContext.FromMxcsr(s->Mxcsr);
        var result = Vector128.Create(
            Binary32.FromInteger(b[0], ref c), Binary32.FromInteger(b[1], ref c),
            Binary32.FromInteger(b[2], ref c), Binary32.FromInteger(b[3], ref c));
        return SseRegister.Store(s, op, c, result.AsByte());
    }
}

/// <summary>CVTDQ2PD and CVTPI2PD: exact.</summary>
internal readonly unsafe struct PackedIntegerToDouble : ISseFloat
{
    public static int Bytes => 8;

    public static bool Run(CpuState* s, Op* op, byte* source)
    {
        var low = ((int*)source)[0];
        var high = ((int*)source)[1];
        Vector128.Create(Binary64.FromExact(low), Binary64.FromExact(high)).AsByte().Store((byte*)s + op->A);
        return true;
    }
}

/// <summary>CVTPS2DQ and CVTTPS2DQ. Imm non-zero truncates.</summary>
internal readonly unsafe struct PackedSingleToInteger : ISseFloat
{
    public static int Bytes => 16;

    public static bool Run(CpuState* s, Op* op, byte* source)
    {
        var b = SseRegister.Load32(source);
        var c = FloatContext.FromMxcsr(s->Mxcsr);
        var rounding = op->Imm != 0 ? FloatRounding.Truncate : c.Rounding;
        var result = Vector128.Create(
            (int)Binary32.ToInteger(b[0], 32, rounding, ref c), (int)Binary32.ToInteger(b[1], 32, rounding, ref c),
            (int)Binary32.ToInteger(b[2], 32, rounding, ref c), (int)Binary32.ToInteger(b[3], 32, rounding, ref c));
        return SseRegister.Store(s, op, c, result.AsByte());
    }
}

/// <summary>CVTPD2DQ and CVTTPD2DQ: into the low two elements, the others cleared. Imm non-zero truncates.</summary>
internal readonly unsafe struct PackedDoubleToInteger : ISseFloat
{
    public static int Bytes => 16;

    public static bool Run(CpuState* s, Op* op, byte* source)
    {
        var b = SseRegister.Load64(source);
        var c = FloatContext.FromMxcsr(s->Mxcsr);
        var rounding = op->Imm != 0 ? FloatRounding.Truncate : c.Rounding;
        var result = Vector128.Create(
            (int)Binary64.ToInteger(b[0], 32, rounding, ref c), (int)Binary64.ToInteger(b[1], 32, rounding, ref c), 0, 0);
        return SseRegister.Store(s, op, c, result.AsByte());
    }
}
