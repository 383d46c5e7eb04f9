using Vmm.Differential.Cases;

namespace Vmm.Differential.Generation;

internal sealed unsafe partial class StateBuilder
{
    const int MxcsrAt = 24, StackAt = 32, VectorsAt = 160;
    const uint AllMasked = 0x1F80;

    void FillFx()
    {
        var fx = state->Fx;
        if (!sequence.UsesX87 && !sequence.UsesVectors)
        {
            QuietFx(fx);
            return;
        }

        MakeFx(fx);
    }

    /// <summary>The state that integer code runs with: defaults, and registers that must stay as they are.</summary>
    void QuietFx(byte* fx)
    {
        new Span<byte>(fx, VectorsAt).Clear();
        *(ushort*)fx = 0x37F;
        *(uint*)(fx + MxcsrAt) = AllMasked;
        pool.Fill(new Span<ulong>(fx + VectorsAt, 32), false, random);
        new Span<byte>(fx + 416, 96).Clear();
    }

    void MakeFx(byte* fx)
    {
        new Span<byte>(fx, CaseState.FxBytes).Clear();
        MakeControl(fx);
        for (var i = 0; i < 8; i++)
        {
            var to = new Span<byte>(fx + StackAt + 16 * i, 10);
            if (sequence.Group == EncodingGroup.Mmx)
            {
                BitConverter.TryWriteBytes(to, pool.Integer(random));
                to[8] = to[9] = 0xFF;
            }
            else
            {
                pool.Extended(random).CopyTo(to);
            }
        }

        if (sequence.Entries[0].Mnemonic == Iced.Intel.Mnemonic.Fyl2xp1)
        {
            LimitLogarithmArgument(fx + StackAt);
        }

        var vectors = (ulong*)(fx + VectorsAt);
        var floats = sequence.UsesFloats && random.Percent(90);
        for (var i = 0; i < 32; i++)
        {
            vectors[i] = floats ? pool.Float(random) : pool.Integer(random);
        }
    }

    /// <summary>FYL2XP1 has a defined result only for arguments of magnitude below 1 - 1/sqrt 2.</summary>
    static void LimitLogarithmArgument(byte* st0)
    {
        const int Largest = 0x3FFC, Special = 0x7FFF;
        var head = (ushort*)(st0 + 8);
        if ((*head & Special) is > Largest and < Special)
        {
            *head = (ushort)(*head & 0x8000 | Largest - (*head & 63));
        }
    }

    void MakeControl(byte* fx)
    {
        var exact = sequence.Group is not (EncodingGroup.X87 or EncodingGroup.Approximate);
        var precision = random.Below(8) switch { 0 => 0u, 1 => 2u, _ => 3u };
        var masks = exact || random.Percent(94) ? 0x3F : (uint)random.Below(64);
        var control = 0x40 | masks | precision << 8 | (uint)random.Below(4) << 10;
        var flags = exact || random.Percent(85) ? 0 : (uint)random.Below(128);
        var pending = (flags & ~masks & 0x3F) != 0 ? 0x8080u : 0;
        var status = flags | pending | (uint)random.Below(8) << 11 | (uint)random.Next() & 0x4700;
        *(ushort*)fx = (ushort)control;
        *(ushort*)(fx + 2) = (ushort)status;
        fx[4] = random.Below(10) switch { < 6 => 0xFF, 6 => 0, _ => (byte)random.Next() };
        *(uint*)(fx + MxcsrAt) = Mxcsr();
    }

    /// <summary>Any rounding, FTZ, DAZ and sticky flags; mostly all exceptions masked.</summary>
    uint Mxcsr()
    {
        var masks = random.Percent(94) ? AllMasked : (uint)random.Below(64) << 7;
        var modes = (uint)random.Below(4) << 13 | (random.Percent(15) ? 0x8000u : 0) | (random.Percent(15) ? 0x40u : 0);
        var flags = random.Percent(70) ? 0 : (uint)random.Below(64);
        return masks | modes | flags;
    }

    void ApplyFxImage()
    {
        var at = operandPlace - Sandbox.Window;
        if (at < 0 || at > Sandbox.WindowBytes - CaseState.FxBytes || random.Percent(3))
        {
            return;
        }

        MakeFx(state->Memory + at);
        pool.Fill(new Span<ulong>(state->Memory + at + 464, 6), false, random);
    }
}
