using Vmm.Cpu.State;
using Vmm.Cpu.Vcpus;
using Vmm.Cpu.Vmx;
using Vmm.Specs.X86;
using Xunit;
using F = Vmm.Specs.X86.VmcsField;

namespace Vmm.Unit.Cpu.Vmx;

/// <summary>Each row is a VMCS that passes, with one field made invalid.</summary>
public sealed class EntryCheckTests
{
    const ulong Bad = 0x8000_0000_0000, Wide = 1ul << 50;

    static Action<Vmcs> Set(F field, ulong value) => v => v[field] = value;

    static Action<Vmcs> Flip(F field, ulong bits) => v => v[field] ^= bits;

    static Action<Vmcs> Both(params Action<Vmcs>[] all) => v => Array.ForEach(all, a => a(v));

    static Action<Vmcs> Inject(byte vector, InterruptionType type, bool error = false) => Set(F.EntryInterruptionInfo, new InterruptionInfo(vector, type, error).Raw);

    static readonly Action<Vmcs> NotUnrestricted = Flip(F.SecondaryControls, (ulong)SecondaryControls.UnrestrictedGuest);

    static readonly Action<Vmcs> Virtual8086 = v =>
    {
        v[F.EntryControls] &= ~(ulong)EntryControls.Ia32eGuest;
        v[F.GuestEfer] &= ~(Cr.EferLMA | Cr.EferLME);
        v[F.GuestCr4] &= ~Cr.Cr4PAE;
        v[F.GuestRflags] |= Cr.VM;
        v[F.GuestRip] = 0x100;
        for (ushort i = 0; i < 12; i += 2)
        {
            v[F.GuestEsSelector + i] = 0x1000;
            v[F.GuestEsBase + i] = 0x1_0000;
            v[F.GuestEsLimit + i] = 0xFFFF;
            v[F.GuestEsAccess + i] = 0xF3;
        }
    };

    static readonly (F Field, Action<Vmcs> Break)[] ControlRows =
    [
        (F.PinControls, Flip(F.PinControls, 1 << 1)), (F.PinControls, Flip(F.PinControls, 1 << 8)), (F.PinControls, Flip(F.PinControls, (ulong)PinControls.Nmi)),
        (F.PrimaryControls, Flip(F.PrimaryControls, 1 << 1)), (F.PrimaryControls, Flip(F.PrimaryControls, 1 << 0)),
        (F.PrimaryControls, Both(Flip(F.PinControls, (ulong)PinControls.VirtualNmis), Flip(F.PrimaryControls, (ulong)PrimaryControls.NmiWindow))),
        (F.SecondaryControls, Flip(F.SecondaryControls, (ulong)SecondaryControls.EnableVmFunctions)),
        (F.SecondaryControls, Flip(F.SecondaryControls, (ulong)SecondaryControls.EnableEpt)),
        (F.Cr3TargetCount, Set(F.Cr3TargetCount, 5)),
        (F.IoBitmapA, Both(Flip(F.PrimaryControls, (ulong)PrimaryControls.UseIoBitmaps), Flip(F.IoBitmapA, 1))),
        (F.IoBitmapB, Both(Flip(F.PrimaryControls, (ulong)PrimaryControls.UseIoBitmaps), Set(F.IoBitmapB, Wide))),
        (F.MsrBitmap, Flip(F.MsrBitmap, 0x800)), (F.VirtualApicAddress, Flip(F.VirtualApicAddress, 8)), (F.TprThreshold, Set(F.TprThreshold, 16)),
        (F.ApicAccessAddress, Flip(F.ApicAccessAddress, 1)), (F.Vpid, Set(F.Vpid, 0)),
        (F.EptPointer, Flip(F.EptPointer, 1)), (F.EptPointer, Flip(F.EptPointer, 1 << 3)), (F.EptPointer, Flip(F.EptPointer, 1 << 8)), (F.EptPointer, Flip(F.EptPointer, Wide)),
        (F.ExitControls, Flip(F.ExitControls, 1)), (F.ExitControls, Flip(F.ExitControls, (ulong)ExitControls.SavePreemptionTimer)),
        (F.ExitMsrStoreAddress, Both(Set(F.ExitMsrStoreCount, 1), Set(F.ExitMsrStoreAddress, 8))),
        (F.ExitMsrLoadAddress, Both(Set(F.ExitMsrLoadCount, 2), Set(F.ExitMsrLoadAddress, (1ul << 40) - 16))),
        (F.EntryMsrLoadAddress, Both(Set(F.EntryMsrLoadCount, 1), Set(F.EntryMsrLoadAddress, Wide))),
        (F.EntryControls, Flip(F.EntryControls, 1)), (F.EntryControls, Flip(F.EntryControls, (ulong)EntryControls.EntryToSmm)),
        (F.EntryInterruptionInfo, Inject(5, (InterruptionType)1)), (F.EntryInterruptionInfo, Inject(3, InterruptionType.Nmi)),
        (F.EntryInterruptionInfo, Inject(32, InterruptionType.HardwareException)), (F.EntryInterruptionInfo, Inject(13, InterruptionType.HardwareException)),
        (F.EntryInterruptionInfo, Inject(6, InterruptionType.HardwareException, true)), (F.EntryInterruptionInfo, Inject(1, InterruptionType.Other)),
        (F.EntryInterruptionInfo, Both(Inject(6, InterruptionType.HardwareException), Flip(F.EntryInterruptionInfo, 1 << 13))),
        (F.EntryErrorCode, Both(Inject(13, InterruptionType.HardwareException, true), Set(F.EntryErrorCode, 0x1_0000))),
        (F.EntryInstructionLength, Inject(3, InterruptionType.SoftwareException)),
        (F.EntryInstructionLength, Both(Inject(0x80, InterruptionType.SoftwareInterrupt), Set(F.EntryInstructionLength, 16))),
    ];

    static readonly (F Field, Action<Vmcs> Break)[] HostRows =
    [
        (F.HostCr0, Flip(F.HostCr0, Cr.Cr0NE)), (F.HostCr4, Flip(F.HostCr4, 1 << 13)), (F.HostCr4, Flip(F.HostCr4, Cr.Cr4PAE)), (F.HostCr3, Set(F.HostCr3, Wide)),
        (F.HostSysenterEsp, Set(F.HostSysenterEsp, Bad)), (F.HostSysenterEip, Set(F.HostSysenterEip, Bad)), (F.HostFsBase, Set(F.HostFsBase, Bad)),
        (F.HostGsBase, Set(F.HostGsBase, Bad)), (F.HostGdtrBase, Set(F.HostGdtrBase, Bad)), (F.HostIdtrBase, Set(F.HostIdtrBase, Bad)),
        (F.HostTrBase, Set(F.HostTrBase, Bad)), (F.HostPat, Set(F.HostPat, 2)), (F.HostEfer, Flip(F.HostEfer, 1 << 1)), (F.HostEfer, Flip(F.HostEfer, Cr.EferLMA)),
        (F.HostEsSelector, Set(F.HostEsSelector, 1)), (F.HostCsSelector, Set(F.HostCsSelector, 0x13)), (F.HostCsSelector, Set(F.HostCsSelector, 0)),
        (F.HostSsSelector, Set(F.HostSsSelector, 4)), (F.HostDsSelector, Set(F.HostDsSelector, 2)), (F.HostFsSelector, Set(F.HostFsSelector, 3)),
        (F.HostGsSelector, Set(F.HostGsSelector, 4)), (F.HostTrSelector, Set(F.HostTrSelector, 0)), (F.HostTrSelector, Set(F.HostTrSelector, 0x44)),
        (F.HostRip, Set(F.HostRip, Bad)), (F.HostEfer, Flip(F.ExitControls, (ulong)ExitControls.HostAddressSpace)),
    ];

    static readonly (F Field, ulong Qualification, Action<Vmcs> Break)[] GuestRows =
    [
        (F.GuestCr0, 0, Flip(F.GuestCr0, Cr.Cr0NE)), (F.GuestCr0, 0, Set(F.GuestCr0, Cr.Cr0PG | Cr.Cr0NE)), (F.GuestCr0, 0, Flip(F.GuestCr0, Cr.Cr0PG)),
        (F.GuestCr0, 0, Both(NotUnrestricted, Set(F.GuestCr0, Cr.Cr0NE))),
        (F.GuestCr4, 0, Flip(F.GuestCr4, 1 << 13)), (F.GuestCr4, 0, Flip(F.GuestCr4, 1 << 15)), (F.GuestCr4, 0, Flip(F.GuestCr4, Cr.Cr4PAE)),
        (F.GuestCr3, 0, Set(F.GuestCr3, Wide)), (F.GuestDebugctl, 0, Set(F.GuestDebugctl, 4)), (F.GuestDr7, 0, Set(F.GuestDr7, 1ul << 32)),
        (F.GuestSysenterEsp, 0, Set(F.GuestSysenterEsp, Bad)), (F.GuestSysenterEip, 0, Set(F.GuestSysenterEip, Bad)), (F.GuestPat, 0, Set(F.GuestPat, 3)),
        (F.GuestEfer, 0, Flip(F.GuestEfer, 1 << 2)), (F.GuestEfer, 0, Flip(F.GuestEfer, Cr.EferLMA)), (F.GuestEfer, 0, Flip(F.GuestEfer, Cr.EferLME)),
        (F.GuestTrSelector, 0, Set(F.GuestTrSelector, 0x24)), (F.GuestLdtrSelector, 0, Set(F.GuestLdtrSelector, 4)),
        (F.GuestSsSelector, 0, Both(NotUnrestricted, Set(F.GuestSsSelector, 0x1B))),
        (F.GuestTrBase, 0, Set(F.GuestTrBase, Bad)), (F.GuestFsBase, 0, Set(F.GuestFsBase, Bad)), (F.GuestGsBase, 0, Set(F.GuestGsBase, Bad)),
        (F.GuestLdtrBase, 0, Set(F.GuestLdtrBase, Bad)), (F.GuestCsBase, 0, Set(F.GuestCsBase, 1ul << 32)), (F.GuestSsBase, 0, Set(F.GuestSsBase, 1ul << 32)),
        (F.GuestDsBase, 0, Set(F.GuestDsBase, 1ul << 32)), (F.GuestEsBase, 0, Set(F.GuestEsBase, 1ul << 32)),
        (F.GuestCsAccess, 0, Flip(F.GuestCsAccess, 1)), (F.GuestCsAccess, 0, Both(NotUnrestricted, Set(F.GuestCsAccess, 0xC093))),
        (F.GuestCsAccess, 0, Flip(F.GuestCsAccess, 0x20)), (F.GuestCsAccess, 0, Flip(F.GuestCsAccess, 0x4000)), (F.GuestCsAccess, 0, Flip(F.GuestCsAccess, 0x80)),
        (F.GuestCsAccess, 0, Flip(F.GuestCsAccess, 0x10)), (F.GuestCsAccess, 0, Flip(F.GuestCsAccess, 0x100)), (F.GuestCsAccess, 0, Flip(F.GuestCsAccess, 0x8000)),
        (F.GuestSsAccess, 0, Flip(F.GuestSsAccess, 2)), (F.GuestSsAccess, 0, Flip(F.GuestSsAccess, 0x80)), (F.GuestSsAccess, 0, Flip(F.GuestSsAccess, 0x2_0000)),
        (F.GuestDsAccess, 0, Flip(F.GuestDsAccess, 1)), (F.GuestEsAccess, 0, Set(F.GuestEsAccess, 0xC099)), (F.GuestFsAccess, 0, Flip(F.GuestFsAccess, 0x10)),
        (F.GuestGsAccess, 0, Set(F.GuestGsLimit, 0xFFFF_FFF0)), (F.GuestDsAccess, 0, Both(NotUnrestricted, Set(F.GuestDsSelector, 3))),
        (F.GuestTrAccess, 0, Set(F.GuestTrAccess, 0x89)), (F.GuestTrAccess, 0, Set(F.GuestTrAccess, 0x83)), (F.GuestTrAccess, 0, Flip(F.GuestTrAccess, 1 << 16)),
        (F.GuestTrAccess, 0, Flip(F.GuestTrAccess, 0x80)), (F.GuestTrAccess, 0, Flip(F.GuestTrAccess, 0x10)), (F.GuestTrAccess, 0, Set(F.GuestTrLimit, 0x10_0000)),
        (F.GuestLdtrAccess, 0, Set(F.GuestLdtrAccess, 0x83)), (F.GuestLdtrAccess, 0, Set(F.GuestLdtrAccess, 0x02)),
        (F.GuestGdtrBase, 0, Set(F.GuestGdtrBase, Bad)), (F.GuestIdtrBase, 0, Set(F.GuestIdtrBase, Bad)),
        (F.GuestGdtrLimit, 0, Set(F.GuestGdtrLimit, 0x1_0000)), (F.GuestIdtrLimit, 0, Set(F.GuestIdtrLimit, 0x1_0000)),
        (F.GuestRip, 0, Set(F.GuestRip, Bad)), (F.GuestRip, 0, Both(Set(F.GuestCsAccess, 0xC09B), Set(F.GuestRip, 1ul << 32))),
        (F.GuestRflags, 0, Flip(F.GuestRflags, 2)), (F.GuestRflags, 0, Flip(F.GuestRflags, 8)), (F.GuestRflags, 0, Flip(F.GuestRflags, 1ul << 22)),
        (F.GuestRflags, 0, Both(Virtual8086, Set(F.GuestCr0, Cr.Cr0NE | Cr.Cr0ET))), (F.GuestRflags, 0, Both(Inject(0x40, InterruptionType.External), Set(F.GuestRflags, 2))),
        (F.GuestActivity, 0, Set(F.GuestActivity, 4)), (F.GuestActivity, 0, Both(Set(F.GuestActivity, 1), Flip(F.GuestSsAccess, 0x60), Flip(F.GuestCsAccess, 0x60))),
        (F.GuestActivity, 0, Both(Set(F.GuestActivity, 1), Set(F.GuestInterruptibility, 2))),
        (F.GuestActivity, 0, Both(Set(F.GuestActivity, 1), Inject(6, InterruptionType.HardwareException))),
        (F.GuestActivity, 0, Both(Set(F.GuestActivity, 2), Inject(0x40, InterruptionType.External), Flip(F.GuestRflags, Cr.IF))),
        (F.GuestActivity, 0, Both(Set(F.GuestActivity, 3), Inject(2, InterruptionType.Nmi))),
        (F.GuestInterruptibility, 0, Set(F.GuestInterruptibility, 0x20)), (F.GuestInterruptibility, 0, Both(Set(F.GuestInterruptibility, 3), Flip(F.GuestRflags, Cr.IF))),
        (F.GuestInterruptibility, 0, Set(F.GuestInterruptibility, 1)), (F.GuestInterruptibility, 0, Set(F.GuestInterruptibility, 4)),
        (F.GuestInterruptibility, 0, Both(Set(F.GuestInterruptibility, 2), Inject(0x40, InterruptionType.External), Flip(F.GuestRflags, Cr.IF))),
        (F.GuestInterruptibility, 0, Both(Set(F.GuestInterruptibility, 2), Inject(2, InterruptionType.Nmi))),
        (F.GuestInterruptibility, 3, Both(Set(F.GuestInterruptibility, 1), Flip(F.GuestRflags, Cr.IF), Inject(2, InterruptionType.Nmi))),
        (F.GuestInterruptibility, 0, Both(Set(F.GuestInterruptibility, 8), Inject(2, InterruptionType.Nmi))),
        (F.GuestPendingDebug, 0, Set(F.GuestPendingDebug, 0x20)), (F.GuestPendingDebug, 0, Both(Set(F.GuestPendingDebug, 1 << 14), Set(F.GuestInterruptibility, 2))),
        (F.GuestPendingDebug, 0, Both(Set(F.GuestInterruptibility, 2), Flip(F.GuestRflags, Cr.TF))),
        (F.VmcsLinkPointer, 4, Set(F.VmcsLinkPointer, 0x1000)),
        (F.GuestPdpte2, 2, Both(Flip(F.EntryControls, (ulong)EntryControls.Ia32eGuest), Flip(F.GuestEfer, Cr.EferLMA | Cr.EferLME), Set(F.GuestCsAccess, 0xC09B), Set(F.GuestPdpte2, 0x2003))),
        (F.GuestFsBase, 0, Both(Virtual8086, Set(F.GuestFsBase, 0))), (F.GuestEsLimit, 0, Both(Virtual8086, Set(F.GuestEsLimit, 0xFFFFF))),
        (F.GuestDsAccess, 0, Both(Virtual8086, Set(F.GuestDsAccess, 0x93))),
    ];

    public static TheoryData<string, int> Controls => Named(ControlRows.Select(r => r.Field));

    public static TheoryData<string, int> Hosts => Named(HostRows.Select(r => r.Field));

    public static TheoryData<string, int> Guests => Named(GuestRows.Select(r => r.Field));

    static TheoryData<string, int> Named(IEnumerable<F> fields)
    {
        var data = new TheoryData<string, int>();
        var i = 0;
        foreach (var field in fields)
        {
            data.Add(field.ToString(), i++);
        }

        return data;
    }

    static Vmcs Valid()
    {
        using var m = new VmxBench(new());
        var vmcs = m.Vmx.Capture();
        Assert.Null(EntryChecks.Run(vmcs));
        return vmcs;
    }

    [Theory]
    [MemberData(nameof(Controls))]
    public void A_control_that_breaks_a_rule_is_instruction_error_7(string field, int row)
    {
        var vmcs = Valid();
        ControlRows[row].Break(vmcs);
        Assert.Equal((field, 7u, 0u), Brief(EntryChecks.Run(vmcs)));
    }

    [Theory]
    [MemberData(nameof(Hosts))]
    public void Host_state_that_breaks_a_rule_is_instruction_error_8(string field, int row)
    {
        var vmcs = Valid();
        HostRows[row].Break(vmcs);
        Assert.Equal((field, 8u, 0u), Brief(EntryChecks.Run(vmcs)));
    }

    [Theory]
    [MemberData(nameof(Guests))]
    public void Guest_state_that_breaks_a_rule_is_exit_33_with_bit_31(string field, int row)
    {
        var vmcs = Valid();
        GuestRows[row].Break(vmcs);
        var failure = EntryChecks.Run(vmcs);
        Assert.Equal((field, 0u, 0x8000_0021u), Brief(failure));
        Assert.Equal(GuestRows[row].Qualification, failure!.Qualification);
    }

    static (string?, uint, uint) Brief(EntryFailure? failure) => (failure?.Field.ToString(), failure?.InstructionError ?? 0, failure?.ExitReasonField ?? 0);

    [Fact]
    public void Virtual_8086_mode_and_every_profile_pass()
    {
        var vmcs = Valid();
        Virtual8086(vmcs);
        Assert.Null(EntryChecks.Run(vmcs));
        foreach (var profile in VmxProfile.All)
        {
            using var m = new VmxBench(new() { Profile = profile });
            Assert.Null(EntryChecks.Run(m.Vmx.Capture()));
        }
    }

    [Fact]
    public void A_refused_entry_stops_the_machine_and_says_why()
    {
        using var m = new VmxBench(new()).Load(c => c.nop());
        m.Vmx.Write(F.GuestRflags, 0);
        m.Run(1);
        Assert.Equal(DeathCause.EntryFailure, m.Death!.Value.Cause);
        Assert.Contains("exit reason 0x80000021", m.Death.Value.Detail, StringComparison.Ordinal);
        Assert.Equal(0x8000_0021ul, m.Vmx.Read(F.ExitReason));
        Assert.Equal(VmxBench.CodeAt, m.Cpu.LocalTime + VmxBench.CodeAt);
    }

    [Theory]
    [InlineData(0x277u, 0x0007_0406_0007_0406ul, 0ul)]
    [InlineData(0xC000_0100u, 0ul, 2ul)]
    [InlineData(0x175u, Bad, 2ul)]
    [InlineData(0x9999u, 0ul, 2ul)]
    public void An_MSR_that_cannot_be_loaded_is_exit_34_with_its_number(uint msr, ulong value, ulong qualification)
    {
        using var m = new VmxBench(new()).Load(c => c.nop());
        m.Vmx.LoadMsrsAtEntry(new MsrEntry(0xC000_0081, 0x1234), new MsrEntry(msr, value));
        m.Run(1);
        Assert.Equal(qualification != 0, m.Death != null);
        if (qualification != 0)
        {
            Assert.Equal((0x8000_0022ul, qualification), (m.Vmx.Read(F.ExitReason), m.Vmx.Read(F.ExitQualification)));
        }
    }

    [Fact]
    public void A_machine_check_during_entry_is_exit_41()
    {
        using var m = new VmxBench(new()).Load(c => c.nop());
        m.Vmx.MachineCheckAtNextEntry(EntryMachineCheck.During);
        m.Run(1);
        Assert.Equal(ExitReason.EntryMachineCheck, Assert.Single(m.Exits).Exit.Reason);
        Assert.Equal(0x8000_0029ul, m.Vmx.Read(F.ExitReason));
        Assert.Null(m.Death);
    }

    [Theory]
    [InlineData(EntryMachineCheck.Before, true, 0, false)]
    [InlineData(EntryMachineCheck.Before, false, 0, true)]
    [InlineData(EntryMachineCheck.After, true, 1, false)]
    public void A_machine_check_around_an_entry_is_the_hosts_before_and_the_guests_after(EntryMachineCheck where, bool hostMce, int exits, bool dead)
    {
        using var m = new VmxBench(new() { HostMce = hostMce, HostMceAtCreation = hostMce }).Load(c => c.nop());
        m.Vmx.MachineCheckAtNextEntry(where);
        m.Run(1);
        Assert.Equal(exits, m.Exits.Count(e => e.Exit.Kind == ExitKind.MachineCheck));
        Assert.Equal(dead, m.Death != null);
    }

    [Fact]
    public void Unknown_encodings_and_read_only_fields_are_refused_by_name()
    {
        var vmcs = new Vmcs();
        Assert.Contains("0x4444 is not a VMCS field", Assert.Throws<VmcsFieldException>(() => vmcs.Read(0x4444)).Message, StringComparison.Ordinal);
        Assert.Throws<VmcsFieldException>(() => vmcs.Read(0x4001));
        Assert.Contains("read-only", Assert.Throws<VmcsFieldException>(() => vmcs.Write((uint)F.ExitReason, 1)).Message, StringComparison.Ordinal);
        Assert.Throws<VmcsFieldException>(() => vmcs.Write((uint)F.Vpid, 0x1_0000));
        vmcs.Write((uint)F.TscOffset, 0x1_0000_0002);
        vmcs.Write((uint)F.TscOffset + 1, 7);
        Assert.Equal((7ul, 0x7_0000_0002ul), (vmcs.Read((uint)F.TscOffset + 1), vmcs[F.TscOffset]));
    }

    [Fact]
    public void Fields_do_not_share_their_storage()
    {
        var vmcs = new Vmcs();
        foreach (var field in VmcsFields.All)
        {
            vmcs[field] = (ulong)field | 1;
        }

        Assert.All(VmcsFields.All, field => Assert.Equal((ulong)field | 1, vmcs[field]));
    }
}
