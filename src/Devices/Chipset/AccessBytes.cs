namespace Vmm.Chipset;

/// <summary>Little-endian values of bus accesses, 1 to 8 bytes wide.</summary>
static class AccessBytes
{
    /// <summary>The value that a write carries.</summary>
    public static ulong Load(ReadOnlySpan<byte> data)
    {
        ulong value = 0;
        for (var i = 0; i < data.Length && i < 8; i++)
        {
            value |= (ulong)data[i] << i * 8;
        }

        return value;
    }

    /// <summary>Answers a read: the low bytes of <paramref name="value"/>, zero past the eighth.</summary>
    public static void Store(Span<byte> data, ulong value)
    {
        for (var i = 0; i < data.Length; i++)
        {
            data[i] = i < 8 ? (byte)(value >> i * 8) : (byte)0;
        }
    }
}
