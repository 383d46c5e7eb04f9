using Vmm.Platform.Bus;

namespace Vmm.Chipset;

/// <summary>A device on the 8-bit bus.</summary>
interface IBytePorts
{
    /// <summary>One byte read cycle.</summary>
    byte ReadPort(int port);

    /// <summary>One byte write cycle.</summary>
    void WritePort(int port, byte value);
}

/// <summary>A window on an 8-bit device. Wider accesses become byte cycles in address order, as the ISA bridge makes them.</summary>
sealed class BytePortWindow(IBytePorts device, int first) : IBusTarget
{
    public IoResult Read(ulong offset, Span<byte> data)
    {
        for (var i = 0; i < data.Length; i++)
        {
            data[i] = device.ReadPort(first + (int)offset + i);
        }

        return IoResult.Ok;
    }

    public IoResult Write(ulong offset, ReadOnlySpan<byte> data)
    {
        for (var i = 0; i < data.Length; i++)
        {
            device.WritePort(first + (int)offset + i, data[i]);
        }

        return IoResult.Ok;
    }
}
