using Vmm.GuestDma.Cost;
using Vmm.GuestDma.Guest;
using Vmm.Platform.Memory;
using Vmm.Specs.VtD;

namespace Vmm.GuestDma.Drivers.VtD;

/// <summary>
/// The queued invalidation interface from the driver's side (VT-d §6.5.2): descriptors, then a wait descriptor whose
/// status write is polled for. One page of 256 descriptors; the last page half holds nothing, the status word has its own page.
/// </summary>
sealed class InvalidationRing(IGuestView view, CostMeter meter, ulong registers, Gpa ring, Gpa status)
{
    const int Entries = 256, PollLimit = 1000, MostAttempts = 4;
    readonly Gate gate = new();
    int tail;

    /// <summary>Descriptors submitted, without waits.</summary>
    public ulong Submitted { get; private set; }

    /// <summary>Submissions, each with a wait.</summary>
    public ulong Waits { get; private set; }

    /// <summary>Errors of the queue that were put right.</summary>
    public ulong Errors { get; private set; }

    /// <summary>Sets the queue up and turns it on (VT-d §6.5.2.2).</summary>
    public void Enable()
    {
        view.WriteRegister(registers + VtdRegister.IQT, 8, 0);
        view.WriteRegister(registers + VtdRegister.IQA, 8, ring.Value);
    }

    /// <summary>
    /// Submits descriptors and waits for them. After an error of the queue (VT-d §6.5.2.10) all are submitted again; what fails
    /// every time, or has no error to show, throws: the descriptors are wrong, or the unit is.
    /// </summary>
    public void Submit(ReadOnlySpan<InvalidationDescriptor> descriptors)
    {
        Submitted += (ulong)descriptors.Length;
        Waits++;
        // The unit carries out one submission after the other.
        meter.Wait(gate);
        for (var attempt = 1; !TrySubmit(descriptors); attempt++)
        {
            if (attempt == MostAttempts || !TryRecover())
            {
                throw new InvalidOperationException($"vt-d: an invalidation does not end; FSTS is 0x{view.ReadRegister(registers + VtdRegister.FSTS, 4):x}");
            }
        }

        meter.Unlock(gate);
    }

    bool TrySubmit(ReadOnlySpan<InvalidationDescriptor> descriptors)
    {
        foreach (var descriptor in descriptors)
        {
            Put(descriptor);
        }

        view.Store(status, 0);
        Put(new InvalidationDescriptor { Type = InvalidationType.Wait, SW = true, StatusData = 1, StatusAddress = status.Value });
        view.WriteRegister(registers + VtdRegister.IQT, 8, (ulong)tail * 16);
        for (var i = 0; i < PollLimit; i++)
        {
            if ((uint)view.Load(status) == 1)
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>Clears the errors of the queue; a descriptor that the unit stopped at becomes a wait that does nothing. False: there is no error.</summary>
    bool TryRecover()
    {
        var errors = (uint)view.ReadRegister(registers + VtdRegister.FSTS, 4) & (Fsts.IQE | Fsts.ITE | Fsts.ICE);
        if (errors == 0)
        {
            return false;
        }

        Errors++;
        if ((errors & Fsts.IQE) != 0)
        {
            var head = ring + (view.ReadRegister(registers + VtdRegister.IQH, 8) & 0xFF0);
            var nothing = new InvalidationDescriptor { Type = InvalidationType.Wait };
            view.Store(head, nothing.Low);
            view.Store(head + 8, nothing.High);
        }

        view.WriteRegister(registers + VtdRegister.FSTS, 4, errors);
        return true;
    }

    void Put(InvalidationDescriptor descriptor)
    {
        view.Store(ring + (ulong)tail * 16, descriptor.Low);
        view.Store(ring + (ulong)tail * 16 + 8, descriptor.High);
        tail = (tail + 1) % Entries;
    }
}
