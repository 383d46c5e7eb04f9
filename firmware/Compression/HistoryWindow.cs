using System.Runtime.CompilerServices;

namespace Vmm.Firmware.Compression;

/// <summary>
/// Decoded bytes that later matches may refer to. The buffer grows with what was really decoded, never with what a
/// header promises, and slides once it holds twice the history.
/// </summary>
internal sealed class HistoryWindow
{
    const int FirstSize = 1 << 12;

    readonly int burst;
    int history;
    int capacity;
    byte[] buffer;
    int oldest;

    /// <summary>Creates an empty window.</summary>
    /// <param name="history">Longest distance a match may have, in bytes; at most <see cref="MaximumHistory"/>.</param>
    /// <param name="burst">Most bytes that one <see cref="Reserve"/> asks for.</param>
    public HistoryWindow(int history, int burst)
    {
        this.history = history;
        this.burst = burst;
        capacity = 2 * history + burst;
        buffer = new byte[Math.Min(capacity, FirstSize)];
    }

    /// <summary>Largest history supported, in bytes: what any sane encoder uses, with room to spare.</summary>
    public const int MaximumHistory = 512 << 20;

    /// <summary>The bytes; valid below <see cref="Position"/>.</summary>
    public byte[] Buffer => buffer;

    /// <summary>Where the next byte goes.</summary>
    public int Position { get; set; }

    /// <summary>Longest distance that is valid now.</summary>
    public int Reach
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => Math.Min(Position - oldest, history);
    }

    /// <summary>Forgets all history: nothing before the current position can be referred to.</summary>
    public void Reset() => oldest = Position;

    /// <summary>Forgets all history and goes on with another longest distance.</summary>
    public void Restart(int longestDistance)
    {
        Reset();
        history = longestDistance;
        capacity = 2 * history + burst;
    }

    /// <summary>Makes room for <paramref name="bytes"/> more bytes. Positions taken before are not valid afterwards.</summary>
    public void Reserve(int bytes)
    {
        if (buffer.Length - Position >= bytes)
        {
            return;
        }

        if (buffer.Length < capacity)
        {
            var size = Math.Min(capacity, Math.Max(2L * buffer.Length, (long)Position + bytes));
            Array.Resize(ref buffer, (int)size);
        }

        if (buffer.Length - Position < bytes)
        {
            var keep = Math.Min(Position, history);
            buffer.AsSpan(Position - keep, keep).CopyTo(buffer);
            oldest = Math.Max(0, oldest - (Position - keep));
            Position = keep;
        }
    }

    /// <summary>Appends bytes; room must have been reserved.</summary>
    public void Append(ReadOnlySpan<byte> bytes)
    {
        bytes.CopyTo(buffer.AsSpan(Position));
        Position += bytes.Length;
    }

    /// <summary>Appends <paramref name="count"/> copies of a byte; room must have been reserved.</summary>
    public void Fill(byte value, int count)
    {
        buffer.AsSpan(Position, count).Fill(value);
        Position += count;
    }

    /// <summary>Repeats bytes from <paramref name="distance"/> back, which must be 1 to <see cref="Reach"/>; room must have been reserved.</summary>
    public void Repeat(int distance, int length)
    {
        Repeat(buffer, Position, distance, length);
        Position += length;
    }

    /// <summary>Copies a match inside a buffer; source and target may overlap, which repeats the pattern.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Repeat(byte[] buffer, int position, int distance, int length)
    {
        var target = buffer.AsSpan(position, length);
        var source = buffer.AsSpan(position - distance, length);
        if (distance >= length)
        {
            source.CopyTo(target);
        }
        else
        {
            RepeatOverlapping(source, target, distance);
        }
    }

    static void RepeatOverlapping(ReadOnlySpan<byte> source, Span<byte> target, int distance)
    {
        if (distance == 1)
        {
            target.Fill(source[0]);
            return;
        }

        // What was written so far is itself a whole number of patterns, so each round may copy twice as much.
        source[..distance].CopyTo(target);
        var done = distance;
        while (done < target.Length)
        {
            var part = Math.Min(done, target.Length - done);
            target[..part].CopyTo(target[done..]);
            done += part;
        }
    }
}
