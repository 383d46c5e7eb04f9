namespace Vmm.Platform.Interrupts;

/// <summary>An input of an interrupt controller, or a wire that several devices share. Level: true is asserted.</summary>
public interface IInterruptLine
{
    /// <summary>Sets the level that this source drives.</summary>
    void Set(bool asserted);
}

/// <summary>A message-signalled interrupt: a write of <see cref="Data"/> to <see cref="Address"/> (SDM 3A §11.11).</summary>
public readonly record struct MsiMessage(ulong Address, uint Data)
{
    /// <summary>Remapping posted the interrupt to memory and nobody is to be notified: there is nothing to deliver.</summary>
    public bool IsAbsorbed => Address == 0;
}

/// <summary>Takes interrupt messages after remapping: the local APICs.</summary>
public interface IInterruptSink
{
    /// <summary>
    /// Delivers one message in the architectural format: a level-triggered one (data bit 15) counts only when asserted (bit
    /// 14); address bits 63:40 extend the destination to 32 bits. Messages that address no APIC are dropped.
    /// </summary>
    void Deliver(MsiMessage message);
}

/// <summary>The wires from a local APIC to its processor core.</summary>
public interface IVcpuWires
{
    /// <summary>INTR: a vector of sufficient priority is waiting (true) or not (false).</summary>
    void SetIntr(bool asserted);

    /// <summary>NMI edge.</summary>
    void Nmi();

    /// <summary>INIT: the core resets and waits for start-up.</summary>
    void Init();

    /// <summary>Start-up IPI: the core, if waiting, starts at <paramref name="vector"/> * 4096 in real mode.</summary>
    void StartUp(byte vector);
}

/// <summary>What a processor core asks of its local APIC.</summary>
public interface ILocalApic
{
    /// <summary>Takes the highest waiting vector (INTA cycle) and updates IRR and ISR. Returns the spurious vector when none is left.</summary>
    byte Acknowledge();

    /// <summary>The task priority register; CR8 is its bits 7:4.</summary>
    byte TaskPriority { get; set; }

    /// <summary>Guest TSC minus virtual time, in cycles: the core sets it when TSC or TSC_ADJUST is written, and TSC deadlines follow.</summary>
    ulong TscOffset { get => 0; set { } }

    /// <summary>The APIC is enabled in IA32_APIC_BASE: CPUID.1:EDX[9] shows it (SDM 3A §11.4.3).</summary>
    bool IsEnabled { get; }

    /// <summary>A corrected machine check asks for its local interrupt (LVT CMCI, SDM 3A §11.5.1).</summary>
    void CorrectedMachineCheck()
    {
    }

    /// <summary>Reads an APIC MSR (0x1B, 0x6E0, 0x800-0x8FF). False raises #GP(0) in the guest.</summary>
    bool TryReadMsr(uint msr, out ulong value);

    /// <summary>Writes an APIC MSR. False raises #GP(0) in the guest.</summary>
    bool TryWriteMsr(uint msr, ulong value);
}
