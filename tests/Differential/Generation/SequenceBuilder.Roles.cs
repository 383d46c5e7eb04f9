using Iced.Intel;
using Vmm.Differential.Cases;

namespace Vmm.Differential.Generation;

internal sealed unsafe partial class SequenceBuilder
{
    const int Rax = 0, Rcx = 1, Rdx = 2, Rbx = 3, Rbp = 5, Rsi = 6, Rdi = 7;

    /// <summary>Pins what the instruction uses beyond its visible operands.</summary>
    bool ChooseRole() => (!instruction.IsStackInstruction || ClaimStack()) && entry.Role switch
    {
        Role.String => ChooseStringPointers(),
        Role.Translate => Claim(Rbx) && Claim(Rax) && Add(new Pin { Kind = PinKind.TableBase, Register = Rbx, Bytes = 256, Narrow = narrow, SegmentBase = Segment() }),
        Role.MaskedMove => Claim(Rdi) && Add(Pointer(PinKind.Address, Rdi, entry.MemoryBytes)),
        Role.Enter => ChooseEnter(),
        Role.Leave => Claim(Rbp) && Add(Pointer(PinKind.Frame, Rbp, 8)),
        Role.Return => ChooseReturn(),
        Role.FarReturn => stackFresh && Prepare(FarFrame(entry.OpCode.OperandSize / 8)),
        Role.FarBranch => Prepare(FarFrame(4)),
        Role.SelectorTest => ChooseSelector(),
        Role.IndirectJump or Role.IndirectCall => ChooseTarget(),
        Role.Divide => PresetPair(PinKind.DivideAccumulator),
        Role.CompareExchange or Role.CompareExchangeWide => ChooseComparand(),
        Role.DoubleShift16 => ChooseDoubleShift(),
        Role.ExplicitLengths => PresetPair(PinKind.ShortLengths),
        Role.LoadFx => Prepare(new Pin { Kind = PinKind.FxImage }),
        Role.LoadMxcsr => Prepare(new Pin { Kind = PinKind.Mxcsr }),
        Role.LoadBcd => Prepare(new Pin { Kind = PinKind.Bcd }),
        Role.Interrupt => instruction.Immediate8 != 0x80,
        _ => true,
    };

    bool ChooseReturn()
    {
        tracks.Branched = true;
        return stackFresh && Prepare(new Pin { Kind = PinKind.MemoryValue, Value = (ulong)sequence.Count, Variant = true });
    }

    /// <summary>Target, then the size of a stack slot; <see cref="Pin.Variant"/> on the stack, <see cref="Pin.Aligned"/> with flags and stack (IRET).</summary>
    Pin FarFrame(int bytes)
    {
        tracks.Branched = true;
        if (instruction.OpCount != 0 && instruction.Op0Kind == OpKind.Immediate16)
        {
            // With a bad selector AMD reads an outer stack pointer behind the parameters before it refuses.
            instruction.Immediate16 &= 0x3F;
        }

        return new()
        {
            Kind = PinKind.FarFrame, Value = (ulong)sequence.Count, Bytes = bytes, Variant = entry.Role == Role.FarReturn,
            Aligned = entry.Mnemonic is Mnemonic.Iretd or Mnemonic.Iretq,
        };
    }

    bool ChooseSelector()
    {
        var source = instruction.OpCount - 1;
        if (instruction.GetOpKind(source) == OpKind.Memory)
        {
            return Prepare(new Pin { Kind = PinKind.Selector, Register = -1 });
        }

        var register = Forms.General(instruction.GetOpRegister(source));
        return Claim(register) && Add(new Pin { Kind = PinKind.Selector, Register = register });
    }

    bool Add(Pin pin)
    {
        sequence.Pins.Add(pin);
        return true;
    }

    ulong Segment() => instruction.SegmentPrefix switch { Register.FS => Sandbox.FsBase, Register.GS => Sandbox.GsBase, _ => 0 };

    Pin Pointer(PinKind kind, int register, int bytes) =>
        new() { Kind = kind, Register = register, Index = -1, Scale = 1, BitRegister = -1, Bytes = bytes, Narrow = narrow, SegmentBase = Segment() };

    /// <summary>Puts something into memory before the case; two such things could overlap, so there is one at most.</summary>
    bool Prepare(Pin pin)
    {
        var possible = !tracks.MemoryWritten && !tracks.MemoryPrepared;
        tracks.MemoryPrepared = true;
        return possible && Add(pin);
    }

    /// <summary>Gives RAX and RDX likely values where that is still possible.</summary>
    bool PresetPair(PinKind kind)
    {
        var taken = (tracks.Written | tracks.Pinned) & (1 << Rax | 1 << Rdx);
        return taken != 0 || Add(new Pin { Kind = kind, Bytes = entry.OpCode.OperandSize / 8, Variant = entry.Mnemonic == Mnemonic.Idiv });
    }

    bool ClaimStack()
    {
        if (tracks.StackPinned)
        {
            return !tracks.StackLost;
        }

        tracks.StackPinned = stackFresh = Claim(StackRegister);
        return tracks.StackPinned && Add(new Pin { Kind = PinKind.Stack, Register = StackRegister, Bytes = 8 });
    }

    bool ChooseEnter()
    {
        if (random.Percent(70))
        {
            instruction.Immediate16 = (ushort)random.Below(256);
            instruction.Immediate8_2nd = (byte)(random.Below(4) | (random.Percent(10) ? 0xE0 : 0));
        }
        else
        {
            instruction.Immediate8_2nd &= 0xE7;
        }

        return Claim(Rbp) && Add(new Pin { Kind = PinKind.Frame, Register = Rbp, Bytes = 8 });
    }

    bool ChooseStringPointers()
    {
        var repeated = instruction.HasRepPrefix || instruction.HasRepnePrefix;
        var bytes = Math.Max(1, entry.MemoryBytes);
        if (repeated && (!Claim(Rcx) || !Add(new Pin { Kind = PinKind.Count, Register = Rcx, Narrow = narrow })))
        {
            return false;
        }

        foreach (var kind in entry.Operands)
        {
            var register = kind switch { OpCodeOperandKind.seg_rSI => Rsi, OpCodeOperandKind.es_rDI => Rdi, _ => -1 };
            if (register < 0)
            {
                continue;
            }

            var pin = Pointer(PinKind.StringPointer, register, bytes);
            pin.Variant = repeated;
            pin.SegmentBase = register == Rsi ? Segment() : 0;
            if (!Claim(register) || !Add(pin))
            {
                return false;
            }
        }

        return true;
    }

    bool ChooseTarget()
    {
        tracks.Branched = true;
        if (instruction.Op0Kind == OpKind.Memory)
        {
            return Prepare(new Pin { Kind = PinKind.MemoryValue, Value = (ulong)sequence.Count });
        }

        var register = Forms.General(instruction.Op0Register);
        return Claim(register) && Add(new Pin { Kind = PinKind.RegisterValue, Register = register, Value = (ulong)sequence.Count });
    }

    bool ChooseComparand()
    {
        if (random.Percent(50))
        {
            return true;
        }

        var wide = entry.Role == Role.CompareExchangeWide;
        if (((tracks.Written | tracks.Pinned) & (1 << Rax | (wide ? 1 << Rdx : 0))) != 0 || tracks.MemoryWritten)
        {
            return true;
        }

        var inMemory = instruction.Op0Kind == OpKind.Memory;
        var source = inMemory ? -1 : Forms.General(instruction.Op0Register);
        return Add(new Pin { Kind = wide ? PinKind.AccumulatorPair : PinKind.Accumulator, Index = source, Bytes = entry.MemoryBytes });
    }

    bool ChooseDoubleShift()
    {
        if (entry.Operands[2] == OpCodeOperandKind.cl)
        {
            return Claim(Rcx) && Add(new Pin { Kind = PinKind.ShiftCount, Register = Rcx });
        }

        instruction.Immediate8 = (byte)(instruction.Immediate8 & 0xE0 | random.Below(17));
        return true;
    }
}
