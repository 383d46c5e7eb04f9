using Vmm.Platform.Bus;

namespace Vmm.Chipset;

/// <summary>Debug console, port 0xE9: bytes written go to the sink; reading gives 0xE9, by which guests find it. It has no state.</summary>
public sealed class DebugConsole(IConsoleOutput output) : IBusTarget
{
    /// <inheritdoc/>
    public IoResult Read(ulong offset, Span<byte> data)
    {
        data.Fill(0xE9);
        return IoResult.Ok;
    }

    /// <inheritdoc/>
    public IoResult Write(ulong offset, ReadOnlySpan<byte> data)
    {
        output.Write(data);
        return IoResult.Ok;
    }
}
