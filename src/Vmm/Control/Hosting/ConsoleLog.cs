using System.Text;
using Vmm.Platform.Bus;

namespace Vmm.Control.Hosting;

/// <summary>A piece of console output.</summary>
/// <param name="Offset">Offset of its first byte since the machine was built.</param>
/// <param name="Data">Bytes.</param>
/// <param name="Dropped">Bytes before it that are gone.</param>
internal readonly record struct ConsoleChunk(ulong Offset, byte[] Data, ulong Dropped);

/// <summary>
/// What a guest wrote to its console: the latest bytes in a ring that any number of readers follow, each at its own
/// pace, and the line that is being written. The machine's thread writes and never waits for a reader.
/// </summary>
internal sealed class ConsoleLog : IConsoleOutput
{
    /// <summary>Bytes that are kept.</summary>
    public const int Capacity = 1 << 20;

    const int LineLimit = 4096;

    readonly Lock gate = new();
    readonly Signal changed = new();
    readonly byte[] line = new byte[LineLimit];
    readonly List<LineWatch> watches = [];
    byte[] ring = new byte[4096];
    int lineLength;
    ulong written, lastWrite;

    /// <summary>The machine's virtual time in nanoseconds; asked on its thread.</summary>
    public Func<ulong>? VirtualTime { get; set; }

    /// <summary>Virtual time of the latest byte in nanoseconds.</summary>
    public ulong LastWrite => Volatile.Read(ref lastWrite);

    /// <summary>Called on the machine's thread with each complete line.</summary>
    public Action<string>? LineCompleted { get; set; }

    /// <summary>Bytes written so far.</summary>
    public ulong Written
    {
        get
        {
            lock (gate)
            {
                return written;
            }
        }
    }

    /// <summary>Takes over what another machine's console shows, after a fork.</summary>
    public void CopyFrom(ConsoleLog other)
    {
        lock (other.gate)
        {
            ring = (byte[])other.ring.Clone();
            written = other.written;
            lineLength = other.lineLength;
            other.line.CopyTo(line, 0);
        }
    }

    /// <inheritdoc/>
    public void Write(ReadOnlySpan<byte> data)
    {
        lock (gate)
        {
            foreach (var value in data)
            {
                if (written == (ulong)ring.Length && ring.Length < Capacity)
                {
                    Array.Resize(ref ring, ring.Length * 2);
                }

                ring[written++ % (ulong)ring.Length] = value;
            }
        }

        Volatile.Write(ref lastWrite, VirtualTime?.Invoke() ?? 0);
        foreach (var value in data)
        {
            Scan(value);
        }

        changed.Raise();
    }

    void Scan(byte value)
    {
        if (value == '\n')
        {
            LookAt(true);
            LineCompleted?.Invoke(Encoding.UTF8.GetString(line, 0, lineLength));
            lineLength = 0;
        }
        else if (lineLength < LineLimit && value != '\r')
        {
            line[lineLength++] = value;
            LookAt(false);
        }
    }

    void LookAt(bool hasEnded)
    {
        for (var i = watches.Count; i-- > 0;)
        {
            watches[i].Look(line.AsSpan(0, lineLength), hasEnded);
        }
    }

    /// <summary>
    /// Watches the line that is written from now on. Called, like <see cref="Unwatch"/>, on the machine's thread only.
    /// With <paramref name="from"/> the kept past is looked at first.
    /// </summary>
    public void Watch(LineWatch watch, ulong? from)
    {
        if (from is { } start)
        {
            var position = start;
            while (!watch.IsDone && TryRead(ref position, Capacity) is { Data.Length: > 0 } chunk)
            {
                foreach (var part in Lines(chunk.Data))
                {
                    watch.Look(chunk.Data.AsSpan(part), true);
                }
            }
        }
        else
        {
            watch.Look(line.AsSpan(0, lineLength), true);
        }

        if (!watch.IsDone)
        {
            watches.Add(watch);
        }
    }

    static List<Range> Lines(byte[] data)
    {
        var lines = new List<Range>();
        var start = 0;
        for (var i = 0; i <= data.Length; i++)
        {
            if (i == data.Length || data[i] == '\n')
            {
                lines.Add(start..(i > start && data[i - 1] == '\r' ? i - 1 : i));
                start = i + 1;
            }
        }

        return lines;
    }

    /// <summary>Ends a watch.</summary>
    public void Unwatch(LineWatch watch) => watches.Remove(watch);

    /// <summary>What is there from a position on, which moves past it; empty when there is nothing yet.</summary>
    public ConsoleChunk TryRead(ref ulong position, int limit)
    {
        lock (gate)
        {
            var oldest = written - Math.Min(written, (ulong)ring.Length);
            var dropped = position < oldest ? oldest - position : 0;
            position = Math.Max(position, oldest);
            if (position >= written)
            {
                return new(position, [], dropped);
            }

            var data = new byte[Math.Min(written - position, (ulong)limit)];
            for (var i = 0; i < data.Length; i++)
            {
                data[i] = ring[(position + (ulong)i) % (ulong)ring.Length];
            }

            var chunk = new ConsoleChunk(position, data, dropped);
            position += (ulong)data.Length;
            return chunk;
        }
    }

    /// <summary>Completes at the next write, or at <see cref="Close"/>. Taken before looking, so that nothing is missed.</summary>
    public Task Changed => changed.Next;

    /// <summary>The machine is gone: readers get what is left.</summary>
    public void Close()
    {
        IsClosed = true;
        changed.Raise();
    }

    /// <summary>Nothing will be written any more.</summary>
    public bool IsClosed { get; private set; }
}
