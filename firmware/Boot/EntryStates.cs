using System.Buffers.Binary;
using Vmm.Platform.Memory;

namespace Vmm.Firmware.Boot;

/// <summary>Builds the three kinds of entry state, with the descriptor table and page tables they need in memory.</summary>
internal static class EntryStates
{
    const ulong Pe = 1 << 0, Et = 1 << 4, Pg = 1UL << 31;
    const ulong Pae = 1 << 5;
    const ulong Lme = 1 << 8, Lma = 1 << 10;
    const int PageSize = 4096, MappedGigabytes = 4, EntriesPerTable = 512;
    const ulong Present = 1, Writable = 2, LargePage = 0x80;
    const int StackSize = 4096;

    const ushort CodeSelector = 0x10, DataSelector = 0x18, TaskSelector = 0x20;
    const uint Code32Rights = 0xC09B, Code64Rights = 0xA09B, DataRights = 0xC093, Task32Rights = 0x8B;
    const uint TaskLimit = 0x67;

    static readonly TableState RealModeVectors = new(0, 0x3FF);

    static readonly SegmentState Data = new(DataSelector, 0, uint.MaxValue, DataRights);
    static readonly SegmentState Task = new(TaskSelector, 0, TaskLimit, Task32Rights);

    /// <summary>
    /// Protected mode with flat segments and paging off. IDTR is what a BIOS leaves, the real-mode vectors: no gates, but what
    /// a guest needs that goes back to real mode without loading one.
    /// </summary>
    public static CpuEntryState Protected32(Placement memory, ulong entry) => Flat(memory, CpuMode.Protected32, entry, Code32Rights) with
    {
        Cr0 = Pe | Et,
        Idt = RealModeVectors,
    };

    /// <summary>64-bit mode; the first 4 GiB are mapped one to one with 2 MiB pages.</summary>
    public static CpuEntryState Long64(Placement memory, ulong entry) => Flat(memory, CpuMode.Long64, entry, Code64Rights) with
    {
        Cr0 = Pe | Et | Pg,
        Cr3 = PageTables(memory),
        Cr4 = Pae,
        Efer = Lme | Lma,
    };

    /// <summary>Real mode, as a BIOS jumps to a boot sector: DL is the drive, the stack ends where the image starts.</summary>
    public static CpuEntryState Real16(ulong entry)
    {
        var linear = entry >> 16 != 0;
        var paragraph = (ushort)(linear ? entry >> 4 : 0);
        var data = new SegmentState(0, 0, 0xFFFF, 0x93);
        return new()
        {
            Mode = CpuMode.Real16,
            Rip = entry - ((ulong)paragraph << 4),
            Rsp = 0x7C00,
            Rdx = 0x80,
            Cr0 = Et,
            Cs = new(paragraph, (ulong)paragraph << 4, 0xFFFF, 0x9B),
            Ds = data,
            Es = data,
            Fs = data,
            Gs = data,
            Ss = data,
            Tr = new(0, 0, 0xFFFF, Task32Rights),
            Ldtr = new(0, 0, 0xFFFF, 0x82),
            Idt = RealModeVectors,
            Gdt = new(0, 0xFFFF),
        };
    }

    static CpuEntryState Flat(Placement memory, CpuMode mode, ulong entry, uint codeRights)
    {
        var code = new SegmentState(CodeSelector, 0, uint.MaxValue, codeRights);
        // The busy bit belongs to the register; a descriptor that can still be loaded has type 9.
        ulong[] table = [0, 0, Descriptor(code), Descriptor(Data), Descriptor(Task with { AccessRights = Task32Rights & ~2u }), 0];
        var bytes = new byte[table.Length * 8];
        for (var i = 0; i < table.Length; i++)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(i * 8), table[i]);
        }

        return new()
        {
            Mode = mode,
            Rip = entry,
            Rsp = memory.AllocateLow("stack", StackSize, 16).Value + StackSize,
            Cs = code,
            Ds = Data,
            Es = Data,
            Fs = Data,
            Gs = Data,
            Ss = Data,
            Tr = Task,
            Gdt = new(memory.PutLow("GDT", bytes, 16).Value, (ushort)(bytes.Length - 1)),
        };
    }

    /// <summary>SDM 3A figure 3-8.</summary>
    static ulong Descriptor(SegmentState segment)
    {
        ulong limit = (segment.AccessRights & 0x8000) != 0 ? segment.Limit >> 12 : segment.Limit;
        ulong rights = segment.AccessRights;
        return (limit & 0xFFFF) | (segment.Base & 0xFFFFFF) << 16 | (rights & 0xFF) << 40
            | (limit >> 16 & 0xF) << 48 | (rights >> 12 & 0xF) << 52 | (segment.Base >> 24 & 0xFF) << 56;
    }

    static ulong PageTables(Placement memory)
    {
        var tables = new byte[(2 + MappedGigabytes) * PageSize];
        var root = memory.AllocateLow("page tables", (ulong)tables.Length, PageSize);
        Set(tables, 0, (root.Value + PageSize) | Present | Writable);
        for (var i = 0; i < MappedGigabytes; i++)
        {
            Set(tables, EntriesPerTable + i, (root.Value + (ulong)(2 + i) * PageSize) | Present | Writable);
        }

        for (var i = 0; i < MappedGigabytes * EntriesPerTable; i++)
        {
            Set(tables, 2 * EntriesPerTable + i, (ulong)i << 21 | Present | Writable | LargePage);
        }

        memory.Write("page tables", root, tables);
        return root.Value;
    }

    static void Set(byte[] tables, int index, ulong entry) => BinaryPrimitives.WriteUInt64LittleEndian(tables.AsSpan(index * 8), entry);
}
