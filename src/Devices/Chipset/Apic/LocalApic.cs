using Vmm.Platform.Bus;
using Vmm.Platform.Interrupts;
using Vmm.Platform.Snapshots;
using Vmm.Platform.Time;

namespace Vmm.Chipset;

/// <summary>Gives the vector of the interrupt that the 8259 pair asks for (INTA cycles).</summary>
public interface IExtIntSource
{
    /// <summary>Acknowledges the highest request and returns its vector, the spurious one (IRQ 7) when none is left.</summary>
    byte Acknowledge();
}

/// <summary>
/// Local APIC of one processor: xAPIC and x2APIC (SDM 3A §11). As a bus target it is the 4 KiB page at
/// <see cref="MmioBase"/> (0xFEE00000 after reset), which each processor sees for itself and which the guest may move.
/// </summary>
public sealed partial class LocalApic : ILocalApic, IBusTarget, ITimerTarget, ISnapshotPart
{
    const ulong DefaultBase = 0xFEE0_0000;
    const ulong BaseBsp = 1 << 8, BaseExtd = 1 << 10, BaseEn = 1 << 11;
    const uint SvrEnable = 1 << 8, SvrSuppressEoi = 1 << 12;

    readonly uint initialId;
    readonly bool isBootProcessor;
    readonly LocalApicOptions options;
    readonly ApicBus bus;
    readonly IVcpuWires wires;
    readonly IExtIntSource pic;
    readonly ApicTimer timer;

    readonly VectorSet isr = new(), tmr = new(), irr = new();
    readonly uint[] lvt = new uint[7];
    ulong apicBase;
    byte xapicId;
    byte tpr;
    uint ldr, dfr, svr, icr, icr2;
    ApicErrors errors, errorLatch;
    bool lint0, lint1, extIntMessage, intr;

    /// <param name="id">Initial APIC id; with x2APIC the permanent one.</param>
    /// <param name="isBootProcessor">Sets the BSP flag of IA32_APIC_BASE at reset.</param>
    /// <param name="clock">Source of time; its cycles are the TSC.</param>
    /// <param name="bus">Carries interrupt messages; the APIC attaches itself.</param>
    /// <param name="wires">The processor core.</param>
    /// <param name="pic">Answers interrupt acknowledge cycles in ExtINT mode.</param>
    /// <param name="options">Identity and timer clock.</param>
    public LocalApic(uint id, bool isBootProcessor, VirtualClock clock, ApicBus bus, IVcpuWires wires, IExtIntSource pic, LocalApicOptions options)
    {
        initialId = id;
        this.isBootProcessor = isBootProcessor;
        this.options = options;
        this.bus = bus;
        this.wires = wires;
        this.pic = pic;
        SectionName = $"lapic{id}";
        timer = new(clock, clock.CreateTimer($"lapic{id}", this), options.TimerHertz);
        Reset();
        bus.Attach(this);
    }

    /// <inheritdoc/>
    public string SectionName { get; }

    /// <summary>Operating mode. CPUID.1:EDX[9] reads zero while this is <see cref="ApicMode.Disabled"/>.</summary>
    public ApicMode Mode => (apicBase & BaseEn) == 0 ? ApicMode.Disabled : (apicBase & BaseExtd) == 0 ? ApicMode.XApic : ApicMode.X2Apic;

    /// <summary>Where the register page is; it answers in xAPIC mode only.</summary>
    public ulong MmioBase => apicBase & ~0xFFFul;

    /// <summary>Id that messages are matched with: the writable 8-bit id in xAPIC mode, the initial id in x2APIC mode.</summary>
    public uint Id => Mode == ApicMode.X2Apic ? initialId : xapicId;

    /// <summary>SVR bit 8: fixed interrupts are accepted.</summary>
    public bool IsSoftwareEnabled => (svr & SvrEnable) != 0;

    /// <inheritdoc/>
    public byte TaskPriority
    {
        get => tpr;
        set => SetTpr(value);
    }

    /// <inheritdoc/>
    public ulong TscOffset
    {
        get => timer.TscOffset;
        set
        {
            if (timer.SetTscOffset(value))
            {
                RaiseLocal(LocalInterrupt.Timer);
            }
        }
    }

    /// <inheritdoc/>
    public bool IsEnabled => Mode != ApicMode.Disabled;

    /// <summary>Power-up state (SDM 3A §11.4.7.1): xAPIC mode, software-disabled, every local interrupt masked.</summary>
    public void Reset()
    {
        apicBase = DefaultBase | BaseEn | (isBootProcessor ? BaseBsp : 0);
        xapicId = (byte)initialId;
        ResetRegisters();
        timer.SetTscOffset(0);
    }

    /// <summary>
    /// What firmware leaves behind on the boot processor: APIC enabled with spurious vector 0xFF, LINT0 ExtINT and LINT1
    /// NMI (virtual wire mode). For guests that are started without firmware.
    /// </summary>
    public void EnterVirtualWireMode()
    {
        svr = SvrEnable | 0xFF;
        lvt[(int)LocalInterrupt.Lint0] = (uint)DeliveryMode.ExtInt << 8;
        lvt[(int)LocalInterrupt.Lint1] = (uint)DeliveryMode.Nmi << 8;
        UpdateIntr();
    }

    /// <summary>State after INIT (SDM 3A §11.4.7.3): as after power-up, but id and IA32_APIC_BASE stay.</summary>
    void ResetRegisters()
    {
        isr.Clear();
        tmr.Clear();
        irr.Clear();
        Array.Fill(lvt, LvtMask);
        tpr = 0;
        ldr = 0;
        dfr = 0xFFFF_FFFF;
        svr = 0xFF;
        icr = 0;
        icr2 = 0;
        errors = ApicErrors.None;
        errorLatch = ApicErrors.None;
        extIntMessage = false;
        timer.Reset();
        UpdateIntr();
    }

    /// <summary>IA32_APIC_BASE; false for a write that raises #GP (SDM 3A §11.12.5).</summary>
    bool TrySetBase(ulong value)
    {
        var reserved = ~((1ul << options.PhysicalAddressBits) - 1) | 0x2FF;
        if ((value & reserved) != 0 || (value & BaseExtd) != 0 && !options.HasX2Apic)
        {
            return false;
        }

        var was = Mode;
        var next = value & (BaseEn | BaseExtd);
        var legal = next switch
        {
            0 => true,
            BaseEn => was != ApicMode.X2Apic,
            BaseEn | BaseExtd => was != ApicMode.Disabled,
            _ => false,
        };
        if (!legal)
        {
            return false;
        }

        apicBase = value;
        if (Mode != was)
        {
            EnterMode();
        }

        return true;
    }

    void EnterMode()
    {
        switch (Mode)
        {
            case ApicMode.Disabled:
                var keptTpr = tpr;
                xapicId = (byte)initialId;
                ResetRegisters();
                tpr = keptTpr;
                break;
            case ApicMode.X2Apic:
                icr2 = 0;
                break;
            default:
                break;
        }

        UpdateIntr();
    }

    /// <inheritdoc/>
    public void Expired(ClockTimer timer, ulong due)
    {
        this.timer.Expire();
        RaiseLocal(LocalInterrupt.Timer);
    }
}
