using Vmm.Cpu.MachineCheck;
using Vmm.Cpu.Memory;

namespace Vmm.Cpu.Vcpus;

/// <summary>CPUID result registers.</summary>
public readonly record struct CpuidResult(uint Eax, uint Ebx, uint Ecx, uint Edx);

/// <summary>
/// The processor that a guest sees: identity, features, frequencies. Only what the engine implements is advertised;
/// docs/specs.md lists the set.
/// </summary>
public sealed class CpuModel
{
    /// <summary>TSC frequency in Hz: 24 MHz crystal times 176 / 2.</summary>
    public ulong TscHertz { get; init; } = 2_112_000_000;

    /// <summary>Crystal clock in Hz; also what the local APIC timer counts.</summary>
    public uint CrystalHertz { get; init; } = 24_000_000;

    /// <summary>vCPUs in the machine.</summary>
    public int VcpuCount { get; init; } = 1;

    /// <summary>Advertise a hypervisor (CPUID.1:ECX[31]).</summary>
    public bool HypervisorBit { get; init; } = true;

    /// <summary>Advertise x2APIC.</summary>
    public bool X2Apic { get; init; } = true;

    /// <summary>The machine-check architecture (MCE, MCA), or null for a processor without it.</summary>
    public MachineCheckOptions? MachineCheck { get; init; }

    const uint Signature = 0x000806EC;

    /// <summary>IA32_ARCH_CAPABILITIES: not affected by the published transient-execution issues, since nothing is speculated here.</summary>
    public const ulong ArchCapabilities =
        1 << 0 | 1 << 2 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 8 | 1 << 13 | 1 << 14 | 1 << 15 | 1 << 20 | 1 << 24 | 1 << 26 | 1ul << 27 | 1ul << 62;

    /// <summary>CPUID (SDM 2A, CPUID). Bits that follow CR4 or the APIC are added by the caller.</summary>
    public CpuidResult Query(uint leaf, uint subleaf, int index)
    {
        // Out-of-range basic leaves answer as the highest basic leaf (SDM 2A, CPUID).
        if (leaf is (> 0x16 and < 0x4000_0000) or > 0x8000_0008 or (> 0x4000_0001 and < 0x8000_0000) || (leaf is >= 0x4000_0000 and < 0x8000_0000 && !HypervisorBit))
        {
            leaf = 0x16;
        }

        var count = (uint)VcpuCount;
        return leaf switch
        {
            0 => new(0x16, Ascii("Genu"), Ascii("ntel"), Ascii("ineI")),
            1 => new(Signature, (uint)index << 24 | RoundUp(count) << 16 | 8 << 8, Leaf1Ecx, Leaf1Edx),
            2 => new(0x00FF_FF01, 0, 0, 0),
            4 => Cache(subleaf, count),
            6 => new(1 << 2, 0, 0, 0),
            7 when subleaf == 0 => new(0, 1 << 1 | 1 << 7 | 1 << 9 | 1 << 20, 1 << 2, 1 << 4 | 1 << 14 | 1 << 29),
            0xB => Topology(subleaf, count, index),
            0x15 => new(2, (uint)(TscHertz * 2 / CrystalHertz), CrystalHertz, 0),
            0x16 => new((uint)(TscHertz / 1_000_000), (uint)(TscHertz / 1_000_000), 100, 0),
            0x4000_0000 => new(0x4000_0001, Ascii("Vmm."), Ascii("Soft"), Ascii("CPU1")),
            0x8000_0000 => new(0x8000_0008, 0, 0, 0),
            0x8000_0001 => new(0, 0, 1, 1 << 11 | 1 << 20 | 1 << 26 | 1 << 27 | 1 << 29),
            0x8000_0002 => Brand(0),
            0x8000_0003 => Brand(16),
            0x8000_0004 => Brand(32),
            0x8000_0006 => new(0, 0, 256 << 16 | 6 << 12 | 64, 0),
            0x8000_0007 => new(0, 0, 0, 1 << 8),
            0x8000_0008 => new(48 << 8 | PageWalker.PhysicalBits, 1 << 29, 0, 0),
            _ => default,
        };
    }

    // SSE3, SSSE3, CX16, SSE4.1, SSE4.2, x2APIC, POPCNT, TSC-deadline, hypervisor.
    uint Leaf1Ecx => 1u << 0 | 1u << 9 | 1u << 13 | 1u << 19 | 1u << 20 | (X2Apic ? 1u << 21 : 0) | 1u << 23 | 1u << 24 | (HypervisorBit ? 1u << 31 : 0);

    // FPU DE PSE TSC MSR PAE MCE CX8 APIC SEP MTRR PGE MCA CMOV PAT PSE36 CLFLUSH MMX FXSR SSE SSE2 HTT.
    uint Leaf1Edx => 1u << 0 | 1u << 2 | 1u << 3 | 1u << 4 | 1u << 5 | 1u << 6 | (MachineCheck != null ? 1u << 7 | 1u << 14 : 0) | 1u << 8 | 1u << 9
        | 1u << 11 | 1u << 12 | 1u << 13 | 1u << 15 | 1u << 16 | 1u << 17 | 1u << 19 | 1u << 23 | 1u << 24 | 1u << 25 | 1u << 26
        | (VcpuCount > 1 ? 1u << 28 : 0);

    CpuidResult Cache(uint subleaf, uint count)
    {
        var cores = (RoundUp(count) - 1) << 26;
        return subleaf switch
        {
            0 => new(1 | 1 << 5 | 1 << 8 | cores, 7 << 22 | 63, 63, 0),
            1 => new(2 | 1 << 5 | 1 << 8 | cores, 7 << 22 | 63, 63, 0),
            2 => new(3 | 2 << 5 | 1 << 8 | cores, 3 << 22 | 63, 1023, 0),
            3 => new(3 | 3 << 5 | 1 << 8 | (RoundUp(count) - 1) << 14 | cores, 11 << 22 | 63, 8191, 0),
            _ => default,
        };
    }

    static CpuidResult Topology(uint subleaf, uint count, int index)
    {
        var bits = (uint)System.Numerics.BitOperations.Log2(RoundUp(count));
        return subleaf switch
        {
            0 => new(0, 1, 1 << 8, (uint)index),
            1 => new(bits, count, 1 | 2 << 8, (uint)index),
            _ => new(0, 0, subleaf & 0xFF, (uint)index),
        };
    }

    static uint RoundUp(uint count) => System.Numerics.BitOperations.RoundUpToPowerOf2(count);

    static uint Ascii(string four) => (uint)(four[0] | four[1] << 8 | four[2] << 16 | four[3] << 24);

    static CpuidResult Brand(int at)
    {
        const string Name = "Vmm software x86-64 processor @ 2.11GHz";
        Span<byte> text = stackalloc byte[48];
        System.Text.Encoding.ASCII.GetBytes(Name, text);
        return new(BitConverter.ToUInt32(text[at..]), BitConverter.ToUInt32(text[(at + 4)..]), BitConverter.ToUInt32(text[(at + 8)..]), BitConverter.ToUInt32(text[(at + 12)..]));
    }
}
