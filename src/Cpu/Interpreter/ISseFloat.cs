using Vmm.Cpu.State;

namespace Vmm.Cpu.Interpreter;

/// <summary>An SSE floating-point operation with a source in a register or in memory.</summary>
internal unsafe interface ISseFloat
{
    /// <summary>Bytes of a memory source; sixteen must be aligned.</summary>
    static abstract int Bytes { get; }

    /// <summary>Carries the operation out. False: an exception waits and the destination is unchanged.</summary>
    static abstract bool Run(CpuState* s, Op* op, byte* source);
}
