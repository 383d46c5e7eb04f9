using Vmm.Cpu.State;

namespace Vmm.Cpu.Vcpus;

/// <content>Far JMP and CALL, and their gates (SDM 2A, SDM 3A §5.8).</content>
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
}
