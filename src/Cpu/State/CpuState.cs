using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Vmm.Cpu.State;

/// <summary>Segment register numbers as instructions encode them, then the two system segments.</summary>
public static class Seg
{
    /// <summary>ES.</summary>
    public const int ES = 0;

    /// <summary>CS.</summary>
    public const int CS = 1;

    /// <summary>SS.</summary>
    public const int SS = 2;

    /// <summary>DS.</summary>
    public const int DS = 3;

    /// <summary>FS.</summary>
    public const int FS = 4;

    /// <summary>GS.</summary>
    public const int GS = 5;

    /// <summary>LDTR.</summary>
    public const int LDTR = 6;

    /// <summary>TR.</summary>
    public const int TR = 7;

    /// <summary>Number of segment registers.</summary>
    public const int Count = 8;
}

/// <summary>One segment register: visible selector and hidden descriptor (SDM 3A §3.4.3).</summary>
[StructLayout(LayoutKind.Sequential)]
public struct SegmentRegister
{
    /// <summary>Base address. For CS, DS, ES, SS it is zero in 64-bit mode.</summary>
    public ulong Base;

    /// <summary>Limit in bytes, granularity already applied.</summary>
    public uint Limit;

    /// <summary>Access rights in VMCS form: type 3:0, S 4, DPL 6:5, P 7, AVL 12, L 13, D/B 14, G 15, unusable 16 (SDM 3C §25.4.1).</summary>
    public uint Access;

    /// <summary>Selector.</summary>
    public ushort Selector;

    readonly ushort pad0;
    readonly uint pad1;

    /// <summary>Segment type, 4 bits.</summary>
    public readonly int Type => (int)(Access & 15);

    /// <summary>Code or data segment (S flag).</summary>
    public readonly bool S => (Access & 0x10) != 0;

    /// <summary>Descriptor privilege level.</summary>
    public readonly int DPL => (int)(Access >> 5 & 3);

    /// <summary>Present.</summary>
    public readonly bool P => (Access & 0x80) != 0;

    /// <summary>64-bit code segment.</summary>
    public readonly bool L => (Access & 0x2000) != 0;

    /// <summary>Default operation size (CS) or stack size (SS) is 32 bits.</summary>
    public readonly bool DB => (Access & 0x4000) != 0;

    /// <summary>Loaded with a null selector, or never loaded.</summary>
    public readonly bool Unusable => (Access & 0x1_0000) != 0;
}

/// <summary>
/// One entry of the software TLB. A tag is the virtual page number with the address-space generation in the low 12 bits;
/// a tag that matches proves both the translation and the permission. <see cref="Addend"/> turns a virtual address into a host address.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
public struct TlbEntry
{
    /// <summary>log2 of an entry's size in bytes.</summary>
    public const int SizeShift = 5;

    /// <summary>Tag for reads.</summary>
    public ulong ReadTag;

    /// <summary>Tag for writes; never set while the page holds decoded code.</summary>
    public ulong WriteTag;

    /// <summary>Tag of a translation that allows writes. What <see cref="WriteTag"/> is unless the page holds decoded code.</summary>
    public ulong WritableTag;

    /// <summary>Host address minus virtual address.</summary>
    public long Addend;
}

/// <summary>One translation of an instruction fetch. Tagged as <see cref="TlbEntry"/> is; zero is no entry.</summary>
public struct FetchEntry
{
    /// <summary>Virtual page and generation.</summary>
    public ulong Tag;

    /// <summary>Physical page.</summary>
    public ulong Physical;
}

/// <summary>Why the interpreter loop stopped.</summary>
public enum StopReason
{
    /// <summary>It has not.</summary>
    None,

    /// <summary>An exception or software interrupt waits in the state for delivery.</summary>
    Exception,

    /// <summary>The instruction changed something that the loop must look at before the next one.</summary>
    Resync,

    /// <summary>The core halted.</summary>
    Halt,

    /// <summary>Triple fault or machine check without a handler: shutdown.</summary>
    Shutdown,

    /// <summary>The instruction budget is used up.</summary>
    Budget,
}

/// <summary>
/// Architectural state, lazy flags and the software TLB of one vCPU in one unmanaged block, so that an interpreter,
/// a code generator and a snapshot share it. General registers come first: instructions address them by byte offset.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct CpuState
{
    /// <summary>TLB entries per privilege view.</summary>
    public const int TlbEntries = 2048;

    /// <summary>Privilege views: supervisor, supervisor with SMAP suspended (EFLAGS.AC), user, user with alignment checks (never filled).</summary>
    public const int TlbViews = 4;

    /// <summary>Sets of the fetch TLB per privilege.</summary>
    public const int FetchSets = 2048;

    /// <summary>Entries in a set of the fetch TLB.</summary>
    public const int FetchWays = 2;

    /// <summary>Entries of the fetch TLB: supervisor, then user.</summary>
    public const int FetchEntries = 2 * FetchSets * FetchWays;

    /// <summary>Jump cache entries.</summary>
    public const int JumpEntries = 8192;

    /// <summary>RAX to R15.</summary>
    public fixed ulong Gpr[16];

    /// <summary>Always zero: the register that absent bases, indexes and segments name.</summary>
    public ulong Zero;

    /// <summary>RIP of the current block's first instruction; between blocks, RIP itself.</summary>
    public ulong Rip;

    /// <summary>Segment registers, <see cref="Seg"/> order.</summary>
    public SegmentRegister Es, Cs, Ss, Ds, Fs, Gs, Ldtr, Tr;

    /// <summary>Last flag-setting result, sign-extended to 64 bits: gives ZF, SF and PF.</summary>
    public ulong FlagRes;

    /// <summary>Bit 63 CF, bit 62 carry into the sign bit (OF is their xor), bit 3 AF, bits 15:8 parity delta, bit 0 sign delta.</summary>
    public ulong FlagAux;

    /// <summary>RFLAGS without the six arithmetic flags.</summary>
    public ulong FlagRest;

    /// <summary>Instructions that may still run before the loop must stop.</summary>
    public long Budget;

    /// <summary>Budget set aside when a stop was requested early.</summary>
    public long Deferred;

    /// <summary>Data TLB of the current privilege view.</summary>
    public TlbEntry* Tlb;

    /// <summary>Address-space generation, 1 to 4095.</summary>
    public ulong TlbGen;

    /// <summary>Changes with address space, privilege view and code mode: validates jump cache entries and links.</summary>
    public ulong CodeTag;

    /// <summary>Direct-mapped cache from RIP to decoded block.</summary>
    public JumpEntry* Jumps;

    /// <summary>GC handle of the owning <see cref="Vcpus.Vcpu"/>.</summary>
    public nint Owner;

    /// <summary>Address of the next instruction while a cold instruction runs.</summary>
    public ulong NextRip;

    /// <summary>Why the loop must stop, or None.</summary>
    public StopReason Stop;

    /// <summary>Current privilege level.</summary>
    public int Cpl;

    /// <summary>Code mode key of the decoder.</summary>
    public uint Mode;

    /// <summary>Non-zero: interrupts are held off for one instruction: 1 STI, 2 MOV SS or POP SS.</summary>
    public int Shadow;

    /// <summary>Exception in flight: vector.</summary>
    public byte ExceptionVector;

    /// <summary>Exception in flight: it carries an error code.</summary>
    public byte ExceptionHasError;

    /// <summary>Exception in flight: 0 fault or trap of the processor, 1 INT n, 2 INT3 or INTO, 3 INT1.</summary>
    public byte ExceptionKind;

    /// <summary>Instruction length, for software interrupts.</summary>
    public byte ExceptionLength;

    /// <summary>Exception in flight: error code.</summary>
    public uint ExceptionError;

    /// <summary>#DB: bits to be set in DR6.</summary>
    public ulong ExceptionDr6;

    /// <summary>Control registers.</summary>
    public ulong Cr0, Cr2, Cr3, Cr4, Cr8;

    /// <summary>Debug registers.</summary>
    public fixed ulong Dr[8];

    /// <summary>Descriptor table registers.</summary>
    public ulong GdtBase, IdtBase;

    /// <summary>Descriptor table limits in bytes.</summary>
    public uint GdtLimit, IdtLimit;

    /// <summary>EFER.</summary>
    public ulong Efer;

    /// <summary>System call MSRs.</summary>
    public ulong Star, Lstar, Cstar, Fmask, KernelGsBase, SysenterCs, SysenterEsp, SysenterEip;

    /// <summary>Other MSRs of the core.</summary>
    public ulong Pat, TscAux, TscAdjust, TscOffset, MiscEnable, SpecCtrl, MtrrDefType, FeatureControl;

    /// <summary>Variable MTRRs: base and mask pairs.</summary>
    public fixed ulong MtrrVariable[20];

    /// <summary>Fixed MTRRs.</summary>
    public fixed ulong MtrrFixed[11];

    /// <summary>PAE page-directory-pointer registers, loaded with CR3 (SDM 3A §4.4.1).</summary>
    public fixed ulong Pdpte[4];

    /// <summary>XMM0 to XMM15.</summary>
    public fixed ulong Xmm[32];

    /// <summary>x87 data registers by physical number: significand and sign/exponent (16 bytes each, 10 used).</summary>
    public fixed ulong Fpr[16];

    /// <summary>x87 control and status words; TOP is bits 13:11 of the status word.</summary>
    public ushort Fcw, Fsw;

    /// <summary>Abridged tag word by physical register: 1 is valid (as FXSAVE stores it).</summary>
    public byte Ftw;

    /// <summary>Non-zero: NMIs are blocked until IRET.</summary>
    public byte NmiBlocked;

    /// <summary>Last x87 opcode, 11 bits.</summary>
    public ushort Fop;

    /// <summary>MXCSR.</summary>
    public uint Mxcsr;

    /// <summary>Last x87 instruction and data pointers.</summary>
    public ulong Fip, Fdp;

    /// <summary>Selectors of the last x87 instruction and data pointers.</summary>
    public ushort Fcs, Fds;

    /// <summary>Non-zero while code or data breakpoints are enabled in DR7.</summary>
    public uint DebugActive;

    /// <summary>A branch that wants to be linked to the block that follows.</summary>
    public Interpreter.Op* LinkOp;

    /// <summary>An instruction handler that was replaced to stop after the current instruction, and its original.</summary>
    public Interpreter.Op* PatchedOp;

    /// <summary>Original handler of <see cref="PatchedOp"/>.</summary>
    public nint PatchedHandler;

    /// <summary>Scratch operand space for accesses that cross pages or reach MMIO.</summary>
    public fixed ulong Scratch[8];

    /// <summary>Budget that was used up by other things than retired instructions: bulk moves, PAUSE, exits.</summary>
    public long Extra;

    /// <summary>The part of <see cref="Extra"/> that the engine itself used beyond instructions.</summary>
    public long Stalled;

    /// <summary>Events that may need attention: 1 INTR, 2 NMI or INIT, 4 VMX.</summary>
    public int Pending;

    /// <summary>Vector that SSE instructions raise under CR0.EM, CR0.TS and CR4.OSFXSR (#UD or #NM), or 0. Derived.</summary>
    public uint SseFault;

    /// <summary>PAUSE was executed: the scheduler may pass the turn.</summary>
    public int Paused;

    /// <summary>Byte offset of general register <paramref name="number"/>.</summary>
    public static int GprOffset(int number) => number * 8;

    /// <summary>Byte offset of RSP.</summary>
    public const int RspOffset = 32;

    /// <summary>Byte offset of the zero register.</summary>
    public const int ZeroOffset = 128;

    /// <summary>Byte offset of <see cref="Rip"/>.</summary>
    public const int RipOffset = 136;

    /// <summary>Byte offset of the base of segment <paramref name="number"/>.</summary>
    public static int SegmentBaseOffset(int number) => 144 + number * 24;

    /// <summary>Byte offset of XMM register <paramref name="number"/>.</summary>
    public static int XmmOffset(int number) => (int)Marshal.OffsetOf<CpuState>(nameof(Xmm)) + number * 16;
}

/// <summary>A jump cache entry.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct JumpEntry
{
    /// <summary>Virtual address.</summary>
    public ulong Rip;

    /// <summary><see cref="CpuState.CodeTag"/> when the entry was made.</summary>
    public ulong Tag;

    /// <summary>Decoded block.</summary>
    public Interpreter.Block* Block;

    readonly ulong pad;
}

/// <summary>Bits of control registers, EFER and RFLAGS (SDM 3A §2.5, §2.2.1, §2.3).</summary>
public static class Cr
{
#pragma warning disable CS1591 // The names are the architecture's own.
    public const ulong Cr0PE = 1, Cr0MP = 2, Cr0EM = 4, Cr0TS = 8, Cr0ET = 16, Cr0NE = 32;
    public const ulong Cr0WP = 1 << 16, Cr0AM = 1 << 18, Cr0NW = 1 << 29, Cr0CD = 1 << 30, Cr0PG = 1ul << 31;
    public const ulong Cr4VME = 1, Cr4PVI = 2, Cr4TSD = 4, Cr4DE = 8, Cr4PSE = 16, Cr4PAE = 32, Cr4MCE = 64, Cr4PGE = 128;
    public const ulong Cr4PCE = 256, Cr4OSFXSR = 512, Cr4OSXMMEXCPT = 1024, Cr4UMIP = 1 << 11, Cr4SMEP = 1 << 20, Cr4SMAP = 1 << 21;
    public const ulong EferSCE = 1, EferLME = 1 << 8, EferLMA = 1 << 10, EferNXE = 1 << 11;
    public const ulong CF = 1, PF = 4, AF = 16, ZF = 64, SF = 128, TF = 256, IF = 512, DF = 1024, OF = 2048;
    public const ulong IOPL = 3 << 12, NT = 1 << 14, RF = 1 << 16, VM = 1 << 17, AC = 1 << 18, VIF = 1 << 19, VIP = 1 << 20, ID = 1 << 21;
    public const ulong Arithmetic = CF | PF | AF | ZF | SF | OF;
#pragma warning restore CS1591
}
