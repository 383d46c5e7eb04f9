namespace Vmm.Machine;

/// <summary>Why a run ended.</summary>
public enum StopCause
{
    /// <summary>Asked to from outside.</summary>
    Requested,

    /// <summary>The guest powered the machine off.</summary>
    PowerOff,

    /// <summary>The guest reset the machine.</summary>
    Reset,

    /// <summary>The guest wrote the debug exit port.</summary>
    DebugExit,

    /// <summary>A processor shut down (triple fault).</summary>
    Crash,

    /// <summary>A machine check met a processor with CR4.MCE clear: CATERR, the whole machine is dead.</summary>
    Caterr,

    /// <summary>A VM entry was refused and the hypervisor has no remedy.</summary>
    EntryFailure,

    /// <summary>All processors halted and nothing will ever wake them.</summary>
    Stuck,

    /// <summary>The virtual time limit was reached.</summary>
    VirtualTimeout,

    /// <summary>The instruction limit was reached.</summary>
    InstructionLimit,
}

/// <summary>How a run ended.</summary>
/// <param name="Cause">Why.</param>
/// <param name="Detail">What exactly, in words.</param>
/// <param name="Value">Debug exit: what the guest wrote.</param>
public sealed record RunOutcome(StopCause Cause, string Detail, uint Value = 0);
