using Vmm.Platform.Dma;

namespace Vmm.Platform.Faults;

/// <summary>A rule that breaks something on purpose: when, and what happens then.</summary>
/// <param name="Name">Unique in the machine: 1 to 63 of a-z, 0-9 and '-', starting with a letter.</param>
/// <param name="Match">When it fires.</param>
/// <param name="Action">What happens.</param>
public sealed record FaultRule(string Name, FaultMatch Match, FaultAction Action);

/// <summary>
/// When a rule fires. Every filter that is given has to hold; then <see cref="Nth"/>, <see cref="Interval"/>,
/// <see cref="ProbabilityPpm"/> and <see cref="Count"/> choose among what the filters let through, in this order.
/// </summary>
public sealed record FaultMatch
{
    /// <summary>Requester. Null: any.</summary>
    public Bdf? Device { get; init; }

    /// <summary>PASID of the request, 20 bits. Null: any, with or without.</summary>
    public uint? Pasid { get; init; }

    /// <summary>Addresses as the device issues them; the request must touch the range. Null: any.</summary>
    public AddressRange? Address { get; init; }

    /// <summary>Direction. Null: both.</summary>
    public FaultDirection? Direction { get; init; }

    /// <summary>NVMe opcode (0x100 added for the admin queue), type of a virtio disk's or IOMMU's request, or of an invalidation descriptor. Null: any.</summary>
    public uint? Opcode { get; init; }

    /// <summary>Low 8 bits of an interrupt message's data. Null: any.</summary>
    public uint? Vector { get; init; }

    /// <summary>Virtual time in nanoseconds since power-on. Null: always.</summary>
    public FaultWindow? Time { get; init; }

    /// <summary>Instructions retired by all processors. Null: always.</summary>
    public FaultWindow? Instructions { get; init; }

    /// <summary>The first match that counts, from 1.</summary>
    public ulong Nth { get; init; } = 1;

    /// <summary>Of the matches from then on, every how many count.</summary>
    public ulong Interval { get; init; } = 1;

    /// <summary>Chance of those in parts per million.</summary>
    public uint ProbabilityPpm { get; init; } = 1_000_000;

    /// <summary>Seed of the rule's own stream, which draws the chance and all that the action needs.</summary>
    public ulong Seed { get; init; }

    /// <summary>Firings at most; 0: no limit.</summary>
    public ulong Count { get; init; }
}

/// <summary>Direction of a transfer.</summary>
public enum FaultDirection : byte
{
    /// <summary>The device reads memory.</summary>
    Read = 1,

    /// <summary>The device writes memory.</summary>
    Write = 2,
}

/// <summary>A range of addresses; it may end at 2^64 but not pass it.</summary>
/// <param name="Start">First address.</param>
/// <param name="Length">Bytes, at least 1.</param>
public readonly record struct AddressRange(ulong Start, ulong Length)
{
    /// <summary>True when the bytes and the range have one in common; a length of 0 counts as 1.</summary>
    public bool Touches(ulong address, ulong length) =>
        address - Start < Length || Start - address < Math.Max(length, 1);
}

/// <summary>A half-open window.</summary>
/// <param name="From">First value inside.</param>
/// <param name="Until">First value after it; 0: no end.</param>
public readonly record struct FaultWindow(ulong From, ulong Until)
{
    /// <summary>True inside.</summary>
    public bool Contains(ulong value) => value >= From && (Until == 0 || value < Until);
}
