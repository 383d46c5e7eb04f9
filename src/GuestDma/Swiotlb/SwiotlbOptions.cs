namespace Vmm.GuestDma.Swiotlb;

/// <summary>Shape of a software IO TLB.</summary>
public sealed record SwiotlbOptions
{
    /// <summary>Bytes of a slot.</summary>
    public const int SlotBytes = 2048;

    /// <summary>Slots that a mapping can have: 256 KiB. Areas are made of sets of so many.</summary>
    public const int SetSlots = 128;

    /// <summary>Memory of the static form, in bytes.</summary>
    public ulong Bytes { get; init; } = 64 << 20;

    /// <summary>Memory that the dynamic form starts with, in bytes.</summary>
    public ulong StartBytes { get; init; } = 1 << 20;

    /// <summary>Memory that the dynamic form adds at once, in bytes; half of it and so on down to <see cref="LeastGrowth"/> when that is not there.</summary>
    public ulong Growth { get; init; } = 4 << 20;

    /// <summary>Least that it adds, in bytes.</summary>
    public ulong LeastGrowth { get; init; } = 1 << 20;

    /// <summary>Time until the worker that adds memory runs, in nanoseconds.</summary>
    public ulong WorkerNanoseconds { get; init; } = 20_000;

    /// <summary>Memory that was added goes back when nobody used it for as long, in nanoseconds.</summary>
    public ulong IdleNanoseconds { get; init; } = 5_000_000_000;

    /// <summary>Every mapping is copied, also of memory that the device reaches.</summary>
    public bool Forced { get; init; }

    /// <summary>What a guest with encrypted memory reserves, all of whose DMA is copied: 6 % of its memory, 64 MiB to 1 GiB.</summary>
    public static ulong EncryptedGuestBytes(ulong memory) => Math.Clamp(memory * 6 / 100, 64ul << 20, 1ul << 30) & ~((4ul << 20) - 1);
}
