using Vmm.Cpu.Interpreter;
using Vmm.Cpu.State;
using Vmm.Specs.X86;

namespace Vmm.Cpu.Vcpus;

/// <content>Exceptions and interrupts: raising, double-fault rules and delivery through the IDT (SDM 3A ch. 6).</content>
public sealed unsafe partial class Vcpu
{
    /// <summary>Software interrupt kinds in <see cref="CpuState.ExceptionKind"/>.</summary>
    internal const byte KindFault = 0, KindIntN = 1, KindInt3 = 2, KindInt1 = 3;

    /// <summary>
    /// Raises an exception at the current instruction. Always returns false. RIP goes back to the instruction,
    /// which counts as retired so that a guest that only faults still uses up its budget.
    /// </summary>
    internal bool Fail(Op* op, byte vector, uint error)
    {
        op = op == null ? current : op;
        Rewind(op);
        s->ExceptionVector = vector;
        s->ExceptionError = error;
        s->ExceptionKind = KindFault;
        s->ExceptionHasError = Vector.HasError(vector) ? (byte)1 : (byte)0;
        s->ExceptionDr6 = 0;
        s->Stop = StopReason.Exception;
        return false;
    }

    /// <summary>Puts RIP on the instruction and gives back the budget of those after it.</summary>
    void Rewind(Op* op)
    {
        current = null;
        if (op == null)
        {
            return;
        }

        s->Rip = WrapRip(s->Rip + op->Offset);
        s->Budget += op->Remaining;
    }

    ulong WrapRip(ulong rip) => s->Cs.L && (s->Efer & Cr.EferLMA) != 0 ? rip : (uint)rip;

    void PageFault(Op* op, ulong linear, uint error)
    {
        s->Cr2 = linear;
        Fail(op, Vector.PF, error);
    }

    /// <summary>Raises INT n, INT3, INTO or INT1 after the instruction.</summary>
    internal void SoftwareInterrupt(Op* op, byte vector, byte kind)
    {
        Rewind(op);
        s->ExceptionVector = vector;
        s->ExceptionHasError = 0;
        s->ExceptionError = 0;
        s->ExceptionKind = kind;
        s->ExceptionLength = (byte)(op->NextOffset - op->Offset);
        s->ExceptionDr6 = 0;
        s->Stop = StopReason.Exception;
    }

    /// <summary>Delivers the exception in the state, following the double-fault table; the third fault shuts the processor down.</summary>
    /// <param name="injected">The hypervisor injects it: the exception bitmap does not apply to it.</param>
    void DeliverException(bool injected = false)
    {
        var vector = s->ExceptionVector;
        var hasError = s->ExceptionHasError != 0;
        var error = s->ExceptionError;
        var kind = s->ExceptionKind;
        var next = s->Rip;
        if (kind != KindFault)
        {
            next = WrapRip(next + s->ExceptionLength);
        }

        if (!injected && vector != Vector.MC)
        {
            Intercept(vector, hasError, error, kind);
        }

        if (vector == Vector.DB && kind == KindFault)
        {
            s->Dr[6] = s->Dr[6] & ~0xFul | s->ExceptionDr6;
            s->Dr[7] &= ~GeneralDetect;
        }

        // At most three rounds: first fault, double fault, shutdown.
        for (var round = 0; ; round++)
        {
            s->Stop = StopReason.None;
            if (vector == Vector.MC && kind == KindFault && !TryBeginMachineCheck())
            {
                return;
            }

            var external = kind == KindFault || kind == KindInt1;
            Vmx.BeginVectoring(EventInfo(vector, kind, hasError), error);
            if (TryDeliver(vector, hasError, error, kind, next, external))
            {
                Vmx.EndVectoring();
                return;
            }

            var second = s->ExceptionVector;
            var secondError = s->ExceptionError;
            s->Stop = StopReason.None;
            if ((vector == Vector.DF && kind == KindFault) || round >= 3)
            {
                Vmx.EndVectoring();
                Shutdown($"triple fault: {VectorName(second)} (error 0x{secondError:x}) while delivering a double fault at rip 0x{s->Rip:x}");
                return;
            }

            var doubles = kind == KindFault
                && ((Vector.IsContributory(vector) && Vector.IsContributory(second))
                    || (vector == Vector.PF && (Vector.IsContributory(second) || second == Vector.PF)));
            next = s->Rip;
            kind = KindFault;
            if (doubles)
            {
                (vector, hasError, error) = (Vector.DF, true, 0);
            }
            else
            {
                (vector, hasError, error) = (second, s->ExceptionHasError != 0, secondError);
                Intercept(vector, hasError, error, kind);
            }

            // A double fault is an exception of its own; exits that it causes directly name no other event.
            Vmx.EndVectoring();
            if (doubles)
            {
                Intercept(vector, hasError, error, kind);
            }
        }
    }

    static string VectorName(byte vector) => vector switch
    {
        Vector.DE => "#DE", Vector.DB => "#DB", Vector.BP => "#BP", Vector.UD => "#UD", Vector.NM => "#NM", Vector.DF => "#DF", Vector.TS => "#TS",
        Vector.NP => "#NP", Vector.SS => "#SS", Vector.GP => "#GP", Vector.PF => "#PF", Vector.MF => "#MF", Vector.AC => "#AC", Vector.MC => "#MC",
        Vector.XM => "#XM", _ => $"vector {vector}",
    };

    /// <summary>Delivers an external interrupt or NMI between instructions.</summary>
    void DeliverInterrupt(byte vector)
    {
        s->Stop = StopReason.None;
        Vmx.BeginVectoring(new(vector, vector == Vector.NMI ? InterruptionType.Nmi : InterruptionType.External, false), 0);
        if (TryDeliver(vector, false, 0, KindFault, s->Rip, true, isInterrupt: true))
        {
            Vmx.EndVectoring();
            return;
        }

        DeliverException();
    }

    /// <summary>One delivery attempt. On false another exception is in the state and nothing architectural changed.</summary>
    bool TryDeliver(byte vector, bool hasError, uint error, byte kind, ulong returnRip, bool external, bool isInterrupt = false)
    {
        if ((s->Cr0 & Cr.Cr0PE) == 0)
        {
            return TryDeliverReal(vector, returnRip);
        }

        var fault = !isInterrupt && kind == KindFault
            && (vector == Vector.DB ? (s->ExceptionDr6 & GeneralDetect) != 0 : vector is not (Vector.BP or Vector.OF or Vector.NMI or Vector.DF or Vector.MC));
        return (s->Efer & Cr.EferLMA) != 0
            ? TryDeliverLong(vector, hasError, error, kind, returnRip, external, fault)
            : TryDeliverProtected(vector, hasError, error, kind, returnRip, external, fault);
    }

    bool TryDeliverReal(byte vector, ulong returnRip)
    {
        var at = s->IdtBase + vector * 4ul;
        if (vector * 4u + 3 > s->IdtLimit)
        {
            return Fail(null, Vector.GP, 0);
        }

        if (!TryLoadSystem(at, out uint entry))
        {
            return false;
        }

        var sp = (ushort)s->Gpr[4];
        var flags = (ushort)Flags.Read(s);
        if (!TryStoreSystem(s->Ss.Base + (ushort)(sp - 2), flags)
            || !TryStoreSystem(s->Ss.Base + (ushort)(sp - 4), s->Cs.Selector)
            || !TryStoreSystem(s->Ss.Base + (ushort)(sp - 6), (ushort)returnRip))
        {
            return false;
        }

        s->Gpr[4] = s->Gpr[4] & ~0xFFFFul | (ushort)(sp - 6);
        s->FlagRest &= ~(Cr.IF | Cr.TF | Cr.AC | Cr.RF);
        LoadRealModeSegment(Seg.CS, (ushort)(entry >> 16));
        s->Rip = entry & 0xFFFF;
        UpdateMode();
        return true;
    }

    /// <summary>Error code that names an IDT entry.</summary>
    static uint IdtError(byte vector, bool external) => (uint)(vector << 3 | 2 | (external ? 1 : 0));

    bool TryDeliverLong(byte vector, bool hasError, uint error, byte kind, ulong returnRip, bool external, bool fault)
    {
        var ext = external ? 1u : 0;
        if (vector * 16u + 15 > s->IdtLimit)
        {
            return Fail(null, Vector.GP, IdtError(vector, external));
        }

        if (!TryLoadSystem(s->IdtBase + vector * 16ul, out ulong low) || !TryLoadSystem(s->IdtBase + vector * 16ul + 8, out ulong high))
        {
            return false;
        }

        var type = (int)(low >> 40 & 0x1F);
        var dpl = (int)(low >> 45 & 3);
        if (type is not (14 or 15) || (kind is KindIntN or KindInt3 && dpl < s->Cpl))
        {
            return Fail(null, Vector.GP, IdtError(vector, external));
        }

        if ((low & 1ul << 47) == 0)
        {
            return Fail(null, Vector.NP, IdtError(vector, external));
        }

        var selector = (ushort)(low >> 16);
        if (!TryReadDescriptor(selector, Vector.GP, ext, out var descriptor))
        {
            return false;
        }

        var code = Descriptor.Parse(selector, descriptor);
        if (!code.S || (code.Type & 8) == 0 || code.DPL > s->Cpl || !code.L || code.DB)
        {
            return Fail(null, Vector.GP, selector & 0xFFFCu | ext);
        }

        if (!code.P)
        {
            return Fail(null, Vector.NP, selector & 0xFFFCu | ext);
        }

        var target = low & 0xFFFF | low >> 32 & 0xFFFF_0000 | high << 32;
        if (!IsCanonical(target))
        {
            return Fail(null, Vector.GP, ext);
        }

        var conforming = (code.Type & 4) != 0;
        var newCpl = conforming ? s->Cpl : code.DPL;
        var ist = (int)(low >> 32 & 7);
        var rsp = s->Gpr[4];
        if (ist != 0 || newCpl != s->Cpl)
        {
            var offset = ist != 0 ? 36u + (uint)(ist - 1) * 8 : 4u + (uint)newCpl * 8;
            if (offset + 7 > s->Tr.Limit)
            {
                return Fail(null, Vector.TS, s->Tr.Selector & 0xFFFCu | ext);
            }

            if (!TryLoadSystem(s->Tr.Base + offset, out rsp))
            {
                return false;
            }

            if (!IsCanonical(rsp))
            {
                return Fail(null, Vector.SS, ext);
            }
        }

        rsp &= ~0xFul;
        var flags = Flags.Read(s) | (fault ? Cr.RF : 0);
        var frame = stackalloc ulong[6];
        var words = 0;
        if (hasError)
        {
            frame[words++] = error;
        }

        frame[words++] = returnRip;
        frame[words++] = s->Cs.Selector;
        frame[words++] = flags;
        frame[words++] = s->Gpr[4];
        frame[words++] = s->Ss.Selector;
        if (!TryPushFrame(rsp, frame, words, newCpl))
        {
            return false;
        }

        s->Gpr[4] = rsp - (ulong)words * 8;
        if (newCpl != s->Cpl)
        {
            LoadNullStack(newCpl);
        }

        s->FlagRest &= ~(Cr.TF | Cr.NT | Cr.RF | Cr.VM);
        if (type == 14)
        {
            s->FlagRest &= ~Cr.IF;
        }

        s->Cs = code.ToRegister((ushort)(selector & ~3 | newCpl));
        s->Rip = target;
        s->Cpl = newCpl;
        UpdateMode();
        return true;
    }

    /// <summary>Writes a frame with the rights of the new privilege level; all or nothing.</summary>
    bool TryPushFrame(ulong top, ulong* frame, int words, int cpl)
    {
        var bottom = top - (ulong)words * 8;
        if (!IsCanonical(bottom) || !IsCanonical(top - 1))
        {
            return Fail(null, Vector.SS, 0);
        }

        // Probe the lowest and highest byte first, so that a fault leaves no half-written frame.
        var view = s->Tlb;
        s->Tlb = cpl == 3 ? tlb + 2 * CpuState.TlbEntries : tlb;
        var good = TryTranslate(null, bottom, Memory.Access.Write, out _) && TryTranslate(null, top - 1, Memory.Access.Write, out _);
        for (var i = 0; good && i < words; i++)
        {
            *(ulong*)s->Scratch = frame[i];
            good = TryStoreBytes(null, bottom + (ulong)i * 8, 8);
        }

        s->Tlb = view;
        return good;
    }

    bool TryDeliverProtected(byte vector, bool hasError, uint error, byte kind, ulong returnRip, bool external, bool fault)
    {
        var ext = external ? 1u : 0;
        if (vector * 8u + 7 > s->IdtLimit)
        {
            return Fail(null, Vector.GP, IdtError(vector, external));
        }

        if (!TryLoadSystem(s->IdtBase + vector * 8ul, out ulong gate))
        {
            return false;
        }

        var type = (int)(gate >> 40 & 0x1F);
        var dpl = (int)(gate >> 45 & 3);
        if (type is not (5 or 6 or 7 or 14 or 15) || (kind is KindIntN or KindInt3 && dpl < s->Cpl))
        {
            return Fail(null, Vector.GP, IdtError(vector, external));
        }

        if ((gate & 1ul << 47) == 0)
        {
            return Fail(null, Vector.NP, IdtError(vector, external));
        }

        var selector = (ushort)(gate >> 16);
        var flags = Flags.Read(s) | (fault ? Cr.RF : 0);
        if (type == 5)
        {
            return TrySwitchTask(selector, TaskSwitchQualification.Gate, ext, (uint)returnRip, flags) && (!hasError || TryPushTaskError(error, ext));
        }

        if (!TryReadDescriptor(selector, Vector.GP, ext, out var raw))
        {
            return false;
        }

        var code = Descriptor.Parse(selector, raw);
        if (!code.S || (code.Type & 8) == 0 || code.DPL > s->Cpl || (IsVirtual8086 && (code.DPL != 0 || (code.Type & 4) != 0)))
        {
            return Fail(null, Vector.GP, selector & 0xFFFCu | ext);
        }

        if (!code.P)
        {
            return Fail(null, Vector.NP, selector & 0xFFFCu | ext);
        }

        var wide = type >= 14;
        var size = wide ? 4 : 2;
        var target = wide ? gate & 0xFFFF | gate >> 32 & 0xFFFF_0000 : gate & 0xFFFF;
        if (target > code.Limit)
        {
            return Fail(null, Vector.GP, ext);
        }

        var newCpl = (code.Type & 4) != 0 ? s->Cpl : code.DPL;
        var stack = s->Ss;
        var esp = s->Gpr[4];
        if (newCpl != s->Cpl && !TryInnerStack(newCpl, ext, out stack, out esp))
        {
            return false;
        }

        var frame = stackalloc ulong[10];
        var words = 0;
        if (hasError)
        {
            frame[words++] = error;
        }

        frame[words++] = returnRip;
        frame[words++] = s->Cs.Selector;
        frame[words++] = flags;
        if (newCpl != s->Cpl)
        {
            frame[words++] = s->Gpr[4];
            frame[words++] = s->Ss.Selector;
        }

        if (IsVirtual8086)
        {
            words = PushVirtual8086Segments(frame, words);
        }

        if (!TryPushLegacyFrame(stack, esp, frame, words, size, newCpl, ext, out var newSp))
        {
            return false;
        }

        s->Ss = stack;
        s->Gpr[4] = newSp;
        if (IsVirtual8086)
        {
            DropVirtual8086Segments();
        }

        s->FlagRest &= ~(Cr.TF | Cr.NT | Cr.RF | Cr.VM);
        if ((type & 1) == 0)
        {
            s->FlagRest &= ~Cr.IF;
        }

        s->Cs = code.ToRegister((ushort)(selector & ~3 | newCpl));
        s->Rip = target;
        s->Cpl = newCpl;
        UpdateMode();
        return true;
    }

    /// <summary>Pushes words on a 16- or 32-bit stack; all or nothing.</summary>
    internal bool TryPushLegacyFrame(in SegmentRegister stack, ulong esp, ulong* frame, int words, int size, int cpl, uint ext, out ulong newSp)
    {
        var mask = stack.DB ? 0xFFFF_FFFFul : 0xFFFFul;
        newSp = esp & ~mask | esp - (ulong)(words * size) & mask;
        var selectorError = stack.Selector == s->Ss.Selector ? ext : stack.Selector & 0xFFFCu | ext;
        for (var i = 0; i < words; i++)
        {
            if (!IsInLimit(stack, newSp + (ulong)(i * size) & mask, size))
            {
                return Fail(null, Vector.SS, selectorError);
            }
        }

        var view = s->Tlb;
        s->Tlb = cpl == 3 ? tlb + 2 * CpuState.TlbEntries : tlb;
        var good = true;
        for (var pass = 0; pass < 2 && good; pass++)
        {
            for (var i = 0; good && i < words; i++)
            {
                var at = stack.Base + (newSp + (ulong)(i * size) & mask) & 0xFFFF_FFFF;
                if (pass == 0)
                {
                    good = TryTranslate(null, at, Memory.Access.Write, out _) && TryTranslate(null, at + (ulong)size - 1, Memory.Access.Write, out _);
                }
                else
                {
                    *(ulong*)s->Scratch = frame[i];
                    good = TryStoreBytes(null, at, size);
                }
            }
        }

        s->Tlb = view;
        return good;
    }
}
