using System.Runtime.CompilerServices;
using Vmm.Cpu.State;
using Vmm.Cpu.Vcpus;

namespace Vmm.Cpu.Interpreter;

/// <content>x87 instructions with what surrounds them: availability, errors of the one before, instruction and data pointers.</content>
internal static unsafe partial class Handlers
{
    /// <summary>An x87 instruction proper.</summary>
    [MethodImpl(Hot)]
    public static Block* X87Op<T>(CpuState* s, Op* op)
        where T : struct, IX87
    {
        if (((s->Cr0 & (Cr.Cr0EM | Cr.Cr0TS)) | (s->Fsw & (ulong)X87.Summary)) != 0 && !X87Gate.TryEnter(Vcpu.Of(s), s, op))
        {
            return null;
        }

        if (!T.Run(s, op))
        {
            return null;
        }

        X87Pointers.Record(s, op);
        return Next(s, op);
    }
}
