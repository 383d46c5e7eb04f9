using Iced.Intel;
using Vmm.Cpu.State;
using Vmm.Cpu.Vcpus;
using Vmm.Cpu.Vmx;
using Vmm.Platform.Snapshots;
using Vmm.Specs.X86;
using Xunit;

namespace Vmm.Unit.Cpu.Vmx;

/// <summary>Events between instructions: each exits with its control set and takes its other way with it clear.</summary>
public sealed unsafe class EventTests
{
    static VmxBench Nops(VmxOptions? options = null)
    {
        var m = new VmxBench(options).Load(c =>
        {
            for (var i = 0; i < 200; i++)
            {
                c.nop();
            }
        });
        m.Apic.Wire = m.Cpu;
        m.Run(1);
        return m;
    }

    static void Set(VmxBench m, bool condition, Action set)
    {
        if (condition)
        {
            set();
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_physical_interrupt_exits_or_goes_through_the_guests_IDT(bool control)
    {
        using var m = Nops();
        Flags.Write(m.State, 0x202);
        Set(m, control, () => m.SetPin(PinControls.ExternalInterrupt));
        m.Vmx.Write(VmcsField.ExitControls, m.Vmx.Read(VmcsField.ExitControls) | (ulong)ExitControls.AcknowledgeInterrupt);
        m.Vmx.InterruptArrives(0x81);
        m.Run(2);
        Assert.Equal(control ? 1 : 0, m.Of(ExitReason.ExternalInterrupt).Count);
        if (control)
        {
            Assert.Equal(0x8000_0081ul, m.Exits[0].Vmcs[VmcsField.ExitInterruptionInfo]);
        }
        else
        {
            Assert.Equal(VmxBench.HandlersAt + 0x81 * 16 + 1, m.State->Rip);
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_physical_NMI_exits_or_is_the_guests(bool control)
    {
        using var m = Nops();
        Set(m, control, () => m.SetPin(PinControls.Nmi));
        m.Vmx.NmiArrives();
        m.Run(600);
        Assert.Equal(control ? 1 : 0, m.Exits.Count(e => e.Exit.Kind == ExitKind.Nmi));
        if (control)
        {
            Assert.Equal(0x8000_0202ul, m.Exits[0].Vmcs[VmcsField.ExitInterruptionInfo]);
        }

        Assert.Equal(control ? 0 : 1, m.State->NmiBlocked);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void An_interrupt_window_exits_when_interrupts_are_possible(bool control)
    {
        using var m = new VmxBench().Load(c =>
        {
            c.nop();
            c.sti();
            c.nop();
            c.nop();
        });
        Set(m, control, () => m.SetPrimary(PrimaryControls.InterruptWindow));
        Assert.Empty(m.Run(3).Exits);
        m.Run(1);
        Assert.Equal(control ? 1 : 0, m.Of(ExitReason.InterruptWindow).Count);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void An_NMI_window_exits_when_NMIs_are_possible(bool control)
    {
        using var m = Nops();
        m.State->NmiBlocked = 1;
        m.SetPin(PinControls.Nmi | PinControls.VirtualNmis);
        Set(m, control, () => m.SetPrimary(PrimaryControls.NmiWindow));
        Assert.Empty(m.Run(2).Exits);
        m.State->NmiBlocked = 0;
        m.Run(2);
        Assert.Equal(control ? 1 : 0, m.Of(ExitReason.NmiWindow).Count);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void The_monitor_trap_flag_exits_after_each_instruction(bool control)
    {
        using var m = Nops();
        Set(m, control, () => m.SetPrimary(PrimaryControls.MonitorTrapFlag));
        m.Run(100);
        Assert.Equal(control ? 4 : 0, m.Of(ExitReason.MonitorTrapFlag).Count);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void The_preemption_timer_exits_when_it_reaches_zero(bool control)
    {
        using var m = Nops();
        Set(m, control, () => m.SetPin(PinControls.PreemptionTimer));
        m.Vmx.Write(VmcsField.PreemptionTimer, 2);
        m.Run(10);
        m.Clock.RunDue();
        Assert.Empty(m.Exits);
        m.Clock.Charge(64);
        m.Clock.RunDue();
        m.Run(10);
        Assert.Equal(control ? 1 : 0, m.Of(ExitReason.PreemptionTimer).Count);
    }

    [Fact]
    public void INIT_exits_and_a_startup_IPI_only_in_its_waiting_state()
    {
        using var m = Nops();
        m.Vmx.InitArrives();
        m.Vmx.StartUpArrives(0x12);
        m.Run(100);
        Assert.Equal(ExitReason.Init, Assert.Single(m.Exits).Exit.Reason);
        using var waiting = Nops(new() { Profile = VmxProfile.Minimal });
        waiting.Cpu.Init();
        waiting.Run(1);
        Assert.Equal(Activity.WaitForStartUp, waiting.Cpu.Activity);
        Assert.Equal((ulong)GuestActivityState.WaitForSipi, waiting.Vmx.Read(VmcsField.GuestActivity));
        waiting.Vmx.InitArrives();
        waiting.Vmx.StartUpArrives(0x12);
        waiting.Run(1);
        var (exit, _) = Assert.Single(waiting.Exits);
        Assert.Equal((ExitReason.StartUpIpi, 0x12ul), (exit.Reason, exit.Qualification));
        Assert.Equal(0x1_2000ul, waiting.State->Cs.Base);
    }

    [Fact]
    public void The_guests_own_interrupt_kicks_it_out_waits_for_a_window_and_is_injected()
    {
        using var m = new VmxBench(new()).Load(c =>
        {
            c.nop();
            c.nop();
            c.sti();
            c.nop();
            c.nop();
        });
        m.Apic.Wire = m.Cpu;
        m.Run(1);
        m.Cpu.SetIntr(true);
        m.Run(2000);
        Assert.Equal([ExitReason.ExternalInterrupt, ExitReason.InterruptWindow, ExitReason.Hlt], m.Exits.Select(e => e.Exit.Reason));
        Assert.Equal(0x8000_0000ul | NonRoot.KickVector, m.Exits[0].Vmcs[VmcsField.ExitInterruptionInfo]);
        Assert.Equal(VmxBench.HandlersAt + 0x40 * 16 + 1, m.State->Rip);
    }

    [Theory]
    [InlineData(InterruptionType.External, 0x44, 0x202)]
    [InlineData(InterruptionType.Nmi, 2, 2)]
    [InlineData(InterruptionType.HardwareException, 6, 2)]
    [InlineData(InterruptionType.SoftwareInterrupt, 0x80, 2)]
    public void An_event_of_the_entry_fields_is_injected_once(InterruptionType type, byte vector, ulong flags)
    {
        using var m = Nops();
        Flags.Write(m.State, flags);
        m.Vmx.Write(VmcsField.EntryInterruptionInfo, new InterruptionInfo(vector, type, false).Raw);
        m.Vmx.Write(VmcsField.EntryInstructionLength, 2);
        m.Run(1);
        Assert.InRange(m.State->Rip, VmxBench.HandlersAt + vector * 16u, VmxBench.HandlersAt + vector * 16u + 1);
        Assert.Equal(0ul, m.Vmx.Read(VmcsField.EntryInterruptionInfo) >> 31);
    }

    [Fact]
    public void An_exit_during_delivery_names_the_event_in_the_IDT_vectoring_information()
    {
        using var m = new VmxBench().Load(c => c.@int(0x80));
        m.Vmx.Write(VmcsField.ExceptionBitmap, 1 << 11);
        m.Memory.TryWrite(new(0x5000 + 0x80 * 16 + 5), (byte)0x0E);
        m.Run(3);
        var (exit, vmcs) = Assert.Single(m.Exits);
        Assert.Equal((ExitReason.ExceptionOrNmi, 11ul), (exit.Reason, exit.Address));
        Assert.Equal(0x8000_0480ul, vmcs[VmcsField.IdtVectoringInfo]);
        Assert.Equal(0x8000_0B0Bul, vmcs[VmcsField.ExitInterruptionInfo]);
    }

    [Theory]
    [InlineData(0, false)]
    [InlineData(6, true)]
    public void CR8_below_the_TPR_threshold_exits(ulong threshold, bool exits)
    {
        using var m = new VmxBench().Load(c => c.mov(Iced.Intel.AssemblerRegisters.cr8, Iced.Intel.AssemblerRegisters.rax));
        m.SetPrimary(PrimaryControls.UseTprShadow);
        m.Vmx.Write(VmcsField.TprThreshold, threshold);
        m.State->Gpr[0] = 5;
        m.Run(1);
        Assert.Equal(exits ? 1 : 0, m.Of(ExitReason.TprBelowThreshold).Count);
        Assert.Equal(0x50, m.Apic.TaskPriority);
    }

    [Fact]
    public void The_guest_reads_shadows_and_the_processor_has_what_VMX_needs()
    {
        using var m = new VmxBench(new()).Load(c =>
        {
            c.mov(Iced.Intel.AssemblerRegisters.rax, Iced.Intel.AssemblerRegisters.cr4);
            c.mov(Iced.Intel.AssemblerRegisters.rbx, Iced.Intel.AssemblerRegisters.cr0);
        });
        m.State->Cr0 &= ~Cr.Cr0NE;
        m.Run(2);
        Assert.Equal((m.State->Cr4, m.State->Cr0), (m.State->Gpr[0], m.State->Gpr[3]));
        Assert.Equal(m.State->Cr4 | Cr.Cr4MCE | 1 << 13, m.Vmx.Read(VmcsField.GuestCr4));
        Assert.Equal(m.State->Cr0 | Cr.Cr0NE, m.Vmx.Read(VmcsField.GuestCr0));
    }

    [Fact]
    public void A_snapshot_has_the_controls_and_what_waits()
    {
        using var m = Nops();
        m.SetPrimary(PrimaryControls.Rdtsc);
        m.SetPin(PinControls.ExternalInterrupt);
        m.Vmx.Bitmaps.SetPort(0x80, true);
        m.Vmx.InterruptArrives(0x33);
        var writer = new SnapshotWriter();
        m.Vmx.Save(writer);
        using var other = new VmxBench();
        other.Vmx.Load(new(m.Vmx.SectionName, m.Vmx.SectionVersion, writer.Written.ToArray()));
        var again = new SnapshotWriter();
        other.Vmx.Save(again);
        Assert.Equal(writer.Written.ToArray(), again.Written.ToArray());
        other.Load(c => c.rdtsc()).Run(100);
        Assert.Equal([ExitReason.ExternalInterrupt, ExitReason.Rdtsc], other.Exits.Take(2).Select(e => e.Exit.Reason));
    }
}
