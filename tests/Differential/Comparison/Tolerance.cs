using Vmm.Differential.Cases;
using Vmm.Differential.Generation;

namespace Vmm.Differential.Comparison;

/// <summary>Differences that the specifications allow between two processors.</summary>
internal static unsafe class Tolerance
{
    const int StackAt = 32, VectorsAt = 160;
    const ulong PageFault = 14, GeneralProtection = 13;
    const ushort ConditionsAndInexact = 0x4720;
    const uint C1 = 0x200, MisalignedMask = 1 << 17;
    const int MxcsrAt = 24;

    public static Parts Forgive(Parts parts, CaseState* expected, CaseState* got, Sequence sequence)
    {
        if ((parts & Parts.Stop) != 0 && IsSameFarFault(expected, got, sequence))
        {
            parts &= ~Parts.Stop;
        }

        if ((*(uint*)(expected->Fx + MxcsrAt) & MisalignedMask) != 0)
        {
            // MXCSR.MM exists on AMD only; loading it raises #GP elsewhere.
            return Parts.None;
        }

        switch (sequence.LastRole)
        {
            case Role.Reciprocal when (parts & Parts.Vectors) != 0 && SimilarSingles(expected->Fx + VectorsAt, got->Fx + VectorsAt):
                return parts & ~Parts.Vectors;
            case Role.Transcendental when SimilarStack(expected->Fx, got->Fx):
                return parts & ~Parts.X87Registers & ~(SameButInexact(expected->Fx, got->Fx) ? Parts.X87Control : Parts.None);
            case Role.PartialRemainder when (expected->Fx[3] & 4) != 0 && (got->Fx[3] & 4) != 0:
                // Incomplete on both: how far one step reduces is open.
                return parts & ~Parts.X87Registers & ~(SameButInexact(expected->Fx, got->Fx) ? Parts.X87Control : Parts.None);
            case Role.CompareToFlags when ((*(uint*)expected->Fx ^ *(uint*)got->Fx) & ~(C1 << 16)) == 0 && expected->Fx[4] == got->Fx[4]:
                return parts & ~Parts.X87Control;
            default:
                return parts;
        }
    }

    /// <summary>
    /// Which word of a far pointer or return frame is read first is open. AMD's RETF n also reads an outer stack pointer before it
    /// refuses a bad selector.
    /// </summary>
    static bool IsSameFarFault(CaseState* expected, CaseState* got, Sequence sequence)
    {
        var at = sequence.IndexAt(expected->Rip);
        if (at < 0 || sequence.Entries[at].Role is not (Role.FarReturn or Role.FarBranch) || expected->Trap != PageFault || expected->Rip != got->Rip)
        {
            return false;
        }

        var reads = got->Trap == PageFault && expected->Error == got->Error;
        return reads || (got->Trap == GeneralProtection && sequence.Entries[at].Role == Role.FarReturn && sequence.Entries[at].Operands.Length == 1);
    }

    /// <summary>Relative error of two such results: at most twice 1.5 * 2^-12.</summary>
    static bool SimilarSingles(byte* a, byte* b)
    {
        for (var i = 0; i < 64; i++)
        {
            var x = ((float*)a)[i];
            var y = ((float*)b)[i];
            var same = ((uint*)a)[i] == ((uint*)b)[i];
            if (!same && !(float.IsFinite(x) && float.IsFinite(y) && Math.Abs((double)x - y) <= Math.Abs((double)x) * 3 / 4096))
            {
                return false;
            }
        }

        return true;
    }

    static bool SimilarStack(byte* a, byte* b)
    {
        for (var at = StackAt; at < VectorsAt; at += 16)
        {
            var distance = (Int128)Order(a + at) - Order(b + at);
            if (distance < -2 || distance > 2)
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>The 80-bit value as a number that grows with it, one step for each representable value.</summary>
    static Int128 Order(byte* value)
    {
        var head = *(ushort*)(value + 8);
        var magnitude = (Int128)(head & 0x7FFF) << 63 | (*(ulong*)value & long.MaxValue);
        return (head & 0x8000) != 0 ? -magnitude : magnitude;
    }

    static bool SameButInexact(byte* a, byte* b) =>
        *(ushort*)a == *(ushort*)b && a[4] == b[4] && ((*(ushort*)(a + 2) ^ *(ushort*)(b + 2)) & ~ConditionsAndInexact) == 0;
}
