using System.Buffers.Binary;

namespace Vmm.Firmware.Compression;

/// <summary>Zstandard frames without dictionary (RFC 8878), one after the other; skippable frames are skipped.</summary>
internal sealed class ZstdStream(ReadOnlyMemory<byte> data) : DecoderStream
{
    /// <summary>First word of a frame.</summary>
    public const uint Magic = 0xFD2FB528;

    const uint SkippableMagic = 0x184D2A50, SkippableMask = 0xFFFFFFF0;
    const int LargestBlock = 128 << 10;

    readonly ZstdLiterals literals = new();
    readonly ZstdSequences sequences = new();
    HistoryWindow? window;
    XxHash64? hash;
    ulong? statedSize;
    ulong size;
    int blockLimit;
    int frameStart, at;
    bool inFrame;

    enum BlockKind
    {
        Raw,
        Repeated,
        Compressed,
    }

    /// <inheritdoc/>
    protected override bool TryDecode(out ReadOnlyMemory<byte> block)
    {
        block = default;
        if (!inFrame)
        {
            return TryStartFrame();
        }

        var header = Take(3, "zstd block header");
        var word = header[0] | header[1] << 8 | header[2] << 16;
        var length = word >> 3;
        var kind = (BlockKind)(word >> 1 & 3);
        var first = Decode(kind, length);
        block = window!.Buffer.AsMemory(first, window.Position - first);
        hash?.Append(block.Span);
        size += (ulong)block.Length;
        if (size > statedSize)
        {
            throw new ImageException("zstd content size", frameStart, $"the frame holds more than the {statedSize} bytes it states");
        }

        if ((word & 1) != 0)
        {
            FinishFrame();
        }

        return true;
    }

    int Decode(BlockKind kind, int length)
    {
        if (length > blockLimit)
        {
            throw new ImageException("zstd block size", at - 3, $"{length} is above the {blockLimit} bytes of this frame's blocks");
        }

        window!.Reserve(blockLimit);
        var first = window.Position;
        switch (kind)
        {
            case BlockKind.Raw:
                window.Append(Take(length, "zstd raw block"));
                break;
            case BlockKind.Repeated:
                window.Fill(Take(1, "zstd RLE block")[0], length);
                break;
            case BlockKind.Compressed:
                var origin = at;
                var body = Take(length, "zstd block");
                var used = 0;
                var bytes = literals.Read(body, ref used, origin);
                sequences.Execute(body[used..], bytes, window, blockLimit, origin + used);
                break;
            default:
                throw new ImageException("zstd block type", at - 3, "type 3 is reserved");
        }

        return first;
    }

    bool TryStartFrame()
    {
        if (at > 0 && at == data.Length)
        {
            return false;
        }

        frameStart = at;
        var magic = BinaryPrimitives.ReadUInt32LittleEndian(Take(4, "zstd magic"));
        if ((magic & SkippableMask) == SkippableMagic)
        {
            var skip = BinaryPrimitives.ReadUInt32LittleEndian(Take(4, "zstd skippable frame"));
            Take((int)Math.Min(skip, int.MaxValue), "zstd skippable frame");
            return true;
        }

        if (magic != Magic)
        {
            throw new ImageException("zstd magic", frameStart, $"0x{magic:x8} does not start a frame");
        }

        ReadFrameHeader();
        literals.Reset();
        sequences.Reset();
        size = 0;
        return inFrame = true;
    }

    void ReadFrameHeader()
    {
        var descriptor = Take(1, "zstd frame header")[0];
        if ((descriptor & 8) != 0)
        {
            throw new ImageException("zstd frame header", at - 1, "a reserved bit is set");
        }

        var single = (descriptor & 0x20) != 0;
        var windowSize = single ? 0 : WindowSize(Take(1, "zstd window descriptor")[0]);
        if (Field(new[] { 0, 1, 2, 4 }[descriptor & 3], "zstd dictionary id") != 0)
        {
            throw new ImageException("zstd dictionary id", at, "dictionaries are not supported");
        }

        var sizeBytes = (descriptor >> 6) switch { 0 => single ? 1 : 0, 1 => 2, 2 => 4, _ => 8 };
        statedSize = sizeBytes == 0 ? null : Field(sizeBytes, "zstd content size") + (sizeBytes == 2 ? 256u : 0);
        windowSize = single ? statedSize!.Value : windowSize;
        if (windowSize > HistoryWindow.MaximumHistory)
        {
            throw new ImageException("zstd window size", frameStart, $"{windowSize} bytes are above the {HistoryWindow.MaximumHistory >> 20} MiB that are supported");
        }

        blockLimit = (int)Math.Min(windowSize, LargestBlock);
        window ??= new HistoryWindow((int)windowSize, LargestBlock);
        window.Restart((int)windowSize);
        hash = (descriptor & 4) != 0 ? new XxHash64() : null;
    }

    static ulong WindowSize(byte descriptor)
    {
        var start = 1UL << 10 + (descriptor >> 3);
        return start + (start >> 3) * (descriptor & 7u);
    }

    void FinishFrame()
    {
        inFrame = false;
        if (size != (statedSize ?? size))
        {
            throw new ImageException("zstd content size", frameStart, $"{statedSize} bytes are stated, {size} came");
        }

        if (hash != null && BinaryPrimitives.ReadUInt32LittleEndian(Take(4, "zstd checksum")) != (uint)hash.Value())
        {
            throw new ImageException("zstd checksum", at - 4, "it does not match the data");
        }
    }

    ulong Field(int bytes, string name)
    {
        ulong value = 0;
        var raw = Take(bytes, name);
        for (var i = 0; i < bytes; i++)
        {
            value |= (ulong)raw[i] << 8 * i;
        }

        return value;
    }

    ReadOnlySpan<byte> Take(int count, string field)
    {
        if (count > data.Length - at)
        {
            throw new ImageException(field, at, $"{count} bytes are needed, {data.Length - at} remain");
        }

        at += count;
        return data.Span.Slice(at - count, count);
    }
}
