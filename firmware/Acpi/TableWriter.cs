using System.Buffers.Binary;
using System.Text;
using Vmm.Specs.Acpi;

namespace Vmm.Firmware.Acpi;

/// <summary>Writes a table front to back and completes its header.</summary>
internal sealed class TableWriter
{
    /// <summary>Generic address spaces (ACPI 6.4 §5.2.3.2).</summary>
    public const byte SystemMemory = 0, SystemIo = 1;

    readonly List<byte> bytes = [];

    /// <summary>A table with a standard header.</summary>
    public TableWriter(string signature, byte revision, AcpiConfig config)
    {
        Text(signature, 4);
        U32(0);
        U8(revision);
        U8(0);
        Text(config.OemId, 6);
        Text(config.OemTableId, 8);
        U32(1);
        Text("VMM ", 4);
        U32(1);
    }

    /// <summary>Raw bytes without a header.</summary>
    public TableWriter()
    {
    }

    /// <summary>Bytes so far.</summary>
    public int Length => bytes.Count;

    /// <summary>Appends one byte.</summary>
    public TableWriter U8(int value)
    {
        bytes.Add((byte)value);
        return this;
    }

    /// <summary>Appends 16 bits.</summary>
    public TableWriter U16(int value) => U8(value).U8(value >> 8);

    /// <summary>Appends 32 bits.</summary>
    public TableWriter U32(uint value) => U16((ushort)value).U16((ushort)(value >> 16));

    /// <summary>Appends 64 bits.</summary>
    public TableWriter U64(ulong value) => U32((uint)value).U32((uint)(value >> 32));

    /// <summary>Appends zeros.</summary>
    public TableWriter Zeros(int count)
    {
        bytes.AddRange(new byte[count]);
        return this;
    }

    /// <summary>Appends ASCII text, cut or filled with spaces to a fixed size.</summary>
    public TableWriter Text(string text, int size) => Append(Encoding.ASCII.GetBytes(text.PadRight(size)[..size]));

    /// <summary>Appends bytes.</summary>
    public TableWriter Append(ReadOnlySpan<byte> more)
    {
        bytes.AddRange(more);
        return this;
    }

    /// <summary>Appends a generic address structure; an address of 0 gives zeros only.</summary>
    /// <param name="space">Address space.</param>
    /// <param name="width">Register width in bits.</param>
    /// <param name="access">Access size: 1 byte, 2 word, 3 dword, 4 qword, 0 undefined.</param>
    /// <param name="address">Address.</param>
    public TableWriter Gas(byte space, int width, int access, ulong address) =>
        address == 0 ? Zeros(12) : U8(space).U8(width).U8(0).U8(access).U64(address);

    /// <summary>Fills with zeros up to an offset.</summary>
    public TableWriter PadTo(int offset) => Zeros(offset - Length);

    /// <summary>The bytes as they are.</summary>
    public byte[] ToBytes() => [.. bytes];

    /// <summary>The table with length and checksum filled in.</summary>
    public byte[] ToTable()
    {
        var table = ToBytes();
        BinaryPrimitives.WriteInt32LittleEndian(table.AsSpan(AcpiTable.Length), table.Length);
        table[AcpiTable.Checksum] = Checksum(table);
        return table;
    }

    /// <summary>What makes all bytes add up to zero.</summary>
    public static byte Checksum(ReadOnlySpan<byte> table)
    {
        byte sum = 0;
        foreach (var value in table)
        {
            sum += value;
        }

        return (byte)-sum;
    }
}
