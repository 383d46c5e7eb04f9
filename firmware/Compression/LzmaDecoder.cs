namespace Vmm.Firmware.Compression;

/// <summary>
/// The LZMA symbol decoder (LZMA specification by I. Pavlov): literals, matches and repeated matches coded with
/// adaptive bits that depend on the last operations (<c>state</c>) and the output position.
/// </summary>
internal sealed class LzmaDecoder
{
    const int States = 12, MaximumPositionStates = 16;
    const int FirstStateAfterMatch = 7;
    const int DistanceSlots = 64, FirstSlotWithExtraBits = 4, FirstSlotWithDirectBits = 14, AlignBits = 4;
    const int MinimumMatch = 2;
    const uint EndMarker = uint.MaxValue;

    readonly ushort[] isMatch = new ushort[States * MaximumPositionStates];
    readonly ushort[] isRep0Long = new ushort[States * MaximumPositionStates];
    readonly ushort[] isRep = new ushort[States];
    readonly ushort[] isRep0 = new ushort[States];
    readonly ushort[] isRep1 = new ushort[States];
    readonly ushort[] isRep2 = new ushort[States];
    readonly ushort[] distanceSlot = new ushort[4 * DistanceSlots];
    readonly ushort[] distanceSpecial = new ushort[128];
    readonly ushort[] distanceAlign = new ushort[1 << AlignBits];
    readonly LengthModel matchLength = new();
    readonly LengthModel repeatLength = new();
    ushort[] literal = [];

    int literalContextBits;
    uint literalPositionMask;
    uint positionMask;
    int state;
    uint rep0, rep1, rep2, rep3;
    uint produced;
    int unfinished;

    /// <summary>Bytes of a match that did not fit below the last limit.</summary>
    public int Unfinished => unfinished;

    /// <summary>Sets lc, lp and pb from the properties byte and resets the state. False when the byte is not valid.</summary>
    public bool TryConfigure(byte properties, int literalBitsLimit)
    {
        var lc = properties % 9;
        var rest = properties / 9;
        var lp = rest % 5;
        var pb = rest / 5;
        if (pb > 4 || lc + lp > literalBitsLimit)
        {
            return false;
        }

        literalContextBits = lc;
        literalPositionMask = (1u << lp) - 1;
        positionMask = (1u << pb) - 1;
        literal = new ushort[0x300 << lc + lp];
        Reset();
        return true;
    }

    /// <summary>Puts every model and the operation history back to the start.</summary>
    public void Reset()
    {
        foreach (var models in (ReadOnlySpan<ushort[]>)
            [isMatch, isRep0Long, isRep, isRep0, isRep1, isRep2, distanceSlot, distanceSpecial, distanceAlign, literal])
        {
            models.AsSpan().Fill(RangeDecoder.Half);
        }

        matchLength.Reset();
        repeatLength.Reset();
        state = 0;
        rep0 = rep1 = rep2 = rep3 = 0;
        unfinished = 0;
    }

    /// <summary>Starts the position count again, as a dictionary reset does.</summary>
    public void ResetPosition() => produced = 0;

    /// <summary>Counts bytes that entered the window uncompressed.</summary>
    public void Skip(int bytes) => produced += (uint)bytes;

    /// <summary>
    /// Decodes until the window's position reaches <paramref name="limit"/>, for which room must have been reserved.
    /// Returns false when the end marker came first.
    /// </summary>
    public bool Decode(ref RangeDecoder source, HistoryWindow window, int limit)
    {
        // A local copy lets the compiler keep the coder's words in registers.
        var coder = source;
        var buffer = window.Buffer;
        var position = window.Position;
        var more = true;
        if (unfinished > 0)
        {
            position += Copy(buffer, position, window, Math.Min(unfinished, limit - position), source.Offset);
        }

        while (position < limit)
        {
            var positionState = (int)(produced & positionMask);
            if (coder.Bit(ref isMatch[state * MaximumPositionStates + positionState]) == 0)
            {
                DecodeLiteral(ref coder, buffer, position, window);
                position++;
                produced++;
                window.Position = position;
                continue;
            }

            int length;
            if (coder.Bit(ref isRep[state]) == 0)
            {
                (rep3, rep2, rep1) = (rep2, rep1, rep0);
                length = matchLength.Decode(ref coder, positionState) + MinimumMatch;
                state = state < FirstStateAfterMatch ? 7 : 10;
                rep0 = Distance(ref coder, length);
                if (rep0 == EndMarker)
                {
                    more = false;
                    break;
                }
            }
            else
            {
                length = DecodeRepeat(ref coder, positionState);
            }

            unfinished = length;
            position += Copy(buffer, position, window, Math.Min(length, limit - position), coder.Offset);
        }

        source = coder;
        return more;
    }

    int Copy(byte[] buffer, int position, HistoryWindow window, int length, long offset)
    {
        if (rep0 >= (uint)window.Reach)
        {
            throw new ImageException("lzma match distance", offset, $"{rep0 + 1L} bytes back, but {window.Reach} are there");
        }

        HistoryWindow.Repeat(buffer, position, (int)rep0 + 1, length);
        window.Position = position + length;
        produced += (uint)length;
        unfinished -= length;
        return length;
    }

    void DecodeLiteral(ref RangeDecoder coder, byte[] buffer, int position, HistoryWindow window)
    {
        var reach = window.Reach;
        var previous = reach > 0 ? (uint)buffer[position - 1] : 0;
        var context = ((produced & literalPositionMask) << literalContextBits) + (previous >> 8 - literalContextBits);
        var models = literal.AsSpan((int)context * 0x300, 0x300);
        var symbol = 1u;
        if (state >= FirstStateAfterMatch)
        {
            if (rep0 >= (uint)reach)
            {
                throw new ImageException("lzma literal", coder.Offset, "it follows a match that never was");
            }

            uint match = buffer[position - (int)rep0 - 1];
            var offset = 0x100u;
            while (symbol < 0x100 && offset != 0)
            {
                match <<= 1;
                var matchBit = match & offset;
                var bit = coder.Bit(ref models[(int)(offset + matchBit + symbol)]);
                symbol = symbol << 1 | bit;
                offset &= bit != 0 ? matchBit : ~matchBit;
            }
        }

        while (symbol < 0x100)
        {
            symbol = symbol << 1 | coder.Bit(ref models[(int)symbol]);
        }

        buffer[position] = (byte)symbol;
        state = state < 4 ? 0 : state < 10 ? state - 3 : state - 6;
    }

    int DecodeRepeat(ref RangeDecoder coder, int positionState)
    {
        if (coder.Bit(ref isRep0[state]) == 0)
        {
            if (coder.Bit(ref isRep0Long[state * MaximumPositionStates + positionState]) == 0)
            {
                state = state < FirstStateAfterMatch ? 9 : 11;
                return 1;
            }
        }
        else if (coder.Bit(ref isRep1[state]) == 0)
        {
            (rep0, rep1) = (rep1, rep0);
        }
        else if (coder.Bit(ref isRep2[state]) == 0)
        {
            (rep0, rep1, rep2) = (rep2, rep0, rep1);
        }
        else
        {
            (rep0, rep1, rep2, rep3) = (rep3, rep0, rep1, rep2);
        }

        state = state < FirstStateAfterMatch ? 8 : 11;
        return repeatLength.Decode(ref coder, positionState) + MinimumMatch;
    }

    uint Distance(ref RangeDecoder coder, int length)
    {
        var group = Math.Min(length - MinimumMatch, 3);
        var slot = (int)coder.Tree(distanceSlot.AsSpan(group * DistanceSlots, DistanceSlots), 6);
        if (slot < FirstSlotWithExtraBits)
        {
            return (uint)slot;
        }

        var bits = (slot >> 1) - 1;
        var start = (2u | (uint)slot & 1) << bits;
        if (slot < FirstSlotWithDirectBits)
        {
            return start + Reverse(ref coder, distanceSpecial.AsSpan((int)start - slot), bits);
        }

        return start + (coder.Direct(bits - AlignBits) << AlignBits) + Reverse(ref coder, distanceAlign, AlignBits);
    }

    static uint Reverse(ref RangeDecoder coder, Span<ushort> models, int bits)
    {
        var symbol = 1u;
        var value = 0u;
        for (var i = 0; i < bits; i++)
        {
            var bit = coder.Bit(ref models[(int)symbol]);
            symbol = symbol << 1 | bit;
            value |= bit << i;
        }

        return value;
    }

    /// <summary>Models of match lengths less 2: 0-7, 8-15 and 16-271 in three trees.</summary>
    sealed class LengthModel
    {
        readonly ushort[] choice = new ushort[2];
        readonly ushort[] low = new ushort[8 * MaximumPositionStates];
        readonly ushort[] middle = new ushort[8 * MaximumPositionStates];
        readonly ushort[] high = new ushort[256];

        public void Reset()
        {
            choice.AsSpan().Fill(RangeDecoder.Half);
            low.AsSpan().Fill(RangeDecoder.Half);
            middle.AsSpan().Fill(RangeDecoder.Half);
            high.AsSpan().Fill(RangeDecoder.Half);
        }

        public int Decode(ref RangeDecoder coder, int positionState)
        {
            if (coder.Bit(ref choice[0]) == 0)
            {
                return (int)coder.Tree(low.AsSpan(positionState * 8, 8), 3);
            }

            return coder.Bit(ref choice[1]) == 0
                ? 8 + (int)coder.Tree(middle.AsSpan(positionState * 8, 8), 3)
                : 16 + (int)coder.Tree(high, 8);
        }
    }
}
