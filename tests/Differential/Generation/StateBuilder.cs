using Vmm.Differential.Cases;

namespace Vmm.Differential.Generation;

/// <summary>Makes the starting states of a sequence: edge-weighted values, then what its pins ask for.</summary>
internal sealed unsafe partial class StateBuilder
{
    const ulong ArithmeticFlags = 0x8D5, DirectionFlag = 0x400, AlwaysSet = 0x202;
    const ulong AlignmentCheck = 1 << 18;
    const int FaultPerMille = 12, AlignmentCheckPerMille = 6, NonCanonicalPerMille = 2;

    readonly Prng random;
    readonly ValuePool pool;
    CaseState* state;
    Sequence sequence = null!;

    /// <summary>Sandbox offset of the last memory operand and of the stack top; negative when outside the window.</summary>
    int operandPlace, stackPlace;

    /// <summary>Which appearance of the sandbox this state uses where registers decide.</summary>
    ulong sandbox;

    public StateBuilder(Prng random, ValuePool pool)
    {
        this.random = random;
        this.pool = pool;
    }

    /// <summary>Sandbox offset of the memory operand of the last state, for results that are compared in part.</summary>
    public int OperandPlace => operandPlace;

    public void Fill(CaseState* target, Sequence of)
    {
        state = target;
        sequence = of;
        operandPlace = stackPlace = -1;
        sandbox = random.Percent(50) ? Sandbox.Low : Sandbox.High;
        state->Rip = of.Rip;
        state->Trap = CaseState.NoTrap;
        state->Edges = state->Error = state->Cr2 = state->Signal = state->SignalAddress = 0;
        for (var i = 0; i < 16; i++)
        {
            state->Gpr[i] = pool.Integer(random);
        }

        state->Flags = AlwaysSet | random.Next() & ArithmeticFlags | (random.Percent(of.Group == EncodingGroup.String ? 40 : 8) ? DirectionFlag : 0);
        if (random.PerMille(AlignmentCheckPerMille))
        {
            state->Flags |= AlignmentCheck;
        }

        FillMemory();
        FillFx();
        foreach (ref readonly var pin in System.Runtime.InteropServices.CollectionsMarshal.AsSpan(of.Pins))
        {
            Apply(in pin);
        }
    }

    void FillMemory()
    {
        var words = new Span<ulong>(state->Memory, (Sandbox.WindowBytes + 3 * Sandbox.EdgeBytes) / 8);
        if (sequence.Group == EncodingGroup.String && random.Percent(30))
        {
            // Equal neighbours, so that repeated compares and scans run on.
            words.Fill(random.Percent(50) ? 0 : (byte)random.Next() * 0x0101010101010101ul);
            state->Memory[random.Below(Sandbox.WindowBytes)] = (byte)random.Next();
            state->Gpr[0] = words[0];
        }
        else if (sequence.Group == EncodingGroup.X87 && random.Percent(50))
        {
            for (var i = 0; i < Sandbox.WindowBytes; i += 16)
            {
                pool.Extended(random).CopyTo(new Span<byte>(state->Memory + i, 10));
            }
        }
        else
        {
            pool.Fill(words, sequence.UsesFloats && random.Percent(85), random);
        }
    }

    void Apply(in Pin pin)
    {
        switch (pin.Kind)
        {
            case PinKind.Address or PinKind.BitAddress: ApplyAddress(in pin, 0); break;
            case PinKind.FixedAddress: operandPlace = (int)pin.Value; break;
            case PinKind.StackRelative: operandPlace = stackPlace + (int)pin.Displacement; break;
            case PinKind.StringPointer: ApplyAddress(in pin, pin.Variant ? 208 : 8); break;
            case PinKind.TableBase: ApplyTable(in pin); break;
            case PinKind.Count: state->Gpr[1] = (uint)random.Below(24) | (pin.Narrow ? random.Next() << 32 : 0); break;
            case PinKind.Stack or PinKind.Frame: ApplyStack(in pin); break;
            case PinKind.RegisterValue: state->Gpr[pin.Register] = pin.Value; break;
            case PinKind.MemoryValue: Put(pin.Variant ? stackPlace : operandPlace, pin.Value, 8); break;
            case PinKind.FarFrame: ApplyFarFrame(in pin); break;
            case PinKind.Selector: ApplySelector(in pin); break;
            case PinKind.DivideAccumulator: ApplyDividend(in pin); break;
            case PinKind.Accumulator: state->Gpr[0] = pin.Index >= 0 ? state->Gpr[pin.Index] : Get(operandPlace); break;
            case PinKind.AccumulatorPair: ApplyPair(in pin); break;
            case PinKind.ShiftCount: state->Gpr[1] = state->Gpr[1] & ~31ul | (uint)random.Below(17); break;
            case PinKind.ShortLengths: ApplyLengths(); break;
            case PinKind.FxImage: ApplyFxImage(); break;
            case PinKind.Mxcsr: Put(operandPlace, random.Percent(90) ? Mxcsr() : (uint)random.Next() & ~(1u << 17), 4); break;
            case PinKind.Bcd: ApplyBcd(); break;
        }
    }

    void ApplyDividend(in Pin pin)
    {
        if (random.Percent(12))
        {
            return;
        }

        var negative = pin.Variant && random.Percent(40);
        if (pin.Bytes <= 1)
        {
            state->Gpr[0] = state->Gpr[0] & ~0xFFFFul | (negative ? 0xFF80ul | state->Gpr[0] & 0x7F : state->Gpr[0] & 0x7F);
            return;
        }

        var top = pin.Bytes * 8 - 1;
        var extension = pin.Variant && (state->Gpr[0] >> top & 1) != 0 ? ulong.MaxValue : 0;
        state->Gpr[2] = random.Percent(60) ? extension : (ulong)random.Below(64) ^ extension;
    }

    void ApplyPair(in Pin pin)
    {
        state->Gpr[0] = Get(operandPlace);
        state->Gpr[2] = pin.Bytes == 16 ? Get(operandPlace + 8) : state->Gpr[0] >> 32;
        if (random.Percent(20))
        {
            state->Gpr[2] ^= 1ul << random.Below(64);
        }
    }

    void ApplyLengths()
    {
        if (random.Percent(70))
        {
            state->Gpr[0] = (ulong)random.Between(-20, 20);
            state->Gpr[2] = (ulong)random.Between(-20, 20);
        }
    }

    void ApplyBcd()
    {
        var digits = 0ul;
        for (var i = 0; i < 16; i++)
        {
            digits = digits << 4 | (uint)random.Below(10);
        }

        digits >>= random.Below(16) * 4;
        Put(operandPlace, digits, 8);
        Put(operandPlace + 8, (uint)random.Below(10) * 16ul + (uint)random.Below(10) | (random.Next() & 0x80) << 8, 2);
    }

    /// <summary>Writes a value of up to 8 bytes at a sandbox offset, as far as that is in the window or an edge piece.</summary>
    void Put(int place, ulong value, int bytes)
    {
        for (var i = 0; i < bytes; i++)
        {
            var at = Locate(place + i);
            if (at != null)
            {
                *at = (byte)(value >> 8 * i);
            }
        }
    }

    /// <summary>Eight bytes at a sandbox offset; what is outside of window and edge pieces reads as 0.</summary>
    ulong Get(int place)
    {
        var value = 0ul;
        for (var i = 0; i < 8; i++)
        {
            var at = Locate(place + i);
            value |= at == null ? 0 : (ulong)*at << 8 * i;
        }

        return value;
    }

    byte* Locate(int place)
    {
        if (place is >= Sandbox.Window and < Sandbox.Window + Sandbox.WindowBytes)
        {
            return state->Memory + place - Sandbox.Window;
        }

        for (var i = 0; i < Sandbox.EdgePieces.Length; i++)
        {
            var start = Sandbox.EdgePieces[i];
            if (place >= start && place < start + Sandbox.EdgeBytes)
            {
                return state->Edge + i * Sandbox.EdgeBytes + place - start;
            }
        }

        return null;
    }
}
