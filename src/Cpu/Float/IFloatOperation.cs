using System.Runtime.Intrinsics;

namespace Vmm.Cpu.Float;

/// <summary>An SSE operation with scalar and packed forms in both precisions.</summary>
internal interface IFloatOperation
{
    /// <summary>One single precision element.</summary>
    static abstract uint Single(uint a, uint b, ref FloatContext c);

    /// <summary>One double precision element.</summary>
    static abstract ulong Double(ulong a, ulong b, ref FloatContext c);

    /// <summary>Host arithmetic on zeros and normal numbers.</summary>
    static abstract Vector128<float> Host(Vector128<float> a, Vector128<float> b);

    /// <summary>Host arithmetic on zeros and normal numbers.</summary>
    static abstract Vector128<double> Host(Vector128<double> a, Vector128<double> b);

    /// <summary>Host arithmetic on zeros and normal numbers.</summary>
    static abstract float Host(float a, float b);

    /// <summary>Host arithmetic on zeros and normal numbers.</summary>
    static abstract double Host(double a, double b);

    /// <summary>Whether a zero result is exact and of the right sign, given which operands are zeros.</summary>
    static abstract bool ZeroIsExact(bool aIsZero, bool bIsZero);

    /// <summary>Where a zero result is exact and of the right sign, given which operands are zeros.</summary>
    static abstract Vector128<T> ZeroIsExact<T>(Vector128<T> aIsZero, Vector128<T> bIsZero);
}
