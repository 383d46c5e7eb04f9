using Iced.Intel;
using Vmm.Cpu.Memory;
using Vmm.Cpu.State;
using Vmm.Cpu.Vcpus;

namespace Vmm.Cpu.Interpreter;

/// <summary>WAIT: #NM only with CR0.MP and TS, #MF for a pending error.</summary>
internal readonly unsafe struct X87Wait : ICold
{
    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction)
    {
        const ulong Both = Cr.Cr0MP | Cr.Cr0TS;
        return (s->Cr0 & Both) == Both ? cpu.Fail(op, Vector.NM, 0) : X87Gate.TryPending(cpu, s, op);
    }
}

/// <summary>FNINIT, FNCLEX, and the 8087's FENI, FDISI and the 287's FSETPM, which do nothing.</summary>
internal readonly unsafe struct X87Reset : ICold
{
    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction)
    {
        if (!X87Gate.TryUse(cpu, s, op))
        {
            return false;
        }

        if (instruction.Mnemonic == Mnemonic.Fninit)
        {
            X87.Initialise(s);
        }
        else if (instruction.Mnemonic == Mnemonic.Fnclex)
        {
            s->Fsw &= 0x7F00;
        }

        return true;
    }
}

/// <summary>FNSTSW, FNSTCW and FLDCW.</summary>
internal readonly unsafe struct X87Words : ICold
{
    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction)
    {
        if (instruction.Mnemonic == Mnemonic.Fldcw)
        {
            if (!X87Gate.TryEnter(cpu, s, op) || !Operands.TryRead(s, op, ref instruction, 0, 2, out var value))
            {
                return false;
            }

            X87.SetControl(s, (ushort)value);
            return true;
        }

        return X87Gate.TryUse(cpu, s, op)
            && Operands.TryWrite(s, op, ref instruction, 0, 2, instruction.Mnemonic == Mnemonic.Fnstcw ? s->Fcw : s->Fsw);
    }
}

/// <summary>FNSTENV and FNSAVE (SDM vol. 1 figures 8-9 to 8-12).</summary>
internal readonly unsafe struct X87Save : ICold
{
    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction)
    {
        if (!X87Gate.TryUse(cpu, s, op))
        {
            return false;
        }

        var whole = instruction.Mnemonic == Mnemonic.Fnsave;
        var wide = X87Environment.IsWide(instruction.Code);
        var size = X87Environment.Bytes(wide) + (whole ? 80 : 0);
        var image = stackalloc byte[108];
        X87Environment.Store(s, image, wide);
        for (var i = 0; whole && i < 8; i++)
        {
            var value = X87.Read(s, i);
            *(ulong*)(image + size - 80 + i * 10) = value.Significand;
            *(ushort*)(image + size - 72 + i * 10) = value.SignExponent;
        }

        if (!X87Image.TryStore(cpu, s, op, image, size))
        {
            return false;
        }

        if (whole)
        {
            X87.Initialise(s);
        }
        else
        {
            X87.SetControl(s, (ushort)(s->Fcw | 0x3F));
        }

        return true;
    }
}

/// <summary>FLDENV and FRSTOR.</summary>
internal readonly unsafe struct X87Restore : ICold
{
    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction)
    {
        if (!X87Gate.TryEnter(cpu, s, op))
        {
            return false;
        }

        var whole = instruction.Mnemonic == Mnemonic.Frstor;
        var wide = X87Environment.IsWide(instruction.Code);
        var size = X87Environment.Bytes(wide) + (whole ? 80 : 0);
        var image = stackalloc byte[112];
        if (!X87Image.TryLoad(cpu, s, op, image, size))
        {
            return false;
        }

        X87Environment.Load(s, image, wide);
        for (var i = 0; whole && i < 8; i++)
        {
            var tags = s->Ftw;
            X87.Write(s, i, new(*(ulong*)(image + size - 80 + i * 10), *(ushort*)(image + size - 72 + i * 10)));
            s->Ftw = tags;
        }

        return true;
    }
}

/// <summary>Memory images that may span pages; like processors, these check the first element and then the last byte.</summary>
internal static unsafe class X87Image
{
    const int Chunk = 32;

    /// <summary>Loads an image. False: an exception waits.</summary>
    public static bool TryLoad(Vcpu cpu, CpuState* s, Op* op, byte* image, int size)
    {
        var va = Operands.Address(s, op, size, false);
        if (!cpu.TryProbeRead(op, va, X87Environment.Width(size)) || !cpu.TryProbeRead(op, At(s, va, size - 1), 1))
        {
            return false;
        }

        for (var done = 0; done < size; done += Chunk)
        {
            var part = Math.Min(Chunk, size - done);
            if (!cpu.TryLoadBytes(op, At(s, va, done), part))
            {
                return false;
            }

            Buffer.MemoryCopy(s->Scratch, image + done, part, part);
        }

        return true;
    }

    /// <summary>Stores an image, all of it or nothing. False: an exception waits.</summary>
    public static bool TryStore(Vcpu cpu, CpuState* s, Op* op, byte* image, int size)
    {
        var va = Operands.Address(s, op, size, true);
        if (!cpu.TryProbeWrite(op, va, X87Environment.Width(size)) || !cpu.TryProbeWrite(op, At(s, va, size - 1), 1))
        {
            return false;
        }

        for (var done = 0; done < size; done += Chunk)
        {
            var part = Math.Min(Chunk, size - done);
            Buffer.MemoryCopy(image + done, s->Scratch, part, part);
            if (!cpu.TryStoreBytes(op, At(s, va, done), part))
            {
                return false;
            }
        }

        return true;
    }

    static ulong At(CpuState* s, ulong va, int displacement)
    {
        // A failed segment check stays one.
        var at = (va & ~0xFFul) == Vcpu.Poison ? va : va + (ulong)displacement;
        return (va & ~0xFFul) == Vcpu.Poison || (s->Mode & Vcpu.Mode64) != 0 ? at : (uint)at;
    }
}

/// <summary>The x87 environment in its four layouts: 16 or 32 bits, real or protected mode.</summary>
internal static unsafe class X87Environment
{
    /// <summary>28 bytes rather than 14.</summary>
    public static bool IsWide(Code code) => code is Code.Fnstenv_m28byte or Code.Fldenv_m28byte or Code.Fnsave_m108byte or Code.Frstor_m108byte;

    /// <summary>Bytes of the environment.</summary>
    public static int Bytes(bool wide) => wide ? 28 : 14;

    /// <summary>Bytes of an element, from the size of an image.</summary>
    public static int Width(int size) => size is 28 or 108 ? 4 : 2;

    /// <summary>Writes the environment.</summary>
    public static void Store(CpuState* s, byte* image, bool wide)
    {
        var words = stackalloc uint[7];
        words[0] = s->Fcw;
        words[1] = s->Fsw;
        words[2] = X87.FullTags(s);
        if (IsProtected(s))
        {
            words[3] = (uint)s->Fip;
            words[4] = s->Fcs | (uint)(s->Fop & 0x7FF) << 16;
            words[5] = (uint)s->Fdp;
            words[6] = s->Fds;
        }
        else
        {
            var instruction = (uint)s->Fip + ((uint)s->Fcs << 4);
            var data = (uint)s->Fdp + ((uint)s->Fds << 4);
            words[3] = (ushort)instruction;
            words[4] = instruction >> 16 << 12 | s->Fop & 0x7FFu;
            words[5] = (ushort)data;
            words[6] = data >> 16 << 12;
        }

        for (var i = 0; i < 7; i++)
        {
            if (wide)
            {
                ((uint*)image)[i] = words[i] | UpperOnes(s, i);
            }
            else
            {
                ((ushort*)image)[i] = (ushort)words[i];
            }
        }
    }

    /// <summary>Takes the environment over.</summary>
    public static void Load(CpuState* s, byte* image, bool wide)
    {
        var words = stackalloc uint[7];
        for (var i = 0; i < 7; i++)
        {
            words[i] = wide ? ((uint*)image)[i] : ((ushort*)image)[i];
        }

        s->Fsw = (ushort)words[1];
        X87.SetTags(s, (ushort)words[2]);
        if (IsProtected(s))
        {
            s->Fip = words[3];
            s->Fcs = (ushort)words[4];
            s->Fop = wide ? (ushort)(words[4] >> 16 & 0x7FF) : s->Fop;
            s->Fdp = words[5];
            s->Fds = (ushort)words[6];
        }
        else
        {
            s->Fip = words[3] & 0xFFFF | words[4] >> 12 << 16;
            s->Fdp = words[5] & 0xFFFF | words[6] >> 12 << 16;
            s->Fcs = s->Fds = 0;
            s->Fop = (ushort)(words[4] & 0x7FF);
        }

        X87.SetControl(s, (ushort)words[0]);
    }

    static bool IsProtected(CpuState* s) => (s->Cr0 & Cr.Cr0PE) != 0 && (s->FlagRest & Cr.VM) == 0;

    // Reserved halves are stored as ones, but for the words that use theirs.
    static uint UpperOnes(CpuState* s, int i) => i switch
    {
        0 or 1 or 2 => 0xFFFF_0000,
        6 when IsProtected(s) => 0xFFFF_0000,
        3 or 5 when !IsProtected(s) => 0xFFFF_0000,
        _ => 0,
    };
}
