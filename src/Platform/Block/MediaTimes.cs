namespace Vmm.Platform.Block;

/// <summary>What a command does to the media of a disk.</summary>
public enum MediaWork : byte
{
    /// <summary>Reads them.</summary>
    Read,

    /// <summary>Writes them.</summary>
    Write,

    /// <summary>Empties the volatile cache.</summary>
    Flush,
}

/// <summary>How long the media of a disk take, in virtual time.</summary>
public sealed record MediaTimes
{
    /// <summary>Commands worked on at once, at most.</summary>
    public const int ParallelismLimit = 1024;

    /// <summary>A command that reads media, in nanoseconds.</summary>
    public ulong ReadNanoseconds { get; init; } = 10_000;

    /// <summary>A command that writes media, in nanoseconds.</summary>
    public ulong WriteNanoseconds { get; init; } = 10_000;

    /// <summary>A flush, in nanoseconds.</summary>
    public ulong FlushNanoseconds { get; init; } = 20_000;

    /// <summary>Additional time for each KiB of data, in nanoseconds.</summary>
    public ulong NanosecondsPerKibibyte { get; init; }

    /// <summary>Commands that are worked on at once, 1 to <see cref="ParallelismLimit"/>; 0 for any number.</summary>
    public int Parallelism { get; init; }

    /// <summary>Bytes in a second that all commands together can move; 0 for no limit.</summary>
    public ulong BytesPerSecond { get; init; }

    /// <summary>True when every setting is in range.</summary>
    public bool IsValid => Parallelism is >= 0 and <= ParallelismLimit;

    /// <summary>Time of one command by itself, in nanoseconds.</summary>
    public ulong Of(MediaWork work, ulong bytes)
    {
        var data = (bytes >> 10) * NanosecondsPerKibibyte;
        return data + work switch
        {
            MediaWork.Read => ReadNanoseconds,
            MediaWork.Write => WriteNanoseconds,
            _ => FlushNanoseconds,
        };
    }
}
