using Vmm.Cpu.Memory;

namespace Vmm.Cpu.Vcpus;

/// <summary>What the memory type range registers accept; a write of a reserved type or bit is #GP(0) (SDM 3A §12.11.2).</summary>
internal static class Mtrr
{
    const ulong AddressMask = (1ul << PageWalker.PhysicalBits) - 1;

    /// <summary>IA32_MTRR_DEF_TYPE: type, FE, E.</summary>
    public static bool IsDefault(ulong value) => (value & ~0xCFFul) == 0 && IsType((byte)value);

    /// <summary>IA32_MTRR_PHYSBASEn (even numbers) and PHYSMASKn.</summary>
    public static bool IsVariable(uint msr, ulong value) =>
        (value & ~AddressMask) == 0 && ((msr & 1) != 0 ? (value & 0x7FF) == 0 : (value & 0xF00) == 0 && IsType((byte)value));

    /// <summary>A fixed-range register: eight types.</summary>
    public static bool IsFixed(ulong value)
    {
        for (var i = 0; i < 64; i += 8)
        {
            if (!IsType((byte)(value >> i)))
            {
                return false;
            }
        }

        return true;
    }

    static bool IsType(byte type) => type is 0 or 1 or 4 or 5 or 6;
}
