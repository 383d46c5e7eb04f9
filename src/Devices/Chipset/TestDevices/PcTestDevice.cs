using Vmm.Platform.Bus;
using Vmm.Platform.Interrupts;
using Vmm.Platform.Snapshots;

namespace Vmm.Chipset;

/// <summary>
/// pc-testdev, by which test guests try the machine: a data word at ports 0xE0-0xE3, a page-flush register at 0xE4-0xE7
/// that does nothing, the same data word byte by byte at 0xE8-0xEB, interrupt lines 0 to 23 at 0x2000-0x2017, and 64 KiB of
/// device memory at 0xFF000000.
/// </summary>
public sealed class PcTestDevice : ISnapshotPart
{
    /// <summary>Bytes of device memory.</summary>
    public const int MemorySize = 0x10000;

    /// <summary>Interrupt lines.</summary>
    public const int LineCount = 24;

    readonly byte[] word = new byte[4];
    readonly byte[] memory = new byte[MemorySize];
    readonly IReadOnlyList<IInterruptLine> lines;

    /// <param name="lines">Interrupt lines by global system interrupt; the first 24 are used.</param>
    /// <param name="debugConsole">Answers port 0xE9 in place of the data word, or null.</param>
    public PcTestDevice(IReadOnlyList<IInterruptLine> lines, IBusTarget? debugConsole = null)
    {
        DataPorts = new Store(word, null);
        BytePorts = new Store(word, debugConsole);
        Memory = new Store(memory, null);
        IrqPorts = new Irqs(lines);
        this.lines = lines;
    }

    /// <summary>Ports 0xE0-0xE3.</summary>
    public IBusTarget DataPorts { get; }

    /// <summary>Ports 0xE4-0xE7.</summary>
    public IBusTarget FlushPorts { get; } = new SilentPorts();

    /// <summary>Ports 0xE8-0xEB.</summary>
    public IBusTarget BytePorts { get; }

    /// <summary>Ports 0x2000-0x2017.</summary>
    public IBusTarget IrqPorts { get; }

    /// <summary>Memory at 0xFF000000.</summary>
    public IBusTarget Memory { get; }

    /// <inheritdoc/>
    public string SectionName => "pc-testdev";

    /// <inheritdoc/>
    public ushort SectionVersion => 1;

    /// <summary>Zeroes word and memory and lowers the lines.</summary>
    public void Reset()
    {
        for (var i = 0; i < Math.Min(lines.Count, LineCount); i++)
        {
            lines[i].Set(false);
        }

        Array.Clear(word);
        Array.Clear(memory);
    }

    /// <inheritdoc/>
    public void Save(SnapshotWriter writer)
    {
        writer.Bytes(word);
        writer.Bytes(memory);
    }

    /// <inheritdoc/>
    public void Load(SnapshotReader reader)
    {
        reader.BytesInto(word);
        reader.BytesInto(memory);
    }

    /// <summary>Bytes that read back what was written; past the end reads are zero. The second byte may belong to another device.</summary>
    sealed class Store(byte[] bytes, IBusTarget? second) : IBusTarget
    {
        public IoResult Read(ulong offset, Span<byte> data)
        {
            if (second != null && offset == 1 && data.Length == 1)
            {
                return second.Read(0, data);
            }

            data.Clear();
            var available = Math.Min((ulong)data.Length, (ulong)bytes.Length - Math.Min(offset, (ulong)bytes.Length));
            bytes.AsSpan((int)Math.Min(offset, (ulong)bytes.Length), (int)available).CopyTo(data);
            return IoResult.Ok;
        }

        public IoResult Write(ulong offset, ReadOnlySpan<byte> data)
        {
            if (second != null && offset == 1 && data.Length == 1)
            {
                return second.Write(0, data);
            }

            var at = (int)Math.Min(offset, (ulong)bytes.Length);
            data[..Math.Min(data.Length, bytes.Length - at)].CopyTo(bytes.AsSpan(at));
            return IoResult.Ok;
        }
    }

    sealed class Irqs(IReadOnlyList<IInterruptLine> lines) : IBusTarget
    {
        public IoResult Read(ulong offset, Span<byte> data)
        {
            data.Clear();
            return IoResult.Ok;
        }

        public IoResult Write(ulong offset, ReadOnlySpan<byte> data)
        {
            if (data.Length != 1 || offset >= (ulong)Math.Min(lines.Count, LineCount))
            {
                return IoResult.Unclaimed;
            }

            lines[(int)offset].Set(data[0] != 0);
            return IoResult.Ok;
        }
    }
}
