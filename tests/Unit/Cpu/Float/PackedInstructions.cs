using System.Runtime.Intrinsics;
using Vmm.Cpu.Float;

namespace Vmm.Unit.Cpu.Float;

/// <summary>The packed SSE arithmetic instructions of the host comparison, by name.</summary>
internal static class PackedInstructions
{
    public static readonly HostInstruction[] All =
    [
        .. Both<AddOperation>("add"), .. Both<SubtractOperation>("sub"), .. Both<MultiplyOperation>("mul"), .. Both<DivideOperation>("div"),
        .. Both<MinOperation>("min"), .. Both<MaxOperation>("max"), .. Both<SquareRootOperation>("sqrt"),
    ];

    private static HostInstruction[] Both<T>(string stem)
        where T : struct, IFloatOperation
        =>
        [
            new($"{stem}ps", true, true, Single<T>) { WordMask = 0xFFFF },
            new($"{stem}pd", true, false, Double<T>) { WordMask = 0xFFFF },
        ];

    private static void Single<T>(ref HostRecord r)
        where T : struct, IFloatOperation
    {
        FloatContext c = FloatContext.FromMxcsr(r.Word);
        Vector128<ulong> result = PackedFloat.Run32<T>(
            Vector128.Create(r.A, r.AHigh).AsUInt32(), Vector128.Create(r.B, r.BHigh).AsUInt32(), ref c).AsUInt64();
        Commit(ref r, c, result);
    }

    private static void Double<T>(ref HostRecord r)
        where T : struct, IFloatOperation
    {
        FloatContext c = FloatContext.FromMxcsr(r.Word);
        Commit(ref r, c, PackedFloat.Run64<T>(Vector128.Create(r.A, r.AHigh), Vector128.Create(r.B, r.BHigh), ref c));
    }

    private static void Commit(ref HostRecord r, in FloatContext c, Vector128<ulong> result)
    {
        r.Word |= (ushort)c.MxcsrFlags;
        r.Extra = c.Unmasked != 0 ? 1u : 0u;
        if (c.Unmasked == 0)
        {
            (r.A, r.AHigh) = (result[0], result[1]);
        }
    }
}
