using Vmm.Platform.Dma;

namespace Vmm.Platform.Faults;

/// <summary>What happens in the machine at a point where rules are asked.</summary>
/// <param name="Point">Where.</param>
/// <param name="Device">Requester, if there is one.</param>
/// <param name="Address">Address as the device issues it, message address, first block of a command, or first address invalidated.</param>
/// <param name="Length">Bytes; blocks of a command.</param>
public readonly record struct FaultRequest(FaultPoint Point, Bdf? Device, ulong Address, ulong Length)
{
    /// <summary>PASID, if the request has one.</summary>
    public uint? Pasid { get; init; }

    /// <summary>Direction of the transfer, if it is one.</summary>
    public FaultDirection? Direction { get; init; }

    /// <summary>Opcode, if there is one.</summary>
    public uint? Opcode { get; init; }

    /// <summary>Vector of an interrupt message.</summary>
    public uint? Vector { get; init; }
}

/// <summary>What became of a fault that was raised on purpose.</summary>
/// <param name="Blocked">The request was stopped.</param>
/// <param name="SuppressedBy">The rule of the specification because of which software is not told; null: it is told.</param>
public readonly record struct InjectedFault(bool Blocked, string? SuppressedBy);

/// <summary>One firing of a rule.</summary>
/// <param name="Rule">Name of the rule.</param>
/// <param name="Number">Number in the machine, from 1.</param>
/// <param name="Nanoseconds">Virtual time.</param>
/// <param name="Request">What it happened to.</param>
/// <param name="Effect">What was done, in words.</param>
/// <param name="SuppressedBy">The rule of the specification because of which the hardware does not report it; null: it does.</param>
public sealed record FaultFiring(string Rule, ulong Number, ulong Nanoseconds, FaultRequest Request, string Effect, string? SuppressedBy);
