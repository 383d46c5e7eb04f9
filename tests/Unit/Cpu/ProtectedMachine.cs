using System.Runtime.InteropServices;
using Iced.Intel;
using Vmm.Cpu.State;
using Vmm.Cpu.Vcpus;
using Vmm.Platform.Memory;
using Vmm.Platform.Time;

namespace Vmm.Unit.Cpu;

/// <summary>
/// A vCPU in 32-bit protected mode without paging: flat segments for levels 0 and 3, a running task, and an IDT whose
/// handlers stop the processor. Code at 0x10000, stack at 0x8000.
/// </summary>
internal sealed unsafe class ProtectedMachine : IDisposable
{
    public const uint CodeAt = 0x10000, StackTop = 0x8000, Gdt = 0x20000, Idt = 0x21000, FirstTask = 0x22000, HandlersAt = 0x30000, InnerStack = 0x7000;
    public const ushort Code0 = 0x08, Data0 = 0x10, Code3 = 0x1B, Data3 = 0x23, Task0 = 0x28;

    readonly TestMachine machine = new();

    public ProtectedMachine()
    {
        Describe(Code0, 0, 0xF_FFFF, 0xC09B);
        Describe(Data0, 0, 0xF_FFFF, 0xC093);
        Describe(Code3 & ~3, 0, 0xF_FFFF, 0xC0FB);
        Describe(Data3 & ~3, 0, 0xF_FFFF, 0xC0F3);
        Describe(Task0, FirstTask, 0x2067, 0x8B);
        Put32(FirstTask + 4, InnerStack);
        Put16(FirstTask + 8, Data0);
        for (var vector = 0; vector < 64; vector++)
        {
            // MOV AL, vector; HLT
            Memory.TryWrite(new Gpa(HandlersAt + (uint)vector * 16), [(byte)0xB0, (byte)vector, 0xF4]);
            Gate(vector, Code0, HandlersAt + (uint)vector * 16, 0xEE);
        }

        State->Efer = 0;
        State->Cr0 = Cr.Cr0PE | Cr.Cr0ET | Cr.Cr0NE;
        State->GdtBase = Gdt;
        State->GdtLimit = 0xFFF;
        State->IdtBase = Idt;
        State->IdtLimit = 0x7FF;
        State->Cs = new() { Selector = Code0, Access = 0xC09B, Limit = uint.MaxValue };
        State->Ss = State->Ds = State->Es = State->Fs = State->Gs = new() { Selector = Data0, Access = 0xC093, Limit = uint.MaxValue };
        State->Ldtr = new() { Access = 0x1_0000 };
        State->Tr = new() { Selector = Task0, Base = FirstTask, Limit = 0x2067, Access = 0x8B };
        Flags.Write(State, 2);
        Cpu.FlushTlb();
        Cpu.UpdateMode();
    }

    public GuestMemory Memory => machine.Memory;

    public Vcpu Cpu => machine.Cpu;

    public CpuState* State => machine.State;

    public List<VmExit> Exits => machine.Exits;

    /// <summary>Number of the handler that ran last.</summary>
    public byte Handler => (byte)State->Gpr[0];

    public void Describe(ushort selector, uint start, uint limit, uint access) =>
        Memory.TryWrite(new Gpa(Gdt + (uint)(selector & ~7)),
            limit & 0xFFFFul | (start & 0xFF_FFFFul) << 16 | (access & 0xF0FFul) << 40 | (ulong)(limit & 0xF_0000) << 32 | (ulong)(start & 0xFF00_0000) << 32);

    public void Gate(int vector, ushort selector, uint offset, byte type) =>
        Memory.TryWrite(new Gpa(Idt + (uint)vector * 8), offset & 0xFFFFul | (ulong)selector << 16 | (ulong)type << 40 | (ulong)(offset & 0xFFFF_0000) << 32);

    public uint Get32(uint at) => Memory.TryRead(new Gpa(at), out uint value) ? value : 0;

    public ushort Get16(uint at) => (ushort)Get32(at);

    public byte Get8(uint at) => (byte)Get32(at);

    public void Put32(uint at, uint value) => Memory.TryWrite(new Gpa(at), value);

    public void Put16(uint at, ushort value) => Memory.TryWrite(new Gpa(at), value);

    /// <summary>Word above the stack pointer.</summary>
    public uint Stack(int index) => Get32((uint)State->Ss.Base + (uint)State->Gpr[4] + (uint)index * 4);

    public ProtectedMachine Load(uint at, int bits, Action<Assembler> emit)
    {
        var assembler = new Assembler(bits);
        emit(assembler);
        var stream = new MemoryStream();
        assembler.Assemble(new StreamCodeWriter(stream), bits == 16 ? at & 0xFFFF : at);
        Memory.TryWrite(new Gpa(at), stream.ToArray());
        return this;
    }

    public ProtectedMachine Run(long budget = 10_000)
    {
        machine.Run(budget);
        return this;
    }

    public void Dispose() => machine.Dispose();
}
