using Iced.Intel;
using Vmm.Cpu.Float;
using Vmm.Cpu.Memory;
using Vmm.Cpu.State;
using Vmm.Cpu.Vcpus;

namespace Vmm.Cpu.Interpreter;

/// <summary>CVTPI2PS, CVTPI2PD, CVTPS2PI, CVTPD2PI and the truncating forms, between XMM and MMX registers.</summary>
internal readonly unsafe struct MmxConversion : ICold
{
    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction)
    {
        if (!SseAccess.TryEnter(cpu, s, op))
        {
            return false;
        }

        // Pending x87 errors come first, as for all that touches the MMX registers; CVTPI2PD from memory does not.
        var touchesMmx = instruction.Mnemonic != Mnemonic.Cvtpi2pd || instruction.Op1Kind == OpKind.Register;
        if ((touchesMmx && !X87Gate.TryPending(cpu, s, op)) || !TryFetch(cpu, s, op, ref instruction, out var source))
        {
            return false;
        }

        // Touching an MMX register enters MMX mode, even when an unmasked exception follows.
        if (instruction.Op0Register.IsMM() || (instruction.Op1Kind == OpKind.Register && instruction.Op1Register.IsMM()))
        {
            EnterMmx(s);
        }

        return instruction.Mnemonic switch
        {
            Mnemonic.Cvtpi2ps => ToSingle(s, op, ref instruction, source),
            Mnemonic.Cvtpi2pd => ToDouble(s, op, ref instruction, source),
            Mnemonic.Cvtps2pi or Mnemonic.Cvttps2pi => FromSingle(s, op, ref instruction, source),
            _ => FromDouble(s, op, ref instruction, source),
        };
    }

    static bool TryFetch(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction, out byte* source)
    {
        if (instruction.Op1Kind == OpKind.Register)
        {
            var register = instruction.Op1Register;
            source = register is >= Register.MM0 and <= Register.MM7
                ? (byte*)(s->Fpr + 2 * (register - Register.MM0))
                : (byte*)s + CpuState.XmmOffset(register - Register.XMM0);
            return true;
        }

        var size = instruction.MemorySize.GetSize();
        var va = Operands.Address(s, op, size, false);
        source = size == 16 && !SseFloat.TryAligned(cpu, op, va) ? null : Mem.Peek(s, op, va, size);
        return source != null;
    }

    static bool ToSingle(CpuState* s, Op* op, ref Instruction instruction, byte* source)
    {
        var c = FloatContext.FromMxcsr(s->Mxcsr);
        var low = Binary32.FromInteger(((int*)source)[0], ref c);
        var high = Binary32.FromInteger(((int*)source)[1], ref c);
        if (!SseFloat.Accept(s, op, c))
        {
            return false;
        }

        *(ulong*)((byte*)s + CpuState.XmmOffset(instruction.Op0Register - Register.XMM0)) = low | (ulong)high << 32;
        return true;
    }

    static bool ToDouble(CpuState* s, Op* op, ref Instruction instruction, byte* source)
    {
        var low = Binary64.FromExact(((int*)source)[0]);
        var high = Binary64.FromExact(((int*)source)[1]);
        var destination = (ulong*)((byte*)s + CpuState.XmmOffset(instruction.Op0Register - Register.XMM0));
        destination[0] = low;
        destination[1] = high;
        return true;
    }

    static bool FromSingle(CpuState* s, Op* op, ref Instruction instruction, byte* source)
    {
        var c = FloatContext.FromMxcsr(s->Mxcsr);
        var rounding = instruction.Mnemonic == Mnemonic.Cvttps2pi ? FloatRounding.Truncate : c.Rounding;
        var low = (uint)Binary32.ToInteger(((uint*)source)[0], 32, rounding, ref c);
        var high = (uint)Binary32.ToInteger(((uint*)source)[1], 32, rounding, ref c);
        return Finish(s, op, ref instruction, c, low, high);
    }

    static bool FromDouble(CpuState* s, Op* op, ref Instruction instruction, byte* source)
    {
        var c = FloatContext.FromMxcsr(s->Mxcsr);
        var rounding = instruction.Mnemonic == Mnemonic.Cvttpd2pi ? FloatRounding.Truncate : c.Rounding;
        var low = (uint)Binary64.ToInteger(((ulong*)source)[0], 32, rounding, ref c);
        var high = (uint)Binary64.ToInteger(((ulong*)source)[1], 32, rounding, ref c);
        return Finish(s, op, ref instruction, c, low, high);
    }

    static bool Finish(CpuState* s, Op* op, ref Instruction instruction, in FloatContext c, uint low, uint high)
    {
        if (!SseFloat.Accept(s, op, c))
        {
            return false;
        }

        var destination = s->Fpr + 2 * (instruction.Op0Register - Register.MM0);
        destination[0] = low | (ulong)high << 32;
        destination[1] = 0xFFFF;
        return true;
    }

    /// <summary>TOP becomes 0 and all registers valid (SDM vol. 1 §9.5.2).</summary>
    static void EnterMmx(CpuState* s)
    {
        X87.Turn(s, -X87.Top(s));
        s->Ftw = 0xFF;
    }
}

/// <summary>LDMXCSR and STMXCSR.</summary>
internal readonly unsafe struct MxcsrAccess : ICold
{
    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction)
    {
        if (!SseAccess.TryEnter(cpu, s, op))
        {
            return false;
        }

        if (instruction.Mnemonic == Mnemonic.Stmxcsr)
        {
            return Operands.TryWrite(s, op, ref instruction, 0, 4, s->Mxcsr);
        }

        if (!Operands.TryRead(s, op, ref instruction, 0, 4, out var value))
        {
            return false;
        }

        if ((value & ~(ulong)FxImage.MxcsrMask) != 0)
        {
            return cpu.Fail(op, Vector.GP, 0);
        }

        s->Mxcsr = (uint)value;
        return true;
    }
}
