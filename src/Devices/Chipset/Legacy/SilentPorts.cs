using Vmm.Platform.Bus;

namespace Vmm.Chipset;

/// <summary>
/// Ports that PC software writes without expecting anything: POST codes (0x80), coprocessor busy latch (0xF0, 0xF1).
/// Reads are all ones, as on an empty bus, but do not count as accesses that nobody answered.
/// </summary>
public sealed class SilentPorts : IBusTarget
{
    /// <inheritdoc/>
    public IoResult Read(ulong offset, Span<byte> data)
    {
        data.Fill(0xFF);
        return IoResult.Ok;
    }

    /// <inheritdoc/>
    public IoResult Write(ulong offset, ReadOnlySpan<byte> data) => IoResult.Ok;
}
