using Vmm.Platform.Snapshots;
using Vmm.Platform.Time;

namespace Vmm.Chipset;

/// <summary>Receive side of a 16550: the 16-character FIFO, and behind it a bounded queue of what the host has typed.</summary>
sealed class UartReceiver(VirtualClock clock, ClockTimer timeout, ClockTimer arrival, bool paced, int queueLimit)
{
    /// <summary>LSR bits that belong to one character.</summary>
    public const byte BreakInterrupt = 0x10, FramingError = 0x08, ParityError = 0x04;

    const int FifoSize = 16;

    readonly CharacterQueue fifo = new(FifoSize);
    readonly CharacterQueue queue = new(queueLimit);

    /// <summary>Duration of one character, in cycles.</summary>
    public ulong CharacterTime { get; set; }

    /// <summary>FCR bit 0.</summary>
    public bool UsesFifo { get; private set; }

    /// <summary>Characters that raise the interrupt: 1, 4, 8 or 14.</summary>
    public int Trigger { get; set; } = 1;

    /// <summary>Four character times passed with characters waiting and no traffic.</summary>
    public bool TimedOut { get; private set; }

    /// <summary>LSR.OE: a character was lost.</summary>
    public bool Overrun { get; set; }

    /// <summary>Serial input is connected; false in loopback mode.</summary>
    public bool Connected { get; set; } = true;

    /// <summary>Characters ready to be read.</summary>
    public int Count => fifo.Count;

    /// <summary>The interrupt level is reached.</summary>
    public bool TriggerReached => fifo.Count >= (UsesFifo ? Trigger : 1);

    /// <summary>LSR error bits of the next character.</summary>
    public byte NextErrors => fifo.Count == 0 ? (byte)0 : (byte)(fifo.Peek() >> 8);

    /// <summary>LSR bit 7: a character with an error is in the FIFO.</summary>
    public bool HoldsError => UsesFifo && fifo.Any(0xFF00);

    int Capacity => UsesFifo ? FifoSize : 1;

    /// <summary>Takes characters from the host. Returns how many the queue had room for.</summary>
    public int Enqueue(ReadOnlySpan<byte> data)
    {
        var taken = 0;
        while (taken < data.Length && queue.TryAdd(data[taken]))
        {
            taken++;
        }

        Refill();
        return taken;
    }

    /// <summary>Takes a break from the host; false when the queue is full.</summary>
    public bool EnqueueBreak()
    {
        var taken = queue.TryAdd(BreakInterrupt << 8);
        Refill();
        return taken;
    }

    /// <summary>A character arrives now, from the loopback path or the line. A full receiver loses one and notes an overrun.</summary>
    public void Arrive(ushort character)
    {
        if (fifo.Count < Capacity)
        {
            fifo.TryAdd(character);
        }
        else
        {
            // A FIFO keeps what it has; the single receive buffer is overwritten.
            Overrun = true;
            if (!UsesFifo)
            {
                fifo.Clear();
                fifo.TryAdd(character);
            }
        }

        Touch();
    }

    /// <summary>Reads RBR: the next character, or 0.</summary>
    public byte Read()
    {
        var character = fifo.Count == 0 ? (byte)0 : (byte)fifo.Take();
        TimedOut = false;
        Touch();
        Refill();
        return character;
    }

    /// <summary>An LSR read takes the error bits of the next character.</summary>
    public void ClearNextErrors() => fifo.ClearNextHigh();

    /// <summary>FCR bit 0 changes: both modes start empty.</summary>
    public void SetFifoMode(bool value)
    {
        if (UsesFifo != value)
        {
            UsesFifo = value;
            Clear();
        }
    }

    /// <summary>FCR bit 1.</summary>
    public void Clear()
    {
        fifo.Clear();
        TimedOut = false;
        timeout.Disarm();
        Refill();
    }

    /// <summary>Power-up: host characters stay queued.</summary>
    public void Reset()
    {
        UsesFifo = false;
        Trigger = 1;
        Overrun = false;
        Connected = true;
        arrival.Disarm();
        Clear();
    }

    /// <summary>The character timeout passed.</summary>
    public void TimeOut() => TimedOut = UsesFifo && fifo.Count != 0;

    /// <summary>One character time passed on the line: a queued character arrives.</summary>
    public void LineArrival()
    {
        if (queue.Count != 0 && Connected)
        {
            Arrive(queue.Take());
        }

        Refill();
    }

    /// <summary>Moves host characters towards the guest: at line speed if paced, else as far as there is room.</summary>
    public void Refill()
    {
        if (!Connected || queue.Count == 0)
        {
            return;
        }

        if (paced)
        {
            if (!arrival.IsArmed)
            {
                arrival.Arm(clock.Now + CharacterTime);
            }

            return;
        }

        while (queue.Count != 0 && fifo.Count < Capacity)
        {
            Arrive(queue.Take());
        }
    }

    void Touch()
    {
        if (UsesFifo && fifo.Count != 0)
        {
            timeout.Arm(clock.Now + 4 * CharacterTime);
        }
        else
        {
            timeout.Disarm();
        }
    }

    /// <summary>Saves FIFO, queue and timers.</summary>
    public void Save(SnapshotWriter writer)
    {
        writer.U64(CharacterTime);
        writer.Flag(UsesFifo);
        writer.U8((byte)Trigger);
        writer.Flag(TimedOut);
        writer.Flag(Overrun);
        writer.Flag(Connected);
        fifo.Save(writer);
        queue.Save(writer);
        writer.Timer(timeout);
        writer.Timer(arrival);
    }

    /// <summary>Loads what <see cref="Save"/> wrote.</summary>
    public void Load(SnapshotReader reader)
    {
        CharacterTime = Math.Clamp(reader.U64(), 1, 1ul << 40);
        UsesFifo = reader.Flag();
        Trigger = Math.Clamp((int)reader.U8(), 1, 14);
        TimedOut = reader.Flag();
        Overrun = reader.Flag();
        Connected = reader.Flag();
        fifo.Load(reader);
        queue.Load(reader);
        reader.Timer(timeout);
        reader.Timer(arrival);
    }
}
