using Vmm.Api.V1;

namespace Vmm.Control.Hosting;

/// <summary>
/// Events of all machines in one order. The latest are kept, and every watcher reads them at its own pace: one that
/// falls behind costs nobody memory and learns how many it missed.
/// </summary>
internal sealed class EventLog
{
    readonly WatchEventsResponse?[] ring;
    readonly Lock gate = new();
    readonly Signal changed = new();
    readonly string epoch;
    ulong last;

    /// <param name="capacity">Events that are kept.</param>
    /// <param name="epoch">Names this log, so that a token of another one is not mistaken for one of this.</param>
    public EventLog(int capacity, string epoch)
    {
        ring = new WatchEventsResponse?[capacity];
        this.epoch = epoch;
    }

    /// <summary>Events that are kept.</summary>
    public int Capacity => ring.Length;

    /// <summary>Number of the latest event.</summary>
    public ulong Last
    {
        get
        {
            lock (gate)
            {
                return last;
            }
        }
    }

    /// <summary>Completes at the next event.</summary>
    public Task Changed => changed.Next;

    /// <summary>Adds an event and gives it its number.</summary>
    public void Add(string machine, ulong virtualNanoseconds, WatchEventsResponse happening)
    {
        happening.Machine = machine;
        happening.VirtualTimeNs = virtualNanoseconds;
        happening.WallTime = Google.Protobuf.WellKnownTypes.Timestamp.FromDateTime(DateTime.UtcNow);
        lock (gate)
        {
            happening.Sequence = ++last;
            happening.ResumeToken = Token(last);
            ring[last % (ulong)ring.Length] = happening;
        }

        changed.Raise();
    }

    /// <summary>
    /// The event after a position, which moves to it; null when there is none yet. When events in between are gone, the
    /// answer is an event that says how many, and the position moves to the last of them.
    /// </summary>
    public WatchEventsResponse? Read(ref ulong position)
    {
        lock (gate)
        {
            if (position >= last)
            {
                return null;
            }

            var oldest = last - Math.Min(last, (ulong)ring.Length) + 1;
            if (position + 1 < oldest)
            {
                var count = oldest - 1 - position;
                position = oldest - 1;
                return new()
                {
                    Sequence = position, ResumeToken = Token(position), Dropped = new() { Count = count },
                    WallTime = Google.Protobuf.WellKnownTypes.Timestamp.FromDateTime(DateTime.UtcNow),
                };
            }

            return ring[++position % (ulong)ring.Length];
        }
    }

    /// <summary>Position of a token; false for one that this log never gave.</summary>
    public bool TryParse(string token, out ulong position)
    {
        position = 0;
        return token.Length < 64 && token.StartsWith(epoch + "-", StringComparison.Ordinal) &&
            ulong.TryParse(token.AsSpan(epoch.Length + 1), System.Globalization.NumberStyles.None, null, out position) && position <= Last;
    }

    string Token(ulong sequence) => $"{epoch}-{sequence}";
}
