using Vmm.GuestDma.Cost;
using Vmm.GuestDma.Guest;
using Vmm.Platform.Memory;

namespace Vmm.GuestDma.Bounce;

/// <summary>Copies between buffers of the driver and bounce memory, and charges for it.</summary>
sealed class BounceCopy(IGuestView view, CostMeter meter)
{
    /// <summary>Copies part of a buffer into the bounce memory.</summary>
    public void In(Gpa bounce, Gpa original, int bytes)
    {
        view.Memory(original, bytes).CopyTo(view.Memory(bounce, bytes));
        meter.Copy(bytes);
    }

    /// <summary>Copies part of the bounce memory into the buffer.</summary>
    public void Out(Gpa bounce, Gpa original, int bytes)
    {
        view.Memory(bounce, bytes).CopyTo(view.Memory(original, bytes));
        meter.Copy(bytes);
    }

    /// <summary>Gathers a list.</summary>
    public void In(Gpa bounce, ReadOnlySpan<ScatterEntry> list)
    {
        foreach (ref readonly var entry in list)
        {
            In(bounce, entry.Address, entry.Length);
            bounce += (ulong)entry.Length;
        }
    }

    /// <summary>Scatters to a list.</summary>
    public void Out(Gpa bounce, ReadOnlySpan<ScatterEntry> list)
    {
        foreach (ref readonly var entry in list)
        {
            Out(bounce, entry.Address, entry.Length);
            bounce += (ulong)entry.Length;
        }
    }

    /// <summary>Clears.</summary>
    public void Clear(Gpa bounce, int bytes)
    {
        if (bytes > 0)
        {
            view.Memory(bounce, bytes).Clear();
            meter.Clear(bytes);
        }
    }
}
