using Vmm.Cpu.MachineCheck;
using Vmm.Cpu.Vcpus;
using Vmm.Platform.Snapshots;
using Vmm.Specs.X86;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Unit.Cpu.MachineCheck;

/// <summary>Which machine-check MSRs exist and what may be written to them (SDM 3B §16.3).</summary>
public sealed class RegisterTests
{
    const uint Ctl2 = MachineCheckMsr.MC0_CTL2, Bank = MachineCheckMsr.MC0_CTL;
    const ulong Lmce = FeatureControl.Lock | FeatureControl.LMCE_ON;

    static ulong Read(MachineCheckState state, uint msr)
    {
        Assert.True(state.TryRead(msr, out var value));
        return value;
    }

    [Fact]
    public void The_default_processor_says_what_Linux_needs_to_hear() => Assert.Equal(0x0900_050Aul, Read(new(new()), MachineCheckMsr.MCG_CAP));

    [Theory]
    [InlineData(true, true, true, 0x0900_0503ul)]
    [InlineData(false, true, true, 0x0900_0103ul)]
    [InlineData(true, true, false, 0x0100_0503ul)]
    [InlineData(true, false, false, 0x0000_0503ul)]
    public void Capabilities_follow_the_options(bool cmci, bool recovery, bool local, ulong expected) =>
        Assert.Equal(expected, Read(new(new() { Banks = 3, Cmci = cmci, Recovery = recovery, Local = local }), MachineCheckMsr.MCG_CAP));

    [Theory]
    [InlineData(0, true, true)]
    [InlineData(33, true, true)]
    [InlineData(4, false, true)]
    public void Options_that_contradict_each_other_are_refused(int banks, bool recovery, bool local) =>
        Assert.Throws<ArgumentException>(() => new MachineCheckState(new() { Banks = banks, Recovery = recovery, Local = local }));

    /// <summary>MSR, value, whether it is accepted, what is read afterwards.</summary>
    [Theory]
    [InlineData(MachineCheckMsr.MCG_CAP, 0ul, false, 0x0900_050Aul)]
    [InlineData(MachineCheckMsr.MCG_STATUS, 0xFul, true, 0xFul)]
    [InlineData(MachineCheckMsr.MCG_STATUS, 0ul, true, 0ul)]
    [InlineData(MachineCheckMsr.MCG_STATUS, 0x10ul, false, 0ul)]
    [InlineData(MachineCheckMsr.MCG_CTL, 0ul, true, 0ul)]
    [InlineData(MachineCheckMsr.MCG_CTL, ulong.MaxValue, true, ulong.MaxValue)]
    [InlineData(MachineCheckMsr.MCG_EXT_CTL, 1ul, true, 1ul)]
    [InlineData(MachineCheckMsr.MCG_EXT_CTL, 2ul, false, 0ul)]
    [InlineData(Ctl2 + 9, 0x4000_7FFFul, true, 0x4000_7FFFul)]
    [InlineData(Ctl2 + 9, 0x8000ul, false, 0ul)]
    [InlineData(Ctl2 + 9, 0x1_0000_0000ul, false, 0ul)]
    [InlineData(Bank + 4 * 9, 0ul, true, 0ul)]
    [InlineData(Bank + 4 * 9, ulong.MaxValue, true, ulong.MaxValue)]
    [InlineData(Bank + 4 * 9 + 1, 0ul, true, 0ul)]
    [InlineData(Bank + 4 * 9 + 1, 1ul, false, 0ul)]
    [InlineData(Bank + 4 * 9 + 2, 0ul, true, 0ul)]
    [InlineData(Bank + 4 * 9 + 2, 0x1000ul, false, 0ul)]
    [InlineData(Bank + 4 * 9 + 3, 0ul, true, 0ul)]
    [InlineData(Bank + 4 * 9 + 3, 0x8Cul, false, 0ul)]
    public void A_write_is_taken_or_faults_as_the_manual_says(uint msr, ulong value, bool accepted, ulong after)
    {
        var state = new MachineCheckState(new());
        Assert.Equal(accepted, state.TryWrite(msr, value, Lmce));
        Assert.Equal(after, Read(state, msr));
    }

    [Theory]
    [InlineData(Ctl2 + 10)]
    [InlineData(Ctl2 + 31)]
    [InlineData(Bank + 40)]
    [InlineData(Bank + 127)]
    public void Registers_of_banks_that_are_not_there_fault(uint msr)
    {
        var state = new MachineCheckState(new());
        Assert.True(MachineCheckMsr.Contains(msr));
        Assert.False(state.TryRead(msr, out _));
        Assert.False(state.TryWrite(msr, 0, Lmce));
    }

    [Fact]
    public void All_32_banks_can_be_there()
    {
        var state = new MachineCheckState(new() { Banks = 32 });
        Assert.True(state.TryWrite(Ctl2 + 31, MciCtl2.CMCI_EN | 1, Lmce));
        Assert.True(state.TryRead(Bank + 127, out _));
        Assert.False(MachineCheckMsr.Contains(Bank + 128));
    }

    [Fact]
    public void Without_cmci_there_is_no_ctl2_and_without_lmce_no_ext_ctl()
    {
        var state = new MachineCheckState(new() { Cmci = false, Local = false });
        Assert.False(state.TryRead(Ctl2, out _));
        Assert.False(state.TryWrite(Ctl2, 0, Lmce));
        Assert.False(state.TryRead(MachineCheckMsr.MCG_EXT_CTL, out _));
        Assert.False(state.TryWrite(MachineCheckMsr.MCG_EXT_CTL, 0, Lmce));
    }

    [Theory]
    [InlineData(FeatureControl.Lock)]
    [InlineData(FeatureControl.LMCE_ON)]
    public void Local_machine_checks_need_the_firmwares_consent(ulong featureControl) =>
        Assert.False(new MachineCheckState(new()).TryWrite(MachineCheckMsr.MCG_EXT_CTL, 1, featureControl));

    [Fact]
    public unsafe void The_instructions_reach_the_registers_and_faults_raise_gp()
    {
        using var machine = new TestMachine(new CpuModel { MachineCheck = new() }).Load(a =>
        {
            a.mov(ecx, (int)MachineCheckMsr.MCG_CAP);
            a.rdmsr();
            a.mov(esi, eax);
            a.mov(ecx, 0x3A);
            a.rdmsr();
            a.mov(edi, eax);
            a.mov(ecx, (int)Bank + 1);
            a.mov(eax, 1);
            a.xor(edx, edx);
            a.wrmsr();
        });
        // No IDT: #GP becomes a triple fault, which names it.
        machine.State->IdtLimit = 0;
        machine.Run();
        Assert.Equal(0x0900_050Aul, machine.State->Gpr[6]);
        Assert.Equal(Lmce, machine.State->Gpr[7]);
        Assert.Equal(Activity.Shutdown, machine.Cpu.Activity);
        Assert.Contains("#GP", machine.Cpu.ShutdownCause);
    }

    [Fact]
    public void Records_outlive_a_warm_reset_and_not_a_cold_one()
    {
        var state = new MachineCheckState(new());
        state.Log(new(4, MachineCheckCode.ContextCorrupt, 0, 0), false, out _);
        state.TryWrite(MachineCheckMsr.MCG_STATUS, McgStatus.MCIP, 0);
        state.TryWrite(Bank, 0, 0);
        state.WarmReset();
        Assert.Equal(MachineCheckCode.ContextCorrupt, state.Bank(4).Status);
        Assert.Equal(0ul, state.Status);
        Assert.Equal(ulong.MaxValue, Read(state, Bank));
        var next = new MachineCheckState(new());
        next.Inherit(state.Recorded());
        Assert.Equal(MachineCheckCode.ContextCorrupt, next.Bank(4).Status);
        state.PowerOn();
        Assert.Equal(0ul, state.Bank(4).Status);
    }

    [Fact]
    public void A_snapshot_has_every_register_and_the_machine_check_that_waits()
    {
        var state = new MachineCheckState(new());
        state.Log(new(4, MachineCheckCode.DataLoad, 0x1000, 0x8C), false, out _);
        state.TryWrite(MachineCheckMsr.MCG_EXT_CTL, 1, Lmce);
        state.TryWrite(Ctl2 + 3, MciCtl2.CMCI_EN | 7, Lmce);
        state.Signal(McgStatus.RIPV | McgStatus.LMCE_S);
        var first = Saved(state);
        var copy = new MachineCheckState(new());
        copy.Load(new("x", 1, first));
        Assert.Equal(first, Saved(copy));
        Assert.True(copy.IsWaiting && copy.IsLocalEnabled);
        Assert.Equal(McgStatus.RIPV | McgStatus.LMCE_S, copy.Take());
        Assert.Throws<SnapshotException>(() => new MachineCheckState(new() { Banks = 9 }).Load(new("x", 1, first)));
    }

    static byte[] Saved(MachineCheckState state)
    {
        var writer = new SnapshotWriter();
        state.Save(writer);
        return writer.Written.ToArray();
    }
}
