using System.Buffers.Binary;

namespace Vmm.Firmware.Compression;

/// <summary>A bit-reflected CRC with all-ones start and final inversion, eight bytes a step.</summary>
internal sealed class ReflectedCrc
{
    readonly ulong[] tables = new ulong[8 * 256];
    readonly ulong ones;

    ReflectedCrc(ulong polynomial, int width)
    {
        ones = Specs.Bits.Mask(width);
        for (var i = 0u; i < 256; i++)
        {
            ulong crc = i;
            for (var bit = 0; bit < 8; bit++)
            {
                crc = (crc & 1) != 0 ? crc >> 1 ^ polynomial : crc >> 1;
            }

            tables[i] = crc;
        }

        for (var i = 256; i < tables.Length; i++)
        {
            var previous = tables[i - 256];
            tables[i] = previous >> 8 ^ tables[(byte)previous];
        }
    }

    /// <summary>CRC-32 of IEEE 802.3.</summary>
    public static ReflectedCrc Crc32 { get; } = new(0xEDB88320, 32);

    /// <summary>CRC-64 of ECMA-182.</summary>
    public static ReflectedCrc Crc64 { get; } = new(0xC96C5795D7870F42, 64);

    /// <summary>The CRC of all bytes so far: <paramref name="previous"/> is the CRC of those before, 0 at the start.</summary>
    public ulong Compute(ReadOnlySpan<byte> bytes, ulong previous = 0)
    {
        var t = tables;
        var crc = previous ^ ones;
        while (bytes.Length >= 8)
        {
            var x = crc ^ BinaryPrimitives.ReadUInt64LittleEndian(bytes);
            crc = t[0x700 + (byte)x] ^ t[0x600 + (byte)(x >> 8)] ^ t[0x500 + (byte)(x >> 16)] ^ t[0x400 + (byte)(x >> 24)]
                ^ t[0x300 + (byte)(x >> 32)] ^ t[0x200 + (byte)(x >> 40)] ^ t[0x100 + (byte)(x >> 48)] ^ t[x >> 56];
            bytes = bytes[8..];
        }

        foreach (var value in bytes)
        {
            crc = crc >> 8 ^ t[(byte)(crc ^ value)];
        }

        return crc ^ ones;
    }
}
