using System.Runtime.CompilerServices;
using Vmm.Cpu.State;
using Vmm.Cpu.Vcpus;
using Vmm.Specs.X86;

namespace Vmm.Cpu.Interpreter;

/// <summary>What an x87 memory operand holds, in <see cref="Op.Size"/>; zero for register forms.</summary>
internal static class X87Memory
{
    public const byte None = 0, Single = 1, Double = 2, Extended = 3, Int16 = 4, Int32 = 5, Int64 = 6, Decimal = 7;

    /// <summary>Bytes of a kind.</summary>
    public static int Bytes(int kind) => kind switch { Int16 => 2, Single or Int32 => 4, Double or Int64 => 8, _ => 10 };
}

/// <summary>An x87 instruction proper, as opposed to the control instructions.</summary>
internal unsafe interface IX87
{
    /// <summary>Carries the instruction out. False: a stop reason is in the state and nothing else changed.</summary>
    static abstract bool Run(CpuState* s, Op* op);
}

/// <summary>Device-not-available and pending errors.</summary>
internal static unsafe class X87Gate
{
    /// <summary>#NM when the x87 is emulated or another task's (SDM 3A §2.5). False: it waits.</summary>
    public static bool TryUse(Vcpu cpu, CpuState* s, Op* op) =>
        (s->Cr0 & (Cr.Cr0EM | Cr.Cr0TS)) == 0 || cpu.Fail(op, Vector.NM, 0);

    /// <summary>The same, and #MF for an unmasked exception that an earlier instruction left. False: a stop reason is in the state.</summary>
    public static bool TryEnter(Vcpu cpu, CpuState* s, Op* op) => TryUse(cpu, s, op) && TryPending(cpu, s, op);

    /// <summary>Reports an unmasked exception: #MF, or with CR0.NE clear the FERR# pin (SDM vol. 1 §8.7).</summary>
    public static bool TryPending(Vcpu cpu, CpuState* s, Op* op)
    {
        if ((s->Fsw & X87.Summary) == 0)
        {
            return true;
        }

        if ((s->Cr0 & Cr.Cr0NE) != 0)
        {
            return cpu.Fail(op, Vector.MF, 0);
        }

        // IGNNE# is taken as asserted unless the machine says otherwise.
        var exit = new VmExit { Reason = ExitReason.ExceptionOrNmi, Kind = ExitKind.FloatError, Vcpu = cpu.Index, Data = 1 };
        cpu.Vmx.DescribeFloatError();
        cpu.CallOut(op, ref exit);
        return exit.Data != 0 || cpu.Retry(op);
    }
}

/// <summary>Last instruction and data pointers and last opcode (SDM vol. 1 §8.1.8, §8.1.9).</summary>
internal static unsafe class X87Pointers
{
    const int LongestInstruction = 15;

    /// <summary>Records the instruction. Its opcode is kept only with an unmasked exception, as since the Pentium 4.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Record(CpuState* s, Op* op)
    {
        var at = s->Rip + op->Offset;
        s->Fip = (s->Mode & Vcpu.Mode64) != 0 ? at : (uint)at;
        s->Fcs = s->Cs.Selector;
        if (op->Size != X87Memory.None)
        {
            s->Fdp = Offset(s, op);
            s->Fds = (&s->Es + op->Segment)->Selector;
        }

        if ((s->Fsw & X87.Summary) != 0)
        {
            RecordOpcode(s);
        }
    }

    static ulong Offset(CpuState* s, Op* op)
    {
        if ((s->Mode & Vcpu.Mode64) != 0)
        {
            return op->AddressSize == 4 ? Address64.Offset(s, op) : Address32.Offset(s, op);
        }

        return AddressChecked.Offset(s, op);
    }

    /// <summary>Finds the two opcode bytes behind the prefixes. They were decoded from here, so the translation is there.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    static void RecordOpcode(CpuState* s)
    {
        var cpu = Vcpu.Of(s);
        var linear = s->Fip + ((s->Mode & Vcpu.Mode64) != 0 ? 0 : s->Cs.Base);
        for (var i = 0; i < LongestInstruction - 1; i++)
        {
            if (!cpu.TryPeekCode(linear + (ulong)i, out var first))
            {
                return;
            }

            if (first is >= 0xD8 and <= 0xDF)
            {
                s->Fop = cpu.TryPeekCode(linear + (ulong)i + 1, out var second) ? (ushort)((first & 7) << 8 | second) : s->Fop;
                return;
            }
        }
    }
}
