using System.Runtime.Intrinsics;
using Iced.Intel;
using Vmm.Cpu.Memory;
using Vmm.Cpu.State;
using Vmm.Cpu.Vcpus;

namespace Vmm.Cpu.Interpreter;

#pragma warning disable SA1649 // One instruction per struct.

/// <summary>Second operands of cold SSE instructions.</summary>
internal static unsafe class SseOperand
{
    /// <summary>XMM register <paramref name="number"/>.</summary>
    public static Vector128<byte> Get(CpuState* s, int number) => Vector128.Load((byte*)(s->Xmm + 2 * number));

    /// <summary>Reads an XMM register or 16 bytes of memory. False: an exception waits.</summary>
    public static bool TryRead(CpuState* s, Op* op, ref Instruction instruction, int operand, bool aligned, out Vector128<byte> value)
    {
        if (instruction.GetOpKind(operand) == OpKind.Register)
        {
            value = Get(s, instruction.GetOpRegister(operand) - Register.XMM0);
            return true;
        }

        var va = Operands.Address(s, op, 16, false);
        return aligned ? SseAccess.TryLoadAligned16(s, op, va, out value) : SseAccess.TryLoad16(s, op, va, out value);
    }
}

/// <summary>PTEST: ZF when the operands share no bit, CF when the source has none outside the destination.</summary>
internal readonly unsafe struct SseTest : ICold
{
    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction)
    {
        if (!SseAccess.TryEnter(cpu, s, op) || !SseOperand.TryRead(s, op, ref instruction, 1, true, out var b))
        {
            return false;
        }

        var a = SseOperand.Get(s, instruction.Op0Register - Register.XMM0);
        Flags.WriteArithmetic(s, ((a & b) == Vector128<byte>.Zero ? Cr.ZF : 0) | (Vector128.AndNot(b, a) == Vector128<byte>.Zero ? Cr.CF : 0));
        return true;
    }
}

/// <summary>PCMPESTRI, PCMPESTRM, PCMPISTRI, PCMPISTRM. Their memory operand needs no alignment.</summary>
internal readonly unsafe struct SseStringCompare : ICold
{
    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction)
    {
        if (!SseAccess.TryEnter(cpu, s, op) || !SseOperand.TryRead(s, op, ref instruction, 1, false, out var b))
        {
            return false;
        }

        var a = SseOperand.Get(s, instruction.Op0Register - Register.XMM0);
        var imm = (int)instruction.Immediate8;
        var (lengthA, lengthB) = Lengths(s, instruction.Mnemonic, a, b, imm);
        var result = SseStrings.Compare(a, b, lengthA, lengthB, imm);
        if (instruction.Mnemonic is Mnemonic.Pcmpestri or Mnemonic.Pcmpestri64 or Mnemonic.Pcmpistri)
        {
            s->Gpr[1] = SseStrings.Index(result, imm);
        }
        else
        {
            SseStrings.Mask(result, imm).Store((byte*)s->Xmm);
        }

        var count = SseStrings.Count(imm);
        Flags.WriteArithmetic(
            s,
            (result != 0 ? Cr.CF : 0) | (lengthB < count ? Cr.ZF : 0) | (lengthA < count ? Cr.SF : 0) | ((result & 1) != 0 ? Cr.OF : 0));
        return true;
    }

    static (int A, int B) Lengths(CpuState* s, Mnemonic mnemonic, Vector128<byte> a, Vector128<byte> b, int imm) => mnemonic switch
    {
        Mnemonic.Pcmpistri or Mnemonic.Pcmpistrm => (SseStrings.ImplicitLength(a, imm), SseStrings.ImplicitLength(b, imm)),
        Mnemonic.Pcmpestri64 or Mnemonic.Pcmpestrm64 => (SseStrings.ExplicitLength((long)s->Gpr[0], imm), SseStrings.ExplicitLength((long)s->Gpr[2], imm)),
        _ => (SseStrings.ExplicitLength((int)s->Gpr[0], imm), SseStrings.ExplicitLength((int)s->Gpr[2], imm)),
    };
}

/// <summary>
/// Stores of chosen bytes (MASKMOVDQU, MASKMOVQ). The whole operand must be writable, as on hardware, whatever the mask;
/// the bytes that are not chosen are not touched.
/// </summary>
internal static unsafe class MaskedStore
{
    /// <summary>Stores the bytes of <paramref name="value"/> whose mask has the sign bit set. False: an exception waits.</summary>
    public static bool TryStore(Vcpu cpu, CpuState* s, Op* op, Vector128<byte> value, Vector128<byte> mask, int size)
    {
        // In halves: alignment, where it is checked, is that of 8 bytes.
        for (var half = 0; half < size; half += 8)
        {
            if (!cpu.TryProbeWrite(op, Operands.Address(s, op, 8, true, half), 8))
            {
                return false;
            }
        }

        var chosen = mask.ExtractMostSignificantBits();
        for (var i = 0; i < size; i++)
        {
            if ((chosen >> i & 1) != 0 && !Mem.TryStore<byte>(s, op, Operands.Address(s, op, 1, true, i), value[i]))
            {
                return false;
            }
        }

        return true;
    }
}

/// <summary>MASKMOVDQU: to DS:rDI, of any alignment.</summary>
internal readonly unsafe struct SseMaskedStore : ICold
{
    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction) =>
        SseAccess.TryEnter(cpu, s, op) && MaskedStore.TryStore(
            cpu,
            s,
            op,
            SseOperand.Get(s, instruction.Op1Register - Register.XMM0),
            SseOperand.Get(s, instruction.Op2Register - Register.XMM0),
            16);
}
