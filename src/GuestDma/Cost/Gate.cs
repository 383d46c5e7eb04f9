namespace Vmm.GuestDma.Cost;

/// <summary>
/// A lock in virtual time. While <see cref="CostMeter.Contends"/> is set, processors that run after each other on the host but
/// at the same time in the machine wait for each other here; else it is always free.
/// </summary>
public sealed class Gate
{
    /// <summary>Time from which on it is free.</summary>
    internal ulong FreeAt { get; set; }

    /// <summary>Processor that held it last.</summary>
    internal int Holder { get; set; } = -1;

    /// <summary>Times that it was taken.</summary>
    public ulong Taken { get; internal set; }

    /// <summary>Times that it was not free.</summary>
    public ulong Contended { get; internal set; }

    /// <summary>Cycles that processors waited for it.</summary>
    public ulong Waited { get; internal set; }
}
