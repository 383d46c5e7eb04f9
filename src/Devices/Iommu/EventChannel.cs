using Vmm.Platform.Interrupts;
using Vmm.Specs.VtD;

namespace Vmm.Iommu;

/// <summary>
/// One of the unit's own interrupts: control, data, address and upper address registers in a row (VT-d §7.3, §11.4.7.2).
/// The message goes to the local APICs as it is: it is never remapped (VT-d §5.1.6).
/// </summary>
sealed class EventChannel(VtdCore core, int offset)
{
    EventControl Control
    {
        get => new(core.Registers.Get32(offset));
        set => core.Registers.Set32(offset, value.Raw);
    }

    /// <summary>A new interrupt condition: sends the message, or holds it while masked.</summary>
    public void Raise()
    {
        Control = Control with { IP = true };
        SendPending();
    }

    /// <summary>The control register was written: unmasking sends what is pending.</summary>
    public void ControlWritten() => SendPending();

    /// <summary>Software serviced every condition: a held message is dropped.</summary>
    public void Withdraw() => Control = Control with { IP = false };

    void SendPending()
    {
        if (!Control.IP || Control.IM)
        {
            return;
        }

        Control = Control with { IP = false };
        core.Counters.EventMessages++;
        var address = (ulong)core.Registers.Get32(offset + 12) << 32 | core.Registers.Get32(offset + 8);
        core.Sink.Deliver(new MsiMessage(address, core.Registers.Get32(offset + 4)));
    }
}
