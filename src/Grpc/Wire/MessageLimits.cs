namespace Vmm.Grpc.Wire;

/// <summary>What one message may take.</summary>
internal sealed class MessageLimits
{
    public int MaxReceive { get; init; } = GrpcLimits.DefaultMaxMessage;

    /// <summary>Most fields of a message received.</summary>
    public int MaxFields { get; init; } = int.MaxValue;

    public int MaxSend { get; init; } = GrpcLimits.DefaultMaxMessage;

    /// <summary>Longest time from the first byte of a message to its last.</summary>
    public TimeSpan MessageTimeout { get; init; } = Timeout.InfiniteTimeSpan;

    /// <summary>Longest time that a send may wait for the peer to make room.</summary>
    public TimeSpan SendTimeout { get; init; } = Timeout.InfiniteTimeSpan;

    /// <summary>Bytes of unfinished messages, shared by all calls.</summary>
    public ReceiveBudget Budget { get; init; } = new(long.MaxValue);
}

/// <summary>Bytes that unfinished messages may hold in memory, all calls together.</summary>
internal sealed class ReceiveBudget(long limit)
{
    long left = limit;

    public bool TryTake(long bytes)
    {
        if (Interlocked.Add(ref left, -bytes) >= 0)
        {
            return true;
        }

        Give(bytes);
        return false;
    }

    public void Give(long bytes) => Interlocked.Add(ref left, bytes);
}
