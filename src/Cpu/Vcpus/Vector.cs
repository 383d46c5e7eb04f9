namespace Vmm.Cpu.Vcpus;

/// <summary>Exception vectors (SDM 3A §6.3).</summary>
internal static class Vector
{
    public const byte DE = 0, DB = 1, NMI = 2, BP = 3, OF = 4, BR = 5, UD = 6, NM = 7, DF = 8, TS = 10, NP = 11, SS = 12, GP = 13, PF = 14, MF = 16, AC = 17, MC = 18, XM = 19;

    /// <summary>The exception pushes an error code in protected and long mode.</summary>
    public static bool HasError(byte vector) => vector is DF or TS or NP or SS or GP or PF or AC;

    /// <summary>Contributory exceptions of the double-fault table (SDM 3A table 6-4).</summary>
    public static bool IsContributory(byte vector) => vector is DE or TS or NP or SS or GP;
}
