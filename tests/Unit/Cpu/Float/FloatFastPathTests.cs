using Vmm.Cpu.Float;
using Xunit;

namespace Vmm.Unit.Cpu.Float;

/// <summary>Host arithmetic, where it is used, changes neither result nor flags.</summary>
public sealed class FloatFastPathTests
{
    private const int Cases = 20000;

    private delegate ulong Operation(ulong a, ulong b, ref FloatContext c);

    [Fact]
    public void Double_arithmetic_equals_the_software_path()
    {
        FloatFormat f = FloatFormat.Binary64;
        Check(false, (ulong a, ulong b, ref FloatContext c) => Binary64.Add(a, b, ref c), (ulong a, ulong b, ref FloatContext c) => SoftSse.Add(f, a, b, ref c));
        Check(false, (ulong a, ulong b, ref FloatContext c) => Binary64.Subtract(a, b, ref c), (ulong a, ulong b, ref FloatContext c) => SoftSse.Subtract(f, a, b, ref c));
        Check(false, (ulong a, ulong b, ref FloatContext c) => Binary64.Multiply(a, b, ref c), (ulong a, ulong b, ref FloatContext c) => SoftSse.Multiply(f, a, b, ref c));
        Check(false, (ulong a, ulong b, ref FloatContext c) => Binary64.Divide(a, b, ref c), (ulong a, ulong b, ref FloatContext c) => SoftSse.Divide(f, a, b, ref c));
        Check(false, (ulong a, ulong b, ref FloatContext c) => Binary64.SquareRoot(a, ref c), (ulong a, ulong b, ref FloatContext c) => SoftSse.SquareRoot(f, a, ref c));
        Check(false, (ulong a, ulong b, ref FloatContext c) => BinaryConversion.ToBinary32(a, ref c), (ulong a, ulong b, ref FloatContext c) => SoftSse.Convert(f, FloatFormat.Binary32, a, ref c));
        Check(false, (ulong a, ulong b, ref FloatContext c) => (uint)Binary64.TruncateToInt32(a, ref c), (ulong a, ulong b, ref FloatContext c) => (uint)SoftSse.ToInteger(f, a, 32, FloatRounding.Truncate, ref c));
    }

    [Fact]
    public void Single_arithmetic_equals_the_software_path()
    {
        FloatFormat f = FloatFormat.Binary32;
        Check(true, (ulong a, ulong b, ref FloatContext c) => Binary32.Add((uint)a, (uint)b, ref c), (ulong a, ulong b, ref FloatContext c) => SoftSse.Add(f, a, b, ref c));
        Check(true, (ulong a, ulong b, ref FloatContext c) => Binary32.Subtract((uint)a, (uint)b, ref c), (ulong a, ulong b, ref FloatContext c) => SoftSse.Subtract(f, a, b, ref c));
        Check(true, (ulong a, ulong b, ref FloatContext c) => Binary32.Multiply((uint)a, (uint)b, ref c), (ulong a, ulong b, ref FloatContext c) => SoftSse.Multiply(f, a, b, ref c));
        Check(true, (ulong a, ulong b, ref FloatContext c) => Binary32.Divide((uint)a, (uint)b, ref c), (ulong a, ulong b, ref FloatContext c) => SoftSse.Divide(f, a, b, ref c));
        Check(true, (ulong a, ulong b, ref FloatContext c) => Binary32.SquareRoot((uint)a, ref c), (ulong a, ulong b, ref FloatContext c) => SoftSse.SquareRoot(f, a, ref c));
    }

    // Half of the cases round to nearest, with PE sticky or not: those are the ones that may take the fast path.
    private static void Check(bool single, Operation fast, Operation soft)
    {
        FloatCases cases = new(0x1234567);
        for (int i = 0; i < Cases; i++)
        {
            HostRecord r = cases.Sse(single);
            uint mxcsr = i % 2 == 0 ? r.Word & ~0x6000u : r.Word;
            ulong mask = single ? uint.MaxValue : ulong.MaxValue;
            FloatContext ours = FloatContext.FromMxcsr(mxcsr);
            FloatContext theirs = ours;
            ulong left = fast(r.A & mask, r.B & mask, ref ours);
            ulong right = soft(r.A & mask, r.B & mask, ref theirs);

            // With PE sticky and masked, whether an instruction adds it again cannot be seen.
            FloatFlags silent = ours.Sticky & ours.Masks & FloatFlags.PE;
            Assert.True(
                left == right && (ours.Flags | silent) == (theirs.Flags | silent),
                $"{r.A & mask:x} {r.B & mask:x} mxcsr {mxcsr:x}: {left:x} {ours.Flags} instead of {right:x} {theirs.Flags}");
        }
    }
}
