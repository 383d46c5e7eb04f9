using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Vmm.Cpu.Interpreter;
using Vmm.Cpu.Memory;
using Vmm.Cpu.State;
using Vmm.Platform.Memory;
using Vmm.Platform.Time;
using Vmm.Specs.X86;

namespace Vmm.Cpu.Vcpus;

/// <content>Slow paths of linear memory: TLB fills, page-crossing accesses, MMIO and watched pages.</content>
public sealed unsafe partial class Vcpu
{
    /// <summary>An address that no check lets through: what a failed segment check yields. The low bits name the segment.</summary>
    internal const ulong Poison = 0x7FFF_0000_0000_0000;

    struct PendingModify
    {
        public ulong Linear;
        public ulong First;
        public ulong Second;
        public int FirstLength;
        public int Size;
    }

    PendingModify modify;

    /// <summary>The object behind a state block.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static Vcpu Of(CpuState* s) => Unsafe.As<Vcpu>(GCHandle.FromIntPtr(s->Owner).Target!);

    bool IsUserView => s->Tlb >= tlb + 2 * CpuState.TlbEntries;

    bool IsSmapOff => s->Tlb == tlb + CpuState.TlbEntries;

    bool IsAlignmentChecked => s->Tlb == tlb + 3 * CpuState.TlbEntries;

    /// <summary>Reads bytes into the scratch area (upper bytes of the first word are zero). False: an exception waits.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal bool TryLoadBytes(Op* op, ulong va, int size)
    {
        *(ulong*)s->Scratch = 0;
        if (!TryCheckLinear(op, va, size) || !TryTranslateSpan(op, va, size, Access.Read, out var first, out var second, out var firstLength))
        {
            return false;
        }

        var host = memory.Pointer(first);
        if (host != null && firstLength == size && (size is 1 or 2 or 4 or 8))
        {
            *(ulong*)s->Scratch = size switch { 8 => *(ulong*)host, 4 => *(uint*)host, 2 => *(ushort*)host, _ => *host };
            return true;
        }

        CopyIn(op, first, va, (byte*)s->Scratch, firstLength);
        if (firstLength < size)
        {
            CopyIn(op, second, va + (ulong)firstLength, (byte*)s->Scratch + firstLength, size - firstLength);
        }

        return true;
    }

    /// <summary>Writes bytes from the scratch area. False: an exception waits and nothing was written.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal bool TryStoreBytes(Op* op, ulong va, int size)
    {
        if (!TryCheckLinear(op, va, size) || !TryTranslateSpan(op, va, size, Access.Write, out var first, out var second, out var firstLength))
        {
            return false;
        }

        CopyOut(op, first, va, (byte*)s->Scratch, firstLength);
        if (firstLength < size)
        {
            CopyOut(op, second, va + (ulong)firstLength, (byte*)s->Scratch + firstLength, size - firstLength);
        }

        return true;
    }

    internal byte* BeginModify(Op* op, ulong va, int size)
    {
        if (!TryCheckLinear(op, va, size) || !TryTranslateSpan(op, va, size, Access.Write, out var first, out var second, out var firstLength))
        {
            return null;
        }

        if (firstLength == size && memory.Pointer(first) != null && !memory.IsWatched(new(first)) && s->DebugActive == 0)
        {
            return memory.Pointer(first);
        }

        *(ulong*)s->Scratch = 0;
        CopyIn(op, first, va, (byte*)s->Scratch, firstLength);
        if (firstLength < size)
        {
            CopyIn(op, second, va + (ulong)firstLength, (byte*)s->Scratch + firstLength, size - firstLength);
        }

        modify = new() { Linear = va, First = first, Second = second, FirstLength = firstLength, Size = size };
        return (byte*)s->Scratch;
    }

    internal void CommitModify(Op* op)
    {
        var pending = modify;
        CopyOut(op, pending.First, pending.Linear, (byte*)s->Scratch, pending.FirstLength);
        if (pending.FirstLength < pending.Size)
        {
            CopyOut(op, pending.Second, pending.Linear + (ulong)pending.FirstLength, (byte*)s->Scratch + pending.FirstLength, pending.Size - pending.FirstLength);
        }
    }

    /// <summary>Segment violations, non-canonical addresses and alignment (SDM 3A §6.15, #GP, #SS, #AC).</summary>
    bool TryCheckLinear(Op* op, ulong va, int size)
    {
        if ((va & ~0xFFul) == Poison)
        {
            return Fail(op, (va & 0xFF) == Seg.SS ? Vector.SS : Vector.GP, 0);
        }

        if ((s->Efer & Cr.EferLMA) != 0 && (!IsCanonical(va) || !IsCanonical(va + (ulong)size - 1)))
        {
            return Fail(op, op != null && op->Segment == Seg.SS ? Vector.SS : Vector.GP, 0);
        }

        if (IsAlignmentChecked && (va & AlignmentMask(size)) != 0)
        {
            return Fail(op, Vector.AC, 0);
        }

        return true;
    }

    /// <summary>Address bits that must be zero under alignment checks (SDM 3A table 6-7); an 80-bit operand is checked as 8 bytes.</summary>
    static ulong AlignmentMask(int size) => size switch { 2 => 1, 4 => 3, 8 or 10 => 7, 16 => 15, _ => 0 };

    internal static bool IsCanonical(ulong va) => (ulong)((long)(va << 16) >> 16) == va;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    bool TryTranslateSpan(Op* op, ulong va, int size, Access access, out ulong first, out ulong second, out int firstLength)
    {
        second = 0;
        firstLength = Math.Min(size, 4096 - (int)(va & 0xFFF));
        if (!TryTranslate(op, va, access, out first))
        {
            return false;
        }

        var rest = va + (ulong)firstLength;
        if ((s->Cs.Access & 0x2000) == 0 || (s->Efer & Cr.EferLMA) == 0)
        {
            rest &= 0xFFFF_FFFF;
        }

        if (firstLength < size && !TryTranslate(op, rest, access, out second))
        {
            return false;
        }

        if (s->DebugActive != 0)
        {
            NoteDataBreakpoint(op, va, size, access);
        }

        return true;
    }

    /// <summary>Translates one data access of the current privilege view and fills the TLB.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal bool TryTranslate(Op* op, ulong va, Access access, out ulong physical)
    {
        var entry = s->Tlb + (va >> 12 & CpuState.TlbEntries - 1);
        var tag = va & ~0xFFFul | s->TlbGen;
        if (tag == (access == Access.Write ? entry->WritableTag : entry->ReadTag))
        {
            physical = memory.PhysicalOf((byte*)((long)va + entry->Addend));
            if (access == Access.Write)
            {
                OpenForWrites(entry, physical & ~0xFFFul, tag);
            }

            return true;
        }

        physical = 0;
        if (memory.PoisonedPages != 0 && !TryTouchTables(op, va))
        {
            return false;
        }

        if (PageWalker.TryWalk(s, memory, va, access, IsUserView, IsSmapOff, out var found, out var error))
        {
            physical = found.Physical;
            if (memory.PoisonedPages != 0 && memory.IsPoisoned(new(physical)))
            {
                return TryTouchPage(op, access, physical);
            }

            Fill(entry, va, found);
            return true;
        }

        PageFault(op, va, error);
        return false;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    void Fill(TlbEntry* entry, ulong va, in Translation found)
    {
        var page = found.Physical & ~0xFFFul;
        var host = memory.Pointer(page);
        if (host == null || IsAlignmentChecked || s->DebugActive != 0)
        {
            return;
        }

        var tag = va & ~0xFFFul | s->TlbGen;
        if (found.Large)
        {
            NoteLargePage(va);
        }

        entry->Addend = (long)host - (long)(va & ~0xFFFul);
        entry->ReadTag = found.Readable ? tag : 0;
        entry->WritableTag = found.Writable ? tag : 0;
        entry->WriteTag = 0;
        if (found.Writable)
        {
            OpenForWrites(entry, page, tag);
        }
    }

    /// <summary>Lets writes through an entry take the fast path, unless the page holds decoded code.</summary>
    void OpenForWrites(TlbEntry* entry, ulong page, ulong tag)
    {
        if (!memory.IsWatched(new(page)))
        {
            entry->WriteTag = tag;
            memory.NoteWriteCached(new(page));
        }
    }

    ulong largeStart = ulong.MaxValue;
    ulong largeMask;

    /// <summary>Grows the aligned range that holds every large page in the TLB: INVLPG inside it must flush everything.</summary>
    void NoteLargePage(ulong va)
    {
        if (largeStart == ulong.MaxValue)
        {
            largeMask = ~0x3FFF_FFFFul;
            largeStart = va & largeMask;
            return;
        }

        while ((va & largeMask) != largeStart)
        {
            largeMask <<= 1;
            largeStart &= largeMask;
        }
    }

    /// <summary>
    /// Physical address of the code byte at a linear address, through the fetch TLB. False: an exception waits. Blocks that have
    /// been found before are entered without asking, so an entry that goes makes the code tag, and with it those ways in, stale:
    /// what the TLB holds follows from the instructions alone. Replacement is first in, first out, for the same reason.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal bool TryTranslateFetch(ulong va, out ulong physical)
    {
        var set = FetchSet(va, IsUserView);
        var tag = va & ~0xFFFul | s->TlbGen;
        for (var way = 0; way < CpuState.FetchWays; way++)
        {
            if (set[way].Tag == tag)
            {
                physical = set[way].Physical | va & 0xFFF;
                return true;
            }
        }

        physical = 0;
        if ((s->Efer & Cr.EferLMA) != 0 && !IsCanonical(va))
        {
            return Fail(null, Vector.GP, 0);
        }

        if (memory.PoisonedPages != 0 && !TryTouchTables(null, va))
        {
            return false;
        }

        if (!PageWalker.TryWalk(s, memory, va, Access.Fetch, IsUserView, IsSmapOff, out var found, out var error))
        {
            PageFault(null, va, error);
            return false;
        }

        physical = found.Physical;
        if (memory.PoisonedPages != 0 && memory.IsPoisoned(new(physical)))
        {
            return TryTouchPage(null, Access.Fetch, physical);
        }

        if (found.Large)
        {
            NoteLargePage(va);
        }

        var evicted = set[CpuState.FetchWays - 1].Tag;
        for (var way = CpuState.FetchWays - 1; way > 0; way--)
        {
            set[way] = set[way - 1];
        }

        set[0] = new() { Tag = tag, Physical = physical & ~0xFFFul };
        if (evicted != 0 && (evicted & 0xFFF) == s->TlbGen)
        {
            ForgetWaysIn();
        }

        return true;
    }

    FetchEntry* FetchSet(ulong va, bool user) =>
        fetch + (((user ? CpuState.FetchSets : 0) + (int)(va >> 12 & CpuState.FetchSets - 1)) * CpuState.FetchWays);

    /// <summary>Instruction bytes from physical memory; outside RAM they come from the bus.</summary>
    internal void FetchBytes(ulong physical, byte* destination, int size) =>
        CopyIn(null, physical, Is64 ? s->Rip : s->Cs.Base + s->Rip & 0xFFFF_FFFF, destination, size, ExitKind.Execute);

    void CopyIn(Op* op, ulong physical, ulong linear, byte* destination, int size, ExitKind kind = ExitKind.Read)
    {
        var host = memory.Pointer(physical & ~0xFFFul);
        if (host != null)
        {
            Buffer.MemoryCopy(host + (physical & 0xFFF), destination, size, size);
            return;
        }

        // MMIO: natural widths only.
        while (size > 0)
        {
            var part = size >= 8 ? 8 : size >= 4 ? 4 : size >= 2 ? 2 : 1;
            var exit = Vmx.MemoryExit(physical, part, kind, linear);
            CallOut(op, ref exit);
            var data = exit.Data;
            Buffer.MemoryCopy(&data, destination, part, part);
            physical += (ulong)part;
            linear += (ulong)part;
            destination += part;
            size -= part;
        }
    }

    void CopyOut(Op* op, ulong physical, ulong linear, byte* source, int size)
    {
        var host = memory.Pointer(physical & ~0xFFFul);
        if (host != null)
        {
            memory.NoteWrite(new(physical), size);
            Buffer.MemoryCopy(source, host + (physical & 0xFFF), size, size);
            return;
        }

        while (size > 0)
        {
            var part = size >= 8 ? 8 : size >= 4 ? 4 : size >= 2 ? 2 : 1;
            ulong data = 0;
            Buffer.MemoryCopy(source, &data, part, part);
            var exit = Vmx.MemoryExit(physical, part, ExitKind.Write, linear);
            exit.Data = data;
            CallOut(op, ref exit);
            physical += (ulong)part;
            linear += (ulong)part;
            source += part;
            size -= part;
        }
    }

    /// <summary>Hands an exit to the machine with the clock at the current instruction.</summary>
    internal void CallOut(Op* op, ref VmExit exit)
    {
        SyncClock(op);
        var before = clock.Now;
        var leaves = exit.By != ExitService.Direct;
        if (leaves)
        {
            Vmx.Leave(op == null ? current : op, exit);
        }

        exits!.Handle(ref exit);
        if (leaves && exit.Reason is not (ExitReason.Hlt or ExitReason.TripleFault))
        {
            Vmx.Return();
        }

        GiveUp(clock.Now - before);
        if (stopRequested && op != null)
        {
            StopAfter(op);
        }
        else if (op != null)
        {
            StopWhenSpent(op);
        }
    }

    /// <summary>Charges what an instruction costs beyond its own price.</summary>
    internal void Charge(Op* op, CostKind kind)
    {
        SyncClock(op);
        var before = clock.Now;
        clock.Ledger.Charge(kind);
        GiveUp(clock.Now - before);
        StopWhenSpent(op);
    }

    /// <summary>Time that passed on the clock meanwhile is time that this turn does not have any more.</summary>
    internal void GiveUp(ulong cycles)
    {
        if (cycles != 0)
        {
            var units = (long)((cycles + price - 1) / price);
            s->Budget -= units;
            s->Extra += units;
            syncedAt += units;
        }
    }

    /// <summary>Reads system data (descriptors, TSS) with supervisor rights. False: an exception waits.</summary>
    internal bool TryLoadSystem<T>(ulong linear, out T value)
        where T : unmanaged
    {
        value = default;
        var bytes = (byte*)Unsafe.AsPointer(ref value);
        for (var done = 0; done < sizeof(T);)
        {
            var at = linear + (ulong)done;
            var part = Math.Min(sizeof(T) - done, 4096 - (int)(at & 0xFFF));
            if (!TrySystem(at, Access.Read, out var physical))
            {
                return false;
            }

            CopyIn(null, physical, at, bytes + done, part);
            done += part;
        }

        return true;
    }

    /// <summary>Writes system data with supervisor rights. False: an exception waits.</summary>
    internal bool TryStoreSystem<T>(ulong linear, T value)
        where T : unmanaged
    {
        var bytes = (byte*)&value;
        ulong second = 0;
        var first = Math.Min(sizeof(T), 4096 - (int)(linear & 0xFFF));
        if (!TrySystem(linear, Access.Write, out var physical) || (first < sizeof(T) && !TrySystem(linear + (ulong)first, Access.Write, out second)))
        {
            return false;
        }

        CopyOut(null, physical, linear, bytes, first);
        if (first < sizeof(T))
        {
            CopyOut(null, second, linear + (ulong)first, bytes + first, sizeof(T) - first);
        }

        return true;
    }

    bool TrySystem(ulong linear, Access access, out ulong physical)
    {
        physical = 0;
        if ((s->Efer & Cr.EferLMA) != 0)
        {
            if (!IsCanonical(linear))
            {
                return Fail(null, Vector.GP, 0);
            }
        }
        else
        {
            linear &= 0xFFFF_FFFF;
        }

        var view = s->Tlb;
        s->Tlb = tlb;
        var good = TryTranslate(null, linear, access, out physical);
        s->Tlb = view;
        return good;
    }
}
