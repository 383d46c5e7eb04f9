using Iced.Intel;
using Vmm.Cpu.State;
using Vmm.Cpu.Vmx;
using Vmm.Specs.X86;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Unit.Cpu.Vmx;

/// <summary>One row a control: with it the instruction exits with the reason and qualification of the SDM, without it it does not.</summary>
public sealed unsafe class ControlTests
{
    /// <summary>A row: what the guest does, what is set, and what must come of it.</summary>
    internal sealed record Row(ExitReason Reason, Action<Assembler> Code, Action<VmxBench> Set)
    {
        public ulong Qualification { get; init; }

        public ulong? Info { get; init; }

        public ulong? Linear { get; init; }

        public ulong? Length { get; init; }

        public Action<VmxBench>? Prepare { get; init; }

        /// <summary>Exits whatever the controls say.</summary>
        public bool Always { get; init; }
    }

    static Action<VmxBench> Primary(PrimaryControls bits) => m => m.SetPrimary(bits);

    static Action<VmxBench> Secondary(SecondaryControls bits) => m => m.SetSecondary(bits);

    static Action<VmxBench> Exception(byte vector) => m => m.Vmx.Write(VmcsField.ExceptionBitmap, 1u << vector);

    static void Nothing(VmxBench m)
    {
    }

    static Action<VmxBench> Own0(ulong bits) => m => m.Vmx.Write(VmcsField.Cr0GuestHostMask, Cr.Cr0NE | bits);

    static Action<VmxBench> Own4(ulong bits) => m => m.Vmx.Write(VmcsField.Cr4GuestHostMask, VmxCapability.Cr4Vmxe | Cr.Cr4MCE | bits);

    static Action<VmxBench> Ports(params ushort[] ports) => m =>
    {
        m.SetPrimary(PrimaryControls.UseIoBitmaps);
        foreach (var port in ports)
        {
            m.Vmx.Bitmaps.SetPort(port, true);
        }
    };

    internal static readonly Dictionary<string, Row> Rows = new()
    {
        ["HLT"] = new(ExitReason.Hlt, c => c.hlt(), Primary(PrimaryControls.Hlt)) { Length = 1 },
        ["INVLPG"] = new(ExitReason.Invlpg, c => c.invlpg(__byte_ptr[rbx + 8]), Primary(PrimaryControls.Invlpg)) { Qualification = VmxBench.Data + 8, Length = 4 },
        ["MWAIT"] = new(ExitReason.Mwait, c => c.mwait(), Primary(PrimaryControls.Mwait)) { Length = 3 },
        ["MONITOR"] = new(ExitReason.Monitor, c => c.monitor(), Primary(PrimaryControls.Monitor)) { Length = 3 },
        ["RDPMC"] = new(ExitReason.Rdpmc, c => c.rdpmc(), Primary(PrimaryControls.Rdpmc)) { Length = 2 },
        ["RDTSC"] = new(ExitReason.Rdtsc, c => c.rdtsc(), Primary(PrimaryControls.Rdtsc)) { Length = 2 },
        ["RDTSCP"] = new(ExitReason.Rdtscp, c => c.rdtscp(), Primary(PrimaryControls.Rdtsc)) { Length = 3 },
        ["MOV to CR3"] = new(ExitReason.CrAccess, c => c.mov(cr3, rdi), Primary(PrimaryControls.Cr3Load)) { Qualification = 0x703, Length = 3 },
        ["MOV from CR3"] = new(ExitReason.CrAccess, c => c.mov(r9, cr3), Primary(PrimaryControls.Cr3Store)) { Qualification = 0x913, Length = 4 },
        ["MOV to CR8"] = new(ExitReason.CrAccess, c => c.mov(cr8, rax), Primary(PrimaryControls.Cr8Load)) { Qualification = 0x008, Length = 4 },
        ["MOV from CR8"] = new(ExitReason.CrAccess, c => c.mov(rdx, cr8), Primary(PrimaryControls.Cr8Store)) { Qualification = 0x218, Length = 4 },
        ["MOV to DR7"] = new(ExitReason.DrAccess, c => c.mov(dr7, rsi), Primary(PrimaryControls.MovDr)) { Qualification = 0x607, Length = 3 },
        ["MOV from DR6"] = new(ExitReason.DrAccess, c => c.mov(rcx, dr6), Primary(PrimaryControls.MovDr)) { Qualification = 0x116, Length = 3 },
        ["MOV from DR5 with DE"] = new(ExitReason.DrAccess, c => c.db(0x0F, 0x21, 0xE8), Primary(PrimaryControls.MovDr)) { Qualification = 0x015, Prepare = m => m.State->Cr4 |= Cr.Cr4DE },
        ["IN immediate"] = new(ExitReason.IoInstruction, c => c.@in(eax, 0x71), Primary(PrimaryControls.UnconditionalIo)) { Qualification = 0x0071_004B, Length = 2 },
        ["OUT DX"] = new(ExitReason.IoInstruction, c => c.@out(dx, al), Primary(PrimaryControls.UnconditionalIo)) { Qualification = 0x03F8_0000, Length = 1 },
        ["REP OUTSB"] = new(ExitReason.IoInstruction, c => c.rep.outsb(), Primary(PrimaryControls.UnconditionalIo)) { Qualification = 0x03F8_0030, Linear = VmxBench.Data, Info = 2 << 7 | 3 << 15 },
        ["INSW"] = new(ExitReason.IoInstruction, c => c.insw(), Primary(PrimaryControls.UnconditionalIo)) { Qualification = 0x03F8_0019, Linear = VmxBench.Data + 0x100, Length = 2 },
        ["I/O bitmap, the last of two ports"] = new(ExitReason.IoInstruction, c => c.@out(dx, ax), Ports(0x3F9)) { Qualification = 0x03F8_0001 },
        ["I/O bitmap B"] = new(ExitReason.IoInstruction, c => { c.mov(edx, 0xC000); c.@in(al, dx); }, Ports(0xC000)) { Qualification = 0xC000_0008 },
        ["PAUSE"] = new(ExitReason.Pause, c => c.pause(), Primary(PrimaryControls.Pause)) { Length = 2 },
        ["RDMSR without bitmaps"] = new(ExitReason.Rdmsr, c => { c.mov(ecx, 0x277); c.rdmsr(); }, m => m.Vmx.Write(VmcsField.PrimaryControls, m.Vmx.Read(VmcsField.PrimaryControls) & ~(ulong)PrimaryControls.UseMsrBitmaps)) { Length = 2 },
        ["RDMSR in the low bitmap"] = new(ExitReason.Rdmsr, c => { c.mov(ecx, 0x174); c.rdmsr(); }, m => m.Vmx.Bitmaps.SetMsr(0x174, false, true)),
        ["WRMSR in the high bitmap"] = new(ExitReason.Wrmsr, c => { c.mov(ecx, unchecked((int)0xC000_0102)); c.wrmsr(); }, m => m.Vmx.Bitmaps.SetMsr(0xC000_0102, true, true)) { Length = 2 },
        ["SGDT"] = new(ExitReason.GdtrIdtrAccess, c => c.sgdt(__[rbx + 0x40]), Secondary(SecondaryControls.DescriptorTable)) { Qualification = 0x40, Info = 2 << 7 | 1 << 11 | 3 << 15 | 1 << 22 | 3 << 23 },
        ["LIDT"] = new(ExitReason.GdtrIdtrAccess, c => c.lidt(__[rbx + rcx * 4 + 0x20]), Secondary(SecondaryControls.DescriptorTable)) { Qualification = 0x20, Info = 2u | 2 << 7 | 1 << 11 | 3 << 15 | 1 << 18 | 3 << 23 | 3u << 28 },
        ["STR to a register"] = new(ExitReason.LdtrTrAccess, c => c.str(esi), Secondary(SecondaryControls.DescriptorTable)) { Info = 6 << 3 | 1 << 10 | 1 << 28 },
        ["LLDT"] = new(ExitReason.LdtrTrAccess, c => c.lldt(ax), Secondary(SecondaryControls.DescriptorTable)) { Info = 1 << 10 | 2 << 28 },
        ["WBINVD"] = new(ExitReason.Wbinvd, c => c.wbinvd(), Secondary(SecondaryControls.Wbinvd)) { Length = 2 },
        ["RDRAND"] = new(ExitReason.Rdrand, c => c.rdrand(r10), Secondary(SecondaryControls.Rdrand)) { Info = 10 << 3 | 2 << 11 },
        ["RDSEED"] = new(ExitReason.Rdseed, c => c.rdseed(ecx), Secondary(SecondaryControls.Rdseed)) { Info = 1 << 3 | 1 << 11 },
        ["INVPCID"] = new(ExitReason.Invpcid, c => c.invpcid(rdx, __xmmword_ptr[rbx + 16]), m => { m.SetPrimary(PrimaryControls.Invlpg); m.SetSecondary(SecondaryControls.EnableInvpcid); }) { Qualification = 16, Info = 2u << 7 | 3 << 15 | 1 << 22 | 3 << 23 | 2u << 28 },
        ["MOV to CR0, owned bit"] = new(ExitReason.CrAccess, c => { c.mov(rax, cr0); c.xor(eax, (int)Cr.Cr0TS); c.mov(cr0, rax); }, Own0(Cr.Cr0TS)) { Qualification = 0 },
        ["MOV to CR4, owned bit"] = new(ExitReason.CrAccess, c => { c.mov(rdx, cr4); c.xor(edx, (int)Cr.Cr4PGE); c.mov(cr4, rdx); }, Own4(Cr.Cr4PGE)) { Qualification = 0x204 },
        ["CLTS"] = new(ExitReason.CrAccess, c => c.clts(), m => { m.State->Cr0 |= Cr.Cr0TS; Own0(Cr.Cr0TS)(m); }) { Qualification = 0x20 },
        ["LMSW register"] = new(ExitReason.CrAccess, c => c.lmsw(bp), Own0(Cr.Cr0TS)) { Qualification = 9ul << 16 | 0x30 },
        ["LMSW memory"] = new(ExitReason.CrAccess, c => c.lmsw(__word_ptr[rbx + 0x80]), Own0(Cr.Cr0MP)) { Qualification = 3ul << 16 | 0x70, Linear = VmxBench.Data + 0x80 },
        ["#UD"] = new(ExitReason.ExceptionOrNmi, c => c.ud2(), Exception(6)),
        ["#DB by the trap flag"] = new(ExitReason.ExceptionOrNmi, c => c.nop(), Exception(1)) { Qualification = 1 << 14, Prepare = m => Flags.Write(m.State, 0x102) },
        ["#BP"] = new(ExitReason.ExceptionOrNmi, c => c.int3(), Exception(3)) { Length = 0 },
        ["CPUID"] = new(ExitReason.Cpuid, c => c.cpuid(), Nothing) { Always = true, Length = 2 },
        ["INVD"] = new(ExitReason.Invd, c => c.invd(), Nothing) { Always = true, Length = 2 },
        ["XSETBV"] = new(ExitReason.Xsetbv, c => c.xsetbv(), Nothing) { Always = true, Prepare = m => m.State->Cr4 |= 1 << 18, Length = 3 },
        ["VMCALL"] = new(ExitReason.Vmcall, c => c.vmcall(), Nothing) { Always = true, Length = 3 },
        ["VMXOFF"] = new(ExitReason.Vmxoff, c => c.vmxoff(), Nothing) { Always = true },
        ["VMLAUNCH"] = new(ExitReason.Vmlaunch, c => c.vmlaunch(), Nothing) { Always = true },
        ["VMREAD"] = new(ExitReason.Vmread, c => c.vmread(rcx, rdx), Nothing) { Always = true, Info = 1 << 3 | 1 << 10 | 2u << 28 },
        ["VMPTRLD"] = new(ExitReason.Vmptrld, c => c.vmptrld(__qword_ptr[rbx + 0x18]), Nothing) { Always = true, Qualification = 0x18, Info = 2 << 7 | 3 << 15 | 1 << 22 | 3 << 23 },
        ["INVEPT"] = new(ExitReason.Invept, c => c.invept(rcx, __xmmword_ptr[rbx]), Nothing) { Always = true, Info = 2u << 7 | 3 << 15 | 1 << 22 | 3 << 23 | 1u << 28 },
    };

    public static TheoryData<string> Names => [.. Rows.Keys];

    static VmxBench Bench(Row row, bool set)
    {
        var m = new VmxBench();
        m.Memory.TryWrite(new(VmxBench.Data + 0x80), (ushort)3);
        var s = m.State;
        (s->Gpr[2], s->Gpr[3], s->Gpr[5], s->Gpr[6], s->Gpr[7]) = (0x3F8, VmxBench.Data, 9, VmxBench.Data, VmxBench.Data + 0x100);
        s->Gpr[1] = 1;
        row.Prepare?.Invoke(m);
        if (row.Qualification == 0x703)
        {
            s->Gpr[7] = 0x1000;
        }

        if (row.Reason == ExitReason.DrAccess)
        {
            s->Gpr[6] = 0x400;
        }

        if (set)
        {
            row.Set(m);
        }

        m.Load(c =>
        {
            row.Code(c);
            c.nop();
        });
        return m;
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void The_instruction_exits_with_the_SDMs_information_when_the_control_is_set(string name)
    {
        var row = Rows[name];
        using var m = Bench(row, true);
        m.Run(6);
        Assert.Null(m.Death);
        var (exit, vmcs) = Assert.Single(m.Of(row.Reason));
        Assert.Equal((ulong)row.Reason, vmcs[VmcsField.ExitReason]);
        Assert.Equal(row.Qualification, exit.Qualification);
        Assert.Equal(row.Qualification, vmcs[VmcsField.ExitQualification]);
        Assert.Equal(row.Info ?? vmcs[VmcsField.ExitInstructionInfo], vmcs[VmcsField.ExitInstructionInfo]);
        Assert.Equal(row.Linear ?? vmcs[VmcsField.GuestLinearAddress], vmcs[VmcsField.GuestLinearAddress]);
        Assert.Equal(row.Length ?? vmcs[VmcsField.ExitInstructionLength], vmcs[VmcsField.ExitInstructionLength]);
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void It_does_not_exit_when_the_control_is_clear(string name)
    {
        var row = Rows[name];
        using var m = Bench(row, false);
        m.Run(6);
        Assert.Null(m.Death);
        Assert.Equal(row.Always ? 1 : 0, m.Of(row.Reason).Count);
    }

    [Theory]
    [InlineData(6, 0x8000_0306u)]
    [InlineData(3, 0x8000_0603u)]
    public void An_exception_names_itself_in_the_interruption_information(byte vector, uint info)
    {
        using var m = new VmxBench().Load(c =>
        {
            if (vector == 6)
            {
                c.ud2();
            }
            else
            {
                c.int3();
            }
        });
        m.Vmx.Write(VmcsField.ExceptionBitmap, 1u << vector);
        m.Run(4);
        Assert.Equal(info, Assert.Single(m.Exits).Vmcs[VmcsField.ExitInterruptionInfo]);
        // The hypervisor injects it: the guest's handler runs.
        Assert.InRange(m.State->Rip, VmxBench.HandlersAt + vector * 16u, VmxBench.HandlersAt + vector * 16u + 1);
    }

    [Theory]
    [InlineData(true, 0u, 0u, true)]
    [InlineData(false, 0u, 0u, false)]
    [InlineData(true, 2u, 2u, true)]
    [InlineData(true, 2u, 0u, false)]
    [InlineData(false, 2u, 0u, true)]
    public void A_page_fault_exits_by_bitmap_error_code_mask_and_match(bool bit, uint mask, uint match, bool exits)
    {
        using var m = new VmxBench().Load(c => c.mov(__dword_ptr[rbx], eax));
        m.Vmx.Write(VmcsField.ExceptionBitmap, bit ? 1u << 14 : 0);
        m.Vmx.Write(VmcsField.PageFaultErrorMask, mask);
        m.Vmx.Write(VmcsField.PageFaultErrorMatch, match);
        m.State->Gpr[3] = 0x80_0000_0000;
        m.Run(4);
        Assert.Equal(exits ? 1 : 0, m.Exits.Count);
        if (exits)
        {
            Assert.Equal(0x80_0000_0000ul, m.Exits[0].Exit.Qualification);
            Assert.Equal((0x8000_0B0Eul, 2ul), (m.Exits[0].Vmcs[VmcsField.ExitInterruptionInfo], m.Exits[0].Vmcs[VmcsField.ExitErrorCode]));
        }
    }

    [Fact]
    public void A_CR3_target_value_is_loaded_without_an_exit()
    {
        using var m = new VmxBench().Load(c => c.mov(cr3, rdi));
        m.State->Gpr[7] = 0x1000;
        m.SetPrimary(PrimaryControls.Cr3Load);
        m.Vmx.Write(VmcsField.Cr3Target1, 0x1000);
        m.Vmx.Write(VmcsField.Cr3TargetCount, 2);
        Assert.Empty(m.Run(1).Exits);
        m.Vmx.Write(VmcsField.Cr3TargetCount, 1);
        m.State->Rip = VmxBench.CodeAt;
        Assert.Single(m.Run(1).Exits);
    }

    [Fact]
    public void RDTSCP_and_INVPCID_are_undefined_until_they_are_enabled()
    {
        using var m = new VmxBench().Load(c => c.rdtscp());
        m.Vmx.Write(VmcsField.SecondaryControls, (ulong)(SecondaryControls.EnableEpt | SecondaryControls.UnrestrictedGuest));
        m.Run(1);
        Assert.Equal(VmxBench.HandlersAt + 6 * 16, m.State->Rip);
    }

    [Fact]
    public void Privilege_comes_before_the_exit_but_not_for_MOV_DR()
    {
        using var m = new VmxBench().Load(c =>
        {
            c.mov(rax, dr7);
            c.hlt();
        });
        m.SetPrimary(PrimaryControls.Hlt | PrimaryControls.MovDr);
        m.State->Cs.Access |= 0x60;
        m.State->Cs.Selector = 0x13;
        m.State->Ss.Access |= 0x60;
        m.State->Ss.Selector = 0x1B;
        m.Memory.TryWrite(new(0x7004), 0x9000ul);
        for (var at = 0x1000ul; at <= 0x2000; at += 0x1000)
        {
            m.Memory.TryWrite(new(at), at + 0x1007);
        }

        m.Cpu.StateChanged();
        m.Run(1);
        Assert.Equal(ExitReason.DrAccess, Assert.Single(m.Exits).Exit.Reason);
    }

    [Theory]
    [InlineData(true, 49, 0)]
    [InlineData(false, 48, 0x182)]
    public void Memory_that_is_not_there_is_an_EPT_exit_of_the_profiles_kind(bool misconfiguration, int reason, ulong qualification)
    {
        var profile = VmxProfile.Kvm with { MmioByMisconfiguration = misconfiguration };
        using var m = new VmxBench(new() { Profile = profile }).Load(c => c.mov(__dword_ptr[rbx + 4], eax));
        m.State->Gpr[3] = VmxBench.Mmio;
        m.Run(1);
        var (exit, vmcs) = Assert.Single(m.Exits);
        Assert.Equal(((ExitReason)reason, ExitKind.Write, qualification), (exit.Reason, exit.Kind, exit.Qualification));
        Assert.Equal(VmxBench.Mmio + 4, vmcs[VmcsField.GuestPhysicalAddress]);
        Assert.Equal(misconfiguration ? 0 : VmxBench.Mmio + 4, vmcs[VmcsField.GuestLinearAddress]);
    }

    [Fact]
    public void The_APIC_access_page_has_an_exit_of_its_own()
    {
        using var m = new VmxBench().Load(c => c.mov(eax, __dword_ptr[rbx + 0x20]));
        m.State->Gpr[3] = 0xFEE0_0000;
        m.SetSecondary(SecondaryControls.VirtualizeApicAccesses);
        m.Run(1);
        Assert.Equal((ExitReason.ApicAccess, 0x020ul), (m.Exits[0].Exit.Reason, m.Exits[0].Exit.Qualification));
    }

    [Fact]
    public void A_loop_of_PAUSE_exits_when_it_is_longer_than_the_window()
    {
        static void Spin(Assembler c)
        {
            var top = c.CreateLabel();
            c.Label(ref top);
            c.pause();
            c.jmp(top);
        }

        using var m = new VmxBench().Load(Spin);
        m.SetSecondary(SecondaryControls.PauseLoop);
        m.Vmx.Write(VmcsField.PleGap, 1000);
        m.Vmx.Write(VmcsField.PleWindow, 20_000);
        m.Run(100_000);
        Assert.InRange(m.Of(ExitReason.Pause).Count, 3, 5);
        using var far = new VmxBench().Load(Spin);
        far.SetSecondary(SecondaryControls.PauseLoop);
        far.Vmx.Write(VmcsField.PleGap, 10);
        Assert.Empty(far.Run(100_000).Exits);
    }

    [Fact]
    public void A_triple_fault_exits()
    {
        using var m = new VmxBench().Load(c => c.ud2());
        m.State->IdtLimit = 0;
        m.Run(4);
        Assert.Equal(ExitReason.TripleFault, Assert.Single(m.Exits).Exit.Reason);
    }

    [Fact]
    public void The_TSC_is_scaled_and_offset_as_the_controls_say()
    {
        using var m = new VmxBench().Load(c =>
        {
            c.rdtsc();
            c.rdtsc();
            c.rdtsc();
        });
        m.Vmx.Write(VmcsField.TscOffset, 1_000_000);
        m.Run(1);
        Assert.Equal(1_000_000 + m.Clock.Now - 0, m.State->Gpr[0]);
        m.SetSecondary(SecondaryControls.UseTscScaling);
        m.Vmx.Write(VmcsField.TscMultiplier, 3ul << 48);
        m.Run(1);
        Assert.Equal(1_000_000 + 3 * m.Clock.Now, m.State->Gpr[0]);
        m.Vmx.Write(VmcsField.PrimaryControls, m.Vmx.Read(VmcsField.PrimaryControls) & ~(ulong)PrimaryControls.UseTscOffsetting);
        m.Run(1);
        Assert.Equal(m.Clock.Now, m.State->Gpr[0]);
    }
}
