using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.CompilerServices;

namespace Vmm.Firmware.Compression;

/// <summary>
/// A Zstandard bit stream that is read from its end: the highest set bit of the last byte marks where it starts
/// (RFC 8878 §4). Reading past the first byte yields zeros and makes <see cref="Remaining"/> negative.
/// </summary>
internal ref struct BackwardBits
{
    readonly ReadOnlySpan<byte> bytes;

    /// <summary>Finds the start mark.</summary>
    public BackwardBits(ReadOnlySpan<byte> bytes, string field, long origin)
    {
        if (bytes.IsEmpty || bytes[^1] == 0)
        {
            throw new ImageException(field, origin + bytes.Length, "the bit stream has no start mark in its last byte");
        }

        this.bytes = bytes;
        Remaining = bytes.Length * 8 - 8 + BitOperations.Log2(bytes[^1]);
    }

    /// <summary>Bits not read yet; negative once too many were.</summary>
    public int Remaining { readonly get; private set; }

    /// <summary>The next <paramref name="count"/> bits (0 to 32) without consuming them.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly uint Peek(int count)
    {
        var start = Remaining - count;
        var index = start >> 3;
        if (start >= 0 && index + 8 <= bytes.Length)
        {
            return (uint)(BinaryPrimitives.ReadUInt64LittleEndian(bytes[index..]) >> (start & 7) & (1UL << count) - 1);
        }

        return PeekAtEdge(start, count);
    }

    readonly uint PeekAtEdge(int start, int count)
    {
        ulong value = 0;
        for (var i = 0; i < count; i++)
        {
            var bit = start + i;
            if (bit >= 0 && bytes.Length > bit >> 3)
            {
                value |= (ulong)(bytes[bit >> 3] >> (bit & 7) & 1) << i;
            }
        }

        return (uint)value;
    }

    /// <summary>Consumes bits.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Skip(int count) => Remaining -= count;

    /// <summary>Reads <paramref name="count"/> bits (0 to 32).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public uint Read(int count)
    {
        var value = Peek(count);
        Remaining -= count;
        return value;
    }
}
