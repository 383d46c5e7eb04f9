using Vmm.Cpu.State;

namespace Vmm.Cpu.Vcpus;

/// <content>Far transfers, IRET and system calls (SDM 2A and 2B, SDM 3A §5.8).</content>
public sealed unsafe partial class Vcpu
{
    /// <summary>Far JMP or CALL to selector:offset. False: an exception waits. The next RIP is in the state.</summary>
    internal bool TryFarTransfer(ushort selector, ulong offset, int size, bool call)
    {
        if (IsRealStyle)
        {
            if ((uint)offset > s->Cs.Limit && size == 4)
            {
                return Fail(null, Vector.GP, 0);
            }

            if (call && !TryPushPair(s->Cs.Selector, s->NextRip, size))
            {
                return false;
            }

            if (offset > 0xFFFF && size == 2)
            {
                offset &= 0xFFFF;
            }

            LoadRealModeSegment(Seg.CS, selector);
            s->NextRip = offset;
            return true;
        }

        if (!TryReadDescriptor(selector, Vector.GP, 0, out var raw))
        {
            return false;
        }

        var descriptor = Descriptor.Parse(selector, raw);
        if (!descriptor.S)
        {
            return TryThroughGate(selector, raw, descriptor, call);
        }

        if (!descriptor.IsCode)
        {
            return Fail(null, Vector.GP, selector & 0xFFFCu);
        }

        if (descriptor.IsConforming ? descriptor.DPL > s->Cpl : (selector & 3) > s->Cpl || descriptor.DPL != s->Cpl)
        {
            return Fail(null, Vector.GP, selector & 0xFFFCu);
        }

        if (!descriptor.P)
        {
            return Fail(null, Vector.NP, selector & 0xFFFCu);
        }

        var lma = (s->Efer & Cr.EferLMA) != 0;
        if (lma && descriptor.L && descriptor.DB)
        {
            return Fail(null, Vector.GP, selector & 0xFFFCu);
        }

        if (lma && descriptor.L ? !IsCanonical(offset) : (uint)offset > descriptor.Limit)
        {
            return Fail(null, Vector.GP, 0);
        }

        if ((call && !TryPushPair(s->Cs.Selector, s->NextRip, size)) || !TryMarkDescriptor(selector, raw, 1))
        {
            return false;
        }

        s->Cs = descriptor.ToRegister((ushort)(selector & ~3 | s->Cpl));
        s->NextRip = lma && descriptor.L ? offset : (uint)offset;
        UpdateMode();
        return true;
    }

    /// <summary>Call gates of 16, 32 and 64 bits; outside IA-32e mode also task gates and TSS descriptors.</summary>
    bool TryThroughGate(ushort selector, ulong raw, Descriptor gate, bool call)
    {
        var lma = (s->Efer & Cr.EferLMA) != 0;
        if (!lma && gate.Type is 1 or 3 or 5 or 9 or 11)
        {
            return TryFarTask(selector, raw, gate, call);
        }

        var wide = gate.Type == 12;
        if (!(wide || (gate.Type == 4 && !lma)) || gate.DPL < s->Cpl || gate.DPL < (selector & 3))
        {
            return Fail(null, Vector.GP, selector & 0xFFFCu);
        }

        if (!gate.P)
        {
            return Fail(null, Vector.NP, selector & 0xFFFCu);
        }

        var target = wide ? raw & 0xFFFF | raw >> 32 & 0xFFFF_0000 : raw & 0xFFFF;
        if (lma)
        {
            var table = (selector & 4) != 0 ? s->Ldtr.Base : s->GdtBase;
            if (!TryLoadSystem(table + (uint)(selector & 0xFFF8) + 8, out ulong high))
            {
                return false;
            }

            if ((high >> 40 & 0x1F) != 0)
            {
                return Fail(null, Vector.GP, selector & 0xFFFCu);
            }

            target |= high << 32;
        }

        var codeSelector = (ushort)(raw >> 16);
        if (!TryReadDescriptor(codeSelector, Vector.GP, 0, out var codeRaw))
        {
            return false;
        }

        var code = Descriptor.Parse(codeSelector, codeRaw);
        if (!code.IsCode || code.DPL > s->Cpl || (lma && (!code.L || code.DB)) || (!call && !code.IsConforming && code.DPL != s->Cpl))
        {
            return Fail(null, Vector.GP, codeSelector & 0xFFFCu);
        }

        if (!code.P)
        {
            return Fail(null, Vector.NP, codeSelector & 0xFFFCu);
        }

        if (lma ? !IsCanonical(target) : target > code.Limit)
        {
            return Fail(null, Vector.GP, 0);
        }

        var newCpl = code.IsConforming || !call ? s->Cpl : code.DPL;
        var size = lma ? 8 : wide ? 4 : 2;
        if (call && newCpl != s->Cpl)
        {
            if (!TryInnerCall(newCpl, size, (int)(raw >> 32 & 31), lma))
            {
                return false;
            }
        }
        else if (call && !TryPushPair(s->Cs.Selector, s->NextRip, size))
        {
            return false;
        }

        s->Cs = code.ToRegister((ushort)(codeSelector & ~3 | newCpl));
        s->NextRip = target;
        s->Cpl = newCpl;
        UpdateMode();
        return true;
    }

    bool TryInnerCall(int newCpl, int size, int parameters, bool lma)
    {
        var frame = stackalloc ulong[36];
        var words = 0;
        frame[words++] = s->Gpr[4];
        frame[words++] = s->Ss.Selector;
        if (lma)
        {
            var offset = 4u + (uint)newCpl * 8;
            if (offset + 7 > s->Tr.Limit)
            {
                return Fail(null, Vector.TS, s->Tr.Selector & 0xFFFCu);
            }

            if (!TryLoadSystem(s->Tr.Base + offset, out ulong rsp))
            {
                return false;
            }

            var all = stackalloc ulong[4] { s->NextRip, s->Cs.Selector, frame[0], frame[1] };
            if (!IsCanonical(rsp))
            {
                return Fail(null, Vector.SS, 0);
            }

            if (!TryPushFrame(rsp, all, 4, newCpl))
            {
                return false;
            }

            s->Gpr[4] = rsp - 32;
            LoadNullStack(newCpl);
            return true;
        }

        if (!TryInnerStack(newCpl, 0, out var stack, out var esp))
        {
            return false;
        }

        var mask = s->Ss.DB ? 0xFFFF_FFFFul : 0xFFFFul;
        var legacy = stackalloc ulong[36];
        var count = 0;
        legacy[count++] = s->NextRip;
        legacy[count++] = s->Cs.Selector;
        for (var i = 0; i < parameters; i++)
        {
            var at = s->Ss.Base + (s->Gpr[4] + (ulong)(i * size) & mask);
            if (!TryLoadBytes(null, at & 0xFFFF_FFFF, size))
            {
                return false;
            }

            legacy[count++] = *(ulong*)s->Scratch;
        }

        legacy[count++] = s->Gpr[4];
        legacy[count++] = s->Ss.Selector;
        if (!TryPushLegacyFrame(stack, esp, legacy, count, size, newCpl, 0, out var newSp))
        {
            return false;
        }

        s->Ss = stack;
        s->Gpr[4] = newSp;
        return true;
    }

    /// <summary>Pushes CS and the return address; both words are probed first: all or nothing.</summary>
    bool TryPushPair(ulong cs, ulong rip, int size)
    {
        if (Is64)
        {
            var bottom = s->Gpr[4] - (ulong)(2 * size);
            if (!TryProbeWrite(null, bottom + (ulong)size, size) || !TryStoreWord(bottom, rip, size) || !TryStoreWord(bottom + (ulong)size, cs, size))
            {
                s->ExceptionVector = s->ExceptionVector == Vector.GP ? Vector.SS : s->ExceptionVector;
                return false;
            }

            s->Gpr[4] = bottom;
            return true;
        }

        var words = stackalloc ulong[2] { rip, cs };
        if (!TryPushLegacyFrame(s->Ss, s->Gpr[4], words, 2, size, s->Cpl, 0, out var newSp))
        {
            return false;
        }

        s->Gpr[4] = newSp;
        return true;
    }

    bool TryStoreWord(ulong va, ulong value, int size)
    {
        *(ulong*)s->Scratch = value;
        return TryStoreBytes(null, va, size);
    }

    /// <summary>Reads <paramref name="count"/> words above the stack pointer. False: an exception waits.</summary>
    bool TryPeekStack(ulong* words, int first, int count, int size)
    {
        var mask = Is64 ? ulong.MaxValue : s->Ss.DB ? 0xFFFF_FFFFul : 0xFFFFul;
        for (var i = 0; i < count; i++)
        {
            var offset = s->Gpr[4] + (ulong)((first + i) * size) & mask;
            ulong at;
            if (Is64)
            {
                at = offset;
                if (!IsCanonical(at))
                {
                    return Fail(null, Vector.SS, 0);
                }
            }
            else
            {
                if (!IsInLimit(s->Ss, offset, size))
                {
                    return Fail(null, Vector.SS, 0);
                }

                at = s->Ss.Base + offset & 0xFFFF_FFFF;
            }

            if (!TryLoadBytes(null, at, size))
            {
                return false;
            }

            words[first + i] = *(ulong*)s->Scratch;
        }

        return true;
    }

    void AdjustSp(ulong delta)
    {
        var mask = Is64 ? ulong.MaxValue : s->Ss.DB ? 0xFFFF_FFFFul : 0xFFFFul;
        var value = s->Gpr[4] + delta;
        s->Gpr[4] = s->Ss.DB || Is64 ? value & mask : s->Gpr[4] & ~mask | value & mask;
    }

    /// <summary>Far RET, popping <paramref name="extra"/> bytes of parameters. False: an exception waits.</summary>
    internal bool TryFarReturn(int size, ulong extra)
    {
        var words = stackalloc ulong[4];
        if (!TryPeekStack(words, 0, 2, size))
        {
            return false;
        }

        var selector = (ushort)words[1];
        if (IsRealStyle)
        {
            if (words[0] > s->Cs.Limit)
            {
                return Fail(null, Vector.GP, 0);
            }

            AdjustSp((ulong)(2 * size) + extra);
            LoadRealModeSegment(Seg.CS, selector);
            s->NextRip = words[0];
            return true;
        }

        return TryReturn(words, size, (ulong)(2 * size) + extra, 2, extra, false, 0);
    }

    /// <summary>IRET, IRETD, IRETQ. False: an exception waits.</summary>
    internal bool TryIret(int size)
    {
        var words = stackalloc ulong[5];
        s->NmiBlocked = 0;
        if (IsRealStyle)
        {
            if (IsIoplGuarded)
            {
                return Fail(null, Vector.GP, 0);
            }

            if (!TryPeekStack(words, 0, 3, size))
            {
                return false;
            }

            if (words[0] > s->Cs.Limit)
            {
                return Fail(null, Vector.GP, 0);
            }

            AdjustSp((ulong)(3 * size));
            LoadRealModeSegment(Seg.CS, (ushort)words[1]);
            s->NextRip = size == 2 ? (ushort)words[0] : (uint)words[0];
            WriteFlagsMasked(words[2], size, !IsVirtual8086, true);
            return true;
        }

        if ((s->FlagRest & Cr.NT) != 0)
        {
            return TryTaskReturn();
        }

        if (!TryPeekStack(words, 0, 3, size))
        {
            return false;
        }

        if (size == 4 && s->Cpl == 0 && (words[2] & Cr.VM) != 0 && (s->Efer & Cr.EferLMA) == 0)
        {
            return TryEnterVirtual8086();
        }

        return TryReturn(words, size, (ulong)(3 * size), 3, 0, true, words[2]);
    }

    /// <summary>The common part of far RET and IRET in protected and long mode.</summary>
    bool TryReturn(ulong* words, int size, ulong consumed, int stackAt, ulong extra, bool iret, ulong flags)
    {
        var selector = (ushort)words[1];
        if (!TryReadDescriptor(selector, Vector.GP, 0, out var raw))
        {
            return false;
        }

        var code = Descriptor.Parse(selector, raw);
        var rpl = selector & 3;
        if (!code.IsCode || rpl < s->Cpl || (code.IsConforming ? code.DPL > rpl : code.DPL != rpl))
        {
            return Fail(null, Vector.GP, selector & 0xFFFCu);
        }

        if (!code.P)
        {
            return Fail(null, Vector.NP, selector & 0xFFFCu);
        }

        var lma = (s->Efer & Cr.EferLMA) != 0;
        if (lma && code.L && code.DB)
        {
            return Fail(null, Vector.GP, selector & 0xFFFCu);
        }

        var rip = size == 2 ? (ushort)words[0] : size == 4 ? (uint)words[0] : words[0];
        if (lma && code.L ? !IsCanonical(rip) : rip > code.Limit)
        {
            return Fail(null, Vector.GP, 0);
        }

        // In 64-bit mode IRET always pops SS:RSP (SDM 2A, IRET).
        if (rpl == s->Cpl && !(iret && Is64))
        {
            if (!TryMarkDescriptor(selector, raw, 1))
            {
                return false;
            }

            AdjustSp(consumed);
            s->Cs = code.ToRegister(selector);
            FinishReturn(rip, size, iret, flags, s->Cpl);
            return true;
        }

        var at = stackAt + (int)(extra / (ulong)size);
        var pair = stackalloc ulong[2];
        if (!TryPeekPair(at, size, pair))
        {
            return false;
        }

        var stackSelector = (ushort)pair[1];
        SegmentRegister stack;
        if ((stackSelector & 0xFFFC) == 0)
        {
            if (!lma || !code.L || rpl == 3 || (stackSelector & 3) != rpl)
            {
                return Fail(null, Vector.GP, 0);
            }

            stack = new() { Selector = stackSelector, Access = 0x1_4000 | (uint)rpl << 5, Limit = 0xFFFF_FFFF };
        }
        else
        {
            if (!TryReadDescriptor(stackSelector, Vector.GP, 0, out var stackRaw))
            {
                return false;
            }

            var data = Descriptor.Parse(stackSelector, stackRaw);
            if ((stackSelector & 3) != rpl || !data.IsWritableData || data.DPL != rpl)
            {
                return Fail(null, Vector.GP, stackSelector & 0xFFFCu);
            }

            if (!data.P)
            {
                return Fail(null, Vector.SS, stackSelector & 0xFFFCu);
            }

            if (!TryMarkDescriptor(stackSelector, stackRaw, 1))
            {
                return false;
            }

            stack = data.ToRegister(stackSelector);
        }

        if (!TryMarkDescriptor(selector, raw, 1))
        {
            return false;
        }

        var oldCpl = s->Cpl;
        s->Cs = code.ToRegister(selector);
        s->Ss = stack;
        var sp = size == 2 ? (ushort)pair[0] : size == 4 ? (uint)pair[0] : pair[0];
        s->Gpr[4] = stack.DB || (lma && code.L) ? sp : s->Gpr[4] & ~0xFFFFul | sp & 0xFFFF;
        s->Cpl = rpl;
        FinishReturn(rip, size, iret, flags, oldCpl);
        if (!iret)
        {
            AdjustSp(extra);
        }

        if (rpl > oldCpl)
        {
            DropInnerSegments(rpl);
        }

        return true;
    }

    bool TryPeekPair(int at, int size, ulong* pair)
    {
        var saved = s->Gpr[4];
        AdjustSp((ulong)(at * size));
        var good = TryPeekStack(pair, 0, 2, size);
        s->Gpr[4] = saved;
        return good;
    }

    void FinishReturn(ulong rip, int size, bool iret, ulong flags, int oldCpl)
    {
        if (iret)
        {
            WriteFlagsMasked(flags, size, oldCpl == 0, oldCpl <= (int)(s->FlagRest >> 12 & 3));
        }

        s->NextRip = rip;
        UpdateMode();
    }

    /// <summary>
    /// Data segments that the outer level may not use become null (SDM 3A §5.8.6). Only the selector and the right to use it go:
    /// the base stays, as 64-bit mode shows with FS and GS.
    /// </summary>
    void DropInnerSegments(int cpl)
    {
        foreach (var number in (ReadOnlySpan<int>)[Seg.ES, Seg.DS, Seg.FS, Seg.GS])
        {
            var segment = SegmentAt(number);
            var conforming = segment->S && (segment->Type & 12) == 12;
            if (!segment->Unusable && segment->DPL < cpl && !conforming)
            {
                *segment = new() { Base = segment->Base, Access = 0x1_0000 };
            }
        }

        UpdateMode();
    }

    /// <summary>POPF and IRET: which bits change depends on privilege (SDM 2B, POPF).</summary>
    internal void WriteFlagsMasked(ulong value, int size, bool mayIopl, bool mayIf)
    {
        var mask = Cr.Arithmetic | Cr.TF | Cr.DF | Cr.NT | (mayIopl ? Cr.IOPL : 0) | (mayIf ? Cr.IF : 0);
        if (size > 2)
        {
            mask |= Cr.AC | Cr.ID | Cr.RF;
        }

        Flags.Write(s, Flags.Read(s) & ~mask | value & mask);
        UpdateView();
    }

    /// <summary>SYSCALL (SDM 2B). False: an exception waits.</summary>
    internal bool TrySyscall()
    {
        if ((s->Efer & Cr.EferSCE) == 0 || !Is64)
        {
            // Intel processors refuse SYSCALL outside 64-bit mode.
            return Fail(null, Vector.UD, 0);
        }

        s->Gpr[1] = s->NextRip;
        s->Gpr[11] = Flags.Read(s) & ~Cr.RF;
        Flags.Write(s, Flags.Read(s) & ~s->Fmask & ~Cr.RF);
        var selector = (ushort)(s->Star >> 32 & 0xFFFC);
        s->Cs = FlatCode(selector, 0, true);
        s->Ss = FlatData((ushort)(selector + 8), 0);
        s->NextRip = s->Lstar;
        s->Cpl = 0;
        UpdateMode();
        StepByNewFlags();
        return true;
    }

    /// <summary>SYSRET. False: an exception waits.</summary>
    internal bool TrySysret(bool wide)
    {
        if ((s->Efer & Cr.EferSCE) == 0 || !Is64)
        {
            return Fail(null, Vector.UD, 0);
        }

        if (s->Cpl != 0 || (wide && !IsCanonical(s->Gpr[1])))
        {
            return Fail(null, Vector.GP, 0);
        }

        var selector = (ushort)(s->Star >> 48);
        s->Cs = FlatCode((ushort)((wide ? selector + 16 : selector) | 3), 3, wide);
        s->Ss = FlatData((ushort)(selector + 8 | 3), 3);
        s->NextRip = wide ? s->Gpr[1] : (uint)s->Gpr[1];
        Flags.Write(s, s->Gpr[11] & 0x3C7FD7 & ~(Cr.RF | Cr.VM) | 2);
        s->Cpl = 3;
        UpdateMode();
        StepByNewFlags();
        return true;
    }

    /// <summary>SYSENTER. False: an exception waits.</summary>
    internal bool TrySysenter()
    {
        if ((s->Cr0 & Cr.Cr0PE) == 0 || (s->SysenterCs & 0xFFFC) == 0)
        {
            return Fail(null, Vector.GP, 0);
        }

        var lma = (s->Efer & Cr.EferLMA) != 0;
        s->FlagRest &= ~(Cr.VM | Cr.IF);
        var selector = (ushort)(s->SysenterCs & 0xFFFC);
        s->Cs = FlatCode(selector, 0, lma);
        s->Ss = FlatData((ushort)(selector + 8), 0);
        s->Gpr[4] = lma ? s->SysenterEsp : (uint)s->SysenterEsp;
        s->NextRip = lma ? s->SysenterEip : (uint)s->SysenterEip;
        s->Cpl = 0;
        UpdateMode();
        return true;
    }

    /// <summary>SYSEXIT. False: an exception waits.</summary>
    internal bool TrySysexit(bool wide)
    {
        if (s->Cpl != 0 || (s->Cr0 & Cr.Cr0PE) == 0 || (s->SysenterCs & 0xFFFC) == 0
            || (wide && (!IsCanonical(s->Gpr[1]) || !IsCanonical(s->Gpr[2]))))
        {
            return Fail(null, Vector.GP, 0);
        }

        var selector = (ushort)(s->SysenterCs & 0xFFFC);
        s->Cs = FlatCode((ushort)(selector + (wide ? 32 : 16) | 3), 3, wide);
        s->Ss = FlatData((ushort)(selector + (wide ? 40 : 24) | 3), 3);
        s->Gpr[4] = wide ? s->Gpr[1] : (uint)s->Gpr[1];
        s->NextRip = wide ? s->Gpr[2] : (uint)s->Gpr[2];
        s->Cpl = 3;
        UpdateMode();
        return true;
    }

    static SegmentRegister FlatCode(ushort selector, int dpl, bool wide) => new()
    {
        Selector = selector, Limit = 0xFFFF_FFFF, Access = 0x809Bu | (uint)dpl << 5 | (wide ? 0x2000u : 0x4000u),
    };

    static SegmentRegister FlatData(ushort selector, int dpl) => new()
    {
        Selector = selector, Limit = 0xFFFF_FFFF, Access = 0xC093u | (uint)dpl << 5,
    };
}
