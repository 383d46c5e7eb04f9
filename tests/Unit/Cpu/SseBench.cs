using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Iced.Intel;
using Vmm.Cpu.State;
using Vmm.Cpu.Vcpus;
using Vmm.Platform.Memory;

namespace Vmm.Unit.Cpu;

/// <summary>Runs single vector instructions. XMM1 is the destination, XMM2 the source; memory operands go through RBX.</summary>
internal sealed unsafe class SseBench : IDisposable
{
    public const ulong DataAt = 0x200000;

    static readonly byte[] EdgeBytes = [0x00, 0x01, 0x7F, 0x80, 0x81, 0xFE, 0xFF, 0x0F];

    readonly Random random = new(7);

    const ulong GdtAt = 0x5000, IdtAt = 0x6000, HandlersAt = 0x9000;

    public TestMachine Machine { get; } = new();

    public SseBench()
    {
        var ram = Machine.Memory;
        ram.TryWrite(new Gpa(GdtAt + 16), 0x00AF_9B00_0000_FFFFul);
        ram.TryWrite(new Gpa(GdtAt + 24), 0x00CF_9300_0000_FFFFul);
        State->GdtBase = GdtAt;
        State->GdtLimit = 31;
        for (var vector = 0ul; vector < 32; vector++)
        {
            ram.TryWrite(new Gpa(IdtAt + 16 * vector), 0x8E00_0010_0000ul | HandlersAt + 16 * vector | 0x10ul << 16);
        }

        State->IdtBase = IdtAt;
        State->IdtLimit = 0x1FF;
    }

    public CpuState* State => Machine.State;

    public Vector128<byte> Xmm(int number) => Vector128.Load((byte*)(State->Xmm + 2 * number));

    public void SetXmm(int number, Vector128<byte> value) => value.Store((byte*)(State->Xmm + 2 * number));

    /// <summary>Writes code, without running it.</summary>
    public void Place(in Instruction instruction, ulong at = TestMachine.CodeAt)
    {
        var stream = new MemoryStream();
        Encoder.Create(64, new StreamCodeWriter(stream)).Encode(instruction, at);
        Machine.Memory.TryWrite(new Gpa(at), stream.ToArray());
    }

    /// <summary>Runs the placed instruction once. The vector of the exception that it raised, or -1.</summary>
    public int Step(ulong at = TestMachine.CodeAt)
    {
        State->Rip = at;
        State->Gpr[4] = TestMachine.StackTop;
        Machine.Cpu.Run(Machine, 1);
        return State->Rip is >= HandlersAt and < HandlersAt + 0x200 ? (int)(State->Rip - HandlersAt) / 16 : -1;
    }

    /// <summary>Places and runs one instruction.</summary>
    public int Run(in Instruction instruction)
    {
        Place(instruction);
        return Step();
    }

    /// <summary>Makes the 2 MiB page at <paramref name="at"/> absent.</summary>
    public void Unmap(ulong at)
    {
        Machine.Memory.TryWrite(new Gpa(0x3000 + (at >> 21) * 8), 0ul);
        Machine.Cpu.FlushTlb();
    }

    public Vector128<byte> ReadMemory(ulong at)
    {
        Machine.Memory.TryRead(new Gpa(at), out Vector128<byte> value);
        return value;
    }

    /// <summary>The instruction form with XMM or MMX registers 1 and 2, or [RBX], as its operands.</summary>
    public static Instruction Build(Code code, bool memory, byte imm)
    {
        var form = code.ToOpCode();
        var instruction = new Instruction { Code = code };
        for (var i = 0; i < form.OpCount; i++)
        {
            var (kind, register) = form.GetOpKind(i) switch
            {
                OpCodeOperandKind.imm8 => (OpKind.Immediate8, Register.None),
                OpCodeOperandKind.mem => (OpKind.Memory, Register.None),
                OpCodeOperandKind.seg_rDI => (OpKind.MemorySegRDI, Register.None),
                OpCodeOperandKind.xmm_or_mem or OpCodeOperandKind.mm_or_mem or OpCodeOperandKind.r32_or_mem or OpCodeOperandKind.r64_or_mem
                    or OpCodeOperandKind.r8_or_mem or OpCodeOperandKind.r16_or_mem when memory => (OpKind.Memory, Register.None),
                OpCodeOperandKind.xmm_reg or OpCodeOperandKind.xmm_rm or OpCodeOperandKind.xmm_or_mem => (OpKind.Register, Register.XMM1 + i),
                OpCodeOperandKind.mm_reg or OpCodeOperandKind.mm_rm or OpCodeOperandKind.mm_or_mem => (OpKind.Register, Register.MM1 + i),
                OpCodeOperandKind.r8_or_mem => (OpKind.Register, i == 0 ? Register.CL : Register.DL),
                OpCodeOperandKind.r16_or_mem => (OpKind.Register, Register.CX + i),
                OpCodeOperandKind.r32_reg or OpCodeOperandKind.r32_or_mem => (OpKind.Register, Register.ECX + i),
                OpCodeOperandKind.r64_reg or OpCodeOperandKind.r64_or_mem => (OpKind.Register, Register.RCX + i),
                var other => throw new NotSupportedException($"{code}: {other}"),
            };
            if (kind == OpKind.Immediate8)
            {
                instruction.Immediate8 = imm;
                instruction.SetOpKind(i, kind);
            }
            else
            {
                instruction.SetOpKind(i, kind);
                if (kind == OpKind.Register)
                {
                    instruction.SetOpRegister(i, register);
                }
                else if (kind == OpKind.Memory)
                {
                    instruction.MemoryBase = Register.RBX;
                }
            }
        }

        return instruction;
    }

    /// <summary>Random bytes, often at the edges of the element ranges, and sometimes repeated between elements.</summary>
    public Vector128<byte> NextVector()
    {
        Span<byte> bytes = stackalloc byte[16];
        random.NextBytes(bytes);
        switch (random.Next(6))
        {
            case 0:
                for (var i = 0; i < 16; i++)
                {
                    bytes[i] = EdgeBytes[random.Next(EdgeBytes.Length)];
                }

                break;
            case 1:
                var words = MemoryMarshal.Cast<byte, ushort>(bytes);
                for (var i = 0; i < 8; i++)
                {
                    words[i] = random.Next(5) switch { 0 => 0x8000, 1 => 0x7FFF, 2 => 0xFFFF, 3 => 0x00FF, _ => words[i] };
                }

                break;
            case 2:
                var doubles = MemoryMarshal.Cast<byte, uint>(bytes);
                for (var i = 0; i < 4; i++)
                {
                    doubles[i] = random.Next(5) switch { 0 => 0x8000_0000, 1 => 0x7FFF_FFFF, 2 => uint.MaxValue, 3 => 0xFFFF_8000, _ => doubles[i] };
                }

                break;
            case 3:
                bytes[8..].Clear();
                bytes[1..8].Clear();
                bytes[0] = (byte)random.Next(70);
                break;
        }

        return Vector128.Create(bytes);
    }

    public byte NextByte() => (byte)random.Next(256);

    public ulong NextWord() => (ulong)random.NextInt64(long.MinValue, long.MaxValue);

    public void Dispose() => Machine.Dispose();
}
