using Vmm.Platform.Snapshots;
using Vmm.Platform.Time;

namespace Vmm.Platform.Block;

/// <summary>
/// When the media of a disk have served a command: each takes one of a number of channels for its time, then its data pass
/// one link of limited bandwidth. Without limits, commands do not see each other.
/// </summary>
/// <param name="clock">The machine's clock.</param>
/// <param name="times">How long what takes.</param>
public sealed class MediaSchedule(VirtualClock clock, MediaTimes times)
{
    const ulong Nanosecond = 1_000_000_000;

    readonly ulong[] channels = new ulong[times.Parallelism];
    ulong linkFree;

    /// <summary>Due time, in cycles, of a command that the media get now. Never now, so one event cannot make another without end.</summary>
    /// <param name="work">What it does.</param>
    /// <param name="bytes">Bytes it moves.</param>
    public ulong Admit(MediaWork work, ulong bytes)
    {
        var time = Math.Max(1, clock.ToCycles(times.Of(work, bytes), Nanosecond));
        var due = clock.Now + time;
        if (channels.Length > 0)
        {
            ref var channel = ref channels[Earliest()];
            due = channel = Math.Max(clock.Now, channel) + time;
        }

        if (times.BytesPerSecond != 0 && bytes != 0)
        {
            due = linkFree = Math.Max(due, linkFree) + clock.ToCycles(bytes, times.BytesPerSecond);
        }

        return due;
    }

    /// <summary>Due time of what goes past the media.</summary>
    public ulong After(ulong nanoseconds) => clock.Now + Math.Max(1, clock.ToCycles(nanoseconds, Nanosecond));

    /// <summary>Forgets what is under way.</summary>
    public void Reset()
    {
        Array.Clear(channels);
        linkFree = 0;
    }

    /// <summary>Writes what is under way.</summary>
    public void Save(SnapshotWriter writer)
    {
        writer.U16((ushort)channels.Length);
        foreach (var free in channels)
        {
            writer.U64(free);
        }

        writer.U64(linkFree);
    }

    /// <summary>Reads back what <see cref="Save"/> wrote.</summary>
    /// <exception cref="SnapshotException">The state is of another disk.</exception>
    public void Load(SnapshotReader reader)
    {
        if (reader.U16() != channels.Length)
        {
            throw reader.Bad("the media's parallelism differs from this disk's");
        }

        foreach (ref var free in channels.AsSpan())
        {
            free = reader.U64();
        }

        linkFree = reader.U64();
    }

    int Earliest()
    {
        var best = 0;
        for (var i = 1; i < channels.Length; i++)
        {
            best = channels[i] < channels[best] ? i : best;
        }

        return best;
    }
}
