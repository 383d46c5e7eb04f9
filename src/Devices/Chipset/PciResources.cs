using Vmm.Platform.Pci;
using Vmm.Specs.Pci;

namespace Vmm.Chipset;

/// <summary>A range that BARs may be given.</summary>
/// <param name="Start">First address.</param>
/// <param name="Length">Bytes.</param>
public readonly record struct PciWindow(ulong Start, ulong Length);

/// <summary>Where BARs go: also the host bridge's _CRS.</summary>
/// <param name="Memory32">Windows below 4 GiB, tried in order.</param>
/// <param name="Memory64">Window above 4 GiB.</param>
/// <param name="Io">I/O ports.</param>
public sealed record PciWindows(IReadOnlyList<PciWindow> Memory32, PciWindow Memory64, PciWindow Io)
{
    /// <summary>The machine's memory map.</summary>
    public static PciWindows Default { get; } = new(
        [new(0xC000_0000, 0x2000_0000), new(0xF000_0000, 0x0EC0_0000)],
        new(0x80_0000_0000, 0x80_0000_0000),
        new(0xC000, 0x4000));
}

/// <summary>
/// Firmware's resource assignment. Large BARs go first, so that natural alignment wastes nothing; equal ones in order of
/// address. Prefetchable 64-bit BARs go above 4 GiB, others below; what does not fit below goes above if it can.
/// </summary>
static class PciResources
{
    /// <summary>Assigns every BAR, sets interrupt lines, and enables decoding of functions whose BARs all found room.</summary>
    /// <returns>BARs that found no room; they are left at 0.</returns>
    public static IReadOnlyList<PciBar> Assign(PciBus bus, PciWindows windows)
    {
        var memory32 = windows.Memory32.Select(static w => new Cursor(w)).ToArray();
        Cursor[] memory64 = [new(windows.Memory64)];
        Cursor[] io = [new(windows.Io)];
        var homeless = new List<PciBar>();
        foreach (var function in bus.Functions)
        {
            SetCommand(function, 0);
        }

        var all = bus.Functions.SelectMany(static f => f.Bars).OrderByDescending(static b => b.Size).ToArray();
        foreach (var bar in all)
        {
            Cursor[][] choice = bar switch
            {
                { IsIo: true } => [io],
                { Is64: true, IsPrefetchable: true } => [memory64, memory32],
                { Is64: true } => [memory32, memory64],
                _ => [memory32],
            };
            var address = choice.SelectMany(static c => c).Select(c => c.Take(bar.Size)).FirstOrDefault(static a => a != 0);
            bar.Assign(address);
            if (address == 0)
            {
                homeless.Add(bar);
            }
        }

        foreach (var function in bus.Functions)
        {
            SetInterruptLine(function);
            SetCommand(function, function.Bars.Any(homeless.Contains) ? (ushort)0 : Decode(function));
        }

        return homeless;
    }

    static ushort Decode(PciFunction function) => new PciCommand
    {
        IoSpace = function.Bars.Any(static b => b.IsIo),
        MemorySpace = function.Bars.Any(static b => !b.IsIo),
    }.Raw;

    static void SetCommand(PciFunction function, ushort value) =>
        function.WriteConfig(PciHeader.Command, [(byte)value, (byte)(value >> 8)]);

    static void SetInterruptLine(PciFunction function)
    {
        var line = function.InterruptPin == 0 ? 0xFF : PciInterruptRouter.Gsi(function.Address.Device, function.InterruptPin - 1);
        function.WriteConfig(PciHeader.InterruptLine, [(byte)line]);
    }

    sealed class Cursor(PciWindow window)
    {
        ulong next = window.Start;

        /// <summary>The next free address with natural alignment, or 0.</summary>
        public ulong Take(ulong size)
        {
            var address = next + size - 1 & ~(size - 1);
            if (address < next || address - window.Start > window.Length || window.Length - (address - window.Start) < size)
            {
                return 0;
            }

            next = address + size;
            return address;
        }
    }
}
