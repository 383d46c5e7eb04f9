using System.Runtime.CompilerServices;

namespace Vmm.Firmware.Compression;

/// <summary>The binary range decoder of LZMA: adaptive bits with 11-bit probabilities.</summary>
internal ref struct RangeDecoder
{
    const uint Top = 1u << 24;
    const int ModelBits = 11, MoveBits = 5;

    /// <summary>Probability of one half, where every model starts.</summary>
    public const ushort Half = 1 << ModelBits - 1;

    readonly ReadOnlySpan<byte> input;
    readonly long origin;
    uint range;
    uint code;
    int position;

    /// <summary>Starts decoding: the first five bytes set the code.</summary>
    /// <param name="input">All bytes that may be consumed.</param>
    /// <param name="origin">Offset of the first byte in the file, for errors.</param>
    public RangeDecoder(ReadOnlySpan<byte> input, long origin)
    {
        this.input = input;
        this.origin = origin;
        range = uint.MaxValue;
        if (input.Length < 5 || input[0] != 0)
        {
            throw new ImageException("lzma range coder", origin, "the first byte is not 0 or five bytes are not there");
        }

        code = (uint)(input[1] << 24 | input[2] << 16 | input[3] << 8 | input[4]);
        position = 5;
    }

    /// <summary>Resumes from a saved state.</summary>
    public RangeDecoder(ReadOnlySpan<byte> input, long origin, (uint Range, uint Code, int Position) saved)
    {
        this.input = input;
        this.origin = origin;
        (range, code, position) = saved;
    }

    /// <summary>What to keep in order to resume.</summary>
    public readonly (uint Range, uint Code, int Position) State => (range, code, position);

    /// <summary>Offset of the next byte in the file.</summary>
    public readonly long Offset => origin + position;

    /// <summary>Decodes one bit with a model that adapts.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public uint Bit(ref ushort probability)
    {
        if (range < Top)
        {
            Shift();
        }

        uint p = probability;
        var bound = (range >> ModelBits) * p;
        if (code < bound)
        {
            range = bound;
            probability = (ushort)(p + ((1u << ModelBits) - p >> MoveBits));
            return 0;
        }

        range -= bound;
        code -= bound;
        probability = (ushort)(p - (p >> MoveBits));
        return 1;
    }

    /// <summary>Decodes <paramref name="bits"/> bits, most significant first, with a tree of models.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public uint Tree(Span<ushort> models, int bits)
    {
        var symbol = 1u;
        for (var i = 0; i < bits; i++)
        {
            symbol = symbol << 1 | Bit(ref models[(int)symbol]);
        }

        return symbol - (1u << bits);
    }

    /// <summary>Decodes bits of equal probability, most significant first.</summary>
    public uint Direct(int bits)
    {
        var value = 0u;
        for (var i = 0; i < bits; i++)
        {
            if (range < Top)
            {
                Shift();
            }

            range >>= 1;
            var bit = code >= range ? 1u : 0u;
            code -= range & 0u - bit;
            value = value << 1 | bit;
        }

        return value;
    }

    /// <summary>Consumes the byte that the last symbol may have left over. True when the code says that the data ends here.</summary>
    public bool Finish()
    {
        if (range < Top)
        {
            Shift();
        }

        return code == 0;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    void Shift()
    {
        if ((uint)position >= (uint)input.Length)
        {
            throw new ImageException("lzma data", origin + position, "it ends too early");
        }

        range <<= 8;
        code = code << 8 | input[position++];
    }
}
