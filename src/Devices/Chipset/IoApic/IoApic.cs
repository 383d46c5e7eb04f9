using Vmm.Platform.Bus;
using Vmm.Platform.Interrupts;
using Vmm.Platform.Snapshots;

namespace Vmm.Chipset;

/// <summary>
/// I/O APIC with 24 inputs and version 0x20 (82093AA, and the EOI register of the ICH family). A bus target of 4 KiB at
/// 0xFEC00000. Its messages leave through <see cref="Output"/>, where an interrupt remapper may sit. Polarity bits are
/// kept but have no effect: an input carries assertion, not voltage.
/// </summary>
public sealed class IoApic : IBusTarget, IEoiListener, ISnapshotPart
{
    /// <summary>Inputs.</summary>
    public const int PinCount = 24;

    const ulong RegSel = 0x00, Window = 0x10, Eoi = 0x40;

    readonly RedirectionEntry[] table = new RedirectionEntry[PinCount];
    readonly Pin[] pins = new Pin[PinCount];
    readonly byte resetId;
    byte select;
    byte id;
    uint levels;

    /// <param name="output">Takes the messages.</param>
    /// <param name="id">APIC id after reset, as the MADT names it.</param>
    public IoApic(IInterruptSink output, byte id = 0)
    {
        Output = output;
        resetId = (byte)(id & 15);
        for (var i = 0; i < PinCount; i++)
        {
            pins[i] = new(this, i);
        }

        Reset();
    }

    /// <summary>Where messages go: the local APICs, or an interrupt remapper in front of them.</summary>
    public IInterruptSink Output { get; set; }

    /// <inheritdoc/>
    public string SectionName => "ioapic";

    /// <inheritdoc/>
    public ushort SectionVersion => 1;

    /// <summary>An input, 0 to 23. One source drives it; sources that share it join in an <see cref="IrqRouter"/>.</summary>
    public IInterruptLine Input(int pin) => pins[pin];

    /// <summary>Masks every input and restores the id. Input levels are the sources' and stay.</summary>
    public void Reset()
    {
        Array.Fill(table, new(1 << 16));
        select = 0;
        id = resetId;
    }

    /// <inheritdoc/>
    public IoResult Read(ulong offset, Span<byte> data)
    {
        var value = (offset & ~3ul) switch
        {
            RegSel => select,
            Window => ReadRegister(),
            _ => 0u,
        };
        AccessBytes.Store(data, value >> (int)(offset & 3) * 8);
        return IoResult.Ok;
    }

    /// <inheritdoc/>
    public IoResult Write(ulong offset, ReadOnlySpan<byte> data)
    {
        var value = (uint)AccessBytes.Load(data);
        switch (offset)
        {
            case RegSel:
                select = (byte)value;
                break;
            case Window when data.Length >= 4:
                WriteRegister(value);
                break;
            case Eoi:
                EndOfInterrupt((byte)value);
                break;
            default:
                break;
        }

        return IoResult.Ok;
    }

    uint ReadRegister()
    {
        switch (select)
        {
            case 0 or 2:
                return (uint)id << 24;
            case 1:
                return (PinCount - 1) << 16 | 0x20;
            case >= 0x10 and < 0x10 + PinCount * 2:
                return (uint)(table[select - 0x10 >> 1].Raw >> (select & 1) * 32);
            default:
                return 0;
        }
    }

    void WriteRegister(uint value)
    {
        switch (select)
        {
            case 0:
                id = (byte)(value >> 24 & 15);
                break;
            case >= 0x10 and < 0x10 + PinCount * 2:
                WriteEntry(select - 0x10 >> 1, value, (select & 1) * 32);
                break;
            default:
                break;
        }
    }

    void WriteEntry(int pin, uint value, int shift)
    {
        var writable = RedirectionEntry.Writable & 0xFFFF_FFFFul << shift;
        var entry = new RedirectionEntry(table[pin].Raw & ~writable | (ulong)value << shift & writable);
        // An edge-triggered entry has no Remote IRR; system software clears a stuck one by switching to edge and back.
        table[pin] = entry.Level ? entry : entry with { RemoteIrr = false };
        ServiceLevel(pin);
    }

    /// <inheritdoc/>
    public void EndOfInterrupt(byte vector)
    {
        for (var pin = 0; pin < PinCount; pin++)
        {
            var entry = table[pin];
            if (entry.Level && entry.RemoteIrr && entry.Vector == vector)
            {
                table[pin] = entry with { RemoteIrr = false };
                ServiceLevel(pin);
            }
        }
    }

    bool IsActive(int pin) => (levels >> pin & 1) != 0;

    void SetInput(int pin, bool asserted)
    {
        var was = levels;
        levels = asserted ? levels | 1u << pin : levels & ~(1u << pin);
        if (levels == was)
        {
            return;
        }

        var entry = table[pin];
        if (entry.Level)
        {
            ServiceLevel(pin);
        }
        else if (!entry.Masked && asserted)
        {
            Output.Deliver(entry.Message);
        }
    }

    void ServiceLevel(int pin)
    {
        var entry = table[pin];
        if (entry.Level && !entry.Masked && !entry.RemoteIrr && IsActive(pin))
        {
            table[pin] = entry with { RemoteIrr = true };
            Output.Deliver(entry.Message);
        }
    }

    /// <inheritdoc/>
    public void Save(SnapshotWriter writer)
    {
        writer.U8(select);
        writer.U8(id);
        writer.U32(levels);
        foreach (var entry in table)
        {
            writer.U64(entry.Raw);
        }
    }

    /// <inheritdoc/>
    public void Load(SnapshotReader reader)
    {
        select = reader.U8();
        id = (byte)(reader.U8() & 15);
        levels = reader.U32() & (1u << PinCount) - 1;
        for (var i = 0; i < PinCount; i++)
        {
            table[i] = new(reader.U64());
        }
    }

    sealed class Pin(IoApic owner, int index) : IInterruptLine
    {
        public void Set(bool asserted) => owner.SetInput(index, asserted);
    }
}
