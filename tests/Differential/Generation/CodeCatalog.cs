using Iced.Intel;

namespace Vmm.Differential.Generation;

/// <summary>All instruction forms of the offered processor that a user-mode case may run, and the others with the reason why not.</summary>
internal static class CodeCatalog
{
    static readonly HashSet<CpuidFeature> Offered =
    [
        CpuidFeature.INTEL8086, CpuidFeature.INTEL186, CpuidFeature.INTEL286, CpuidFeature.INTEL386, CpuidFeature.INTEL486, CpuidFeature.X64,
        CpuidFeature.CMOV, CpuidFeature.CX8, CpuidFeature.CMPXCHG16B, CpuidFeature.MMX, CpuidFeature.SSE, CpuidFeature.SSE2, CpuidFeature.SSE3,
        CpuidFeature.SSSE3, CpuidFeature.SSE4_1, CpuidFeature.SSE4_2, CpuidFeature.POPCNT, CpuidFeature.FPU, CpuidFeature.FPU287,
        CpuidFeature.FPU387, CpuidFeature.FXSR, CpuidFeature.CLFSH, CpuidFeature.PAUSE, CpuidFeature.MULTIBYTENOP, CpuidFeature.MSR,
        CpuidFeature.TSC, CpuidFeature.CPUID, CpuidFeature.SYSCALL, CpuidFeature.SEP,
    ];

    /// <summary>Offered and run.</summary>
    public static IReadOnlyList<CodeEntry> Supported { get; }

    /// <summary>Offered but not run, with the reason.</summary>
    public static IReadOnlyList<(Code Code, string Reason)> Excluded { get; }

    static readonly CodeEntry[][] ByGroup;

    static CodeCatalog()
    {
        var supported = new List<CodeEntry>();
        var excluded = new List<(Code, string)>();
        foreach (var code in Enum.GetValues<Code>())
        {
            var opCode = code.ToOpCode();
            if (!opCode.IsInstruction || !opCode.Mode64 || opCode.Encoding != EncodingKind.Legacy || !code.CpuidFeatures().All(Offered.Contains))
            {
                continue;
            }

            var reason = Exclusions.Reason(code, opCode);
            if (reason != null)
            {
                excluded.Add((code, reason));
            }
            else
            {
                supported.Add(new CodeEntry(code, supported.Count));
            }
        }

        Supported = supported;
        Excluded = excluded;
        ByGroup = [.. Enum.GetValues<EncodingGroup>().Select(g => supported.Where(e => Belongs(e, g)).ToArray())];
    }

    /// <summary>Forms that cases of a group start with.</summary>
    public static CodeEntry[] Of(EncodingGroup group) => ByGroup[(int)group];

    static bool Belongs(CodeEntry entry, EncodingGroup group) => group switch
    {
        EncodingGroup.Atomic => entry.OpCode.CanUseLockPrefix || entry.Group == group,
        EncodingGroup.AddressSize => entry.Group is not (EncodingGroup.Privileged or EncodingGroup.Approximate)
            && (entry.HasMemoryForm || entry.Role is Role.String or Role.Translate or Role.MaskedMove),
        _ => entry.Group == group,
    };
}
