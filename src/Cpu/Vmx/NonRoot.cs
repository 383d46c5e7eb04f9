using Vmm.Cpu.State;
using Vmm.Cpu.Vcpus;
using Vmm.Platform.Time;
using Vmm.Specs.X86;
using F = Vmm.Specs.X86.VmcsField;

namespace Vmm.Cpu.Vmx;

/// <summary>
/// VMX non-root operation of one vCPU: its VMCS, the processor under it, and what the hypervisor of the model does at exits and
/// entries. The guest-state area of the VMCS is a view of the vCPU's state, made when it is asked for.
/// </summary>
public sealed unsafe partial class NonRoot
{
    /// <summary>Vector that the model's host kicks a processor out of guest mode with: Linux's reschedule vector.</summary>
    public const byte KickVector = 0xFD;

    readonly Vcpu cpu;
    readonly CpuState* s;
    readonly VirtualClock clock;
    readonly Vmcs vmcs = new();
    readonly ClockTimer preemption;
    uint exceptions;
    bool entryDue = true;
    bool inHost;

    internal NonRoot(Vcpu cpu, VirtualClock clock, VmxOptions options)
    {
        this.cpu = cpu;
        this.clock = clock;
        s = cpu.State;
        Options = options;
        preemption = clock.CreateTimer($"vmx{cpu.Index}", this);
        Physical = new(cpu.Index) { MachineCheckEnable = options.HostMceAtCreation };
        Physical.Occupant = this;
        inHost = true;
        Reset();
    }

    /// <summary>Number of the vCPU.</summary>
    public int Index => cpu.Index;

    /// <summary>How the hypervisor behaves.</summary>
    public VmxOptions Options { get; private set; }

    /// <summary>The processor that the vCPU runs on.</summary>
    public PhysicalCpu Physical { get; private set; }

    /// <summary>The pages behind the bitmap fields.</summary>
    public AccessBitmaps Bitmaps { get; } = new();

    /// <summary>Pin-based controls in force.</summary>
    internal PinControls Pin { get; private set; }

    /// <summary>Primary controls in force.</summary>
    internal PrimaryControls Primary { get; private set; }

    /// <summary>Secondary controls in force.</summary>
    internal SecondaryControls Secondary { get; private set; }

    /// <summary>VM exits of this vCPU since it was built.</summary>
    public ulong Exits { get; private set; }

    /// <summary>Why the last VM entry was refused, or null.</summary>
    public EntryFailure? Failure { get; private set; }

    /// <summary>Puts the VMCS into the state that the profile gives it: VMCLEAR, and the hypervisor's writes before VMLAUNCH.</summary>
    internal void Reset()
    {
        vmcs.CopyFrom(new Vmcs());
        var profile = Options.Profile;
        SetControls(profile);
        SetHostArea();
        SetBitmaps(profile);
        (cr0Extra, cr4Extra) = (0, 0);
        inHost = created = false;
        preemption.Disarm();
        preemptionExpired = nmiArrived = interruptArrived = initArrived = kicked = false;
        startUpArrived = -1;
        pauseFirst = pauseLast = 0;
        machineChecks = 0;
        guestWritten = hostCr4Written = false;
        armed = EntryMachineCheck.None;
        drPassed = false;
        Failure = null;
        ControlsChanged();
        AdoptControlRegisters();
    }

    void SetControls(VmxProfile profile)
    {
        vmcs[F.PinControls] = (uint)profile.Pin | VmxCapability.Pin.MustBeOne;
        vmcs[F.PrimaryControls] = (uint)profile.Primary | VmxCapability.Primary.MustBeOne;
        vmcs[F.SecondaryControls] = (uint)profile.Secondary;
        vmcs[F.ExitControls] = (uint)profile.Exit | VmxCapability.Exit.MustBeOne;
        vmcs[F.EntryControls] = (uint)profile.Entry | VmxCapability.Entry.MustBeOne;
        vmcs[F.ExceptionBitmap] = profile.Exceptions;
        vmcs[F.Cr0GuestHostMask] = profile.Cr0Mask;
        vmcs[F.Cr4GuestHostMask] = profile.Cr4Mask;
        vmcs[F.Vpid] = (ulong)cpu.Index + 1;
        vmcs[F.TscMultiplier] = 1ul << 48;
        vmcs[F.PleGap] = 128;
        vmcs[F.PleWindow] = 4096;
        vmcs[F.VmcsLinkPointer] = ulong.MaxValue;
        vmcs[F.ApicAccessAddress] = 0xFEE0_0000;
        // Addresses of host memory that the model does not have: one 64 KiB range for each vCPU, the EPT root beyond.
        var pages = 0x10_0000_0000ul + (ulong)cpu.Index * 0x1_0000;
        vmcs[F.IoBitmapA] = pages;
        vmcs[F.IoBitmapB] = pages + 0x1000;
        vmcs[F.MsrBitmap] = pages + 0x2000;
        vmcs[F.VirtualApicAddress] = pages + 0x3000;
        vmcs[F.EptPointer] = 0x10_4000_0000 | 3 << 3 | 6;
    }

    /// <summary>A 64-bit Linux host's state.</summary>
    void SetHostArea()
    {
        vmcs[F.HostCr0] = 0x8005_0033;
        vmcs[F.HostCr3] = 0x10_8000_0000;
        vmcs[F.HostCr4] = Physical.Cr4;
        vmcs[F.HostCsSelector] = 0x10;
        vmcs[F.HostSsSelector] = 0x18;
        vmcs[F.HostTrSelector] = 0x40;
        var area = 0xFFFF_FE00_0000_0000 + (ulong)cpu.Index * 0x3_B000;
        vmcs[F.HostGsBase] = 0xFFFF_8880_3FC0_0000 + (ulong)cpu.Index * 0x4_0000;
        vmcs[F.HostTrBase] = area + 0x3000;
        vmcs[F.HostGdtrBase] = area + 0x1000;
        vmcs[F.HostIdtrBase] = 0xFFFF_FE00_0000_0000;
        vmcs[F.HostSysenterCs] = 0x10;
        vmcs[F.HostSysenterEsp] = area + 0x3000;
        vmcs[F.HostSysenterEip] = 0xFFFF_FFFF_8180_1280;
        vmcs[F.HostRsp] = 0xFFFF_C900_0020_BCC8;
        vmcs[F.HostRip] = 0xFFFF_FFFF_C0A5_3F60;
        vmcs[F.HostEfer] = 0xD01;
        vmcs[F.HostPat] = 0x0407_0506_0007_0106;
    }

    void SetBitmaps(VmxProfile profile)
    {
        Bitmaps.Io.Clear();
        Bitmaps.Msr.Fill(profile.MsrReads == null ? (byte)0 : (byte)0xFF);
        foreach (var msr in profile.MsrReads ?? [])
        {
            Bitmaps.SetMsr(msr, false, false);
        }

        foreach (var msr in profile.MsrWrites ?? [])
        {
            Bitmaps.SetMsr(msr, true, false);
        }
    }

    /// <summary>Reads a field; the guest-state area is brought up to date first.</summary>
    /// <exception cref="VmcsFieldException">There is no such field.</exception>
    public ulong Read(uint encoding)
    {
        Refresh();
        return vmcs.Read(encoding);
    }

    /// <summary>Reads a field.</summary>
    public ulong Read(F field) => Read((uint)field);

    /// <summary>A copy of the whole VMCS as it stands.</summary>
    public Vmcs Capture()
    {
        Refresh();
        var copy = new Vmcs();
        copy.CopyFrom(vmcs);
        return copy;
    }

    /// <summary>The hypervisor's VMWRITE while the vCPU is not running. The next VM entry checks everything anew.</summary>
    /// <exception cref="VmcsFieldException">There is no such field, or the value does not fit.</exception>
    public void Write(F field, ulong value)
    {
        Refresh();
        vmcs.Write((uint)field, value);
        if (VmcsFields.Area(field) == VmcsArea.Guest || field == F.TscOffset)
        {
            // Taken over at the VM entry, when the checks have passed.
            guestWritten = true;
        }

        ControlsChanged();
    }

    bool guestWritten;

    void Refresh()
    {
        if (!guestWritten)
        {
            GuestArea.Save(cpu, vmcs);
            vmcs[F.EntryInterruptionInfo] = injecting;
            vmcs[F.EntryErrorCode] = injectingError;
        }
    }

    /// <summary>Takes the controls over from the VMCS.</summary>
    void ControlsChanged()
    {
        Pin = vmcs.Pin;
        Primary = vmcs.Primary;
        Secondary = vmcs.Secondary;
        exceptions = (uint)vmcs[F.ExceptionBitmap];
        isStepping = (Primary & PrimaryControls.MonitorTrapFlag) != 0;
        isTscScaled = (Secondary & SecondaryControls.UseTscScaling) != 0 && vmcs[F.TscMultiplier] != 1ul << 48;
        injecting = (uint)vmcs[F.EntryInterruptionInfo];
        injectingError = (uint)vmcs[F.EntryErrorCode];
        entryDue = true;
        NoteAttention();
    }
}
