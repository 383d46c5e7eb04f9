using System.Buffers.Binary;

namespace Vmm.Firmware.Compression;

/// <summary>LZMA2: chunks that are stored or LZMA coded, each of at most 2 MiB of output (XZ file format §5.3.1).</summary>
internal sealed class Lzma2Decoder(ReadOnlyMemory<byte> data, int start, int dictionary)
{
    const int LongestChunk = 1 << 21;
    const int LiteralBitsLimit = 4;

    readonly HistoryWindow window = new(dictionary, LongestChunk);
    LzmaDecoder? lzma;
    int first;
    bool needsDictionary = true, needsProperties = true, needsState = true;

    /// <summary>Offset of the next byte in the file.</summary>
    public int Position { get; private set; } = start;

    /// <summary>Decodes one chunk; false at the end mark. The bytes stay valid until the next call.</summary>
    public bool TryDecode(out ReadOnlyMemory<byte> chunk)
    {
        var control = Take(1)[0];
        chunk = default;
        if (control == 0)
        {
            return false;
        }

        if (control >= 0x80)
        {
            Compressed(control);
        }
        else if (control <= 2)
        {
            Stored(control == 1);
        }
        else
        {
            throw new ImageException("lzma2 control byte", Position - 1, $"0x{control:x2} has no meaning");
        }

        chunk = window.Buffer.AsMemory(first, window.Position - first);
        return true;
    }

    void Stored(bool resetDictionary)
    {
        PrepareDictionary(resetDictionary);
        var size = BinaryPrimitives.ReadUInt16BigEndian(Take(2)) + 1;
        window.Reserve(size);
        first = window.Position;
        window.Append(Take(size));
        lzma?.Skip(size);
    }

    void Compressed(byte control)
    {
        var at = Position - 1;
        var sizes = Take(4);
        var size = ((control & 0x1F) << 16) + BinaryPrimitives.ReadUInt16BigEndian(sizes) + 1;
        var packed = BinaryPrimitives.ReadUInt16BigEndian(sizes[2..]) + 1;
        PrepareDictionary(control >= 0xE0);
        Prepare(control, at);
        window.Reserve(size);
        first = window.Position;

        var origin = Position;
        var coder = new RangeDecoder(Take(packed), origin);
        if (!lzma!.Decode(ref coder, window, first + size) || lzma.Unfinished != 0 || !coder.Finish() || coder.Offset != Position)
        {
            throw new ImageException("lzma2 chunk", origin, $"the data does not end where the {size} bytes of output do");
        }
    }

    void PrepareDictionary(bool reset)
    {
        if (!reset)
        {
            if (needsDictionary)
            {
                throw new ImageException("lzma2 control byte", Position - 1, "the first chunk does not reset the dictionary");
            }

            return;
        }

        needsDictionary = false;
        needsProperties = true;
        window.Reset();
        lzma?.ResetPosition();
    }

    void Prepare(byte control, int at)
    {
        if (control >= 0xC0)
        {
            // Most blocks of an archive of small files never come here, and the models are large.
            lzma ??= new LzmaDecoder();
            if (!lzma.TryConfigure(Take(1)[0], LiteralBitsLimit))
            {
                throw new ImageException("lzma properties", Position - 1, "lc, lp or pb is out of range");
            }

            needsProperties = needsState = false;
        }
        else if (needsProperties)
        {
            throw new ImageException("lzma2 control byte", at, "a chunk without properties follows a dictionary reset");
        }
        else if (control >= 0xA0)
        {
            lzma!.Reset();
            needsState = false;
        }
        else if (needsState)
        {
            throw new ImageException("lzma2 control byte", at, "a chunk without state reset comes first");
        }
    }

    ReadOnlySpan<byte> Take(int count)
    {
        if (count > data.Length - Position)
        {
            throw new ImageException("lzma2 chunk", Position, $"{count} bytes are needed, {data.Length - Position} remain");
        }

        Position += count;
        return data.Span.Slice(Position - count, count);
    }
}
