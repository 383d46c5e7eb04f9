using Iced.Intel;
using Vmm.Differential.Cases;

namespace Vmm.Differential.Generation;

internal sealed unsafe partial class SequenceBuilder
{
    /// <summary>Chooses the address form of the memory operand and pins the registers it needs.</summary>
    bool ChooseAddress()
    {
        var pin = new Pin
        {
            Kind = PinKind.Address, Register = -1, Index = -1, Scale = 1, BitRegister = -1, Bytes = entry.MemoryBytes, Narrow = narrow,
            Aligned = entry.NeedsAlignment, Locked = locked,
        };
        ChooseSegment(out pin.SegmentBase);
        if (entry.Role == Role.BitString && !ChooseBitRegister(ref pin))
        {
            return false;
        }

        var ok = instruction.IsStackInstruction && !tracks.StackPinned && random.Percent(30) ? StackForm(ref pin) : random.Below(20) switch
        {
            0 => FixedForm(ref pin, Register.RIP),
            1 => FixedForm(ref pin, Register.None),
            2 => IndexForm(ref pin),
            < 10 => BaseForm(ref pin),
            _ => BaseIndexForm(ref pin),
        };
        if (ok)
        {
            sequence.Pins.Add(pin);
        }

        return ok;
    }

    bool ChooseBitRegister(ref Pin pin)
    {
        pin.Kind = PinKind.BitAddress;
        pin.BitRegister = Forms.General(instruction.Op1Register);
        return Claim(pin.BitRegister);
    }

    /// <summary>Settles the starting value of a register; false when that is no longer possible.</summary>
    bool Claim(int register)
    {
        if (((tracks.Written | tracks.Pinned) & 1 << register) != 0)
        {
            return false;
        }

        tracks.Pinned |= 1 << register;
        return true;
    }

    /// <summary>RIP-relative or absolute.</summary>
    bool FixedForm(ref Pin pin, Register baseRegister)
    {
        if (pin.Kind == PinKind.BitAddress)
        {
            return false;
        }

        pin.Kind = PinKind.FixedAddress;
        pin.Value = (ulong)Places.Ordinary(random, pin, 0);
        instruction.MemoryDisplacement64 = Sandbox.Low + pin.Value - pin.SegmentBase;
        if (baseRegister == Register.RIP)
        {
            instruction.MemoryBase = narrow ? Register.EIP : Register.RIP;
        }

        instruction.MemoryDisplSize = narrow ? 4 : 8;
        return true;
    }

    /// <summary>MOV with a full offset in the instruction.</summary>
    void ChooseOffsetForm()
    {
        var pin = new Pin { Kind = PinKind.FixedAddress, Register = -1, Index = -1, BitRegister = -1, Bytes = entry.MemoryBytes };
        ChooseSegment(out pin.SegmentBase);
        pin.Value = (ulong)Places.Ordinary(random, pin, 0);
        instruction.MemoryDisplacement64 = (narrow || random.Percent(50) ? Sandbox.Low : Sandbox.High) + pin.Value - pin.SegmentBase;
        instruction.MemoryDisplSize = narrow ? 4 : 8;
        sequence.Pins.Add(pin);
    }

    bool IndexForm(ref Pin pin)
    {
        pin.Register = random.Below(16);
        if (pin.Register == StackRegister || pin.Register == pin.BitRegister || !Claim(pin.Register))
        {
            return false;
        }

        pin.Scale = 1 << random.Below(4);
        pin.Displacement = (int)random.Next() >> random.Below(32) & ~15;
        instruction.MemoryIndex = General(pin.Register);
        instruction.MemoryIndexScale = pin.Scale;
        SetDisplacement(pin.Displacement, narrow ? 4 : 8);
        return true;
    }

    /// <summary>PUSH, POP, CALL and JMP with an operand near the stack top.</summary>
    bool StackForm(ref Pin pin)
    {
        if (narrow || pin.SegmentBase != 0 || !ClaimStack())
        {
            return false;
        }

        pin.Kind = PinKind.StackRelative;
        pin.Displacement = random.Between(-128, 127);
        instruction.MemoryBase = Register.RSP;
        SetDisplacement(pin.Displacement, random.Percent(70) ? 1 : 8);
        return true;
    }

    bool BaseForm(ref Pin pin)
    {
        pin.Register = random.Below(16);
        if (pin.Register == pin.BitRegister || !Claim(pin.Register))
        {
            return false;
        }

        instruction.MemoryBase = General(pin.Register);
        ChooseDisplacement(ref pin);
        return true;
    }

    bool BaseIndexForm(ref Pin pin)
    {
        pin.Register = random.Below(16);
        pin.Index = random.Below(16);
        var indexFree = (tracks.Written & 1 << pin.Index) == 0;
        if (pin.Index == StackRegister || pin.Index == pin.Register || !indexFree || pin.Register == pin.BitRegister || !Claim(pin.Register))
        {
            return false;
        }

        tracks.Pinned |= 1 << pin.Index;
        pin.Scale = 1 << random.Below(4);
        instruction.MemoryBase = General(pin.Register);
        instruction.MemoryIndex = General(pin.Index);
        instruction.MemoryIndexScale = pin.Scale;
        ChooseDisplacement(ref pin);
        return true;
    }

    void ChooseDisplacement(ref Pin pin)
    {
        switch (random.Below(3))
        {
            case 0:
                break;
            case 1:
                pin.Displacement = (sbyte)random.Next();
                SetDisplacement(pin.Displacement, 1);
                break;
            default:
                pin.Displacement = (int)random.Next() >> random.Below(32);
                SetDisplacement(pin.Displacement, narrow ? 4 : 8);
                break;
        }
    }

    void SetDisplacement(long value, int size)
    {
        instruction.MemoryDisplacement64 = narrow ? (uint)value : (ulong)value;
        instruction.MemoryDisplSize = size;
    }

    Register General(int number) => (narrow ? Register.EAX : Register.RAX) + number;
}
