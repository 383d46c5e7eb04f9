using System.Runtime.InteropServices;
using ICSharpCode.SharpZipLib.BZip2;

namespace Vmm.Firmware.Compression;

/// <summary>bzip2, decoded by SharpZipLib; whatever that throws becomes an <see cref="ImageException"/>.</summary>
internal sealed class Bzip2Stream : DecoderStream
{
    readonly MemoryStream input;
    readonly BZip2InputStream decoder;
    readonly byte[] buffer = new byte[1 << 16];

    /// <summary>Reads the header.</summary>
    public Bzip2Stream(ReadOnlyMemory<byte> data)
    {
        input = MemoryMarshal.TryGetArray(data, out var array)
            ? new MemoryStream(array.Array!, array.Offset, array.Count, writable: false)
            : new MemoryStream(data.ToArray(), writable: false);
        decoder = Guarded(() => new BZip2InputStream(input));
    }

    /// <inheritdoc/>
    protected override bool TryDecode(out ReadOnlyMemory<byte> block)
    {
        var count = Guarded(() => decoder.Read(buffer, 0, buffer.Length));
        block = buffer.AsMemory(0, Math.Max(count, 0));
        return count > 0;
    }

    T Guarded<T>(Func<T> action)
    {
        try
        {
            return action();
        }
        // A foreign decoder may fail in any way on bytes it did not foresee.
        catch (Exception failure) when (failure is not OutOfMemoryException)
        {
            throw new ImageException("bzip2 data", input.Position, failure.Message);
        }
    }
}
