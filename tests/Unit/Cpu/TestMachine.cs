using Iced.Intel;
using Vmm.Cpu.Interpreter;
using Vmm.Cpu.State;
using Vmm.Cpu.Vcpus;
using Vmm.Platform.Memory;
using Vmm.Platform.Time;
using Vmm.Specs.X86;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Unit.Cpu;

/// <summary>A vCPU in long mode with identity-mapped 2 MiB pages, code at 0x10000, stack at 0x8000.</summary>
internal sealed unsafe class TestMachine : IExitHandler, IDisposable
{
    public const ulong CodeAt = 0x10000;
    public const ulong StackTop = 0x8000;

    public GuestMemory Memory { get; } = new(64 << 20);

    public CodeCache Code { get; }

    public VirtualClock Clock { get; } = new();

    public Vcpu Cpu { get; }

    public CpuState* State => Cpu.State;

    public List<VmExit> Exits { get; } = [];

    public Func<VmExit, ulong>? OnRead { get; set; }

    public Action<VmExit>? OnWrite { get; set; }

    public TestMachine(CpuModel? model = null)
    {
        Code = new(Memory);
        Cpu = new(0, model ?? new(), Memory, Code, Clock);
        EnterLongMode();
    }

    void EnterLongMode()
    {
        Memory.TryWrite(new Gpa(0x1000), 0x2007ul);
        Memory.TryWrite(new Gpa(0x2000), 0x3007ul);
        for (var i = 0ul; i < 512; i++)
        {
            Memory.TryWrite(new Gpa(0x3000 + i * 8), i << 21 | 0x87);
        }

        var s = State;
        s->Cr3 = 0x1000;
        s->Cr4 = Cr.Cr4PAE | Cr.Cr4OSFXSR | Cr.Cr4OSXMMEXCPT;
        s->Efer = Cr.EferLME | Cr.EferLMA | Cr.EferNXE | Cr.EferSCE;
        s->Cr0 = Cr.Cr0PE | Cr.Cr0PG | Cr.Cr0WP | Cr.Cr0ET | Cr.Cr0NE;
        s->Cs = new() { Selector = 0x10, Access = 0xA09B, Limit = uint.MaxValue };
        s->Ss = s->Ds = s->Es = s->Fs = s->Gs = new() { Selector = 0x18, Access = 0xC093, Limit = uint.MaxValue };
        s->Gpr[4] = StackTop;
        s->Rip = CodeAt;
        Cpu.FlushTlb();
        Cpu.UpdateMode();
    }

    /// <summary>Assembles code at <see cref="CodeAt"/>.</summary>
    public TestMachine Load(Action<Assembler> emit)
    {
        var assembler = new Assembler(64);
        emit(assembler);
        var stream = new MemoryStream();
        assembler.Assemble(new StreamCodeWriter(stream), CodeAt);
        Memory.TryWrite(new Gpa(CodeAt), stream.ToArray());
        return this;
    }

    /// <summary>Runs until HLT or the budget.</summary>
    public TestMachine Run(long budget = 1_000_000)
    {
        Cpu.Run(this, budget);
        return this;
    }

    public void Handle(ref VmExit exit)
    {
        Exits.Add(exit);
        if ((exit.IsMemory || exit.Reason == ExitReason.IoInstruction) && exit.Kind != ExitKind.Write)
        {
            exit.Data = OnRead?.Invoke(exit) ?? ulong.MaxValue;
        }
        else if (exit.IsMemory || exit.Reason == ExitReason.IoInstruction)
        {
            OnWrite?.Invoke(exit);
        }
    }

    public void Dispose()
    {
        Cpu.Dispose();
        Code.Dispose();
        Memory.Dispose();
    }
}
