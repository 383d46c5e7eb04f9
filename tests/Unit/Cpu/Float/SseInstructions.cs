using Vmm.Cpu.Float;

namespace Vmm.Unit.Cpu.Float;

/// <summary>The scalar SSE instructions of the host comparison, by name.</summary>
internal static class SseInstructions
{
    private delegate ulong Operation(ulong a, ulong b, ref FloatContext c);

    private delegate FloatOrder Ordering(ulong a, ulong b, ref FloatContext c);

    public static readonly HostInstruction[] All =
    [
        Double("addsd", (ulong a, ulong b, ref FloatContext c) => Binary64.Add(a, b, ref c)),
        Double("subsd", (ulong a, ulong b, ref FloatContext c) => Binary64.Subtract(a, b, ref c)),
        Double("mulsd", (ulong a, ulong b, ref FloatContext c) => Binary64.Multiply(a, b, ref c)),
        Double("divsd", (ulong a, ulong b, ref FloatContext c) => Binary64.Divide(a, b, ref c)),
        Double("sqrtsd", (ulong a, ulong b, ref FloatContext c) => Binary64.SquareRoot(b, ref c)),
        Double("minsd", (ulong a, ulong b, ref FloatContext c) => Binary64.Min(a, b, ref c)),
        Double("maxsd", (ulong a, ulong b, ref FloatContext c) => Binary64.Max(a, b, ref c)),
        Double("cvtss2sd", (ulong a, ulong b, ref FloatContext c) => BinaryConversion.ToBinary64((uint)b, ref c), singleSource: true),
        Double("cvtsi2sdl", (ulong a, ulong m, ref FloatContext c) => Binary64.FromExact((int)m), memory: true),
        Double("cvtsi2sdq", (ulong a, ulong m, ref FloatContext c) => Binary64.FromInteger((long)m, ref c), memory: true),
        Single("addss", (ulong a, ulong b, ref FloatContext c) => Binary32.Add((uint)a, (uint)b, ref c)),
        Single("subss", (ulong a, ulong b, ref FloatContext c) => Binary32.Subtract((uint)a, (uint)b, ref c)),
        Single("mulss", (ulong a, ulong b, ref FloatContext c) => Binary32.Multiply((uint)a, (uint)b, ref c)),
        Single("divss", (ulong a, ulong b, ref FloatContext c) => Binary32.Divide((uint)a, (uint)b, ref c)),
        Single("sqrtss", (ulong a, ulong b, ref FloatContext c) => Binary32.SquareRoot((uint)b, ref c)),
        Single("minss", (ulong a, ulong b, ref FloatContext c) => Binary32.Min((uint)a, (uint)b, ref c)),
        Single("maxss", (ulong a, ulong b, ref FloatContext c) => Binary32.Max((uint)a, (uint)b, ref c)),
        Single("cvtsd2ss", (ulong a, ulong b, ref FloatContext c) => BinaryConversion.ToBinary32(b, ref c), doubleSource: true),
        Single("cvtsi2ssl", (ulong a, ulong m, ref FloatContext c) => Binary32.FromInteger((int)m, ref c), memory: true),
        Single("cvtsi2ssq", (ulong a, ulong m, ref FloatContext c) => Binary32.FromInteger((long)m, ref c), memory: true),
        Integer("cvtss2sil", true, (ulong a, ulong b, ref FloatContext c) => (uint)Binary32.ToInt32((uint)b, ref c)),
        Integer("cvtss2siq", true, (ulong a, ulong b, ref FloatContext c) => (ulong)Binary32.ToInt64((uint)b, ref c)),
        Integer("cvttss2sil", true, (ulong a, ulong b, ref FloatContext c) => (uint)Binary32.TruncateToInt32((uint)b, ref c)),
        Integer("cvttss2siq", true, (ulong a, ulong b, ref FloatContext c) => (ulong)Binary32.TruncateToInt64((uint)b, ref c)),
        Integer("cvtsd2sil", false, (ulong a, ulong b, ref FloatContext c) => (uint)Binary64.ToInt32(b, ref c)),
        Integer("cvtsd2siq", false, (ulong a, ulong b, ref FloatContext c) => (ulong)Binary64.ToInt64(b, ref c)),
        Integer("cvttsd2sil", false, (ulong a, ulong b, ref FloatContext c) => (uint)Binary64.TruncateToInt32(b, ref c)),
        Integer("cvttsd2siq", false, (ulong a, ulong b, ref FloatContext c) => (ulong)Binary64.TruncateToInt64(b, ref c)),
        Comparing("comiss", true, (ulong a, ulong b, ref FloatContext c) => Binary32.Compare((uint)a, (uint)b, true, ref c)),
        Comparing("ucomiss", true, (ulong a, ulong b, ref FloatContext c) => Binary32.Compare((uint)a, (uint)b, false, ref c)),
        Comparing("comisd", false, (ulong a, ulong b, ref FloatContext c) => Binary64.Compare(a, b, true, ref c)),
        Comparing("ucomisd", false, (ulong a, ulong b, ref FloatContext c) => Binary64.Compare(a, b, false, ref c)),
        .. Enumerable.Range(0, 8).Select(i => Single($"cmpss{i}", (ulong a, ulong b, ref FloatContext c) => Binary32.CompareMask((uint)a, (uint)b, i, ref c))),
        .. Enumerable.Range(0, 8).Select(i => Double($"cmpsd{i}", (ulong a, ulong b, ref FloatContext c) => Binary64.CompareMask(a, b, i, ref c))),
        .. new[] { 0, 1, 2, 3, 4, 12 }.Select(i => Single($"roundss{i}", (ulong a, ulong b, ref FloatContext c) => Binary32.ToIntegral((uint)b, Mode(i, c), i < 8, ref c))),
        .. new[] { 0, 1, 2, 3, 4, 12 }.Select(i => Double($"roundsd{i}", (ulong a, ulong b, ref FloatContext c) => Binary64.ToIntegral(b, Mode(i, c), i < 8, ref c))),
    ];

    private static FloatRounding Mode(int imm, in FloatContext c) => (imm & 4) != 0 ? c.Rounding : (FloatRounding)(imm & 3);

    private static HostInstruction Double(string name, Operation operation, bool memory = false, bool singleSource = false)
        => new(name, true, singleSource, (ref HostRecord r) =>
        {
            FloatContext c = FloatContext.FromMxcsr(r.Word);
            ulong result = operation(r.A, memory ? r.M : r.B, ref c);
            if (Commit(ref r, c))
            {
                r.A = result;
            }
        })
        { WordMask = 0xFFFF };

    private static HostInstruction Single(string name, Operation operation, bool memory = false, bool doubleSource = false)
        => new(name, true, !doubleSource, (ref HostRecord r) =>
        {
            FloatContext c = FloatContext.FromMxcsr(r.Word);
            ulong result = operation(r.A, memory ? r.M : r.B, ref c);
            if (Commit(ref r, c))
            {
                r.A = (r.A & ~0xFFFFFFFFUL) | (uint)result;
            }
        })
        { WordMask = 0xFFFF };

    private static HostInstruction Integer(string name, bool single, Operation operation)
        => new(name, true, single, (ref HostRecord r) =>
        {
            FloatContext c = FloatContext.FromMxcsr(r.Word);
            ulong result = operation(r.A, r.B, ref c);
            if (Commit(ref r, c))
            {
                r.M = result;
            }
        })
        { WordMask = 0xFFFF };

    private static HostInstruction Comparing(string name, bool single, Ordering operation)
        => new(name, true, single, (ref HostRecord r) =>
        {
            FloatContext c = FloatContext.FromMxcsr(r.Word);
            FloatOrder order = operation(r.A, r.B, ref c);
            Commit(ref r, c);
            r.Flags = order switch { FloatOrder.Less => 1, FloatOrder.Equal => 0x40, FloatOrder.Greater => 0, _ => 0x45 };
        })
        { WordMask = 0xFFFF, FlagsMask = 0x8D5 };

    // An unmasked exception leaves the destination alone.
    private static bool Commit(ref HostRecord r, in FloatContext c)
    {
        r.Word |= (ushort)c.MxcsrFlags;
        r.Extra = c.Unmasked != 0 ? 1u : 0u;
        return c.Unmasked == 0;
    }
}
