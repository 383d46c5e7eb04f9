using Iced.Intel;
using Vmm.Cpu.Memory;
using Vmm.Cpu.State;
using Vmm.Cpu.Vcpus;

namespace Vmm.Cpu.Interpreter;

/// <summary>FXSAVE and FXRSTOR (SDM vol. 1 §10.5): the 512-byte image of x87, MMX and SSE state.</summary>
internal readonly unsafe struct FxSave : ICold
{
    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction)
    {
        if (!FxImage.TryPrepare(cpu, s, op, true, out var va))
        {
            return false;
        }

        var image = stackalloc byte[FxImage.Bytes];
        new Span<byte>(image, FxImage.Bytes).Clear();
        FxImage.Store(s, image, instruction.Mnemonic == Mnemonic.Fxsave64);
        return cpu.TryProbeWrite(op, FxImage.Last(va), 1) && cpu.TryProbeWrite(op, va, 16) && TryStore(cpu, s, op, va, image);
    }

    static bool TryStore(Vcpu cpu, CpuState* s, Op* op, ulong va, byte* image)
    {
        var end = FxImage.VectorsAt + 16 * FxImage.Vectors(s);
        for (var at = 0; at < end; at += 16)
        {
            Buffer.MemoryCopy(image + at, s->Scratch, 16, 16);
            if (!cpu.TryStoreBytes(op, va + (ulong)at, 16))
            {
                return false;
            }
        }

        return true;
    }
}

/// <summary>FXRSTOR.</summary>
internal readonly unsafe struct FxRestore : ICold
{
    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction)
    {
        if (!FxImage.TryPrepare(cpu, s, op, false, out var va))
        {
            return false;
        }

        var image = stackalloc byte[FxImage.Bytes];
        if (!cpu.TryProbeRead(op, FxImage.Last(va), 1) || !cpu.TryProbeRead(op, va, 16))
        {
            return false;
        }

        for (var at = 0; at < FxImage.Written; at += 16)
        {
            if (!cpu.TryLoadBytes(op, va + (ulong)at, 16))
            {
                return false;
            }

            Buffer.MemoryCopy(s->Scratch, image + at, 16, 16);
        }

        if ((*(uint*)(image + 24) & ~FxImage.MxcsrMask) != 0)
        {
            return cpu.Fail(op, Vector.GP, 0);
        }

        FxImage.Load(s, image, instruction.Mnemonic == Mnemonic.Fxrstor64);
        return true;
    }
}

/// <summary>Layout of the image (SDM vol. 1 table 10-2).</summary>
internal static unsafe class FxImage
{
    /// <summary>Size of the image, all of which must be accessible, the part that is used, and where XMM0 is.</summary>
    public const int Bytes = 512, Written = 416, VectorsAt = 160;

    /// <summary>MXCSR bits that may be set.</summary>
    public const uint MxcsrMask = 0xFFFF;

    const int StackAt = 32;

    /// <summary>XMM registers of the current mode.</summary>
    public static int Vectors(CpuState* s) => (s->Mode & Vcpu.Mode64) != 0 ? 16 : 8;

    /// <summary>Availability and alignment; an address that fails another check is left to the access. False: an exception waits.</summary>
    public static bool TryPrepare(Vcpu cpu, CpuState* s, Op* op, bool write, out ulong va)
    {
        va = Operands.Address(s, op, Bytes, write);
        if (!X87Gate.TryUse(cpu, s, op))
        {
            return false;
        }

        var misaligned = (va & 15) != 0 && (va & ~0xFFul) != Vcpu.Poison && ((s->Efer & Cr.EferLMA) == 0 || Vcpu.IsCanonical(va));
        return !misaligned || cpu.Fail(op, Vector.GP, 0);
    }

    /// <summary>The last byte of the image, which processors check first.</summary>
    public static ulong Last(ulong va) => (va & ~0xFFul) == Vcpu.Poison ? va : va + Bytes - 1;

    /// <summary>Writes the image; <paramref name="wide"/> is REX.W, with 64-bit pointers in place of selectors.</summary>
    public static void Store(CpuState* s, byte* image, bool wide)
    {
        *(ushort*)image = s->Fcw;
        *(ushort*)(image + 2) = s->Fsw;
        image[4] = s->Ftw;
        *(ushort*)(image + 6) = s->Fop;
        if (wide)
        {
            *(ulong*)(image + 8) = s->Fip;
            *(ulong*)(image + 16) = s->Fdp;
        }
        else
        {
            *(ulong*)(image + 8) = (uint)s->Fip | (ulong)s->Fcs << 32;
            *(ulong*)(image + 16) = (uint)s->Fdp | (ulong)s->Fds << 32;
        }

        *(uint*)(image + 24) = s->Mxcsr;
        *(uint*)(image + 28) = MxcsrMask;
        for (var i = 0; i < 8; i++)
        {
            var value = X87.Read(s, i);
            *(ulong*)(image + StackAt + 16 * i) = value.Significand;
            *(ushort*)(image + StackAt + 16 * i + 8) = value.SignExponent;
        }

        Buffer.MemoryCopy(s->Xmm, image + VectorsAt, 256, 256);
    }

    /// <summary>Takes the image over; MXCSR has been checked.</summary>
    public static void Load(CpuState* s, byte* image, bool wide)
    {
        s->Fsw = *(ushort*)(image + 2);
        s->Ftw = image[4];
        s->Fop = (ushort)(*(ushort*)(image + 6) & 0x7FF);
        s->Fip = wide ? *(ulong*)(image + 8) : *(uint*)(image + 8);
        s->Fdp = wide ? *(ulong*)(image + 16) : *(uint*)(image + 16);
        if (!wide)
        {
            s->Fcs = *(ushort*)(image + 12);
            s->Fds = *(ushort*)(image + 20);
        }

        var tags = s->Ftw;
        for (var i = 0; i < 8; i++)
        {
            X87.Write(s, i, new(*(ulong*)(image + StackAt + 16 * i), *(ushort*)(image + StackAt + 16 * i + 8)));
        }

        s->Ftw = tags;
        X87.SetControl(s, *(ushort*)image);
        s->Mxcsr = *(uint*)(image + 24);
        Buffer.MemoryCopy(image + VectorsAt, s->Xmm, 256, 16 * Vectors(s));
    }
}
