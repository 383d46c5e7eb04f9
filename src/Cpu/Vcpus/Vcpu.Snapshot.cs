using Vmm.Cpu.Memory;
using Vmm.Cpu.State;
using Vmm.Platform.Memory;
using Vmm.Platform.Snapshots;

namespace Vmm.Cpu.Vcpus;

/// <content>
/// Snapshot: architectural state, pending events, and the software TLB - a guest that edits its tables without flushing
/// must see the same stale entries after a restore.
/// </content>
public sealed unsafe partial class Vcpu : ISnapshotPart
{
    /// <inheritdoc/>
    public string SectionName => $"vcpu{Index}";

    /// <inheritdoc/>
    public ushort SectionVersion => 4;

    /// <inheritdoc/>
    public void Save(SnapshotWriter writer)
    {
        writer.U64(Instructions);
        writer.U64(LocalTime);
        writer.U8((byte)Activity);
        writer.Flag(nmiPending);
        writer.Flag(initPending);
        writer.Flag(startUpPending);
        writer.U8(startUpVector);
        writer.U32((uint)s->Pending);
        writer.U32((uint)s->Shadow);
        writer.U8(s->NmiBlocked);
        writer.U8((byte)heldBreakpoints);
        SaveRegisters(writer);
        Mca?.Save(writer);
        SaveTlb(writer);
    }

    void SaveRegisters(SnapshotWriter writer)
    {
        Words(writer, s->Gpr, 16);
        writer.U64(s->Rip);
        writer.U64(Flags.Read(s));
        for (var i = 0; i < Seg.Count; i++)
        {
            var segment = SegmentAt(i);
            writer.U64(segment->Base);
            writer.U32(segment->Limit);
            writer.U32(segment->Access);
            writer.U16(segment->Selector);
        }

        foreach (var value in (ReadOnlySpan<ulong>)[s->Cr0, s->Cr2, s->Cr3, s->Cr4, s->Efer, s->GdtBase, s->IdtBase, s->GdtLimit, s->IdtLimit,
            s->Star, s->Lstar, s->Cstar, s->Fmask, s->KernelGsBase, s->SysenterCs, s->SysenterEsp, s->SysenterEip,
            s->Pat, s->TscAux, s->TscAdjust, s->TscOffset, s->MiscEnable, s->SpecCtrl, s->MtrrDefType, s->FeatureControl])
        {
            writer.U64(value);
        }

        Words(writer, s->Dr, 8);
        Words(writer, s->MtrrVariable, 20);
        Words(writer, s->MtrrFixed, 11);
        Words(writer, s->Pdpte, 4);
        Words(writer, s->Xmm, 32);
        Words(writer, s->Fpr, 16);
        writer.U16(s->Fcw);
        writer.U16(s->Fsw);
        writer.U8(s->Ftw);
        writer.U16(s->Fop);
        writer.U32(s->Mxcsr);
        writer.U64(s->Fip);
        writer.U64(s->Fdp);
        writer.U16(s->Fcs);
        writer.U16(s->Fds);
        writer.U8((byte)s->Cpl);
    }

    /// <inheritdoc/>
    public void Load(SnapshotReader reader)
    {
        Instructions = reader.U64();
        LocalTime = reader.U64();
        var activity = reader.U8();
        if (activity > (byte)Activity.Shutdown)
        {
            throw reader.Bad($"activity {activity} is unknown");
        }

        Activity = (Activity)activity;
        nmiPending = reader.Flag();
        initPending = reader.Flag();
        startUpPending = reader.Flag();
        startUpVector = reader.U8();
        s->Pending = (int)(reader.U32() & 7);
        s->Shadow = (int)Math.Min(reader.U32(), 2);
        s->NmiBlocked = (byte)(reader.U8() & 1);
        heldBreakpoints = reader.U8() & 15ul;
        LoadRegisters(reader);
        Mca?.Load(reader);
        largeStart = ulong.MaxValue;
        s->DebugActive = (s->Dr[7] & 0xFF) != 0 ? 1u : 0;
        FlushTlb();
        UpdateMode();
        ForgetCode();
        LoadTlb(reader);
    }

    void LoadRegisters(SnapshotReader reader)
    {
        Words(reader, s->Gpr, 16);
        s->Rip = reader.U64();
        Flags.Write(s, reader.U64() & 0x3F_7FD5);
        for (var i = 0; i < Seg.Count; i++)
        {
            *SegmentAt(i) = new() { Base = reader.U64(), Limit = reader.U32(), Access = reader.U32() & 0x1_F0FF, Selector = reader.U16() };
        }

        s->Cr0 = reader.U64();
        s->Cr2 = reader.U64();
        s->Cr3 = reader.U64();
        s->Cr4 = reader.U64();
        s->Efer = reader.U64();
        s->GdtBase = reader.U64();
        s->IdtBase = reader.U64();
        s->GdtLimit = (uint)reader.U64();
        s->IdtLimit = (uint)reader.U64();
        s->Star = reader.U64();
        s->Lstar = reader.U64();
        s->Cstar = reader.U64();
        s->Fmask = reader.U64();
        s->KernelGsBase = reader.U64();
        s->SysenterCs = reader.U64();
        s->SysenterEsp = reader.U64();
        s->SysenterEip = reader.U64();
        s->Pat = reader.U64();
        s->TscAux = reader.U64();
        s->TscAdjust = reader.U64();
        s->TscOffset = reader.U64();
        s->MiscEnable = reader.U64();
        s->SpecCtrl = reader.U64();
        s->MtrrDefType = reader.U64();
        s->FeatureControl = reader.U64();
        Words(reader, s->Dr, 8);
        Words(reader, s->MtrrVariable, 20);
        Words(reader, s->MtrrFixed, 11);
        Words(reader, s->Pdpte, 4);
        Words(reader, s->Xmm, 32);
        Words(reader, s->Fpr, 16);
        s->Fcw = reader.U16();
        s->Fsw = reader.U16();
        s->Ftw = reader.U8();
        s->Fop = reader.U16();
        s->Mxcsr = reader.U32() & 0xFFFF;
        s->Fip = reader.U64();
        s->Fdp = reader.U64();
        s->Fcs = reader.U16();
        s->Fds = reader.U16();
        s->Cpl = reader.U8() & 3;
    }

    static void Words(SnapshotWriter writer, ulong* words, int count)
    {
        for (var i = 0; i < count; i++)
        {
            writer.U64(words[i]);
        }
    }

    static void Words(SnapshotReader reader, ulong* words, int count)
    {
        for (var i = 0; i < count; i++)
        {
            words[i] = reader.U64();
        }
    }

    void SaveTlb(SnapshotWriter writer)
    {
        writer.U64(largeStart);
        writer.U64(largeMask);
        for (var i = 0; i < CpuState.TlbViews * CpuState.TlbEntries; i++)
        {
            var entry = tlb + i;
            var rights = Rights(entry, out var page);
            if (rights != 0)
            {
                writer.U16((ushort)i);
                writer.U64(page | rights);
                writer.U64(memory.PhysicalOf((byte*)((long)page + entry->Addend)));
            }
        }

        writer.U16(ushort.MaxValue);
        for (var i = 0; i < CpuState.FetchEntries; i++)
        {
            var entry = fetch[i];
            if (entry.Tag != 0 && (entry.Tag & 0xFFF) == s->TlbGen)
            {
                writer.U16((ushort)i);
                writer.U64(entry.Tag & ~0xFFFul);
                writer.U64(entry.Physical);
            }
        }

        writer.U16(ushort.MaxValue);
    }

    byte Rights(TlbEntry* entry, out ulong page)
    {
        page = 0;
        byte rights = 0;
        foreach (var (tag, right) in (ReadOnlySpan<(ulong, byte)>)[(entry->ReadTag, 1), (entry->WritableTag, 2)])
        {
            if (tag != 0 && (tag & 0xFFF) == s->TlbGen)
            {
                rights |= right;
                page = tag & ~0xFFFul;
            }
        }

        return rights;
    }

    void LoadTlb(SnapshotReader reader)
    {
        largeStart = reader.U64();
        largeMask = reader.U64();
        while (reader.U16() is var index && index != ushort.MaxValue)
        {
            var word = reader.U64();
            var physical = reader.U64();
            var host = memory.Pointer(physical);
            if (index >= CpuState.TlbViews * CpuState.TlbEntries || host == null || (physical & 0xFFF) != 0)
            {
                throw reader.Bad($"TLB entry {index} maps 0x{physical:x}, which is not a RAM page");
            }

            var page = word & ~0xFFFul;
            var tag = page | s->TlbGen;
            tlb[index] = new()
            {
                Addend = (long)host - (long)page,
                ReadTag = (word & 1) != 0 ? tag : 0,
                WritableTag = (word & 2) != 0 ? tag : 0,
            };
            if ((word & 2) != 0)
            {
                OpenForWrites(tlb + index, physical, tag);
            }
        }

        while (reader.U16() is var index && index != ushort.MaxValue)
        {
            var page = reader.U64();
            var physical = reader.U64();
            if (index >= CpuState.FetchEntries || ((page | physical) & 0xFFF) != 0 || physical >> PageWalker.PhysicalBits != 0)
            {
                throw reader.Bad($"fetch TLB entry {index} maps 0x{physical:x}");
            }

            fetch[index] = new() { Tag = page | s->TlbGen, Physical = physical };
        }
    }
}
