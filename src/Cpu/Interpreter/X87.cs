using System.Runtime.CompilerServices;
using Vmm.Cpu.Float;
using Vmm.Cpu.State;

namespace Vmm.Cpu.Interpreter;

/// <summary>The x87 register stack and status word (SDM vol. 1 §8.1).</summary>
internal static unsafe class X87
{
    /// <summary>Condition codes and other bits of the status word.</summary>
    public const ushort C0 = 0x100, C1 = 0x200, C2 = 0x400, C3 = 0x4000, StackFaultBit = 0x40, Summary = 0x80, Busy = 0x8000;

    /// <summary>The four condition codes.</summary>
    public const ushort Codes = C0 | C1 | C2 | C3;

    const ushort TopField = 0x3800;

    /// <summary>Bits of the control word that can be set; bit 6 always reads as one.</summary>
    const ushort ControlBits = 0x1F3F, ControlOnes = 0x40;

    /// <summary>TOP.</summary>
    public static int Top(CpuState* s) => s->Fsw >> 11 & 7;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static int Physical(CpuState* s, int i) => (s->Fsw >> 11) + i & 7;

    /// <summary>ST(i) is empty.</summary>
    public static bool IsEmpty(CpuState* s, int i) => (s->Ftw >> Physical(s, i) & 1) == 0;

    /// <summary>The contents of ST(i), empty or not.</summary>
    public static Float80 Read(CpuState* s, int i)
    {
        var at = s->Fpr + 2 * Physical(s, i);
        return new(at[0], (ushort)at[1]);
    }

    /// <summary>Sets ST(i) and tags it valid.</summary>
    public static void Write(CpuState* s, int i, Float80 value)
    {
        var number = Physical(s, i);
        s->Fpr[2 * number] = value.Significand;
        s->Fpr[2 * number + 1] = value.SignExponent;
        s->Ftw |= (byte)(1 << number);
    }

    /// <summary>Tags ST(i) empty.</summary>
    public static void Free(CpuState* s, int i) => s->Ftw &= (byte)~(1 << Physical(s, i));

    /// <summary>Adds to TOP, modulo eight.</summary>
    public static void Turn(CpuState* s, int by) => s->Fsw = (ushort)(s->Fsw & ~TopField | s->Fsw + (by << 11) & TopField);

    /// <summary>Pushes a value over whatever is there.</summary>
    public static void Push(CpuState* s, Float80 value)
    {
        Turn(s, -1);
        Write(s, 0, value);
    }

    /// <summary>Pops registers.</summary>
    public static void Pop(CpuState* s, int count)
    {
        for (; count > 0; count--)
        {
            Free(s, 0);
            Turn(s, 1);
        }
    }

    /// <summary>Modes of an instruction.</summary>
    public static FloatContext Context(CpuState* s) => FloatContext.FromControlWord(s->Fcw);

    /// <summary>Records what an instruction met. True when its result is to be written.</summary>
    public static bool Accept(CpuState* s, in FloatContext c)
    {
        s->Fsw = (ushort)(s->Fsw & ~C1 | (int)c.Flags | (c.RoundedUp ? C1 : 0));
        Summarise(s);
        return !c.Stopped;
    }

    /// <summary>Records a stack fault (SDM vol. 1 §8.5.1.1). True when the masked response is wanted.</summary>
    public static bool StackFault(CpuState* s, bool overflow = false)
    {
        s->Fsw = (ushort)(s->Fsw & ~C1 | (int)FloatFlags.IE | StackFaultBit | (overflow ? C1 : 0));
        Summarise(s);
        return (s->Fcw & (int)FloatFlags.IE) != 0;
    }

    /// <summary>Replaces condition codes.</summary>
    public static void SetCodes(CpuState* s, int mask, int value) => s->Fsw = (ushort)(s->Fsw & ~mask | value);

    /// <summary>Keeps ES and B in step with flags and masks.</summary>
    public static void Summarise(CpuState* s)
    {
        var pending = (s->Fsw & ~s->Fcw & (int)FloatFlags.All) != 0;
        s->Fsw = (ushort)(pending ? s->Fsw | Summary | Busy : s->Fsw & ~(Summary | Busy));
    }

    /// <summary>Sets the control word.</summary>
    public static void SetControl(CpuState* s, ushort value)
    {
        s->Fcw = (ushort)(value & ControlBits | ControlOnes);
        Summarise(s);
    }

    /// <summary>FNINIT (SDM vol. 1 §8.1, table 8-1); register contents stay.</summary>
    public static void Initialise(CpuState* s)
    {
        s->Fcw = 0x37F;
        s->Fsw = 0;
        s->Ftw = 0;
        s->Fop = 0;
        s->Fip = s->Fdp = 0;
        s->Fcs = s->Fds = 0;
    }

    /// <summary>The full tag word: 0 valid, 1 zero, 2 special, 3 empty, two bits a physical register (SDM vol. 1 §8.1.7).</summary>
    public static ushort FullTags(CpuState* s)
    {
        var tags = 0;
        for (var number = 0; number < 8; number++)
        {
            tags |= Tag(s, number) << 2 * number;
        }

        return (ushort)tags;
    }

    /// <summary>Sets the tags from a full tag word: only empty or not is kept.</summary>
    public static void SetTags(CpuState* s, ushort full)
    {
        s->Ftw = 0;
        for (var number = 0; number < 8; number++)
        {
            s->Ftw |= (byte)((full >> 2 * number & 3) != 3 ? 1 << number : 0);
        }
    }

    static int Tag(CpuState* s, int number)
    {
        if ((s->Ftw >> number & 1) == 0)
        {
            return 3;
        }

        var value = new Float80(s->Fpr[2 * number], (ushort)s->Fpr[2 * number + 1]);
        var integer = (value.Significand & Float80.IntegerBit) != 0;
        return value.Biased is 0 or 0x7FFF || !integer ? value.Biased == 0 && value.Significand == 0 ? 1 : 2 : 0;
    }
}
