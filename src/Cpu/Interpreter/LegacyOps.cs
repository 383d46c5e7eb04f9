using Iced.Intel;
using Vmm.Cpu.Memory;
using Vmm.Cpu.State;
using Vmm.Cpu.Vcpus;

namespace Vmm.Cpu.Interpreter;

/// <summary>PUSHA and POPA (16 and 32 bits).</summary>
internal readonly unsafe struct PushAll : ICold
{
    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction)
    {
        var size = op->Size;
        if (instruction.Mnemonic is Mnemonic.Pusha or Mnemonic.Pushad)
        {
            if (!cpu.TryProbeWrite(op, StackLegacy.At(s, -8 * size, size, true), size))
            {
                return false;
            }

            for (var i = 0; i < 8; i++)
            {
                if (!Operands.TryStore(s, op, StackLegacy.At(s, -(i + 1) * size, size, true), size, s->Gpr[i]))
                {
                    return false;
                }
            }

            StackLegacy.Move(s, -8 * size);
            return true;
        }

        var values = stackalloc ulong[8];
        for (var i = 0; i < 8; i++)
        {
            if (!Operands.TryLoad(s, op, StackLegacy.At(s, i * size, size, false), size, out values[i]))
            {
                return false;
            }
        }

        StackLegacy.Move(s, 8 * size);
        for (var i = 0; i < 8; i++)
        {
            if (i != 3)
            {
                Operands.SetRegister(s, (7 - i) * 8, size, values[i]);
            }
        }

        return true;
    }
}

/// <summary>AAA, AAS, AAM, AAD, DAA, DAS, SALC, ARPL: 32-bit mode only.</summary>
internal readonly unsafe struct Decimal : ICold
{
    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction)
    {
        var flags = Flags.Read(s);
        var al = (byte)s->Gpr[0];
        var af = (flags & Cr.AF) != 0;
        var cf = (flags & Cr.CF) != 0;
        switch (instruction.Mnemonic)
        {
            case Mnemonic.Salc:
                Handlers.Set<byte>(s, 0, cf ? 0xFFul : 0);
                return true;
            case Mnemonic.Daa:
            case Mnemonic.Das:
                var down = instruction.Mnemonic == Mnemonic.Das;
                var adjust = 0;
                var carry = false;
                if ((al & 15) > 9 || af)
                {
                    adjust = 6;
                    carry = cf || (down ? al < 6 : al > 0xF9);
                    af = true;
                }
                else
                {
                    af = false;
                }

                if (al > 0x99 || cf)
                {
                    adjust += 0x60;
                    carry = true;
                }

                al = (byte)(down ? al - adjust : al + adjust);
                Handlers.Set<byte>(s, 0, al);
                Finish(s, al, carry, af);
                return true;
            case Mnemonic.Aaa:
            case Mnemonic.Aas:
                var ax = (ushort)s->Gpr[0];
                if ((al & 15) > 9 || af)
                {
                    ax = (ushort)(instruction.Mnemonic == Mnemonic.Aaa ? ax + 0x106 : ax - 0x106);
                    af = cf = true;
                }
                else
                {
                    af = cf = false;
                }

                ax &= 0xFF0F;
                Handlers.Set<ushort>(s, 0, ax);
                Finish(s, (byte)ax, cf, af);
                return true;
            case Mnemonic.Aam:
                var divisor = instruction.Immediate8;
                if (divisor == 0)
                {
                    return cpu.Fail(op, Vector.DE, 0);
                }

                Handlers.Set<ushort>(s, 0, (ulong)(al / divisor << 8 | al % divisor));
                Finish(s, (byte)(al % divisor), false, false);
                return true;
            case Mnemonic.Aad:
                al = (byte)(al + (byte)(s->Gpr[0] >> 8) * instruction.Immediate8);
                Handlers.Set<ushort>(s, 0, al);
                Finish(s, al, false, false);
                return true;
            default:
                return Arpl(cpu, s, op, ref instruction);
        }
    }

    static void Finish(CpuState* s, byte result, bool cf, bool af)
    {
        Flags.Result<byte>(s, result, cf, false);
        if (af)
        {
            s->FlagAux |= 8;
        }
    }

    static bool Arpl(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction)
    {
        if (cpu.IsRealStyle)
        {
            return cpu.Fail(op, Vector.UD, 0);
        }

        if (!Operands.TryRead(s, op, ref instruction, 0, 2, out var dest))
        {
            return false;
        }

        var source = Operands.GetRegister(s, Operands.RegisterOffset(instruction.Op1Register), 2);
        var raise = (dest & 3) < (source & 3);
        if (raise && !Operands.TryWrite(s, op, ref instruction, 0, 2, dest & ~3ul | source & 3))
        {
            return false;
        }

        var flags = Flags.Read(s) & Cr.Arithmetic & ~Cr.ZF;
        Flags.WriteArithmetic(s, raise ? flags | Cr.ZF : flags);
        return true;
    }
}

/// <summary>XLAT.</summary>
internal readonly unsafe struct Xlat : ICold
{
    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction)
    {
        var mask = op->AddressSize == 4 ? ulong.MaxValue : op->AddressSize == 2 ? 0xFFFF_FFFF : 0xFFFFul;
        var offset = s->Gpr[3] + (byte)s->Gpr[0] & mask;
        var va = cpu.Is64 ? offset + (op->Segment >= Seg.FS ? cpu.SegmentAt(op->Segment)->Base : 0) : Vcpu.CheckedLinear(s, op->Segment, offset, 1, false);
        if (!Operands.TryLoad(s, op, va, 1, out var value))
        {
            return false;
        }

        Handlers.Set<byte>(s, 0, value);
        return true;
    }
}
