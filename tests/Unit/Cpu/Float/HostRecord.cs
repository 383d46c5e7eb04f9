using System.Runtime.InteropServices;
using Vmm.Cpu.Float;

namespace Vmm.Unit.Cpu.Float;

/// <summary>One case of the host helper: state before an instruction, then after it (see HostOracle.c).</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct HostRecord
{
    public ushort Word;
    public ushort Flags;
    public uint Extra;
    public ulong A;
    public ulong AHigh;
    public ulong B;
    public ulong BHigh;
    public ulong M;
    public ulong MHigh;

    public Float80 ST0
    {
        readonly get => new(A, (ushort)AHigh);
        set => (A, AHigh) = (value.Significand, (AHigh & ~0xFFFFUL) | value.SignExponent);
    }

    public Float80 ST1
    {
        readonly get => new(B, (ushort)BHigh);
        set => (B, BHigh) = (value.Significand, (BHigh & ~0xFFFFUL) | value.SignExponent);
    }

    public override readonly string ToString()
        => $"word={Word:x4} flags={Flags:x4} trap={Extra} a={(ushort)AHigh:x4}:{A:x16} ({AHigh:x16}) b={(ushort)BHigh:x4}:{B:x16} ({BHigh:x16}) m={MHigh:x}:{M:x16}";
}
