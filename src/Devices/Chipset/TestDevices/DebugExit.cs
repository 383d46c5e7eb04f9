using Vmm.Platform.Bus;

namespace Vmm.Chipset;

/// <summary>isa-debug-exit: four ports at 0xF4. A write ends the run with exit code (value * 2) | 1. It has no state.</summary>
public sealed class DebugExit(IPowerControl power) : IBusTarget
{
    /// <summary>Ports the device takes.</summary>
    public const int PortCount = 4;

    /// <inheritdoc/>
    public IoResult Read(ulong offset, Span<byte> data)
    {
        data.Clear();
        return IoResult.Ok;
    }

    /// <inheritdoc/>
    public IoResult Write(ulong offset, ReadOnlySpan<byte> data)
    {
        power.DebugExit((uint)AccessBytes.Load(data));
        return IoResult.Ok;
    }
}
