using System.Buffers.Binary;
using Vmm.Platform.Snapshots;

namespace Vmm.Platform.Registers;

/// <summary>
/// A block of registers described by one table. Guest accesses of 1 to 8 bytes at any alignment obey the table's masks
/// byte by byte, also when they straddle registers; the device itself gets and sets raw values. Side effects belong to
/// the device: a <c>switch</c> over the offsets that <see cref="Write"/> reports. Bytes outside registers read 0.
/// </summary>
public sealed class RegisterFile
{
    // The arrays are 8 bytes longer than the file, so that a full word can be loaded at every offset.
    const int Slack = 8;

    readonly byte[] values;
    readonly byte[] write;
    readonly byte[] clearOnOne;
    readonly byte[] writeOnly;
    readonly byte[] reset;
    readonly short[] owner;
    RegisterDefinition[] definitions = [];

    /// <param name="length">Length of the block in bytes.</param>
    /// <param name="table">Its registers; more may be added with <see cref="Define"/>.</param>
    /// <exception cref="ArgumentException">A register is outside the block, has a size other than 1, 2, 4, 8 or 16, or overlaps another.</exception>
    public RegisterFile(int length, params ReadOnlySpan<RegisterDefinition> table)
    {
        Length = length;
        values = new byte[length + Slack];
        write = new byte[length + Slack];
        clearOnOne = new byte[length + Slack];
        writeOnly = new byte[length + Slack];
        reset = new byte[length + Slack];
        owner = new short[length];
        Array.Fill(owner, (short)-1);
        foreach (ref readonly var definition in table)
        {
            Define(definition);
        }
    }

    /// <summary>Length of the block in bytes.</summary>
    public int Length { get; }

    /// <summary>The table, in order of definition.</summary>
    public ReadOnlySpan<RegisterDefinition> Definitions => definitions;

    /// <summary>Adds a register while the device is built; it takes its reset value.</summary>
    /// <exception cref="ArgumentException">It is outside the block, has a bad size, or overlaps another register.</exception>
    public void Define(in RegisterDefinition definition)
    {
        var (name, offset, size) = (definition.Name, definition.Offset, definition.Size);
        if (size is not (1 or 2 or 4 or 8 or 16) || offset < 0 || offset > Length - size)
        {
            throw new ArgumentException($"register {name}: {size} bytes at 0x{offset:x} do not fit a block of 0x{Length:x}", nameof(definition));
        }

        for (var i = 0; i < size; i++)
        {
            if (owner[offset + i] >= 0)
            {
                throw new ArgumentException($"register {name} overlaps {definitions[owner[offset + i]].Name}", nameof(definition));
            }
        }

        owner.AsSpan(offset, size).Fill((short)definitions.Length);
        definitions = [.. definitions, definition];
        Put(write, definition, definition.Write);
        Put(clearOnOne, definition, definition.ClearOnOne);
        Put(writeOnly, definition, definition.WriteOnly);
        Put(reset, definition, definition.Reset);
        Put(values, definition, definition.Reset);
    }

    /// <summary>Replaces the write mask of a register, for hardware that locks or unlocks fields.</summary>
    public void SetWriteMask(int offset, UInt128 mask) => Put(write, definitions[owner[offset]], mask);

    /// <summary>Replaces the reset value of a register, and its present value, while the device is built.</summary>
    public void SetReset(int offset, UInt128 value)
    {
        Put(reset, definitions[owner[offset]], value);
        Put(values, definitions[owner[offset]], value);
    }

    /// <summary>
    /// Guest read of 1 to 8 bytes at any alignment. False when the access is not wholly inside the block;
    /// <paramref name="data"/> is then unchanged.
    /// </summary>
    public bool Read(ulong offset, Span<byte> data)
    {
        if (!Contains(offset, data.Length))
        {
            return false;
        }

        var at = (int)offset;
        PutWord(data, Word(values, at) & ~Word(writeOnly, at));
        return true;
    }

    /// <summary>
    /// Guest write of 1 to 8 bytes at any alignment. Enumerate the result for the offsets of the registers touched, in
    /// ascending order, to run side effects; it is empty when the access is not wholly inside the block.
    /// </summary>
    public TouchedRegisters Write(ulong offset, ReadOnlySpan<byte> data)
    {
        if (!Contains(offset, data.Length))
        {
            return default;
        }

        var at = (int)offset;
        var lanes = data.Length == 8 ? ulong.MaxValue : (1ul << data.Length * 8) - 1;
        var written = GetWord(data);
        var replace = Word(write, at) & lanes;
        var result = Word(values, at) & ~replace | written & replace;
        PutWord(values.AsSpan(at, data.Length), result & ~(written & Word(clearOnOne, at)));
        return new(this, at, at + data.Length);
    }

    /// <summary>Gives every register its reset value.</summary>
    public void Reset() => reset.CopyTo(values, 0);

    /// <summary>Raw byte.</summary>
    public byte Get8(int offset) => values[offset];

    /// <summary>Raw 2 bytes.</summary>
    public ushort Get16(int offset) => BinaryPrimitives.ReadUInt16LittleEndian(values.AsSpan(offset));

    /// <summary>Raw 4 bytes.</summary>
    public uint Get32(int offset) => BinaryPrimitives.ReadUInt32LittleEndian(values.AsSpan(offset));

    /// <summary>Raw 8 bytes.</summary>
    public ulong Get64(int offset) => BinaryPrimitives.ReadUInt64LittleEndian(values.AsSpan(offset));

    /// <summary>Raw 16 bytes.</summary>
    public UInt128 Get128(int offset) => BinaryPrimitives.ReadUInt128LittleEndian(values.AsSpan(offset));

    /// <summary>Sets a raw byte, masks notwithstanding.</summary>
    public void Set8(int offset, byte value) => values[offset] = value;

    /// <summary>Sets 2 raw bytes.</summary>
    public void Set16(int offset, ushort value) => BinaryPrimitives.WriteUInt16LittleEndian(values.AsSpan(offset), value);

    /// <summary>Sets 4 raw bytes.</summary>
    public void Set32(int offset, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(values.AsSpan(offset), value);

    /// <summary>Sets 8 raw bytes.</summary>
    public void Set64(int offset, ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(values.AsSpan(offset), value);

    /// <summary>Sets 16 raw bytes.</summary>
    public void Set128(int offset, UInt128 value) => BinaryPrimitives.WriteUInt128LittleEndian(values.AsSpan(offset), value);

    /// <summary>Changes some bits of a 32-bit register: clears <paramref name="clear"/>, then sets <paramref name="set"/>.</summary>
    public void Change32(int offset, uint clear, uint set) => Set32(offset, Get32(offset) & ~clear | set);

    /// <summary>Every register with its stored value, for inspection.</summary>
    public IEnumerable<RegisterValue> Inspect()
    {
        foreach (var definition in definitions)
        {
            UInt128 value = 0;
            for (var i = definition.Size; i-- > 0;)
            {
                value = value << 8 | values[definition.Offset + i];
            }

            yield return new(definition.Name, definition.Offset, definition.Size, value);
        }
    }

    /// <summary>Writes all values into a device's section.</summary>
    public void Save(SnapshotWriter writer) => writer.Bytes(values.AsSpan(0, Length));

    /// <summary>Reads back what <see cref="Save"/> wrote; bits that the guest cannot write and the device does not set may hold anything.</summary>
    public void Load(SnapshotReader reader) => reader.BytesInto(values.AsSpan(0, Length));

    /// <summary>Index of the register at a byte, or -1.</summary>
    internal int Owner(int offset) => owner[offset];

    internal int OffsetOf(int index) => definitions[index].Offset;

    bool Contains(ulong offset, int length) => length is > 0 and <= 8 && offset <= (ulong)Length && (ulong)length <= (ulong)Length - offset;

    static ulong Word(byte[] bytes, int at) => BinaryPrimitives.ReadUInt64LittleEndian(bytes.AsSpan(at, 8));

    static ulong GetWord(ReadOnlySpan<byte> data)
    {
        ulong word = 0;
        for (var i = data.Length; i-- > 0;)
        {
            word = word << 8 | data[i];
        }

        return word;
    }

    static void PutWord(Span<byte> data, ulong word)
    {
        for (var i = 0; i < data.Length; i++, word >>= 8)
        {
            data[i] = (byte)word;
        }
    }

    static void Put(byte[] bytes, in RegisterDefinition at, UInt128 value)
    {
        for (var i = 0; i < at.Size; i++, value >>= 8)
        {
            bytes[at.Offset + i] = (byte)value;
        }
    }
}
