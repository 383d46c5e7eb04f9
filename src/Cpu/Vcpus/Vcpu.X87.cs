using Vmm.Cpu.Interpreter;
using Vmm.Cpu.Memory;
using Vmm.Cpu.State;

namespace Vmm.Cpu.Vcpus;

/// <content>What x87 instructions need of the processor.</content>
public sealed unsafe partial class Vcpu
{
    /// <summary>Leaves the instruction for another try after events have been looked at; it uses up budget all the same. Always false.</summary>
    internal bool Retry(Op* op)
    {
        Rewind(op);
        s->Stop = StopReason.Resync;
        return false;
    }

    /// <summary>Reads a code byte without raising anything. False when it has no translation or is not in RAM.</summary>
    internal bool TryPeekCode(ulong linear, out byte value)
    {
        value = 0;
        if (!PageWalker.TryWalk(s, memory, linear, Access.Fetch, IsUserView, IsSmapOff, out var found, out _))
        {
            return false;
        }

        var host = memory.Pointer(found.Physical & ~0xFFFul);
        if (host == null)
        {
            return false;
        }

        // Safe: the pointer is to a whole page of guest RAM.
        value = host[found.Physical & 0xFFF];
        return true;
    }

    /// <summary>Checks that a read would not fault. False: an exception waits.</summary>
    internal bool TryProbeRead(Op* op, ulong va, int size) =>
        TryCheckLinear(op, va, size) && TryTranslateSpan(op, va, size, Access.Read, out _, out _, out _);
}
