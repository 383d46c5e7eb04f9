namespace Vmm.GuestDma.Measurement;

/// <summary>Something that uses the DMA API as drivers do.</summary>
public interface ILoad
{
    /// <summary>Bytes that an operation moves.</summary>
    long Bytes { get; }

    /// <summary>Operations that failed, or brought wrong data.</summary>
    int Bad { get; }

    /// <summary>From the start of map to the end of unmap.</summary>
    LatencyTable Latency { get; }

    /// <summary>Runs a number of operations; what was begun before may end meanwhile.</summary>
    void Run(int operations);

    /// <summary>Forgets latencies so far.</summary>
    void Restart();

    /// <summary>Ends what is in flight and frees all memory.</summary>
    void Free();
}
