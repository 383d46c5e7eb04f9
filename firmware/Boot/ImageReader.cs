using System.Buffers.Binary;

namespace Vmm.Firmware.Boot;

/// <summary>Bounds-checked little-endian fields of an image.</summary>
internal readonly struct ImageReader(ReadOnlyMemory<byte> image)
{
    /// <summary>The whole image.</summary>
    public ReadOnlyMemory<byte> Image => image;

    /// <summary>Size of the image in bytes.</summary>
    public long Length => image.Length;

    /// <summary>True when the field lies wholly inside the image.</summary>
    public bool Has(long offset, int size) => offset >= 0 && offset <= image.Length - size;

    /// <summary>An unsigned field of 1, 2, 4 or 8 bytes.</summary>
    /// <exception cref="ImageException">It is not wholly inside the image.</exception>
    public ulong Read(string field, long offset, int size)
    {
        if (!Has(offset, size))
        {
            throw new ImageException(field, offset, $"the image ends at 0x{image.Length:x}, before the field does");
        }

        var bytes = image.Span.Slice((int)offset, size);
        return size switch
        {
            1 => bytes[0],
            2 => BinaryPrimitives.ReadUInt16LittleEndian(bytes),
            4 => BinaryPrimitives.ReadUInt32LittleEndian(bytes),
            _ => BinaryPrimitives.ReadUInt64LittleEndian(bytes),
        };
    }

    /// <summary>A part of the image.</summary>
    /// <param name="field">What it is.</param>
    /// <param name="offset">Its first byte.</param>
    /// <param name="length">Its length.</param>
    /// <param name="statedAt">Where the image states offset and length, for the error.</param>
    /// <exception cref="ImageException">It is not wholly inside the image.</exception>
    public ReadOnlyMemory<byte> Slice(string field, ulong offset, ulong length, long statedAt)
    {
        var size = (ulong)image.Length;
        return offset <= size && length <= size - offset
            ? image.Slice((int)offset, (int)length)
            : throw new ImageException(field, statedAt, $"0x{length:x} bytes from 0x{offset:x} on are past the end of the image at 0x{size:x}");
    }
}
