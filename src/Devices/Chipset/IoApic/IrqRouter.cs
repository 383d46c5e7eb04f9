using Vmm.Platform.Interrupts;
using Vmm.Platform.Snapshots;

namespace Vmm.Chipset;

/// <summary>
/// The wires between devices and both interrupt controllers of a q35-like PC: ISA interrupts 0 to 15 reach the 8259 pair
/// and the I/O APIC (interrupt 0 its input 2), global system interrupts 16 to 23 the I/O APIC alone. Sources that share a
/// wire are ORed.
/// </summary>
public sealed class IrqRouter(Pic pic, IoApic ioApic) : ISnapshotPart
{
    readonly ulong[] asserted = new ulong[IoApic.PinCount];
    readonly int[] sources = new int[IoApic.PinCount];

    /// <inheritdoc/>
    public string SectionName => "irq-router";

    /// <inheritdoc/>
    public ushort SectionVersion => 1;

    /// <summary>A new source on ISA interrupt or global system interrupt <paramref name="number"/>; at most 64 share one.</summary>
    /// <exception cref="ArgumentOutOfRangeException">No such interrupt, or too many sources on it.</exception>
    public IInterruptLine Connect(int number)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(number);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(number, IoApic.PinCount);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(sources[number], 64, nameof(number));
        return new Source(this, number, 1ul << sources[number]++);
    }

    void Set(int number, ulong source, bool level)
    {
        var was = asserted[number];
        var now = level ? was | source : was & ~source;
        asserted[number] = now;
        if (was != 0 == (now != 0))
        {
            return;
        }

        if (number < Pic.InputCount)
        {
            pic.SetInput(number, now != 0);
        }

        ioApic.Input(number == 0 ? 2 : number).Set(now != 0);
    }

    /// <inheritdoc/>
    public void Save(SnapshotWriter writer)
    {
        foreach (var mask in asserted)
        {
            writer.U64(mask);
        }
    }

    /// <inheritdoc/>
    public void Load(SnapshotReader reader)
    {
        for (var i = 0; i < asserted.Length; i++)
        {
            asserted[i] = reader.U64();
        }
    }

    sealed class Source(IrqRouter owner, int number, ulong bit) : IInterruptLine
    {
        public void Set(bool asserted) => owner.Set(number, bit, asserted);
    }
}
