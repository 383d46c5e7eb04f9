using Vmm.Specs.Virtio;

namespace Vmm.Virtio;

/// <content>Interrupts: MSI-X per queue and for the configuration, or INTA# with the ISR byte (§4.1.4.5, §4.1.5).</content>
public sealed partial class VirtioPci
{
    byte isr;

    bool UsesMsix => Function.Msix!.Enabled;

    internal void InterruptQueue(Virtqueue queue)
    {
        if (UsesMsix)
        {
            Send(queue.Vector);
            return;
        }

        isr |= VirtioIsr.Queue;
        Function.SetIntx(true);
    }

    void InterruptConfig()
    {
        isr |= VirtioIsr.Config;
        Function.SetIntx(true);
        if (UsesMsix)
        {
            Send(configVector);
        }
    }

    void Send(ushort vector)
    {
        if (vector != VirtioCommon.NoVector)
        {
            Function.Raise(vector);
        }
    }

    /// <summary>Reading takes the causes away and drops the pin.</summary>
    byte TakeIsr()
    {
        var causes = isr;
        isr = 0;
        Function.SetIntx(false);
        return causes;
    }
}
