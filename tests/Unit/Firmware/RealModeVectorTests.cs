using Vmm.Cpu.State;
using Vmm.Firmware.Boot;
using Vmm.Platform.Memory;
using Vmm.Specs.X86;
using Vmm.Unit.Cpu;
using Xunit;

namespace Vmm.Unit.Firmware;

/// <summary>Real-mode code that calls for BIOS services gets an answer and goes on.</summary>
public sealed unsafe class RealModeVectorTests
{
    const ushort CodeAt = 0x7C00;

    /// <summary>Runs INT <paramref name="vector"/> and HLT in real mode, on a machine that a plan was written to.</summary>
    static TestMachine Call(byte vector)
    {
        var machine = new TestMachine();
        var plan = BootLoader.Plan(new()
        {
            RamBytes = machine.Memory.RamBytes, Image = new byte[] { 0xF4 }, Protocol = BootProtocol.Flat, Flat = new(new Gpa(0x8000), CpuMode.Real16),
        });
        plan.WriteTo(machine.Memory);
        machine.Memory.TryWrite(new(CodeAt), [0xF8, 0xCD, vector, 0xF4]);
        var s = machine.State;
        s->Efer = 0;
        s->Cr0 = Cr.Cr0ET;
        s->Cr4 = 0;
        s->IdtBase = 0;
        s->IdtLimit = 0x3FF;
        s->Cs = new() { Access = 0x9B, Limit = 0xFFFF };
        s->Ss = s->Ds = s->Es = s->Fs = s->Gs = new() { Access = 0x93, Limit = 0xFFFF };
        s->Gpr[0] = 0xE820;
        s->Gpr[4] = 0x7000;
        s->Gpr[5] = 0x1234;
        s->Rip = CodeAt;
        machine.Cpu.FlushTlb();
        machine.Cpu.UpdateMode();
        return machine.Run(100);
    }

    [Theory]
    [InlineData(0x10)]
    [InlineData(0x13)]
    [InlineData(0x15)]
    public void Services_are_refused_with_carry_and_86h(byte vector)
    {
        using var machine = Call(vector);
        Assert.Equal(CodeAt + 4ul, machine.State->Rip);
        Assert.Equal(0x8620ul, machine.State->Gpr[0]);
        Assert.Equal(Cr.CF, Flags.Read(machine.State) & Cr.CF);
        Assert.Equal(0x1234ul, machine.State->Gpr[5]);
        Assert.Equal(0x7000ul, machine.State->Gpr[4]);
    }

    [Theory]
    [InlineData(0x11, 0)]
    [InlineData(0x12, 639)]
    [InlineData(0x21, 0xE820)]
    public void The_rest_answers_or_returns(byte vector, ulong expected)
    {
        using var machine = Call(vector);
        Assert.Equal(CodeAt + 4ul, machine.State->Rip);
        Assert.Equal(expected, machine.State->Gpr[0]);
        Assert.Equal(0ul, Flags.Read(machine.State) & Cr.CF);
    }

    [Theory]
    [InlineData(0x08, new ushort[] { 0x20 })]
    [InlineData(0x76, new ushort[] { 0xA0, 0x20 })]
    public void Interrupts_are_acknowledged(byte vector, ushort[] ports)
    {
        using var machine = Call(vector);
        Assert.Equal(CodeAt + 4ul, machine.State->Rip);
        Assert.Equal(ports.Select(port => (ulong)port), machine.Exits.Where(exit => exit.Reason == ExitReason.IoInstruction).Select(exit => exit.Address));
        Assert.Equal(0xE820ul, machine.State->Gpr[0]);
    }
}
