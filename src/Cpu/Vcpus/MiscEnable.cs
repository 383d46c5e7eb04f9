using Vmm.Cpu.State;

namespace Vmm.Cpu.Vcpus;

/// <summary>
/// IA32_MISC_ENABLE (SDM 4 table 2-2, 1A0H). The bits of thermal control (3), SpeedStep (16), MONITOR (18) and xTPR (23) are
/// kept and have no effect: none of these is advertised. What is read-only or not listed reads 0.
/// </summary>
internal static class MiscEnable
{
    const ulong FastStrings = 1, LimitCpuid = 1 << 22, XdDisable = 1ul << 34;

    /// <summary>Bits that can be written.</summary>
    public const ulong Writable = FastStrings | 1 << 3 | 1 << 16 | 1 << 18 | LimitCpuid | 1 << 23 | XdDisable;

    /// <summary>EFER.NXE while XD Bit Disable reserves it, else 0.</summary>
    public static ulong WithheldNXE(ulong register) => (register & XdDisable) != 0 ? Cr.EferNXE : 0;

    /// <summary>CPUID's answer: Limit CPUID Maxval gives 2 as the highest basic leaf, XD Bit Disable hides XD.</summary>
    public static CpuidResult Adjust(uint leaf, CpuidResult result, ulong register) => leaf switch
    {
        0 when (register & LimitCpuid) != 0 => result with { Eax = 2 },
        0x8000_0001 when (register & XdDisable) != 0 => result with { Edx = result.Edx & ~(1u << 20) },
        _ => result,
    };
}
