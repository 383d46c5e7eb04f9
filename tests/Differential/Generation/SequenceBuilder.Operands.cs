using Iced.Intel;
using Vmm.Differential.Cases;

namespace Vmm.Differential.Generation;

internal sealed unsafe partial class SequenceBuilder
{
    bool narrow;
    bool locked;

    bool ChoosePrefixes()
    {
        narrow = sequence.Group == EncodingGroup.AddressSize && sequence.Count == 0 || random.Percent(6);
        locked = entry.OpCode.CanUseLockPrefix && (sequence.Group == EncodingGroup.Atomic ? random.Percent(70) : random.Percent(10));
        instruction.HasLockPrefix = locked;
        if (entry.Role == Role.String && random.Percent(70))
        {
            if (entry.OpCode.CanUseRepnePrefix && random.Percent(50))
            {
                instruction.HasRepnePrefix = true;
            }
            else
            {
                instruction.HasRepPrefix = true;
            }
        }

        return true;
    }

    bool ChooseOperands()
    {
        var memoryAt = ChooseMemoryOperand();
        var mustBeMemory = locked && !random.PerMille(5);
        if (mustBeMemory && memoryAt < 0)
        {
            memoryAt = Array.FindIndex(entry.Operands, Forms.MayBeMemory);
        }

        for (var i = 0; i < entry.Operands.Length; i++)
        {
            var kind = entry.Operands[i];
            if (i == memoryAt && kind == OpCodeOperandKind.mem_offs)
            {
                instruction.SetOpKind(i, OpKind.Memory);
                ChooseOffsetForm();
            }
            else if (i == memoryAt)
            {
                instruction.SetOpKind(i, OpKind.Memory);
            }
            else if (!ChooseOther(i, kind))
            {
                return false;
            }
        }

        return memoryAt < 0 || entry.Operands[memoryAt] == OpCodeOperandKind.mem_offs || ChooseAddress();
    }

    /// <summary>Which operand is in memory, or -1.</summary>
    int ChooseMemoryOperand()
    {
        var at = Array.FindIndex(entry.Operands, Forms.MayBeMemory);
        var optional = at >= 0 && Forms.IsRegisterOrMemory(entry.Operands[at]);
        var wanted = sequence.Group is EncodingGroup.AddressSize && sequence.Count == 0 ? 100 : 45;
        return entry.Role == Role.RegisterOnly || (optional && !random.Percent(wanted)) ? -1 : at;
    }

    bool ChooseOther(int at, OpCodeOperandKind kind)
    {
        var (first, count) = Forms.Registers(kind);
        var implied = Forms.Implied(kind);
        if (count != 0 || implied != Register.None)
        {
            instruction.SetOpKind(at, OpKind.Register);
            instruction.SetOpRegister(at, implied != Register.None ? implied : first + random.Below(count));
            return true;
        }

        switch (kind)
        {
            case OpCodeOperandKind.br64_1 or OpCodeOperandKind.br64_4:
                instruction.SetOpKind(at, OpKind.NearBranch64);
                branchTarget = 0;
                instruction.NearBranch64 = AddressOf(sequence.Count) + 2;
                return true;
            case OpCodeOperandKind.cr_reg:
                instruction.SetOpKind(at, OpKind.Register);
                instruction.SetOpRegister(at, Register.CR0 + (random.Below(4) switch { 0 => 0, 1 => 2, 2 => 3, _ => 4 }));
                return true;
            case OpCodeOperandKind.dr_reg:
                instruction.SetOpKind(at, OpKind.Register);
                instruction.SetOpRegister(at, Register.DR0 + (random.Below(6) switch { < 4 and var n => n, 4 => 6, _ => 7 }));
                return true;
            default:
                return ChooseImmediate(at, kind) || ChooseString(at, kind);
        }
    }

    bool ChooseImmediate(int at, OpCodeOperandKind kind)
    {
        var (form, value) = kind switch
        {
            OpCodeOperandKind.imm8 => (OpKind.Immediate8, (ulong)(byte)EdgeImmediate()),
            OpCodeOperandKind.imm8_const_1 => (OpKind.Immediate8, 1ul),
            OpCodeOperandKind.imm8sex16 => (OpKind.Immediate8to16, (ulong)(sbyte)EdgeImmediate()),
            OpCodeOperandKind.imm8sex32 => (OpKind.Immediate8to32, (ulong)(sbyte)EdgeImmediate()),
            OpCodeOperandKind.imm8sex64 => (OpKind.Immediate8to64, (ulong)(sbyte)EdgeImmediate()),
            OpCodeOperandKind.imm16 => (OpKind.Immediate16, (ulong)(ushort)EdgeImmediate()),
            OpCodeOperandKind.imm32 => (OpKind.Immediate32, (ulong)(uint)EdgeImmediate()),
            OpCodeOperandKind.imm32sex64 => (OpKind.Immediate32to64, (ulong)(int)EdgeImmediate()),
            OpCodeOperandKind.imm64 => (OpKind.Immediate64, (ulong)EdgeImmediate()),
            _ => (OpKind.Register, 0ul),
        };
        if (form == OpKind.Register)
        {
            return false;
        }

        if (entry.OpCode.OpCount > 1 && entry.Operands[0] == OpCodeOperandKind.imm16 && at == 1)
        {
            form = OpKind.Immediate8_2nd;
        }

        instruction.SetOpKind(at, form);
        instruction.SetImmediate(at, value);
        return true;
    }

    long EdgeImmediate() => random.Below(6) switch
    {
        0 => random.Between(-4, 4),
        1 => 1L << random.Below(64),
        2 => (1L << random.Below(64)) - 1,
        3 => random.Below(2) == 0 ? 0x7F7FFF7FFFFFFF80 : unchecked((long)0x8080008080000000),
        4 => random.Between(0, 70),
        _ => (long)random.Next(),
    };

    bool ChooseString(int at, OpCodeOperandKind kind)
    {
        var form = kind switch
        {
            OpCodeOperandKind.seg_rSI => narrow ? OpKind.MemorySegESI : OpKind.MemorySegRSI,
            OpCodeOperandKind.es_rDI => narrow ? OpKind.MemoryESEDI : OpKind.MemoryESRDI,
            OpCodeOperandKind.seg_rDI => narrow ? OpKind.MemorySegEDI : OpKind.MemorySegRDI,
            OpCodeOperandKind.seg_rBX_al => OpKind.Memory,
            _ => OpKind.Register,
        };
        if (form == OpKind.Register)
        {
            return false;
        }

        instruction.SetOpKind(at, form);
        if (kind == OpCodeOperandKind.seg_rBX_al)
        {
            instruction.MemoryBase = narrow ? Register.EBX : Register.RBX;
            instruction.MemoryIndex = Register.AL;
        }

        if (kind != OpCodeOperandKind.es_rDI)
        {
            ChooseSegment(out _);
        }

        return true;
    }

    void ChooseSegment(out ulong segmentBase)
    {
        segmentBase = 0;
        switch (random.Below(40))
        {
            case 0 or 1:
                instruction.SegmentPrefix = Register.FS;
                segmentBase = Sandbox.FsBase;
                break;
            case 2 or 3:
                instruction.SegmentPrefix = Register.GS;
                segmentBase = Sandbox.GsBase;
                break;
            case 4:
                // Ignored in 64-bit mode.
                instruction.SegmentPrefix = Register.ES + random.Below(4);
                break;
        }
    }
}
