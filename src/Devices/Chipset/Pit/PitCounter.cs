namespace Vmm.Chipset;

/// <summary>
/// One counter of an 8254 (Intel 8254 data sheet, order 231164). Times are input clocks since time zero; nothing is
/// stored per clock: output and count follow from the clock at which the counting element was loaded.
/// </summary>
sealed partial class PitCounter
{
    byte mode, access;
    bool bcd, gate, loaded, pending, highHalfFirst, writtenLow, readHigh;
    bool countLatched, statusLatched;
    byte lowByte, latchedStatus;
    ushort latchedCount;
    uint reload, next;
    ulong start;
    ulong paused;

    /// <summary>GATE input.</summary>
    public bool Gate => gate;

    uint Modulus => bcd ? 10_000u : 0x1_0000u;

    bool Repeats => mode is 2 or 3;

    bool TriggeredByGate => mode is 1 or 5;

    /// <summary>Power-up state is undefined in the data sheet; here: mode 3, no count, output high.</summary>
    public void Reset(bool gateLevel)
    {
        mode = 3;
        access = 3;
        gate = gateLevel;
        bcd = loaded = pending = writtenLow = readHigh = countLatched = statusLatched = false;
        highHalfFirst = true;
        lowByte = latchedStatus = 0;
        latchedCount = 0;
        reload = 0x1_0000;
        next = 0x1_0000;
        start = 0;
        paused = 0;
    }

    /// <summary>Control word for this counter, not a latch command.</summary>
    public void Program(byte control)
    {
        mode = (byte)(control >> 1 & 7);
        if (mode > 5)
        {
            mode -= 4;
        }

        access = (byte)(control >> 4 & 3);
        bcd = (control & 1) != 0;
        loaded = pending = writtenLow = readHigh = countLatched = statusLatched = false;
        highHalfFirst = true;
    }

    /// <summary>Counter latch command; a latch not yet read stays.</summary>
    public void LatchCount(ulong now)
    {
        if (!countLatched)
        {
            countLatched = true;
            latchedCount = Count(now);
        }
    }

    /// <summary>Read-back of status; a latch not yet read stays.</summary>
    public void LatchStatus(ulong now)
    {
        if (statusLatched)
        {
            return;
        }

        statusLatched = true;
        var nullCount = !loaded || pending || now < start;
        latchedStatus = (byte)((Out(now) ? 0x80 : 0) | (nullCount ? 0x40 : 0) | access << 4 | mode << 1 | (bcd ? 1 : 0));
    }

    /// <summary>A write of the counter's port.</summary>
    public void Write(byte value, ulong now)
    {
        Advance(now);
        switch (access)
        {
            case 1:
                SetCount(value, now);
                break;
            case 2:
                SetCount((ushort)(value << 8), now);
                break;
            default:
                WriteHalf(value, now);
                break;
        }
    }

    void WriteHalf(byte value, ulong now)
    {
        writtenLow = !writtenLow;
        if (!writtenLow)
        {
            SetCount((ushort)(lowByte | value << 8), now);
            return;
        }

        lowByte = value;
        if (mode == 0)
        {
            // The first byte stops the count and drops the output.
            loaded = false;
        }
    }

    /// <summary>A read of the counter's port.</summary>
    public byte Read(ulong now)
    {
        Advance(now);
        if (statusLatched)
        {
            statusLatched = false;
            return latchedStatus;
        }

        var count = countLatched ? latchedCount : Count(now);
        var high = access == 2 || access == 3 && readHigh;
        if (access == 3)
        {
            readHigh = !readHigh;
        }

        countLatched &= access == 3 && readHigh;
        return (byte)(high ? count >> 8 : count);
    }

    /// <summary>Moves GATE.</summary>
    public void SetGate(bool level, ulong now)
    {
        Advance(now);
        if (level == gate)
        {
            return;
        }

        var elapsed = Elapsed(now);
        gate = level;
        if (!level)
        {
            paused = elapsed;
        }
        else if (Repeats)
        {
            Load(now);
        }
        else if (TriggeredByGate)
        {
            Trigger(now);
        }
        else
        {
            start = now - Math.Min(paused, now);
        }
    }

    /// <summary>Takes up a count that waited for the end of a period.</summary>
    public void Advance(ulong now)
    {
        if (!pending || !gate)
        {
            return;
        }

        var boundary = NextBoundary(start);
        if (now < boundary)
        {
            return;
        }

        // Whole halves (mode 3) or periods (mode 2) pass with the old count until the write; the boundary was fixed then.
        pending = false;
        highHalfFirst = mode != 3 || !highHalfFirst;
        start = boundary;
        reload = next;
    }

    void SetCount(ushort value, ulong now)
    {
        next = Decode(value);
        if (Repeats && loaded && gate)
        {
            FixBoundary(now);
        }
        else if (TriggeredByGate)
        {
            // Waits in the count register for the next trigger; a running shot keeps its own count.
            pending = false;
        }
        else
        {
            Load(now);
        }
    }

    /// <summary>Moves the origin to the period in progress, so that the pending count enters at this period's end.</summary>
    void FixBoundary(ulong now)
    {
        if (now <= start)
        {
            Load(start - 1);
            return;
        }

        var elapsed = now - start;
        if (mode == 2)
        {
            start += elapsed / reload * reload;
        }
        else
        {
            var high = HighNow(elapsed, out var left);
            start = now + left - (high ? HighLength : reload - HighLength);
            highHalfFirst = high;
        }

        pending = true;
    }

    /// <summary>The counting element takes the count on the clock after this one.</summary>
    void Load(ulong now)
    {
        reload = next;
        start = now + 1;
        paused = 0;
        loaded = true;
        pending = false;
        highHalfFirst = true;
    }

    void Trigger(ulong now)
    {
        // A shot that is retriggered keeps OUT low through the load.
        var low = mode == 1 && !Out(now);
        reload = next;
        start = low ? now : now + 1;
        loaded = true;
    }

    /// <summary>Zero stands for the full modulus. BCD digits above 9 count as their binary value.</summary>
    uint Decode(ushort value)
    {
        var count = bcd ? (uint)((value >> 12) * 1000 + (value >> 8 & 15) * 100 + (value >> 4 & 15) * 10 + (value & 15)) : value;
        return count == 0 ? Modulus : Math.Min(count, Modulus);
    }

    ushort Encode(uint count)
    {
        var value = count % Modulus;
        return bcd ? (ushort)(value / 1000 << 12 | value / 100 % 10 << 8 | value / 10 % 10 << 4 | value % 10) : (ushort)value;
    }
}
