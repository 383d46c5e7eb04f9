using Vmm.Cpu.Vcpus;

namespace Vmm.Control;

/// <summary>Names of processor features, as Linux spells them in /proc/cpuinfo, read from CPUID.</summary>
internal static class CpuFeatureNames
{
    static readonly string?[] Leaf1Edx =
    [
        "fpu", "vme", "de", "pse", "tsc", "msr", "pae", "mce", "cx8", "apic", null, "sep", "mtrr", "pge", "mca", "cmov", "pat", "pse36", "pn", "clflush",
        null, "dts", "acpi", "mmx", "fxsr", "sse", "sse2", "ss", "ht", "tm", "ia64", "pbe",
    ];

    static readonly string?[] Leaf1Ecx =
    [
        "pni", "pclmulqdq", "dtes64", "monitor", "ds_cpl", "vmx", "smx", "est", "tm2", "ssse3", "cid", "sdbg", "fma", "cx16", "xtpr", "pdcm", null, "pcid",
        "dca", "sse4_1", "sse4_2", "x2apic", "movbe", "popcnt", "tsc_deadline_timer", "aes", "xsave", "osxsave", "avx", "f16c", "rdrand", "hypervisor",
    ];

    static readonly string?[] Leaf7Ebx =
    [
        "fsgsbase", "tsc_adjust", "sgx", "bmi1", "hle", "avx2", null, "smep", "bmi2", "erms", "invpcid", "rtm", "cqm", null, "mpx", "rdt_a", "avx512f",
        "avx512dq", "rdseed", "adx", "smap", "avx512ifma", null, "clflushopt", "clwb", "intel_pt", "avx512pf", "avx512er", "avx512cd", "sha_ni", "avx512bw", "avx512vl",
    ];

    /// <summary>Features of a model.</summary>
    public static IEnumerable<string> Of(CpuModel model)
    {
        var one = model.Query(1, 0, 0);
        return Names(Leaf1Edx, one.Edx).Concat(Names(Leaf1Ecx, one.Ecx)).Concat(Names(Leaf7Ebx, model.Query(7, 0, 0).Ebx));
    }

    static IEnumerable<string> Names(string?[] names, uint bits) => names.Where((name, i) => name != null && (bits >> i & 1) != 0)!;
}
