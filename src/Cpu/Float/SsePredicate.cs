namespace Vmm.Cpu.Float;

/// <summary>The eight predicates of CMPPS and its kin (SDM vol. 2, CMPPS, table 3-1).</summary>
internal static class SsePredicate
{
    /// <summary>Whether predicate <paramref name="imm"/> (low three bits) reports IE for quiet NaNs: LT, LE, NLT and NLE do.</summary>
    public static bool IsSignalling(int imm) => (imm & 3) is 1 or 2;

    /// <summary>Whether the predicate holds.</summary>
    public static bool Holds(int imm, FloatOrder order)
    {
        bool holds = (imm & 3) switch
        {
            0 => order == FloatOrder.Equal,
            1 => order == FloatOrder.Less,
            2 => order <= FloatOrder.Equal,
            _ => order == FloatOrder.Unordered,
        };
        return holds != ((imm & 4) != 0);
    }
}
