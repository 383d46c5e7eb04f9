using Vmm.Differential.Cases;

namespace Vmm.Differential.Generation;

internal sealed unsafe partial class StateBuilder
{
    void ApplyAddress(in Pin pin, int margin)
    {
        var place = ChoosePlace(in pin, margin);
        var target = (pin.Narrow ? Sandbox.Low : sandbox) + (ulong)place;
        operandPlace = place;
        if (pin.Kind == PinKind.BitAddress)
        {
            target -= ApplyBitOffset(in pin);
        }

        if (!pin.Narrow && random.PerMille(NonCanonicalPerMille))
        {
            target = Places.NonCanonical(random);
        }

        target -= pin.SegmentBase;
        Solve(in pin, target);
    }

    int ChoosePlace(in Pin pin, int margin)
    {
        if (!random.PerMille(FaultPerMille))
        {
            return Places.Ordinary(random, in pin, margin);
        }

        state->Edges = 1;
        return Places.Edge(random, in pin);
    }

    /// <summary>Sets the pinned register so that base + index * scale + displacement is the target.</summary>
    void Solve(in Pin pin, ulong target)
    {
        var rest = target - (ulong)pin.Displacement;
        if (pin.Index >= 0)
        {
            rest -= state->Gpr[pin.Index] * (ulong)pin.Scale;
        }
        else if (pin.Scale > 1)
        {
            // Index alone: the displacement is a multiple of 16, so a multiple of the scale stays reachable.
            var shift = System.Numerics.BitOperations.Log2((uint)pin.Scale);
            rest = pin.Narrow ? (uint)rest >> shift : (ulong)((long)rest >> shift);
            operandPlace &= -pin.Scale;
        }

        state->Gpr[pin.Register] = pin.Narrow ? (uint)rest | random.Next() << 32 : rest;
    }

    /// <summary>Gives the bit offset register a small signed value; returns how far it moves the operand, in bytes.</summary>
    ulong ApplyBitOffset(in Pin pin)
    {
        var bits = random.Percent(50) ? random.Between(0, pin.Bytes * 8 - 1) : random.Percent(50) ? random.Between(-2000, 2000) : (int)random.Next() >> random.Below(17) + 1;
        if (pin.Bytes == 2)
        {
            bits = (short)bits;
        }

        var upper = random.Next();
        state->Gpr[pin.BitRegister] = pin.Bytes switch
        {
            2 => upper & ~0xFFFFul | (ushort)bits,
            4 => upper & ~0xFFFFFFFFul | (uint)bits,
            _ => (ulong)bits,
        };
        return (ulong)(((long)bits >> (pin.Bytes switch { 2 => 4, 4 => 5, _ => 6 })) * pin.Bytes);
    }

    void ApplyTable(in Pin pin)
    {
        var entry = (byte)state->Gpr[0];
        var place = random.PerMille(FaultPerMille) ? Places.Edge(random, new Pin { Bytes = 1 }) : Places.Ordinary(random, new Pin { Bytes = 1 }, 0);
        state->Edges |= place is < Sandbox.Window or >= Sandbox.Window + Sandbox.WindowBytes ? 1ul : 0;
        var target = (pin.Narrow ? Sandbox.Low : sandbox) + (ulong)place - entry - pin.SegmentBase;
        state->Gpr[pin.Register] = pin.Narrow ? (uint)target | random.Next() << 32 : target;
        operandPlace = place;
    }

    void ApplyStack(in Pin pin)
    {
        int place;
        if (random.PerMille(FaultPerMille))
        {
            state->Edges = 1;
            place = Places.Edge(random, in pin);
        }
        else
        {
            place = Sandbox.Window + random.Between(320, 520);
            place = random.Percent(85) ? place & ~7 : place;
        }

        var address = random.PerMille(NonCanonicalPerMille) ? Places.NonCanonical(random) : sandbox + (ulong)place;
        state->Gpr[pin.Register] = address;
        if (pin.Kind == PinKind.Stack)
        {
            stackPlace = place;
        }
    }
}
