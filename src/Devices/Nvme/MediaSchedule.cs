using Vmm.Platform.Snapshots;
using Vmm.Platform.Time;

namespace Vmm.Nvme;

/// <summary>
/// When the media have served a command: each takes one of a number of channels for its latency, then its data pass one
/// link of limited bandwidth. Without limits, commands do not see each other.
/// </summary>
sealed class MediaSchedule(VirtualClock clock, int parallelism, ulong bytesPerSecond)
{
    readonly ulong[] channels = new ulong[parallelism];
    ulong linkFree;

    /// <summary>Due time of a command that is fetched now, in cycles.</summary>
    public ulong Admit(ulong latency, ulong bytes)
    {
        var due = clock.Now + latency;
        if (channels.Length > 0)
        {
            ref var channel = ref channels[Earliest()];
            due = channel = Math.Max(clock.Now, channel) + latency;
        }

        if (bytesPerSecond != 0 && bytes != 0)
        {
            due = linkFree = Math.Max(due, linkFree) + clock.ToCycles(bytes, bytesPerSecond);
        }

        return due;
    }

    /// <summary>Forgets what is under way.</summary>
    public void Reset()
    {
        Array.Clear(channels);
        linkFree = 0;
    }

    public void Save(SnapshotWriter writer)
    {
        writer.U16((ushort)channels.Length);
        foreach (var free in channels)
        {
            writer.U64(free);
        }

        writer.U64(linkFree);
    }

    public void Load(SnapshotReader reader)
    {
        if (reader.U16() != channels.Length)
        {
            throw reader.Bad("the media's parallelism differs from this controller's");
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
