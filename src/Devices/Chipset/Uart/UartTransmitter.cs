using Vmm.Platform.Snapshots;
using Vmm.Platform.Time;

namespace Vmm.Chipset;

/// <summary>
/// Transmit side of a 16550. Paced, a character takes its time on the line; otherwise it is gone as soon as it is written.
/// </summary>
sealed class UartTransmitter(VirtualClock clock, ClockTimer shift, bool paced)
{
    const int FifoSize = 16;

    readonly byte[] fifo = new byte[FifoSize];
    byte shifting;
    int count;

    /// <summary>Duration of one character, in cycles.</summary>
    public ulong CharacterTime { get; set; }

    /// <summary>FCR bit 0.</summary>
    public bool UsesFifo { get; private set; }

    /// <summary>LSR.THRE: the holding register or FIFO is empty.</summary>
    public bool HoldingEmpty => count == 0;

    /// <summary>LSR.TEMT: the shift register is empty too.</summary>
    public bool Empty => count == 0 && !shift.IsArmed;

    /// <summary>Takes a written character. True when it is on the line at once and nothing is left to wait for.</summary>
    public bool Write(byte value)
    {
        if (!paced)
        {
            return true;
        }

        var capacity = UsesFifo ? FifoSize : 1;
        if (count < capacity)
        {
            fifo[count++] = value;
        }
        else
        {
            fifo[capacity - 1] = value;
        }

        Load();
        return false;
    }

    /// <summary>The shift register ran empty: hands out the character that left and takes the next one.</summary>
    public byte Shifted()
    {
        var sent = shifting;
        Load();
        return sent;
    }

    void Load()
    {
        if (count == 0 || shift.IsArmed)
        {
            return;
        }

        shifting = fifo[0];
        fifo.AsSpan(1, --count).CopyTo(fifo);
        shift.Arm(clock.Now + CharacterTime);
    }

    /// <summary>FCR bit 0 changes: both modes start empty.</summary>
    public void SetFifoMode(bool value)
    {
        if (UsesFifo != value)
        {
            UsesFifo = value;
            count = 0;
        }
    }

    /// <summary>FCR bit 2; the shift register goes on.</summary>
    public void Clear() => count = 0;

    /// <summary>Power-up.</summary>
    public void Reset()
    {
        UsesFifo = false;
        count = 0;
        shift.Disarm();
    }

    /// <summary>Saves FIFO and shift register.</summary>
    public void Save(SnapshotWriter writer)
    {
        writer.U64(CharacterTime);
        writer.Flag(UsesFifo);
        writer.U8(shifting);
        writer.Bytes(fifo.AsSpan(0, count));
        writer.Timer(shift);
    }

    /// <summary>Loads what <see cref="Save"/> wrote.</summary>
    public void Load(SnapshotReader reader)
    {
        CharacterTime = Math.Clamp(reader.U64(), 1, 1ul << 40);
        UsesFifo = reader.Flag();
        shifting = reader.U8();
        var bytes = reader.Bytes();
        if (bytes.Length > FifoSize)
        {
            throw reader.Bad($"{bytes.Length} characters in the transmit FIFO");
        }

        bytes.CopyTo(fifo);
        count = bytes.Length;
        reader.Timer(shift);
    }
}
