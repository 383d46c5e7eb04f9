using Vmm.Cpu.State;

namespace Vmm.Cpu.Vcpus;

/// <content>Far RET and IRET (SDM 2A and 2B, SDM 3A §5.8).</content>
public sealed unsafe partial class Vcpu
{
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
}
