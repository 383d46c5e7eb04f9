using Vmm.Cpu.Float;

namespace Vmm.Unit.Cpu.Float;

/// <summary>What our arithmetic makes of each instruction of the host helper, and which outputs are compared.</summary>
internal sealed record HostInstruction(string Name, bool Sse, bool Single, HostInstruction.Evaluation Evaluate)
{
    public delegate void Evaluation(ref HostRecord record);

    /// <summary>FSW or MXCSR bits to compare.</summary>
    public ushort WordMask { get; init; } = 0x23F;

    /// <summary>EFLAGS bits to compare.</summary>
    public ushort FlagsMask { get; init; }

    /// <summary>Cases for which the architecture leaves the result open.</summary>
    public Func<HostRecord, bool> Undefined { get; init; } = _ => false;

    /// <summary>FSW bits that are defined even then.</summary>
    public ushort DefinedWordMask { get; init; }

    /// <summary>Makes a random case a valid one.</summary>
    public Evaluation Prepare { get; init; } = (ref HostRecord _) => { };
}
