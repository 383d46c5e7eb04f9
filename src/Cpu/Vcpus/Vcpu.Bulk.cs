using Vmm.Cpu.Interpreter;
using Vmm.Cpu.Memory;
using Vmm.Cpu.State;
using Vmm.Specs.X86;

namespace Vmm.Cpu.Vcpus;

/// <content>Bulk moves of string instructions and port I/O.</content>
public sealed unsafe partial class Vcpu
{
    /// <summary>
    /// Copies up to <paramref name="bytes"/> bytes that stay inside one page on each side. Returns the bytes copied: zero when the
    /// pages are not plain RAM, when the ranges overlap so that the order of elements matters, or when an exception waits.
    /// </summary>
    internal ulong CopyPage(Op* op, ulong source, ulong target, int bytes)
    {
        if (source < target && target - source < (ulong)bytes)
        {
            return 0;
        }

        var from = HostForRead(op, source);
        if (from == null)
        {
            return 0;
        }

        var to = HostForWrite(op, target, bytes);
        if (to == null)
        {
            return 0;
        }

        // The host ranges may overlap although the linear ones do not (aliases): then element order matters too.
        if (from < to && to - from < bytes)
        {
            return 0;
        }

        Buffer.MemoryCopy(from, to, bytes, bytes);
        return (ulong)bytes;
    }

    /// <summary>Stores <paramref name="count"/> elements inside one page. Returns the elements stored, zero when it cannot be done in bulk.</summary>
    internal ulong FillPage(Op* op, ulong target, ulong value, int size, int count)
    {
        var to = HostForWrite(op, target, size * count);
        if (to == null)
        {
            return 0;
        }

        switch (size)
        {
            case 1:
                new Span<byte>(to, count).Fill((byte)value);
                break;
            case 2:
                new Span<ushort>(to, count).Fill((ushort)value);
                break;
            case 4:
                new Span<uint>(to, count).Fill((uint)value);
                break;
            default:
                new Span<ulong>(to, count).Fill(value);
                break;
        }

        return (ulong)count;
    }

    byte* HostForRead(Op* op, ulong va)
    {
        var entry = s->Tlb + (va >> 12 & CpuState.TlbEntries - 1);
        if ((va & ~0xFFFul | s->TlbGen) == entry->ReadTag)
        {
            return (byte*)((long)va + entry->Addend);
        }

        if (s->DebugActive != 0 || IsAlignmentChecked || !TryCheckLinear(op, va, 1) || !TryTranslate(op, va, Access.Read, out var physical))
        {
            return null;
        }

        return memory.Pointer(physical);
    }

    byte* HostForWrite(Op* op, ulong va, int bytes)
    {
        var entry = s->Tlb + (va >> 12 & CpuState.TlbEntries - 1);
        if ((va & ~0xFFFul | s->TlbGen) == entry->WriteTag)
        {
            return (byte*)((long)va + entry->Addend);
        }

        if (s->DebugActive != 0 || IsAlignmentChecked || !TryCheckLinear(op, va, 1) || !TryTranslate(op, va, Access.Write, out var physical))
        {
            return null;
        }

        var host = memory.Pointer(physical);
        if (host != null)
        {
            memory.NoteWrite(new(physical), bytes);
        }

        return host;
    }

    /// <summary>Checks that a write would not fault. False: an exception waits.</summary>
    internal bool TryProbeWrite(Op* op, ulong va, int size) =>
        TryCheckLinear(op, va, size) && TryTranslateSpan(op, va, size, Access.Write, out _, out _, out _);

    /// <summary>I/O privilege and the TSS permission bitmap (SDM 1 §19.5). False: #GP waits.</summary>
    internal bool TryPortAccess(Op* op, ushort port, int size)
    {
        if (!IsVirtual8086 && ((s->Cr0 & Cr.Cr0PE) == 0 || s->Cpl <= (int)(s->FlagRest >> 12 & 3)))
        {
            return true;
        }

        current = op;
        if (s->Tr.Limit < 103 || (s->Tr.Type & 8) == 0)
        {
            return Fail(op, Vector.GP, 0);
        }

        if (!TryLoadSystem(s->Tr.Base + 102, out ushort map))
        {
            return false;
        }

        var at = (uint)map + port / 8u;
        if (at + 1 > s->Tr.Limit)
        {
            return Fail(op, Vector.GP, 0);
        }

        if (!TryLoadSystem(s->Tr.Base + at, out ushort bits))
        {
            return false;
        }

        if ((bits >> (port & 7) & (1 << size) - 1) != 0)
        {
            return Fail(op, Vector.GP, 0);
        }

        current = null;
        return true;
    }

    internal ulong PortIn(Op* op, IoQualification access) => Port(op, access, ExitKind.Read, 0);

    internal void PortOut(Op* op, IoQualification access, ulong value) => Port(op, access, ExitKind.Write, value);

    internal ulong StringIn(Op* op, IoQualification access, ulong target)
    {
        Vmx.DescribeString(op, target);
        return PortIn(op, access);
    }

    internal void StringOut(Op* op, IoQualification access, ulong source, ulong value)
    {
        Vmx.DescribeString(op, source);
        PortOut(op, access, value);
    }

    ulong Port(Op* op, IoQualification access, ExitKind kind, ulong value)
    {
        var exit = new VmExit
        {
            Reason = ExitReason.IoInstruction, Kind = kind, By = Vmx.PortService(access.Port, access.Size), Vcpu = Index, Address = access.Port,
            Size = access.Size, Data = value, Qualification = access.Raw,
        };
        CallOut(op, ref exit);
        return exit.Data;
    }
}
