using System.Numerics;
using Vmm.Platform.Snapshots;

namespace Vmm.Chipset;

/// <summary>One 8259A interrupt controller in 8086 mode (8259A data sheet, order 231468).</summary>
sealed class Pic8259(byte elcrWritable)
{
    enum Step
    {
        Ready,
        Icw2,
        Icw3,
        Icw4,
    }

    byte irr, isr, imr, levels, elcr, vectorBase, lowest;
    Step step;
    bool levelMode, single, needsIcw4, autoEoi, rotateOnAutoEoi, specialMask, specialNested, readIsr, poll;

    /// <summary>Input whose interrupt in service does not hold back another one from the same slave in special fully nested mode; 0 on the slave itself.</summary>
    public byte SlaveInputs { get; init; }

    /// <summary>INT pin.</summary>
    public bool Interrupts => Highest() >= 0;

    /// <summary>ELCR: inputs that are level-triggered.</summary>
    public byte EdgeLevel
    {
        get => elcr;
        set
        {
            elcr = (byte)(value & elcrWritable);
            irr |= (byte)(levels & LevelInputs);
        }
    }

    int LevelInputs => levelMode ? 0xFF : elcr;

    /// <summary>State after power-up: nothing in service, not initialised.</summary>
    public void Reset()
    {
        elcr = 0;
        imr = 0;
        vectorBase = 0;
        StartInitialisation(0);
        step = Step.Ready;
    }

    /// <summary>Moves an input. A request that goes away before its acknowledge is withdrawn, in both trigger modes.</summary>
    public void SetInput(int input, bool asserted)
    {
        var bit = (byte)(1 << input);
        if (!asserted)
        {
            levels &= (byte)~bit;
            irr &= (byte)~bit;
            return;
        }

        if ((levels & bit) == 0 || (LevelInputs & bit) != 0)
        {
            irr |= bit;
        }

        levels |= bit;
    }

    /// <summary>INTA: takes the highest request into service. Returns input 7, and takes nothing, when there is none.</summary>
    public int Acknowledge(out bool spurious)
    {
        var input = Highest();
        spurious = input < 0;
        if (spurious)
        {
            return 7;
        }

        var bit = (byte)(1 << input);
        if ((LevelInputs & bit) == 0)
        {
            irr &= (byte)~bit;
        }

        if (!autoEoi)
        {
            isr |= bit;
        }
        else if (rotateOnAutoEoi)
        {
            lowest = (byte)input;
        }

        return input;
    }

    /// <summary>Vector of an input: ICW2 bits 7:3.</summary>
    public byte Vector(int input) => (byte)(vectorBase | input);

    /// <summary>Reads A0=0 (IRR, ISR or poll word) or A0=1 (IMR or poll word).</summary>
    public byte Read(bool a0)
    {
        if (poll)
        {
            poll = false;
            var input = Acknowledge(out var spurious);
            return spurious ? (byte)0 : (byte)(0x80 | input);
        }

        return a0 ? imr : readIsr ? isr : irr;
    }

    /// <summary>Writes A0=0 (ICW1, OCW2, OCW3) or A0=1 (ICW2 to ICW4, OCW1).</summary>
    public void Write(bool a0, byte value)
    {
        if (a0)
        {
            WriteData(value);
        }
        else if ((value & 0x10) != 0)
        {
            StartInitialisation(value);
        }
        else if ((value & 0x08) != 0)
        {
            WriteOcw3(value);
        }
        else
        {
            WriteOcw2(value);
        }
    }

    /// <summary>Highest input that may interrupt now, or -1.</summary>
    int Highest()
    {
        var request = First(irr & ~imr);
        if (request < 0)
        {
            return -1;
        }

        var service = isr & 0xFF;
        if (specialMask)
        {
            service &= ~imr;
        }

        if (specialNested)
        {
            service &= ~SlaveInputs;
        }

        var current = First(service);
        return current < 0 || Rank(request) < Rank(current) ? request : -1;
    }

    /// <summary>Input of the highest priority in a set, or -1.</summary>
    int First(int set)
    {
        var shift = lowest + 1 & 7;
        var rotated = (set & 0xFF) >> shift | (set << 8 - shift & 0xFF);
        return (rotated & 0xFF) == 0 ? -1 : BitOperations.TrailingZeroCount(rotated) + shift & 7;
    }

    int Rank(int input) => input - lowest - 1 & 7;

    void StartInitialisation(byte icw1)
    {
        levelMode = (icw1 & 8) != 0;
        single = (icw1 & 2) != 0;
        needsIcw4 = (icw1 & 1) != 0;
        irr = (byte)(levels & LevelInputs);
        isr = 0;
        imr = 0;
        lowest = 7;
        specialMask = readIsr = poll = rotateOnAutoEoi = false;
        autoEoi = specialNested = false;
        step = Step.Icw2;
    }

    void WriteData(byte value)
    {
        switch (step)
        {
            case Step.Icw2:
                vectorBase = (byte)(value & 0xF8);
                step = !single ? Step.Icw3 : needsIcw4 ? Step.Icw4 : Step.Ready;
                break;
            case Step.Icw3:
                // The cascade is wired, so its description has no effect.
                step = needsIcw4 ? Step.Icw4 : Step.Ready;
                break;
            case Step.Icw4:
                autoEoi = (value & 2) != 0;
                specialNested = (value & 0x10) != 0;
                step = Step.Ready;
                break;
            default:
                imr = value;
                break;
        }
    }

    void WriteOcw3(byte value)
    {
        poll = (value & 4) != 0;
        if ((value & 2) != 0)
        {
            readIsr = (value & 1) != 0;
        }

        if ((value & 0x40) != 0)
        {
            specialMask = (value & 0x20) != 0;
        }
    }

    void WriteOcw2(byte value)
    {
        var input = value & 7;
        switch (value >> 5)
        {
            case 0:
                rotateOnAutoEoi = false;
                break;
            case 4:
                rotateOnAutoEoi = true;
                break;
            case 1 or 5:
                // In special mask mode a non-specific EOI leaves masked levels in service.
                var top = First(specialMask ? isr & ~imr : isr);
                if (top >= 0)
                {
                    End(top, value >> 5 == 5);
                }

                break;
            case 3 or 7:
                End(input, value >> 5 == 7);
                break;
            case 6:
                lowest = (byte)input;
                break;
            default:
                break;
        }
    }

    void End(int input, bool rotate)
    {
        isr &= (byte)~(1 << input);
        if (rotate)
        {
            lowest = (byte)input;
        }
    }

    /// <summary>Saves the chip.</summary>
    public void Save(SnapshotWriter writer)
    {
        ReadOnlySpan<byte> bytes = [irr, isr, imr, levels, elcr, vectorBase, lowest, (byte)step];
        writer.Bytes(bytes);
        ReadOnlySpan<bool> flags = [levelMode, single, needsIcw4, autoEoi, rotateOnAutoEoi, specialMask, specialNested, readIsr, poll];
        foreach (var flag in flags)
        {
            writer.Flag(flag);
        }
    }

    /// <summary>Loads what <see cref="Save"/> wrote.</summary>
    public void Load(SnapshotReader reader)
    {
        Span<byte> bytes = stackalloc byte[8];
        reader.BytesInto(bytes);
        (irr, isr, imr, levels) = (bytes[0], bytes[1], bytes[2], bytes[3]);
        (elcr, vectorBase, lowest) = ((byte)(bytes[4] & elcrWritable), (byte)(bytes[5] & 0xF8), (byte)(bytes[6] & 7));
        step = (Step)(bytes[7] & 3);
        (levelMode, single, needsIcw4) = (reader.Flag(), reader.Flag(), reader.Flag());
        (autoEoi, rotateOnAutoEoi, specialMask) = (reader.Flag(), reader.Flag(), reader.Flag());
        (specialNested, readIsr, poll) = (reader.Flag(), reader.Flag(), reader.Flag());
    }
}
