namespace Vmm.Specs.X86;

/// <summary>Exit qualification of control-register accesses (SDM 3C table 28-3).</summary>
public readonly record struct CrAccessQualification(ulong Raw)
{
    /// <summary>MOV to, MOV from, CLTS, LMSW: bits 5:4.</summary>
    public const int MovTo = 0, MovFrom = 1, Clts = 2, Lmsw = 3;

    /// <summary>A MOV.</summary>
    public static CrAccessQualification Mov(int register, bool from, int gpr) => new((uint)(register | (from ? MovFrom : MovTo) << 4 | gpr << 8));

    /// <summary>CLTS.</summary>
    public static CrAccessQualification OfClts => new(Clts << 4);

    /// <summary>LMSW with its source data; a memory operand's linear address goes to the guest-linear-address field.</summary>
    public static CrAccessQualification OfLmsw(ushort data, bool memory) => new((ulong)data << 16 | Lmsw << 4 | (memory ? 1ul << 6 : 0));

    /// <summary>Number of the control register, bits 3:0.</summary>
    public int Register => (int)(Raw & 15);

    /// <summary>Access type, bits 5:4.</summary>
    public int Access => (int)(Raw >> 4 & 3);

    /// <summary>LMSW with a memory operand, bit 6.</summary>
    public bool LmswMemory => (Raw & 64) != 0;

    /// <summary>General register of a MOV, bits 11:8.</summary>
    public int Gpr => (int)(Raw >> 8 & 15);

    /// <summary>Source data of LMSW, bits 31:16.</summary>
    public ushort LmswData => (ushort)(Raw >> 16);

    /// <inheritdoc/>
    public override string ToString() => Access switch
    {
        MovTo => $"MOV to CR{Register} from GPR {Gpr}",
        MovFrom => $"MOV from CR{Register} to GPR {Gpr}",
        Clts => "CLTS",
        _ => $"LMSW 0x{LmswData:x}",
    };
}

/// <summary>Exit qualification of MOV DR (SDM 3C table 28-4).</summary>
public readonly record struct DrAccessQualification(ulong Raw)
{
    /// <summary>A MOV.</summary>
    public DrAccessQualification(int register, bool from, int gpr)
        : this((ulong)(uint)(register | (from ? 1 << 4 : 0) | gpr << 8))
    {
    }

    /// <summary>Number of the debug register, bits 2:0.</summary>
    public int Register => (int)(Raw & 7);

    /// <summary>MOV from DR, bit 4.</summary>
    public bool From => (Raw & 16) != 0;

    /// <summary>General register, bits 11:8.</summary>
    public int Gpr => (int)(Raw >> 8 & 15);

    /// <inheritdoc/>
    public override string ToString() => From ? $"MOV from DR{Register} to GPR {Gpr}" : $"MOV to DR{Register} from GPR {Gpr}";
}

/// <summary>Exit qualification of I/O instructions (SDM 3C table 28-5).</summary>
public readonly record struct IoQualification(ulong Raw)
{
    /// <summary>From an instruction.</summary>
    public IoQualification(ushort port, int size, bool input, bool isString, bool repeat, bool immediate)
        : this((uint)(size - 1) | (input ? 8ul : 0) | (isString ? 16ul : 0) | (repeat ? 32ul : 0) | (immediate ? 64ul : 0) | (ulong)port << 16)
    {
    }

    /// <summary>Bytes, from bits 2:0.</summary>
    public int Size => (int)(Raw & 7) + 1;

    /// <summary>IN or INS, bit 3.</summary>
    public bool Input => (Raw & 8) != 0;

    /// <summary>INS or OUTS, bit 4.</summary>
    public bool IsString => (Raw & 16) != 0;

    /// <summary>REP prefix, bit 5.</summary>
    public bool Repeat => (Raw & 32) != 0;

    /// <summary>The port is an immediate operand, bit 6.</summary>
    public bool Immediate => (Raw & 64) != 0;

    /// <summary>Port, bits 31:16.</summary>
    public ushort Port => (ushort)(Raw >> 16);

    /// <inheritdoc/>
    public override string ToString() =>
        $"{(Repeat ? "REP " : "")}{(Input ? "IN" : "OUT")}{(IsString ? "S" : "")} port 0x{Port:x}{(Immediate ? " (immediate)" : "")}, {Size} byte{(Size == 1 ? "" : "s")}";
}

/// <summary>Exit qualification of EPT violations (SDM 3C table 28-7).</summary>
public readonly record struct EptViolationQualification(ulong Raw)
{
    /// <summary>An access of the guest's own, not of its page walk, to an address that the tables do not map.</summary>
    public static EptViolationQualification Unmapped(bool write, bool fetch, bool hasLinear) =>
        new((fetch ? 4ul : write ? 2ul : 1ul) | (hasLinear ? 1ul << 7 | 1ul << 8 : 0));

    /// <summary>Data read, bit 0.</summary>
    public bool Read => (Raw & 1) != 0;

    /// <summary>Data write, bit 1.</summary>
    public bool Write => (Raw & 2) != 0;

    /// <summary>Instruction fetch, bit 2.</summary>
    public bool Fetch => (Raw & 4) != 0;

    /// <summary>Permissions of the EPT entries: readable, writable, executable, bits 5:3.</summary>
    public int Permissions => (int)(Raw >> 3 & 7);

    /// <summary>The guest-linear-address field is valid, bit 7.</summary>
    public bool LinearValid => (Raw & 1 << 7) != 0;

    /// <summary>The access was to the translation of the linear address, not part of a page walk, bit 8.</summary>
    public bool FinalTranslation => (Raw & 1 << 8) != 0;

    /// <inheritdoc/>
    public override string ToString() =>
        $"{(Fetch ? "fetch" : Write ? "write" : "read")}, permissions {Permissions}{(LinearValid ? FinalTranslation ? ", of a linear address" : ", in a page walk" : "")}";
}

/// <summary>Exit qualification of APIC-access exits (SDM 3C table 28-6).</summary>
public readonly record struct ApicAccessQualification(ulong Raw)
{
    /// <summary>Linear access types of bits 15:12.</summary>
    public const int Read = 0, Write = 1, Fetch = 2, EventDelivery = 3;

    /// <summary>A linear access.</summary>
    public ApicAccessQualification(int offset, int type)
        : this((uint)(offset & 0xFFF | type << 12))
    {
    }

    /// <summary>Offset in the page, bits 11:0.</summary>
    public int Offset => (int)(Raw & 0xFFF);

    /// <summary>Access type, bits 15:12.</summary>
    public int Type => (int)(Raw >> 12 & 15);

    /// <inheritdoc/>
    public override string ToString() => $"{Type switch { Read => "read", Write => "write", Fetch => "fetch", EventDelivery => "event delivery", _ => $"type {Type}" }} at offset 0x{Offset:x}";
}

/// <summary>Exit qualification of task switches (SDM 3C table 28-2).</summary>
public readonly record struct TaskSwitchQualification(ulong Raw)
{
    /// <summary>Sources of bits 31:30.</summary>
    public const int Call = 0, Iret = 1, Jmp = 2, Gate = 3;

    /// <summary>A switch to <paramref name="selector"/>.</summary>
    public TaskSwitchQualification(ushort selector, int source)
        : this((ulong)selector | (ulong)source << 30)
    {
    }

    /// <summary>Selector of the TSS, bits 15:0.</summary>
    public ushort Selector => (ushort)Raw;

    /// <summary>Source, bits 31:30.</summary>
    public int Source => (int)(Raw >> 30 & 3);

    /// <inheritdoc/>
    public override string ToString() => $"{Source switch { Call => "CALL", Iret => "IRET", Jmp => "JMP", _ => "task gate in the IDT" }} to selector 0x{Selector:x}";
}
