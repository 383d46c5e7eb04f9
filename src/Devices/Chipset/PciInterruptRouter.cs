using Vmm.Platform.Interrupts;
using Vmm.Platform.Pci;
using Vmm.Platform.Snapshots;

namespace Vmm.Chipset;

/// <summary>One row of the ACPI _PRT: an interrupt pin of a device and the I/O APIC input it reaches (ACPI 6.4 §6.2.13).</summary>
/// <param name="Device">Device number on bus 0.</param>
/// <param name="Pin">0 INTA# to 3 INTD#.</param>
/// <param name="Gsi">Global system interrupt; level triggered, active low on the wire.</param>
public readonly record struct PciRoute(int Device, int Pin, int Gsi);

/// <summary>
/// Wires INTA# to INTD# of 32 devices to GSIs 16 to 23: GSI = 16 + (device + pin) mod 8. Pins that share an input are
/// ORed, as open-drain wires are.
/// </summary>
public sealed class PciInterruptRouter
{
    /// <summary>First GSI that PCI pins use.</summary>
    public const int FirstGsi = 16;

    /// <summary>Number of GSIs that PCI pins use.</summary>
    public const int GsiCount = 8;

    readonly IInterruptLine?[] lines = new IInterruptLine?[GsiCount];
    readonly int[] asserted = new int[GsiCount];
    readonly Wire?[] wires = new Wire?[256];

    /// <summary>GSI of a pin (0 INTA# to 3 INTD#).</summary>
    public static int Gsi(int device, int pin) => FirstGsi + (device + pin & GsiCount - 1);

    /// <summary>All routes, in order of device and pin.</summary>
    public static IEnumerable<PciRoute> Routes
    {
        get
        {
            for (var device = 0; device < 32; device++)
            {
                for (var pin = 0; pin < 4; pin++)
                {
                    yield return new(device, pin, Gsi(device, pin));
                }
            }
        }
    }

    /// <summary>Connects the I/O APIC input <paramref name="gsi"/> (16 to 23); asserted is true.</summary>
    public void ConnectLine(int gsi, IInterruptLine line)
    {
        lines[gsi - FirstGsi] = line;
        line.Set(asserted[gsi - FirstGsi] > 0);
    }

    /// <summary>Gives a function the wire of its pin; one without a pin gets none.</summary>
    internal void Connect(PciFunction function)
    {
        if (function.InterruptPin is >= 1 and <= 4)
        {
            function.IntxLine = wires[function.Address.DevFn] = new Wire(this, Gsi(function.Address.Device, function.InterruptPin - 1) - FirstGsi);
        }
    }

    /// <summary>Writes the level of every wire.</summary>
    internal void Save(SnapshotWriter writer)
    {
        foreach (var wire in wires)
        {
            writer.Flag(wire is { Level: true });
        }
    }

    /// <summary>Sets the level of every wire without driving the inputs, which have their own in the snapshot.</summary>
    internal void Load(SnapshotReader reader)
    {
        Array.Clear(asserted);
        foreach (var wire in wires)
        {
            if (reader.Flag() && wire != null)
            {
                wire.Level = true;
                asserted[wire.Input]++;
            }
            else if (wire != null)
            {
                wire.Level = false;
            }
        }
    }

    void Change(int input, int by)
    {
        var before = asserted[input] > 0;
        asserted[input] += by;
        if (asserted[input] > 0 != before)
        {
            lines[input]?.Set(!before);
        }
    }

    sealed class Wire(PciInterruptRouter router, int input) : IInterruptLine
    {
        public int Input => input;

        public bool Level { get; set; }

        public void Set(bool asserted)
        {
            if (Level != asserted)
            {
                Level = asserted;
                router.Change(input, asserted ? 1 : -1);
            }
        }
    }
}
