using Vmm.Platform.Interrupts;

namespace Vmm.Chipset;

/// <summary>Acceptance, priority and end of interrupts (SDM 3A §11.8).</summary>
public sealed partial class LocalApic
{
    /// <summary>PPR: the higher of task priority and the class in service.</summary>
    byte ProcessorPriority
    {
        get
        {
            var service = Math.Max(isr.Highest, 0);
            return (tpr & 0xF0) >= (service & 0xF0) ? tpr : (byte)(service & 0xF0);
        }
    }

    /// <summary>APR: what lowest-priority arbitration compared on the APIC bus (SDM 3A §11.6.2.4).</summary>
    byte ArbitrationPriority
    {
        get
        {
            int task = tpr & 0xF0, service = Math.Max(isr.Highest, 0) & 0xF0, request = Math.Max(irr.Highest, 0) & 0xF0;
            return task >= request && task > service ? tpr : (byte)Math.Max(task, Math.Max(service, request));
        }
    }

    /// <summary>Rank in lowest-priority arbitration: smaller wins.</summary>
    internal byte Rank => ProcessorPriority;

    /// <summary>Fixed and lowest-priority messages are accepted.</summary>
    internal bool AcceptsFixed => Mode != ApicMode.Disabled && IsSoftwareEnabled;

    /// <summary>True when a logical destination names this APIC (SDM 3A §11.6.2.2, §11.12.10.1).</summary>
    internal bool MatchesLogical(uint destination)
    {
        if (Mode == ApicMode.X2Apic)
        {
            var own = X2ApicLogicalId;
            return destination >> 16 == own >> 16 && (destination & own & 0xFFFF) != 0;
        }

        if (destination > 0xFF)
        {
            return false;
        }

        var id = ldr >> 24;
        return (dfr >> 28) switch
        {
            0xF => (id & destination) != 0,
            0 => (destination >> 4 == 0xF || destination >> 4 == id >> 4) && (id & destination & 15) != 0,
            _ => false,
        };
    }

    /// <summary>Highest request above the processor priority, or -1.</summary>
    int Deliverable
    {
        get
        {
            var vector = irr.Highest;
            return vector >= 0 && (vector & 0xF0) > (ProcessorPriority & 0xF0) ? vector : -1;
        }
    }

    bool ExtIntWaits
    {
        get
        {
            if (Mode == ApicMode.Disabled)
            {
                return lint0;
            }

            var entry = lvt[(int)LocalInterrupt.Lint0];
            var throughPin = (entry & LvtMask) == 0 && ModeOf(entry) == DeliveryMode.ExtInt && lint0;
            return throughPin || extIntMessage;
        }
    }

    static DeliveryMode ModeOf(uint entry) => (DeliveryMode)(entry >> 8 & 7);

    /// <inheritdoc/>
    public byte Acknowledge()
    {
        var vector = Mode == ApicMode.Disabled ? -1 : Deliverable;
        if (vector >= 0)
        {
            irr.Clear((byte)vector);
            isr.Set((byte)vector);
        }
        else if (ExtIntWaits)
        {
            extIntMessage = false;
            vector = pic.Acknowledge();
        }
        else
        {
            vector = (byte)svr;
        }

        UpdateIntr();
        return (byte)vector;
    }

    /// <summary>A message arrives from the interconnect. <paramref name="level"/> is its trigger mode.</summary>
    internal void Accept(DeliveryMode mode, byte vector, bool level)
    {
        if (Mode == ApicMode.Disabled)
        {
            return;
        }

        switch (mode)
        {
            case DeliveryMode.Fixed or DeliveryMode.LowestPriority:
                AcceptFixed(vector, level);
                break;
            case DeliveryMode.Nmi:
                wires.Nmi();
                break;
            case DeliveryMode.Init:
                ResetRegisters();
                wires.Init();
                break;
            case DeliveryMode.StartUp:
                wires.StartUp(vector);
                break;
            case DeliveryMode.ExtInt when IsSoftwareEnabled:
                extIntMessage = true;
                UpdateIntr();
                break;
            default:
                break;
        }
    }

    void AcceptFixed(byte vector, bool level)
    {
        if (!IsSoftwareEnabled)
        {
            return;
        }

        if (vector < 16)
        {
            Report(ApicErrors.ReceivedIllegalVector);
            return;
        }

        if (level)
        {
            tmr.Set(vector);
        }
        else
        {
            tmr.Clear(vector);
        }

        irr.Set(vector);
        UpdateIntr();
    }

    /// <summary>Notes an error for ESR and raises the error interrupt.</summary>
    internal void Report(ApicErrors error)
    {
        errorLatch |= error;
        var entry = lvt[(int)LocalInterrupt.Error];
        if ((byte)entry < 16)
        {
            // The error entry's own vector is illegal: noting that must not raise the same interrupt again.
            if ((entry & LvtMask) == 0)
            {
                errorLatch |= ApicErrors.ReceivedIllegalVector;
            }

            return;
        }

        RaiseLocal(LocalInterrupt.Error);
    }

    void EndOfInterrupt()
    {
        var vector = isr.Highest;
        if (vector < 0)
        {
            return;
        }

        isr.Clear((byte)vector);
        if (tmr[(byte)vector])
        {
            EndLevel((byte)vector);
        }

        UpdateIntr();
    }

    void EndLevel(byte vector)
    {
        ref var pin = ref lvt[(int)LocalInterrupt.Lint0];
        if ((byte)pin == vector && (pin & LvtRemoteIrr) != 0)
        {
            pin &= ~LvtRemoteIrr;
            ResampleLint0();
        }

        if ((svr & SvrSuppressEoi) == 0)
        {
            bus.BroadcastEoi(vector);
        }
    }

    void SetTpr(byte value)
    {
        tpr = value;
        UpdateIntr();
    }

    void UpdateIntr()
    {
        var waits = ExtIntWaits || Mode != ApicMode.Disabled && Deliverable >= 0;
        if (waits != intr)
        {
            intr = waits;
            wires.SetIntr(waits);
        }
    }
}
