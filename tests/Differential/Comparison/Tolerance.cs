using Iced.Intel;
using Vmm.Differential.Cases;
using Vmm.Differential.Generation;

namespace Vmm.Differential.Comparison;

/// <summary>Differences that the specifications allow between two processors.</summary>
internal static unsafe class Tolerance
{
    const uint C1 = 0x200, MisalignedMode = 1 << 17;
    const int MxcsrAt = 24, StackAt = 32, VectorsAt = 160;
    const ulong PageFault = 14, GeneralProtection = 13, StackFault = 12, AlignmentCheck = 17, SimdException = 19;
    const ushort ConditionsAndInexact = 0x4720;

    public static Parts Forgive(Parts parts, CaseState* before, CaseState* expected, CaseState* got, Sequence sequence)
    {
        if ((*(uint*)(expected->Fx + MxcsrAt) & MisalignedMode) != 0)
        {
            // MXCSR.MM exists on AMD only; loading it raises #GP elsewhere.
            return Parts.None;
        }

        var at = expected->Trap == CaseState.NoTrap ? -1 : sequence.IndexAt(expected->Rip);
        if (at >= 0)
        {
            parts = ForgiveFault(parts, expected, got, sequence.Entries[at]);
        }

        switch (sequence.LastRole)
        {
            case Role.Reciprocal when (parts & Parts.Vectors) != 0 && SimilarSingles(expected->Fx + VectorsAt, got->Fx + VectorsAt):
                return parts & ~Parts.Vectors;
            case Role.Transcendental when IsOutsideDomain(before->Fx, sequence.Entries[0].Mnemonic):
                return Parts.None;
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

    static Parts ForgiveFault(Parts parts, CaseState* expected, CaseState* got, CodeEntry entry)
    {
        var samePageFault = expected->Trap == PageFault && got->Trap == PageFault && expected->Error == got->Error && expected->Rip == got->Rip;
        switch (entry.Role)
        {
            case Role.FarReturn or Role.FarBranch or Role.SaveFx or Role.LoadFx or Role.SaveEnvironment or Role.LoadEnvironment when samePageFault:
                // Which word of an operand of several is touched first is open.
                return parts & ~Parts.Stop;
            case Role.FarReturn when expected->Trap is PageFault or AlignmentCheck && got->Trap == GeneralProtection && expected->Rip == got->Rip:
                // AMD's RETF reads an outer stack pointer before it refuses a bad selector.
                return parts & ~Parts.Stop;
            case Role.MaskedMove when expected->Trap == PageFault:
                // Whether bytes that are masked off can fault, and which address is reported, is open (SDM 2B, MASKMOVQ).
                return samePageFault ? parts & ~Parts.Stop : got->Trap == PageFault ? parts : Parts.None;
            case Role.SaveFx or Role.LoadFx when expected->Trap is StackFault or AlignmentCheck && got->Trap == GeneralProtection:
                // Misaligned and not canonical at once, or under alignment checks: which comes first is open.
                return parts & ~Parts.Stop;
            case Role.Plain when expected->Trap == SimdException && got->Trap == SimdException && entry.Group == EncodingGroup.Mmx:
                // Whether MMX state is entered before the exception is open.
                return parts & ~Parts.X87Control & ~Parts.X87Registers;
            default:
                return parts;
        }
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
            var distance = Order(a + at) - Order(b + at);
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

    /// <summary>F2XM1 is defined for -1 to 1, FYL2XP1 for -(1 - sqrt(1/2)) to sqrt(2) - 1 (SDM 2A).</summary>
    static bool IsOutsideDomain(byte* fx, Mnemonic mnemonic)
    {
        var head = *(ushort*)(fx + StackAt + 8) & 0x7FFF;
        var significand = *(ulong*)(fx + StackAt);
        var magnitude = head == 0 ? 0 : Math.ScaleB(significand / 9223372036854775808.0, Math.Clamp(head - 0x3FFF, -1000, 1000));
        var negative = (fx[StackAt + 9] & 0x80) != 0;
        return mnemonic switch
        {
            Mnemonic.F2xm1 => magnitude > 1,
            Mnemonic.Fyl2xp1 => magnitude > (negative ? 0.2928 : 0.4142),
            _ => false,
        };
    }

    static bool SameButInexact(byte* a, byte* b) =>
        *(ushort*)a == *(ushort*)b && a[4] == b[4] && ((*(ushort*)(a + 2) ^ *(ushort*)(b + 2)) & ~ConditionsAndInexact) == 0;
}
