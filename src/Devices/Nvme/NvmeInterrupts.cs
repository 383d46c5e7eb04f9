using Vmm.Platform.Time;
using Vmm.Specs.Nvme;

namespace Vmm.Nvme;

/// <summary>MSI-X vectors with coalescing (NVMe 1.4 §7.5), or the pin with INTMS and INTMC.</summary>
public sealed partial class NvmeController
{
    readonly ClockTimer coalescingTimer;
    readonly int[] posted;
    readonly int[] coalesced;
    readonly ulong[] coalescingDue;
    readonly bool[] coalescingDisabled;
    bool anyPosted;

    /// <summary>Signals the vectors that got completions since the last call: one message each.</summary>
    void DeliverInterrupts()
    {
        if (!anyPosted)
        {
            return;
        }

        anyPosted = false;
        for (var vector = 0; vector < posted.Length; vector++)
        {
            if (posted[vector] != 0)
            {
                Signal(vector, posted[vector]);
                posted[vector] = 0;
            }
        }

        UpdatePin();
    }

    void Signal(int vector, int entries)
    {
        var setting = features[NvmeFeature.InterruptCoalescing];
        var (threshold, time) = ((int)(setting & 0xFF), setting >> 8 & 0xFF);
        coalesced[vector] += entries;
        // The threshold is 0's based. The admin queue's vector is never held back.
        if (vector == 0 || time == 0 || coalescingDisabled[vector] || coalesced[vector] > threshold)
        {
            SendNow(vector);
            return;
        }

        if (coalescingDue[vector] == ulong.MaxValue)
        {
            coalescingDue[vector] = clock.Now + clock.ToCycles(time, 10_000);
            ArmCoalescing();
        }
    }

    void SendNow(int vector)
    {
        coalesced[vector] = 0;
        coalescingDue[vector] = ulong.MaxValue;
        Function.Raise(vector);
    }

    void CoalescingExpired()
    {
        for (var vector = 0; vector < coalescingDue.Length; vector++)
        {
            if (coalescingDue[vector] <= clock.Now)
            {
                SendNow(vector);
            }
        }

        ArmCoalescing();
    }

    void ArmCoalescing()
    {
        var first = ulong.MaxValue;
        foreach (var due in coalescingDue)
        {
            first = Math.Min(first, due);
        }

        if (first == ulong.MaxValue)
        {
            coalescingTimer.Disarm();
        }
        else
        {
            coalescingTimer.Arm(first);
        }
    }

    /// <summary>The pin is asserted while an unmasked queue holds completions that the guest has not consumed.</summary>
    void UpdatePin()
    {
        if (Function.UsesMessages)
        {
            Function.SetIntx(false);
            return;
        }

        var masked = registers.Get32(NvmeRegister.INTMS);
        var wanted = false;
        foreach (var queue in completions)
        {
            wanted |= queue.Exists && queue.InterruptsEnabled && queue.Head != queue.Tail &&
                (masked >> (queue.Vector & 31) & 1) == 0;
        }

        Function.SetIntx(wanted && IsRunning);
    }

    void SetInterruptMask(uint mask)
    {
        registers.Set32(NvmeRegister.INTMS, mask);
        registers.Set32(NvmeRegister.INTMC, mask);
        UpdatePin();
    }

    void ResetInterrupts()
    {
        anyPosted = false;
        Array.Clear(posted);
        Array.Clear(coalesced);
        Array.Clear(coalescingDisabled);
        Array.Fill(coalescingDue, ulong.MaxValue);
        coalescingTimer.Disarm();
    }
}
