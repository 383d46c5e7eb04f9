using Vmm.Differential.Cases;
using Vmm.Differential.Generation;

namespace Vmm.Differential.Comparison;

/// <summary>Where two results of one case differ.</summary>
[Flags]
internal enum Parts
{
    None = 0,
    Registers = 1,
    Flags = 2,
    Stop = 4,
    X87Control = 8,
    X87Registers = 16,
    Mxcsr = 32,
    Vectors = 64,
    Memory = 128,
}

/// <summary>Compares what the specifications define; leaves out what they leave open.</summary>
internal static unsafe class StateComparer
{
    const int MxcsrAt = 24, StackAt = 32, VectorsAt = 160, VectorsEnd = 416;

    public static Parts Compare(CaseState* before, CaseState* expected, CaseState* got, Sequence sequence, ulong flagsMask, int place)
    {
        var parts = Parts.None;
        if (!Same(expected->Gpr, got->Gpr, 128))
        {
            parts |= Parts.Registers;
        }

        if (((expected->Flags ^ got->Flags) & flagsMask) != 0)
        {
            parts |= Parts.Flags;
        }

        if (!SameStop(expected, got))
        {
            parts |= Parts.Stop;
        }

        parts |= CompareFx(expected->Fx, got->Fx);
        var bytes = Sandbox.WindowBytes + (expected->Edges != 0 ? 3 * Sandbox.EdgeBytes : 0);
        if (!Same(expected->Memory, got->Memory, bytes) && !SameApartFrom(expected->Memory, got->Memory, bytes, sequence, place))
        {
            parts |= Parts.Memory;
        }

        return parts == Parts.None ? parts : Tolerance.Forgive(parts, before, expected, got, sequence);
    }

    static bool Same(void* a, void* b, int bytes) => new ReadOnlySpan<byte>(a, bytes).SequenceEqual(new ReadOnlySpan<byte>(b, bytes));

    static bool SameStop(CaseState* a, CaseState* b)
    {
        const int PageFault = 14;
        return a->Rip == b->Rip && a->Trap == b->Trap && (a->Trap == CaseState.NoTrap || a->Error == b->Error)
            && (a->Trap != PageFault || a->Cr2 == b->Cr2);
    }

    /// <summary>FCW, FSW, FTW, MXCSR, eight stack registers and sixteen vectors; not the last-instruction pointers.</summary>
    static Parts CompareFx(byte* a, byte* b)
    {
        var parts = Parts.None;
        if (*(uint*)a != *(uint*)b || a[4] != b[4])
        {
            parts |= Parts.X87Control;
        }

        for (var at = StackAt; at < VectorsAt; at += 16)
        {
            if (*(ulong*)(a + at) != *(ulong*)(b + at) || *(ushort*)(a + at + 8) != *(ushort*)(b + at + 8))
            {
                parts |= Parts.X87Registers;
            }
        }

        if (*(uint*)(a + MxcsrAt) != *(uint*)(b + MxcsrAt))
        {
            parts |= Parts.Mxcsr;
        }

        return Same(a + VectorsAt, b + VectorsAt, VectorsEnd - VectorsAt) ? parts : parts | Parts.Vectors;
    }

    /// <summary>True when memory differs only where the last instruction stored last-instruction pointers or reserved bytes.</summary>
    static bool SameApartFrom(byte* a, byte* b, int bytes, Sequence sequence, int place)
    {
        for (var i = 0; i < bytes; i++)
        {
            if (a[i] != b[i] && !IsOpen(sequence, PlaceOf(i) - place))
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>Sandbox offset of a byte of window and edge pieces.</summary>
    static int PlaceOf(int index)
    {
        var edge = index - Sandbox.WindowBytes;
        return edge < 0 ? Sandbox.Window + index : Sandbox.EdgePieces[edge / Sandbox.EdgeBytes] + edge % Sandbox.EdgeBytes;
    }

    static bool IsOpen(Sequence sequence, int offset)
    {
        switch (sequence.LastRole)
        {
            case Role.SaveFx:
                return offset is >= 5 and < 24 or >= 28 and < 32 || offset is >= StackAt and < VectorsAt && (offset & 15) >= 10;
            case Role.SaveEnvironment:
                return sequence.Entries[sequence.Count - 1].OpCode.OperandSize == 16 ? offset is >= 6 and < 14 : offset is >= 12 and < 28;
            default:
                return false;
        }
    }
}
