using Iced.Intel;

namespace Vmm.Firmware.BuiltIn;

/// <summary>Collects what an assembler writes.</summary>
internal sealed class ByteListWriter : CodeWriter
{
    readonly List<byte> bytes = [];

    /// <inheritdoc/>
    public override void WriteByte(byte value) => bytes.Add(value);

    /// <summary>The bytes so far.</summary>
    public byte[] ToArray() => [.. bytes];
}
