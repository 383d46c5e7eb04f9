namespace Vmm.Chipset;

/// <summary>Local interrupt sources and pins (SDM 3A §11.5.1).</summary>
public sealed partial class LocalApic
{
    /// <summary>An internal source of the processor asks for its LVT entry (thermal, performance, CMCI; the pins have lines of their own).</summary>
    public void RaiseLocal(LocalInterrupt source)
    {
        ref var entry = ref lvt[(int)source];
        if ((entry & LvtMask) != 0 || Mode == ApicMode.Disabled)
        {
            return;
        }

        var level = source == LocalInterrupt.Lint0 && (entry & LvtTrigger) != 0 && ModeOf(entry) == DeliveryMode.Fixed;
        if (level)
        {
            entry |= LvtRemoteIrr;
        }

        var mode = source is LocalInterrupt.Timer or LocalInterrupt.Error ? DeliveryMode.Fixed : ModeOf(entry);
        if (source == LocalInterrupt.Performance)
        {
            entry |= LvtMask;
        }

        if (mode is DeliveryMode.Fixed or DeliveryMode.Nmi or DeliveryMode.Init)
        {
            Accept(mode, (byte)entry, level);
        }
    }

    /// <inheritdoc/>
    public void CorrectedMachineCheck() => RaiseLocal(LocalInterrupt.Cmci);

    /// <summary>Pin LINT0: the 8259's INTR.</summary>
    internal void SetLint0(bool asserted)
    {
        if (asserted == lint0)
        {
            return;
        }

        lint0 = asserted;
        PinMoved(LocalInterrupt.Lint0, asserted);
        UpdateIntr();
    }

    /// <summary>Pin LINT1: NMI. Always edge-sensitive.</summary>
    internal void SetLint1(bool asserted)
    {
        if (asserted == lint1)
        {
            return;
        }

        lint1 = asserted;
        if (Mode == ApicMode.Disabled && asserted)
        {
            wires.Nmi();
        }

        PinMoved(LocalInterrupt.Lint1, asserted);
    }

    void PinMoved(LocalInterrupt pin, bool asserted)
    {
        var entry = lvt[(int)pin];
        if (asserted && (entry & LvtRemoteIrr) == 0 && ModeOf(entry) != DeliveryMode.ExtInt)
        {
            RaiseLocal(pin);
        }
    }

    /// <summary>A level that lasts asks again once its interrupt ended or its entry was rewritten.</summary>
    void ResampleLint0()
    {
        var entry = lvt[(int)LocalInterrupt.Lint0];
        var level = (entry & LvtTrigger) != 0 && ModeOf(entry) == DeliveryMode.Fixed;
        if (level && (entry & (LvtMask | LvtRemoteIrr)) == 0 && lint0)
        {
            RaiseLocal(LocalInterrupt.Lint0);
        }
    }
}
