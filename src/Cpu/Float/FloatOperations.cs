using System.Runtime.Intrinsics;

namespace Vmm.Cpu.Float;

/// <summary>ADD.</summary>
internal readonly struct AddOperation : IFloatOperation
{
    /// <inheritdoc/>
    public static uint Single(uint a, uint b, ref FloatContext c) => Binary32.Add(a, b, ref c);

    /// <inheritdoc/>
    public static ulong Double(ulong a, ulong b, ref FloatContext c) => Binary64.Add(a, b, ref c);

    /// <inheritdoc/>
    public static Vector128<float> Host(Vector128<float> a, Vector128<float> b) => a + b;

    /// <inheritdoc/>
    public static Vector128<double> Host(Vector128<double> a, Vector128<double> b) => a + b;

    /// <inheritdoc/>
    public static float Host(float a, float b) => a + b;

    /// <inheritdoc/>
    public static double Host(double a, double b) => a + b;

    /// <inheritdoc/>
    public static bool ZeroIsExact(bool aIsZero, bool bIsZero) => true;

    /// <inheritdoc/>
    public static Vector128<T> ZeroIsExact<T>(Vector128<T> aIsZero, Vector128<T> bIsZero) => Vector128<T>.AllBitsSet;
}

/// <summary>SUB.</summary>
internal readonly struct SubtractOperation : IFloatOperation
{
    /// <inheritdoc/>
    public static uint Single(uint a, uint b, ref FloatContext c) => Binary32.Subtract(a, b, ref c);

    /// <inheritdoc/>
    public static ulong Double(ulong a, ulong b, ref FloatContext c) => Binary64.Subtract(a, b, ref c);

    /// <inheritdoc/>
    public static Vector128<float> Host(Vector128<float> a, Vector128<float> b) => a - b;

    /// <inheritdoc/>
    public static Vector128<double> Host(Vector128<double> a, Vector128<double> b) => a - b;

    /// <inheritdoc/>
    public static float Host(float a, float b) => a - b;

    /// <inheritdoc/>
    public static double Host(double a, double b) => a - b;

    /// <inheritdoc/>
    public static bool ZeroIsExact(bool aIsZero, bool bIsZero) => true;

    /// <inheritdoc/>
    public static Vector128<T> ZeroIsExact<T>(Vector128<T> aIsZero, Vector128<T> bIsZero) => Vector128<T>.AllBitsSet;
}

/// <summary>MUL.</summary>
internal readonly struct MultiplyOperation : IFloatOperation
{
    /// <inheritdoc/>
    public static uint Single(uint a, uint b, ref FloatContext c) => Binary32.Multiply(a, b, ref c);

    /// <inheritdoc/>
    public static ulong Double(ulong a, ulong b, ref FloatContext c) => Binary64.Multiply(a, b, ref c);

    /// <inheritdoc/>
    public static Vector128<float> Host(Vector128<float> a, Vector128<float> b) => a * b;

    /// <inheritdoc/>
    public static Vector128<double> Host(Vector128<double> a, Vector128<double> b) => a * b;

    /// <inheritdoc/>
    public static float Host(float a, float b) => a * b;

    /// <inheritdoc/>
    public static double Host(double a, double b) => a * b;

    /// <inheritdoc/>
    public static bool ZeroIsExact(bool aIsZero, bool bIsZero) => aIsZero || bIsZero;

    /// <inheritdoc/>
    public static Vector128<T> ZeroIsExact<T>(Vector128<T> aIsZero, Vector128<T> bIsZero) => aIsZero | bIsZero;
}

/// <summary>DIV.</summary>
internal readonly struct DivideOperation : IFloatOperation
{
    /// <inheritdoc/>
    public static uint Single(uint a, uint b, ref FloatContext c) => Binary32.Divide(a, b, ref c);

    /// <inheritdoc/>
    public static ulong Double(ulong a, ulong b, ref FloatContext c) => Binary64.Divide(a, b, ref c);

    /// <inheritdoc/>
    public static Vector128<float> Host(Vector128<float> a, Vector128<float> b) => a / b;

    /// <inheritdoc/>
    public static Vector128<double> Host(Vector128<double> a, Vector128<double> b) => a / b;

    /// <inheritdoc/>
    public static float Host(float a, float b) => a / b;

    /// <inheritdoc/>
    public static double Host(double a, double b) => a / b;

    /// <inheritdoc/>
    public static bool ZeroIsExact(bool aIsZero, bool bIsZero) => aIsZero && !bIsZero;

    /// <inheritdoc/>
    public static Vector128<T> ZeroIsExact<T>(Vector128<T> aIsZero, Vector128<T> bIsZero) => Vector128.AndNot(aIsZero, bIsZero);
}

/// <summary>MIN.</summary>
internal readonly struct MinOperation : IFloatOperation
{
    /// <inheritdoc/>
    public static uint Single(uint a, uint b, ref FloatContext c) => Binary32.Min(a, b, ref c);

    /// <inheritdoc/>
    public static ulong Double(ulong a, ulong b, ref FloatContext c) => Binary64.Min(a, b, ref c);

    /// <inheritdoc/>
    public static Vector128<float> Host(Vector128<float> a, Vector128<float> b) => Vector128.ConditionalSelect(Vector128.LessThan(a, b), a, b);

    /// <inheritdoc/>
    public static Vector128<double> Host(Vector128<double> a, Vector128<double> b) => Vector128.ConditionalSelect(Vector128.LessThan(a, b), a, b);

    /// <inheritdoc/>
    public static float Host(float a, float b) => a < b ? a : b;

    /// <inheritdoc/>
    public static double Host(double a, double b) => a < b ? a : b;

    /// <inheritdoc/>
    public static bool ZeroIsExact(bool aIsZero, bool bIsZero) => true;

    /// <inheritdoc/>
    public static Vector128<T> ZeroIsExact<T>(Vector128<T> aIsZero, Vector128<T> bIsZero) => Vector128<T>.AllBitsSet;
}

/// <summary>MAX.</summary>
internal readonly struct MaxOperation : IFloatOperation
{
    /// <inheritdoc/>
    public static uint Single(uint a, uint b, ref FloatContext c) => Binary32.Max(a, b, ref c);

    /// <inheritdoc/>
    public static ulong Double(ulong a, ulong b, ref FloatContext c) => Binary64.Max(a, b, ref c);

    /// <inheritdoc/>
    public static Vector128<float> Host(Vector128<float> a, Vector128<float> b) => Vector128.ConditionalSelect(Vector128.GreaterThan(a, b), a, b);

    /// <inheritdoc/>
    public static Vector128<double> Host(Vector128<double> a, Vector128<double> b) => Vector128.ConditionalSelect(Vector128.GreaterThan(a, b), a, b);

    /// <inheritdoc/>
    public static float Host(float a, float b) => a > b ? a : b;

    /// <inheritdoc/>
    public static double Host(double a, double b) => a > b ? a : b;

    /// <inheritdoc/>
    public static bool ZeroIsExact(bool aIsZero, bool bIsZero) => true;

    /// <inheritdoc/>
    public static Vector128<T> ZeroIsExact<T>(Vector128<T> aIsZero, Vector128<T> bIsZero) => Vector128<T>.AllBitsSet;
}

/// <summary>SQRT, of the second operand.</summary>
internal readonly struct SquareRootOperation : IFloatOperation
{
    /// <inheritdoc/>
    public static uint Single(uint a, uint b, ref FloatContext c) => Binary32.SquareRoot(b, ref c);

    /// <inheritdoc/>
    public static ulong Double(ulong a, ulong b, ref FloatContext c) => Binary64.SquareRoot(b, ref c);

    /// <inheritdoc/>
    public static Vector128<float> Host(Vector128<float> a, Vector128<float> b) => Vector128.Sqrt(b);

    /// <inheritdoc/>
    public static Vector128<double> Host(Vector128<double> a, Vector128<double> b) => Vector128.Sqrt(b);

    /// <inheritdoc/>
    public static float Host(float a, float b) => MathF.Sqrt(b);

    /// <inheritdoc/>
    public static double Host(double a, double b) => Math.Sqrt(b);

    /// <inheritdoc/>
    public static bool ZeroIsExact(bool aIsZero, bool bIsZero) => bIsZero;

    /// <inheritdoc/>
    public static Vector128<T> ZeroIsExact<T>(Vector128<T> aIsZero, Vector128<T> bIsZero) => bIsZero;
}
