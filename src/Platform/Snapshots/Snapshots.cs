using System.Buffers.Binary;
using System.Text;
using Vmm.Platform.Time;

namespace Vmm.Platform.Snapshots;

/// <summary>A part of the machine that saves and restores itself as one versioned section.</summary>
public interface ISnapshotPart
{
    /// <summary>Section name: unique in the machine, stable across releases ("lapic0", "ioapic").</summary>
    string SectionName { get; }

    /// <summary>Format version of the section; 1 at first, raised when the layout changes.</summary>
    ushort SectionVersion { get; }

    /// <summary>Writes all state that a guest can observe, now or later.</summary>
    void Save(SnapshotWriter writer);

    /// <summary>Reads back what <see cref="Save"/> wrote. Values are validated: a section may come from a damaged file.</summary>
    /// <exception cref="SnapshotException">The section does not fit this machine.</exception>
    void Load(SnapshotReader reader);
}

/// <summary>A snapshot cannot be read or does not fit; the message names the section and the field.</summary>
public sealed class SnapshotException(string message) : Exception(message);

/// <summary>Builds one section: little-endian values, length-prefixed byte strings.</summary>
public sealed class SnapshotWriter
{
    byte[] buffer = new byte[256];
    int length;

    /// <summary>Bytes written so far.</summary>
    public ReadOnlySpan<byte> Written => buffer.AsSpan(0, length);

    Span<byte> Take(int size)
    {
        if (buffer.Length - length < size)
        {
            Array.Resize(ref buffer, Math.Max(buffer.Length * 2, length + size));
        }

        length += size;
        return buffer.AsSpan(length - size, size);
    }

    /// <summary>Writes one byte.</summary>
    public void U8(byte value) => Take(1)[0] = value;

    /// <summary>Writes 0 or 1.</summary>
    public void Flag(bool value) => U8(value ? (byte)1 : (byte)0);

    /// <summary>Writes 2 bytes.</summary>
    public void U16(ushort value) => BinaryPrimitives.WriteUInt16LittleEndian(Take(2), value);

    /// <summary>Writes 4 bytes.</summary>
    public void U32(uint value) => BinaryPrimitives.WriteUInt32LittleEndian(Take(4), value);

    /// <summary>Writes 8 bytes.</summary>
    public void U64(ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(Take(8), value);

    /// <summary>Writes a length and the bytes.</summary>
    public void Bytes(ReadOnlySpan<byte> value)
    {
        U32((uint)value.Length);
        value.CopyTo(Take(value.Length));
    }

    /// <summary>Writes a UTF-8 string.</summary>
    public void Text(string value) => Bytes(Encoding.UTF8.GetBytes(value));

    /// <summary>Writes whether a timer is armed, and its due time.</summary>
    public void Timer(ClockTimer timer)
    {
        Flag(timer.IsArmed);
        U64(timer.IsArmed ? timer.Due : 0);
    }
}

/// <summary>Reads one section; every read is bounds-checked.</summary>
public sealed class SnapshotReader(string section, ushort version, ReadOnlyMemory<byte> data)
{
    int at;

    /// <summary>Version the section was written with.</summary>
    public ushort Version { get; } = version;

    /// <summary>Section name, for messages.</summary>
    public string Section { get; } = section;

    /// <summary>Bytes not read yet.</summary>
    public int Remaining => data.Length - at;

    ReadOnlySpan<byte> Take(int size)
    {
        if (size < 0 || size > Remaining)
        {
            throw new SnapshotException($"snapshot section '{Section}': {size} bytes needed at offset {at}, {Remaining} left");
        }

        at += size;
        return data.Span.Slice(at - size, size);
    }

    /// <summary>An exception that names this section.</summary>
    public SnapshotException Bad(string what) => new($"snapshot section '{Section}': {what}");

    /// <summary>Reads one byte.</summary>
    public byte U8() => Take(1)[0];

    /// <summary>Reads 0 or 1.</summary>
    public bool Flag() => U8() switch { 0 => false, 1 => true, var other => throw Bad($"flag has value {other} at offset {at - 1}") };

    /// <summary>Reads 2 bytes.</summary>
    public ushort U16() => BinaryPrimitives.ReadUInt16LittleEndian(Take(2));

    /// <summary>Reads 4 bytes.</summary>
    public uint U32() => BinaryPrimitives.ReadUInt32LittleEndian(Take(4));

    /// <summary>Reads 8 bytes.</summary>
    public ulong U64() => BinaryPrimitives.ReadUInt64LittleEndian(Take(8));

    /// <summary>Reads a length and that many bytes; the span is valid while the snapshot is.</summary>
    public ReadOnlySpan<byte> Bytes()
    {
        var size = U32();
        return size > (uint)Remaining ? throw Bad($"length {size} at offset {at - 4} exceeds the section") : Take((int)size);
    }

    /// <summary>Reads exactly <c>destination.Length</c> bytes that were written with a length.</summary>
    public void BytesInto(Span<byte> destination)
    {
        var bytes = Bytes();
        if (bytes.Length != destination.Length)
        {
            throw Bad($"{bytes.Length} bytes found where {destination.Length} belong");
        }

        bytes.CopyTo(destination);
    }

    /// <summary>Reads a UTF-8 string.</summary>
    public string Text() => Encoding.UTF8.GetString(Bytes());

    /// <summary>Arms or disarms a timer as it was saved.</summary>
    public void Timer(ClockTimer timer)
    {
        var armed = Flag();
        var due = U64();
        timer.Disarm();
        if (armed)
        {
            timer.Arm(due);
        }
    }

    /// <summary>Fails when bytes are left over.</summary>
    public void End()
    {
        if (Remaining != 0)
        {
            throw Bad($"{Remaining} bytes left over");
        }
    }
}
