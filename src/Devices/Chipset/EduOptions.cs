namespace Vmm.Chipset;

/// <summary>Settings of an <see cref="Edu"/> device.</summary>
public sealed record EduOptions
{
    /// <summary>Bits of a bus address that the DMA engine drives: 28 by default, as QEMU's device.</summary>
    public ulong DmaMask { get; init; } = (1ul << 28) - 1;

    /// <summary>The DMA engine drives all 64 bits of whatever address it is told, mask or no mask: a device gone bad.</summary>
    public bool Rogue { get; init; }

    /// <summary>Virtual time from command to end of a transfer, in nanoseconds. QEMU's device takes 100 ms.</summary>
    public ulong DmaNanoseconds { get; init; } = 100_000;

    /// <summary>Virtual time that a factorial takes, in nanoseconds.</summary>
    public ulong FactorialNanoseconds { get; init; } = 10_000;
}
