using Vmm.Cpu.Interpreter;
using Vmm.Cpu.State;

namespace Vmm.Cpu.Vcpus;

/// <content>Segmentation: descriptor loads, limit checks, mode key (SDM 3A ch. 3 and 5).</content>
public sealed unsafe partial class Vcpu
{
    /// <summary>Mode key bits: operand default 32, 64-bit, flat segments, stack 32, protected.</summary>
    internal const uint Mode32 = 1, Mode64 = 2, ModeFlat = 4, ModeStack32 = 8, ModeProtected = 16;

    internal SegmentRegister* SegmentAt(int number) => &s->Es + number;

    internal bool Is64 => (s->Mode & Mode64) != 0;

    /// <summary>Real-address or virtual-8086 mode: a selector is a sixteenth of the base, and there are no descriptors.</summary>
    internal bool IsRealStyle => (s->Cr0 & Cr.Cr0PE) == 0 || IsVirtual8086;

    /// <summary>Virtual-8086 mode (SDM 3A ch. 21).</summary>
    internal bool IsVirtual8086 => (s->FlagRest & Cr.VM) != 0;

    /// <summary>Virtual-8086 mode in which CLI, STI, PUSHF, POPF, INT n and IRET are not allowed (SDM 3A §21.2.7).</summary>
    internal bool IsIoplGuarded => IsVirtual8086 && (s->FlagRest & Cr.IOPL) != Cr.IOPL;

    /// <summary>Recomputes the decoder key and the TLB view after CS, SS, CPL, CR0, CR4, EFER or EFLAGS.AC changed.</summary>
    internal void UpdateMode()
    {
        uint mode;
        if ((s->Efer & Cr.EferLMA) != 0 && s->Cs.L)
        {
            mode = Mode64 | ModeProtected | ModeFlat | ModeStack32;
        }
        else
        {
            mode = (s->Cs.DB ? Mode32 : 0) | (s->Ss.DB ? ModeStack32 : 0) | ((s->Cr0 & Cr.Cr0PE) != 0 ? ModeProtected : 0);
            if (s->Ss.DB && IsFlat(s->Cs, false) && IsFlat(s->Ss, true) && IsFlat(s->Ds, true) && IsFlat(s->Es, true))
            {
                mode |= ModeFlat;
            }
        }

        s->Mode = mode;
        s->SseFault = SseAccess.FaultOf(s->Cr0, s->Cr4);
        UpdateView();
    }

    static bool IsFlat(in SegmentRegister segment, bool data) =>
        segment.Base == 0 && segment.Limit == 0xFFFF_FFFF && !segment.Unusable && segment.S
        && (data ? (segment.Access & 0xE) == 2 : true);

    /// <summary>Recomputes the TLB view and the code tag.</summary>
    internal void UpdateView()
    {
        int view;
        if (s->Cpl == 3)
        {
            view = (s->Cr0 & Cr.Cr0AM) != 0 && (s->FlagRest & Cr.AC) != 0 ? 3 : 2;
        }
        else
        {
            view = (s->Cr4 & Cr.Cr4SMAP) != 0 && (s->FlagRest & Cr.AC) != 0 ? 1 : 0;
        }

        s->Tlb = tlb + view * CpuState.TlbEntries;
        s->CodeTag = codeEpoch << 24 | s->TlbGen << 12 | (s->Cpl == 3 ? 0x80ul : 0ul) | s->Mode | 1ul << 11;
    }

    ulong codeEpoch;

    /// <summary>Forgets all translations (CR3, CR4, CR0.PG, EFER changes and INVPCID-like operations).</summary>
    internal void FlushTlb()
    {
        largeStart = ulong.MaxValue;
        if (++s->TlbGen == 4096)
        {
            System.Runtime.InteropServices.NativeMemory.Clear(tlb, (nuint)(CpuState.TlbViews * CpuState.TlbEntries * sizeof(TlbEntry)));
            System.Runtime.InteropServices.NativeMemory.Clear(fetch, (nuint)(CpuState.FetchEntries * sizeof(FetchEntry)));
            codeEpoch++;
            s->TlbGen = 1;
        }

        UpdateView();
    }

    /// <summary>Forgets every decoded block (they are about to be freed).</summary>
    internal void ForgetCode()
    {
        new Span<JumpEntry>(s->Jumps, CpuState.JumpEntries).Clear();
        s->LinkOp = null;
        s->PatchedOp = null;
        codeEpoch++;
        UpdateView();
    }

    /// <summary>Forgets the translations of one linear page (INVLPG).</summary>
    internal void FlushPage(ulong linear)
    {
        if (largeStart != ulong.MaxValue && (linear & largeMask) == largeStart)
        {
            FlushTlb();
            return;
        }

        var page = linear & ~0xFFFul | s->TlbGen;
        for (var view = 0; view < CpuState.TlbViews; view++)
        {
            var entry = tlb + view * CpuState.TlbEntries + (linear >> 12 & CpuState.TlbEntries - 1);
            if (entry->ReadTag == page || entry->WritableTag == page)
            {
                *entry = default;
            }
        }

        FlushFetch(FetchSet(linear, false), page);
        FlushFetch(FetchSet(linear, true), page);
        ForgetWaysIn();
    }

    static void FlushFetch(FetchEntry* set, ulong tag)
    {
        for (var way = 0; way < CpuState.FetchWays; way++)
        {
            if (set[way].Tag == tag)
            {
                set[way] = default;
            }
        }
    }

    /// <summary>Makes links and jump cache entries stale, which the code tag alone validates.</summary>
    void ForgetWaysIn()
    {
        codeEpoch++;
        UpdateView();
    }

    /// <summary>Removes write permission for one host page from every view: it now holds decoded code.</summary>
    internal void ProtectPage(ulong physicalPage)
    {
        var host = (long)memory.Pointer(physicalPage);
        for (var i = 0; i < CpuState.TlbViews * CpuState.TlbEntries; i++)
        {
            var entry = tlb + i;
            if (entry->WriteTag != 0 && (long)(entry->WriteTag & ~0xFFFul) + entry->Addend == host)
            {
                entry->WriteTag = 0;
            }
        }
    }

    internal void LoadRealModeSegment(int number, ushort selector)
    {
        var segment = SegmentAt(number);
        segment->Selector = selector;
        segment->Base = (ulong)selector << 4;
        if (IsVirtual8086)
        {
            (segment->Limit, segment->Access) = (0xFFFF, 0xF3);
        }
        else
        {
            // Real mode keeps limit and size of the last protected-mode load ("unreal mode"); rights become data or code.
            segment->Access = segment->Access & 0xC000 | (number == Seg.CS ? 0x9Bu : 0x93u);
            if (segment->Limit == 0)
            {
                segment->Limit = 0xFFFF;
            }
        }

        if (number is Seg.CS)
        {
            s->Cpl = IsVirtual8086 ? 3 : 0;
        }

        UpdateMode();
    }

    void LoadNullStack(int cpl)
    {
        s->Ss = new() { Selector = (ushort)cpl, Access = 0x1_0000 | 0x4000 | (uint)cpl << 5, Limit = 0xFFFF_FFFF };
    }

    /// <summary>Reads a descriptor; past the table's limit raises <paramref name="vector"/> with the selector. False: an exception waits.</summary>
    internal bool TryReadDescriptor(ushort selector, byte vector, uint ext, out ulong raw)
    {
        raw = 0;
        if ((selector & 0xFFFC) == 0)
        {
            return Fail(null, vector, ext);
        }

        var local = (selector & 4) != 0;
        var offset = (uint)(selector & 0xFFF8);
        if ((local && s->Ldtr.Unusable) || offset + 7 > (local ? s->Ldtr.Limit : s->GdtLimit))
        {
            return Fail(null, vector, selector & 0xFFFCu | ext);
        }

        return TryLoadSystem((local ? s->Ldtr.Base : s->GdtBase) + offset, out raw);
    }

    /// <summary>Sets the accessed bit of a code or data descriptor, or another bit of byte 5, in memory.</summary>
    internal bool TryMarkDescriptor(ushort selector, ulong raw, byte bits)
    {
        if ((raw >> 40 & bits) == bits)
        {
            return true;
        }

        var table = (selector & 4) != 0 ? s->Ldtr.Base : s->GdtBase;
        return TryStoreSystem(table + (uint)(selector & 0xFFF8) + 5, (byte)(raw >> 40 | bits));
    }

    /// <summary>MOV, POP or LxS to a data segment register or SS (SDM 2, MOV). False: an exception waits.</summary>
    internal bool TryLoadSegment(int number, ushort selector)
    {
        if (IsRealStyle)
        {
            LoadRealModeSegment(number, selector);
            return true;
        }

        var rpl = selector & 3;
        if ((selector & 0xFFFC) == 0)
        {
            if (number == Seg.SS && (!Is64 || s->Cpl == 3 || rpl != s->Cpl))
            {
                return Fail(null, Vector.GP, 0);
            }

            var old = SegmentAt(number)->Access;
            *SegmentAt(number) = new() { Selector = selector, Access = 0x1_0000 | old & 0x4000, Limit = 0 };
            if (number == Seg.SS)
            {
                s->Ss.Access |= 0x4000;
            }

            UpdateMode();
            return true;
        }

        if (!TryReadDescriptor(selector, Vector.GP, 0, out var raw))
        {
            return false;
        }

        var descriptor = Descriptor.Parse(selector, raw);
        if (number == Seg.SS)
        {
            if (rpl != s->Cpl || !descriptor.IsWritableData || descriptor.DPL != s->Cpl)
            {
                return Fail(null, Vector.GP, selector & 0xFFFCu);
            }

            if (!descriptor.P)
            {
                return Fail(null, Vector.SS, selector & 0xFFFCu);
            }
        }
        else
        {
            if (!descriptor.IsReadable || (!descriptor.IsConforming && (rpl > descriptor.DPL || s->Cpl > descriptor.DPL)))
            {
                return Fail(null, Vector.GP, selector & 0xFFFCu);
            }

            if (!descriptor.P)
            {
                return Fail(null, Vector.NP, selector & 0xFFFCu);
            }
        }

        if (!TryMarkDescriptor(selector, raw, 1))
        {
            return false;
        }

        *SegmentAt(number) = descriptor.ToRegister(selector);
        UpdateMode();
        return true;
    }

    /// <summary>True when the access lies inside the segment's limit (expand-down segments included).</summary>
    internal static bool IsInLimit(in SegmentRegister segment, ulong offset, int size)
    {
        var last = offset + (ulong)size - 1;
        if ((segment.Access & 0x1C) == 0x14)
        {
            return offset > segment.Limit && last <= (segment.DB ? 0xFFFF_FFFFul : 0xFFFFul);
        }

        return last <= segment.Limit;
    }

    /// <summary>Linear address of a legacy-mode operand, or <see cref="Poison"/> when the segment forbids the access.</summary>
    internal static ulong CheckedLinear(CpuState* s, int number, ulong offset, int size, bool write)
    {
        var segment = &s->Es + number;
        var real = (s->Cr0 & Cr.Cr0PE) == 0;
        if (!real)
        {
            var type = segment->Type;
            if (segment->Unusable || (write ? (type & 10) != 2 : (type & 10) == 8))
            {
                return Poison | (uint)number;
            }
        }

        return IsInLimit(*segment, offset, size) ? segment->Base + offset & 0xFFFF_FFFF : Poison | (uint)number;
    }

    /// <summary>Stack for an inner privilege level from the TSS (SDM 3A §5.8.5). False: an exception waits.</summary>
    internal bool TryInnerStack(int cpl, uint ext, out SegmentRegister stack, out ulong esp)
    {
        stack = default;
        esp = 0;
        var wide = (s->Tr.Type & 8) != 0;
        var offset = wide ? 4u + (uint)cpl * 8 : 2u + (uint)cpl * 4;
        if (offset + (wide ? 5u : 3u) > s->Tr.Limit)
        {
            return Fail(null, Vector.TS, s->Tr.Selector & 0xFFFCu | ext);
        }

        ushort selector;
        if (wide)
        {
            if (!TryLoadSystem(s->Tr.Base + offset, out uint value) || !TryLoadSystem(s->Tr.Base + offset + 4, out selector))
            {
                return false;
            }

            esp = value;
        }
        else
        {
            if (!TryLoadSystem(s->Tr.Base + offset, out ushort value) || !TryLoadSystem(s->Tr.Base + offset + 2, out selector))
            {
                return false;
            }

            esp = value;
        }

        if (!TryReadDescriptor(selector, Vector.TS, ext, out var raw))
        {
            return false;
        }

        var descriptor = Descriptor.Parse(selector, raw);
        if ((selector & 3) != cpl || descriptor.DPL != cpl || !descriptor.IsWritableData)
        {
            return Fail(null, Vector.TS, selector & 0xFFFCu | ext);
        }

        if (!descriptor.P)
        {
            return Fail(null, Vector.SS, selector & 0xFFFCu | ext);
        }

        stack = descriptor.ToRegister(selector);
        return true;
    }
}
