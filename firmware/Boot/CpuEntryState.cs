namespace Vmm.Firmware.Boot;

/// <summary>Operating mode at entry.</summary>
public enum CpuMode
{
    /// <summary>Real-address mode, 16-bit code.</summary>
    Real16,

    /// <summary>Protected mode without paging, flat 32-bit segments.</summary>
    Protected32,

    /// <summary>64-bit mode, identity mapped.</summary>
    Long64,
}

/// <summary>A segment register with its hidden part.</summary>
/// <param name="Selector">Visible selector.</param>
/// <param name="Base">Base address.</param>
/// <param name="Limit">Limit in bytes, granularity applied.</param>
/// <param name="AccessRights">
/// SDM 3C §25.4.1: type 3:0, S 4, DPL 6:5, P 7, AVL 12, L 13, D/B 14, G 15, unusable 16.
/// </param>
public readonly record struct SegmentState(ushort Selector, ulong Base, uint Limit, uint AccessRights)
{
    /// <summary>A register that holds the null selector.</summary>
    public static SegmentState Unusable { get; } = new(0, 0, 0, 0x10000);
}

/// <summary>GDTR or IDTR.</summary>
/// <param name="Base">Linear address.</param>
/// <param name="Limit">Limit in bytes.</param>
public readonly record struct TableState(ulong Base, ushort Limit);

/// <summary>
/// What the boot processor holds when the guest's first instruction runs. Registers that are not named are zero;
/// interrupts are off. Whatever a BIOS would have set besides is stated here too.
/// </summary>
public sealed record CpuEntryState
{
    /// <summary>Operating mode.</summary>
    public required CpuMode Mode { get; init; }

    /// <summary>Instruction pointer: an offset into CS.</summary>
    public required ulong Rip { get; init; }

    /// <summary>Stack pointer.</summary>
    public ulong Rsp { get; init; }

    /// <summary>RAX.</summary>
    public ulong Rax { get; init; }

    /// <summary>RBX.</summary>
    public ulong Rbx { get; init; }

    /// <summary>RDX.</summary>
    public ulong Rdx { get; init; }

    /// <summary>RSI.</summary>
    public ulong Rsi { get; init; }

    /// <summary>RFLAGS: only the bit that is always one.</summary>
    public ulong Rflags { get; init; } = 2;

    /// <summary>CR0.</summary>
    public ulong Cr0 { get; init; }

    /// <summary>CR3.</summary>
    public ulong Cr3 { get; init; }

    /// <summary>CR4.</summary>
    public ulong Cr4 { get; init; }

    /// <summary>IA32_EFER.</summary>
    public ulong Efer { get; init; }

    /// <summary>CS.</summary>
    public SegmentState Cs { get; init; }

    /// <summary>DS.</summary>
    public SegmentState Ds { get; init; }

    /// <summary>ES.</summary>
    public SegmentState Es { get; init; }

    /// <summary>FS.</summary>
    public SegmentState Fs { get; init; }

    /// <summary>GS.</summary>
    public SegmentState Gs { get; init; }

    /// <summary>SS.</summary>
    public SegmentState Ss { get; init; }

    /// <summary>TR.</summary>
    public SegmentState Tr { get; init; }

    /// <summary>LDTR.</summary>
    public SegmentState Ldtr { get; init; } = SegmentState.Unusable;

    /// <summary>GDTR.</summary>
    public TableState Gdt { get; init; }

    /// <summary>IDTR.</summary>
    public TableState Idt { get; init; }

    /// <summary>IA32_MTRR_DEF_TYPE: enabled, fixed ranges enabled, write-back. Linux skips PAT when MTRRs are off.</summary>
    public ulong MtrrDefType { get; init; } = 0xC06;
}
